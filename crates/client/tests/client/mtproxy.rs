//! Clients behind an MTProxy: one made of the server roles of the protocol, with a secret of each kind.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use heliogram_client::{ConnectError, Lost, MtProxy, ProxySecret, Reconnect, Transport};
use heliogram_ports::random;
use heliogram_proto::client::Failure;
use heliogram_proto::transport::client::Config as ClientConfig;
use heliogram_proto::transport::fake_tls::{DisguisedSecret, recognize, write_reply};
use heliogram_proto::transport::{Framing, Secret, client, server};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::server::{Count, Server};

#[tokio::test]
async fn calls_go_through_a_proxy_with_a_secret_of_each_kind() {
    let server = Server::start();
    for secret in [PLAIN, PADDED, DISGUISED] {
        let relay = Relay::start(server.address, secret).await;
        let proxy = relay.link(secret).parse().unwrap();
        let client = server.client().mtproxy(proxy).connect().await.unwrap();
        assert_eq!(client.invoke(&Count(1)).await, Ok(1), "{secret}");
        client.shutdown().await;
        assert_eq!(relay.dc(), 2, "{secret}");
    }
}

#[tokio::test]
async fn a_proxy_reaches_data_centres_that_have_no_address_and_test_ones_by_their_own_numbers() {
    let server = Server::start();
    let relay = Relay::start(server.address, PADDED).await;
    let builder = || server.client().home(4).mtproxy(relay.proxy(PADDED));
    builder().exchange().await.unwrap();
    assert_eq!(relay.dc(), 4);
    builder().test_mode().exchange().await.unwrap();
    assert_eq!(relay.dc(), 10_004);
}

#[tokio::test]
async fn a_disguised_connection_that_is_cut_is_opened_again_with_a_greeting_of_its_own() {
    let server = Server::start();
    let relay = Relay::start(server.address, DISGUISED).await;
    let builder = server.client().mtproxy(relay.proxy(DISGUISED));
    let client = builder.connect().await.unwrap();
    for token in 1..4 {
        assert_eq!(client.invoke(&Count(token)).await, Ok(token));
        relay.cut();
    }
    client.shutdown().await;
    assert!(relay.connections() >= 3);
}

#[tokio::test]
async fn a_proxy_that_knows_another_secret_is_of_no_use() {
    let server = Server::start();
    let other = DISGUISED.replace("07", "08");
    let relay = Relay::start(server.address, DISGUISED).await;
    let builder = server.client().mtproxy(relay.proxy(&other));
    let outcome = builder.reconnect(twice()).connect().await;
    let lost = Lost::Failed(Failure::Unreachable);
    assert!(
        matches!(&outcome, Err(ConnectError::Failed(it)) if *it == lost),
        "{outcome:?}"
    );
    assert_eq!(relay.connections(), 3);
}

#[tokio::test]
async fn a_proxy_may_have_a_name() {
    let server = Server::start();
    let relay = Relay::start(server.address, PLAIN).await;
    let secret = PLAIN.parse().unwrap();
    let proxy = MtProxy::new("localhost", relay.address.port(), secret);
    server.client().mtproxy(proxy).exchange().await.unwrap();
}

#[tokio::test]
async fn what_a_proxy_does_not_take_is_said_at_once() {
    let server = Server::start();
    let websocket = Transport::WebSocket {
        framing: Framing::Intermediate,
        path: "/apiws".to_owned(),
    };
    let full = Transport::Tcp {
        framing: Framing::Full,
        obfuscation: None,
    };
    for transport in [websocket, full] {
        let proxy = MtProxy::new("127.0.0.1", 9, PLAIN.parse().unwrap());
        let builder = server.client().transport(transport).mtproxy(proxy);
        let error = builder.connect().await.unwrap_err();
        assert!(matches!(error, ConnectError::Misconfigured(_)), "{error}");
    }
}

