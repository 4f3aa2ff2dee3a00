//! The TLS disguise: its vectors, its checks, and a client and a server that meet in it.

use heliogram_crypto::curve25519::is_abscissa;
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use serde_json::Value;

use super::super::client::{Config, Disguise, Incoming, Transport};
use super::super::fake_tls::{self, DisguisedSecret, NotAClient, Replays, recognize, write_reply};
use super::super::{Error, Framing, server};
use super::support::{unhex as hex, vectors};

#[test]
fn hellos_of_others_are_recognised_in_their_time_and_by_their_secret() {
    let vectors = vectors("faketls");
    for part in ["cases", "second_producer"] {
        for case in vectors[part].as_array().unwrap() {
            let (hello, now) = (hex(&case["client_hello"]), time(case));
            let secrets = [other_secret(), secret(case)];
            let visitor = recognize(&hello, &secrets, now).unwrap();
            assert_eq!(visitor.secret, 1);
            assert!(recognize(&hello, &secrets, now + 600).is_ok());
            assert_eq!(recognize(&hello, &secrets, now + 601), Err(NotAClient));
            assert!(recognize(&hello, &secrets, now - 3).is_ok());
            assert_eq!(recognize(&hello, &secrets, now - 4), Err(NotAClient));
            assert_eq!(recognize(&hello, &secrets[..1], now), Err(NotAClient));
        }
    }
}

#[test]
fn hellos_that_must_not_be_accepted_are_not() {
    for case in vectors("faketls")["negative"].as_array().unwrap() {
        let hello = hex(&case["client_hello"]);
        let key = hex(&case["secret"]).try_into().unwrap();
        let secrets = [DisguisedSecret::new(&key, b"google.com").unwrap()];
        let now = case["now"].as_u64().unwrap();
        let mut replays = Replays::default();
        let mut accept = || {
            let visitor = recognize(&hello, &secrets, now)?;
            replays.admit(&visitor, now).then_some(()).ok_or(NotAClient)
        };
        if case["name"] == "replay" {
            assert_eq!(accept(), Ok(()));
        }
        assert_eq!(accept(), Err(NotAClient), "{}", case["name"]);
    }
}

#[test]
fn a_change_of_any_byte_of_a_hello_makes_a_stranger_of_its_sender() {
    let vectors = vectors("faketls");
    let case = &vectors["second_producer"][0];
    let (hello, secrets) = (hex(&case["client_hello"]), [secret(case)]);
    for at in 0..hello.len() {
        // The last four random bytes are the time.
        if (39..43).contains(&at) {
            continue;
        }
        let mut changed = hello.clone();
        changed[at] ^= 0x40;
        assert!(
            recognize(&changed, &secrets, time(case)).is_err(),
            "byte {at}"
        );
        assert!(recognize(&hello[..at], &secrets, time(case)).is_err());
    }
    let longer = [&hello[..], &[0]].concat();
    assert!(recognize(&longer, &secrets, time(case)).is_err());
}

#[test]
fn a_hello_of_another_domain_is_a_strangers() {
    let vectors = vectors("faketls");
    let case = &vectors["cases"][0];
    let key = hex(&case["secret"]).try_into().unwrap();
    let secrets = [DisguisedSecret::new(&key, b"example.org").unwrap()];
    let hello = hex(&case["client_hello"]);
    assert_eq!(recognize(&hello, &secrets, time(case)), Err(NotAClient));
}

#[test]
fn records_are_written_and_read_as_others_do() {
    for case in vectors("faketls")["records"].as_array().unwrap() {
        let (stream, wire) = (hex(&case["stream"]), hex(&case["wire"]));
        let mut out = vec![9];
        out.extend_from_slice(&stream);
        fake_tls::wrap(1, case["first"].as_bool().unwrap(), &mut out);
        assert_eq!(out[1..], wire);
        for step in [1, 7, wire.len()] {
            let mut reader = fake_tls::Reader::default();
            let mut read = Vec::new();
            for piece in wire.clone().chunks_mut(step) {
                let (kept, result) = reader.unwrap(piece);
                assert_eq!(result, Ok(()));
                read.extend_from_slice(&piece[..kept]);
            }
            assert_eq!(read, stream);
        }
    }
}

