//! Numbers, strings, truth values and vectors: `tl_primitives.json`, and the edges between their forms.

use heliogram_tl::limits::STRING_BYTES_MAX;
use heliogram_tl::mtproto::MsgsAck;
use heliogram_tl::{Bare, Deserialize, Error, Reader, Serialize, Vector, Writer};

use crate::vectors::{bytes, hex, list, number, parse, text};

#[test]
fn strings_of_every_length_are_read_and_written_as_others_do() {
    let vectors = parse(PRIMITIVES);
    let mut compared = 0;
    for case in list(&vectors, "bytes") {
        if case.get("value").is_none() {
            continue;
        }
        let (value, encoded) = (bytes(case, "value"), bytes(case, "encoded"));
        assert_eq!(value.as_slice().to_bytes(), encoded);
        assert_eq!(<&[u8]>::from_bytes(&encoded), Ok(value.as_slice()));
        compared += 1;
    }
    assert!(compared >= 260, "{compared}");
}

#[test]
fn a_string_of_253_bytes_has_a_short_header_and_of_254_a_long_one() {
    let (short, long) = ([7; 253], [7; 254]);
    assert_eq!(short.as_slice().to_bytes()[..2], [253, 7]);
    assert_eq!(long.as_slice().to_bytes()[..5], [0xfe, 254, 0, 0, 7]);
    assert_eq!(short.as_slice().to_bytes().len(), 256);
    assert_eq!(long.as_slice().to_bytes().len(), 260);
}

#[test]
fn a_string_of_2_24_minus_1_bytes_can_be_written_and_of_2_24_can_not() {
    let longest = vec![0; STRING_BYTES_MAX];
    let mut w = Writer::new();
    w.bytes(&longest);
    let written = w.finish().unwrap();
    assert_eq!(<&[u8]>::from_bytes(&written), Ok(longest.as_slice()));

    let mut w = Writer::new();
    w.bytes(&vec![0; STRING_BYTES_MAX + 1]);
    assert_eq!(w.finish(), Err(Error::TooLong));
}

#[test]
fn numbers_are_read_and_written_as_others_do() {
    let vectors = parse(PRIMITIVES);
    for case in list(&vectors["numbers"], "int") {
        round_trip(
            i32::try_from(number(&case["v"])).unwrap(),
            &bytes(case, "hex"),
        );
    }
    for case in list(&vectors["numbers"], "long") {
        round_trip(number(&case["v"]), &bytes(case, "hex"));
    }
    for case in list(&vectors["numbers"], "double") {
        round_trip(case["v"].as_f64().unwrap(), &bytes(case, "hex"));
    }
    for case in list(&vectors["numbers"], "bool") {
        round_trip(case["v"].as_bool().unwrap(), &bytes(case, "hex"));
    }
    for case in list(&vectors["numbers"], "int128") {
        let encoded = bytes(case, "hex");
        round_trip(<[u8; 16]>::try_from(encoded.as_slice()).unwrap(), &encoded);
    }
    let int256 = core::array::from_fn::<u8, 32, _>(|index| u8::try_from(index).unwrap());
    round_trip(int256, &int256);
}

#[test]
fn a_vector_written_from_a_slice_equals_one_read_from_the_wire() {
    let vectors = parse(PRIMITIVES);
    for case in list(&vectors, "vectors") {
        if case.get("hex").is_none() {
            continue;
        }
        let encoded = bytes(case, "hex");
        let ids = list(case, "ids").iter().map(number).collect::<Vec<_>>();
        let written = MsgsAck {
            msg_ids: ids.as_slice().into(),
        };
        let read = MsgsAck::from_bytes(&encoded).unwrap();
        assert_eq!(written.to_bytes(), encoded);
        assert_eq!(read.to_bytes(), encoded);
        assert_eq!(read, written);
        assert_eq!(read.msg_ids.len(), ids.len());
        assert_eq!(read.msg_ids.iter().len(), ids.len());
        assert_eq!(read.msg_ids.iter().collect::<Vec<_>>(), ids);
    }
}

