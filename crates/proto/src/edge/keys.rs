//! The keys that a gateway has at hand.
//!
//! A key is looked up once however many links ask for it, is held while a link uses it and at most
//! [`KEY_UNUSED_MAX`] after; that a key is absent is believed for [`KEY_ABSENT_MAX`]. An expired key is absent.
//!
//! ```text
//! (nothing) --Want--> Loading --Loaded--> Present --last Release--> unused --60 s--> (nothing)
//!                        \----------> Absent --2 s--> (nothing)
//! ```
//!
//! The cache decides nothing about a session: the owner of a key refuses every frame of a destroyed one, whatever
//! is held here. What an owner says of a key goes on to the links that hold it; a look-up that began before is
//! corrected.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::cx::{Cx, Mono};
use crate::ids::{AuthKeyId, Identity, LinkId};
use crate::limits::{KEY_ABSENT_MAX, KEY_LOADS_MAX, KEY_UNUSED_MAX, KEYS_UNUSED_MAX};
use crate::port::{KeyFacts, KeyRecord};
use crate::ring::Partition;

/// The limits of a cache.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Look-ups that may run at once.
    pub loads_max: usize,
    /// Entries that nobody uses, absent ones included.
    pub unused_max: usize,
    /// How long a key is kept after its last use.
    pub unused_age_max: Duration,
    /// How long the store's word that a key is absent is believed.
    pub absent_age_max: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            loads_max: KEY_LOADS_MAX,
            unused_max: KEYS_UNUSED_MAX,
            unused_age_max: KEY_UNUSED_MAX,
            absent_age_max: KEY_ABSENT_MAX,
        }
    }
}

/// What happens to the cache.
#[derive(Clone, Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new input must break every driver at compile time"
)]
pub enum Input {
    /// A link wants a key. It is answered once, with [`Effect::Outcome`], and from a [`KeyOutcome::Present`] on holds it.
    Want {
        /// Who asks.
        link: LinkId,
        /// Which key.
        id: AuthKeyId,
    },
    /// The store has answered [`Effect::Load`].
    Loaded {
        /// Which key.
        id: AuthKeyId,
        /// What the store said.
        outcome: KeyOutcome,
    },
    /// A key was made and stored.
    Made(Arc<KeyRecord>),
    /// Its owner says that a temporary key is bound.
    Bound {
        /// What it is now.
        facts: KeyFacts,
    },
    /// Its owner says that a key is no more.
    Revoked {
        /// Which key.
        id: AuthKeyId,
    },
    /// What owners in these partitions have said may have been missed: nothing that is known of their keys is believed before the
    /// store has said it again.
    Doubted {
        /// Which.
        partitions: Vec<Partition>,
    },
    /// A link that holds a key lets it go.
    Release {
        /// Who.
        link: LinkId,
        /// Which key.
        id: AuthKeyId,
    },
    /// A link is gone that wanted a key and has not taken the outcome.
    Forget {
        /// Who.
        link: LinkId,
        /// Which key.
        id: AuthKeyId,
    },
}

/// What the cache wants done.
#[derive(Clone, Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new effect must break every driver at compile time"
)]
pub enum Effect {
    /// Tell a link that a key which it holds has to be looked up again before its next frame. It holds it no longer.
    Doubted {
        /// Who.
        link: LinkId,
        /// Which key.
        id: AuthKeyId,
    },
    /// Ask the store. Exactly one [`Input::Loaded`] must follow.
    Load {
        /// Which key.
        id: AuthKeyId,
    },
    /// Tell a link. One that holds the key already is told when its facts have changed.
    Outcome {
        /// Who asked.
        link: LinkId,
        /// For which key.
        id: AuthKeyId,
        /// What came of it.
        outcome: KeyOutcome,
    },
    /// Tell a link that a key which it holds is no more. It holds it no longer.
    Revoked {
        /// Who.
        link: LinkId,
        /// Which key.
        id: AuthKeyId,
    },
}

/// What came of a look-up.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "a link has one reaction to each")]
pub enum KeyOutcome {
    /// The store is sure that there is no such key, or it has expired.
    Absent,
    /// The key.
    Present(Arc<KeyRecord>),
    /// The store can't say now.
    Unavailable,
}

/// The cache. Its owner calls [`Self::handle_deadline`] when [`Self::next_deadline`] has come.
#[derive(Debug)]
pub struct KeyCache {
    config: Config,
    entries: BTreeMap<AuthKeyId, Entry>,
    loading: usize,
    /// The entries that nobody uses, in the order of their ends.
    ends: BTreeSet<(Mono, AuthKeyId)>,
}

impl KeyCache {
    /// Makes an empty cache.
    #[must_use]
    pub const fn new(config: Config) -> Self {
        Self {
            config,
            entries: BTreeMap::new(),
            loading: 0,
            ends: BTreeSet::new(),
        }
    }

