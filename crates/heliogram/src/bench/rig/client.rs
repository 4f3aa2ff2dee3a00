//! The client's side of a measurement, made of the project's own: exchange, transport, envelopes and session.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use heliogram_crypto::AuthKey;
use heliogram_crypto::rsa::PublicKey;
use heliogram_crypto::rsa_pad::Padding;
use heliogram_ports::clock::Clock;
use heliogram_proto::cx::Cx;
use heliogram_proto::envelope::{self, Message};
use heliogram_proto::exchange::client::{AwaitResPq, Config, Outcome};
use heliogram_proto::exchange::plain;
use heliogram_proto::ids::{Salt, SessionId};
use heliogram_proto::session::Session;
use heliogram_proto::session::client::Event;
use heliogram_proto::side::Client;
use heliogram_proto::transport::Framing;
use heliogram_proto::transport::client::{Config as TransportConfig, Incoming, Transport};
use rand_chacha::ChaCha20Rng;
use rand_core::Rng;

use super::rng;

/// A connection without its session: a socket that blocks, and the intermediate framing.
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    transport: Transport,
    rng: ChaCha20Rng,
    clock: Clock,
}

impl Connection {
    /// Connects, and says which framing is spoken.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub(crate) fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let mut rng = rng()?;
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut out = Vec::new();
        let config = TransportConfig::new(Framing::Intermediate);
        let transport = Transport::new(&config, &mut rng, &mut out)?;
        stream.write_all(&out)?;
        Ok(Self {
            stream,
            transport,
            rng,
            clock: Clock::start(),
        })
    }

    /// Makes a key.
    ///
    /// # Errors
    ///
    /// Those of the system, and whatever the exchange finds wrong.
    pub(crate) fn make_key(&mut self, key: &PublicKey) -> anyhow::Result<(AuthKey, Salt)> {
        let (state, query) = AwaitResPq::begin(exchange_config(key), &mut self.rng);
        let answer = self.ask(&query)?;
        let (state, query) = state.handle(&answer)?.run(&mut self.rng)?;
        let answer = self.ask(&query)?;
        let group = state.handle(&answer, self.clock.now())?;
        let (mut state, mut query) = group.run(&mut self.rng)?;
        loop {
            let answer = self.ask(&query)?;
            match state.handle(&answer)? {
                Outcome::Made(made) => return Ok((made.key, made.first_salt)),
                Outcome::Again(round) => (state, query) = round.run(&mut self.rng)?,
            }
        }
    }

    /// Begins a session under a key.
    pub(crate) fn into_talker(mut self, key: AuthKey, salt: Salt) -> (TcpStream, Talker) {
        let id = SessionId(self.rng.next_u64().cast_signed() | 1);
        let talker = Talker {
            transport: self.transport,
            key,
            session: Session::<Client>::new(id, salt, 0),
            rng: self.rng,
            clock: self.clock,
        };
        (self.stream, talker)
    }

    /// Sends a message without a key; returns the body of the answer.
    fn ask(&mut self, body: &[u8]) -> anyhow::Result<Vec<u8>> {
        let id = plain::query_id(self.clock.now().unix, None);
        let mut out = Vec::new();
        let message = plain::build(id, body);
        self.transport
            .encode(&message, false, &mut self.rng, &mut out)?;
        self.stream.write_all(&out)?;
        let mut answer = Ok(None);
        let mut buffer = [0; 4096];
        while let Ok(None) = answer {
            let count = self.stream.read(&mut buffer)?;
            let read = buffer.get_mut(..count).filter(|read| !read.is_empty());
            let read = read.context("the server closed the connection")?;
            self.transport
                .decode(read, &mut self.rng, &mut Vec::new(), &mut |incoming| {
                    answer = plain_body(&incoming).map(Some);
                })?;
        }
        answer?.context("no answer")
    }
}

/// Says what an exchange is to make: a permanent key.
pub(crate) fn exchange_config(key: &PublicKey) -> Config {
    Config {
        keys: vec![key.clone()],
        dc: Some(2),
        expires_in_s: None,
        padding: Padding::RsaPad,
    }
}

fn plain_body(incoming: &Incoming<'_>) -> anyhow::Result<Vec<u8>> {
    match incoming {
        Incoming::Payload(payload) => Ok(plain::parse(payload.bytes())?.body.to_vec()),
        Incoming::QuickAck { .. } => bail!("a quick ack that nobody asked for"),
        Incoming::Error { code } => bail!("transport error {code}"),
    }
}

/// A session without its socket: what it writes and reads are bytes.
pub(crate) struct Talker {
    transport: Transport,
    key: AuthKey,
    session: Session<Client>,
    rng: ChaCha20Rng,
    clock: Clock,
}

impl Talker {
    /// Appends a frame with a ping.
    ///
    /// # Errors
    ///
    /// If something can't be sealed or framed.
    pub(crate) fn ping(&mut self, ping_id: i64, out: &mut Vec<u8>) -> anyhow::Result<()> {
        self.session.ping(ping_id, None);
        self.drain(out)
    }

    /// Appends a frame with a call.
    ///
    /// # Errors
    ///
    /// If something can't be sealed or framed, or too many calls wait.
    pub(crate) fn call(&mut self, query: Bytes, out: &mut Vec<u8>) -> anyhow::Result<()> {
        self.session.call(query)?;
        self.drain(out)
    }

    /// Appends what else the session has to say.
    ///
    /// # Errors
    ///
    /// If something can't be sealed or framed.
    pub(crate) fn drain(&mut self, out: &mut Vec<u8>) -> anyhow::Result<()> {
        let mut outgoing = Vec::new();
        self.session.drain(&mut Cx {
            now: self.clock.now(),
            rng: &mut self.rng,
            out: &mut outgoing,
        });
        let mut sealed = Vec::new();
        for it in outgoing {
            sealed.clear();
            let message = Message {
                header: it.header,
                body: &it.body,
            };
            envelope::seal::<Client>(&self.key, &message, &mut sealed, &mut self.rng)?;
            self.transport.encode(&sealed, false, &mut self.rng, out)?;
        }
        Ok(())
    }

    /// Tells whether the first frame is sealed with this session's key.
    pub(crate) fn is_for(&self, frames: &[u8]) -> bool {
        frames.get(4..12) == Some(&self.key.id().0.to_le_bytes())
    }

    /// Opens what came, and lets the session handle it; returns what it tells.
    ///
    /// # Errors
    ///
    /// If something came that an honest server does not send.
    pub(crate) fn receive(&mut self, bytes: &mut [u8]) -> anyhow::Result<Vec<Event>> {
        let (mut payloads, mut events) = (Vec::new(), Vec::new());
        self.transport
            .decode(bytes, &mut self.rng, &mut Vec::new(), &mut |incoming| {
                payloads.push(incoming);
            })?;
        for incoming in payloads {
            let Incoming::Payload(mut payload) = incoming else {
                bail!("not a message: {incoming:?}");
            };
            let opened = envelope::open::<Client>(&self.key, payload.bytes_mut())?;
            let mut cx = Cx {
                now: self.clock.now(),
                rng: &mut self.rng,
                out: &mut events,
            };
            self.session.handle(opened.message, &mut cx)?;
        }
        Ok(events)
    }
}

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);
