//! What the client's bookkeeping is told, and what it wants.

use crate::updates::UpdateState;

/// Where an update stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new sequence must break every reader at compile time"
)]
pub enum Place {
    /// In a channel's box.
    Channel {
        /// Which channel.
        channel_id: i64,
        /// The box's number after the update.
        pts: i32,
        /// Events in the update.
        count: i32,
    },
    /// In the account's own box.
    Common {
        /// The box's number after the update.
        pts: i32,
        /// Events in the update.
        count: i32,
    },
    /// In no box: it stands with its container.
    Nowhere,
    /// Among secret chats and what bots get.
    Secondary {
        /// The number after the update, which counts as one.
        qts: i32,
    },
}

/// An update and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "says all")]
pub struct Placed<U> {
    /// Where.
    pub place: Place,
    /// The update, unless it is only word that numbers have gone on: what a call's `affectedMessages` says.
    pub update: Option<U>,
}

/// What an `Updates` object holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "what `updatesCombined` says")]
pub struct Batch<U> {
    /// Number of the first container in it, zero if it has none. `updates` has one container: the same as `seq`.
    pub seq_start: i32,
    /// Number of the last container in it, zero if it has none.
    pub seq: i32,
    /// Unix time in seconds; zero if it has none that is kept, as in `updateShort`.
    pub date: i32,
    /// Its updates, in order.
    pub updates: Vec<Placed<U>>,
}

/// What `updates.getDifference` has answered.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "what the API has")]
pub enum Difference<U> {
    /// `updates.differenceEmpty`.
    Empty {
        /// Unix time in seconds.
        date: i32,
        /// Number of the last container.
        seq: i32,
    },
    /// `updates.difference`: all of it.
    Full {
        /// New messages, as updates, in order: they stand nowhere, for they are not checked.
        messages: Vec<U>,
        /// The other updates.
        updates: Vec<Placed<U>>,
        /// Where this leads.
        state: UpdateState,
    },
    /// `updates.differenceSlice`: a part of it.
    Slice {
        /// New messages, as updates, in order.
        messages: Vec<U>,
        /// The other updates.
        updates: Vec<Placed<U>>,
        /// Where this part leads.
        state: UpdateState,
    },
    /// `updates.differenceTooLong`: more than the server tells.
    TooLong {
        /// Where the rest begins.
        pts: i32,
    },
}

/// What `updates.getChannelDifference` has answered.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "what the API has")]
pub struct ChannelDifference<U> {
    /// Whether this is all.
    pub is_final: bool,
    /// Where this leads.
    pub pts: i32,
    /// New messages, as updates, in order; empty if there is nothing new, or too much.
    pub messages: Vec<U>,
    /// The other updates.
    pub updates: Vec<Placed<U>>,
    /// `updates.channelDifferenceTooLong`: the channel's history is to be fetched anew.
    pub is_too_long: bool,
}

/// A request to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new request must break every driver at compile time"
)]
pub enum Request {
    /// `updates.getChannelDifference`.
    ChannelDifference {
        /// Which channel.
        channel_id: i64,
        /// From where on.
        pts: i32,
    },
    /// `updates.getDifference`.
    Difference {
        /// From where on: its `pts`, `date` and `qts`.
        state: UpdateState,
    },
    /// `updates.getState`.
    State,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new input must break every driver at compile time"
)]
pub enum Input<U> {
    /// Updates came, from the server or as a call's result.
    Batch(Batch<U>),
    /// The answer to [`Request::ChannelDifference`].
    ChannelDifference {
        /// Which channel.
        channel_id: i64,
        /// The answer.
        difference: ChannelDifference<U>,
    },
    /// The channel can't be reached any more: `CHANNEL_PRIVATE`, `CHANNEL_INVALID`, or the account was removed. What
    /// came and waited for a gap to be closed is delivered; then the channel is forgotten.
    ChannelGone {
        /// Which channel.
        channel_id: i64,
    },
    /// `updateChannelTooLong`.
    ChannelTooLong {
        /// Which channel.
        channel_id: i64,
        /// How far the channel has come, if it says so.
        pts: Option<i32>,
    },
    /// The answer to [`Request::Difference`].
    Difference(Difference<U>),
    /// A request has failed for now: it is made again.
    Failed(Request),
    /// Something was lost, or can't be read: `updatesTooLong`, a new session, a missed message.
    Lost,
    /// The numbers begin anew: `updatePtsChanged`. Also right after signing in.
    Restart,
    /// The answer to [`Request::State`].
    State(UpdateState),
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new effect must break every driver at compile time"
)]
pub enum Effect<U> {
    /// Hand this to the application, in this order.
    Deliver(U),
    /// A gap was found; it is waited for. Only for those who watch.
    Gap(Which),
    /// Ask the server, and bring the answer or its failure.
    Request(Request),
    /// So much was missed that it will not be told: fetch anew what the application shows.
    TooLong(Which),
}

/// A sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "says all")]
pub enum Which {
    /// A channel's box.
    Channel(i64),
    /// The account's box.
    Common,
    /// Containers.
    Containers,
    /// Secret chats and bots.
    Secondary,
}
