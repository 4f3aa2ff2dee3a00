//! The server's end: finds out what the client speaks, then decodes it and answers in kind.
//!
//! ```text
//! Detecting ──> Open: frames
//!     └───────> Skipping: an obfuscated stream that fits no secret is read and never answered
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

use std::sync::Arc;

use heliogram_crypto::AuthKeyId;
use heliogram_crypto::ctr::Aes256Ctr;
use rand_core::CryptoRng;

use super::detect::{First, HEADER_BYTES, Served, classify};
use super::error::Error;
use super::frame::{Item, Splitter};
use super::outgoing::Outgoing;
use super::secret::Secret;
use super::{Framing, Payload, obfuscated};
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
    /// Bytes of one payload from a client that is [trusted](Transport::trust).
    pub frame_bytes_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { plain: true, obfuscated: true, secrets: Vec::new(), frame_bytes_max: FRAME_BYTES_MAX_SERVER }
    }
}

/// The transport of one connection.
#[derive(Debug)]
pub struct Transport {
    config: Arc<Config>,
    state: State,
    is_trusted: bool,
    failed: Option<Error>,
}

impl Transport {
    /// Starts with a client that has said nothing yet.
    #[must_use]
    pub fn new(config: Arc<Config>) -> Self {
        Self { config, state: State::Detecting(Prefix::default()), is_trusted: false, failed: None }
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
        let _ = &out;
        if let Some(error) = self.failed {
            return Err(error);
        }
        let result = self.decode_stream(input, sink);
        self.failed = result.err();
        result
    }

    /// Appends a message: a sealed envelope, or a plain message.
    ///
    /// # Errors
    ///
    /// [`Error::Misuse`] before the client's transport is known, for a payload that is empty, not a multiple of four
    /// bytes, or longer than the framing can say.
    pub fn encode(&mut self, payload: &[u8], rng: &mut dyn CryptoRng, out: &mut Vec<u8>) -> Result<(), Error> {
        self.outgoing()?.write_message(payload, false, rng, out)
    }

    /// Appends a quick ack; nothing, where the framing has none. `token` has its high bit set.
    ///
    /// # Errors
    ///
    /// [`Error::Misuse`] before the client's transport is known.
    pub fn encode_quick_ack(&mut self, token: u32, rng: &mut dyn CryptoRng, out: &mut Vec<u8>) -> Result<(), Error> {
        self.outgoing()?.write_quick_ack(token, rng, out)
    }

    /// Appends a transport error: `-404`, `-429`, `-444`. To be followed by closing the connection. Appends nothing
    /// while there is no telling what the client would understand.
    pub fn encode_error(&mut self, code: i32, rng: &mut dyn CryptoRng, out: &mut Vec<u8>) {
        if let Ok(outgoing) = self.outgoing() {
            // Four bytes fit every framing.
            let _ = outgoing.write_message(&code.to_le_bytes(), false, rng, out);
        }
    }

    /// Lifts the limit of 4 KiB on payloads: call it when a message was authentic, or when the
    /// [claimed key](Self::claimed_key) exists. In the second case call [`Self::decode`] again, with no input.
    pub fn trust(&mut self) {
        self.is_trusted = true;
        if let State::Open(open) = &mut self.state {
            open.splitter.trust();
        }
    }

    /// Returns the key that a frame names which is larger than a stranger may send. Nothing more is decoded, and
    /// nothing more should be read, before its owner [trusts](Self::trust) the client or closes the connection.
    #[must_use]
    pub fn claimed_key(&self) -> Option<AuthKeyId> {
        match &self.state {
            State::Open(open) => open.splitter.claim().filter(|_| !self.is_trusted),
            State::Detecting(_) | State::Skipping { .. } => None,
        }
    }

    /// Tells whether the client has not yet shown a transport that is served. Must end within 10 seconds.
    #[must_use]
    pub fn is_detecting(&self) -> bool {
        !matches!(self.state, State::Open(_))
    }

    /// Tells whether a frame has begun and is not complete. Must end within 30 seconds of the frame's first byte:
    /// the clock starts anew whenever [`Self::decode`] has handed out a payload.
    #[must_use]
    pub fn has_partial_frame(&self) -> bool {
        match &self.state {
            State::Open(open) => !open.splitter.tail().is_empty(),
            State::Detecting(_) | State::Skipping { .. } => false,
        }
    }

