//! The schema parser, and the schema files of this project.

use heliogram_tl::schema::{
    self, Condition, Kind, PUBLISHED_CONSTANTS, ParseError, Problem, Role, Type,
};

#[test]
fn every_id_of_the_service_schema_follows_the_rule_but_for_three_published_ones() {
    let schema = schema::parse(MTPROTO).unwrap();
    let with_id = schema
        .declarations
        .iter()
        .filter(|declaration| declaration.role != Role::Builtin);
    let breaks_rule = |declaration: &&schema::Declaration<'_>| {
        declaration
            .id
            .is_some_and(|id| id != declaration.checksum())
    };
    let exceptions = with_id
        .clone()
        .filter(breaks_rule)
        .map(|declaration| declaration.name);
    assert_eq!(exceptions.collect::<Vec<_>>(), PUBLISHED_CONSTANTS);
    let without_id = with_id
        .filter(|declaration| declaration.id.is_none())
        .map(|declaration| declaration.name);
    assert_eq!(
        without_id.collect::<Vec<_>>(),
        ["rsa_public_key", "message"]
    );
}

#[test]
fn a_declaration_has_its_parts() {
    let text = "---functions---\n// note\nauth.x#1f {X:Type} flags:# a:flags.31?true b:flags.0?Vector<bytes> q:!X = auth.Y;";
    let schema = schema::parse(text).unwrap();
    let [declaration] = schema.declarations.as_slice() else {
        panic!("{schema:?}");
    };
    assert_eq!(
        (declaration.line, declaration.name, declaration.id),
        (3, "auth.x", Some(0x1f))
    );
    assert_eq!(
        (declaration.role, declaration.result.text()),
        (Role::Method, "auth.Y")
    );
    assert_eq!(declaration.generics, ["X"]);
    let names = declaration.fields.iter().map(|field| field.name);
    assert_eq!(names.collect::<Vec<_>>(), ["flags", "a", "b", "q"]);
    let [flags, a, b, q] = declaration.fields.as_slice() else {
        panic!("{declaration:?}");
    };
    assert_eq!(flags.ty.kind(), Kind::Flags);
    assert_eq!(
        a.condition,
        Some(Condition {
            flags: "flags",
            bit: 31
        })
    );
    assert!(a.is_flag() && !b.is_flag());
    assert_eq!(q.ty.kind(), Kind::Method("X"));
    let Kind::Vector {
        element,
        boxed: true,
    } = b.ty.kind()
    else {
        panic!("{b:?}");
    };
    assert_eq!(element.text(), "bytes");
}

#[test]
fn a_type_is_boxed_if_its_name_begins_with_a_capital() {
    let boxed = |name, boxed| Kind::Named { name, boxed };
    assert_eq!(kind_of("Message"), boxed("Message", true));
    assert_eq!(kind_of("message"), boxed("message", false));
    assert_eq!(kind_of("%Message"), boxed("Message", false));
    assert_eq!(kind_of("help.Config"), boxed("help.Config", true));
    assert_eq!(kind_of("help.config"), boxed("help.config", false));
    assert!(matches!(
        kind_of("Vector<int>"),
        Kind::Vector { boxed: true, .. }
    ));
    assert!(matches!(
        kind_of("vector<int>"),
        Kind::Vector { boxed: false, .. }
    ));
    assert!(matches!(
        kind_of("%Vector<int>"),
        Kind::Vector { boxed: false, .. }
    ));
}

#[test]
fn the_checksum_leaves_out_flags_and_takes_bytes_for_string_outside_of_vectors() {
    let checksum = |text: &str| schema::parse(text).unwrap().declarations[0].checksum();
    assert_eq!(
        checksum("a flags:# b:flags.0?true c:flags.1?bytes = A;"),
        checksum("a flags:# c:flags.1?string = A;")
    );
    assert_ne!(
        checksum("a b:Vector<bytes> = A;"),
        checksum("a b:Vector<string> = A;")
    );
    assert_eq!(
        checksum("msg_container messages:vector<message> = MessageContainer;"),
        0x73f1_f8dc
    );
    assert_eq!(
        checksum("pong msg_id:long   ping_id:long // note\n = Pong;"),
        0x3477_73c5
    );
}

#[test]
fn comments_and_line_breaks_may_stand_anywhere_between_words() {
    let text = "/* one\ntwo */ a#1 // three\n b:int/* four */c:int\n= A;// five";
    let schema = schema::parse(text).unwrap();
    assert_eq!(schema.declarations[0].line, 2);
    assert_eq!(schema.declarations[0].fields.len(), 2);
}

#[test]
fn sections_switch_forth_and_back() {
    let text = "a = A; ---functions--- b = A; ---types--- c = A;";
    let roles = schema::parse(text)
        .unwrap()
        .declarations
        .iter()
        .map(|declaration| declaration.role)
        .collect::<Vec<_>>();
    assert_eq!(roles, [Role::Constructor, Role::Method, Role::Constructor]);
}

#[test]
fn what_breaks_a_rule_is_named_with_its_line() {
    for (text, line, problem) in [
        ("a#123456789 = A;", 1, Problem::BadId),
        ("a# = A;", 1, Problem::BadId),
        ("a#+1 = A;", 1, Problem::BadId),
        ("\n1a = A;", 2, Problem::BadName),
        ("a b = A;", 1, Problem::BadName),
        ("a.b.c = A;", 1, Problem::BadName),
        ("a b:Vector<Vector<> = A;", 1, Problem::BadType),
        ("a b:set<int> = A;", 1, Problem::BadType),
        ("a b: = A;", 1, Problem::BadType),
        ("a b:c.0?int = A;", 1, Problem::BadCondition),
        ("a c:int b:c.0?int = A;", 1, Problem::BadCondition),
        ("a c:# b:c.32?int = A;", 1, Problem::BadCondition),
        ("a b:int b:int = A;", 1, Problem::Duplicate),
        ("a#1 = A;\nb#1 = A;", 2, Problem::Duplicate),
        ("a b:int;", 1, Problem::MissingResult),
        ("a = ;", 1, Problem::MissingResult),
        ("a = A B;", 1, Problem::MissingResult),
        ("a b:int = A", 1, Problem::Unfinished),
        ("a = A; /*", 1, Problem::Unfinished),
        ("---laws---", 1, Problem::UnknownSection),
    ] {
        assert_eq!(
            schema::parse(text),
            Err(ParseError { line, problem }),
            "{text}"
        );
    }
}

fn kind_of(text: &'static str) -> Kind<'static> {
    let declaration = format!("a b:{text} = A;").leak();
    let schema = schema::parse(declaration).unwrap();
    let ty: Type<'static> = schema.declarations[0].fields[0].ty;
    ty.kind()
}

const MTPROTO: &str = include_str!("../../../../schema/mtproto.tl");
