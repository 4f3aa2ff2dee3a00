//! The client's end: speaks the transport that its owner chose.
//!
//! ```text
//! (Asking: HTTP to WebSocket, or a TLS greeting) ──> Open: frames
//! ```

use heliogram_crypto::ctr::Aes256Ctr;
use rand_core::CryptoRng;

use super::detect::{ABRIDGED, INTERMEDIATE, PADDED};
use super::error::Error;
use super::fake_tls::{self, DisguisedSecret};
use super::frame::{Item, Splitter};
use super::obfuscated::{self, Streams};
use super::outgoing::{Outgoing, mask};
use super::secret::Secret;
use super::{Framing, Payload, websocket};
use crate::limits::FRAME_BYTES_MAX_CLIENT;
use crate::side::Client;

/// How to speak to a server.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The framing.
    pub framing: Framing,
    /// Obfuscation, if any. Within a WebSocket there always is one.
    pub obfuscation: Option<Obfuscation>,
    /// WebSocket, if any.
    pub websocket: Option<Endpoint>,
    /// TLS disguise, if any. The secret obfuscates the stream within.
    pub disguise: Option<Disguise>,
    /// Bytes of one payload from the server.
    pub frame_bytes_max: usize,
}

impl Config {
    /// Chooses a framing, and nothing around it.
    #[must_use]
    pub fn new(framing: Framing) -> Self {
        Self {
            framing,
            obfuscation: None,
            websocket: None,
            disguise: None,
            frame_bytes_max: FRAME_BYTES_MAX_CLIENT,
        }
    }

    /// Puts obfuscation around the framing.
    #[must_use]
    pub fn obfuscated(mut self, obfuscation: Obfuscation) -> Self {
        self.obfuscation = Some(obfuscation);
        self
    }

    /// Puts a WebSocket around everything.
    #[must_use]
    pub fn within(mut self, endpoint: Endpoint) -> Self {
        self.websocket = Some(endpoint);
        self
    }

    /// Disguises the connection. The framing becomes the padded one, obfuscated with the secret; the data centre stays as
    /// it was chosen.
    #[must_use]
    pub fn disguised(mut self, disguise: Disguise) -> Self {
        let dc = self.obfuscation.and_then(|it| it.dc);
        self.framing = Framing::PaddedIntermediate;
        self.obfuscation = Some(Obfuscation {
            secret: Some(disguise.secret.secret().clone()),
            dc,
        });
        self.disguise = Some(disguise);
        self
    }
}

/// A connection that looks like a browser's visit to a site.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "what the greeting holds")]
pub struct Disguise {
    /// The secret, with the site's name.
    pub secret: DisguisedSecret,
    /// Unix time in seconds, of the server's clock if that is known: it must not be far from it. An engine of
    /// [`crate::client`] sets it anew for each connection.
    pub unix_s: u32,
}

/// What an obfuscated stream's header says, and what it is sealed with.
#[derive(Clone, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "the header has room for no more")]
pub struct Obfuscation {
    /// Shared with the server, if it asks for one.
    pub secret: Option<Secret>,
    /// The data centre, for a proxy to route by: `+10000` for test, negative for media.
    pub dc: Option<i16>,
}

/// Where a WebSocket is asked for.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "an address")]
pub struct Endpoint {
    /// The `Host` header.
    pub host: String,
    /// The path: `/apiws`.
    pub path: String,
}

/// What comes from a server.
#[derive(Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new kind must break every driver at compile time"
)]
pub enum Incoming<'a> {
    /// A message, plain or encrypted.
    Payload(Payload<'a>),
    /// The server has the message whose token this is.
    QuickAck {
        /// High bit set.
        token: u32,
    },
    /// The server gives up; the connection is of no more use.
    Error {
        /// `-404`, `-429`, `-444` or another.
        code: i32,
    },
}

/// The transport of one connection.
#[derive(Debug)]
pub struct Transport {
    websocket: Option<Box<websocket::Reader<Client>>>,
    records: Option<Box<Records>>,
    state: State,
    failed: Option<Error>,
}

