//! Frames of every framing and size, transport errors and quick acks, against other implementations.

use serde_json::Value;

use super::super::{Framing, client, server};
use super::support::{
    Told, Understood, assert_matches, client, filler, hear, payloads, told_padding, trusting,
    understand, unhex, vectors,
};

#[test]
fn every_size_in_every_framing_is_written_and_read_as_others_do() {
    for frame in vectors("transport_frames")["frames"].as_array().unwrap() {
        let bytes = usize::try_from(frame["payload_len"].as_u64().unwrap()).unwrap();
        let payload = filler(&format!("frame-{bytes}"), bytes);
        check_unpadded(
            Framing::Abridged,
            &payload,
            &frame["abridged"],
            &frame["abridged_quick_ack_requested"],
        );
        check_unpadded(
            Framing::Intermediate,
            &payload,
            &frame["intermediate"],
            &frame["intermediate_quick_ack_requested"],
        );
        for padded in frame["padded_intermediate"].as_array().unwrap() {
            check_padded(&payload, padded);
        }
        check_full(&payload, &frame["full"]);
    }
}

fn check_unpadded(framing: Framing, payload: &[u8], plain: &Value, flagged: &Value) {
    let what = format!("{framing:?} {}", payload.len());
    for (wants_quick_ack, expected) in [(false, plain), (true, flagged)] {
        let mut wire = Vec::new();
        let mut sender = client::Transport::new(
            &client::Config::new(framing),
            &mut Told::default(),
            &mut wire,
        )
        .unwrap();
        let prefix = wire.len();
        sender
            .encode(payload, wants_quick_ack, &mut Told::default(), &mut wire)
            .unwrap();
        assert_matches(&wire[prefix..], expected, &what);
        let heard = hear(&mut trusting(roomy()), [wire.as_slice()]);
        assert_eq!(heard.result, Ok(()), "{what}");
        assert_eq!(
            heard.payloads,
            [(payload.to_vec(), wants_quick_ack)],
            "{what}"
        );
    }
    let mut answer = Vec::new();
    answering(framing)
        .encode(payload, &mut Told::default(), &mut answer)
        .unwrap();
    assert_matches(&answer, plain, &what);
    let understood = understand(&mut client(&client::Config::new(framing)), &answer);
    assert_eq!(
        understood,
        (vec![Understood::Payload(payload.to_vec())], Ok(())),
        "{what}"
    );
}

fn check_padded(payload: &[u8], vector: &Value) {
    let pad_len = usize::try_from(vector["pad_len"].as_u64().unwrap()).unwrap();
    let what = format!("padded {} + {pad_len}", payload.len());
    let framing = Framing::PaddedIntermediate;
    let padding = match vector.get("hex") {
        Some(hex) => unhex(hex).split_off(4 + payload.len()),
        // Of long frames only the last bytes are known, more than any padding.
        None => unhex(&vector["last16"]).split_off(16 - pad_len),
    };
    let mut wire = Vec::new();
    let mut sender = client::Transport::new(
        &client::Config::new(framing),
        &mut Told::default(),
        &mut wire,
    )
    .unwrap();
    sender
        .encode(payload, false, &mut told_padding(&padding), &mut wire)
        .unwrap();
    assert_matches(&wire[4..], vector, &what);
    let mut flagged = Vec::new();
    sender
        .encode(payload, true, &mut told_padding(&padding), &mut flagged)
        .unwrap();
    assert_eq!(
        flagged[..4],
        unhex(&vector["quick_ack_requested_first4"]),
        "{what}"
    );
    wire.extend_from_slice(&flagged);

    // The payloads are noise: what could not be an envelope is cut to the longest one that fits.
    let framed = [payload, &padding].concat();
    let envelope = framed
        .len()
        .checked_sub(24)
        .map_or(framed.len(), |sealed| 24 + sealed / 16 * 16);
    let heard = hear(&mut trusting(roomy()), [wire.as_slice()]);
    assert_eq!(heard.result, Ok(()), "{what}");
    assert_eq!(
        heard.payloads,
        [
            (framed[..envelope].to_vec(), false),
            (framed[..envelope].to_vec(), true)
        ],
        "{what}"
    );
    if (payload.len() + 8).is_multiple_of(16) {
        assert_eq!(envelope, payload.len(), "{what}");
    }
}