#[test]
fn a_record_of_16640_bytes_is_read_and_one_more_byte_is_too_large() {
    for (length, expected) in [(16_640_u16, Ok(())), (16_641, Err(Error::TooLarge))] {
        let [high, low] = length.to_be_bytes();
        let mut reader = fake_tls::Reader::default();
        assert_eq!(reader.unwrap(&mut [0x17, 3, 3, high, low]).1, expected);
    }
}

#[test]
fn records_of_other_kinds_and_versions_end_the_connection() {
    for header in [[0x15, 3, 3], [0x16, 3, 3], [0x17, 3, 1], [0x17, 2, 3]] {
        let mut bytes = [&header[..], &[0, 1, 0]].concat();
        let result = fake_tls::Reader::default().unwrap(&mut bytes).1;
        assert_eq!(result, Err(Error::BadRecord), "{header:?}");
    }
}

#[test]
fn a_client_and_a_server_meet_however_the_bytes_are_cut() {
    for step in [1, 64, 100_000] {
        let (mut rng, mut hello) = (ChaCha8Rng::seed_from_u64(3), Vec::new());
        let config = Config::new(Framing::Abridged).disguised(disguise());
        let mut client = Transport::new(&config, &mut rng, &mut hello).unwrap();
        assert!(!client.is_ready());
        assert!(
            client
                .encode(&[1; 40], false, &mut rng, &mut Vec::new())
                .is_err()
        );

        let secrets = [disguise().secret];
        let visitor = recognize(&hello, &secrets, NOW_S).unwrap();
        let mut reply = Vec::new();
        write_reply(&secrets[0], &visitor, 2500, &mut rng, &mut reply);
        assert!(receive(&mut client, &mut reply, step).is_empty());
        assert!(client.is_ready());

        let mut sent = Vec::new();
        client.encode(&[1; 40], false, &mut rng, &mut sent).unwrap();
        client
            .encode(&[2; 8000], false, &mut rng, &mut sent)
            .unwrap();
        assert_eq!(sent[..6], [0x14, 3, 3, 0, 1, 1]);
        let mut reader = fake_tls::Reader::default();
        let (kept, result) = reader.unwrap(&mut sent);
        assert_eq!(result, Ok(()));

        let config = server::Config {
            secrets: vec![secrets[0].secret().clone()],
            plain: false,
            ..server::Config::default()
        };
        let mut server = server::Transport::new(config.into());
        server.trust();
        let (mut payloads, mut out) = (Vec::new(), Vec::new());
        let inner = &mut sent[..kept];
        server
            .decode(inner, &mut out, &mut |it| {
                payloads.push(it.bytes().to_vec());
            })
            .unwrap();
        // The padded framing leaves its padding to whoever reads the payload.
        assert_eq!(payloads.len(), 2);
        assert!(payloads[0].starts_with(&[1; 40]) && payloads[0].len() < 40 + 16);
        assert!(payloads[1].starts_with(&[2; 8000]) && payloads[1].len() < 8000 + 16);

        let mut answer = Vec::new();
        server.encode(&[3; 5000], &mut rng, &mut answer).unwrap();
        fake_tls::wrap(0, false, &mut answer);
        let received = receive(&mut client, &mut answer, step);
        assert_eq!(received.len(), 1);
        assert!(received[0].starts_with(&[3; 5000]) && received[0].len() < 5000 + 16);
    }
}

#[test]
fn a_change_of_any_byte_of_a_reply_is_noticed() {
    let (mut rng, mut hello) = (ChaCha8Rng::seed_from_u64(3), Vec::new());
    let config = Config::new(Framing::Abridged).disguised(disguise());
    Transport::new(&config, &mut rng, &mut hello).unwrap();
    let secrets = [disguise().secret];
    let visitor = recognize(&hello, &secrets, NOW_S).unwrap();
    let mut reply = Vec::new();
    write_reply(&secrets[0], &visitor, 50, &mut rng, &mut reply);
    for at in 0..reply.len() {
        // The same hello each time, from the same randomness.
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut client = Transport::new(&config, &mut rng, &mut Vec::new()).unwrap();
        let mut changed = reply.clone();
        changed[at] ^= 1;
        let result = client.decode(&mut changed, &mut rng, &mut Vec::new(), &mut |_| {});
        assert!(result.is_err() || !client.is_ready(), "byte {at}");
    }
}

