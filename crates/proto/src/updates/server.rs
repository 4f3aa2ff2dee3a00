//! A backend's bookkeeping of updates: numbers without gaps, and the answers about what a client has missed.
//!
//! ```text
//!  change ──append──> number ──> push                      getDifference(pts, qts)
//!             │                                                     │
//!             └──> log, newest kept ────────────────────────────────┴──> Empty, Full, Slice, TooLong
//! ```
//!
//! An [`Account`] has the sequences that are not a channel's; a channel has a [`Log`] of its own. Both are plain values: a
//! backend keeps each behind a lock or in a row, and assigns, stores and pushes under it, so that what it pushes leaves
//! in the order of its numbers and every event up to a state is in the log.
//!
//! Generic over what an event is. What the log does not hold any more is too much to tell: clients fetch anew.
//!
//! Source: <https://core.telegram.org/api/updates>. Limits: `docs/deviations.md`.

mod log;
#[cfg(test)]
mod tests;

pub use log::{After, Exhausted, Log, Numbers, Part};

use crate::limits::DIFFERENCE_EVENTS_MAX;
use crate::updates::UpdateState;

/// The sequences of one account, apart from those of channels.
#[derive(Clone, Debug)]
pub struct Account<E> {
    common: Log<E>,
    secondary: Log<E>,
    seq: i32,
    date: i32,
}

/// What a client asks with `updates.getDifference`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "what the method has")]
pub struct Request {
    /// How far it has come in the common box.
    pub pts: i32,
    /// How far it has come with secret chats and bots.
    pub qts: i32,
    /// Events of the common box in one answer.
    pub pts_limit: Option<i32>,
    /// Numbers of the common box beyond which it would rather fetch anew.
    pub pts_total_limit: Option<i32>,
    /// Events of secret chats and bots in one answer.
    pub qts_limit: Option<i32>,
}

/// What a client has missed. Each is one constructor of `updates.Difference`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "what the API has")]
pub enum Difference<'a, E> {
    /// Nothing.
    Empty {
        /// Unix time in seconds of the last event.
        date: i32,
        /// Number of the last container.
        seq: i32,
    },
    /// All of this.
    Full(Missed<'a, E>),
    /// This, and more from its state on.
    Slice(Missed<'a, E>),
    /// More than is told: the client goes on from here.
    TooLong {
        /// How far the common box has come.
        pts: i32,
    },
}

/// Events, each sequence in order, and where they lead.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "what the API has")]
pub struct Missed<'a, E> {
    /// Of the common box: new messages among them go to `new_messages`.
    pub common: Vec<&'a E>,
    /// Of secret chats and bots.
    pub secondary: Vec<&'a E>,
    /// `state`, or `intermediate_state` of a slice.
    pub state: UpdateState,
}

impl<E> Account<E> {
    /// Goes on from a state, with empty logs that keep so many events each: clients that are further back are told to
    /// fetch anew. A new account begins with one as its `pts`.
    #[must_use]
    pub fn new(state: UpdateState, kept: usize) -> Self {
        Self {
            common: Log::new(state.pts.max(FIRST_PTS), kept),
            secondary: Log::new(state.qts, kept),
            seq: state.seq,
            date: state.date,
        }
    }

    /// Returns how far the account has come: the answer to `updates.getState`.
    #[must_use]
    pub const fn state(&self) -> UpdateState {
        UpdateState {
            pts: self.common.last(),
            qts: self.secondary.last(),
            seq: self.seq,
            date: self.date,
        }
    }

    /// Adds a change of private chats and basic groups that makes up so many events: as many as messages were deleted,
    /// one for a new message, none for what only comes between others. `date` is Unix time in seconds.
    ///
    /// # Errors
    ///
    /// [`Exhausted`] when the numbers end; nothing is changed then.
    pub fn append(&mut self, count: u16, event: E, date: i32) -> Result<Numbers, Exhausted> {
        let numbers = self.common.append(count, event)?;
        self.date = self.date.max(date);
        Ok(numbers)
    }

    /// Adds what concerns a secret chat or only a bot; returns its `qts`.
    ///
    /// # Errors
    ///
    /// [`Exhausted`] when the numbers end; nothing is changed then.
    pub fn append_secondary(&mut self, event: E, date: i32) -> Result<i32, Exhausted> {
        let numbers = self.secondary.append(1, event)?;
        self.date = self.date.max(date);
        Ok(numbers.pts)
    }

    /// Returns the number of a container of updates that stand in no box. The difference holds none of these: they
    /// are pushed, and what they say is fetched otherwise.
    ///
    /// # Errors
    ///
    /// [`Exhausted`] when the numbers end.
    pub fn number_container(&mut self, date: i32) -> Result<i32, Exhausted> {
        self.seq = self.seq.checked_add(1).ok_or(Exhausted)?;
        self.date = self.date.max(date);
        Ok(self.seq)
    }

    /// Returns what a client has missed. A number above our own counts as our own: the client is told nothing, and goes
    /// back only when it asks for the state.
    #[must_use]
    pub fn difference(&self, request: &Request) -> Difference<'_, E> {
        let now = self.state();
        let missed = i64::from(now.pts) - i64::from(request.pts);
        let total_max = request.pts_total_limit.filter(|&max| max > 0);
        if total_max.is_some_and(|max| missed > i64::from(max)) {
            return Difference::TooLong { pts: now.pts };
        }
        let common = match self
            .common
            .after(request.pts, events_max(request.pts_limit))
        {
            After::TooLong => return Difference::TooLong { pts: now.pts },
            After::Events(part) => part,
        };
        // Nothing tells a client to fetch these anew: what is not kept is left out.
        let oldest = request.qts.max(self.secondary.floor());
        let secondary = match self.secondary.after(oldest, events_max(request.qts_limit)) {
            After::TooLong => return Difference::TooLong { pts: now.pts },
            After::Events(part) => part,
        };
        if common.events.is_empty() && secondary.events.is_empty() {
            let (date, seq) = (now.date, now.seq);
            return Difference::Empty { date, seq };
        }
        let is_all = common.is_final && secondary.is_final;
        let missed = Missed {
            common: common.events,
            secondary: secondary.events,
            state: UpdateState {
                pts: common.pts,
                qts: secondary.pts,
                ..now
            },
        };
        if is_all {
            Difference::Full(missed)
        } else {
            Difference::Slice(missed)
        }
    }
}

/// Takes a client's word for how much it wants, within reason.
fn events_max(asked: Option<i32>) -> usize {
    let asked = asked.and_then(|max| usize::try_from(max).ok());
    let asked = asked.filter(|&max| max > 0);
    asked
        .unwrap_or(DIFFERENCE_EVENTS_MAX)
        .min(DIFFERENCE_EVENTS_MAX)
}

/// Zero would say that the box is unknown.
const FIRST_PTS: i32 = 1;
