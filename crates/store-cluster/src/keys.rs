//! The keys of record.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use heliogram_ports::clock::unix_now;
use heliogram_ports::record::Sealer;
use heliogram_ports::{
    AuthKeys, Binding, Bound, BoxFuture, Inserted, KeyRecord, Unavailable, Users,
};
use heliogram_proto::ids::{AuthKeyId, Identity, Term};

use crate::changes::{Change, Changes, OfRecord, Settle};
use crate::connections::Connections;
use crate::limits::{PURGE_MAX, PURGE_PERIOD};
use crate::rows::{Bind, Find, Insert, Purge, Remove, What};
use crate::schema::BeginTerm;
use crate::task::Task;
use crate::users::{FindUser, KeepUser};

/// Keys in a database, without a cache. Cloning shares it.
#[derive(Clone)]
pub struct MySqlKeys {
    pub(crate) connections: Arc<Connections>,
    pub(crate) sealer: Arc<Sealer>,
    _purge: Arc<Task>,
}

impl fmt::Debug for MySqlKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MySqlKeys(…)")
    }
}

impl MySqlKeys {
    /// Starts to purge, too.
    pub(crate) fn new(connections: Arc<Connections>, sealer: Arc<Sealer>) -> Self {
        let purge = Task::spawn(purge(Arc::clone(&connections)));
        Self {
            connections,
            sealer,
            _purge: Arc::new(purge),
        }
    }

    /// Tells whether the database has answered when it was last asked.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.connections.is_up()
    }

    /// Begins a term that is larger than every other that was begun in this database, and durable.
    ///
    /// For a process that owns all keys. Where they are shared out, whoever shares them out numbers terms.
    ///
    /// # Errors
    ///
    /// [`Unavailable`] when the database does not answer.
    pub async fn begin_term(&self) -> Result<Term, Unavailable> {
        self.connections.carry_out(BeginTerm).await
    }
}

impl AuthKeys for MySqlKeys {
    fn find(&self, id: AuthKeyId) -> BoxFuture<'_, Result<Option<Arc<KeyRecord>>, Unavailable>> {
        Box::pin(async move {
            let Some(sealed) = self.connections.carry_out(Find(id)).await? else {
                return Ok(None);
            };
            let Some(record) = self.sealer.open(id, &sealed) else {
                tracing::error!(?id, "a key can't be read: is its master key missing?");
                return Err(Unavailable);
            };
            Ok((!record.facts.is_expired(unix_now().seconds())).then(|| Arc::new(record)))
        })
    }

    fn insert(&self, record: KeyRecord) -> BoxFuture<'_, Result<Inserted, Unavailable>> {
        // A record under a wrong id would be a lost key: checked on the way in and on the way out.
        assert_eq!(
            record.key.id(),
            record.facts.id,
            "a key record names another key's id"
        );
        let insert = Insert::new(&self.sealer, &record);
        Box::pin(self.connections.carry_out(insert))
    }

    fn bind(&self, binding: Binding) -> BoxFuture<'_, Result<Bound, Unavailable>> {
        let (sealer, removed) = (Arc::clone(&self.sealer), Vec::new());
        Box::pin(self.connections.carry_out(Bind {
            sealer,
            binding,
            removed,
        }))
    }

    fn remove(&self, id: AuthKeyId) -> BoxFuture<'_, Result<Vec<AuthKeyId>, Unavailable>> {
        Box::pin(self.connections.carry_out(Remove {
            id,
            what: What::KeyAndBound,
            removed: Vec::new(),
        }))
    }

    fn remove_bound(
        &self,
        perm: AuthKeyId,
        except: Vec<AuthKeyId>,
    ) -> BoxFuture<'_, Result<Vec<AuthKeyId>, Unavailable>> {
        Box::pin(self.connections.carry_out(Remove {
            id: perm,
            what: What::BoundExcept(except),
            removed: Vec::new(),
        }))
    }
}

impl Users for MySqlKeys {
    fn find_user(&self, identity: Identity) -> BoxFuture<'_, Result<Option<i64>, Unavailable>> {
        Box::pin(self.connections.carry_out(FindUser(identity)))
    }

    fn keep_user(
        &self,
        identity: Identity,
        user: Option<i64>,
    ) -> BoxFuture<'_, Result<(), Unavailable>> {
        Box::pin(self.connections.carry_out(KeepUser { identity, user }))
    }
}

impl OfRecord for MySqlKeys {
    fn changes(&self, age_min: Duration) -> BoxFuture<'_, Result<Vec<Change>, Unavailable>> {
        Box::pin(self.connections.carry_out(Changes { age_min }))
    }

    fn settle(&self, changes: Vec<Change>) -> BoxFuture<'_, Result<(), Unavailable>> {
        Box::pin(self.connections.carry_out(Settle(changes)))
    }
}

/// Removes what has ended, for ever.
async fn purge(connections: Arc<Connections>) {
    loop {
        let now_unix_s = unix_now().seconds();
        // Without an answer it is done a period later.
        let purged = connections.carry_out(Purge { now_unix_s }).await;
        let keys = purged.unwrap_or(0);
        connections
            .counts
            .purged_keys
            .add(u64::try_from(keys).unwrap_or(0));
        // At once if there may be more: keys may end faster than one purge a period removes them.
        if keys == PURGE_MAX {
            continue;
        }
        tokio::time::sleep(PURGE_PERIOD).await;
    }
}
