//! A client as simple as can be: one key, one session, and whatever bytes a test wants to send.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use heliogram_crypto::AuthKey;
use heliogram_crypto::rsa_pad::Padding;
use heliogram_proto::cx::{Mono, Now, Unix};
use heliogram_proto::envelope::{self, Header, Message};
use heliogram_proto::exchange::client::{self as exchange, AwaitResPq, Made, Outcome};
use heliogram_proto::exchange::plain;
use heliogram_proto::ids::{MsgId, Salt, SeqNo, SessionId};
use heliogram_proto::side::Client as ClientSide;
use heliogram_proto::transport::Framing;
use heliogram_proto::transport::client::{Config, Incoming, Transport};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::server::RSA_KEY;

/// What a server says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Payload(Vec<u8>),
    QuickAck(u32),
    Error(i32),
    Closed,
}

/// A connection.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    transport: Transport,
    rng: ChaCha20Rng,
    events: VecDeque<Event>,
    next_msg_id: i64,
}

impl Client {
    /// Connects with the intermediate framing.
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::connect_as(address, Config::new(Framing::Intermediate)).await
    }

    /// Connects with any transport.
    pub(crate) async fn connect_as(address: SocketAddr, config: Config) -> Self {
        Self::over(TcpStream::connect(address).await.unwrap(), config).await
    }

    /// Speaks over a connection that may have said something already.
    pub(crate) async fn over(stream: TcpStream, config: Config) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(CLIENTS.fetch_add(1, Ordering::Relaxed));
        let mut out = Vec::new();
        let transport = Transport::new(&config, &mut rng, &mut out).unwrap();
        let mut client = Self {
            stream,
            transport,
            rng,
            events: VecDeque::new(),
            next_msg_id: 4,
        };
        client.stream.write_all(&out).await.unwrap();
        while !client.transport.is_ready() {
            assert!(client.read().await, "the server closed during the upgrade");
        }
        client
    }

    /// Sends a payload in a frame.
    pub(crate) async fn send(&mut self, payload: &[u8]) {
        let bytes = self.frame(payload, false);
        self.stream.write_all(&bytes).await.unwrap();
    }

    /// Makes a frame of a payload.
    pub(crate) fn frame(&mut self, payload: &[u8], quick_ack: bool) -> Vec<u8> {
        let mut out = Vec::new();
        self.transport
            .encode(payload, quick_ack, &mut self.rng, &mut out)
            .unwrap();
        out
    }

    /// Seals a message for the server.
    pub(crate) fn seal(&mut self, key: &AuthKey, body: &[u8]) -> Vec<u8> {
        let msg_id = MsgId(self.next_msg_id);
        self.next_msg_id += 4;
        let header = Header {
            salt: Salt(1),
            session_id: SessionId(2),
            msg_id,
            seqno: SeqNo(1),
        };
        let mut out = Vec::new();
        envelope::seal::<ClientSide>(key, &Message { header, body }, &mut out, &mut self.rng)
            .unwrap();
        out
    }

    /// Sends a message and returns the body that comes back.
    pub(crate) async fn echo(&mut self, key: &AuthKey, body: &[u8]) -> Vec<u8> {
        let sealed = self.seal(key, body);
        self.send(&sealed).await;
        self.message(key).await
    }

    /// Waits for a message and opens it.
    pub(crate) async fn message(&mut self, key: &AuthKey) -> Vec<u8> {
        match self.event().await {
            Event::Payload(mut sealed) => {
                let opened = envelope::open::<ClientSide>(key, &mut sealed).unwrap();
                opened.message.body.to_vec()
            }
            other @ (Event::QuickAck(_) | Event::Error(_) | Event::Closed) => {
                panic!("no message but {other:?}")
            }
        }
    }

    /// Waits for what the server says next.
    pub(crate) async fn event(&mut self) -> Event {
        loop {
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            if !self.read().await {
                return Event::Closed;
            }
        }
    }

    /// Sends the body of an unencrypted message.
    pub(crate) async fn ask(&mut self, body: &[u8]) {
        let payload = plain::build(MsgId(4), body);
        self.send(&payload).await;
    }

    /// Waits for the body of an unencrypted message.
    pub(crate) async fn answer(&mut self) -> Vec<u8> {
        match self.event().await {
            Event::Payload(payload) => plain::parse(&payload).unwrap().body.to_vec(),
            other @ (Event::QuickAck(_) | Event::Error(_) | Event::Closed) => {
                panic!("no answer but {other:?}")
            }
        }
    }

    /// Makes a key.
    pub(crate) async fn make_key(&mut self) -> Made {
        self.make_key_that_expires(None).await
    }

    /// Makes a key, temporary if it is to expire.
    pub(crate) async fn make_key_that_expires(&mut self, expires_in_s: Option<i32>) -> Made {
        let keys = vec![RSA_KEY.public().clone()];
        let config = exchange::Config {
            keys,
            dc: Some(2),
            expires_in_s,
            padding: Padding::RsaPad,
        };
        let (state, query) = AwaitResPq::begin(config, &mut self.rng);
        self.ask(&query).await;
        let job = state.handle(&self.answer().await).unwrap();
        let (state, query) = job.run(&mut self.rng).unwrap();
        self.ask(&query).await;
        let now = Now {
            mono: Mono(1),
            unix: Unix::from_seconds(1_700_000_000),
        };
        let job = state.handle(&self.answer().await, now).unwrap();
        let (state, query) = job.run(&mut self.rng).unwrap();
        self.ask(&query).await;
        match state.handle(&self.answer().await).unwrap() {
            Outcome::Made(made) => made,
            Outcome::Again(_) => panic!("a key that is there already"),
        }
    }

    /// Reads once; `false` at the end of the stream.
    async fn read(&mut self) -> bool {
        let mut buffer = vec![0; 1 << 16];
        let bytes = timeout(PATIENCE, self.stream.read(&mut buffer))
            .await
            .expect("the server says nothing");
        let Ok(bytes @ 1..) = bytes else { return false };
        let (transport, events) = (&mut self.transport, &mut self.events);
        let mut out = Vec::new();
        transport
            .decode(
                &mut buffer[..bytes],
                &mut self.rng,
                &mut out,
                &mut |incoming| {
                    events.push_back(match incoming {
                        Incoming::Payload(payload) => Event::Payload(payload.bytes().to_vec()),
                        Incoming::QuickAck { token } => Event::QuickAck(token),
                        Incoming::Error { code } => Event::Error(code),
                    });
                },
            )
            .unwrap();
        self.stream.write_all(&out).await.unwrap();
        true
    }
}

/// Sends bytes and returns all that comes until the server closes.
pub(crate) async fn exchange_bytes(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    until_closed(&mut stream).await
}

/// Returns all that comes until the server closes.
pub(crate) async fn until_closed(stream: &mut TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    // A reset is as good an end as any.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut answer))
        .await
        .expect("the server does not close");
    answer
}

/// Each client draws other numbers: a repeated nonce is a replay.
static CLIENTS: AtomicU64 = AtomicU64::new(0);

/// Longer than anything takes that works.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
