//! What a peer may send that is wrong, and what it gets for it.

use std::time::Duration;

use heliogram_proto::exchange::plain;
use heliogram_proto::ids::MsgId;
use heliogram_tl::{Serialize, mtproto};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::client::{Client, Event, exchange_bytes, until_closed};
use crate::server::Server;

#[tokio::test]
async fn malformed_frames_of_the_vectors_are_closed_without_an_answer() {
    // One of them looks like an obfuscated stream, which is read in silence until its time is up.
    let server = Server::with(|config| config.link.detect_max = Duration::from_millis(300)).await;
    let vectors: serde_json::Value = serde_json::from_str(TRANSPORT_FRAMES).unwrap();
    let malformed = vectors["malformed"].as_array().unwrap();
    assert_eq!(malformed.len(), 8);
    for vector in malformed {
        let frame = from_hex(vector["hex"].as_str().unwrap());
        let prefix: &[u8] = match vector["transport"].as_str().unwrap() {
            "abridged" if frame[0] != 0xef => b"\xef",
            "intermediate" => b"\xee\xee\xee\xee",
            _ => b"",
        };
        let mut bytes = [prefix, &frame].concat();
        // The server waits for what it can tell the transport by.
        bytes.resize(bytes.len().max(64), 0);
        assert_eq!(
            exchange_bytes(server.address(), &bytes).await,
            b"",
            "{}",
            vector["why"]
        );
    }
}

#[tokio::test]
async fn a_4_byte_intermediate_frame_is_answered_with_404() {
    let server = Server::start().await;
    let answer = exchange_bytes(
        server.address(),
        b"\xee\xee\xee\xee\x04\0\0\0\x01\x02\x03\x04",
    )
    .await;
    assert_eq!(answer, NOT_FOUND_INTERMEDIATE);
}

#[tokio::test]
async fn an_empty_full_frame_is_closed_without_an_answer() {
    let server = Server::start().await;
    let mut frame = [&12_u32.to_le_bytes()[..], &[0; 4]].concat();
    frame.extend(crc32(&frame).to_le_bytes());
    assert_eq!(exchange_bytes(server.address(), &frame).await, b"");
}

#[tokio::test]
async fn set_client_dh_params_before_req_dh_params_is_answered_with_404() {
    let server = Server::start().await;
    let mut client = Client::connect(server.address()).await;
    let nonce = [3; 16];
    client.ask(&mtproto::ReqPqMulti { nonce }.to_bytes()).await;
    let answer = client.answer().await;
    let server_nonce = answer[20..36].try_into().unwrap();
    let early = mtproto::SetClientDhParams {
        nonce,
        server_nonce,
        encrypted_data: &[0; 336],
    };
    client.ask(&early.to_bytes()).await;
    assert_eq!(client.event().await, Event::Error(-404));
    assert_eq!(client.event().await, Event::Closed);
}

#[tokio::test]
async fn encrypted_data_of_16_bytes_is_answered_with_404() {
    let server = Server::start().await;
    let mut client = Client::connect(server.address()).await;
    let nonce = [4; 16];
    client.ask(&mtproto::ReqPqMulti { nonce }.to_bytes()).await;
    let answer = client.answer().await;
    let server_nonce = answer[20..36].try_into().unwrap();
    let short = mtproto::ReqDhParams {
        nonce,
        server_nonce,
        p: &[1, 2, 3, 4],
        q: &[1, 2, 3, 5],
        public_key_fingerprint: crate::server::RSA_KEY.public().fingerprint(),
        encrypted_data: &[0; 16],
    };
    client.ask(&short.to_bytes()).await;
    assert_eq!(client.event().await, Event::Error(-404));
    assert_eq!(client.event().await, Event::Closed);
}

#[tokio::test]
async fn truncated_envelopes_of_every_length_are_answered_with_404_and_empty_ones_with_nothing() {
    let server = Server::start().await;
    let mut client = Client::connect(server.address()).await;
    let key = client.make_key().await.key;
    let whole = client.seal(&key, b"it is whole, and long enough to be cut anywhere.");
    for length in (0..=64_usize).step_by(4) {
        let mut bytes = b"\xee\xee\xee\xee".to_vec();
        bytes.extend(u32::try_from(length).unwrap().to_le_bytes());
        bytes.extend(&whole[..length]);
        let answer = exchange_bytes(server.address(), &bytes).await;
        let expected: &[u8] = if length == 0 {
            b""
        } else {
            NOT_FOUND_INTERMEDIATE
        };
        assert_eq!(answer, expected, "{length} bytes");
    }
    for length in (0..=64_usize).filter(|length| length % 4 != 0) {
        let mut bytes = b"\xee\xee\xee\xee".to_vec();
        bytes.extend(u32::try_from(length).unwrap().to_le_bytes());
        bytes.extend(&whole[..length]);
        assert_eq!(
            exchange_bytes(server.address(), &bytes).await,
            b"",
            "{length} bytes"
        );
    }
    assert_eq!(server.sessions.seen().len(), 0);
}

