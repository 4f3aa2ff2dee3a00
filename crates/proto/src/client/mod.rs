//! A client of one data centre, without a socket: its keys, its session, one connection at a time, and how it comes
//! back.
//!
//! ```text
//!            Dial                  Connected                     key made, bound
//!   Down ───────────> Dialling ───────────────> Up: exchange ───────────────────> Up: session
//!    ^  wait                                       │                                │
//!    └─────────────────────────────────────────────┴── Disconnected, HangUp ────────┘
//! ```
//!
//! - With perfect forward secrecy, the default, the permanent key seals nothing but the binding of a temporary one, which
//!   is renewed before it ends; the session goes on under the new one.
//! - Calls may be made at any time: they wait for a connection and a key, and go out again after each reconnection.
//! - The owner has the socket, the clock, the entropy and the threads: it carries out every [`Effect`] and reports
//!   back by [`Input`]. Heavy arithmetic is a [`Work`] to be run elsewhere.
//!
//! Knows no API: calls and answers are bytes. Wrapping in `invokeWithLayer` and the like is its owner's.

mod exchange;
mod keys;
mod line;
mod on_input;
mod on_key;
#[cfg(test)]
mod tests;

pub use exchange::{Work, Worked};
pub use keys::Saved;

use core::fmt;
use core::time::Duration;

use bytes::Bytes;
use heliogram_crypto::rsa::PublicKey;
use heliogram_crypto::rsa_pad::Padding;

use crate::client::exchange::Exchange;
use crate::client::keys::Keys;
use crate::client::line::Line;
use crate::cx::{Cx, Mono};
use crate::ids::{Salt, SessionId};
use crate::reconnect::{Attempts, Policy};
use crate::session::Session;
use crate::session::client::{self, TooManyCalls};
use crate::side::Client;
use crate::transport;

/// How to reach a data centre, and what to make there. Make it with [`Config::new`] and change what differs.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// How to speak.
    pub transport: transport::client::Config,
    /// The server's RSA keys. Nothing from the network adds to them.
    pub server_keys: Vec<PublicKey>,
    /// The data centre addressed: `+10000` for test, negative for media-only. `None` names none.
    pub dc: Option<i32>,
    /// How the inner data of an exchange is padded: the old way only for servers that know no other.
    pub padding: Padding,
    /// Seconds that a temporary key is to live; `None` does without, and seals with the permanent key.
    pub temp_key_life_s: Option<i32>,
    /// How long to wait before dialling again.
    pub reconnect: Policy,
    /// How long a connection may take to open.
    pub connect_max: Duration,
    /// How long an answer to a query of an exchange may take.
    pub exchange_answer_max: Duration,
    /// How often to ping. A server that is not heard for one and a half times as long is given up.
    pub ping_every: Duration,
}

impl Config {
    /// Makes a configuration with a temporary key of a day.
    #[must_use]
    pub fn new(transport: transport::client::Config, server_keys: Vec<PublicKey>) -> Self {
        Self {
            transport,
            server_keys,
            dc: None,
            padding: Padding::RsaPad,
            temp_key_life_s: Some(86_400),
            reconnect: Policy::default(),
            connect_max: Duration::from_secs(10),
            exchange_answer_max: Duration::from_secs(15),
            ping_every: Duration::from_secs(60),
        }
    }
}

/// What a client is told.
#[derive(Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new input must break every driver at compile time"
)]
pub enum Input<'a> {
    /// The connection that was dialled is open.
    Connected,
    /// Bytes came. They are decrypted where they lie.
    Bytes(&'a mut [u8]),
    /// The connection is gone, or could not be opened.
    Disconnected,
    /// A piece of work is done.
    Worked(Worked),
}

/// What a client wants done.
#[derive(Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new effect must break every driver at compile time"
)]
pub enum Effect {
    /// Open a connection; report [`Input::Connected`] or [`Input::Disconnected`].
    Dial,
    /// Send these bytes.
    Send(Vec<u8>),
    /// Close the connection; nothing of it is to be reported any more.
    HangUp,
    /// Run this on a worker; report [`Input::Worked`].
    Work(Work),
    /// Keep this: it changes seldom, and is what the next start begins with.
    Keep(Saved),
    /// Tell the client's user.
    Tell(Event),
}

/// What a client's user is told.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new event must break every driver at compile time"
)]
pub enum Event {
    /// Calls go out from now on. `introduce` if the server does not know this client yet under its key: the next call
    /// is to be within `initConnection`.
    Ready {
        /// The key is new.
        introduce: bool,
    },
    /// The connection is gone; it is dialled again after this time.
    Lost {
        /// How long is waited.
        retry_in: Duration,
    },
    /// From the session.
    Session(client::Event),
    /// The server does not know the permanent key any more: whoever was signed in is not. A new key is being made.
    KeyLost,
    /// There is no way on; the client stays down.
    Failed(Failure),
}

/// Why a client gives up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// The server binds no temporary key, not even to a new permanent one.
    Binding,
    /// No key could be made in all tries; why the last one failed.
    Exchange(crate::exchange::client::Error),
    /// The policy allows no further try to connect.
    Unreachable,
    /// The server does not serve this data centre: `-444`.
    WrongDataCentre,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Binding => {
                f.write_str("the server binds no temporary key: does it support forward secrecy?")
            }
            Self::Exchange(error) => write!(f, "no key could be made: {error}"),
            Self::Unreachable => f.write_str("the server can't be reached"),
            Self::WrongDataCentre => f.write_str("the server does not serve this data centre"),
        }
    }
}