    /// Takes one input.
    pub fn handle(&mut self, input: Input, cx: &mut Cx<'_, Effect>) {
        match input {
            Input::Want { link, id } => self.want(link, id, cx),
            Input::Loaded { id, outcome } => self.loaded(id, outcome, cx),
            Input::Made(record) => self.made(record, cx.now.mono),
            Input::Bound { facts } => self.bound(facts, cx),
            Input::Revoked { id } => self.revoked(id, cx),
            Input::Doubted { partitions } => self.doubted(&partitions, cx),
            Input::Release { link, id } => self.release(link, id, cx.now.mono),
            Input::Forget { link, id } => self.forget(link, id, cx.now.mono),
        }
    }

    /// Returns a key that some link holds, if it has not ended.
    #[must_use]
    pub fn in_use(&self, id: AuthKeyId, now_unix_s: u64) -> Option<&Arc<KeyRecord>> {
        match self.entries.get(&id) {
            Some(Entry::Present { record, .. }) if !record.facts.is_expired(now_unix_s) => {
                Some(record)
            }
            Some(Entry::Absent { .. } | Entry::Loading { .. } | Entry::Present { .. }) | None => {
                None
            }
        }
    }

    /// Returns when something ends, at the earliest.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Mono> {
        self.ends.first().map(|&(end, _)| end)
    }

    /// Lets go of what has ended.
    pub fn handle_deadline(&mut self, now: Mono) {
        while let Some(&(end, id)) = self.ends.first()
            && end <= now
        {
            self.remove(id);
        }
    }

    /// Returns how many keys, absent ones and running look-ups are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Tells whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn want(&mut self, link: LinkId, id: AuthKeyId, cx: &mut Cx<'_, Effect>) {
        self.handle_deadline(cx.now.mono);
        let outcome = match self.entries.get_mut(&id) {
            Some(Entry::Absent { .. }) => KeyOutcome::Absent,
            Some(Entry::Loading { links, .. }) => {
                links.push(link);
                return;
            }
            Some(Entry::Present { record, .. })
                if record.facts.is_expired(cx.now.unix.seconds()) =>
            {
                KeyOutcome::Absent
            }
            Some(Entry::Present {
                record,
                users,
                unused_end,
            }) => {
                users.reserve_exact(1);
                users.push(link);
                if let Some(end) = unused_end.take() {
                    self.ends.remove(&(end, id));
                }
                KeyOutcome::Present(Arc::clone(record))
            }
            None if self.loading < self.config.loads_max => {
                self.loading += 1;
                let said = None;
                self.entries.insert(
                    id,
                    Entry::Loading {
                        links: vec![link],
                        said,
                    },
                );
                cx.out.push(Effect::Load { id });
                return;
            }
            None => KeyOutcome::Unavailable,
        };
        cx.out.push(Effect::Outcome { link, id, outcome });
    }

    fn loaded(&mut self, id: AuthKeyId, outcome: KeyOutcome, cx: &mut Cx<'_, Effect>) {
        let Some(Entry::Loading { links, said }) = self.entries.get_mut(&id) else {
            return;
        };
        if said.take_if(|it| *it == Said::Doubted).is_some() {
            return cx.out.push(Effect::Load { id });
        }
        let (links, said) = (core::mem::take(links), *said);
        self.remove(id);
        let outcome = match outcome {
            KeyOutcome::Present(record) if record.facts.is_expired(cx.now.unix.seconds()) => {
                KeyOutcome::Absent
            }
            KeyOutcome::Present(_) if said == Some(Said::Revoked) => KeyOutcome::Absent,
            KeyOutcome::Present(record) => match said {
                Some(Said::Bound(facts)) => KeyOutcome::Present(bind(&record, facts)),
                Some(Said::Doubted | Said::Revoked) | None => KeyOutcome::Present(record),
            },
            other @ (KeyOutcome::Absent | KeyOutcome::Unavailable) => other,
        };
        match &outcome {
            KeyOutcome::Absent => {
                let end = cx.now.mono + self.config.absent_age_max;
                self.entries.insert(id, Entry::Absent { end });
                self.keep_until(end, id);
            }
            KeyOutcome::Present(record) => {
                self.insert(Arc::clone(record), links.clone(), cx.now.mono);
            }
            KeyOutcome::Unavailable => {}
        }
        cx.out.extend(links.into_iter().map(|link| Effect::Outcome {
            link,
            id,
            outcome: outcome.clone(),
        }));
    }

    /// A look-up of the same id that runs meanwhile is left to its end: nobody can have known the id before.
    fn made(&mut self, record: Arc<KeyRecord>, now: Mono) {
        let id = record.facts.id;
        if matches!(self.entries.get(&id), None | Some(Entry::Absent { .. })) {
            self.remove(id);
            self.insert(record, Vec::new(), now);
        }
    }

    fn bound(&mut self, facts: KeyFacts, cx: &mut Cx<'_, Effect>) {
        let id = facts.id;
        match self.entries.get_mut(&id) {
            // What is doubted is asked for anew, and has it then.
            Some(Entry::Loading { said, .. }) => {
                said.get_or_insert(Said::Bound(facts));
            }
            Some(Entry::Present { record, users, .. }) if record.facts != facts => {
                *record = bind(record, facts);
                cx.out.extend(users.iter().map(|&link| Effect::Outcome {
                    link,
                    id,
                    outcome: KeyOutcome::Present(Arc::clone(record)),
                }));
            }
            Some(Entry::Absent { .. } | Entry::Present { .. }) | None => {}
        }
    }

    fn revoked(&mut self, id: AuthKeyId, cx: &mut Cx<'_, Effect>) {
        match self.entries.get_mut(&id) {
            Some(Entry::Loading { said, .. }) => *said = Some(Said::Revoked),
            Some(Entry::Present { users, .. }) => {
                let users = core::mem::take(users);
                self.remove(id);
                let revoked = |link| Effect::Revoked { link, id };
                cx.out.extend(users.into_iter().map(revoked));
            }
            Some(Entry::Absent { .. }) | None => {}
        }
    }

    fn doubted(&mut self, partitions: &[Partition], cx: &mut Cx<'_, Effect>) {
        let is_in = |id| partitions.contains(&Partition::of(Identity(id)));
        let mut gone = Vec::new();
        for (&id, entry) in &mut self.entries {
            match entry {
                // Its permanent key is not known here, and may be anybody's.
                Entry::Loading { said, .. } if *said != Some(Said::Revoked) => {
                    *said = Some(Said::Doubted);
                }
                Entry::Present { record, users, .. }
                    if is_in(id) || is_in(record.facts.identity().0) =>
                {
                    let users = core::mem::take(users).into_iter();
                    cx.out
                        .extend(users.map(|link| Effect::Doubted { link, id }));
                    gone.push(id);
                }
                Entry::Absent { .. } | Entry::Loading { .. } | Entry::Present { .. } => {}
            }
        }
        gone.into_iter().for_each(|id| self.remove(id));
    }

    fn insert(&mut self, record: Arc<KeyRecord>, users: Vec<LinkId>, now: Mono) {
        let id = record.facts.id;
        let end = now + self.config.unused_age_max;
        let unused_end = users.is_empty().then_some(end);
        self.entries.insert(
            id,
            Entry::Present {
                record,
                users,
                unused_end,
            },
        );
        if unused_end.is_some() {
            self.keep_until(end, id);
        }
    }

    fn release(&mut self, link: LinkId, id: AuthKeyId, now: Mono) {
        self.handle_deadline(now);
        let Some(Entry::Present {
            users, unused_end, ..
        }) = self.entries.get_mut(&id)
        else {
            return;
        };
        if let Some(position) = users.iter().position(|&user| user == link) {
            users.swap_remove(position);
        }
        if users.is_empty() && unused_end.is_none() {
            let end = now + self.config.unused_age_max;
            *unused_end = Some(end);
            self.keep_until(end, id);
        }
    }

    fn forget(&mut self, link: LinkId, id: AuthKeyId, now: Mono) {
        match self.entries.get_mut(&id) {
            Some(Entry::Loading { links, .. }) => {
                if let Some(position) = links.iter().position(|&waiting| waiting == link) {
                    links.swap_remove(position);
                }
            }
            // The outcome was on its way: the link counts as a user.
            Some(Entry::Present { .. }) => self.release(link, id, now),
            Some(Entry::Absent { .. }) | None => {}
        }
    }

    /// Notes that nobody uses `id`; what ends first makes room if there are too many.
    fn keep_until(&mut self, end: Mono, id: AuthKeyId) {
        self.ends.insert((end, id));
        while self.ends.len() > self.config.unused_max
            && let Some(&(_, first)) = self.ends.first()
        {
            self.remove(first);
        }
    }

    fn remove(&mut self, id: AuthKeyId) {
        match self.entries.remove(&id) {
            Some(
                Entry::Absent { end }
                | Entry::Present {
                    unused_end: Some(end),
                    ..
                },
            ) => {
                self.ends.remove(&(end, id));
            }
            Some(Entry::Loading { .. }) => self.loading -= 1,
            Some(Entry::Present {
                unused_end: None, ..
            })
            | None => {}
        }
    }
}

#[derive(Debug)]
enum Entry {
    Absent {
        end: Mono,
    },
    Loading {
        links: Vec<LinkId>,
        said: Option<Said>,
    },
    Present {
        record: Arc<KeyRecord>,
        users: Vec<LinkId>,
        unused_end: Option<Mono>,
    },
}

/// What an owner has said of a key that is being looked up: the store may have been asked before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Bound(KeyFacts),
    /// More may have been said, and missed.
    Doubted,
    Revoked,
}

/// Returns the record of a key that is now bound.
fn bind(record: &KeyRecord, facts: KeyFacts) -> Arc<KeyRecord> {
    Arc::new(KeyRecord {
        facts,
        ..record.clone()
    })
}

#[cfg(test)]
mod tests;
