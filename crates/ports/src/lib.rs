//! The seams between shells: async traits that carry plain values.
//!
//! A gateway, a session host, a store and a backend know each other only through these. Every implementation of a
//! port passes the same conformance suite.
//!
//! The values themselves live in [`heliogram_proto::port`], where the pure machines make them.

pub mod clock;
pub mod conformance;
pub mod discovery;
pub mod memory;
pub mod metrics;
pub mod random;
pub mod record;
pub mod trace;

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Weak};

use heliogram_proto::host::Input;
use heliogram_proto::ids::{AuthKeyId, Identity, LinkId, Term};
pub use heliogram_proto::port::*;
use heliogram_proto::ring::Partition;

/// A future that a trait object can return.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Where authorization keys are kept.
pub trait AuthKeys: Send + Sync + 'static {
    /// Finds a key. `Ok(None)` only if the store is sure that there is none: the peer is then told `-404`.
    /// An expired temporary key is absent.
    fn find(&self, id: AuthKeyId) -> BoxFuture<'_, Result<Option<Arc<KeyRecord>>, Unavailable>>;

    /// Keeps a new key. When this returns [`Inserted::Stored`] a permanent key is durable.
    fn insert(&self, record: KeyRecord) -> BoxFuture<'_, Result<Inserted, Unavailable>>;

    /// Binds a temporary key to a permanent one, whose owner has verified it. When this returns [`Bound::Stored`] the
    /// binding is as durable as the key. The same again is [`Bound::Stored`], too, and changes nothing.
    fn bind(&self, binding: Binding) -> BoxFuture<'_, Result<Bound, Unavailable>>;

    /// Destroys a key with the temporary keys that are bound to it; returns those that were there, none if it was not.
    fn remove(&self, id: AuthKeyId) -> BoxFuture<'_, Result<Vec<AuthKeyId>, Unavailable>>;

    /// Destroys the temporary keys that are bound to `perm`, except some; returns those that were there.
    fn remove_bound(
        &self,
        perm: AuthKeyId,
        except: Vec<AuthKeyId>,
    ) -> BoxFuture<'_, Result<Vec<AuthKeyId>, Unavailable>>;
}

/// Where it is kept who has logged in with a key, for backends that do not keep it themselves.
pub trait Users: Send + Sync + 'static {
    /// Finds who has logged in with a key, if anybody.
    fn find_user(&self, identity: Identity) -> BoxFuture<'_, Result<Option<i64>, Unavailable>>;

    /// Keeps who has logged in with a key, `None` after a log-out: as durable as the key when this returns. Goes with the
    /// key; nothing is kept of one that is not there.
    fn keep_user(
        &self,
        identity: Identity,
        user: Option<i64>,
    ) -> BoxFuture<'_, Result<(), Unavailable>>;
}

/// What [`AuthKeys::bind`] is to record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "what a binding is")]
pub struct Binding {
    /// The temporary key.
    pub key: AuthKeyId,
    /// The permanent key.
    pub perm: AuthKeyId,
    /// Unix time in seconds from which the temporary key is refused, if it has not ended by itself.
    pub expires_at_unix_s: u32,
}

/// What became of a binding.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the binding has one answer to each"
)]
pub enum Bound {
    /// It is recorded.
    Stored {
        /// What the temporary key is now.
        facts: KeyFacts,
        /// Older temporary keys that were destroyed because there were too many.
        removed: Vec<AuthKeyId>,
    },
    /// The temporary key is bound to another key; nothing was changed.
    Taken,
    /// One of the keys is not there, or not of its kind; nothing was changed.
    Absent,
}

/// What became of a key that was to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the exchange has one answer to each"
)]
pub enum Inserted {
    /// It is kept.
    Stored,
    /// Another key with this id is there; nothing was changed.
    Duplicate,
}

/// The store can't say now. The peer is made to wait, then closed without a code; never told that a key is absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unavailable;

impl std::fmt::Display for Unavailable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the key store is unavailable")
    }
}

impl std::error::Error for Unavailable {}

/// Where a gateway takes authentic messages, and gets what is to be sealed.
///
/// Nothing here waits. A turn of a connection hands in all its frames at once, then drains what is ready.
pub trait SessionPort: Send + Sync + 'static {
    /// Makes a gateway known, for as long as it lives: what is said of keys is said to it.
    fn open(&self, edge: Weak<dyn Edge>);

    /// Makes a connection known, with the handle by which its owner is woken when there is something to drain.
    fn attach(&self, link: LinkId, wake: Arc<dyn Wake>);

    /// Takes all inputs, in order; the buffer is left empty.
    fn submit(&self, inputs: &mut Vec<ToHost>);

    /// Appends what is ready for `link`. Message ids are assigned here, so that wire order is the order of ids:
    /// call it only when the socket can take more.
    fn drain(&self, link: LinkId, out: &mut Vec<FromHost>);

    /// Tells whether more input of a connection is welcome. It is a wish, not a limit. After a `false` the connection's owner is
    /// woken when it has changed.
    fn takes_more(&self, link: LinkId) -> bool {
        let _ = link;
        true
    }

    /// Tells whether no call is running: a gateway that shuts down reads no more, waits for this within its
    /// deadline, then drains every link a last time. An answer is in its session before its call counts as ended.
    fn is_quiet(&self) -> bool;
}

