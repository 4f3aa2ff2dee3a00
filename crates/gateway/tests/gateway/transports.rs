//! Every transport, split and joined in every way, and the headers of proxies.

use std::net::SocketAddr;

use heliogram_gateway::Listener;
use heliogram_proto::edge::network::Network;
use heliogram_proto::exchange::client::Made;
use heliogram_proto::transport::client::{Config, Endpoint, Obfuscation};
use heliogram_proto::transport::{Framing, Secret};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::client::{Client, exchange_bytes, until_closed};
use crate::server::{Server, any_port};

#[tokio::test]
async fn every_framing_carries_an_exchange_and_messages() {
    let server = Server::start().await;
    for framing in [
        Framing::Abridged,
        Framing::Intermediate,
        Framing::PaddedIntermediate,
        Framing::Full,
    ] {
        let mut client = Client::connect_as(server.address(), Config::new(framing)).await;
        let key = client.make_key().await.key;
        assert_eq!(
            client.echo(&key, b"in plain").await,
            b"in plain",
            "{framing:?}"
        );
    }
}

#[tokio::test]
async fn obfuscation_with_and_without_a_secret_carries_an_exchange_and_messages() {
    let secret = Secret::from_bytes(&[7; 16]).unwrap();
    let server = Server::with(|config| {
        config
            .transport
            .secrets
            .push(Secret::from_bytes(&[7; 16]).unwrap());
    })
    .await;
    for framing in [
        Framing::Abridged,
        Framing::Intermediate,
        Framing::PaddedIntermediate,
    ] {
        for secret in [None, Some(secret.clone())] {
            let config = Config::new(framing).obfuscated(Obfuscation {
                secret,
                dc: Some(2),
            });
            let mut client = Client::connect_as(server.address(), config).await;
            let key = client.make_key().await.key;
            assert_eq!(
                client.echo(&key, b"in disguise.").await,
                b"in disguise.",
                "{framing:?}"
            );
        }
    }
}

