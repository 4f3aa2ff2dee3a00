//! The table of running key exchanges: one per gateway process.
//!
//! An exchange belongs to no connection: it is found by (`nonce`, `server_nonce`), and a query that is repeated byte
//! for byte, on any connection, gets the identical answer for as long as the exchange is remembered.
//!
//! ```text
//! Request --> AwaitReqDh --Work--> Works --Worked--> AwaitClientDh --Work--> Works
//!                                                        ^                     | Worked: Store
//!                                                        +------ retry ---- Stores
//!                                                                              | Stored
//!                                                                            Over: only the last answer is left
//! ```
//!
//! Bounded in every direction: exchanges in all, unfinished ones per connection, jobs under way, connections that wait
//! for one answer, used `new_nonce`s, and the life of everything. Does not run jobs, reach a store, parse the envelope
//! of unencrypted messages, or time a connection out.
//!
//! Decided here: `docs/adr/0006-exchange-limits.md`.

mod exchange;
mod job;
mod new_nonces;
#[cfg(test)]
mod tests;

use core::time::Duration;
use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry};
use std::sync::Arc;

use bytes::Bytes;
use heliogram_crypto::hash::{ct_eq, sha256};

use crate::cx::{Cx, Mono};
use crate::exchange::Nonce;
use crate::exchange::server::{self, Agreed, AwaitReqDh, Derived, Query, Refusal, Rejected, Step};
use crate::ids::LinkId;
use crate::limits;
use crate::port::KeyRecord;

pub use job::{Job, JobKind, Worked};

use exchange::{Digest, Exchange, Pending, Stage};
use job::Product;
use new_nonces::NewNonces;

/// The bounds of an [`Exchanges`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Exchanges that are remembered; one more drops the oldest.
    pub exchanges_max: usize,
    /// Unfinished exchanges that one connection began; one more drops its oldest that is not at work.
    pub per_link_max: usize,
    /// Jobs under way; a query that needs one more is refused as busy.
    pub jobs_max: usize,
    /// Connections that wait for one answer; one more is refused as busy.
    pub waiters_max: usize,
    /// Used `new_nonce`s that are remembered; one more drops the oldest.
    pub new_nonces_max: usize,
    /// How long an exchange, and a used `new_nonce`, is remembered.
    pub life: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            exchanges_max: limits::EXCHANGES_MAX,
            per_link_max: limits::EXCHANGES_PER_LINK_MAX,
            jobs_max: limits::EXCHANGE_JOBS_MAX,
            waiters_max: limits::EXCHANGE_WAITERS_MAX,
            new_nonces_max: limits::NEW_NONCES_MAX,
            life: limits::EXCHANGE_LIFE,
        }
    }
}

/// Names one exchange in this process; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

/// What the table is told.
#[derive(Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new input must break every driver at compile time"
)]
pub enum Input<'a> {
    /// A connection is gone. Its exchanges stay: the client may go on with them on another.
    Detach {
        /// Which.
        link: LinkId,
    },
    /// A job will never be [`Input::Worked`]: the pool has no room for it, or lost it.
    Dropped {
        /// Whose.
        ticket: Ticket,
    },
    /// An unencrypted message came.
    Request {
        /// From where.
        link: LinkId,
        /// Its body: an object, perhaps with a tail.
        body: &'a [u8],
    },
    /// The store has answered an [`Effect::Store`].
    Stored {
        /// Whose.
        ticket: Ticket,
        /// What became of the key.
        outcome: StoreOutcome,
    },
    /// A job is done.
    Worked(Worked),
}

/// What became of a key that was to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the exchange has one answer to each"
)]
pub enum StoreOutcome {
    /// Another key with this id is there.
    Duplicate,
    /// It is kept; durably, if it is permanent.
    Stored,
    /// The store can't say.
    Unavailable,
}

/// What is to be done for the table, in order.
#[derive(Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new effect must break every driver at compile time"
)]
pub enum Effect {
    /// Send an unencrypted message with this body.
    Answer {
        /// To which connection.
        link: LinkId,
        /// The object.
        body: Bytes,
    },
    /// Close the connection without an answer.
    Close {
        /// Which.
        link: LinkId,
    },
    /// Send this transport error, then close the connection.
    Refuse {
        /// Which.
        link: LinkId,
        /// `-404`, `-429` or `-444`.
        code: i32,
    },
    /// Store the key, then say [`Input::Stored`].
    Store {
        /// Whose.
        ticket: Ticket,
        /// The key.
        record: Box<KeyRecord>,
    },
    /// Run the job on a worker, then say [`Input::Worked`], or [`Input::Dropped`].
    Work(Job),
}

