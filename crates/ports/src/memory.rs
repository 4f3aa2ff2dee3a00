//! The ports without a world behind them: for tests, and for a server whose keys may die with it.
//!
//! Nothing here is durable, whatever the traits promise of their durable siblings.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use heliogram_proto::ids::AuthKeyId;

use crate::clock::unix_now;
use crate::{AuthKeys, BoxFuture, Inserted, KeyRecord, Unavailable};

/// Keys in a map, at most [`KEYS_MAX`] of them.
#[derive(Debug)]
pub struct MemoryKeys {
    records: Mutex<BTreeMap<AuthKeyId, Arc<KeyRecord>>>,
    now_unix_s: fn() -> u64,
}

impl MemoryKeys {
    /// Makes an empty store on the system's clock.
    #[must_use]
    pub const fn new() -> Self {
        Self::with_clock(|| unix_now().seconds())
    }

    /// Makes an empty store on the caller's clock, which returns Unix time in seconds.
    #[must_use]
    pub const fn with_clock(now_unix_s: fn() -> u64) -> Self {
        Self {
            records: Mutex::new(BTreeMap::new()),
            now_unix_s,
        }
    }

    fn records(&self) -> MutexGuard<'_, BTreeMap<AuthKeyId, Arc<KeyRecord>>> {
        // Every change is one call of the map: a panic elsewhere can't have left it half done.
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryKeys {
    fn default() -> Self {
        Self::new()
    }
}

impl AuthKeys for MemoryKeys {
    fn find(&self, id: AuthKeyId) -> BoxFuture<'_, Result<Option<Arc<KeyRecord>>, Unavailable>> {
        Box::pin(async move {
            let now_unix_s = (self.now_unix_s)();
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
            let now_unix_s = (self.now_unix_s)();
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
            let now_unix_s = (self.now_unix_s)();
            Ok(self
                .records()
                .remove(&id)
                .is_some_and(|kept| !kept.facts.is_expired(now_unix_s)))
        })
    }
}

/// Keys that a [`MemoryKeys`] holds: some 500 MB. A store that is full is unavailable to new keys.
pub const KEYS_MAX: usize = 1_000_000;
