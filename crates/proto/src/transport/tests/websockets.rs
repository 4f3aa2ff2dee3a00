//! The WebSocket handshake and the stream within, end to end. Frames one by one: `websocket_frames.rs`.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::super::server::Transport;
use super::super::{Error, Framing, Reaction, client};
use super::support::{Told, Understood, hear, payloads, understand, vectors};

#[test]
fn the_handshake_is_written_and_answered_as_others_do() {
    let vector = &vectors("ws_http_proxy")["websocket"];
    let request = vector["request"].as_str().unwrap();
    let response = vector["response"].as_str().unwrap();
    let heard = hear(&mut Transport::new(Arc::default()), [request.as_bytes()]);
    assert_eq!(
        (heard.result, heard.out.as_slice()),
        (Ok(()), response.as_bytes())
    );

    let endpoint = client::Endpoint {
        host: "venus.web.telegram.org".to_owned(),
        path: "/apiws".to_owned(),
    };
    let config = client::Config::new(Framing::Intermediate).within(endpoint);
    let nonce = STANDARD.decode("dGhlIHNhbXBsZSBub25jZQ==").unwrap();
    let mut wire = Vec::new();
    let mut client = client::Transport::new(&config, &mut Told(nonce), &mut wire).unwrap();
    assert_eq!(wire, request.as_bytes());
    assert!(!client.is_ready());
    assert!(
        client
            .encode(&[1; 24], false, &mut Told::default(), &mut Vec::new())
            .is_err()
    );
    let mut out = Vec::new();
    let mut answer = response.as_bytes().to_vec();
    let result = client.decode(
        &mut answer,
        &mut Told(vec![0x42; 64]),
        &mut out,
        &mut |_| unreachable!(),
    );
    assert_eq!((result, client.is_ready()), (Ok(()), true));
    // One message: two bytes, the mask, the header of the obfuscated stream.
    assert_eq!((out.len(), &out[..2]), (2 + 4 + 64, &[0x82, 0x80 | 64][..]));
}

#[test]
fn both_ends_talk_through_a_websocket() {
    for framing in [
        Framing::Abridged,
        Framing::Intermediate,
        Framing::PaddedIntermediate,
    ] {
        let (mut client, mut server) = connected(framing);
        let mut wire = Vec::new();
        for bytes in [24, 40, 1000, 70_008] {
            client
                .encode(
                    &vec![1; bytes],
                    bytes == 40,
                    &mut Told::default(),
                    &mut wire,
                )
                .unwrap();
        }
        let heard = hear(&mut server, [wire.as_slice()]);
        assert_eq!(heard.result, Ok(()), "{framing:?}");
        let lengths: Vec<_> = heard
            .payloads
            .iter()
            .map(|(payload, flag)| (payload.len(), *flag))
            .collect();
        assert_eq!(
            lengths,
            [(24, false), (40, true), (1000, false), (70_008, false)],
            "{framing:?}"
        );
        let mut wire = Vec::new();
        server
            .encode_quick_ack(0x8000_0001, &mut Told::default(), &mut wire)
            .unwrap();
        server
            .encode(&[2; 40], &mut Told::default(), &mut wire)
            .unwrap();
        server.encode_error(-404, &mut Told::default(), &mut wire);
        let expected = vec![
            Understood::QuickAck(0x8000_0001),
            Understood::Payload(vec![2; 40]),
            Understood::Error(-404),
        ];
        assert_eq!(
            understand(&mut client, &wire),
            (expected, Ok(())),
            "{framing:?}"
        );
    }
}

#[test]
fn a_request_that_lacks_anything_is_refused_in_words() {
    let good = [
        "GET /apiws HTTP/1.1",
        "Host: a",
        "Upgrade: websocket",
        "Connection: keep-alive, Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Protocol: chat, binary",
    ];
    let ask = |lines: &[&str]| {
        let heard = hear(
            &mut Transport::new(Arc::default()),
            [(lines.join("\r\n") + "\r\n\r\n").as_bytes()],
        );
        (heard.result, String::from_utf8(heard.out).unwrap())
    };
    assert!(ask(&good).1.starts_with("HTTP/1.1 101 "));
    let lacking = |at: usize| {
        let mut lines = good.to_vec();
        lines.remove(at);
        lines
    };
    let with = |at: usize, line: &'static str| {
        let mut lines = good.to_vec();
        lines[at] = line;
        lines
    };
    for (lines, status) in [
        (lacking(1), "400"),
        (lacking(2), "400"),
        (lacking(3), "400"),
        (lacking(4), "400"),
        (lacking(5), "426"),
        (lacking(6), "400"),
        (with(0, "GET / HTTP/1.1"), "404"),
        (with(0, "GET /apiwsx HTTP/1.1"), "404"),
        (with(0, "GET /apiws_premium_test HTTP/1.1"), "404"),
        (with(0, "GET /apiws HTTP/1.0"), "400"),
        (with(0, "GET /apiws"), "400"),
        (with(3, "Connection: keep-alive"), "400"),
        (with(4, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j"), "400"),
        (with(4, "Sec-WebSocket-Key: *"), "400"),
        (with(5, "Sec-WebSocket-Version: 8"), "426"),
        (with(6, "Sec-WebSocket-Protocol: chat"), "400"),
    ] {
        let (result, answer) = ask(&lines);
        assert_eq!(result, Err(Error::BadHandshake), "{lines:?}");
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{lines:?}: {answer}"
        );
        assert!(answer.ends_with("\r\n\r\n"), "{answer}");
    }
    assert_eq!(Error::BadHandshake.reaction(), Reaction::CloseAfterFlush);
    for path in [
        "/apiws",
        "/apiws_test",
        "/apiws_premium",
        "/apiws_test_premium",
        "/apiws?x=1",
    ] {
        let request = format!("GET {path} HTTP/1.1");
        let mut lines = good.to_vec();
        lines[0] = &request;
        assert_eq!(ask(&lines).0, Ok(()), "{path}");
    }
}