#[tokio::test]
async fn frames_that_come_byte_by_byte_are_answered() {
    let server = Server::start().await;
    let key = Client::connect(server.address()).await.make_key().await.key;
    let mut client = Client::connect(server.address()).await;
    client.stream.set_nodelay(true).unwrap();
    let sealed = client.seal(&key, b"bit by bit..");
    for byte in client.frame(&sealed, false) {
        client.stream.write_all(&[byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(client.message(&key).await, b"bit by bit..");
}

#[tokio::test]
async fn a_websocket_carries_an_exchange_and_messages() {
    let server = websocket_server().await;
    let mut client = Client::connect_as(server.address(), websocket()).await;
    let key = client.make_key().await.key;
    assert_eq!(client.echo(&key, b"in a web").await, b"in a web");
}

#[tokio::test]
async fn frames_may_be_split_and_joined_across_websocket_messages_in_any_way() {
    let server = websocket_server().await;
    let Made { key, .. } = Client::connect_as(server.address(), websocket())
        .await
        .make_key()
        .await;
    let mut client = Client::connect_as(server.address(), websocket()).await;
    let mut stream = Vec::new();
    for number in 0..8_u32 {
        let sealed = client.seal(&key, &number.to_le_bytes());
        stream.extend(unmasked(&client.frame(&sealed, false)));
    }
    for chunk in stream.chunks(37) {
        client
            .stream
            .write_all(&websocket_message(chunk))
            .await
            .unwrap();
    }
    for number in 0..8_u32 {
        assert_eq!(client.message(&key).await, number.to_le_bytes());
    }

    let mut joined = Vec::new();
    for number in 8..16_u32 {
        let sealed = client.seal(&key, &number.to_le_bytes());
        joined.extend(unmasked(&client.frame(&sealed, false)));
    }
    client
        .stream
        .write_all(&websocket_message(&joined))
        .await
        .unwrap();
    for number in 8..16_u32 {
        assert_eq!(client.message(&key).await, number.to_le_bytes());
    }
}

#[tokio::test]
async fn a_websocket_listener_serves_nothing_else() {
    let server = websocket_server().await;
    assert_eq!(
        exchange_bytes(
            server.address(),
            b"\xee\xee\xee\xee\x04\0\0\0\x01\x02\x03\x04"
        )
        .await,
        b""
    );
    let plain = "GET /apiws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
    let answer = exchange_bytes(server.address(), plain.as_bytes()).await;
    assert!(
        answer.starts_with(b"HTTP/1.1 400 "),
        "without the subprotocol"
    );
}

#[tokio::test]
async fn a_proxy_header_of_either_version_announces_the_client() {
    let server = proxied_server(Network::LOOPBACK.to_vec()).await;
    for (header, expected) in [
        (
            b"PROXY TCP4 192.0.2.7 198.51.100.1 5000 443\r\n".to_vec(),
            Some("192.0.2.7:5000"),
        ),
        (b"PROXY UNKNOWN\r\n".to_vec(), None),
        (
            v2(
                0x21,
                0x11,
                &[192, 0, 2, 8, 198, 51, 100, 1, 0x13, 0x89, 1, 0xbb],
            ),
            Some("192.0.2.8:5001"),
        ),
        (v2(0x20, 0x00, &[]), None),
    ] {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        stream.write_all(&header).await.unwrap();
        let own = stream.local_addr().unwrap();
        let mut client = Client::over(stream, Config::new(Framing::Abridged)).await;
        let key = client.make_key().await.key;
        client.echo(&key, b"who am I").await;
        let expected: SocketAddr = expected.map_or(own, |text| text.parse().unwrap());
        assert_eq!(server.sessions.seen().last().unwrap().peer, expected);
    }
}

#[tokio::test]
async fn without_the_header_a_proxied_listener_closes() {
    let server = proxied_server(Network::LOOPBACK.to_vec()).await;
    assert_eq!(
        exchange_bytes(server.address(), b"\xef\x01\x01\x02\x03\x04").await,
        b""
    );
    assert_eq!(
        exchange_bytes(server.address(), b"PROXY TCP4 nonsense\r\n").await,
        b""
    );
}

#[tokio::test]
async fn a_header_of_a_stranger_is_not_believed() {
    let server = proxied_server(vec!["203.0.113.0/24".parse().unwrap()]).await;
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    assert_eq!(until_closed(&mut stream).await, b"");
}

async fn websocket_server() -> Server {
    Server::with(|config| config.listeners = vec![Listener::websocket(any_port())]).await
}

async fn proxied_server(proxies: Vec<Network>) -> Server {
    Server::with(|config| {
        config.listeners = vec![Listener {
            proxy_protocol: true,
            ..Listener::tcp(any_port())
        }];
        config.proxies = proxies;
    })
    .await
}

fn websocket() -> Config {
    let endpoint = Endpoint {
        host: "localhost".to_owned(),
        path: "/apiws".to_owned(),
    };
    Config::new(Framing::Intermediate)
        .obfuscated(Obfuscation::default())
        .within(endpoint)
}

fn v2(version_command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    [
        &b"\r\n\r\n\0\r\nQUIT\n"[..],
        &[version_command, family],
        &length,
        body,
    ]
    .concat()
}

/// Returns what a short masked WebSocket message carries.
fn unmasked(message: &[u8]) -> Vec<u8> {
    let (head, rest) = match message[1] & 0x7f {
        126 => message.split_at(4),
        _ => message.split_at(2),
    };
    assert_eq!(head[0], 0x82, "one binary message");
    let (mask, body) = rest.split_at(4);
    body.iter()
        .zip(mask.iter().cycle())
        .map(|(byte, mask)| byte ^ mask)
        .collect()
}

/// Makes a binary message of some bytes, masked with zeros.
fn websocket_message(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap();
    let head = match u8::try_from(length) {
        Ok(short @ 0..126) => vec![0x82, 0x80 | short],
        _ => [&[0x82, 0x80 | 126][..], &length.to_be_bytes()].concat(),
    };
    [&head[..], &[0; 4], bytes].concat()
}
