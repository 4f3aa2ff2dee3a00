//! Objects that are put together field by field.

use heliogram_tl::Serialize;
use heliogram_tl::dynamic::{Catalog, Object, Value, Wrong};
use heliogram_tl::schema;

#[test]
fn bits_follow_from_the_fields_that_are_there() {
    let catalog = catalog();
    let it = catalog.constructor("optional").unwrap();
    let none = Object::new(it, true, Vec::new()).unwrap();
    assert_eq!(words(&none), [1, 0]);
    let number = Object::new(it, true, vec![("number", Value::Int(7))]).unwrap();
    assert_eq!(words(&number), [1, 1, 7]);
    let bit = Object::new(it, true, vec![("bit", Value::True)]).unwrap();
    assert_eq!(words(&bit), [1, 2]);
}

#[test]
fn a_value_that_shares_its_bit_brings_the_bit_and_asks_for_the_other_value() {
    let catalog = catalog();
    let it = catalog.constructor("shared").unwrap();
    let both = vec![("b", Value::Int(6)), ("a", Value::Int(5))];
    let both = Object::new(it, true, both).unwrap();
    assert_eq!(words(&both), [2, 1, 5, 6]);
    assert_eq!(both.get("bit"), Some(&Value::True));

    let misfit = Object::new(it, true, vec![("a", Value::Int(5))]).unwrap_err();
    assert_eq!(
        misfit.to_string(),
        "b is missing: it is of type int, and goes with a, which is there"
    );
    let misfit = Object::new(it, true, vec![("bit", Value::True)]).unwrap_err();
    assert_eq!(
        misfit.to_string(),
        "a is missing: it is of type int, and goes with bit, which is there"
    );
}

#[test]
fn bits_that_no_field_stands_for_are_kept() {
    let catalog = catalog();
    let it = catalog.constructor("optional").unwrap();
    let given = Object::new(
        it,
        true,
        vec![("flags", Value::Flags(1 << 31)), ("number", Value::Int(7))],
    );
    let given = given.unwrap();
    assert_eq!(words(&given), [1, 0x8000_0001, 7]);
    let read = catalog.read_all(&given.to_bytes(), it.result);
    assert_eq!(read, Ok(Value::Object(given)));
}

#[test]
fn a_word_that_is_itself_conditional_is_there_if_it_has_bits() {
    let catalog = catalog();
    let it = catalog.constructor("twofold").unwrap();
    let none = Object::new(it, true, Vec::new()).unwrap();
    assert_eq!(words(&none), [3, 0]);
    let deep = Object::new(it, true, vec![("deep", Value::Int(9))]).unwrap();
    assert_eq!(words(&deep), [3, 1 << 4, 1 << 5, 9]);
    for object in [none, deep] {
        let read = catalog.read_all(&object.to_bytes(), it.result);
        assert_eq!(read, Ok(Value::Object(object)));
    }
}

#[test]
fn bare_objects_and_vectors_have_no_ids() {
    let catalog = catalog();
    let it = catalog.constructor("holder").unwrap();
    let inner = |name| {
        let inner = catalog.constructor(name).unwrap();
        Value::Object(Object::new(inner, false, vec![("x", Value::Int(4))]).unwrap())
    };
    let elements = vec![inner("point"), inner("point")];
    let vector = Value::Vector {
        boxed: false,
        elements,
    };
    let holder = Object::new(it, true, vec![("points", vector), ("only", inner("only"))]).unwrap();
    assert_eq!(words(&holder), [4, 2, 4, 4, 4]);
    let read = catalog.read_all(&holder.to_bytes(), it.result);
    assert_eq!(read, Ok(Value::Object(holder)));
}

#[test]
fn what_does_not_fit_its_declaration_is_named() {
    let catalog = catalog();
    let point = catalog.constructor("point").unwrap();
    let wrong = |fields| Object::new(point, true, fields).unwrap_err().to_string();
    assert_eq!(wrong(Vec::new()), "x is missing: it is of type int");
    assert_eq!(wrong(vec![("x", Value::Long(1))]), "x is not of type int");
    assert_eq!(
        wrong(vec![("x", Value::Int(1)), ("x", Value::Int(1))]),
        "x is there twice"
    );
    assert_eq!(
        wrong(vec![("x", Value::Int(1)), ("y", Value::Int(1))]),
        "there is no field y"
    );

    let boxed = Object::new(point, true, vec![("x", Value::Int(1))]).unwrap();
    let holder = catalog.constructor("holder").unwrap();
    let misfit = Object::new(holder, true, vec![("only", Value::Object(boxed))]).unwrap_err();
    assert_eq!(
        misfit.to_string(),
        "only is not of type %Only",
        "what is there comes before what is missing"
    );
    let call = Object::new(catalog.method("get").unwrap(), true, Vec::new()).unwrap();
    let any = catalog.constructor("any").unwrap();
    assert!(Object::new(any, true, vec![("it", Value::Object(call.clone()))]).is_ok());
    let wrap = catalog.method("wrap").unwrap();
    assert!(Object::new(wrap, true, vec![("query", Value::Object(call))]).is_ok());
    let boxed = Object::new(point, true, vec![("x", Value::Int(1))]).unwrap();
    assert!(Object::new(any, true, vec![("it", Value::Object(boxed.clone()))]).is_ok());
    let misfit = Object::new(wrap, true, vec![("query", Value::Object(boxed))]).unwrap_err();
    assert!(
        matches!(misfit.wrong, Wrong::Kind(_)),
        "a constructor is no method"
    );
}

#[test]
fn the_answer_of_a_wrapper_is_that_of_what_it_wraps() {
    let catalog = catalog();
    let call = Object::new(catalog.method("get").unwrap(), true, Vec::new()).unwrap();
    let wrap = catalog.method("wrap").unwrap();
    let once = Object::new(wrap, true, vec![("query", Value::Object(call))]).unwrap();
    let twice = Object::new(wrap, true, vec![("query", Value::Object(once))]).unwrap();
    assert_eq!(twice.answer().unwrap().text(), "Vector<int>");
    let point = catalog.constructor("point").unwrap();
    let point = Object::new(point, true, vec![("x", Value::Int(1))]).unwrap();
    assert_eq!(point.answer(), None);
}

fn catalog() -> Catalog<'static> {
    Catalog::new(schema::parse(SCHEMA).unwrap())
}

fn words(object: &Object<'_>) -> Vec<u32> {
    let bytes = object.to_bytes();
    let words = bytes.chunks_exact(4);
    words
        .map(|it| u32::from_le_bytes(it.try_into().unwrap()))
        .collect()
}

const SCHEMA: &str = "
optional#1 flags:# number:flags.0?int bit:flags.1?true = Optional;
shared#2 flags:# bit:flags.0?true a:flags.0?int b:flags.0?int = Shared;
twofold#3 flags:# more:flags.4?# deep:more.5?int = Twofold;
holder#4 points:vector<point> only:%Only = Holder;
point#5 x:int = Point;
only#6 x:int = Only;
any#7 it:Object = Any;
---functions---
get#8 = Vector<int>;
wrap#9 {X:Type} query:!X = X;
";