#[test]
fn servers_replies_of_the_vectors_are_accepted_by_the_client_that_asked() {
    for case in vectors("faketls")["cases"].as_array().unwrap() {
        let reply = hex(&case["server_hello"]);
        let random: [u8; 32] = hex(&case["client_random"]).try_into().unwrap();
        let mut zeroed = reply.clone();
        zeroed[11..43].fill(0);
        let key = hex(&case["secret"]);
        let signed = heliogram_crypto::hash::hmac_sha256(&key, &[&random, &zeroed]);
        assert_eq!(reply[11..43], signed);
        assert_eq!(signed.to_vec(), hex(&case["server_random"]));
    }
}

#[test]
fn our_hello_has_the_form_of_a_browsers() {
    for seed in 0..20 {
        let (mut rng, mut hello) = (ChaCha8Rng::seed_from_u64(seed), Vec::new());
        let config = Config::new(Framing::Abridged).disguised(disguise());
        Transport::new(&config, &mut rng, &mut hello).unwrap();
        let extensions = extensions(&hello);
        let kinds: Vec<_> = extensions.iter().map(|it| it.0).collect();
        let (first, last) = (kinds[0], *kinds.last().unwrap());
        assert!(is_grease(first) && is_grease(last) && first != last);
        let mut middle = kinds[1..kinds.len() - 1].to_vec();
        middle.sort_unstable();
        let expected = [
            0, 5, 10, 11, 13, 16, 18, 23, 27, 35, 43, 45, 51, 0x44cd, 0xfe0d, 0xff01,
        ];
        assert_eq!(middle, expected);
        let shares = &extensions.iter().find(|it| it.0 == 51).unwrap().1;
        assert_eq!(shares.len(), 1263);
        assert!(is_abscissa(shares[1231..].try_into().unwrap()));
    }
}

#[test]
fn a_websocket_can_not_be_disguised() {
    use super::super::client::Endpoint;
    let endpoint = Endpoint {
        host: "localhost".to_owned(),
        path: "/apiws".to_owned(),
    };
    let config = Config::new(Framing::Abridged)
        .within(endpoint)
        .disguised(disguise());
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    assert!(Transport::new(&config, &mut rng, &mut Vec::new()).is_err());
}

fn receive(client: &mut Transport, bytes: &mut [u8], step: usize) -> Vec<Vec<u8>> {
    let (mut rng, mut payloads) = (ChaCha8Rng::seed_from_u64(0), Vec::new());
    for piece in bytes.chunks_mut(step) {
        client
            .decode(piece, &mut rng, &mut Vec::new(), &mut |it| match it {
                Incoming::Payload(payload) => payloads.push(payload.bytes().to_vec()),
                Incoming::QuickAck { .. } | Incoming::Error { .. } => panic!("{it:?}"),
            })
            .unwrap();
    }
    payloads
}

fn extensions(hello: &[u8]) -> Vec<(u16, Vec<u8>)> {
    let ciphers = usize::from(u16::from_be_bytes([hello[76], hello[77]]));
    let mut rest = &hello[78 + ciphers + 4..];
    let mut extensions = Vec::new();
    while !rest.is_empty() {
        let kind = u16::from_be_bytes([rest[0], rest[1]]);
        let length = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
        extensions.push((kind, rest[4..4 + length].to_vec()));
        rest = &rest[4 + length..];
    }
    extensions
}

fn is_grease(kind: u16) -> bool {
    let [a, b] = kind.to_be_bytes();
    a == b && a & 15 == 10
}

fn disguise() -> Disguise {
    Disguise {
        secret: DisguisedSecret::new(&[5; 16], b"example.org").unwrap(),
        unix_s: u32::try_from(NOW_S).unwrap(),
    }
}

fn secret(case: &Value) -> DisguisedSecret {
    let key = hex(&case["secret"]).try_into().unwrap();
    DisguisedSecret::new(&key, case["domain"].as_str().unwrap().as_bytes()).unwrap()
}

fn other_secret() -> DisguisedSecret {
    DisguisedSecret::new(&[1; 16], b"google.com").unwrap()
}

fn time(case: &Value) -> u64 {
    case["unix_time"].as_u64().unwrap()
}

const NOW_S: u64 = 1_700_000_000;
