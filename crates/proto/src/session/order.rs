//! `invokeAfterMsg(s)`: calls that wait for other calls of their session.
//!
//! ```text
//!  call ─┬─ names a call that failed ──> MSG_WAIT_FAILED
//!        ├─ names calls that run ──────> held ─┬─ the last of them has succeeded ─> runs
//!        │                                     ├─ one of them has failed ─────────> MSG_WAIT_FAILED
//!        │                                     └─ half a second is over ──────────> MSG_WAIT_TIMEOUT
//!        └─ else ──> runs
//! ```
//!
//! A call waits for earlier ones only, those with a lower identifier: so nothing waits in a circle, and one pass in
//! the order of identifiers finds all that depends on a failure.
//!
//! Source: <https://core.telegram.org/api/invoking>.

use std::collections::VecDeque;

use core::time::Duration;

use crate::crossing::{Cross, In, Malformed, Out, crosses, ensure};
use crate::cx::Mono;
use crate::ids::{MsgId, Term};
use crate::limits::{FAILED_CALLS_MAX, INVOKE_AFTER_WAIT_MS, RECEIVED_ID_AGE_S};
use crate::port::{Call, KeyFacts};
use crate::session::{Session, msg_id};
use crate::side::Server;

/// A call that waits for others.
#[derive(Debug)]
pub(super) struct Held {
    call: Call,
    /// The calls that have not been answered yet.
    after: Vec<MsgId>,
    until: Mono,
}

/// What a session keeps of the order of its calls.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// How many calls wait for others.
    held: usize,
    /// When to look for calls that have waited for too long.
    due: Option<Mono>,
    /// The calls that have failed, for those that name them later. Latest last.
    failed: VecDeque<MsgId>,
}

impl Held {
    /// Lets the call go by another identity, in the name of its owner.
    pub(super) fn adopt(&mut self, key: KeyFacts, term: Term) {
        self.call.identity = key.identity();
        self.call.key = key;
        self.call.term = term;
    }
}

crosses!(Held { call, after, until });

impl Cross for Order {
    fn write(&self, out: &mut Out) {
        let Self {
            held: _,
            due,
            failed,
        } = self;
        due.write(out);
        failed.write(out);
    }

    /// The calls that are held are counted when they have been read, too.
    fn read(from: &mut In<'_>) -> Result<Self, Malformed> {
        let due = Cross::read(from)?;
        let failed = VecDeque::read(from)?;
        ensure(failed.len() <= FAILED_CALLS_MAX)?;
        Ok(Self {
            held: 0,
            due,
            failed,
        })
    }
}

impl Order {
    /// Takes note of how many calls wait for others.
    pub(super) const fn set_held(&mut self, held: usize) {
        self.held = held;
    }
}

impl Session<Server> {
    /// Returns a call if it may run now. Otherwise it is held, or was answered by an error.
    pub(crate) fn order(&mut self, call: Call, after: Vec<MsgId>, now: Mono) -> Option<Call> {
        if after.is_empty() {
            return Some(call);
        }
        let id = call.msg_id;
        // A call that was dropped meanwhile has its answer.
        let at = self.position_of(id)?;
        if self.has_failed(&after) {
            self.fail(id, WAIT_FAILED);
            return None;
        }
        let mut after = after;
        after.retain(|&it| it < id && self.position_of(it).is_some());
        if after.is_empty() {
            return Some(call);
        }
        let until = now + Duration::from_millis(INVOKE_AFTER_WAIT_MS);
        let running = self.state.calls.get_mut(at)?;
        running.held = Some(Box::new(Held { call, after, until }));
        let order = self.state.order.get_or_insert_default();
        order.held += 1;
        order.due.get_or_insert(until);
        None
    }

    /// Answers a call, which runs or is held, by an `rpc_error`, and everything that waits for it.
    pub(crate) fn fail(&mut self, id: MsgId, (code, message): (i32, &str)) {
        let Some(call) = self.take_call(id) else {
            return;
        };
        self.answer_error(id, call.link, code, message);
        self.on_failed(id);
    }

