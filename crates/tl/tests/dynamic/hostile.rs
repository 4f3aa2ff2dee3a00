//! What hostile bytes may claim.

use heliogram_tl::dynamic::{Catalog, Value};
use heliogram_tl::limits::{DEPTH_MAX, VALUES_MAX};
use heliogram_tl::schema::{self, Type};
use heliogram_tl::{Error, Reader, Serialize};
use proptest::collection::vec;
use proptest::prelude::*;

proptest! {
    #[test]
    fn any_bytes_after_any_id_are_refused_or_read_and_written_back(
        row in 0_usize..2294,
        tail in vec(prop_oneof![3 => Just(0_u8), 1 => 1_u8..6, 1 => any::<u8>()], 0..300),
    ) {
        let catalog = Catalog::of_layer();
        let mut all = catalog.constructors().chain(catalog.methods());
        let declaration = all.nth(row).unwrap();
        let mut bytes = declaration.id_or_checksum().to_le_bytes().to_vec();
        bytes.extend(&tail);
        let mut r = Reader::new(&bytes);
        if let Ok(object) = catalog.read_any(&mut r) {
            // Readers are lenient about padding; what was understood stays the same.
            let written = object.to_bytes();
            let again = catalog.read_any(&mut Reader::new(&written)).unwrap();
            prop_assert_eq!(again.to_bytes(), written);
        }
    }
}

#[test]
fn as_many_values_as_may_be_are_read_and_not_one_more() {
    let catalog = Catalog::of_layer();
    // The vector is a value, too.
    let ints = vector_of(VALUES_MAX - 1);
    let Ok(Value::Vector { elements, .. }) = catalog.read_all(&ints, ints_type()) else {
        panic!("refused");
    };
    assert_eq!(elements.len(), VALUES_MAX - 1);
    let one_more = vector_of(VALUES_MAX);
    assert_eq!(
        catalog.read_all(&one_more, ints_type()),
        Err(Error::TooLong)
    );
}

#[test]
fn a_count_that_is_not_there_is_not_believed() {
    let catalog = Catalog::of_layer();
    let read = |count: i32| {
        let claim = [0x1cb5_c415_u32.to_le_bytes(), count.to_le_bytes()].concat();
        catalog.read_all(&claim, ints_type())
    };
    assert_eq!(read(-1), Err(Error::VectorTooLong));
    assert_eq!(read(i32::MAX), Err(Error::VectorTooLong));
    assert_eq!(read(1 << 20), Err(Error::UnexpectedEnd));
    assert!(read(0).is_ok());
}

#[test]
fn elements_without_bytes_count_as_values() {
    let schema = schema::parse("empty#1 = Empty; all#2 them:vector<empty> = All;").unwrap();
    let catalog = Catalog::new(schema);
    let read = |count: usize| {
        let count = u32::try_from(count).unwrap();
        let bytes = [2_u32.to_le_bytes(), count.to_le_bytes()].concat();
        catalog.read_all(&bytes, ty(&catalog, "all")).map(drop)
    };
    // The object and its vector are two.
    assert_eq!(read(VALUES_MAX - 2), Ok(()));
    assert_eq!(read(VALUES_MAX - 1), Err(Error::TooLong));
}

#[test]
fn objects_are_read_as_deep_as_may_be_and_no_deeper() {
    let schema = schema::parse("leaf#1 = Tree; node#2 in:Tree = Tree;").unwrap();
    let catalog = Catalog::new(schema);
    let read = |depth: u32| {
        let mut bytes = 2_u32
            .to_le_bytes()
            .repeat(usize::try_from(depth - 1).unwrap());
        bytes.extend(1_u32.to_le_bytes());
        catalog.read_all(&bytes, ty(&catalog, "leaf")).map(drop)
    };
    assert_eq!(read(DEPTH_MAX), Ok(()));
    assert_eq!(read(DEPTH_MAX + 1), Err(Error::TooDeep));
}

#[test]
fn a_type_that_holds_itself_bare_ends_at_the_depth_that_may_be() {
    let catalog = Catalog::new(schema::parse("loop#1 in:%Loop = Loop;").unwrap());
    let bytes = 1_u32.to_le_bytes();
    let read = catalog.read_all(&bytes, ty(&catalog, "loop"));
    assert_eq!(read, Err(Error::TooDeep));
}

#[test]
fn an_object_of_another_type_is_refused_and_so_is_a_method() {
    let catalog = Catalog::of_layer();
    let config = ty(&catalog, "config");
    let nearest = catalog.constructor("nearestDc").unwrap().id_or_checksum();
    let method = catalog.method("help.getConfig").unwrap().id_or_checksum();
    for id in [nearest, method, 0] {
        let read = catalog.read_all(&id.to_le_bytes(), config);
        assert_eq!(read, Err(Error::UnexpectedId { id }));
    }
}

fn vector_of(count: usize) -> Vec<u8> {
    let mut bytes = 0x1cb5_c415_u32.to_le_bytes().to_vec();
    bytes.extend(u32::try_from(count).unwrap().to_le_bytes());
    bytes.resize(8 + 4 * count, 0);
    bytes
}

fn ints_type() -> Type<'static> {
    let declaration = schema::parse("a them:Vector<int> = A;").unwrap();
    declaration.declarations[0].fields[0].ty
}

fn ty<'c>(catalog: &'c Catalog<'_>, constructor: &str) -> Type<'c> {
    catalog.constructor(constructor).unwrap().result
}
