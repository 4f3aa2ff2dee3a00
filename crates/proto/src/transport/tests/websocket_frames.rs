//! WebSocket frames one by one, both roles.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;

use super::super::Error;
use super::super::websocket::{Reader, wrap};
use super::support::{assert_matches, from_hex, unhex, vectors};
use crate::limits::WEBSOCKET_FRAME_BYTES_MAX;
use crate::side::{Client, Server, Side};

#[test]
fn every_frame_of_the_vectors_is_written_and_read_as_others_do() {
    for vector in vectors("ws_http_proxy")["websocket"]["frames"]
        .as_array()
        .unwrap()
    {
        let mask: [u8; 4] = unhex(&vector["mask"]).try_into().unwrap();
        let data = data(vector);
        let what = format!("{} bytes", data.len());
        let mut from_client = data.clone();
        wrap(0, Some(mask), &mut from_client);
        assert_matches(&from_client, &vector["client_frame"], &what);
        let mut from_server = data.clone();
        wrap(0, None, &mut from_server);
        assert_matches(&from_server, &vector["server_frame"], &what);
        assert_eq!(
            read::<Server>(&from_client),
            (data.clone(), Vec::new(), Ok(())),
            "{what}"
        );
        assert_eq!(
            read::<Client>(&from_server),
            (data, Vec::new(), Ok(())),
            "{what}"
        );
    }
}

/// The long ones are only known by their ends: their mask gives them back.
fn data(vector: &Value) -> Vec<u8> {
    match vector["data"].get("hex") {
        Some(hex) => unhex(hex),
        None => {
            let bytes = usize::try_from(vector["data"]["len"].as_u64().unwrap()).unwrap();
            super::support::filler(&format!("ws-{bytes}"), bytes)
        }
    }
}

#[test]
fn a_frame_that_rfc_6455_forbids_closes_with_a_close() {
    for (hex, why) in [
        ("820161", "not masked"),
        ("c2810000000061", "reserved bit 1"),
        ("a2810000000061", "reserved bit 2"),
        ("92810000000061", "reserved bit 3"),
        ("81810000000061", "text"),
        ("83810000000061", "opcode 3"),
        ("8b810000000061", "opcode 11"),
        ("80810000000061", "continues nothing"),
        ("0281000000006182810000000062", "a message within a message"),
        ("09810000000061", "a ping in parts"),
        ("89fe007e00000000", "a ping of 126 bytes"),
        ("82fe007d00000000", "125 in two bytes"),
        ("82ff000000000000ffff00000000", "65535 in eight bytes"),
        ("82ffffffffffffffffff00000000", "2^64 - 1 bytes"),
        ("82ff800000000000000000000000", "2^63 bytes"),
    ] {
        let (kept, out, result) = read::<Server>(&from_hex(hex));
        assert_eq!(result, Err(Error::WebSocket), "{why}");
        assert!(kept.len() <= 1, "{why}");
        assert_eq!(out, [0x88, 2, 0x03, 0xe8], "{why}");
    }
    assert_eq!(
        read::<Client>(&from_hex("82810000000061")).2,
        Err(Error::WebSocket),
        "masked by a server"
    );
}

#[test]
fn a_frame_may_be_as_long_as_the_limit_and_not_a_byte_longer() {
    for (excess, expected) in [(0, Ok(())), (1, Err(Error::WebSocket))] {
        let mut header = vec![0x82, 0xff];
        header.extend_from_slice(&(WEBSOCKET_FRAME_BYTES_MAX as u64 + excess).to_be_bytes());
        header.extend_from_slice(&[0; 4]);
        assert_eq!(read::<Server>(&header).2, expected);
    }
}

#[test]
fn a_close_is_answered_and_ends_everything_behind_it() {
    for hex in ["888000000000", "8882010101010202", "88820000000003e8"] {
        let mut wire = from_hex(hex);
        wire.extend_from_slice(&from_hex("82810000000061"));
        let (kept, out, result) = read::<Server>(&wire);
        assert_eq!((kept.len(), result), (0, Err(Error::Closed)), "{hex}");
        assert_eq!(out, [0x88, 2, 0x03, 0xe8], "{hex}");
    }
}

#[test]
fn only_the_last_ping_of_a_read_is_answered_and_a_pong_never() {
    let flood = from_hex("898101010101608981000000006289800000000089810000000063").repeat(50);
    assert_eq!(
        read::<Server>(&flood),
        (Vec::new(), b"\x8a\x01c".to_vec(), Ok(()))
    );
    assert_eq!(
        read::<Server>(&from_hex("8a810000000061")),
        (Vec::new(), Vec::new(), Ok(()))
    );
    assert_eq!(
        read::<Client>(&from_hex("890161")).1,
        from_hex("8a810102030460")
    );
}

#[test]
fn a_ping_of_125_bytes_comes_back_whole() {
    let mut ping = vec![0x89, 0x80 | 125, 0, 0, 0, 0];
    ping.extend(0..125);
    let (_, out, result) = read::<Server>(&ping);
    assert_eq!(result, Ok(()));
    assert_eq!(out[..2], [0x8a, 125]);
    assert!(out[2..].iter().copied().eq(0..125));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn messages_join_to_one_stream_however_they_are_cut_into_frames_and_reads(
        messages in vec((vec(any::<u8>(), 0..400), any::<[u8; 4]>()), 0..8),
        fragments in 1usize..5,
        step in 1usize..300,
    ) {
        let mut wire = Vec::new();
        let mut expected = Vec::new();
        for (message, mask) in &messages {
            expected.extend_from_slice(message);
            let size = message.len().div_ceil(fragments).max(1);
            let count = message.chunks(size).count();
            for (number, fragment) in message.chunks(size).enumerate() {
                let start = wire.len();
                wire.extend_from_slice(fragment);
                wrap(start, Some(*mask), &mut wire);
                let is_final = number + 1 == count;
                wire[start] = if is_final { 0x80 } else { 0 } | if number == 0 { 2 } else { 0 };
                wire.extend_from_slice(&[0x8a, 0x80, 0, 0, 0, 0]);
            }
        }
        let mut reader = Reader::<Server>::new();
        let mut found = Vec::new();
        for piece in wire.chunks_mut(step) {
            let (kept, result) = reader.unwrap(piece, &mut || None, &mut Vec::new());
            found.extend_from_slice(&piece[..kept]);
            prop_assert_eq!(result, Ok(()));
        }
        prop_assert_eq!(found, expected);
    }
}

/// What `S` makes of some bytes: the stream, the answer, the end.
fn read<S: Side>(bytes: &[u8]) -> (Vec<u8>, Vec<u8>, Result<(), Error>) {
    let mut bytes = bytes.to_vec();
    let mut out = Vec::new();
    let is_client = crate::side::is_server::<S::Peer>();
    let mask = is_client.then_some([1, 2, 3, 4]);
    let (kept, result) = Reader::<S>::new().unwrap(&mut bytes, &mut || mask, &mut out);
    bytes.truncate(kept);
    (bytes, out, result)
}
