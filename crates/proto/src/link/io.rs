//! What a link is told, what it wants, and what limits it.

use core::net::SocketAddr;
use core::time::Duration;

use bytes::Bytes;

use crate::edge::keys::KeyOutcome;
use crate::ids::AuthKeyId;
use crate::limits;
use crate::port::{Frame, FromHost};
use crate::transport;

/// Time limits and sizes of one connection.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// From the start to knowing the transport.
    pub detect_max: Duration,
    /// From a frame's first byte to its last.
    pub frame_max: Duration,
    /// From the start to the first authentic message or the end of an exchange.
    pub handshake_max: Duration,
    /// Between two complete frames.
    pub idle_max: Duration,
    /// How long a frame waits for its key.
    pub key_wait_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            detect_max: limits::DETECT_MAX,
            frame_max: limits::FRAME_MAX,
            handshake_max: limits::HANDSHAKE_MAX,
            idle_max: limits::IDLE_MAX,
            key_wait_max: limits::KEY_WAIT_MAX,
        }
    }
}

/// What others tell a link.
#[derive(Clone, Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new input must break every driver at compile time"
)]
pub enum Input {
    /// The answer to [`Effect::LoadKey`]; again when the facts of a key that the link holds have changed.
    Key {
        /// Which key.
        id: AuthKeyId,
        /// What came of the look-up.
        outcome: KeyOutcome,
    },
    /// A key that the link holds may be no more: it is looked up again before the link's next frame, and held no longer until
    /// then.
    Doubted {
        /// Which key.
        id: AuthKeyId,
    },
    /// A key that the link holds is no more: its next frame closes the link, and the link holds it no longer.
    Revoked {
        /// Which key.
        id: AuthKeyId,
    },
    /// An envelope that was sealed for this link beside others: write it. The host's message in it was drained for this
    /// link; whatever is drained later is sent later.
    Sealed(Bytes),
    /// Something that the host said to this link and that could not be sealed beside others.
    Said(Box<FromHost>),
    /// The exchange answers with the body of an unencrypted message.
    Answer(Bytes),
    /// The exchange refuses this connection.
    Refuse {
        /// The transport error to send first, if any.
        code: Option<i32>,
    },
}

/// What a link wants done.
#[derive(Clone, Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new effect must break every driver at compile time"
)]
pub enum Effect {
    /// Write what was appended, then close. The last effect of a link.
    Close {
        /// Why.
        cause: Cause,
        /// The transport error that was appended, if any: give the peer time to read it.
        code: Option<i32>,
    },
    /// Hand this body of an unencrypted message to the exchange; [`Input::Answer`] or [`Input::Refuse`] may follow.
    Exchange {
        /// One object, and perhaps a tail.
        body: Vec<u8>,
        /// It starts an exchange: what limits by address count.
        starts: bool,
    },
    /// Hand an authentic message to the host of its session.
    Frame(Frame),
    /// Find a key; exactly one [`Input::Key`] must follow. From a [`KeyOutcome::Present`] on the link holds the key,
    /// until its owner gives back all of [`Link::held_keys`](super::Link::held_keys).
    LoadKey {
        /// Which key.
        id: AuthKeyId,
    },
    /// A proxy has announced the client's address. Limits by address hold for it from now on.
    Peer(SocketAddr),
}

/// Why a link closes. For logs and counters: the peer learns at most a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// The peer showed no transport in time.
    DetectTimeout,
    /// The exchange refused.
    Exchange,
    /// The peer did not complete a frame in time.
    FrameTimeout,
    /// The peer showed no key in time.
    HandshakeTimeout,
    /// The session's host said so.
    Host,
    /// The peer sent nothing for long.
    Idle,
    /// A message is malformed or not sealed with its key.
    InvalidMessage,
    /// The key is absent or has expired.
    KeyAbsent,
    /// The store could not find the key in time.
    KeyUnavailable,
    /// The peer has more under way than one connection may.
    TooMuch,
    /// The transport gave up.
    Transport(transport::Error),
}