    /// Takes note that a call has succeeded: appends the calls that may run now.
    pub(super) fn on_succeeded(&mut self, id: MsgId, released: &mut Vec<Call>) {
        if self.held_count() == 0 {
            return;
        }
        let before = released.len();
        let from = self.state.calls.partition_point(|it| it.msg_id < id);
        for call in self.state.calls.range_mut(from..) {
            let Some(held) = &mut call.held else {
                continue;
            };
            held.after.retain(|&it| it != id);
            if held.after.is_empty()
                && let Some(held) = call.held.take()
            {
                released.push(held.call);
            }
        }
        for _ in released.iter().skip(before) {
            self.on_unheld();
        }
    }

    /// Takes note that a call has failed: what waits for it fails, too.
    pub(super) fn on_failed(&mut self, id: MsgId) {
        self.note_failed(id);
        if self.held_count() == 0 {
            return;
        }
        let mut failed = vec![id];
        let mut at = self.state.calls.partition_point(|it| it.msg_id < id);
        while let Some(call) = self.state.calls.get(at) {
            let named = call.held.as_ref().is_some_and(|held| {
                let mut after = held.after.iter();
                after.any(|it| failed.binary_search(it).is_ok())
            });
            if !named {
                at += 1;
                continue;
            }
            // Taken out, it makes room for the next one at the same place.
            let (id, link) = (call.msg_id, call.link);
            self.take_call(id);
            self.answer_error(id, link, WAIT_FAILED.0, WAIT_FAILED.1);
            self.note_failed(id);
            failed.push(id);
        }
    }

    /// Fails the calls that have waited for too long.
    pub(super) fn end_waits(&mut self, now: Mono) {
        if self.waits_end().is_none_or(|at| at > now) {
            return;
        }
        while let Some(late) = self.first_late(now) {
            self.fail(late, WAIT_TIMEOUT);
        }
        let next = self.held().map(|(_, held)| held.until).min();
        if let Some(order) = &mut self.state.order {
            order.due = next;
        }
    }

    /// Returns when calls may have waited for too long.
    pub(super) fn waits_end(&self) -> Option<Mono> {
        self.state.order.as_ref()?.due
    }

    /// Takes note that a call that has waited was taken out.
    pub(super) fn on_unheld(&mut self) {
        if let Some(order) = &mut self.state.order {
            order.held = order.held.saturating_sub(1);
        }
    }

    /// Remembers for as long as a client may name it that a call has failed.
    pub(super) fn note_failed(&mut self, id: MsgId) {
        let failed = &mut self.state.order.get_or_insert_default().failed;
        failed.push_back(id);
        if failed.len() > FAILED_CALLS_MAX {
            failed.pop_front();
        }
    }

    /// Forgets failures of old, and gives back the room.
    pub(super) fn tidy_order(&mut self, now_s: u64) {
        let Some(order) = &mut self.state.order else {
            return;
        };
        let oldest_s = now_s.saturating_sub(RECEIVED_ID_AGE_S);
        order.failed.retain(|&id| msg_id::seconds(id) >= oldest_s);
        order.failed.shrink_to_fit();
        if order.failed.is_empty() && order.due.is_none() {
            self.state.order = None;
        }
    }

    /// Takes over what another incarnation of the session kept of its calls, which are among this one's already.
    pub(super) fn absorb_order(&mut self, other: Option<Box<Order>>) {
        let Some(other) = other else {
            return;
        };
        let Order {
            held: _,
            due,
            failed,
        } = *other;
        let held = self.held().count();
        let order = self.state.order.get_or_insert_default();
        order.held = held;
        order.due = order.due.into_iter().chain(due).min();
        for id in failed {
            self.note_failed(id);
        }
    }

    fn has_failed(&self, calls: &[MsgId]) -> bool {
        let order = self.state.order.as_ref();
        order.is_some_and(|order| calls.iter().any(|it| order.failed.contains(it)))
    }

    fn held_count(&self) -> usize {
        self.state.order.as_ref().map_or(0, |order| order.held)
    }

    fn first_late(&self, now: Mono) -> Option<MsgId> {
        let late = self.held().find(|(_, held)| held.until <= now);
        late.map(|(id, _)| id)
    }

    fn held(&self) -> impl Iterator<Item = (MsgId, &Held)> {
        let calls = self.state.calls.iter();
        calls.filter_map(|call| Some((call.msg_id, &**call.held.as_ref()?)))
    }
}

const WAIT_FAILED: (i32, &str) = (400, "MSG_WAIT_FAILED");
const WAIT_TIMEOUT: (i32, &str) = (400, "MSG_WAIT_TIMEOUT");