/// A disguised connection after its greeting.
#[derive(Debug, Default)]
struct Records {
    reader: fake_tls::Reader,
    /// The stream's header, until it goes out with the first message: alone, its length would tell.
    held: Vec<u8>,
    has_sent: bool,
}

impl Transport {
    /// Starts, and appends to `out` what the client says first.
    ///
    /// # Errors
    ///
    /// [`Error::Misuse`] if the framing is [`Framing::Http`], if it is [`Framing::Full`] and there is obfuscation or a
    /// WebSocket, if the secret requires padding and the framing has none, or if there is a WebSocket and a disguise.
    pub fn new(config: &Config, rng: &mut dyn CryptoRng, out: &mut Vec<u8>) -> Result<Self, Error> {
        let mut config = config.clone();
        let secret = config
            .obfuscation
            .as_ref()
            .and_then(|obfuscation| obfuscation.secret.as_ref());
        if config.framing != Framing::PaddedIntermediate
            && secret.is_some_and(Secret::requires_padding)
        {
            return Err(Error::Misuse("the secret requires padding"));
        }
        if config.framing == Framing::Http {
            return Err(Error::Misuse("only a server speaks HTTP"));
        }
        if config.framing == Framing::Full
            && (config.obfuscation.is_some() || config.websocket.is_some())
        {
            return Err(Error::Misuse("the full framing can't be obfuscated"));
        }
        let state = match (config.websocket.take(), config.disguise.take()) {
            (None, None) => State::Open(Open::new(&config, rng, false, out)?),
            (Some(Endpoint { host, path }), None) => {
                let answer = websocket::Asking::start(&host, &path, rng, out);
                State::Asking { answer, config }
            }
            (None, Some(Disguise { secret, unix_s })) => {
                let reply = fake_tls::Asking::start(secret, unix_s, rng, out);
                State::Greeting { reply, config }
            }
            (Some(_), Some(_)) => return Err(Error::Misuse("a WebSocket can't be disguised")),
        };
        Ok(Self {
            websocket: None,
            records: None,
            state,
            failed: None,
        })
    }

    /// Takes all that was read, and hands what is complete to `sink`, as slices of `input` where possible. Appends to
    /// `out` what is to be sent in answer on the transport's own level.
    ///
    /// # Errors
    ///
    /// Any [`Error`] but [`Error::TooShort`] and those of detection. It stays: each later call returns it again.
    pub fn decode<'a>(
        &mut self,
        input: &'a mut [u8],
        rng: &mut dyn CryptoRng,
        out: &mut Vec<u8>,
        sink: &mut dyn FnMut(Incoming<'a>),
    ) -> Result<(), Error> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let result = self.decode_all(input, rng, out, sink);
        self.failed = result.err();
        result
    }

    /// Appends a message; asks for a quick ack, if `quick_ack` and the framing has them.
    ///
    /// # Errors
    ///
    /// [`Error::Misuse`] before [`Self::is_ready`], for a payload that is empty, not a multiple of four bytes, or
    /// longer than the framing can say.
    pub fn encode(
        &mut self,
        payload: &[u8],
        quick_ack: bool,
        rng: &mut dyn CryptoRng,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let State::Open(open) = &mut self.state else {
            return Err(Error::Misuse("the connection is not open"));
        };
        let Some(records) = &mut self.records else {
            return open.outgoing.write_message(payload, quick_ack, rng, out);
        };
        let start = out.len();
        out.append(&mut records.held);
        open.outgoing.write_message(payload, quick_ack, rng, out)?;
        fake_tls::wrap(start, !records.has_sent, out);
        records.has_sent = true;
        Ok(())
    }

    /// Tells whether messages can be sent: at once, or as soon as the WebSocket is open or the greeting answered.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        matches!(self.state, State::Open(_))
    }

    /// Tells whether a frame has begun and is not complete.
    #[must_use]
    pub fn has_partial_frame(&self) -> bool {
        match &self.state {
            State::Asking { .. } | State::Greeting { .. } => false,
            State::Open(open) => !open.splitter.tail().is_empty(),
        }
    }

    fn decode_all<'a>(
        &mut self,
        mut input: &'a mut [u8],
        rng: &mut dyn CryptoRng,
        out: &mut Vec<u8>,
        sink: &mut dyn FnMut(Incoming<'a>),
    ) -> Result<(), Error> {
        if let State::Asking { answer, config } = &mut self.state {
            if !answer.take(&mut input)? {
                return Ok(());
            }
            let open = Open::new(config, rng, true, out)?;
            self.state = State::Open(open);
            self.websocket = Some(Box::new(websocket::Reader::new()));
        }
        if let State::Greeting { reply, config } = &mut self.state {
            if !reply.take(&mut input)? {
                return Ok(());
            }
            let mut records = Records::default();
            let open = Open::new(config, rng, false, &mut records.held)?;
            self.state = State::Open(open);
            self.records = Some(Box::new(records));
        }
        let mut below = Ok(());
        if let Some(records) = &mut self.records {
            let (kept, result) = records.reader.unwrap(input);
            input = input.get_mut(..kept).unwrap_or_default();
            below = result;
        }
        if let Some(websocket) = &mut self.websocket {
            let (kept, result) = websocket.unwrap(input, &mut || mask::<Client>(rng), out);
            input = input.get_mut(..kept).unwrap_or_default();
            below = result;
        }
        if let State::Open(open) = &mut self.state {
            open.decode(input, sink)?;
        }
        below
    }
}

