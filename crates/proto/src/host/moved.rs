//! Temporary keys whose sessions have gone to the owner of their permanent key.
//!
//! ```text
//!  bound ──> parking: what comes waits ──TakenOver──> passing on, until the key ends
//! ```
//!
//! Whoever is to take the sessions may be lost with them: what has waited for long is passed on all the same.
//!
//! A gateway that does not know yet that a key is bound sends its frames here. They wait until the sessions are where they
//! go: a second copy that came there before the first's trace would run again.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use crate::cx::{Mono, Now};
use crate::host::prepare::PreparedFrame;
use crate::host::{Effect, Input};
use crate::ids::{AuthKeyId, Identity};
use crate::limits::{MOVED_KEYS_MAX, PARKED_AGE_MAX, PARKED_BYTES_MAX, PARKED_FRAMES_MAX};
use crate::port::{KeyFacts, KeyKind};

/// The keys that have moved.
#[derive(Debug, Default)]
pub(super) struct Moved {
    keys: BTreeMap<AuthKeyId, Box<Key>>,
    ends: BTreeSet<(Mono, AuthKeyId)>,
}

#[derive(Debug)]
struct Key {
    facts: KeyFacts,
    /// `None` once the sessions have arrived.
    parked: Option<Vec<Input>>,
    parked_bytes: usize,
    since: Mono,
    end: Mono,
}

/// Too much waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Crowded;

impl Moved {
    /// Begins to park what comes for a key; returns when it ends. The first to end of too many is forgotten.
    pub(super) fn begin(&mut self, facts: KeyFacts, now: Now) -> Mono {
        self.remove(facts.id);
        if self.ends.len() >= MOVED_KEYS_MAX
            && let Some(&(_, first)) = self.ends.first()
        {
            self.remove(first);
        }
        let end = now.mono + Duration::from_secs(seconds_left(&facts, now));
        self.ends.insert((end, facts.id));
        let key = Key {
            facts,
            parked: Some(Vec::new()),
            parked_bytes: 0,
            since: now.mono,
            end,
        };
        self.keys.insert(facts.id, Box::new(key));
        end
    }

    /// Tells whether a key has moved.
    pub(super) fn contains(&self, key: AuthKeyId) -> bool {
        !self.keys.is_empty() && self.keys.contains_key(&key)
    }

    /// Passes a frame on under the key's new name, or parks it.
    pub(super) fn frame(
        &mut self,
        mut frame: PreparedFrame,
        now: Mono,
        out: &mut Vec<Effect>,
    ) -> Result<(), Crowded> {
        self.give_up_waiting(frame.key.id, now, out);
        let Some(key) = self.keys.get_mut(&frame.key.id) else {
            return Ok(());
        };
        frame.key = key.facts;
        // Whom its gateway took to be the owner is not who gets it.
        frame.term = None;
        let bytes = key.parked_bytes.saturating_add(frame.bytes);
        if let Some(parked) = &key.parked {
            if parked.len() >= PARKED_FRAMES_MAX || bytes > PARKED_BYTES_MAX {
                return Err(Crowded);
            }
            key.parked_bytes = bytes;
        }
        key.pass_on(Input::Frame(frame), out);
        Ok(())
    }

    fn give_up_waiting(&mut self, id: AuthKeyId, now: Mono, out: &mut Vec<Effect>) {
        let key = self.keys.get(&id);
        if key.is_some_and(|it| it.parked.is_some() && now.since(it.since) >= PARKED_AGE_MAX) {
            self.arrived(id, out);
        }
    }

    /// Passes an answer on to where its call is now, or parks it: there are no more of them than calls ran.
    pub(super) fn answer(&mut self, answer: Input, out: &mut Vec<Effect>) {
        let Input::Answer { mut call, answer } = answer else {
            return;
        };
        if let Some(key) = self.keys.get_mut(&call.identity.0) {
            call.identity = key.facts.identity();
            key.pass_on(Input::Answer { call, answer }, out);
        }
    }

    /// Passes on what was parked: the sessions have arrived.
    pub(super) fn arrived(&mut self, key: AuthKeyId, out: &mut Vec<Effect>) {
        let Some(key) = self.keys.get_mut(&key) else {
            return;
        };
        for input in key.parked.take().into_iter().flatten() {
            key.pass_on(input, out);
        }
    }

    /// Forgets a key.
    pub(super) fn remove(&mut self, id: AuthKeyId) {
        if let Some(key) = self.keys.remove(&id) {
            self.ends.remove(&(key.end, id));
        }
    }
}

impl Key {
    fn pass_on(&mut self, input: Input, out: &mut Vec<Effect>) {
        if let Some(parked) = &mut self.parked {
            parked.push(input);
            return;
        }
        let (to, input): (Identity, _) = (self.facts.identity(), Box::new(input));
        out.push(Effect::Forward { to, input });
    }
}

/// Returns in how many seconds a key ends, rounded up.
fn seconds_left(facts: &KeyFacts, now: Now) -> u64 {
    match facts.kind {
        KeyKind::Permanent => u64::MAX,
        KeyKind::Temporary { expires_at_unix_s } => {
            u64::from(expires_at_unix_s).saturating_sub(now.unix.seconds())
        }
    }
}
