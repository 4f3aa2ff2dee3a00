//! The ports without a world behind them: for tests, and for a server whose keys may die with it.
//!
//! Nothing here is durable, whatever the traits promise of their durable siblings.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use heliogram_proto::ids::AuthKeyId;

use crate::clock::unix_now;
use crate::{AuthKeys, BoxFuture, Inserted, KeyRecord, Unavailable};

/// Keys in a map, at most [`KEYS_MAX`] of them.
#[derive(Debug, Default)]
pub struct MemoryKeys {
    records: Mutex<BTreeMap<AuthKeyId, Arc<KeyRecord>>>,
}

impl MemoryKeys {
    /// Makes an empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn records(&self) -> MutexGuard<'_, BTreeMap<AuthKeyId, Arc<KeyRecord>>> {
        // Every change is one call of the map: a panic elsewhere can't have left it half done.
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AuthKeys for MemoryKeys {
    fn find(&self, id: AuthKeyId) -> BoxFuture<'_, Result<Option<Arc<KeyRecord>>, Unavailable>> {
        Box::pin(async move {
            let now_unix_s = unix_now().seconds();
            let mut records = self.records();
            let found = records.get(&id).cloned();
            if found
                .as_ref()
                .is_some_and(|record| record.facts.is_expired(now_unix_s))
            {
                records.remove(&id);
                return Ok(None);
            }
            Ok(found)
        })
    }

    fn insert(&self, record: KeyRecord) -> BoxFuture<'_, Result<Inserted, Unavailable>> {
        Box::pin(async move {
            let now_unix_s = unix_now().seconds();
            let id = record.facts.id;
            let mut records = self.records();
            if records
                .get(&id)
                .is_some_and(|kept| !kept.facts.is_expired(now_unix_s))
            {
                return Ok(Inserted::Duplicate);
            }
            if records.len() >= KEYS_MAX {
                records.retain(|_, kept| !kept.facts.is_expired(now_unix_s));
            }
            if records.len() >= KEYS_MAX {
                return Err(Unavailable);
            }
            records.insert(id, Arc::new(record));
            Ok(Inserted::Stored)
        })
    }

    fn remove(&self, id: AuthKeyId) -> BoxFuture<'_, Result<bool, Unavailable>> {
        Box::pin(async move {
            let now_unix_s = unix_now().seconds();
            Ok(self
                .records()
                .remove(&id)
                .is_some_and(|kept| !kept.facts.is_expired(now_unix_s)))
        })
    }
}

/// Keys that a [`MemoryKeys`] holds: some 500 MB. A store that is full is unavailable to new keys.
pub const KEYS_MAX: usize = 1_000_000;
