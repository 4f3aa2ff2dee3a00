//! The ports without a world behind them: for tests, and for a server whose keys may die with it.
//!
//! Nothing here is durable, whatever the traits promise of their durable siblings.

mod discovery;

pub use discovery::MemoryDiscovery;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use heliogram_proto::exchange::binding;
use heliogram_proto::ids::{AuthKeyId, Identity};

use crate::clock::unix_now;
use crate::{
    AuthKeys, Binding, Bound, BoxFuture, Inserted, KeyKind, KeyRecord, Unavailable, Users,
};

/// Keys in a map, at most [`KEYS_MAX`] of them.
#[derive(Debug, Default)]
pub struct MemoryKeys {
    records: Mutex<Records>,
}

impl MemoryKeys {
    /// Makes an empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn records(&self) -> MutexGuard<'_, Records> {
        // No change can panic half way: one elsewhere has left nothing half done.
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AuthKeys for MemoryKeys {
    fn find(&self, id: AuthKeyId) -> BoxFuture<'_, Result<Option<Arc<KeyRecord>>, Unavailable>> {
        Box::pin(async move { Ok(self.records().find(id, unix_now().seconds()).cloned()) })
    }

    fn insert(&self, record: KeyRecord) -> BoxFuture<'_, Result<Inserted, Unavailable>> {
        Box::pin(async move { self.records().insert(record, unix_now().seconds()) })
    }

    fn bind(&self, binding: Binding) -> BoxFuture<'_, Result<Bound, Unavailable>> {
        Box::pin(async move { Ok(self.records().bind(binding, unix_now().seconds())) })
    }

    fn remove(&self, id: AuthKeyId) -> BoxFuture<'_, Result<Vec<AuthKeyId>, Unavailable>> {
        Box::pin(async move { Ok(self.records().remove(id, unix_now().seconds())) })
    }

    fn remove_bound(
        &self,
        perm: AuthKeyId,
        except: Vec<AuthKeyId>,
    ) -> BoxFuture<'_, Result<Vec<AuthKeyId>, Unavailable>> {
        Box::pin(async move {
            Ok(self
                .records()
                .remove_bound(perm, &except, unix_now().seconds()))
        })
    }
}

impl Users for MemoryKeys {
    fn find_user(&self, identity: Identity) -> BoxFuture<'_, Result<Option<i64>, Unavailable>> {
        Box::pin(async move { Ok(self.records().users.get(&identity.0).copied()) })
    }

    fn keep_user(
        &self,
        identity: Identity,
        user: Option<i64>,
    ) -> BoxFuture<'_, Result<(), Unavailable>> {
        Box::pin(async move {
            let mut records = self.records();
            let is_there = records.find(identity.0, unix_now().seconds()).is_some();
            match user.filter(|_| is_there) {
                Some(user) => drop(records.users.insert(identity.0, user)),
                None => drop(records.users.remove(&identity.0)),
            }
            Ok(())
        })
    }
}

/// Every record, and which temporary keys are bound to which permanent ones.
#[derive(Debug, Default)]
struct Records {
    by_id: BTreeMap<AuthKeyId, Arc<KeyRecord>>,
    bound: BTreeSet<(AuthKeyId, AuthKeyId)>,
    users: BTreeMap<AuthKeyId, i64>,
}

impl Records {
    /// Finds a key that has not ended; one that has is forgotten.
    fn find(&mut self, id: AuthKeyId, now_unix_s: u64) -> Option<&mut Arc<KeyRecord>> {
        if self.by_id.get(&id)?.facts.is_expired(now_unix_s) {
            self.forget(id);
        }
        self.by_id.get_mut(&id)
    }

    fn forget(&mut self, id: AuthKeyId) {
        self.users.remove(&id);
        if let Some(perm) = self.by_id.remove(&id).and_then(|it| it.facts.perm) {
            self.bound.remove(&(perm, id));
        }
    }

    fn insert(&mut self, record: KeyRecord, now_unix_s: u64) -> Result<Inserted, Unavailable> {
        let id = record.facts.id;
        if self.find(id, now_unix_s).is_some() {
            return Ok(Inserted::Duplicate);
        }
        if self.by_id.len() >= KEYS_MAX {
            let ended = |it: &&Arc<KeyRecord>| it.facts.is_expired(now_unix_s);
            let ended: Vec<_> = self.by_id.values().filter(ended).collect();
            for id in ended.iter().map(|it| it.facts.id).collect::<Vec<_>>() {
                self.forget(id);
            }
        }
        if self.by_id.len() >= KEYS_MAX {
            return Err(Unavailable);
        }
        self.by_id.insert(id, Arc::new(record));
        Ok(Inserted::Stored)
    }

    fn bind(&mut self, binding: Binding, now_unix_s: u64) -> Bound {
        let Binding {
            key,
            perm,
            expires_at_unix_s,
        } = binding;
        let is_permanent = |it: &mut Arc<KeyRecord>| it.facts.kind == KeyKind::Permanent;
        if !self.find(perm, now_unix_s).is_some_and(is_permanent) {
            return Bound::Absent;
        }
        let Some(record) = self.find(key, now_unix_s) else {
            return Bound::Absent;
        };
        let Some(facts) = record.facts.bind(perm, expires_at_unix_s) else {
            return match record.facts.kind {
                KeyKind::Permanent => Bound::Absent,
                KeyKind::Temporary { .. } => Bound::Taken,
            };
        };
        Arc::make_mut(record).facts = facts;
        self.bound.insert((perm, key));
        let removed = binding::surplus(self.temporary(perm), key);
        for &id in &removed {
            self.forget(id);
        }
        Bound::Stored { facts, removed }
    }

    fn remove(&mut self, id: AuthKeyId, now_unix_s: u64) -> Vec<AuthKeyId> {
        if self.find(id, now_unix_s).is_none() {
            return Vec::new();
        }
        let mut removed = self.remove_bound(id, &[], now_unix_s);
        self.forget(id);
        removed.push(id);
        removed
    }

    fn remove_bound(
        &mut self,
        perm: AuthKeyId,
        except: &[AuthKeyId],
        now_unix_s: u64,
    ) -> Vec<AuthKeyId> {
        let mut removed = Vec::new();
        for (_, id) in self.temporary(perm) {
            if !except.contains(&id) && self.find(id, now_unix_s).is_some() {
                self.forget(id);
                removed.push(id);
            }
        }
        removed
    }

    /// Returns the temporary keys that are bound to a key, with their ends.
    fn temporary(&self, perm: AuthKeyId) -> Vec<(u32, AuthKeyId)> {
        let range = (perm, AuthKeyId(i64::MIN))..=(perm, AuthKeyId(i64::MAX));
        let end = |id: AuthKeyId| match self.by_id.get(&id)?.facts.kind {
            KeyKind::Permanent => None,
            KeyKind::Temporary { expires_at_unix_s } => Some((expires_at_unix_s, id)),
        };
        self.bound
            .range(range)
            .filter_map(|&(_, id)| end(id))
            .collect()
    }
}

/// Keys that a [`MemoryKeys`] holds: some 500 MB. A store that is full is unavailable to new keys.
pub const KEYS_MAX: usize = 1_000_000;
