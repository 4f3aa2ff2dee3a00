//! Opening and sealing: vectors, every length, one error for everything.

use heliogram_crypto::{AuthKey, Direction, message};
use heliogram_proto::envelope::{self, Header, Message, Sealed, ToSeal, Undecryptable};
use heliogram_proto::ids::{MsgId, Salt, SeqNo, SessionId};
use heliogram_proto::side::{Client, Server};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::support::{hex, key, vectors};

fn auth_key(value: &serde_json::Value) -> AuthKey {
    AuthKey::new(hex(value.as_str().unwrap()).try_into().unwrap())
}

fn long(value: &serde_json::Value) -> i64 {
    i64::from_le_bytes(hex(value.as_str().unwrap()).try_into().unwrap())
}

#[test]
fn envelopes_of_other_implementations_open() {
    let vectors = vectors("mtproto2_messages");
    let cases = vectors["cases"].as_array().unwrap();
    assert!(!cases.is_empty());
    for case in cases {
        let key = auth_key(&case["auth_key"]);
        let mut frame = hex(case["encrypted"].as_str().unwrap());
        let opened = if case["x"] == 0 {
            envelope::open::<Server>(&key, &mut frame).unwrap()
        } else {
            envelope::open::<Client>(&key, &mut frame).unwrap()
        };
        let message = opened.message;
        assert_eq!(message.header.salt, Salt(long(&case["salt"])));
        assert_eq!(
            message.header.session_id,
            SessionId(long(&case["session_id"]))
        );
        assert_eq!(
            message.header.msg_id.0.to_string(),
            case["msg_id"].as_str().unwrap()
        );
        assert_eq!(
            i64::from(message.header.seqno.0),
            case["seq_no"].as_i64().unwrap()
        );
        assert_eq!(message.body, hex(case["body"].as_str().unwrap()));
        if let Some(token) = case["quick_ack_token_u32"].as_u64() {
            assert_eq!(u64::from(opened.quick_ack), token);
        }
    }
}

#[test]
fn whatever_is_wrong_with_an_envelope_the_error_is_the_same() {
    let vectors = vectors("mtproto2_negative");
    for case in vectors["cases"].as_array().unwrap() {
        let key = auth_key(&case["auth_key"]);
        let mut frame = hex(case["data"].as_str().unwrap());
        let opened = if case["x"] == 0 {
            envelope::open::<Server>(&key, &mut frame).map(drop)
        } else {
            envelope::open::<Client>(&key, &mut frame).map(drop)
        };
        assert_eq!(opened, Err(Undecryptable), "{}", case["name"]);
    }
}

#[test]
fn sealed_by_one_role_opens_for_the_other_and_for_nobody_else() {
    let (key, mut rng) = (key(), ChaCha8Rng::seed_from_u64(2));
    for words in 0..40 {
        let body = vec![0x5a; words * 4];
        let message = Message {
            header: header(),
            body: &body,
        };
        let mut sealed = Vec::new();
        let token = envelope::seal::<Client>(&key, &message, &mut sealed, &mut rng).unwrap();
        assert_eq!(sealed.len(), envelope::sealed_len(body.len()));

        let mut reflected = sealed.clone();
        assert!(envelope::open::<Client>(&key, &mut reflected).is_err());
        let other = AuthKey::new([9; 256]);
        assert!(envelope::open::<Server>(&other, &mut sealed.clone()).is_err());

        let opened = envelope::open::<Server>(&key, &mut sealed).unwrap();
        assert_eq!(opened.message.into_inner(), message);
        assert_eq!(opened.quick_ack, token);
    }
}

#[test]
fn up_to_15_bytes_that_a_padded_transport_leaves_are_dropped_and_16_are_not() {
    let (key, mut rng) = (key(), ChaCha8Rng::seed_from_u64(3));
    let message = Message {
        header: header(),
        body: &[1, 2, 3, 4],
    };
    let mut sealed = Vec::new();
    envelope::seal::<Client>(&key, &message, &mut sealed, &mut rng).unwrap();
    for extra in 0..=16 {
        let mut frame = sealed.clone();
        frame.resize(sealed.len() + extra, 0xee);
        let opened = envelope::open::<Server>(&key, &mut frame);
        assert_eq!(opened.is_ok(), extra < 16, "{extra} bytes more");
    }
}

#[test]
fn truncated_envelopes_of_every_length_are_refused() {
    let (key, mut rng) = (key(), ChaCha8Rng::seed_from_u64(4));
    let message = Message {
        header: header(),
        body: &[0; 64],
    };
    let mut sealed = Vec::new();
    envelope::seal::<Client>(&key, &message, &mut sealed, &mut rng).unwrap();
    for len in 0..sealed.len() {
        let mut frame = sealed[..len].to_vec();
        assert!(
            envelope::open::<Server>(&key, &mut frame).is_err(),
            "{len} bytes"
        );
    }
}

