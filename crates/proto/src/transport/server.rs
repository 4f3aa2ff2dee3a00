//! The server's end: finds out what the client speaks, then decodes it and answers in kind.
//!
//! ```text
//! (PROXY header) ──> Detecting ──> Open: frames
//!                     ^   │  └───> Skipping: an obfuscated stream that fits no secret is read and never answered
//!                     │   v
//!                   Upgrading: HTTP to WebSocket, which must carry an obfuscated stream
//! ```
//!
//! One wake-up of a connection is one call of [`Transport::decode`] with all that was read:
//!
//! ```
//! use heliogram_proto::transport::server::{Config, Transport};
//!
//! let mut transport = Transport::new(Config::default().into());
//! let mut read = *b"\xef\x05twenty bytes of text\x05twenty more of th";
//! let (mut payloads, mut out) = (Vec::new(), Vec::new());
//! transport.decode(&mut read, &mut out, &mut |payload| payloads.push(payload))?;
//! assert_eq!(payloads[0].bytes(), b"twenty bytes of text");
//! assert!(transport.has_partial_frame());
//! # Ok::<(), heliogram_proto::transport::Error>(())
//! ```

use core::net::SocketAddr;
use std::sync::Arc;

use heliogram_crypto::AuthKeyId;
use heliogram_crypto::ctr::Aes256Ctr;
use rand_core::CryptoRng;

use super::detect::{First, HEADER_BYTES, Served, classify};
use super::error::Error;
use super::frame::{Item, Splitter};
use super::obfuscated::{self, Accepted};
use super::outgoing::Outgoing;
use super::secret::Secret;
use super::{Framing, Payload, ProxyHeader, proxy_protocol, websocket};
use crate::limits::{FRAME_BYTES_MAX_SERVER, SKIPPED_BYTES_MAX};
use crate::side::Server;

/// What a listener serves. Made once and shared by its connections.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The four framings without obfuscation.
    pub plain: bool,
    /// Obfuscation without a secret.
    pub obfuscated: bool,
    /// Obfuscation with one of these secrets.
    pub secrets: Vec<Secret>,
    /// WebSocket.
    pub websocket: WebSocket,
    /// HTTP requests that bring messages; only where the plain framings are served.
    pub http: bool,
    /// Each connection begins with a `PROXY` header, version 1 or 2. Only for listeners that nobody but the proxy can
    /// reach: the header names the client's address, and is believed.
    pub proxy_header: bool,
    /// Bytes of one payload from a client that is [trusted](Transport::trust).
    pub frame_bytes_max: usize,
}

impl Default for Config {
    /// Serves everything that needs no secret and no proxy.
    fn default() -> Self {
        Self {
            plain: true,
            obfuscated: true,
            secrets: Vec::new(),
            websocket: WebSocket::Offered,
            http: true,
            proxy_header: false,
            frame_bytes_max: FRAME_BYTES_MAX_SERVER,
        }
    }
}

/// Whether a listener speaks WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "no, also, only")]
pub enum WebSocket {
    /// HTTP requests are turned away.
    Refused,
    /// A client may upgrade.
    Offered,
    /// A client must upgrade.
    Required,
}

/// The transport of one connection.
#[derive(Debug)]
pub struct Transport {
    config: Arc<Config>,
    websocket: Option<Box<websocket::Reader<Server>>>,
    state: State,
    announced: Option<Box<ProxyHeader>>,
    is_trusted: bool,
    failed: Option<Error>,
}

impl Transport {
    /// Starts with a client that has said nothing yet.
    #[must_use]
    pub fn new(config: Arc<Config>) -> Self {
        let state = if config.proxy_header {
            State::Announcing(proxy_protocol::Reader::default())
        } else {
            State::Detecting(Prefix::default())
        };
        Self {
            config,
            websocket: None,
            state,
            announced: None,
            is_trusted: false,
            failed: None,
        }
    }