/// What the owners of keys tell a gateway. Nothing here waits; every gateway is told, whatever it holds.
///
/// It may miss some of it: an owner goes on to forward frames of a key that it has bound, and to refuse those of a
/// key that it has destroyed.
pub trait Edge: Send + Sync + 'static {
    /// Says that a temporary key is bound to a permanent one: its frames are to carry these facts from now on.
    fn bound(&self, key: KeyFacts);

    /// Says that one push has reached these links, and that there is something to drain for each of them: whoever is
    /// not busy is drained and sealed in batches.
    fn fan_out(self: Arc<Self>, links: Vec<LinkId>);

    /// Says that a key is no more: connections that use it are closed with `-404` at its next frame.
    fn revoke(&self, key: AuthKeyId);

    /// Says that what was said of keys whose identities are in these partitions may have been missed: each is looked up again
    /// before its next frame. Who keeps no keys has nothing to doubt.
    fn doubt(&self, partitions: &[Partition]) {
        let _ = partitions;
    }
}

/// Where a session host takes what is for owners in other processes. Nothing here waits; what is for one owner arrives in
/// order, or not at all.
pub trait Owners: Send + Sync + 'static {
    /// Hands an input to the owner of `to`. It comes back if there is no way to the owner now.
    ///
    /// # Errors
    ///
    /// The input, boxed as it may be large.
    fn send(&self, to: Identity, input: Input) -> Result<(), Box<Input>>;

    /// Hands a push to all other nodes that may own some of its targets, the targets of this node left out. Where there is no
    /// way its users miss it: their sessions end with their node.
    fn push(&self, push: Push);
}

/// Where a process takes what owners in other processes have for its own. Nothing here waits.
pub trait OwnersHere: Send + Sync + 'static {
    /// Takes what is for the owner of `to`, whom the sender takes to have this term; its connections have the names that they
    /// have here. If there is no such owner here, what came is lost, and the connections that wait for it are closed.
    fn deliver(&self, to: Identity, term: Term, input: Input);

    /// Takes a push for the sessions that are here: it is not spread any further.
    ///
    /// # Errors
    ///
    /// As [`Pushes::push`].
    fn deliver_push(&self, push: Push) -> Result<(), PushRefused>;
}

/// Wakes the owner of a connection. Waking twice is waking once.
pub trait Wake: Send + Sync + 'static {
    /// Says that there is something to drain.
    fn wake(&self);
}

/// Business logic: answers calls of API methods.
pub trait Backend: Send + Sync + 'static {
    /// Answers a call. Dropping a pending answer cancels the call.
    fn call(&self, call: Call) -> Answer;

    /// Takes the way by which updates go down to clients. Called once, before the first call.
    fn start(&self, pushes: Arc<dyn Pushes>) {
        drop(pushes);
    }

    /// Says who has logged in with a key that its host did not know: once after each start of the host, at least.
    ///
    /// Said at once, it is known before the key's first call is handed out. Said later, the key's clients are told to
    /// ask for what they may have missed. By default nobody has logged in until [`Pushes::set_user`] says so.
    fn user(&self, identity: Identity) -> LoggedIn {
        let _ = identity;
        LoggedIn::Now(None)
    }
}

/// The way by which a backend's updates go down to clients. Nothing here waits.
///
/// An update is kept until its session acknowledges it, within limits; `updatesTooLong` stands for what does not fit,
/// and for what a host that ended has taken with it: the client's difference closes the gap. Of two pushes by one
/// task to one session the first arrives first.
pub trait Pushes: Send + Sync + 'static {
    /// Pushes an update. Sessions that are not there are passed over: their clients ask for the difference when they
    /// come back.
    ///
    /// # Errors
    ///
    /// Nobody gets it then:
    /// - [`PushRefused::NotAnObject`] when the body is empty or not of whole words.
    /// - [`PushRefused::TooManyTargets`] when there are too many.
    fn push(&self, push: Push) -> Result<(), PushRefused>;

    /// Says who has logged in with a key, before the log-in is answered; `None` after a log-out.
    fn set_user(&self, identity: Identity, user: Option<i64>);
}

/// Who has logged in with a key, if anybody: said at once, or found out.
#[expect(clippy::exhaustive_enums, reason = "now or later")]
pub enum LoggedIn {
    /// It is known.
    Now(Option<i64>),
    /// It has to be looked up. A look-up that can't be made now goes on until it can.
    Later(BoxFuture<'static, Option<i64>>),
}

impl std::fmt::Debug for LoggedIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Now(user) => f.debug_tuple("Now").field(user).finish(),
            Self::Later(_) => f.write_str("Later(…)"),
        }
    }
}

/// An answer that is there at once, which costs nothing, or one that comes later.
#[expect(clippy::exhaustive_enums, reason = "now or later")]
pub enum Answer {
    /// It is there.
    Now(Reply),
    /// It comes.
    Later(BoxFuture<'static, Reply>),
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Now(reply) => f.debug_tuple("Now").field(reply).finish(),
            Self::Later(_) => f.write_str("Later(…)"),
        }
    }
}
