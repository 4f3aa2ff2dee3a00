//! Packed objects: `container_gzip.json`, and what must not come through.

use allocation_counter::measure;
use heliogram_tl::mtproto::GzipPacked;
use heliogram_tl::{Deserialize, Error, Serialize, gzip};

use crate::vectors::{bytes, list, parse, text};

#[test]
fn gzip_stored_and_zlib_streams_are_unpacked() {
    let vectors = parse(GZIP);
    for case in list(&vectors, "gzip") {
        let (inner, encoded) = (bytes(case, "inner"), bytes(case, "hex"));
        let packed = GzipPacked::from_bytes(&encoded).unwrap();
        assert_eq!(packed.packed_data, bytes(case, "packed_data"));
        assert_eq!(packed.to_bytes(), encoded);
        assert_eq!(
            gzip::unpack(packed.packed_data, LARGE),
            Ok(inner),
            "{}",
            text(case, "name")
        );
    }
}

#[test]
fn what_is_packed_is_gzip_and_unpacks_to_the_same() {
    for len in [0, 1, 4, 20_000, 300_000] {
        let object = (0..len)
            .map(|at| u8::try_from(at / 7 % 251).unwrap())
            .collect::<Vec<_>>();
        let packed = gzip::pack(&object);
        assert_eq!(packed[..2], [0x1f, 0x8b]);
        assert_eq!(gzip::unpack(&packed, LARGE), Ok(object));
    }
}

#[test]
fn output_of_exactly_the_bound_is_accepted_and_one_byte_more_is_not() {
    for (name, packed, len) in [
        ("gzip", gzip::pack(&[7; 100_000]), 100_000),
        ("zlib", zeros_as_zlib(), 2000),
    ] {
        assert_eq!(
            gzip::unpack(&packed, len).map(|object| object.len()),
            Ok(len),
            "{name}"
        );
        assert_eq!(
            gzip::unpack(&packed, len - 1),
            Err(Error::TooLong),
            "{name}"
        );
        assert_eq!(gzip::unpack(&packed, 0), Err(Error::TooLong), "{name}");
    }
}

#[test]
fn a_bomb_is_refused_at_its_bound_and_costs_no_more_memory() {
    let vectors = parse(GZIP);
    let bomb = malformed(&vectors, "50 MiB of zeros");
    let bytes_max = 1 << 20;
    let mut result = Ok(Vec::new());
    let allocated = measure(|| result = gzip::unpack(&bomb, bytes_max));
    assert_eq!(result, Err(Error::TooLong));
    let bound = 3 * bytes_max as u64;
    assert!(allocated.bytes_max < bound, "{allocated:?}");
}

#[test]
fn damaged_streams_are_refused() {
    let vectors = parse(GZIP);
    for name in ["truncated stream", "bad crc", "not compressed"] {
        assert_eq!(
            gzip::unpack(&malformed(&vectors, name), LARGE),
            Err(Error::BadCompression),
            "{name}"
        );
    }
    assert_eq!(gzip::unpack(&[], LARGE), Err(Error::BadCompression));
    assert_eq!(gzip::unpack(&[0x1f], LARGE), Err(Error::BadCompression));
}

#[test]
fn a_stream_cut_anywhere_is_refused() {
    for stream in [gzip::pack(b"mtproto mtproto mtproto"), zeros_as_zlib()] {
        for len in 0..stream.len() {
            assert_eq!(
                gzip::unpack(&stream[..len], LARGE),
                Err(Error::BadCompression),
                "{len}"
            );
        }
    }
}

#[test]
fn a_stream_followed_by_anything_is_refused() {
    for stream in [gzip::pack(b"mtproto"), zeros_as_zlib()] {
        for tail in [vec![0], gzip::pack(b"second member")] {
            let longer = [stream.clone(), tail].concat();
            assert_eq!(gzip::unpack(&longer, LARGE), Err(Error::BadCompression));
        }
    }
}

#[test]
fn every_flipped_bit_of_the_checksum_is_noticed() {
    let gzip_checksum = |len: usize| len - 8..len;
    let zlib_checksum = |len: usize| len - 4..len;
    let (gzip, zlib) = (gzip::pack(b"mtproto"), zeros_as_zlib());
    for (stream, trailer) in [
        (&gzip, gzip_checksum(gzip.len())),
        (&zlib, zlib_checksum(zlib.len())),
    ] {
        for at in trailer {
            for bit in 0..8 {
                let mut damaged = stream.clone();
                damaged[at] ^= 1 << bit;
                assert_eq!(gzip::unpack(&damaged, LARGE), Err(Error::BadCompression));
            }
        }
    }
}

#[test]
fn packed_objects_in_packed_objects_come_out_one_level_at_a_time() {
    let vectors = parse(GZIP);
    let mut packed = malformed(&vectors, "gzip inside gzip x4");
    for _ in 0..3 {
        let object = gzip::unpack(&packed, LARGE).unwrap();
        packed = GzipPacked::from_bytes(&object)
            .unwrap()
            .packed_data
            .to_vec();
    }
    assert!(gzip::unpack(&packed, LARGE).is_ok());
}

fn malformed(vectors: &serde_json::Value, name: &str) -> Vec<u8> {
    let cases = list(vectors, "gzip_malformed");
    let encoded = bytes(
        cases
            .iter()
            .find(|case| text(case, "name") == name)
            .unwrap(),
        "hex",
    );
    GzipPacked::from_bytes(&encoded)
        .unwrap()
        .packed_data
        .to_vec()
}

fn zeros_as_zlib() -> Vec<u8> {
    let vectors = parse(GZIP);
    let cases = list(&vectors, "gzip");
    bytes(
        cases
            .iter()
            .find(|case| text(case, "name") == "zeros 2000 / zlib")
            .unwrap(),
        "packed_data",
    )
}

const LARGE: usize = 1 << 24;
const GZIP: &str = include_str!("../../../../testdata/vectors/container_gzip.json");
