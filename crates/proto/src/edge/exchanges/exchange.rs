//! One remembered exchange: where it stands, who waits, and which answers it repeats.

use core::mem;
use std::sync::Arc;

use bytes::Bytes;

use super::Ticket;
use super::job::Work;
use crate::cx::Mono;
use crate::exchange::Nonce;
use crate::exchange::server::{AwaitClientDh, AwaitReqDh, Config, Derived, Refusal, Step};
use crate::ids::LinkId;

/// SHA-256 of a query, or of a `new_nonce`.
pub(super) type Digest = [u8; 32];

/// An exchange that a client may still ask about.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) ticket: Ticket,
    /// The connection that began it, whose share it counts against.
    pub(super) link: LinkId,
    pub(super) begun_at: Mono,
    pub(super) server_nonce: Nonce,
    pub(super) res_pq: Bytes,
    pub(super) stage: Stage,
    /// The last answers, newest last: [`KEPT_MAX`] while it runs, one when it is over.
    kept: Vec<Kept>,
}

/// Where an exchange stands.
#[derive(Debug)]
pub(super) enum Stage {
    AwaitReqDh(AwaitReqDh),
    AwaitClientDh(AwaitClientDh),
    /// A job has the state.
    Works(Pending),
    /// The store has the key.
    Stores(Pending, Derived),
    /// Answered for good; all secrets are gone.
    Over,
}

/// A query whose answer is being made.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) query: Digest,
    /// Who gets the answer, each once.
    pub(super) links: Vec<LinkId>,
}

#[derive(Debug)]
struct Kept {
    query: Digest,
    answer: Bytes,
}

impl Exchange {
    pub(super) fn begin(
        ticket: Ticket,
        link: LinkId,
        begun_at: Mono,
        state: AwaitReqDh,
        res_pq: Bytes,
    ) -> Self {
        Self {
            ticket,
            link,
            begun_at,
            server_nonce: state.server_nonce(),
            res_pq,
            stage: Stage::AwaitReqDh(state),
            kept: Vec::new(),
        }
    }

    /// Returns the answer that this very query got, if it is still kept.
    pub(super) fn answer_to(&self, query: &Digest) -> Option<Bytes> {
        self.kept
            .iter()
            .find(|kept| kept.query == *query)
            .map(|kept| kept.answer.clone())
    }

    /// Returns those who wait for the answer to this very query, if it is being made.
    pub(super) fn pending_on(&mut self, query: &Digest) -> Option<&mut Pending> {
        match &mut self.stage {
            Stage::Works(pending) | Stage::Stores(pending, _) => {
                (pending.query == *query).then_some(pending)
            }
            Stage::AwaitReqDh(_) | Stage::AwaitClientDh(_) | Stage::Over => None,
        }
    }

    /// Takes the query that the stage waits for; any other is refused and leaves the stage as it is.
    ///
    /// After success or a failed check the stage is [`Stage::Over`] until the caller says otherwise.
    pub(super) fn advance(
        &mut self,
        step: &Step<'_>,
        config: &Arc<Config>,
    ) -> Result<Work, Refusal> {
        match (mem::replace(&mut self.stage, Stage::Over), step) {
            (Stage::AwaitReqDh(state), Step::ReqDhParams(query)) => {
                state.handle(query, config).map(Work::Rsa)
            }
            (Stage::AwaitClientDh(state), Step::SetClientDhParams(query)) => {
                state.handle(query).map(Work::Dh)
            }
            (stage, _) => {
                self.stage = stage;
                Err(Refusal::NotFound)
            }
        }
    }

    /// Ends the wait for a job; `None` if no job is under way.
    pub(super) fn take_worker(&mut self) -> Option<Pending> {
        let stage = mem::replace(&mut self.stage, Stage::Over);
        if let Stage::Works(pending) = stage {
            return Some(pending);
        }
        self.stage = stage;
        None
    }

    /// Ends the wait for the store; `None` if it was not asked, or has answered already.
    pub(super) fn take_stored(&mut self) -> Option<(Pending, Derived)> {
        let stage = mem::replace(&mut self.stage, Stage::Over);
        if let Stage::Stores(pending, derived) = stage {
            return Some((pending, derived));
        }
        self.stage = stage;
        None
    }

    /// Keeps an answer and goes on to `stage`.
    pub(super) fn settle(&mut self, stage: Stage, query: Digest, answer: Bytes) {
        self.stage = stage;
        let kept_before = if self.is_over() {
            0
        } else {
            KEPT_MAX.saturating_sub(1)
        };
        let surplus = self.kept.len().saturating_sub(kept_before);
        self.kept.drain(..surplus);
        self.kept.push(Kept { query, answer });
    }

    /// Tells whether nothing is being made for it, so that it may be dropped for another.
    pub(super) fn is_idle(&self) -> bool {
        !matches!(self.stage, Stage::Works(_) | Stage::Stores(..))
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over)
    }

    /// Returns who waits for an answer.
    pub(super) fn waiters(self) -> Vec<LinkId> {
        match self.stage {
            Stage::Works(pending) | Stage::Stores(pending, _) => pending.links,
            Stage::AwaitReqDh(_) | Stage::AwaitClientDh(_) | Stage::Over => Vec::new(),
        }
    }
}

impl Pending {
    pub(super) fn new(query: Digest, link: LinkId) -> Self {
        Self {
            query,
            links: vec![link],
        }
    }

    /// Adds one who waits; `false` if there are too many.
    pub(super) fn admit(&mut self, link: LinkId, waiters_max: usize) -> bool {
        let waits = self.links.contains(&link);
        if !waits && self.links.len() < waiters_max {
            self.links.push(link);
            return true;
        }
        waits
    }
}

/// Answers that a running exchange keeps: a copy of the query before the last may still be under way on another
/// connection, and is no reason to end the exchange.
const KEPT_MAX: usize = 2;
