//! Properties that hold for any bytes.

use allocation_counter::measure;
use heliogram_tl::api::{
    Config, DcOption, InitConnection, JsonArray, JsonObject, JsonValue, Reaction,
};
use heliogram_tl::mtproto::{help::ConfigSimple, *};
use heliogram_tl::{Deserialize, Serialize, Vector, gzip, schema};
use proptest::collection::vec;
use proptest::prelude::*;

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused_without_a_panic_or_an_allocation(input in bytes()) {
        let allocated = measure(|| {
            for read in READERS {
                read(&input);
            }
        });
        prop_assert_eq!(allocated.count_total, 0);
    }

    #[test]
    fn any_object_with_some_bytes_changed_is_read_or_refused(changes in vec(any::<(usize, u8)>(), 0..4)) {
        let mut input = config();
        for (at, byte) in changes {
            let at = at % input.len();
            input[at] = byte;
        }
        if let Ok(config) = Config::from_bytes(&input) {
            // Reading is lenient about forms that are never written; what was understood stays the same.
            let rewritten = config.to_bytes();
            prop_assert_eq!(Config::from_bytes(&rewritten), Ok(config));
        }
    }

    #[test]
    fn strings_come_back_as_they_were(value in vec(any::<u8>(), 0..600)) {
        let encoded = value.as_slice().to_bytes();
        prop_assert!(encoded.len().is_multiple_of(4));
        prop_assert_eq!(<&[u8]>::from_bytes(&encoded), Ok(value.as_slice()));
    }

    #[test]
    fn vectors_come_back_as_they_were(ids in vec(any::<i64>(), 0..50), names in vec(vec(any::<u8>(), 0..9), 0..50)) {
        let encoded = Vector::from(ids.as_slice()).to_bytes();
        prop_assert_eq!(Vector::from_bytes(&encoded), Ok(Vector::from(ids.as_slice())));
        let names = names.iter().map(Vec::as_slice).collect::<Vec<_>>();
        let encoded = Vector::from(names.as_slice()).to_bytes();
        prop_assert_eq!(Vector::from_bytes(&encoded), Ok(Vector::from(names.as_slice())));
    }

    #[test]
    fn unpacking_any_bytes_stays_within_its_bound(mut input in vec(any::<u8>(), 2..200), zlib in any::<bool>()) {
        input[..2].copy_from_slice(if zlib { &[0x78, 0x9c] } else { &[0x1f, 0x8b] });
        if let Ok(object) = gzip::unpack(&input, 1000) {
            prop_assert!(object.len() <= 1000);
        }
    }

    #[test]
    fn packing_is_undone_by_unpacking(object in vec(any::<u8>(), 0..3000)) {
        prop_assert_eq!(gzip::unpack(&gzip::pack(&object), 3000), Ok(object));
    }

    #[test]
    fn any_text_is_parsed_as_a_schema_or_refused(text in "[a-zA-Z0-9#:?.!<>{}=;/* \n%_-]{0,120}") {
        if let Ok(parsed) = schema::parse(&text) {
            parsed.declarations.iter().for_each(|declaration| _ = declaration.checksum());
        }
    }
}

/// Any bytes, mostly after an id that somebody knows.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let ids = vec![
        ResPq::ID,
        MsgContainer::ID,
        MsgsAck::ID,
        FutureSalts::ID,
        Config::ID,
        InitConnection::ID,
        ConfigSimple::ID,
        JsonArray::ID,
        JsonObject::ID,
        0x1cb5_c415,
        PQInnerDataTempDc::ID,
    ];
    (proptest::sample::select(ids), vec(any::<u8>(), 0..200)).prop_map(|(id, mut tail)| {
        let mut bytes = id.to_le_bytes().to_vec();
        // Small counts and lengths lead further in than random ones.
        tail.iter_mut()
            .skip(1)
            .step_by(2)
            .for_each(|byte| *byte = 0);
        bytes.append(&mut tail);
        bytes
    })
}

fn config() -> Vec<u8> {
    let options = [DcOption {
        id: 2,
        ip_address: b"127.0.0.1",
        port: 443,
        ..DcOption::default()
    }; 3];
    let config = Config {
        dc_options: Vector::from(&options),
        me_url_prefix: b"https://t.me/",
        reactions_default: Some(Reaction::ReactionEmoji(heliogram_tl::api::ReactionEmoji {
            emoticon: b"+",
        })),
        ..Config::default()
    };
    config.to_bytes()
}

/// One reader per shape: fixed fields, strings, flags, vectors of each kind, enums that hold themselves, open ends.
const READERS: [fn(&[u8]); 11] = [
    |input| _ = ResPq::from_bytes(input),
    |input| _ = PQInnerDataTempDc::from_bytes(input),
    |input| _ = AnyPQInnerData::from_bytes(input),
    |input| _ = InitConnection::from_bytes(input),
    |input| _ = Config::from_bytes(input),
    |input| _ = Vector::<&[u8]>::from_bytes(input),
    |input| _ = ConfigSimple::from_bytes(input),
    |input| {
        if let Ok(value) = FutureSalts::from_bytes(input) {
            assert_eq!(value.salts.iter().count(), value.salts.len());
        }
    },
    |input| {
        if let Ok(value) = MsgContainer::from_bytes(input) {
            assert_eq!(value.messages.iter().count(), value.messages.len());
        }
    },
    |input| {
        if let Ok(value) = MsgsAck::from_bytes(input) {
            assert_eq!(value.msg_ids.iter().count(), value.msg_ids.len());
        }
    },
    |input| {
        if let Ok(JsonValue::JsonArray(array)) = JsonValue::from_bytes(input) {
            assert_eq!(array.value.iter().count(), array.value.len());
        }
    },
];
