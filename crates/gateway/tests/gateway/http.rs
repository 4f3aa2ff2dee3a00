//! Clients that speak HTTP: a request brings one message, its response brings one back.

use heliogram_crypto::AuthKey;
use heliogram_proto::envelope;
use heliogram_proto::exchange::plain;
use heliogram_proto::ids::MsgId;
use heliogram_proto::side::Client as ClientSide;
use heliogram_tl::{Deserialize, Serialize, mtproto};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::client::{Client, PATIENCE, until_closed};
use crate::server::Server;

#[tokio::test]
async fn requests_carry_an_exchange_and_messages_and_a_large_first_one() {
    let server = Server::start().await;
    let mut client = Client::connect(server.address()).await;
    let key = client.make_key().await.key;

    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let query = mtproto::ReqPqMulti { nonce: [9; 16] }.to_bytes();
    let answer = post(&mut stream, &plain::build(MsgId(4), &query)).await;
    let answer = plain::parse(&answer).unwrap();
    let found = mtproto::ResPq::from_bytes(answer.body).unwrap();
    assert_eq!(found.nonce, [9; 16]);
    for body in [&b"in a request"[..], &[5; 600_000]] {
        let sealed = client.seal(&key, body);
        let answer = post(&mut stream, &sealed).await;
        assert_eq!(open(&key, answer), body);
    }
    assert!(server.sessions.seen().iter().all(|frame| frame.is_http));

    let mut other = TcpStream::connect(server.address()).await.unwrap();
    let sealed = client.seal(&key, &[6; 600_000]);
    let answer = post(&mut other, &sealed).await;
    assert_eq!(open(&key, answer), [6; 600_000]);
}

#[tokio::test]
async fn a_key_that_is_absent_and_a_request_that_is_wrong_get_a_status() {
    let server = Server::start().await;
    for (request, status) in [
        (head("/api", 40) + &"x".repeat(40), "404 Not Found"),
        (head("/other", 40), "400 Bad Request"),
    ] {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = String::from_utf8(until_closed(&mut stream).await).unwrap();
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}\r\n")),
            "{answer}"
        );
    }
}

async fn post(stream: &mut TcpStream, payload: &[u8]) -> Vec<u8> {
    let head = head("/api", payload.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(payload).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let byte = timeout(PATIENCE, stream.read_u8()).await;
        head.push(byte.expect("the server says nothing").unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    let length = head.split("Content-Length: ").nth(1).unwrap();
    let length = length.trim_ascii().parse().unwrap();
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    body
}

fn open(key: &AuthKey, mut sealed: Vec<u8>) -> Vec<u8> {
    let opened = envelope::open::<ClientSide>(key, &mut sealed).unwrap();
    opened.message.body.to_vec()
}

fn head(path: &str, length: usize) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n")
}
