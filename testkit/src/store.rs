//! The key store: answers late, and at times says that it can't.

use std::collections::BTreeMap;
use std::sync::Arc;

use heliogram_proto::edge::keys::KeyOutcome;
use heliogram_proto::ids::AuthKeyId;
use heliogram_proto::port::{KeyFacts, KeyRecord};

/// Keys, durable like a store's.
#[derive(Debug, Default)]
pub(crate) struct Store {
    pub(crate) records: BTreeMap<AuthKeyId, Arc<KeyRecord>>,
    /// Keys that were destroyed.
    pub(crate) destroyed: u64,
    /// It can't say anything now.
    pub(crate) is_down: bool,
}

impl Store {
    /// Destroys a key and all that is bound to it; returns them.
    pub(crate) fn remove(&mut self, id: AuthKeyId) -> Vec<AuthKeyId> {
        let mut gone = self.remove_bound(id, &[]);
        if self.records.remove(&id).is_some() {
            self.destroyed += 1;
            gone.push(id);
        }
        gone
    }

    /// Destroys the keys that are bound to another, but some.
    pub(crate) fn remove_bound(&mut self, to: AuthKeyId, except: &[AuthKeyId]) -> Vec<AuthKeyId> {
        let bound = self.records.values().filter(|it| it.facts.perm == Some(to));
        let ids = bound
            .map(|it| it.facts.id)
            .filter(|id| !except.contains(id));
        let gone: Vec<_> = ids.collect();
        for id in &gone {
            self.records.remove(id);
            self.destroyed += 1;
        }
        gone
    }

    /// Records what a key is now.
    pub(crate) fn set_facts(&mut self, facts: KeyFacts) {
        if let Some(record) = self.records.get_mut(&facts.id) {
            let record = Arc::make_mut(record);
            record.facts = facts;
        }
    }

    pub(crate) fn find(&self, id: AuthKeyId, unix_s: u64) -> KeyOutcome {
        if self.is_down {
            return KeyOutcome::Unavailable;
        }
        match self.records.get(&id) {
            Some(record) if !record.facts.is_expired(unix_s) => {
                KeyOutcome::Present(Arc::clone(record))
            }
            Some(_) | None => KeyOutcome::Absent,
        }
    }
}
