//! Redis in front of the store of record. It makes look-ups fast, and is never needed.
//!
//! ```text
//! find   ──> Redis: a sealed record, or "absent" ──────────────────────────────────────────────> answer
//!             └─ nothing: take the lease ──> store ──> fill, if the lease is still there ──────> answer
//! change ──> store: the change and a note of it, in one transaction ──> Redis: delete ─────────> answer
//! keeper ──> store: notes that nobody has settled for a second ──> Redis: delete ──> store: settle
//! ```
//!
//! A look-up fills the cache only with the lease that it took before it asked the store; a change deletes the entry, the
//! lease included. So no look-up that began before a change can leave behind what it saw.
//!
//! A change that could not be told leaves its note. After Redis was lost, no entry is believed before all notes have been
//! told. Who has never lost Redis, while the one who changes a key has, hears of it within two seconds; nobody goes on
//! with an entry for more than an hour. Whatever is cached, the owner of a destroyed key refuses it.
//!
//! What is in Redis is sealed, as in the store. Who can write to it can hide a key for two seconds, or bring back an older
//! record of it, and no more.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use heliogram_ports::clock::unix_now;
use heliogram_ports::record::Sealer;
use heliogram_ports::{
    AuthKeys, Binding, Bound, BoxFuture, Inserted, KeyKind, KeyRecord, Unavailable,
};
use heliogram_proto::ids::AuthKeyId;
use redis::RedisError;
use tokio::time::{sleep, timeout};

use crate::changes::OfRecord;
use crate::limits::{
    ABSENT_AGE_MAX, CACHED_AGE_MAX, CHANGE_AGE_MIN, CHANGES_PERIOD, PAUSE_MAX, PAUSE_MIN,
};
use crate::metrics::LookUps;
use crate::shelf::{Connection, Found, Lease, Lost, Shelf};
use crate::task::Task;

/// Keys of a store of record, cached. Cloning shares it.
pub struct CachedKeys<K> {
    inner: Arc<Inner<K>>,
    _keeper: Arc<Task>,
}

struct Inner<K> {
    store: K,
    sealer: Arc<Sealer>,
    shelf: Shelf,
    counts: LookUps,
}

impl<K> Clone for CachedKeys<K> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            _keeper: Arc::clone(&self._keeper),
        }
    }
}

impl<K> fmt::Debug for CachedKeys<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CachedKeys(…)")
    }
}

impl<K: OfRecord> CachedKeys<K> {
    /// Puts a cache in front of a store; connects to Redis when it can.
    ///
    /// `url` is of the form `redis://[user:password@]host:port[/database]`. All who cache the same store use the same
    /// `cluster`; nobody else uses it.
    ///
    /// Must be called within a runtime.
    ///
    /// # Errors
    ///
    /// [`BadUrl`] when the URL is of another form.
    pub fn new(store: K, sealer: Arc<Sealer>, url: &str, cluster: u64) -> Result<Self, BadUrl> {
        let shelf = Shelf::new(url, cluster).map_err(|error| BadUrl(error.to_string()))?;
        let inner = Arc::new(Inner {
            store,
            sealer,
            shelf,
            counts: LookUps::default(),
        });
        let keeper = Task::spawn(keep(Arc::clone(&inner)));
        Ok(Self {
            inner,
            _keeper: Arc::new(keeper),
        })
    }
}

impl<K> CachedKeys<K> {
    /// Tells whether Redis is used now.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.inner.shelf.is_up()
    }

    pub(crate) fn counts(&self) -> &LookUps {
        &self.inner.counts
    }
}

/// The URL of a cache is of no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected redis://[user:password@]host:port[/database]: {0}")]
pub struct BadUrl(String);

impl<K: OfRecord> AuthKeys for CachedKeys<K> {
    fn find(&self, id: AuthKeyId) -> BoxFuture<'_, Result<Option<Arc<KeyRecord>>, Unavailable>> {
        Box::pin(self.inner.find(id))
    }

    fn insert(&self, record: KeyRecord) -> BoxFuture<'_, Result<Inserted, Unavailable>> {
        let id = record.facts.id;
        let inserted = self.inner.store.insert(record);
        Box::pin(async move {
            let outcome = inserted.await;
            // Somebody may have asked for it too early.
            self.inner.forget(&[id]).await;
            outcome
        })
    }

    fn bind(&self, binding: Binding) -> BoxFuture<'_, Result<Bound, Unavailable>> {
        let bound = self.inner.store.bind(binding);
        Box::pin(async move {
            let outcome = bound.await;
            let mut changed = vec![binding.key];
            if let Ok(Bound::Stored { removed, .. }) = &outcome {
                changed.extend(removed);
            }
            self.inner.forget(&changed).await;
            outcome
        })
    }

    fn remove(&self, id: AuthKeyId) -> BoxFuture<'_, Result<Vec<AuthKeyId>, Unavailable>> {
        let removed = self.inner.store.remove(id);
        Box::pin(async move {
            let outcome = removed.await;
            self.inner.forget(outcome.as_deref().unwrap_or(&[id])).await;
            outcome
        })
    }

    fn remove_bound(
        &self,
        perm: AuthKeyId,
        except: Vec<AuthKeyId>,
    ) -> BoxFuture<'_, Result<Vec<AuthKeyId>, Unavailable>> {
        let removed = self.inner.store.remove_bound(perm, except);
        Box::pin(async move {
            let outcome = removed.await;
            self.inner.forget(outcome.as_deref().unwrap_or(&[])).await;
            outcome
        })
    }
}