#[tokio::test]
async fn a_changed_byte_anywhere_in_an_envelope_is_answered_with_404() {
    let server = Server::start().await;
    let mut client = Client::connect(server.address()).await;
    let key = client.make_key().await.key;
    let whole = client.seal(&key, b"sixteen letters!");
    for at in (8..whole.len()).step_by(7) {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        let mut client = Client::connect(server.address()).await;
        client.send(&changed).await;
        assert_eq!(client.event().await, Event::Error(-404), "byte {at}");
        assert_eq!(client.event().await, Event::Closed);
    }
}

#[tokio::test]
async fn length_prefixes_of_2_to_the_31_are_closed_without_an_answer() {
    let server = Server::start().await;
    for bytes in [
        &b"\xee\xee\xee\xee\0\0\0\x80"[..],
        b"\xee\xee\xee\xee\xff\xff\xff\x7f",
        b"\xdd\xdd\xdd\xdd\0\0\0\x80",
        b"\xdd\xdd\xdd\xdd\xff\xff\xff\x7f",
        b"\xef\x7f\xff\xff\xff",
        b"\0\0\0\x80\0\0\0\0",
        b"\xff\xff\xff\x7f\0\0\0\0",
    ] {
        let mut bytes = bytes.to_vec();
        // What follows is no key that anybody has, and no plain message either: the length alone decides.
        bytes.extend([0; 16]);
        assert_eq!(
            exchange_bytes(server.address(), &bytes).await,
            b"",
            "{bytes:02x?}"
        );
    }
}

#[tokio::test]
async fn an_unknown_key_is_answered_with_404_in_every_framing() {
    let server = Server::start().await;
    let envelope = [9; 72];
    let framed = |head: &[u8]| [head, &envelope].concat();
    let cases: [(Vec<u8>, &[u8]); 3] = [
        (framed(b"\xef\x12"), b"\x01\x6c\xfe\xff\xff"),
        (
            framed(b"\xee\xee\xee\xee\x48\0\0\0"),
            NOT_FOUND_INTERMEDIATE,
        ),
        (
            full(0, &envelope),
            b"\x10\0\0\0\0\0\0\0\x6c\xfe\xff\xff\x0d\x2f\x41\x07",
        ),
    ];
    for (bytes, expected) in cases {
        assert_eq!(exchange_bytes(server.address(), &bytes).await, expected);
    }
}

#[tokio::test]
async fn a_plain_message_that_is_no_query_is_answered_with_404() {
    let server = Server::start().await;
    let mut client = Client::connect(server.address()).await;
    client.ask(&[1, 2, 3, 4]).await;
    assert_eq!(client.event().await, Event::Error(-404));
}

#[tokio::test]
async fn a_plain_acknowledgement_is_ignored() {
    let server = Server::start().await;
    let mut client = Client::connect(server.address()).await;
    let ids = [1_i64, 2];
    let mut ack = mtproto::MsgsAck::ID.to_le_bytes().to_vec();
    ack.extend(0x1cb5_c415_u32.to_le_bytes());
    ack.extend(2_u32.to_le_bytes());
    ack.extend(ids.iter().flat_map(|id| id.to_le_bytes()));
    client.ask(&ack).await;
    client.make_key().await;
}

#[tokio::test]
async fn what_nobody_speaks_gets_no_answer() {
    let server = Server::start().await;
    assert_eq!(
        exchange_bytes(server.address(), b"\x16\x03\x01\x02\0\x01\0\x01\xfc").await,
        b""
    );
}

#[tokio::test]
async fn a_plain_message_of_more_than_4_kib_is_closed() {
    let server = Server::start().await;
    let mut client = Client::connect(server.address()).await;
    let mut body = mtproto::ReqPqMulti { nonce: [5; 16] }.to_bytes();
    body.resize(4096 - 20, 0);
    client.ask(&body).await;
    client.answer().await;

    body.resize(4096 - 20 + 4, 0);
    let large = plain::build(MsgId(4), &body);
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(b"\xee\xee\xee\xee").await.unwrap();
    stream
        .write_all(&u32::try_from(large.len()).unwrap().to_le_bytes())
        .await
        .unwrap();
    stream.write_all(&large).await.unwrap();
    assert_eq!(until_closed(&mut stream).await, b"");
}

fn full(seq: u32, payload: &[u8]) -> Vec<u8> {
    let total = u32::try_from(payload.len() + 12).unwrap();
    let mut frame = [&total.to_le_bytes()[..], &seq.to_le_bytes(), payload].concat();
    frame.extend(crc32(&frame).to_le_bytes());
    frame
}

/// The zlib polynomial, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    })
}

fn from_hex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

const TRANSPORT_FRAMES: &str = include_str!("../../../../testdata/vectors/transport_frames.json");

const NOT_FOUND_INTERMEDIATE: &[u8] = b"\x04\0\0\0\x6c\xfe\xff\xff";
