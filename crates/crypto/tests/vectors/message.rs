//! `mtproto2_messages.json`, and what `mtproto2_negative.json` asks of an envelope before its contents are read.

use heliogram_crypto::message::{self, HEADER_BYTES};
use heliogram_crypto::{AuthKey, Direction};
use serde_json::Value;

use crate::support::{hex, hex_array, list, load};

#[test]
fn messages_are_sealed_as_others_do() {
    for case in list(&load("mtproto2_messages"), "cases") {
        let key = AuthKey::new(hex_array(case, "auth_key"));
        assert_eq!(key.id().0.to_le_bytes(), hex_array(case, "auth_key_id"));
        let mut envelope = [vec![0; HEADER_BYTES], plaintext(case)].concat();

        let hash = message::seal(&key, direction(case), &mut envelope).unwrap();

        assert_eq!(envelope, hex(case, "encrypted"));
        assert_eq!(hash.msg_key(), hex_array(case, "msg_key"));
    }
}

#[test]
fn messages_of_others_open() {
    for case in list(&load("mtproto2_messages"), "cases") {
        let key = AuthKey::new(hex_array(case, "auth_key"));
        let mut envelope = hex(case, "encrypted");

        let hash = message::open(&key, direction(case), &mut envelope).unwrap();

        assert_eq!(envelope[HEADER_BYTES..], plaintext(case));
        if let Some(token) = case.get("quick_ack_token_u32") {
            assert_eq!(Some(u64::from(hash.quick_ack_token())), token.as_u64());
        }
    }
}

/// The rest of that file is authentic and breaks a rule about lengths inside, which is for the reader of the plaintext.
#[test]
fn forged_and_cut_messages_dont_open() {
    let vectors = load("mtproto2_negative");
    let mut refused = Vec::new();
    for case in list(&vectors, "cases") {
        let key = AuthKey::new(hex_array(case, "auth_key"));
        let mut envelope = hex(case, "data");
        if message::open(&key, direction(case), &mut envelope).is_err() {
            refused.push(case["name"].as_str().unwrap());
        }
    }
    assert_eq!(
        refused,
        [
            "flip_ciphertext",
            "flip_msg_key",
            "wrong_direction",
            "truncated",
            "unaligned"
        ]
    );
}

#[test]
fn a_message_with_a_tail_doesnt_open_without_it_either() {
    let vectors = load("mtproto2_negative");
    let case = list(&vectors, "cases")
        .iter()
        .find(|case| case["name"] == "unaligned")
        .unwrap();
    let mut envelope = hex(case, "data");
    envelope.truncate(HEADER_BYTES + (envelope.len() - HEADER_BYTES) / 16 * 16);

    let key = AuthKey::new(hex_array(case, "auth_key"));

    assert!(message::open(&key, direction(case), &mut envelope).is_err());
}

fn direction(case: &Value) -> Direction {
    match case["x"].as_u64() {
        Some(0) => Direction::ClientToServer,
        Some(8) => Direction::ServerToClient,
        other => panic!("x = {other:?}"),
    }
}

fn plaintext(case: &Value) -> Vec<u8> {
    let body = hex(case, "body");
    let msg_id = case["msg_id"]
        .as_u64()
        .or_else(|| case["msg_id"].as_str()?.parse().ok())
        .unwrap();
    let seq_no = u32::try_from(case["seq_no"].as_u64().unwrap()).unwrap();
    let length = u32::try_from(body.len()).unwrap();
    [
        hex(case, "salt"),
        hex(case, "session_id"),
        msg_id.to_le_bytes().to_vec(),
        seq_no.to_le_bytes().to_vec(),
        length.to_le_bytes().to_vec(),
        body,
        hex(case, "padding"),
    ]
    .concat()
}