/// The table of running exchanges.
#[derive(Debug)]
pub struct Exchanges {
    config: Arc<server::Config>,
    limits: Limits,
    /// By the client's nonce: it has one exchange at a time, so that a repeated `req_pq` finds it.
    exchanges: BTreeMap<Nonce, Exchange>,
    /// Tickets are given in order of time, so the first is the oldest.
    nonces: BTreeMap<Ticket, Nonce>,
    /// Unfinished exchanges by the connection that began them, oldest first.
    begun: BTreeMap<LinkId, Vec<Ticket>>,
    /// Jobs under way, also those whose exchange is forgotten meanwhile.
    jobs: BTreeSet<Ticket>,
    new_nonces: NewNonces,
    next_ticket: u64,
}

impl Exchanges {
    /// Makes an empty table.
    #[must_use]
    pub fn new(config: server::Config, limits: Limits) -> Self {
        Self {
            config: Arc::new(config),
            limits,
            exchanges: BTreeMap::new(),
            nonces: BTreeMap::new(),
            begun: BTreeMap::new(),
            jobs: BTreeSet::new(),
            new_nonces: NewNonces::default(),
            next_ticket: 0,
        }
    }

    /// Offers these keys from now on. A client that has chosen another, and not encrypted to it yet, is refused.
    pub fn set_keys(&mut self, keys: server::Keyring) {
        let config = server::Config {
            keys,
            ..(*self.config).clone()
        };
        self.config = Arc::new(config);
    }

