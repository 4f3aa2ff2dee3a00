//! A host of sessions, without a runtime: which sessions there are, whose turn it is, and when they end.
//!
//! ```text
//!            prepare          handle                      drain
//!  Frame ──────────> Prepared ──────> Session<Server> ──────────> Seal, QuickAck, Close
//!          no lock              │  ^                     ids are given here
//!                 Effect::Call  v  │ Input::Answer
//!                             backend
//! ```
//!
//! - An *identity* is the permanent key's id once a key is bound to one; sessions, salts, layer and client belong to it.
//! - A *term* is new whenever a host starts. Salts are derived from it, so that what was captured before is refused.
//! - A *link* is one connection at one gateway. A link may carry several sessions, a session may use several links.
//! - A call is handed out at most once per (identity, session, message) while the host lives.
//!
//! The caller owns locks and clocks: it shards hosts by identity, runs calls, wakes links that are [`Effect::Ready`].

mod attach;
mod binding;
mod calls;
mod census;
mod gone;
mod handover;
mod http;
mod identity;
mod link;
mod moved;
mod prepare;
mod pushes;
mod refused;
mod sessions;
mod timers;
pub mod wire;

pub use crate::session::Tally;
pub use census::Census;
pub use handover::Handover;
pub use prepare::{PreparedAnswer, PreparedFrame};
pub use pushes::PreparedPush;

use heliogram_crypto::SecretBytes;
use std::collections::BTreeMap;

use crate::cx::{Cx, Mono};
use crate::exchange::binding::{Claim, Error};
use crate::host::gone::Gone;
use crate::host::identity::Owned;
use crate::host::link::Link;
use crate::host::moved::Moved;
use crate::host::pushes::Users;
use crate::host::timers::{Timer, Timers};
use crate::ids::{AuthKeyId, Identity, LinkId, MsgId, SessionId, Term};
use crate::port::{Attach, Call, FromHost, KeyFacts};
use crate::session::msg_id::Generator;
use crate::session::salts::SaltSource;
use crate::session::server;

/// How a host is set up.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The term of this host: greater than that of any host before it that owned the same keys.
    pub term: Term,
    /// What salts are derived from. Lives with the keys at rest.
    pub salt_secret: SecretBytes<32>,
    /// The applications that may connect; `None` for any.
    pub api_ids: Option<Vec<i32>>,
}

impl Config {
    /// Makes a configuration that lets any application connect.
    #[must_use]
    pub const fn new(term: Term, salt_secret: SecretBytes<32>) -> Self {
        Self {
            term,
            salt_secret,
            api_ids: None,
        }
    }
}

/// What a host is told.
#[derive(Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new input must break every driver at compile time"
)]
pub enum Input {
    /// A message came.
    Frame(PreparedFrame),
    /// A gateway brings back a connection of a session.
    Attach(Attach),
    /// A connection is gone.
    Detach {
        /// Which.
        link: LinkId,
    },
    /// The backend answered a call.
    Answer {
        /// Which.
        call: CallId,
        /// How.
        answer: PreparedAnswer,
    },
    /// The backend pushes an update. Targets that this host does not own are passed over.
    Push(PreparedPush),
    /// The backend says who has logged in with a key. Nothing if this host does not own it.
    User {
        /// Whose sessions.
        identity: Identity,
        /// Who; nobody after a log-out.
        user: Option<i64>,
        /// What made the backend say it.
        learned: Learned,
    },
    /// What came of [`Effect::Bind`].
    Bound {
        /// The request.
        call: CallId,
        /// What the temporary key is now, or why it is not bound.
        outcome: Result<KeyFacts, Error>,
    },
    /// What came of [`Effect::DestroyKey`].
    Destroyed {
        /// Who asked.
        asked: Asked,
        /// The keys that are no more; `None` if the store can't say now.
        keys: Option<Vec<AuthKeyId>>,
    },
    /// Keys are no more. Said to the owner of their identity, and to that of each as an identity of its own.
    Revoked {
        /// Whose they were.
        identity: Identity,
        /// Which.
        keys: Vec<AuthKeyId>,
    },
    /// Sessions come from the owner of a temporary key.
    TakeOver(Box<Handover>),
    /// What came of [`Effect::HandOver`]: it is done.
    TakenOver {
        /// The temporary key.
        key: AuthKeyId,
    },
}

impl Input {
    /// Returns the connections that wait for what it brings about: if it is lost, they are to be closed.
    #[must_use]
    pub fn links(&self) -> Vec<LinkId> {
        match self {
            Self::Frame(frame) => vec![frame.link()],
            Self::Attach(attach) => vec![attach.link],
            Self::TakeOver(handover) => handover.links(),
            // Their sessions, if they had any, have ended with their owner.
            Self::Answer { .. }
            | Self::Bound { .. }
            | Self::Destroyed { .. }
            | Self::Detach { .. }
            | Self::Push(_)
            | Self::Revoked { .. }
            | Self::TakenOver { .. }
            | Self::User { .. } => Vec::new(),
        }
    }
}