#[derive(Debug)]
enum State {
    Asking {
        answer: websocket::Asking,
        config: Config,
    },
    Greeting {
        reply: fake_tls::Asking,
        config: Config,
    },
    Open(Open),
}

#[derive(Debug)]
struct Open {
    cipher: Option<Box<Aes256Ctr>>,
    splitter: Splitter<Client>,
    outgoing: Outgoing<Client>,
}

impl Open {
    /// Starts the stream: a prefix that names the framing, or an obfuscated header.
    fn new(
        config: &Config,
        rng: &mut dyn CryptoRng,
        is_websocket: bool,
        out: &mut Vec<u8>,
    ) -> Result<Self, Error> {
        let start = out.len();
        let mut streams = None;
        let plain = Obfuscation::default();
        match config
            .obfuscation
            .as_ref()
            .or(is_websocket.then_some(&plain))
        {
            Some(Obfuscation { secret, dc }) => {
                let proposed = obfuscated::propose(config.framing, secret.as_ref(), *dc, rng);
                let (header, both) =
                    proposed.ok_or(Error::Misuse("the full framing can't be obfuscated"))?;
                out.extend_from_slice(&header);
                streams = Some(both);
            }
            None => out.extend_from_slice(match config.framing {
                Framing::Abridged => &[ABRIDGED],
                Framing::Intermediate => &[INTERMEDIATE; 4],
                Framing::PaddedIntermediate => &[PADDED; 4],
                Framing::Full | Framing::Http => &[],
            }),
        }
        if is_websocket {
            websocket::wrap(start, mask::<Client>(rng), out);
        }
        let (incoming, outgoing) = match streams {
            Some(Streams { incoming, outgoing }) => (Some(incoming), Some(outgoing)),
            None => (None, None),
        };
        let mut splitter = Splitter::new(config.framing, config.frame_bytes_max);
        // The limit for strangers is a server's; a client chose its peer.
        splitter.trust();
        let outgoing = Outgoing::new(config.framing, outgoing, is_websocket);
        Ok(Self {
            cipher: incoming,
            splitter,
            outgoing,
        })
    }

    fn decode<'a>(
        &mut self,
        input: &'a mut [u8],
        sink: &mut dyn FnMut(Incoming<'a>),
    ) -> Result<(), Error> {
        if let Some(cipher) = &mut self.cipher {
            cipher.apply(input);
        }
        self.splitter.split(input, &mut |item| {
            sink(match item {
                Item::Payload(payload) => Incoming::Payload(payload),
                Item::QuickAck(token) => Incoming::QuickAck { token },
                Item::Code(code) => Incoming::Error { code },
            });
        })
    }
}