    /// Takes all that was read, and hands each payload that is complete to `sink`, as a slice of `input` where
    /// possible. Appends to `out` what is to be sent in answer on the transport's own level.
    ///
    /// Reads nothing that stands behind an error; the payloads before it have been handed out.
    ///
    /// # Errors
    ///
    /// Any [`Error`] but [`Error::Misuse`]. It stays: each later call returns it again.
    pub fn decode<'a>(
        &mut self,
        input: &'a mut [u8],
        out: &mut Vec<u8>,
        sink: &mut dyn FnMut(Payload<'a>),
    ) -> Result<(), Error> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let result = self.decode_all(input, out, sink);
        self.failed = result.err();
        result
    }

    /// Appends a message: a sealed envelope, or a plain message.
    ///
    /// # Errors
    ///
    /// [`Error::Misuse`] before the client's transport is known, for a payload that is empty, not a multiple of four
    /// bytes, or longer than the framing can say.
    pub fn encode(
        &mut self,
        payload: &[u8],
        rng: &mut dyn CryptoRng,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        self.outgoing()?.write_message(payload, false, rng, out)
    }

    /// Appends a quick ack; nothing, where the framing has none. `token` has its high bit set.
    ///
    /// # Errors
    ///
    /// [`Error::Misuse`] before the client's transport is known.
    pub fn encode_quick_ack(
        &mut self,
        token: u32,
        rng: &mut dyn CryptoRng,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        self.outgoing()?.write_quick_ack(token, rng, out)
    }

    /// Appends a transport error: `-404`, `-429`, `-444`. To be followed by closing the connection. Appends nothing
    /// while there is no telling what the client would understand.
    pub fn encode_error(&mut self, code: i32, rng: &mut dyn CryptoRng, out: &mut Vec<u8>) {
        if let Ok(outgoing) = self.outgoing() {
            // Four bytes fit every framing.
            let _ = outgoing.write_error(code, rng, out);
        }
    }

    /// Lifts the limit of 4 KiB on payloads: call it when a message was authentic, or when the
    /// [claimed key](Self::claimed_key) exists. In the second case call [`Self::decode`] again, with no input.
    pub fn trust(&mut self) {
        self.is_trusted = true;
        self.pass_trust_on();
    }

    /// Returns the key that a frame names which is larger than a stranger may send. Nothing more is decoded, and
    /// nothing more should be read, before its owner [trusts](Self::trust) the client or closes the connection.
    #[must_use]
    pub fn claimed_key(&self) -> Option<AuthKeyId> {
        self.open()?.splitter.claim().filter(|_| !self.is_trusted)
    }

    /// Returns what the `PROXY` header said, once it has come.
    #[must_use]
    pub fn announced(&self) -> Option<ProxyHeader> {
        self.announced.as_deref().copied()
    }

    /// Returns the client's address as a `PROXY` header told it; `None` if there was none, or it left that open.
    #[must_use]
    pub fn announced_peer(&self) -> Option<SocketAddr> {
        self.announced()?.source
    }

    /// Returns how many bytes of memory are held for what has come and is not complete. None while a client is idle.
    #[must_use]
    pub fn buffered_bytes(&self) -> usize {
        match &self.state {
            State::Announcing(header) => header.buffered_bytes(),
            State::Upgrading(request) => request.buffered_bytes(),
            State::Open(open) => open.splitter.buffered_bytes(),
            State::Detecting(_) | State::Skipping { .. } => 0,
        }
    }

    /// Tells whether the `PROXY` header is still to come: until then the client's address is unknown.
    #[must_use]
    pub fn awaits_proxy_header(&self) -> bool {
        matches!(self.state, State::Announcing(_))
    }

    /// Tells whether the client has not yet shown a transport that is served. Must end within 10 seconds.
    #[must_use]
    pub fn is_detecting(&self) -> bool {
        self.open().is_none()
    }

    /// Tells whether a frame has begun and is not complete. Must end within 30 seconds of the frame's first byte:
    /// the clock starts anew whenever [`Self::decode`] has handed out a payload.
    #[must_use]
    pub fn has_partial_frame(&self) -> bool {
        self.open()
            .is_some_and(|open| !open.splitter.tail().is_empty())
    }

    /// Returns the client's framing, once it is known.
    #[must_use]
    pub fn framing(&self) -> Option<Framing> {
        Some(self.open()?.splitter.framing())
    }

    /// Tells whether the client came through a WebSocket.
    #[must_use]
    pub fn is_websocket(&self) -> bool {
        self.websocket.is_some()
    }

    /// Tells whether the stream is obfuscated.
    #[must_use]
    pub fn is_obfuscated(&self) -> bool {
        self.open().is_some_and(|open| open.cipher.is_some())
    }

    /// Returns the data centre that an obfuscated stream names: as in the key exchange `+10000` for test and negative
    /// for media. It is noise if the client names none, and a plain server ignores it.
    #[must_use]
    pub fn obfuscated_dc(&self) -> Option<i16> {
        self.open()?.obfuscated_dc
    }

    fn outgoing(&mut self) -> Result<&mut Outgoing<Server>, Error> {
        self.open_mut()
            .map(|open| &mut open.outgoing)
            .ok_or(Error::Misuse("the client's transport is not known"))
    }

    fn decode_all<'a>(
        &mut self,
        mut input: &'a mut [u8],
        out: &mut Vec<u8>,
        sink: &mut dyn FnMut(Payload<'a>),
    ) -> Result<(), Error> {
        if !self.reach_stream(&mut input, out)? {
            return Ok(());
        }
        let mut below = Ok(());
        if let Some(websocket) = &mut self.websocket {
            let (kept, result) = websocket.unwrap(input, &mut || None, out);
            input = input.get_mut(..kept).unwrap_or_default();
            below = result;
        }
        // What came before the WebSocket failed or closed is still worth having.
        self.decode_stream(input, sink)?;
        below
    }

    /// Goes through all that precedes the stream of an unknown client. `true` once `input` is that stream, or the
    /// WebSocket frames around it.
    fn reach_stream(&mut self, input: &mut &mut [u8], out: &mut Vec<u8>) -> Result<bool, Error> {
        loop {
            match &mut self.state {
                State::Announcing(reader) => {
                    let Some(header) = reader.take(input)? else {
                        return Ok(false);
                    };
                    self.announced = Some(Box::new(header));
                    self.state = State::Detecting(Prefix::default());
                }
                State::Upgrading(request) => {
                    if !request.take(input, out)? {
                        return Ok(false);
                    }
                    self.websocket = Some(Box::new(websocket::Reader::new()));
                    self.state = State::Detecting(Prefix::default());
                }
                State::Detecting(prefix) if self.websocket.is_none() => {
                    let Some(first) = prefix.fill(input, self.config.outer()) else {
                        return Ok(false);
                    };
                    self.state = open(first, prefix, &self.config)?;
                    self.pass_trust_on();
                }
                State::Detecting(_) | State::Open(_) | State::Skipping { .. } => return Ok(true),
            }
        }
    }

    fn decode_stream<'a>(
        &mut self,
        mut input: &'a mut [u8],
        sink: &mut dyn FnMut(Payload<'a>),
    ) -> Result<(), Error> {
        // Here only within a WebSocket.
        if let State::Detecting(prefix) = &mut self.state {
            let Some(_) = prefix.fill(&mut input, INNER) else {
                return Ok(());
            };
            let accepted = accept(prefix, &self.config).ok_or(Error::NotObfuscated)?;
            self.state = State::Open(Open::obfuscated(accepted, true, &self.config));
            self.pass_trust_on();
        }
        match &mut self.state {
            State::Announcing(_) | State::Detecting(_) | State::Upgrading(_) => Ok(()),
            State::Open(open) => open.decode(input, sink),
            State::Skipping { bytes } => {
                *bytes = bytes.saturating_add(input.len());
                if *bytes > SKIPPED_BYTES_MAX {
                    Err(Error::UnknownTransport)
                } else {
                    Ok(())
                }
            }
        }
    }

    fn pass_trust_on(&mut self) {
        let is_trusted = self.is_trusted;
        if let Some(open) = self.open_mut().filter(|_| is_trusted) {
            open.splitter.trust();
        }
    }

    fn open(&self) -> Option<&Open> {
        match &self.state {
            State::Open(open) => Some(open),
            State::Announcing(_)
            | State::Detecting(_)
            | State::Skipping { .. }
            | State::Upgrading(_) => None,
        }
    }

    fn open_mut(&mut self) -> Option<&mut Open> {
        match &mut self.state {
            State::Open(open) => Some(open),
            State::Announcing(_)
            | State::Detecting(_)
            | State::Skipping { .. }
            | State::Upgrading(_) => None,
        }
    }
}