#[test]
fn a_body_of_zero_bytes_is_the_shortest_and_opens() {
    let (key, mut rng) = (key(), ChaCha8Rng::seed_from_u64(5));
    let message = Message {
        header: header(),
        body: &[],
    };
    let mut sealed = Vec::new();
    envelope::seal::<Server>(&key, &message, &mut sealed, &mut rng).unwrap();
    assert_eq!(sealed.len(), 24 + 48);
    assert!(envelope::open::<Client>(&key, &mut sealed).is_ok());
}

#[test]
fn padding_of_12_to_1024_bytes_is_accepted_and_neither_8_nor_1028() {
    for (padding, good) in [
        (8, false),
        (12, true),
        (1020, true),
        (1024, true),
        (1028, false),
    ] {
        // The body makes up what the blocks need.
        let body = (16 - (32 + padding) % 16) % 16;
        assert_eq!(
            opens_with(body, i32::try_from(body).unwrap(), padding),
            good,
            "{padding}"
        );
    }
}

#[test]
fn a_length_must_be_positive_a_multiple_of_four_and_within_the_plaintext() {
    for (claimed, good) in [
        (20, true),
        (-4, false),
        (i32::MIN, false),
        (18, false),
        (21, false),
    ] {
        assert_eq!(opens_with(20, claimed, 12), good, "{claimed}");
    }
    assert!(!opens_with(20, 24, 12), "8 bytes of padding are left");
    assert!(!opens_with(20, i32::MAX & !3, 12));
}

#[test]
fn a_batch_gives_what_single_envelopes_give_in_order() {
    let (keys, mut rng) = (
        [key(), AuthKey::new([3; 256])],
        ChaCha8Rng::seed_from_u64(6),
    );
    let bodies: Vec<Vec<u8>> = (0..9).map(|words| vec![7; words * 8]).collect();
    let messages: Vec<_> = bodies
        .iter()
        .enumerate()
        .map(|(at, body)| ToSeal {
            key: &keys[at % 2],
            message: Message {
                header: header(),
                body,
            },
        })
        .collect();
    let (mut out, mut ends) = (vec![0xab; 3], Vec::new());
    envelope::seal_batch::<Server>(&messages, &mut out, &mut ends, &mut rng).unwrap();
    assert_eq!(out[..3], [0xab; 3]);
    assert_eq!(ends.last(), Some(&out.len()));

    let mut frames: Vec<Vec<u8>> = Vec::new();
    let mut start = 3;
    for end in ends {
        frames.push(out[start..end].to_vec());
        start = end;
    }
    frames[4][30] ^= 1;
    frames[6].truncate(40);
    let mut opened = Vec::new();
    let sealed = frames.iter_mut().enumerate();
    let sealed = sealed.map(|(at, envelope)| Sealed {
        key: &keys[at % 2],
        envelope,
    });
    envelope::open_batch::<Client>(sealed, &mut opened);
    assert_eq!(opened.len(), 9);
    for (at, opened) in opened.iter().enumerate() {
        let body = opened.as_ref().map(|it| it.message.body.to_vec());
        let expected = if at == 4 || at == 6 {
            Err(&Undecryptable)
        } else {
            Ok(bodies[at].clone())
        };
        assert_eq!(body, expected, "envelope {at}");
    }
}

#[test]
fn a_body_whose_length_is_no_multiple_of_four_is_not_sealed() {
    let (key, mut rng) = (key(), ChaCha8Rng::seed_from_u64(7));
    let message = Message {
        header: header(),
        body: &[0; 6],
    };
    let mut out = vec![1];
    assert!(envelope::seal::<Client>(&key, &message, &mut out, &mut rng).is_err());
    let (messages, mut ends) = ([ToSeal { key: &key, message }], Vec::new());
    assert!(envelope::seal_batch::<Client>(&messages, &mut out, &mut ends, &mut rng).is_err());
    assert_eq!((out, ends), (vec![1], vec![]));
}

/// Seals by hand an envelope that claims a length, and tells whether it opens.
fn opens_with(body: usize, claimed: i32, padding: usize) -> bool {
    let mut plain = vec![0; 24 + 28];
    plain.extend_from_slice(&claimed.to_le_bytes());
    plain.resize(24 + 32 + body + padding, 0x33);
    let extra = (plain.len() - 24) % 16;
    assert_eq!(extra, 0, "the test must fill whole blocks");
    message::seal(&key(), Direction::ClientToServer, &mut plain).unwrap();
    envelope::open::<Server>(&key(), &mut plain).is_ok()
}

fn header() -> Header {
    Header {
        salt: Salt(1),
        session_id: SessionId(2),
        msg_id: MsgId(4),
        seqno: SeqNo(5),
    }
}