/// What made a backend say who has logged in with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a host treats each in its own way")]
pub enum Learned {
    /// Somebody logged in or out.
    Told,
    /// [`Effect::FindUser`] asked, and no call has been handed out since. What was told meanwhile is newer.
    Found,
    /// [`Effect::FindUser`] asked, and calls may have been handed out since: updates may have been missed.
    FoundLate,
}

/// What a host wants done.
#[derive(Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new effect must break every driver at compile time"
)]
pub enum Effect {
    /// There is something to drain for a link. Said once until it is drained.
    Ready {
        /// Which.
        link: LinkId,
    },
    /// Run this call and give its answer back.
    Call {
        /// By which the answer is matched.
        id: CallId,
        /// What to run.
        call: Call,
    },
    /// Nobody waits for this call's answer any more.
    Cancel {
        /// Which.
        id: CallId,
    },
    /// One push has reached many links that had nothing to drain before: as [`Effect::Ready`] for each of them. An edge
    /// seals them in batches.
    Fanout {
        /// Which.
        links: Vec<LinkId>,
    },
    /// A key is used that this host did not know: ask the backend who has logged in with it. [`Input::User`] may follow.
    FindUser {
        /// Whose sessions.
        identity: Identity,
    },
    /// Find the permanent key, have [`verify`](crate::exchange::binding::verify) check the claim, record the binding, and
    /// say what came of it: exactly one [`Input::Bound`] must follow.
    Bind {
        /// The request.
        id: CallId,
        /// What it says.
        claim: Claim,
    },
    /// Destroy the temporary keys of a permanent one, tell their owners with [`Input::Revoked`], then answer the call by
    /// `boolTrue`.
    DropKeys {
        /// The request.
        id: CallId,
        /// The permanent key.
        perm: AuthKeyId,
        /// Those to be spared.
        except: Vec<AuthKeyId>,
    },
    /// Destroy an identity's key and all that is bound to it: exactly one [`Input::Destroyed`] must follow, and then an
    /// [`Input::Revoked`] to the owner of each key as an identity of its own.
    DestroyKey {
        /// Who asked; its identity names the key.
        asked: Asked,
    },
    /// Give these sessions to the host that owns [`Handover::to`], as [`Input::TakeOver`].
    HandOver(Box<Handover>),
    /// Tell the owner of this temporary key with [`Input::TakenOver`], and every gateway, that it is bound.
    TakenOver {
        /// What it is now.
        key: KeyFacts,
    },
    /// Give this to the host that owns `to`: a frame whose gateway does not know that its key is bound, unless its
    /// connection is gone, or an answer to a call that was handed over. Tell the gateway of a frame's key.
    Forward {
        /// Whose it is.
        to: Identity,
        /// What came.
        input: Box<Input>,
    },
}

/// Who has asked for the end of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Whose key: the permanent one's id.
    pub identity: Identity,
    session_id: SessionId,
    link: LinkId,
    /// The key to seal the answer with.
    key: AuthKeyId,
}

/// One execution of a call. The first three are its idempotency key; the last keeps the answer from a later
/// incarnation of the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId {
    /// Whose session.
    pub identity: Identity,
    /// The session.
    pub session_id: SessionId,
    /// The message that carried the call.
    pub msg_id: MsgId,
    incarnation: i64,
}

/// The sessions of the identities that one host owns.
#[derive(Debug)]
pub struct Host {
    source: SaltSource,
    api_ids: Option<Vec<i32>>,
    /// Boxed: a tree's nodes are half empty.
    identities: BTreeMap<Identity, Box<Owned>>,
    links: BTreeMap<LinkId, Box<Link>>,
    /// Who has logged in with which keys.
    users: Users,
    timers: Timers,
    moved: Moved,
    gone: Gone,
    /// Makes the ids of what is sent outside of sessions. A session's go on above it, and it goes on above those of a
    /// session that ends, so that a client never gets two messages with one id.
    ids: Generator,
    tally: Tally,
    /// Kept for its room only; empty between steps.
    effects: Vec<server::Effect>,
}

