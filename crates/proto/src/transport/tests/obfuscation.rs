//! obfuscated2 against other implementations, and what happens to those who don't know the secret.

use std::sync::Arc;

use serde_json::Value;

use super::super::{BadSecret, Error, Framing, Reaction, Secret, client, server};
use super::support::{Told, Understood, hear, told_padding, understand, unhex, vectors};
use crate::limits::SKIPPED_BYTES_MAX;

#[test]
fn every_obfuscated_stream_is_written_and_read_as_others_do() {
    let vectors = vectors("obfuscated2");
    let cases = vectors["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 24);
    for case in cases {
        let framing = framing(case);
        let secret = case["secret"]
            .as_str()
            .map(|hex| Secret::from_hex(hex).unwrap());
        let dc = case["dc"].as_i64().map(|dc| i16::try_from(dc).unwrap());
        let obfuscation = client::Obfuscation {
            secret: secret.clone(),
            dc,
        };
        let config = client::Config::new(framing).obfuscated(obfuscation);
        let mut wire = Vec::new();
        let mut client =
            client::Transport::new(&config, &mut Told(unhex(&case["random64"])), &mut wire)
                .unwrap();
        assert_eq!(wire, unhex(&case["init_wire"]));

        let config = server::Config {
            obfuscated: secret.is_none(),
            // Others before and behind, so that the right one has to be found.
            secrets: secret
                .iter()
                .flat_map(|secret| [other_secret(1), secret.clone(), other_secret(2)])
                .collect(),
            ..server::Config::default()
        };
        let mut server = server::Transport::new(Arc::new(config));
        server.trust();
        assert!(server.is_detecting());
        assert_eq!(hear(&mut server, [wire.as_slice()]).result, Ok(()));
        assert!(!server.is_detecting() && server.is_obfuscated());
        assert_eq!(server.framing(), Some(framing));
        if let Some(dc) = dc {
            assert_eq!(server.obfuscated_dc(), Some(dc));
        }

        for (plain, sealed) in pairs(case, "c2s_frames_plain", "c2s_wire") {
            let payload = payload(framing, &plain);
            let mut wire = Vec::new();
            client
                .encode(payload, false, &mut padding(), &mut wire)
                .unwrap();
            assert_eq!(wire, sealed);
            assert_eq!(
                hear(&mut server, [wire.as_slice()]).payloads,
                [(payload.to_vec(), false)]
            );
        }
        for (plain, sealed) in pairs(case, "s2c_frames_plain", "s2c_wire") {
            let payload = payload(framing, &plain);
            // Of padding our server adds less than the vectors have.
            if framing != Framing::PaddedIntermediate {
                let mut wire = Vec::new();
                server.encode(payload, &mut padding(), &mut wire).unwrap();
                assert_eq!(wire, sealed);
            }
            assert_eq!(
                understand(&mut client, &sealed),
                (vec![Understood::Payload(payload.to_vec())], Ok(()))
            );
        }
    }
}

#[test]
fn quick_acks_and_errors_keep_the_counters_in_step() {
    let (mut client, mut server) = pair(Framing::Abridged, None, server::Config::default());
    let mut wire = Vec::new();
    server
        .encode_quick_ack(0x8000_0001, &mut Told::default(), &mut wire)
        .unwrap();
    server
        .encode(&[1; 40], &mut Told::default(), &mut wire)
        .unwrap();
    server.encode_error(-429, &mut Told::default(), &mut wire);
    let expected = vec![
        Understood::QuickAck(0x8000_0001),
        Understood::Payload(vec![1; 40]),
        Understood::Error(-429),
    ];
    assert_eq!(understand(&mut client, &wire), (expected, Ok(())));
}

#[test]
fn a_stream_that_fits_no_secret_is_read_and_never_answered() {
    let config = server::Config {
        obfuscated: false,
        secrets: vec![other_secret(1)],
        ..server::Config::default()
    };
    for secret in [None, Some(other_secret(2))] {
        let (mut client, mut server) = pair(Framing::Intermediate, secret, config.clone());
        let mut fed = 0;
        loop {
            let mut wire = Vec::new();
            client
                .encode(&[1; 1000], true, &mut Told::default(), &mut wire)
                .unwrap();
            let heard = hear(&mut server, [wire.as_slice()]);
            assert_eq!((heard.payloads.len(), heard.out.len()), (0, 0));
            assert!(server.is_detecting() && !server.has_partial_frame());
            fed += wire.len();
            if fed > SKIPPED_BYTES_MAX {
                assert_eq!(heard.result, Err(Error::UnknownTransport));
                assert_eq!(Error::UnknownTransport.reaction(), Reaction::Close);
                break;
            }
            assert_eq!(heard.result, Ok(()));
        }
        let mut out = Vec::new();
        server.encode_error(-404, &mut Told::default(), &mut out);
        assert!(out.is_empty());
    }
}

#[test]
fn with_and_without_a_secret_can_be_served_at_once() {
    let config = server::Config {
        secrets: vec![other_secret(1)],
        ..server::Config::default()
    };
    for secret in [None, Some(other_secret(1))] {
        let (_, server) = pair(Framing::Intermediate, secret, config.clone());
        assert_eq!(server.framing(), Some(Framing::Intermediate));
    }
}

#[test]
fn a_secret_that_prescribes_padding_fits_no_other_framing() {
    let dd = Secret::from_bytes(&[&[0xdd][..], &[1; 16]].concat()).unwrap();
    let config = server::Config {
        obfuscated: false,
        secrets: vec![dd.clone()],
        ..server::Config::default()
    };
    let (_, server) = pair(
        Framing::PaddedIntermediate,
        Some(dd.clone()),
        config.clone(),
    );
    assert_eq!(server.framing(), Some(Framing::PaddedIntermediate));
    // The same key, used by a client that doesn't care.
    let (_, server) = pair(Framing::Intermediate, Some(other_secret(1)), config);
    assert!(server.is_detecting());
    let obfuscation = client::Obfuscation {
        secret: Some(dd),
        dc: None,
    };
    let config = client::Config::new(Framing::Intermediate).obfuscated(obfuscation);
    let started = client::Transport::new(&config, &mut Told::default(), &mut Vec::new());
    assert!(matches!(started, Err(Error::Misuse(_))));
}

#[test]
fn a_header_that_looks_like_another_transport_is_drawn_again() {
    let good = [0x42; 64];
    let mut bad: Vec<[u8; 64]> = Vec::new();
    for vector in vectors("obfuscated2")["forbidden_init_prefixes"]
        .as_array()
        .unwrap()
    {
        let mut header = good;
        match vector["first4"].as_str().unwrap() {
            "ef......" => header[0] = 0xef,
            "bytes 4..8 == 00000000" => header[4..8].fill(0),
            hex => header[..4].copy_from_slice(&super::support::from_hex(hex)),
        }
        bad.push(header);
    }
    assert_eq!(bad.len(), 9);
    for header in bad {
        let mut wire = Vec::new();
        let config =
            client::Config::new(Framing::Abridged).obfuscated(client::Obfuscation::default());
        client::Transport::new(&config, &mut Told([header, good].concat()), &mut wire).unwrap();
        assert_eq!(wire[..56], good[..56], "{header:02x?}");
    }
}

#[test]
fn the_full_framing_cannot_be_obfuscated() {
    let config = client::Config::new(Framing::Full).obfuscated(client::Obfuscation::default());
    let started = client::Transport::new(&config, &mut Told::default(), &mut Vec::new());
    assert!(matches!(started, Err(Error::Misuse(_))));
}

#[test]
fn a_secret_is_16_bytes_or_dd_and_16_bytes() {
    assert!(!Secret::from_bytes(&[0xdd; 16]).unwrap().requires_padding());
    assert!(Secret::from_bytes(&[0xdd; 17]).unwrap().requires_padding());
    for bytes in [
        &[][..],
        &[1; 15],
        &[1; 17],
        &[0xee; 17],
        &[0xee; 18],
        &[0xdd; 18],
    ] {
        assert_eq!(Secret::from_bytes(bytes), Err(BadSecret));
    }
    assert_eq!(
        Secret::from_hex(&"aB".repeat(16)),
        Secret::from_bytes(&[0xab; 16])
    );
    for text in [
        "",
        "a",
        "0x00",
        &"g0".repeat(16),
        &"a".repeat(31),
        &"+1".repeat(16),
    ] {
        assert_eq!(Secret::from_hex(text), Err(BadSecret), "{text}");
    }
    assert!(!format!("{:?}", other_secret(0xab)).contains("ab"));
}

/// A client and a server that has heard the client's header.
fn pair(
    framing: Framing,
    secret: Option<Secret>,
    config: server::Config,
) -> (client::Transport, server::Transport) {
    let mut wire = Vec::new();
    let obfuscation = client::Obfuscation { secret, dc: None };
    let client_config = client::Config::new(framing).obfuscated(obfuscation);
    let client =
        client::Transport::new(&client_config, &mut Told(vec![0x42; 64]), &mut wire).unwrap();
    let mut server = server::Transport::new(Arc::new(config));
    assert_eq!(hear(&mut server, [wire.as_slice()]).result, Ok(()));
    (client, server)
}

fn other_secret(byte: u8) -> Secret {
    Secret::from_bytes(&[byte; 16]).unwrap()
}

fn framing(case: &Value) -> Framing {
    match case["transport"].as_str().unwrap() {
        "abridged" => Framing::Abridged,
        "intermediate" => Framing::Intermediate,
        "padded" => Framing::PaddedIntermediate,
        other => panic!("{other}"),
    }
}

fn pairs(case: &Value, plain: &str, sealed: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    let plain = case[plain].as_array().unwrap().iter().map(unhex);
    plain
        .zip(case[sealed].as_array().unwrap().iter().map(unhex))
        .collect()
}

/// The padding of the vectors.
fn padding() -> Told {
    told_padding(&[0, 1, 2, 3, 4, 5, 6])
}

fn payload(framing: Framing, frame: &[u8]) -> &[u8] {
    match framing {
        Framing::Abridged if frame[0] == 0x7f => &frame[4..],
        Framing::Abridged => &frame[1..],
        Framing::Intermediate => &frame[4..],
        Framing::PaddedIntermediate => &frame[4..frame.len() - 7],
        Framing::Full => &frame[8..frame.len() - 4],
        Framing::Http => frame,
    }
}