impl Config {
    /// What may begin a connection.
    fn outer(&self) -> Served {
        if self.websocket == WebSocket::Required {
            return Served {
                plain: false,
                obfuscated: false,
                websocket: true,
                http: false,
            };
        }
        Served {
            plain: self.plain,
            obfuscated: self.obfuscated || !self.secrets.is_empty(),
            websocket: self.websocket == WebSocket::Offered,
            http: self.http && self.plain,
        }
    }
}

#[derive(Debug)]
enum State {
    Announcing(proxy_protocol::Reader),
    Detecting(Prefix),
    Open(Open),
    Skipping { bytes: usize },
    Upgrading(websocket::Upgrading),
}

/// The first bytes of a stream.
#[derive(Debug)]
struct Prefix {
    bytes: [u8; HEADER_BYTES],
    length: usize,
}

impl Default for Prefix {
    fn default() -> Self {
        Self {
            bytes: [0; HEADER_BYTES],
            length: 0,
        }
    }
}

impl Prefix {
    /// Moves bytes here from the front of `input` until they can be classified, and not one more.
    fn fill(&mut self, input: &mut &mut [u8], served: Served) -> Option<First> {
        loop {
            let First::Need(bytes) = classify(self.bytes(), served) else {
                return Some(classify(self.bytes(), served));
            };
            let missing = bytes.saturating_sub(self.length).min(input.len());
            if missing == 0 {
                return None;
            }
            let (taken, rest) = core::mem::take(input).split_at_mut_checked(missing)?;
            self.bytes
                .get_mut(self.length..)?
                .get_mut(..missing)?
                .copy_from_slice(taken);
            self.length += missing;
            *input = rest;
        }
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// A stream whose framing is known.
#[derive(Debug)]
struct Open {
    cipher: Option<Box<Aes256Ctr>>,
    splitter: Splitter<Server>,
    outgoing: Outgoing<Server>,
    obfuscated_dc: Option<i16>,
}

impl Open {
    fn plain(framing: Framing, config: &Config) -> Self {
        Self {
            cipher: None,
            splitter: Splitter::new(framing, config.frame_bytes_max),
            outgoing: Outgoing::new(framing, None, false),
            obfuscated_dc: None,
        }
    }

    fn obfuscated(accepted: Accepted, is_websocket: bool, config: &Config) -> Self {
        Self {
            cipher: Some(accepted.streams.incoming),
            splitter: Splitter::new(accepted.framing, config.frame_bytes_max),
            outgoing: Outgoing::new(
                accepted.framing,
                Some(accepted.streams.outgoing),
                is_websocket,
            ),
            obfuscated_dc: Some(accepted.dc),
        }
    }

    fn decode<'a>(
        &mut self,
        input: &'a mut [u8],
        sink: &mut dyn FnMut(Payload<'a>),
    ) -> Result<(), Error> {
        if let Some(cipher) = &mut self.cipher {
            cipher.apply(input);
        }
        self.splitter.split(input, &mut |item| {
            // A server's splitter finds nothing else.
            if let Item::Payload(payload) = item {
                sink(payload);
            }
        })
    }
}

/// Takes the step that the first bytes of a connection ask for.
fn open(first: First, prefix: &Prefix, config: &Config) -> Result<State, Error> {
    let framing = match first {
        First::Abridged => Framing::Abridged,
        First::Intermediate => Framing::Intermediate,
        First::PaddedIntermediate => Framing::PaddedIntermediate,
        First::Full => {
            let mut open = Open::plain(Framing::Full, config);
            let mut begun = *prefix
                .bytes()
                .first_chunk::<8>()
                .ok_or(Error::UnknownTransport)?;
            open.splitter.split(&mut begun, &mut |_| {})?;
            return Ok(State::Open(open));
        }
        First::Post => {
            let mut open = Open::plain(Framing::Http, config);
            let mut begun = *prefix
                .bytes()
                .first_chunk::<4>()
                .ok_or(Error::UnknownTransport)?;
            open.splitter.split(&mut begun, &mut |_| {})?;
            return Ok(State::Open(open));
        }
        First::Get => {
            let mut request = websocket::Upgrading::default();
            let mut begun = *prefix
                .bytes()
                .first_chunk::<4>()
                .ok_or(Error::UnknownTransport)?;
            request.take(&mut begun.as_mut_slice(), &mut Vec::new())?;
            return Ok(State::Upgrading(request));
        }
        First::Obfuscated => {
            return Ok(match accept(prefix, config) {
                Some(accepted) => State::Open(Open::obfuscated(accepted, false, config)),
                None => State::Skipping { bytes: 0 },
            });
        }
        First::Need(_) | First::Refused => return Err(Error::UnknownTransport),
    };
    Ok(State::Open(Open::plain(framing, config)))
}

/// Reads an obfuscated stream's header with all that may have sealed it.
fn accept(prefix: &Prefix, config: &Config) -> Option<Accepted> {
    let unsealed = config.obfuscated.then_some(None);
    obfuscated::accept(
        &prefix.bytes,
        unsealed.into_iter().chain(config.secrets.iter().map(Some)),
    )
}

/// What may begin the stream within a WebSocket.
const INNER: Served = Served {
    plain: false,
    obfuscated: true,
    websocket: false,
    http: false,
};
