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
    ends: BTreeSet<(u32, AuthKeyId)>,
}

#[derive(Debug)]
struct Key {
    facts: KeyFacts,
    /// `None` once the sessions have arrived.
    parked: Option<Vec<Input>>,
    parked_bytes: usize,
    since: Mono,
}

/// Too much waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Crowded;

impl Moved {
    /// Begins to park what comes for a key. Those that have ended are forgotten, and the first to end of too many.
    pub(super) fn begin(&mut self, facts: KeyFacts, now: Now) {
        let now_unix_s = now.unix.seconds();
        self.remove(facts.id);
        while let Some(&(end, first)) = self.ends.first()
            && (self.ends.len() >= MOVED_KEYS_MAX || u64::from(end) <= now_unix_s)
        {
            self.remove(first);
        }
        self.ends.insert((end(&facts), facts.id));
        let key = Key {
            facts,
            parked: Some(Vec::new()),
            parked_bytes: 0,
            since: now.mono,
        };
        self.keys.insert(facts.id, Box::new(key));
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
            self.ends.remove(&(end(&key.facts), id));
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

fn end(facts: &KeyFacts) -> u32 {
    match facts.kind {
        KeyKind::Permanent => u32::MAX,
        KeyKind::Temporary { expires_at_unix_s } => expires_at_unix_s,
    }
}