#[test]
fn a_vector_of_varying_sizes_gives_its_elements_one_by_one() {
    let names = [b"a".as_slice(), b"", b"four"];
    let encoded = Vector::from(&names).to_bytes();
    let read = Vector::<&[u8]>::from_bytes(&encoded).unwrap();
    assert_eq!(read.iter().collect::<Vec<_>>(), names);
    assert_eq!(read, Vector::from(&names));
    assert!(Vector::<i64>::default().is_empty());
}

#[test]
fn a_vector_of_vectors_is_read() {
    let rows = [Vector::from(&[1_i64, 2]), Vector::from(&[3_i64])];
    let encoded = Vector::from(&rows).to_bytes();
    let read = Vector::<Vector<'_, i64>>::from_bytes(&encoded).unwrap();
    let sums = read.iter().map(|row| row.iter().sum::<i64>());
    assert_eq!(sums.collect::<Vec<_>>(), [3, 3]);
}

#[test]
fn malformed_primitives_are_refused_but_for_the_long_form_of_a_short_length() {
    let vectors = parse(PRIMITIVES);
    for case in list(&vectors, "malformed") {
        let (input, why) = (bytes(case, "hex"), text(case, "why"));
        if why.contains("accept") {
            assert_eq!(
                <&[u8]>::from_bytes(&input),
                Ok([0xaa, 0xbb, 0xcc].as_slice()),
                "{why}"
            );
        } else if case.get("as_").is_some() {
            assert_eq!(
                bool::from_bytes(&input),
                Err(Error::UnexpectedId { id: 0 }),
                "{why}"
            );
        } else if input.starts_with(&[0x15, 0xc4]) {
            assert!(Vector::<i64>::from_bytes(&input).is_err(), "{why}");
            assert!(Vector::<&[u8]>::from_bytes(&input).is_err(), "{why}");
        } else {
            assert!(<&[u8]>::from_bytes(&input).is_err(), "{why}");
        }
    }
}

#[test]
fn padding_must_be_there_but_may_hold_anything() {
    assert_eq!(<&[u8]>::from_bytes(&hex("01ef1234")), Ok([0xef].as_slice()));
    assert_eq!(
        <&[u8]>::from_bytes(&hex("01ef00")),
        Err(Error::UnexpectedEnd)
    );
}

#[test]
fn bytes_after_an_object_are_refused() {
    assert_eq!(
        i32::from_bytes(&hex("0100000000")),
        Err(Error::TrailingBytes)
    );
}

#[test]
fn a_bare_value_has_no_id() {
    let salt = heliogram_tl::mtproto::FutureSalt {
        valid_since: 1,
        valid_until: 2,
        salt: 3,
    };
    let bare = Bare(salt).to_bytes();
    assert_eq!(bare, hex("01000000020000000300000000000000"));
    assert_eq!(salt.to_bytes(), [hex("dcd94909"), bare.clone()].concat());
    assert_eq!(Bare::from_bytes(&bare), Ok(Bare(salt)));
}

#[test]
fn a_reader_tells_what_is_left() {
    let mut r = Reader::new(&[1, 0, 0, 0, 9, 9]);
    assert_eq!(r.peek_id(), Some(1));
    assert_eq!(r.u32(), Ok(1));
    assert_eq!((r.remaining(), r.peek_id()), (2, None));
    assert_eq!(r.rest(), [9, 9]);
    assert_eq!(r.finish(), Ok(()));
}

#[test]
fn a_writer_appends_to_what_is_there() {
    let mut w = Writer::from_vec(vec![9]);
    w.i32(-2);
    assert_eq!((w.len(), w.is_empty()), (5, false));
    assert_eq!(w.into_vec(), [9, 0xfe, 0xff, 0xff, 0xff]);
}

fn round_trip<T>(value: T, encoded: &[u8])
where
    T: Serialize + for<'a> Deserialize<'a> + PartialEq + core::fmt::Debug,
{
    assert_eq!(value.to_bytes(), encoded);
    assert_eq!(T::from_bytes(encoded), Ok(value));
}

const PRIMITIVES: &str = include_str!("../../../../testdata/vectors/tl_primitives.json");