impl Host {
    /// Makes a host without sessions.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            source: SaltSource::new(config.salt_secret, config.term),
            api_ids: config.api_ids,
            identities: BTreeMap::new(),
            links: BTreeMap::new(),
            users: Users::default(),
            timers: Timers::default(),
            moved: Moved::default(),
            gone: Gone::default(),
            ids: Generator::default(),
            tally: Tally::default(),
            effects: Vec::new(),
        }
    }

    /// Takes one input. Effects are appended in order.
    pub fn handle(&mut self, input: Input, cx: &mut Cx<'_, Effect>) {
        match input {
            Input::Frame(frame) => self.on_frame(frame, cx),
            Input::Attach(attach) => self.on_attach(&attach, cx),
            Input::Detach { link } => self.on_detach(link, cx),
            Input::Answer { call, answer } => self.on_answer(call, answer, cx),
            Input::Push(push) => self.on_push(&push, cx),
            Input::User {
                identity,
                user,
                learned,
            } => self.on_user(identity, user, learned, cx),
            Input::Bound { call, outcome } => self.on_bound(call, outcome, cx),
            Input::Destroyed { asked, keys } => self.on_destroyed(asked, keys, cx),
            Input::Revoked { identity, keys } => self.on_revoked(identity, &keys, cx),
            Input::TakeOver(handover) => self.take_over(*handover, cx),
            Input::TakenOver { key } => self.moved.arrived(key, cx.out),
        }
    }

    /// Appends everything that waits for a link. Message ids are given here, so wire order is the order of ids: call
    /// it when the link can take more.
    pub fn drain(&mut self, link: LinkId, cx: &mut Cx<'_, FromHost>) {
        let before = cx.out.len();
        self.drain_all(link, cx);
        let is_message = |it: &&FromHost| matches!(it, FromHost::Seal { .. });
        let sent = cx.out.iter().skip(before).filter(is_message).count();
        self.tally.sent += u64::try_from(sent).unwrap_or(0);
    }

    fn drain_all(&mut self, link: LinkId, cx: &mut Cx<'_, FromHost>) {
        let Some(state) = self.links.get_mut(&link) else {
            return;
        };
        state.is_ready = false;
        state.drain_own(link, &mut self.ids, cx);
        if state.is_closed {
            return;
        }
        if state.http.is_some() {
            return self.drain_http(link, cx);
        }
        for &(identity, session_id) in &state.sessions {
            let Some(owned) = self.identities.get_mut(&identity) else {
                continue;
            };
            owned.salts.refresh(&self.source, cx.now.unix.seconds());
            let salt = owned.salts.current();
            if let Some(entry) = owned.session_mut(session_id) {
                entry.session.raise_ids_to(self.ids.last());
                let resent = entry.drain(link, usize::MAX, salt, cx);
                self.tally.resent += u64::try_from(resent).unwrap_or(0);
            }
        }
    }

    /// Returns when [`Host::handle_deadline`] wants to be called.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Mono> {
        self.timers.next()
    }

    /// Does what is due.
    pub fn handle_deadline(&mut self, cx: &mut Cx<'_, Effect>) {
        while let Some(timer) = self.timers.pop(cx.now.mono) {
            match timer {
                Timer::Session(identity, session_id) => {
                    self.on_session_deadline(identity, session_id, cx);
                }
                Timer::Identity(identity) => self.on_identity_deadline(identity, cx.now.mono),
                Timer::Link(link) => self.on_link_deadline(link, cx),
                Timer::Moved(key) => self.moved.remove(key),
            }
        }
    }

    /// Returns the host's term.
    #[must_use]
    pub const fn term(&self) -> Term {
        self.source.term()
    }

    /// Returns what was counted since the host was made.
    #[must_use]
    pub const fn tally(&self) -> Tally {
        self.tally
    }

    /// Returns how many calls run.
    #[must_use]
    pub fn calls_running(&self) -> usize {
        self.identities.values().map(|it| it.calls_running()).sum()
    }

    /// Tells whether it knows any link.
    #[must_use]
    pub fn has_links(&self) -> bool {
        !self.links.is_empty()
    }

    /// Returns how many sessions there are.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.identities.values().map(|it| it.sessions()).sum()
    }

    /// Says once that a link has something to drain.
    fn make_ready(&mut self, link: LinkId, cx: &mut Cx<'_, Effect>) {
        if let Some(state) = self.links.get_mut(&link)
            && !state.is_ready
        {
            state.is_ready = true;
            cx.out.push(Effect::Ready { link });
        }
    }

    /// Has a link closed at its next drain.
    fn close(&mut self, link: LinkId, code: Option<i32>, cx: &mut Cx<'_, Effect>) {
        if let Some(state) = self.links.get_mut(&link) {
            state.close(code);
        }
        self.make_ready(link, cx);
    }

    fn on_link_deadline(&mut self, link: LinkId, cx: &mut Cx<'_, Effect>) {
        let Some(state) = self.links.get_mut(&link) else {
            return;
        };
        state.armed = None;
        if state.is_overdue(cx.now.mono) {
            self.close(link, None, cx);
        } else if let Some(at) = state.due_at() {
            if at <= cx.now.mono {
                return self.make_ready(link, cx);
            }
            self.timers.arm_by(Timer::Link(link), &mut state.armed, at);
        }
    }
}
