//! The table of layer 222 and the types of `schema/api.tl`: `tl_layer222.json`, and the checksum of every row.

use std::collections::BTreeMap;

use heliogram_tl::api::{auth, help, updates, *};
use heliogram_tl::layer::{self, Combinator};
use heliogram_tl::schema::{self, Kind, Role, Type};
use heliogram_tl::{Deserialize, Error, Reader, Serialize, Vector, peek_id};

use crate::service::rewrite;
use crate::vectors::{bytes, list, parse, text};

#[test]
fn every_id_is_the_checksum_of_its_declaration() {
    let mut checked = 0;
    for row in layer::constructors().iter().chain(layer::methods()) {
        let (name, rest) = row.declaration().split_once(' ').unwrap();
        let text = format!("{name}#{:x} {rest};", row.id());
        let schema = schema::parse(&text).unwrap();
        assert_eq!(schema.declarations[0].checksum(), row.id(), "{text}");
        checked += 1;
    }
    // The layer has 2,295 ids; `vector` is the codec's own.
    assert_eq!(checked, 2294);
}

#[test]
fn every_row_is_found_by_its_id_and_by_its_name() {
    for row in layer::constructors() {
        assert_eq!(layer::constructor(row.id()), Some(row));
        assert_eq!(layer::constructor_by_name(row.name()), Some(row));
    }
    for row in layer::methods() {
        assert_eq!(layer::method(row.id()), Some(row));
        assert_eq!(layer::method_by_name(row.name()), Some(row));
    }
}

#[test]
fn methods_and_constructors_are_told_apart() {
    let method = layer::method_by_name("help.getConfig").unwrap();
    assert_eq!(
        (method.id(), method.result().text()),
        (help::GetConfig::ID, "Config")
    );
    assert_eq!(layer::constructor(method.id()), None);
    let config = layer::constructor_by_name("config").unwrap();
    assert_eq!((config.id(), config.fields().count()), (Config::ID, 48));
    assert_eq!(layer::method(config.id()), None);
    assert_eq!(layer::method(0), None);
    assert_eq!(layer::method_by_name("help.getconfig"), None);
    assert_eq!(format!("{method:?}"), "help.getConfig#c4f9186b");
    assert_eq!(layer::LAYER, 222);
}

#[test]
fn the_schema_file_says_the_same_as_the_table() {
    let schema = schema::parse(API).unwrap();
    for declaration in &schema.declarations {
        let row = match declaration.role {
            Role::Method => layer::method_by_name(declaration.name),
            Role::Builtin | Role::Constructor => layer::constructor_by_name(declaration.name),
        };
        let row = row.unwrap_or_else(|| panic!("{} is not of this layer", declaration.name));
        assert_eq!(declaration.id, Some(row.id()));
        assert_eq!(row.fields().collect::<Vec<_>>(), declaration.fields);
        assert_eq!(row.result(), declaration.result);
    }
}

#[test]
fn every_sample_is_as_long_as_the_table_says() {
    let vectors = parse(LAYER_222);
    for case in list(&vectors, "samples") {
        let sample = bytes(case, "hex");
        let mut r = Reader::new(&sample);
        assert_eq!(walk_boxed(&mut r), Ok(()), "{}", text(case, "name"));
        assert_eq!(r.finish(), Ok(()), "{}", text(case, "name"));
        let cut = &sample[..sample.len() - 1];
        assert_eq!(
            walk_boxed(&mut Reader::new(cut)),
            Err(Error::UnexpectedEnd),
            "{}",
            text(case, "name")
        );
    }
}

#[test]
fn every_sample_that_has_a_type_is_written_back_the_same() {
    let vectors = parse(LAYER_222);
    let mut rewritten = 0;
    for case in list(&vectors, "samples") {
        let sample = bytes(case, "hex");
        match rewrite_api(&sample) {
            // These refer to types that only the whole layer has.
            Err(Error::UnexpectedId { id }) if name(id).is_none() => {}
            result => {
                assert_eq!(result, Ok(sample), "{}", text(case, "name"));
                rewritten += 1;
            }
        }
    }
    assert_eq!(rewritten, 36);
}

#[test]
fn optional_fields_are_in_the_order_of_the_schema_not_of_their_bits() {
    let method = updates::GetDifference {
        pts: 1,
        pts_limit: Some(100),
        pts_total_limit: Some(1000),
        date: 2,
        qts: 3,
        qts_limit: Some(50),
    };
    assert_eq!(method.to_bytes(), sample("updates.getDifference all flags"));
}

