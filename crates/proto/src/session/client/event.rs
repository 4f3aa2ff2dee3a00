//! What a client's session tells its owner.

use bytes::Bytes;

use crate::ids::SessionId;
use crate::port::Reply;
use crate::session::Malformed;

/// What a client's session tells its owner. Each call ends with exactly one of [`Event::Answer`], [`Event::Refused`],
/// [`Event::TimedOut`] and [`Event::Uncertain`], unless its owner cancels it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new event must break every driver at compile time"
)]
pub enum Event {
    /// A call was answered.
    Answer {
        /// The number that [`Session::call`](crate::session::Session::call) gave.
        call: u64,
        /// The answer.
        reply: Reply,
    },
    /// The server has said what became of a call that was cancelled or took too long.
    Dropped {
        /// The call's number.
        call: u64,
        /// What became of it.
        fate: Fate,
    },
    /// The server refuses whatever is sent: [`Session::renew`](crate::session::Session::renew) the session, perhaps
    /// with a new key.
    GaveUp,
    /// The server has answered the wish to destroy the key.
    KeyDestroyed {
        /// What it did.
        outcome: KeyDestruction,
    },
    /// A message came so late that nobody can say whether it is a second copy. It was left out: updates may have been
    /// lost.
    Missed,
    /// The server has begun this session anew; updates may have been lost.
    NewSession,
    /// A ping came back.
    Pong {
        /// The number that was given to [`Session::ping`](crate::session::Session::ping).
        ping_id: i64,
    },
    /// A call that fits only the message that carried it was refused with that message, and not executed: its owner
    /// makes it anew. Only bindings of keys end so.
    Refused {
        /// The call's number.
        call: u64,
    },
    /// The session goes on under this identifier.
    Restarted {
        /// The new one.
        session_id: SessionId,
    },
    /// The server has answered the wish to destroy another session.
    SessionDestroyed {
        /// Which.
        session_id: SessionId,
        /// Whether there was one.
        was_there: bool,
    },
    /// A call was not answered in its time. The server is told to drop its answer.
    TimedOut {
        /// The call's number.
        call: u64,
    },
    /// Nobody can say whether a call was executed: its owner decides whether to call again.
    Uncertain {
        /// The call's number.
        call: u64,
    },
    /// An object that nobody asked for: one boxed object, unpacked. Those that come together come in the order in
    /// which the server made them.
    Update(Bytes),
}

/// What became of a call whose answer is not wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "what the protocol has")]
pub enum Fate {
    /// It had been answered; the answer is gone.
    Answered,
    /// It runs, and will not be answered.
    Running,
    /// The server knows nothing of it, or has its answer acknowledged.
    Unknown,
}

/// What became of a call that its owner has cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there is no other case")]
pub enum Cancelled {
    /// It was never sent, and never will be.
    NotSent,
    /// It was sent; the server is told to drop its answer.
    Sent,
    /// No such call waits.
    Unknown,
}

/// What a server has done about a key that was to be destroyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "what the protocol has")]
pub enum KeyDestruction {
    /// The key is gone.
    Destroyed,
    /// It is not allowed.
    Failed,
    /// There was no such key.
    Unknown,
}

/// A server's message can't be accepted: the connection is to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unacceptable {
    /// It is of another session.
    ForeignSession,
    /// Its identifier, or that of a message in it, is not a server's.
    IdLowBits,
    /// It can't be read.
    Malformed,
    /// It is too old.
    Stale,
}

impl core::fmt::Display for Unacceptable {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::ForeignSession => "the message is of another session",
            Self::IdLowBits => "the message's identifier is not a server's",
            Self::Malformed => "the message can't be read",
            Self::Stale => "the message is too old",
        })
    }
}

impl core::error::Error for Unacceptable {}

impl From<Malformed> for Unacceptable {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

/// More calls wait than the session holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "says all")]
pub struct TooManyCalls;

impl core::fmt::Display for TooManyCalls {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("too many calls wait for their answers")
    }
}

impl core::error::Error for TooManyCalls {}