fn check_full(payload: &[u8], vectors: &Value) {
    let what = format!("full {}", payload.len());
    let mut sender = client(&client::Config::new(Framing::Full));
    let mut wire = Vec::new();
    for (seq, vector) in vectors.as_array().unwrap().iter().enumerate() {
        assert_eq!(vector["seq"].as_u64(), Some(seq as u64));
        let start = wire.len();
        // There is no quick ack to ask for.
        sender
            .encode(payload, seq == 1, &mut Told::default(), &mut wire)
            .unwrap();
        assert_matches(&wire[start..], vector, &what);
    }
    let heard = hear(&mut trusting(roomy()), [wire.as_slice()]);
    assert_eq!(heard.result, Ok(()), "{what}");
    assert_eq!(heard.payloads, payloads(&[payload, payload]), "{what}");
    let understood = understand(&mut client(&client::Config::new(Framing::Full)), &wire);
    let both = vec![
        Understood::Payload(payload.to_vec()),
        Understood::Payload(payload.to_vec()),
    ];
    assert_eq!(understood, (both, Ok(())), "{what}");
}

#[test]
fn transport_errors_are_written_and_read_in_every_framing() {
    for vector in vectors("transport_frames")["error_frames"]
        .as_array()
        .unwrap()
    {
        let code = i32::try_from(vector["code"].as_i64().unwrap()).unwrap();
        for (framing, name) in [
            (Framing::Abridged, "abridged"),
            (Framing::Intermediate, "intermediate"),
            (Framing::PaddedIntermediate, "padded_intermediate_pad0"),
            (Framing::Full, "full_seq0"),
        ] {
            let mut wire = Vec::new();
            answering(framing).encode_error(code, &mut Told::default(), &mut wire);
            assert_eq!(wire, unhex(&vector[name]), "{framing:?} {code}");
            let understood = understand(&mut client(&client::Config::new(framing)), &wire);
            assert_eq!(
                understood,
                (vec![Understood::Error(code)], Ok(())),
                "{framing:?}"
            );
        }
    }
}

#[test]
fn a_server_adds_3_bytes_of_padding_and_not_4() {
    for (drawn, added) in [(3, 3), (4, 0)] {
        let mut wire = Vec::new();
        let mut rng = told_padding(&vec![0x55; drawn]);
        answering(Framing::PaddedIntermediate)
            .encode(&[1; 88], &mut rng, &mut wire)
            .unwrap();
        assert_eq!(wire.len(), 4 + 88 + added);
    }
}

#[test]
fn a_padded_transport_error_is_one_with_any_padding_that_a_server_adds() {
    for padding in 0..=3 {
        let mut wire = Vec::new();
        let mut rng = told_padding(&vec![0x55; padding]);
        answering(Framing::PaddedIntermediate).encode_error(-404, &mut rng, &mut wire);
        assert_eq!(wire.len(), 8 + padding);
        let understood = understand(
            &mut client(&client::Config::new(Framing::PaddedIntermediate)),
            &wire,
        );
        assert_eq!(understood, (vec![Understood::Error(-404)], Ok(())));
    }
}

#[test]
fn quick_acks_are_written_as_documented_and_read_in_every_form_in_use() {
    for vector in vectors("transport_frames")["server_quick_ack_frames"]
        .as_array()
        .unwrap()
    {
        let token = u32::try_from(vector["token_u32"].as_u64().unwrap()).unwrap();
        for (framing, name) in [
            (Framing::Abridged, "abridged"),
            (Framing::Intermediate, "intermediate"),
            (
                Framing::PaddedIntermediate,
                "padded_intermediate_documented_pad0",
            ),
        ] {
            let mut wire = Vec::new();
            answering(framing)
                .encode_quick_ack(token, &mut Told::default(), &mut wire)
                .unwrap();
            assert_eq!(wire, unhex(&vector[name]), "{framing:?}");
            let understood = understand(&mut client(&client::Config::new(framing)), &wire);
            assert_eq!(
                understood,
                (vec![Understood::QuickAck(token)], Ok(())),
                "{framing:?}"
            );
        }
        let mut receiver = client(&client::Config::new(Framing::PaddedIntermediate));
        let understood = understand(
            &mut receiver,
            &unhex(&vector["padded_intermediate_as_mtproxy"]),
        );
        assert_eq!(understood, (vec![Understood::QuickAck(token)], Ok(())));

        assert!(vector["full"].is_null());
        let mut wire = Vec::new();
        answering(Framing::Full)
            .encode_quick_ack(token, &mut Told::default(), &mut wire)
            .unwrap();
        assert!(wire.is_empty());
    }
}

#[test]
fn a_padded_quick_ack_is_one_with_any_padding_that_a_server_adds() {
    for padding in 0..=3 {
        let mut wire = Vec::new();
        let mut rng = told_padding(&vec![0x55; padding]);
        answering(Framing::PaddedIntermediate)
            .encode_quick_ack(0x8123_4567, &mut rng, &mut wire)
            .unwrap();
        assert_eq!(wire.len(), 12 + padding);
        let understood = understand(
            &mut client(&client::Config::new(Framing::PaddedIntermediate)),
            &wire,
        );
        assert_eq!(
            understood,
            (vec![Understood::QuickAck(0x8123_4567)], Ok(()))
        );
    }
}