    /// Returns the client's framing, once it is known.
    #[must_use]
    pub fn framing(&self) -> Option<Framing> {
        match &self.state {
            State::Open(open) => Some(open.splitter.framing()),
            State::Detecting(_) | State::Skipping { .. } => None,
        }
    }

    /// Returns the data centre that an obfuscated stream names: as in the key exchange `+10000` for test and negative
    /// for media. It is noise if the client names none, and a plain server ignores it.
    #[must_use]
    pub fn obfuscated_dc(&self) -> Option<i16> {
        match &self.state {
            State::Open(open) => open.obfuscated_dc,
            State::Detecting(_) | State::Skipping { .. } => None,
        }
    }

    fn outgoing(&mut self) -> Result<&mut Outgoing, Error> {
        match &mut self.state {
            State::Open(open) => Ok(&mut open.outgoing),
            State::Detecting(_) | State::Skipping { .. } => Err(Error::Misuse("the client's transport is not known")),
        }
    }

    fn decode_stream<'a>(
        &mut self,
        mut input: &'a mut [u8],
        sink: &mut dyn FnMut(Payload<'a>),
    ) -> Result<(), Error> {
        if let State::Detecting(prefix) = &mut self.state {
            let served = Served {
                plain: self.config.plain,
                obfuscated: self.config.obfuscated || !self.config.secrets.is_empty(),
                websocket: false,
            };
            let Some(first) = prefix.fill(&mut input, served) else {
                return Ok(());
            };
            self.state = open(first, prefix, &self.config)?;
            if self.is_trusted {
                self.trust();
            }
        }
        match &mut self.state {
            State::Detecting(_) => Ok(()),
            State::Open(open) => open.decode(input, sink),
            State::Skipping { bytes } => {
                *bytes = bytes.saturating_add(input.len());
                if *bytes > SKIPPED_BYTES_MAX { Err(Error::UnknownTransport) } else { Ok(()) }
            }
        }
    }
}

#[derive(Debug)]
enum State {
    Detecting(Prefix),
    Open(Open),
    Skipping { bytes: usize },
}

/// The first bytes of a stream.
#[derive(Debug)]
struct Prefix {
    bytes: [u8; HEADER_BYTES],
    length: usize,
}

impl Default for Prefix {
    fn default() -> Self {
        Self { bytes: [0; HEADER_BYTES], length: 0 }
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
            self.bytes.get_mut(self.length..)?.get_mut(..missing)?.copy_from_slice(taken);
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
    outgoing: Outgoing,
    obfuscated_dc: Option<i16>,
}

impl Open {
    fn plain(framing: Framing, config: &Config) -> Self {
        Self {
            cipher: None,
            splitter: Splitter::new(framing, config.frame_bytes_max),
            outgoing: Outgoing::new(framing, None),
            obfuscated_dc: None,
        }
    }

    fn decode<'a>(&mut self, input: &'a mut [u8], sink: &mut dyn FnMut(Payload<'a>)) -> Result<(), Error> {
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

/// Takes the step that the first bytes ask for.
fn open(first: First, prefix: &Prefix, config: &Config) -> Result<State, Error> {
    let framing = match first {
        First::Abridged => Framing::Abridged,
        First::Intermediate => Framing::Intermediate,
        First::PaddedIntermediate => Framing::PaddedIntermediate,
        First::Full => {
            let mut open = Open::plain(Framing::Full, config);
            let mut begun = *prefix.bytes().first_chunk::<8>().ok_or(Error::UnknownTransport)?;
            open.splitter.split(&mut begun, &mut |_| {})?;
            return Ok(State::Open(open));
        }
        First::Obfuscated => {
            let unsealed = config.obfuscated.then_some(None);
            let secrets = unsealed.into_iter().chain(config.secrets.iter().map(Some));
            let Some(accepted) = obfuscated::accept(&prefix.bytes, secrets) else {
                return Ok(State::Skipping { bytes: 0 });
            };
            return Ok(State::Open(Open {
                cipher: Some(accepted.streams.incoming),
                splitter: Splitter::new(accepted.framing, config.frame_bytes_max),
                outgoing: Outgoing::new(accepted.framing, Some(accepted.streams.outgoing)),
                obfuscated_dc: Some(accepted.dc),
            }));
        }
        First::Get | First::Need(_) | First::Refused => return Err(Error::UnknownTransport),
    };
    Ok(State::Open(Open::plain(framing, config)))
}