#[test]
fn a_request_of_more_than_8_kib_is_refused() {
    let endless = "GET /apiws HTTP/1.1\r\nX: ".to_owned() + &"x".repeat(8 << 10);
    let heard = hear(&mut Transport::new(Arc::default()), [endless.as_bytes()]);
    assert_eq!(heard.result, Err(Error::BadHandshake));
    assert!(heard.out.starts_with(b"HTTP/1.1 431 "));
}

#[test]
fn a_client_refuses_an_answer_that_is_not_to_its_request() {
    let right = vectors("ws_http_proxy")["websocket"]["response"]
        .as_str()
        .unwrap()
        .to_owned();
    for (from, to) in [
        ("101", "200"),
        ("websocket", "h2c"),
        ("Connection: Upgrade", "Connection: close"),
        ("s3pP", "s3pQ"),
        ("binary", "chat"),
        ("Sec-WebSocket-Protocol: binary\r\n", ""),
        (
            "\r\n\r\n",
            "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
        ),
    ] {
        let endpoint = client::Endpoint {
            host: "a".to_owned(),
            path: "/apiws".to_owned(),
        };
        let config = client::Config::new(Framing::Abridged).within(endpoint);
        let nonce = STANDARD.decode("dGhlIHNhbXBsZSBub25jZQ==").unwrap();
        let mut client =
            client::Transport::new(&config, &mut Told(nonce), &mut Vec::new()).unwrap();
        let answer = right.replace(from, to);
        assert_ne!(answer, right);
        assert_eq!(
            understand(&mut client, answer.as_bytes()).1,
            Err(Error::BadHandshake),
            "{to}"
        );
    }
}

#[test]
fn what_is_not_obfuscated_within_a_websocket_closes() {
    let mut server = upgraded();
    let mut wire = vec![0x82, 0xc0, 0, 0, 0, 0];
    wire.extend_from_slice(&[0xee; 64]);
    assert_eq!(
        hear(&mut server, [wire.as_slice()]).result,
        Err(Error::NotObfuscated)
    );
}

#[test]
fn a_close_is_answered_after_what_came_before_it_was_delivered() {
    let (mut client, mut server) = connected(Framing::Intermediate);
    let mut wire = Vec::new();
    client
        .encode(&[1; 24], false, &mut Told::default(), &mut wire)
        .unwrap();
    wire.extend_from_slice(&[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8]);
    let heard = hear(&mut server, [wire.as_slice()]);
    assert_eq!(
        (heard.payloads, heard.result),
        (payloads(&[&[1; 24]]), Err(Error::Closed))
    );
    assert_eq!(heard.out, [0x88, 2, 0x03, 0xe8]);
    assert_eq!(Error::Closed.reaction(), Reaction::CloseAfterFlush);
}

#[test]
fn a_ping_between_the_parts_of_a_frame_is_answered() {
    let (mut client, mut server) = connected(Framing::Abridged);
    let mut whole = Vec::new();
    client
        .encode(&[1; 24], false, &mut Told::default(), &mut whole)
        .unwrap();
    // The mask of the test's generator is zero, so that the message can be cut in two.
    let (header, body) = whole.split_at(6);
    assert_eq!(header, [0x82, 0x80 | 25, 0, 0, 0, 0]);
    let mut wire = vec![0x02, 0x80 | 10, 0, 0, 0, 0];
    wire.extend_from_slice(&body[..10]);
    wire.extend_from_slice(&[0x89, 0x82, 1, 1, 1, 1, b'h' ^ 1, b'i' ^ 1]);
    wire.extend_from_slice(&[0x80, 0x80 | 15, 0, 0, 0, 0]);
    wire.extend_from_slice(&body[10..]);
    let heard = hear(&mut server, [wire.as_slice()]);
    assert_eq!(
        (heard.payloads, heard.result),
        (payloads(&[&[1; 24]]), Ok(()))
    );
    assert_eq!(heard.out, b"\x8a\x02hi");
}

/// A server that has answered the request.
fn upgraded() -> Transport {
    let mut server = Transport::new(Arc::default());
    server.trust();
    let request = vectors("ws_http_proxy")["websocket"]["request"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(hear(&mut server, [request.as_bytes()]).result, Ok(()));
    assert!(server.is_websocket() && server.is_detecting());
    server
}

/// Both ends of an open WebSocket.
fn connected(framing: Framing) -> (client::Transport, Transport) {
    let endpoint = client::Endpoint {
        host: "a".to_owned(),
        path: "/apiws".to_owned(),
    };
    let config = client::Config::new(framing).within(endpoint);
    let mut wire = Vec::new();
    let mut client = client::Transport::new(&config, &mut Told::default(), &mut wire).unwrap();
    let mut server = Transport::new(Arc::default());
    server.trust();
    let mut answer = hear(&mut server, [wire.as_slice()]).out;
    let mut opening = Vec::new();
    client
        .decode(
            &mut answer,
            &mut Told(vec![0x42; 64]),
            &mut opening,
            &mut |_| unreachable!(),
        )
        .unwrap();
    assert_eq!(hear(&mut server, [opening.as_slice()]).result, Ok(()));
    assert_eq!(server.framing(), Some(framing));
    (client, server)
}