#[test]
fn a_flag_without_bytes_is_its_bit() {
    let encoded = sample("dcOption 2 2001:67c:4e8:f002::a");
    let option = DcOption::from_bytes(&encoded).unwrap();
    assert!(option.ipv6 && !option.r#static && !option.media_only);
    assert_eq!(
        (option.id, option.port, option.ip_address),
        (2, 443, b"2001:67c:4e8:f002::a".as_slice())
    );
}

#[test]
fn fields_that_share_a_bit_are_written_together() {
    let config = Config {
        lang_pack_version: Some(7),
        ..Config::default()
    };
    let encoded = config.to_bytes();
    let read = Config::from_bytes(&encoded).unwrap();
    assert_eq!(read.lang_pack_version, Some(7));
    assert_eq!(read.suggested_lang_code, Some(b"".as_slice()));
    assert_eq!(read.base_lang_pack_version, Some(0));
    assert_eq!(read.tmp_sessions, None);
}

#[test]
fn a_query_within_a_wrapper_is_left_as_it_is() {
    let encoded = sample("invokeWithLayer(222, initConnection(help.getConfig))");
    let outer = InvokeWithLayer::from_bytes(&encoded).unwrap();
    let inner = InitConnection::from_bytes(outer.query).unwrap();
    assert_eq!(
        (outer.layer, inner.query),
        (222, help::GetConfig.to_bytes().as_slice())
    );
}

#[test]
fn a_method_may_answer_with_a_truth_value() {
    let keys = [1, 2];
    let method = auth::DropTempAuthKeys {
        except_auth_keys: Vector::from(&keys),
    };
    assert_eq!(method.to_bytes(), sample("auth.dropTempAuthKeys"));
}

/// Reads past an object, by nothing but the table.
fn walk_boxed(r: &mut Reader<'_>) -> Result<(), Error> {
    let id = r.peek_id().ok_or(Error::UnexpectedEnd)?;
    let row = layer::constructor(id)
        .or_else(|| layer::method(id))
        .ok_or(Error::UnexpectedId { id })?;
    r.expect_id(id)?;
    walk_fields(row, r)
}

fn walk_fields(row: &Combinator, r: &mut Reader<'_>) -> Result<(), Error> {
    let mut flags = BTreeMap::new();
    for field in row.fields() {
        let is_absent =
            |condition: schema::Condition<'_>| flags[condition.flags] & 1 << condition.bit == 0;
        if field.is_flag() || field.condition.is_some_and(is_absent) {
            continue;
        }
        if field.ty.kind() == Kind::Flags {
            flags.insert(field.name, r.u32()?);
        } else {
            walk(field.ty, r)?;
        }
    }
    Ok(())
}

fn walk(ty: Type<'_>, r: &mut Reader<'_>) -> Result<(), Error> {
    match ty.kind() {
        Kind::Named { name: "int", .. } | Kind::Flags => r.i32().map(drop),
        Kind::Named {
            name: "long" | "double",
            ..
        } => r.i64().map(drop),
        Kind::Named {
            name: "string" | "bytes",
            ..
        } => r.bytes().map(drop),
        Kind::Named { name: "int128", .. } => r.int128().map(drop),
        Kind::Named { name: "int256", .. } => r.int256().map(drop),
        Kind::Named { boxed: true, .. } | Kind::Method(_) => walk_boxed(r),
        Kind::Named { name, boxed: false } => panic!("{name} is bare"),
        Kind::Vector { element, boxed } => {
            assert!(boxed);
            r.expect_id(0x1cb5_c415)?;
            (0..r.i32()?).try_for_each(|_| walk(element, r))
        }
    }
}

fn rewrite_api(sample: &[u8]) -> Result<Vec<u8>, Error> {
    rewrite!(
        sample,
        help::GetConfig,
        InitConnection,
        InvokeWithLayer,
        InvokeAfterMsg,
        InvokeAfterMsgs,
        InvokeWithoutUpdates,
        InvokeWithMessagesRange,
        InvokeWithTakeout,
        InvokeWithBusinessConnection,
        auth::ExportAuthorization,
        auth::ImportAuthorization,
        auth::DropTempAuthKeys,
        updates::GetState,
        updates::GetDifference,
        updates::State,
        updates::DifferenceEmpty,
        updates::DifferenceTooLong,
        updates::ChannelDifferenceEmpty,
        UpdatesTooLong,
        UpdateChannelTooLong,
        UpdateDeleteMessages,
        DcOption,
        UpdateDcOptions,
        Config,
        NearestDc,
        auth::ExportedAuthorization
    )
}

fn sample(name: &str) -> Vec<u8> {
    let vectors = parse(LAYER_222);
    let found = list(&vectors, "samples")
        .iter()
        .find(|case| text(case, "name") == name);
    let sample = bytes(found.unwrap(), "hex");
    assert!(peek_id(&sample).is_some());
    sample
}

const API: &str = include_str!("../../../../schema/api.tl");
const LAYER_222: &str = include_str!("../../../../testdata/vectors/tl_layer222.json");
