//! What a peer may claim, and how little it is believed.

use allocation_counter::measure;
use heliogram_tl::api::{JsonArray, JsonNull, JsonValue};
use heliogram_tl::limits::{DEPTH_MAX, MSG_IDS_MAX, VECTOR_LEN_MAX};
use heliogram_tl::mtproto::{AccessPointRule, MsgContainer, MsgsAck, MsgsStateReq};
use heliogram_tl::{Deserialize, Error, Limits, Reader, Serialize, Vector};

#[test]
fn a_vector_that_claims_2_31_elements_is_refused_without_allocating() {
    let allocated = measure(|| {
        for count in [i32::MAX, -1, i32::MIN] {
            let claims = vector_of(count);
            let claims = claims.as_slice();
            assert_eq!(Vector::<i64>::from_bytes(claims), Err(Error::VectorTooLong));
            assert_eq!(
                Vector::<&[u8]>::from_bytes(claims),
                Err(Error::VectorTooLong)
            );
            assert_eq!(
                Vector::<JsonValue<'_>>::from_bytes(claims),
                Err(Error::VectorTooLong)
            );
        }
    });
    assert_eq!(allocated.count_total, 0);
}

#[test]
fn a_vector_that_claims_more_than_is_there_is_refused_before_its_elements_are_read() {
    let mut two_longs = vector_of(3).to_vec();
    two_longs.extend([0; 16]);
    assert_eq!(
        Vector::<i64>::from_bytes(&two_longs),
        Err(Error::UnexpectedEnd)
    );
    assert_eq!(
        Vector::<JsonValue<'_>>::from_bytes(&two_longs[..16]),
        Err(Error::UnexpectedEnd),
        "not what its first element gives"
    );
    two_longs[4] = 2;
    assert_eq!(
        Vector::<i64>::from_bytes(&two_longs).map(|vector| vector.len()),
        Ok(2)
    );
}

#[test]
fn a_bare_vector_that_claims_2_31_elements_is_refused() {
    let claims = [0x73f1_f8dc_u32.to_le_bytes(), i32::MAX.to_le_bytes()].concat();
    assert_eq!(MsgContainer::from_bytes(&claims), Err(Error::VectorTooLong));
    let rule = [
        0x4679_b65f_u32.to_le_bytes(),
        [0; 4],
        [2, 0, 0, 0],
        i32::MAX.to_le_bytes(),
    ]
    .concat();
    assert_eq!(
        AccessPointRule::from_bytes(&rule),
        Err(Error::VectorTooLong)
    );
}

#[test]
fn a_vector_of_2_20_elements_is_read_and_of_one_more_is_not() {
    let elements = vec![0_i32; VECTOR_LEN_MAX + 1];
    let longest = Vector::from(&elements[1..]).to_bytes();
    assert!(Vector::<i32>::from_bytes(&longest).is_ok());
    let longer = Vector::from(elements.as_slice()).to_bytes();
    assert_eq!(
        Vector::<i32>::from_bytes(&longer),
        Err(Error::VectorTooLong)
    );
}

#[test]
fn an_ack_of_8192_ids_is_read_and_of_8193_is_not() {
    let ids = vec![4_i64; MSG_IDS_MAX + 1];
    let (fits, exceeds) = (Vector::from(&ids[1..]), Vector::from(ids.as_slice()));
    assert!(MsgsAck::from_bytes(&MsgsAck { msg_ids: fits }.to_bytes()).is_ok());
    let ack = MsgsAck { msg_ids: exceeds }.to_bytes();
    assert_eq!(MsgsAck::from_bytes(&ack), Err(Error::VectorTooLong));
    let request = MsgsStateReq { msg_ids: exceeds }.to_bytes();
    assert_eq!(
        MsgsStateReq::from_bytes(&request),
        Err(Error::VectorTooLong)
    );
}

#[test]
fn objects_32_deep_are_read_and_33_deep_are_not() {
    let deepest = nested_arrays(DEPTH_MAX);
    let value = JsonValue::from_bytes(&deepest).unwrap();
    assert_eq!(depth_of(&value), DEPTH_MAX);
    let deeper = nested_arrays(DEPTH_MAX + 1);
    assert_eq!(JsonValue::from_bytes(&deeper), Err(Error::TooDeep));
}

#[test]
fn siblings_do_not_add_up_to_depth() {
    let leaves = [JsonValue::JsonNull(JsonNull); 1000];
    let array = JsonArray {
        value: Vector::from(&leaves),
    }
    .to_bytes();
    assert!(JsonArray::from_bytes(&array).is_ok());
}

#[test]
fn a_hundred_thousand_levels_do_not_overflow_the_stack() {
    let deep = nested_arrays(100_000);
    assert_eq!(JsonValue::from_bytes(&deep), Err(Error::TooDeep));
}

#[test]
fn a_reader_holds_to_limits_of_its_own() {
    let limits = Limits {
        bytes_max: 12,
        depth_max: 1,
        vector_len_max: 1,
    };
    let one = Vector::from(&[7_i32]).to_bytes();
    let mut r = Reader::with_limits(&one, limits).unwrap();
    assert_eq!(Vector::read(&mut r), Ok(Vector::from(&[7_i32])));

    let two = Vector::from(&[7_i32, 8]).to_bytes();
    assert!(matches!(
        Reader::with_limits(&two, limits),
        Err(Error::TooLong)
    ));
    let mut r = Reader::with_limits(
        &two,
        Limits {
            bytes_max: 16,
            ..limits
        },
    )
    .unwrap();
    assert_eq!(Vector::<i32>::read(&mut r), Err(Error::VectorTooLong));

    let mut r = Reader::with_limits(&one, limits).unwrap();
    let too_deep = r.nested(|r| r.nested(Reader::u32));
    assert_eq!(too_deep, Err(Error::TooDeep));
}

#[test]
fn a_string_that_claims_2_24_bytes_is_refused_without_allocating() {
    let allocated = measure(|| {
        assert_eq!(
            <&[u8]>::from_bytes(&[0xfe, 0xff, 0xff, 0xff]),
            Err(Error::UnexpectedEnd)
        );
        assert_eq!(
            <&[u8]>::from_bytes(&[0xfd, 0xff, 0xff, 0xff]),
            Err(Error::UnexpectedEnd)
        );
        assert_eq!(
            <&[u8]>::from_bytes(&[0xff, 0, 0, 0]),
            Err(Error::BadLengthByte)
        );
    });
    assert_eq!(allocated.count_total, 0);
}

fn vector_of(count: i32) -> [u8; 8] {
    let mut claims = [0x15, 0xc4, 0xb5, 0x1c, 0, 0, 0, 0];
    claims[4..].copy_from_slice(&count.to_le_bytes());
    claims
}

/// Makes arrays in arrays; the innermost is empty.
fn nested_arrays(depth: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    for level in 1..=depth {
        let count = i32::from(level < depth);
        bytes.extend(JsonArray::ID.to_le_bytes());
        bytes.extend(vector_of(count));
    }
    bytes
}

fn depth_of(value: &JsonValue<'_>) -> u32 {
    let JsonValue::JsonArray(array) = value else {
        return 1;
    };
    let depths = array.value.iter().map(|inner| depth_of(&inner));
    1 + depths.max().unwrap_or(0)
}