#[test]
fn what_a_server_says_beside_messages_stays_shorter_than_any_message_however_padded() {
    for last in 0..=u8::MAX {
        let mut rng = Told([&[0x55; 15][..], &[last]].concat().repeat(2));
        let mut wire = Vec::new();
        let mut server = answering(Framing::PaddedIntermediate);
        server
            .encode_quick_ack(0x8123_4567, &mut rng, &mut wire)
            .unwrap();
        server.encode_error(-404, &mut rng, &mut wire);
        let config = client::Config::new(Framing::PaddedIntermediate);
        let expected = vec![Understood::QuickAck(0x8123_4567), Understood::Error(-404)];
        assert_eq!(
            understand(&mut client(&config), &wire),
            (expected, Ok(())),
            "{last}"
        );
    }
}

#[test]
fn a_client_ignores_a_zero_word_and_takes_a_bare_negative_word_in_full_for_an_error() {
    let mut intermediate = client(&client::Config::new(Framing::Intermediate));
    assert_eq!(
        understand(&mut intermediate, &[4, 0, 0, 0, 0, 0, 0, 0]),
        (vec![], Ok(()))
    );
    let mut full = client(&client::Config::new(Framing::Full));
    let words = [(-429i32).to_le_bytes(), (-429i32).to_le_bytes()].concat();
    assert_eq!(
        understand(&mut full, &words),
        (
            vec![Understood::Error(-429), Understood::Error(-429)],
            Ok(())
        )
    );
}

#[test]
fn a_padded_plain_message_ends_where_it_says() {
    let mut message = vec![0; 8];
    message.extend_from_slice(&[7; 8]);
    message.extend_from_slice(&40u32.to_le_bytes());
    message.extend_from_slice(&[9; 40]);
    for padding in 0..=15 {
        let mut wire = Vec::new();
        let config = client::Config::new(Framing::PaddedIntermediate);
        let mut sender = client::Transport::new(&config, &mut Told::default(), &mut wire).unwrap();
        sender
            .encode(
                &message,
                false,
                &mut told_padding(&vec![1; padding]),
                &mut wire,
            )
            .unwrap();
        assert_eq!(
            hear(&mut trusting(roomy()), [wire.as_slice()]).payloads,
            payloads(&[&message])
        );
    }
    // More behind the message than padding can be: nobody can tell what it is, so nothing is cut.
    message.extend_from_slice(&[0; 16]);
    let mut wire = vec![0xdd; 4];
    wire.extend_from_slice(&u32::try_from(message.len()).unwrap().to_le_bytes());
    wire.extend_from_slice(&message);
    assert_eq!(
        hear(&mut trusting(roomy()), [wire.as_slice()]).payloads,
        payloads(&[&message])
    );
}

#[test]
fn what_no_framing_can_say_is_the_callers_mistake() {
    let mut out = Vec::new();
    for framing in [
        Framing::Abridged,
        Framing::Intermediate,
        Framing::PaddedIntermediate,
        Framing::Full,
    ] {
        let mut transport = answering(framing);
        for bytes in [0, 1, 2, 3, 5, 22] {
            assert!(
                transport
                    .encode(&vec![0; bytes], &mut Told::default(), &mut out)
                    .is_err(),
                "{framing:?} {bytes}"
            );
        }
    }
    let mut abridged = answering(Framing::Abridged);
    assert_eq!(
        abridged.encode(
            &vec![0; ((1 << 24) - 1) * 4],
            &mut Told::default(),
            &mut out
        ),
        Ok(())
    );
    out.clear();
    assert!(
        abridged
            .encode(&vec![0; (1 << 24) * 4], &mut Told::default(), &mut out)
            .is_err()
    );
    assert!(out.is_empty());
    let mut unknown = trusting(server::Config::default());
    assert!(
        unknown
            .encode(&[0; 24], &mut Told::default(), &mut out)
            .is_err()
    );
    unknown.encode_error(-404, &mut Told::default(), &mut out);
    assert!(out.is_empty());
}

/// A server whose client has chosen `framing`.
fn answering(framing: Framing) -> server::Transport {
    let mut wire = Vec::new();
    let mut sender = client::Transport::new(
        &client::Config::new(framing),
        &mut Told::default(),
        &mut wire,
    )
    .unwrap();
    sender
        .encode(&[1; 24], false, &mut Told::default(), &mut wire)
        .unwrap();
    let mut transport = trusting(roomy());
    assert_eq!(hear(&mut transport, [wire.as_slice()]).payloads.len(), 1);
    assert_eq!(transport.framing(), Some(framing));
    transport
}

/// Takes frames of the largest vectors.
fn roomy() -> server::Config {
    server::Config {
        frame_bytes_max: (16 << 20) + 16,
        ..server::Config::default()
    }
}