impl<K: OfRecord> Inner<K> {
    async fn find(&self, id: AuthKeyId) -> Result<Option<Arc<KeyRecord>>, Unavailable> {
        let lease = match self.shelf.look_up(id).await {
            Found::Absent => {
                self.counts.absent.add_one();
                return Ok(None);
            }
            Found::Sealed(sealed) => match self.sealer.open(id, &sealed) {
                Some(record) => {
                    self.counts.present.add_one();
                    return Ok(live(Arc::new(record)));
                }
                None => {
                    self.counts.damaged.add_one();
                    tracing::warn!("an entry of the cache does not open: asking the database");
                    None
                }
            },
            Found::Nothing(lease) => {
                let is_up = self.shelf.is_up();
                let LookUps { missing, down, .. } = &self.counts;
                if is_up { missing } else { down }.add_one();
                lease
            }
        };
        let found = self.store.find(id).await?;
        if let Some(lease) = lease {
            self.fill(id, &lease, found.as_deref()).await;
        }
        Ok(found)
    }

    async fn fill(&self, id: AuthKeyId, lease: &Lease, found: Option<&KeyRecord>) {
        match found {
            Some(record) => {
                let sealed = self.sealer.seal(record);
                self.shelf
                    .fill(id, lease, Some(&sealed), age_max(record))
                    .await;
            }
            None => self.shelf.fill(id, lease, None, ABSENT_AGE_MAX).await,
        }
    }

    /// Deletes entries. If that fails, notes in the store stay, and the connection is made anew.
    async fn forget(&self, ids: &[AuthKeyId]) {
        if let Err(Lost) = self.shelf.forget(ids).await {
            let untold = u64::try_from(ids.len()).unwrap_or(u64::MAX);
            self.counts.untold.add(untold);
            tracing::debug!(
                keys = ids.len(),
                "the cache could not be told of a change yet"
            );
        }
    }

    /// Tells the cache of changes that it may have missed, the oldest of them.
    async fn tell(&self, cache: &Connection, age_min: Duration) -> Result<Told, Untold> {
        let changes = self.store.changes(age_min).await;
        let changes = changes.map_err(|Unavailable| Untold::Store)?;
        if changes.is_empty() {
            return Ok(Told::All);
        }
        let ids: Vec<_> = changes.iter().map(|change| change.id).collect();
        cache.forget(&ids).await.map_err(Untold::Cache)?;
        let settled = self.store.settle(changes).await;
        settled.map_err(|Unavailable| Untold::Store)?;
        Ok(Told::Some)
    }

    /// Connects, and tells of every change; the connection may be believed then.
    async fn connect(&self) -> Result<Connection, Untold> {
        let cache = self.shelf.connect().await.map_err(Untold::Cache)?;
        while let Told::Some = self.tell(&cache, Duration::ZERO).await? {}
        Ok(cache)
    }
}

enum Told {
    All,
    Some,
}

/// Why the cache may not have been told.
#[derive(Debug)]
enum Untold {
    Cache(RedisError),
    Store,
}

/// Connects, and tells of what others could not tell, for ever.
async fn keep<K: OfRecord>(inner: Arc<Inner<K>>) {
    let mut pause = PAUSE_MIN;
    loop {
        match inner.connect().await {
            Ok(cache) => {
                tracing::info!("the cache is in use");
                inner.shelf.publish(cache);
                pause = PAUSE_MIN;
                attend(&inner).await;
            }
            Err(untold) => tracing::debug!(?untold, "the cache can't be used yet"),
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Tells of what others could not tell, until the connection is lost.
async fn attend<K: OfRecord>(inner: &Inner<K>) {
    while let Some(cache) = inner.shelf.current() {
        // Woken by nothing but its loss; an old word of it costs one more look.
        let _ = timeout(CHANGES_PERIOD, inner.shelf.until_lost()).await;
        match inner.tell(&cache, CHANGE_AGE_MIN).await {
            // Without the database nothing changes, and what is known is good.
            Ok(Told::All | Told::Some) | Err(Untold::Store) => {}
            Err(Untold::Cache(error)) => inner.shelf.lose(&cache, &error),
        }
    }
}

fn live(record: Arc<KeyRecord>) -> Option<Arc<KeyRecord>> {
    (!record.facts.is_expired(unix_now().seconds())).then_some(record)
}

/// An entry ends with its key.
fn age_max(record: &KeyRecord) -> Duration {
    match record.facts.kind {
        KeyKind::Permanent => CACHED_AGE_MAX,
        KeyKind::Temporary { expires_at_unix_s } => {
            let left_s = u64::from(expires_at_unix_s).saturating_sub(unix_now().seconds());
            Duration::from_secs(left_s.max(1)).min(CACHED_AGE_MAX)
        }
    }
}

#[cfg(test)]
mod tests {
    use heliogram_ports::conformance::record;

    use super::*;

    #[test]
    fn an_entry_ends_with_its_key_and_after_an_hour() {
        let now_s = u32::try_from(unix_now().seconds()).unwrap();
        let ends_in = |seconds: u32| {
            let expires_at_unix_s = now_s + seconds;
            age_max(&record(1, KeyKind::Temporary { expires_at_unix_s }))
        };
        assert_eq!(age_max(&record(1, KeyKind::Permanent)), CACHED_AGE_MAX);
        assert_eq!(ends_in(7200), CACHED_AGE_MAX);
        assert!(ends_in(100) <= Duration::from_secs(100));
        assert!(ends_in(100) > Duration::from_secs(50));
        assert_eq!(ends_in(0), Duration::from_secs(1));
    }
}
