//! What a catalog finds.

use heliogram_tl::dynamic::Catalog;
use heliogram_tl::{layer, schema};

#[test]
fn the_layer_is_there_with_every_row_and_reads_as_its_text() {
    let catalog = Catalog::of_layer();
    for row in layer::constructors().iter().chain(layer::methods()) {
        let declaration = catalog.by_id(row.id()).unwrap();
        let (name, rest) = row.declaration().split_once(' ').unwrap();
        let text = format!("{name}#{:x} {rest}", row.id());
        assert_eq!(declaration.to_string(), text);
    }
    let peers = catalog.constructors_of("InputPeer").count();
    assert_eq!(peers, 7);
    assert_eq!(catalog.constructors_of("NoSuchType").count(), 0);
}

#[test]
fn methods_and_constructors_may_have_the_same_name() {
    let text = "wait#1 = Wait; ---functions--- wait#2 = Wait;";
    let catalog = Catalog::new(schema::parse(text).unwrap());
    assert_eq!(catalog.constructor("wait").unwrap().id, Some(1));
    assert_eq!(catalog.method("wait").unwrap().id, Some(2));
}

#[test]
fn a_declaration_without_an_id_has_its_checksum_and_a_built_in_one_is_left_out() {
    let text = "int ? = Int; vector#1cb5c415 {t:Type} # [ t ] = Vector t; boolTrue = Bool;";
    let catalog = Catalog::new(schema::parse(text).unwrap());
    assert!(catalog.constructor("int").is_none());
    assert!(catalog.by_id(0x1cb5_c415).is_none());
    assert_eq!(catalog.by_id(0x9972_75b5).unwrap().name, "boolTrue");
}

#[test]
fn of_two_of_one_name_the_first_has_it_and_both_have_their_ids() {
    let catalog = Catalog::new(schema::parse("a#1 = A; a#2 b:int = A;").unwrap());
    assert_eq!(catalog.constructor("a").unwrap().id, Some(1));
    assert_eq!(catalog.by_id(2).unwrap().fields.len(), 1);
    assert!(catalog.bare("A").is_none(), "which one is not said");
}