    /// Returns the number of exchanges that are remembered, finished ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.exchanges.len()
    }

    /// Tells whether no exchange is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.exchanges.is_empty()
    }

    /// Takes one input.
    pub fn handle(&mut self, input: Input<'_>, cx: &mut Cx<'_, Effect>) {
        self.handle_deadline(cx);
        match input {
            Input::Detach { link } => {
                self.begun.remove(&link);
            }
            Input::Dropped { ticket } => self.on_dropped(ticket, cx),
            Input::Request { link, body } => self.on_request(link, body, cx),
            Input::Stored { ticket, outcome } => self.on_stored(ticket, outcome, cx),
            Input::Worked(worked) => self.on_worked(worked, cx),
        }
    }

    /// Returns when [`Exchanges::handle_deadline`] has something to forget.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Mono> {
        let (_, oldest) = self.nonces.first_key_value()?;
        let exchange = self.exchanges.get(oldest)?;
        Some(exchange.begun_at + self.limits.life)
    }

    /// Forgets what has reached the end of its life; whoever waits for it is refused.
    pub fn handle_deadline(&mut self, cx: &mut Cx<'_, Effect>) {
        while self.next_deadline().is_some_and(|end| end <= cx.now.mono) {
            self.forget_oldest(cx);
        }
        self.new_nonces.expire(cx.now.mono, self.limits.life);
    }

    fn on_request(&mut self, link: LinkId, body: &[u8], cx: &mut Cx<'_, Effect>) {
        match Query::parse(body) {
            Err(refusal) => refuse(&[link], refusal, cx),
            // Several clients acknowledge the answers; nothing waits for that.
            Ok((Query::MsgsAck, _)) => {}
            Ok((Query::ReqPq { nonce }, _)) => self.on_req_pq(link, nonce, cx),
            Ok((Query::Step(step), bytes)) => self.on_step(link, &step, sha256(&[bytes]), cx),
        }
    }

    fn on_req_pq(&mut self, link: LinkId, nonce: Nonce, cx: &mut Cx<'_, Effect>) {
        if let Some(known) = self.exchanges.get(&nonce) {
            return cx.out.push(Effect::Answer {
                link,
                body: known.res_pq.clone(),
            });
        }
        if let Err(refusal) = self.make_room(link, cx) {
            return refuse(&[link], refusal, cx);
        }
        let ticket = Ticket(self.next_ticket);
        self.next_ticket = self.next_ticket.saturating_add(1);
        let state = AwaitReqDh::begin(nonce, cx.rng);
        let body = Bytes::from(state.res_pq(&self.config.keys));
        let exchange = Exchange::begin(ticket, link, cx.now.mono, state, body.clone());
        self.exchanges.insert(nonce, exchange);
        self.nonces.insert(ticket, nonce);
        self.begun.entry(link).or_default().push(ticket);
        cx.out.push(Effect::Answer { link, body });
    }

    /// Forgets what has to go so that `link` can begin one more exchange.
    fn make_room(&mut self, link: LinkId, cx: &mut Cx<'_, Effect>) -> Result<(), Refusal> {
        let begun = self.begun.get(&link).map_or(&[][..], Vec::as_slice);
        if begun.len() >= self.limits.per_link_max {
            let is_idle = |ticket: &&Ticket| {
                let nonce = self.nonces.get(ticket);
                nonce
                    .and_then(|nonce| self.exchanges.get(nonce))
                    .is_some_and(Exchange::is_idle)
            };
            let oldest = *begun.iter().find(is_idle).ok_or(Refusal::Busy)?;
            self.forget(oldest);
        }
        while self.exchanges.len() >= self.limits.exchanges_max {
            if !self.forget_oldest(cx) {
                return Err(Refusal::Busy);
            }
        }
        Ok(())
    }

    fn on_step(&mut self, link: LinkId, step: &Step<'_>, query: Digest, cx: &mut Cx<'_, Effect>) {
        let (nonce, server_nonce) = step.nonces();
        let known = self.exchanges.get_mut(nonce);
        let Some(exchange) = known.filter(|known| ct_eq(&known.server_nonce, server_nonce)) else {
            return refuse(&[link], Refusal::NotFound, cx);
        };
        if let Some(body) = exchange.answer_to(&query) {
            return cx.out.push(Effect::Answer { link, body });
        }
        if let Some(pending) = exchange.pending_on(&query) {
            if !pending.admit(link, self.limits.waiters_max) {
                refuse(&[link], Refusal::Busy, cx);
            }
            return;
        }
        if exchange.is_over() {
            return refuse(&[link], Refusal::NotFound, cx);
        }
        if self.jobs.len() >= self.limits.jobs_max {
            return refuse(&[link], Refusal::Busy, cx);
        }
        let ticket = exchange.ticket;
        match exchange.advance(step, &self.config) {
            Ok(work) => {
                exchange.stage = Stage::Works(Pending::new(query, link));
                self.jobs.insert(ticket);
                cx.out.push(Effect::Work(Job { ticket, work }));
            }
            Err(refusal) => {
                let mut links = self.forget(ticket);
                if !links.contains(&link) {
                    links.push(link);
                }
                refuse(&links, refusal, cx);
            }
        }
    }

    fn on_worked(&mut self, worked: Worked, cx: &mut Cx<'_, Effect>) {
        let ticket = worked.ticket;
        self.jobs.remove(&ticket);
        let Some(pending) = self.exchange(ticket).and_then(Exchange::take_worker) else {
            return;
        };
        match worked.product {
            Ok(Product::Agreed(agreed)) => self.on_agreed(ticket, agreed, &pending, cx),
            Ok(Product::Derived(derived)) => self.on_derived(ticket, derived, pending, cx),
            Err(refusal) => self.end_refused(ticket, &pending, refusal, cx),
        }
    }

    fn on_agreed(
        &mut self,
        ticket: Ticket,
        agreed: Agreed,
        pending: &Pending,
        cx: &mut Cx<'_, Effect>,
    ) {
        let is_new = self.new_nonces.insert(
            agreed.new_nonce_digest(),
            cx.now.mono,
            self.limits.new_nonces_max,
        );
        let answered = if is_new {
            agreed.answer(cx.now, cx.rng)
        } else {
            Err(Refusal::NotFound)
        };
        match answered {
            Ok((next, answer)) => {
                self.settle(ticket, pending, (Stage::AwaitClientDh(next), answer), cx);
            }
            Err(refusal) => self.end_refused(ticket, pending, refusal, cx),
        }
    }

    fn on_derived(
        &mut self,
        ticket: Ticket,
        derived: Derived,
        pending: Pending,
        cx: &mut Cx<'_, Effect>,
    ) {
        let Some(record) = derived.record(cx.now, &self.config.term) else {
            return self.settle(ticket, &pending, rejected(derived), cx);
        };
        if let Some(exchange) = self.exchange(ticket) {
            exchange.stage = Stage::Stores(pending, derived);
            let record = Box::new(record);
            cx.out.push(Effect::Store { ticket, record });
        }
    }

    fn on_stored(&mut self, ticket: Ticket, outcome: StoreOutcome, cx: &mut Cx<'_, Effect>) {
        let taken = self.exchange(ticket).and_then(Exchange::take_stored);
        let Some((pending, derived)) = taken else {
            return;
        };
        match outcome {
            StoreOutcome::Duplicate => self.settle(ticket, &pending, rejected(derived), cx),
            StoreOutcome::Stored => {
                self.settle(ticket, &pending, (Stage::Over, derived.accept()), cx);
            }
            StoreOutcome::Unavailable => {
                if let Some(exchange) = self.exchange(ticket) {
                    exchange.stage = Stage::AwaitClientDh(derived.defer());
                }
                let close = |link: &LinkId| Effect::Close { link: *link };
                cx.out.extend(pending.links.iter().map(close));
            }
        }
    }

    fn on_dropped(&mut self, ticket: Ticket, cx: &mut Cx<'_, Effect>) {
        self.jobs.remove(&ticket);
        if let Some(pending) = self.exchange(ticket).and_then(Exchange::take_worker) {
            self.end_refused(ticket, &pending, Refusal::Busy, cx);
        }
    }

    /// Answers those who wait, remembers the answer, and goes on to the stage.
    fn settle(
        &mut self,
        ticket: Ticket,
        pending: &Pending,
        (stage, answer): (Stage, Vec<u8>),
        cx: &mut Cx<'_, Effect>,
    ) {
        let body = Bytes::from(answer);
        let answer = |link: &LinkId| Effect::Answer {
            link: *link,
            body: body.clone(),
        };
        cx.out.extend(pending.links.iter().map(answer));
        let Some(exchange) = self.exchange(ticket) else {
            return;
        };
        exchange.settle(stage, pending.query, body);
        if exchange.is_over() {
            let link = exchange.link;
            self.no_longer_begun(link, ticket);
        }
    }

    fn end_refused(
        &mut self,
        ticket: Ticket,
        pending: &Pending,
        refusal: Refusal,
        cx: &mut Cx<'_, Effect>,
    ) {
        self.forget(ticket);
        refuse(&pending.links, refusal, cx);
    }

    fn exchange(&mut self, ticket: Ticket) -> Option<&mut Exchange> {
        self.exchanges.get_mut(self.nonces.get(&ticket)?)
    }

    /// Forgets the oldest exchange; `false` if there is none.
    fn forget_oldest(&mut self, cx: &mut Cx<'_, Effect>) -> bool {
        let Some((&oldest, _)) = self.nonces.first_key_value() else {
            return false;
        };
        let links = self.forget(oldest);
        refuse(&links, Refusal::NotFound, cx);
        true
    }

    /// Forgets an exchange; returns who waits for it.
    fn forget(&mut self, ticket: Ticket) -> Vec<LinkId> {
        let forgotten = self
            .nonces
            .remove(&ticket)
            .and_then(|nonce| self.exchanges.remove(&nonce));
        forgotten.map_or_else(Vec::new, |exchange| {
            self.no_longer_begun(exchange.link, ticket);
            exchange.waiters()
        })
    }

    fn no_longer_begun(&mut self, link: LinkId, ticket: Ticket) {
        if let Entry::Occupied(mut begun) = self.begun.entry(link) {
            begun.get_mut().retain(|other| *other != ticket);
            if begun.get().is_empty() {
                begun.remove();
            }
        }
    }
}

/// What follows when the key's id is taken, or zero.
fn rejected(derived: Derived) -> (Stage, Vec<u8>) {
    match derived.reject() {
        Rejected::Fail { answer } => (Stage::Over, answer),
        Rejected::Retry { next, answer } => (Stage::AwaitClientDh(next), answer),
    }
}

fn refuse(links: &[LinkId], refusal: Refusal, cx: &mut Cx<'_, Effect>) {
    let code = refusal.code();
    cx.out.extend(
        links
            .iter()
            .map(|link| Effect::Refuse { link: *link, code }),
    );
}