const PLAIN: &str = "07070707070707070707070707070707";
const PADDED: &str = "dd07070707070707070707070707070707";
const DISGUISED: &str = "ee070707070707070707070707070707076578616d706c652e6f7267";

fn twice() -> Reconnect {
    Reconnect {
        first: Duration::from_millis(1),
        max: Duration::from_millis(1),
        attempts_max: Some(2),
        ..Reconnect::default()
    }
}

/// An MTProxy: takes obfuscation and disguise off, and hands messages on.
struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    target: SocketAddr,
    disguise: Option<DisguisedSecret>,
    config: Arc<server::Config>,
    connections: AtomicUsize,
    /// What the last client named.
    dc: AtomicI64,
    cut: tokio::sync::Notify,
}

impl Relay {
    async fn start(target: SocketAddr, secret: &str) -> Self {
        let (disguise, inner): (_, Secret) = match secret.parse().unwrap() {
            ProxySecret::Obfuscated(secret) => (None, secret),
            ProxySecret::Disguised(secret) => {
                let inner = secret.secret().clone();
                (Some(secret), inner)
            }
            other => panic!("{other:?}"),
        };
        let mut config = server::Config::default();
        (config.plain, config.obfuscated) = (false, false);
        config.secrets = vec![inner];
        let shared = Arc::new(Shared {
            target,
            disguise,
            config: Arc::new(config),
            connections: AtomicUsize::new(0),
            dc: AtomicI64::new(0),
            cut: tokio::sync::Notify::new(),
        });
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let relaying = Arc::clone(&shared);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                relaying.connections.fetch_add(1, Ordering::Relaxed);
                let shared = Arc::clone(&relaying);
                tokio::spawn(async move {
                    tokio::select! {
                        _ = shared.relay(stream) => {}
                        () = shared.cut.notified() => {}
                    }
                });
            }
        });
        Self {
            address,
            shared,
            accepting,
        }
    }

    fn link(&self, secret: &str) -> String {
        let port = self.address.port();
        format!("tg://proxy?server=127.0.0.1&port={port}&secret={secret}")
    }

    fn proxy(&self, secret: &str) -> MtProxy {
        self.link(secret).parse().unwrap()
    }

    fn dc(&self) -> i64 {
        self.shared.dc.load(Ordering::Relaxed)
    }

    fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }

    fn cut(&self) {
        self.shared.cut.notify_waiters();
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

impl Shared {
    async fn relay(&self, mut stream: TcpStream) -> std::io::Result<()> {
        if let Some(secret) = &self.disguise
            && !greet(secret, &mut stream).await?
        {
            return Ok(());
        }
        let (reader, mut writer) = stream.into_split();
        let mut from_client = Records {
            reader,
            is_disguised: self.disguise.is_some(),
            begun: Vec::new(),
        };
        let (mut from_server, mut to_server) = TcpStream::connect(self.target).await?.into_split();
        let mut down = server::Transport::new(Arc::clone(&self.config));
        let mut opening = Vec::new();
        let config = ClientConfig::new(Framing::Intermediate);
        let mut up = client::Transport::new(&config, &mut random::lend(), &mut opening).unwrap();
        to_server.write_all(&opening).await?;
        let mut buffer = vec![0; 64 << 10];
        loop {
            tokio::select! {
                bytes = from_client.read() => {
                    let mut bytes = bytes?;
                    let sent = upwards(&mut down, &mut up, &mut bytes);
                    if let Some(dc) = down.obfuscated_dc() {
                        self.dc.store(dc.into(), Ordering::Relaxed);
                    }
                    to_server.write_all(&sent).await?;
                }
                count = from_server.read(&mut buffer) => {
                    let sent = downwards(&mut up, &mut down, &mut buffer[..count?]);
                    if sent.is_empty() {
                        return Ok(());
                    }
                    write(&mut writer, &sent, self.disguise.is_some()).await?;
                }
            }
        }
    }
}

/// Answers a client's hello; `false` for anybody else, who would be shown a site.
async fn greet(secret: &DisguisedSecret, stream: &mut TcpStream) -> std::io::Result<bool> {
    let mut hello = vec![0; 5];
    stream.read_exact(&mut hello).await?;
    let length = usize::from(u16::from_be_bytes([hello[3], hello[4]]));
    hello.resize(5 + length, 0);
    stream.read_exact(&mut hello[5..]).await?;
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let Ok(visitor) = recognize(&hello, std::slice::from_ref(secret), now) else {
        return Ok(false);
    };
    let mut reply = Vec::new();
    write_reply(secret, &visitor, 1500, &mut random::lend(), &mut reply);
    stream.write_all(&reply).await?;
    Ok(true)
}

/// What a client sends, out of its records if it is disguised.
struct Records {
    reader: OwnedReadHalf,
    is_disguised: bool,
    /// Of a record that is not complete.
    begun: Vec<u8>,
}

impl Records {
    /// Reads something, or nothing of a record. May be dropped at any time and asked again.
    async fn read(&mut self) -> std::io::Result<Vec<u8>> {
        let mut bytes = vec![0; 64 << 10];
        let count = self.reader.read(&mut bytes).await?;
        bytes.truncate(count);
        if count == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if !self.is_disguised {
            return Ok(bytes);
        }
        self.begun.extend_from_slice(&bytes);
        let mut stream = Vec::new();
        while let Some(&[kind, 3, 3, high, low]) = self.begun.first_chunk() {
            let end = 5 + usize::from(u16::from_be_bytes([high, low]));
            let Some(body) = self.begun.get(5..end) else {
                break;
            };
            match kind {
                0x14 => assert_eq!(body, [1]),
                0x17 => stream.extend_from_slice(body),
                other => panic!("a record of kind {other}"),
            }
            self.begun.drain(..end);
        }
        Ok(stream)
    }
}

async fn write(to: &mut OwnedWriteHalf, bytes: &[u8], is_disguised: bool) -> std::io::Result<()> {
    if !is_disguised {
        return to.write_all(bytes).await;
    }
    for piece in bytes.chunks(2000) {
        let length = u16::try_from(piece.len()).unwrap().to_be_bytes();
        let record = [&[0x17, 3, 3], &length[..], piece].concat();
        to.write_all(&record).await?;
    }
    Ok(())
}

fn upwards(down: &mut server::Transport, up: &mut client::Transport, bytes: &mut [u8]) -> Vec<u8> {
    let (mut payloads, mut nothing, mut out) = (Vec::new(), Vec::new(), Vec::new());
    down.decode(bytes, &mut nothing, &mut |mut payload| {
        payloads.push(exact(payload.bytes_mut()).to_vec());
    })
    .unwrap();
    down.trust();
    for payload in payloads {
        up.encode(&payload, false, &mut random::lend(), &mut out)
            .unwrap();
    }
    out
}

fn downwards(
    up: &mut client::Transport,
    down: &mut server::Transport,
    bytes: &mut [u8],
) -> Vec<u8> {
    let (mut payloads, mut nothing, mut out) = (Vec::new(), Vec::new(), Vec::new());
    up.decode(bytes, &mut random::lend(), &mut nothing, &mut |incoming| {
        if let client::Incoming::Payload(mut payload) = incoming {
            payloads.push(payload.bytes_mut().to_vec());
        }
    })
    .unwrap();
    for payload in payloads {
        down.encode(&payload, &mut random::lend(), &mut out)
            .unwrap();
    }
    out
}

/// A message without what pads its frame.
fn exact(payload: &[u8]) -> &[u8] {
    let length = if payload[..8] == [0; 8] {
        20 + usize::try_from(u32::from_le_bytes(payload[16..20].try_into().unwrap())).unwrap()
    } else {
        24 + (payload.len() - 24) / 16 * 16
    };
    &payload[..length]
}