impl core::error::Error for Failure {}

/// A client of one data centre.
pub struct Engine {
    config: Config,
    keys: Keys,
    session: Session<Client>,
    line: Line,
    exchange: Option<Exchange>,
    /// Exchanges that failed in a row.
    failed_exchanges: u32,
    attempts: Attempts,
    /// Numbers pieces of work, so that a late one is known.
    works: u64,
    /// Times in a row that the server did not know the permanent key.
    refusals_of_key: u8,
    /// Temporary keys in a row that the server did not bind.
    failed_bindings: u8,
    /// Times in a row that the server did not serve the data centre.
    refusals_of_dc: u8,
    /// A message of the server's was authentic.
    has_met: bool,
    /// Bytes that the connection takes at once.
    room: usize,
}

impl Engine {
    /// Makes a client that is down. `saved` is what an earlier one had kept.
    #[must_use]
    pub fn new(config: Config, saved: Option<Saved>, session_id: SessionId) -> Self {
        let (salt, offset_ns) = saved
            .as_ref()
            .map_or((Salt(0), 0), |it| (it.salt, it.clock_offset_ns));
        let attempts = Attempts::new(config.reconnect);
        Self {
            keys: Keys::new(saved, config.temp_key_life_s),
            config,
            session: Session::<Client>::new(session_id, salt, offset_ns),
            line: Line::Down { dial_at: None },
            exchange: None,
            failed_exchanges: 0,
            attempts,
            works: 0,
            refusals_of_key: 0,
            failed_bindings: 0,
            refusals_of_dc: 0,
            has_met: false,
            room: usize::MAX,
        }
    }

    /// Connects, unless it has begun to.
    pub fn start(&mut self, cx: &mut Cx<'_, Effect>) {
        if matches!(self.line, Line::Down { .. }) {
            self.dial(cx);
        }
    }

    /// Says what is left to say, then hangs up for good: acknowledgements that wait go out.
    pub fn stop(&mut self, cx: &mut Cx<'_, Effect>) {
        self.send_waiting(usize::MAX, cx);
        self.come_down(cx);
        self.exchange = None;
    }

    /// Queues a call: one boxed method, to be answered by `due`. Returns the number by which its answer will be known.
    /// Goes out with what else is queued at [`Engine::flush`].
    ///
    /// # Errors
    ///
    /// [`TooManyCalls`] when as many wait as may.
    pub fn call(&mut self, body: Bytes, due: Mono) -> Result<u64, TooManyCalls> {
        self.session.call_until(body, due)
    }

    /// Queues a call as [`Engine::call`] does, which the server is to run after another (`invokeAfterMsg`). One that is over
    /// by the time this one goes out is not waited for.
    ///
    /// # Errors
    ///
    /// [`TooManyCalls`] when as many wait as may.
    pub fn call_after(
        &mut self,
        body: Bytes,
        due: Mono,
        earlier: u64,
    ) -> Result<u64, TooManyCalls> {
        self.session.call_after(body, due, earlier)
    }

    /// Gives up a call: no event tells of it any more. The server is told at [`Engine::flush`].
    pub fn cancel(&mut self, call: u64) {
        self.session.cancel(call);
    }

    /// Says how many bytes the connection takes without their having to wait for the peer: calls that are more stay queued,
    /// where they can be given up, until there is room and [`Engine::flush`] is called. Unlimited unless told. What is sent
    /// counts by itself; one message may be beyond.
    pub const fn set_room(&mut self, bytes: usize) {
        self.room = bytes;
    }

    /// Tells whether something stays queued for lack of room.
    #[must_use]
    pub fn is_held_back(&self, now: Mono) -> bool {
        self.room == 0 && self.is_ready() && self.session.has_output(now)
    }

    /// Sends what is queued, if there is a connection and a key.
    pub fn flush(&mut self, cx: &mut Cx<'_, Effect>) {
        self.settle(cx);
    }

    /// Takes one input.
    pub fn handle(&mut self, input: Input<'_>, cx: &mut Cx<'_, Effect>) {
        self.on_input(input, cx);
        self.settle(cx);
    }

    /// Returns when [`Engine::handle_deadline`] wants to be called.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Mono> {
        let session = if self.is_ready() && self.room > 0 {
            self.session.next_deadline()
        } else {
            // Everything else waits for a connection, or for room on it.
            self.session.next_timeout()
        };
        let all = [
            self.line.deadline(&self.config),
            self.exchange.as_ref().map(Exchange::deadline),
            self.keys.renew_at().filter(|_| self.may_renew()),
            self.keys.deadline(),
            session,
        ];
        all.into_iter().flatten().min()
    }

    /// Does what is due.
    pub fn handle_deadline(&mut self, cx: &mut Cx<'_, Effect>) {
        self.on_deadline(cx);
        self.settle(cx);
    }

    /// Returns how many calls wait for their answers.
    #[must_use]
    pub fn calls_waiting(&self) -> usize {
        self.session.calls_waiting()
    }

    /// Tells whether calls go out now.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        matches!(&self.line, Line::Up(up) if up.transport.is_ready()) && self.keys.is_ready()
    }
}

impl fmt::Debug for Engine {
    /// Calls and keys are nobody's business.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("is_ready", &self.is_ready())
            .field("calls_waiting", &self.calls_waiting())
            .finish_non_exhaustive()
    }
}
