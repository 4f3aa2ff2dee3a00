//! What is asked of the tables. Every change keeps the rows of a key together, in one transaction.
//!
//! Who binds, or destroys, locks first the rows of the keys that it was asked about, in the order of their ids: two who
//! change the same permanent key's bindings do so one after the other.

use std::sync::Arc;

use heliogram_ports::clock::unix_now;
use heliogram_ports::record::Sealer;
use heliogram_ports::{Binding, Bound, BoxFuture, Inserted, KeyFacts, KeyKind, KeyRecord};
use heliogram_proto::exchange::binding::surplus;
use heliogram_proto::ids::AuthKeyId;
use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Error, ServerError};

use crate::connections::{Failure, Question};
use crate::limits::{CACHED_AGE_MAX, PURGE_MAX};

/// Finds a sealed record.
pub(crate) struct Find(pub(crate) AuthKeyId);

impl Question for Find {
    type Answer = Option<Vec<u8>>;

    fn ask<'a>(&'a mut self, conn: &'a mut Conn) -> BoxFuture<'a, Result<Self::Answer, Failure>> {
        Box::pin(async move { sealed(conn, self.0).await })
    }
}

async fn sealed(conn: &mut Conn, id: AuthKeyId) -> Result<Option<Vec<u8>>, Failure> {
    let select = "SELECT sealed FROM heliogram_keys WHERE id = ?";
    Ok(conn.exec_first(select, (id.0,)).await?)
}

/// Inserts a record unless its id is taken.
pub(crate) struct Insert {
    facts: KeyFacts,
    sealed: Vec<u8>,
    /// An earlier attempt may have stored it.
    may_be_there: bool,
}

impl Insert {
    pub(crate) fn new(sealer: &Sealer, record: &KeyRecord) -> Self {
        Self {
            facts: record.facts,
            sealed: sealer.seal(record),
            may_be_there: false,
        }
    }
}

impl Question for Insert {
    type Answer = Inserted;

    fn ask<'a>(&'a mut self, conn: &'a mut Conn) -> BoxFuture<'a, Result<Self::Answer, Failure>> {
        Box::pin(async move {
            let insert = "INSERT INTO heliogram_keys (id, ends, perm, sealed) VALUES (?, ?, ?, ?)";
            let (id, perm) = (self.facts.id, self.facts.perm.map(|perm| perm.0));
            let row = (id.0, end_of(&self.facts), perm, &self.sealed);
            let is_again = std::mem::replace(&mut self.may_be_there, true);
            match conn.exec_drop(insert, row).await {
                Ok(()) => Ok(Inserted::Stored),
                // No two seals are equal: this one is ours, stored by an attempt whose answer was lost.
                Err(error) if is_duplicate(&error) => {
                    let is_ours =
                        is_again && sealed(conn, id).await?.as_ref() == Some(&self.sealed);
                    Ok(if is_ours {
                        Inserted::Stored
                    } else {
                        Inserted::Duplicate
                    })
                }
                Err(error) => Err(error.into()),
            }
        })
    }
}

/// Binds a temporary key; those that are too many then are destroyed.
pub(crate) struct Bind {
    pub(crate) sealer: Arc<Sealer>,
    pub(crate) binding: Binding,
    /// What attempts have destroyed, also those whose answer was lost.
    pub(crate) removed: Vec<AuthKeyId>,
}

impl Question for Bind {
    type Answer = Bound;

    fn ask<'a>(&'a mut self, conn: &'a mut Conn) -> BoxFuture<'a, Result<Self::Answer, Failure>> {
        Box::pin(async move {
            conn.query_drop("START TRANSACTION").await?;
            let bound = self.bind(conn).await?;
            conn.query_drop("COMMIT").await?;
            Ok(bound)
        })
    }
}

impl Bind {
    async fn bind(&mut self, conn: &mut Conn) -> Result<Bound, Failure> {
        let Binding {
            key,
            perm,
            expires_at_unix_s,
        } = self.binding;
        let mut records = self.lock(conn).await?;
        let has_perm = records
            .iter()
            .any(|it| it.facts.id == perm && it.facts.kind == KeyKind::Permanent);
        let Some(record) = records.iter_mut().find(|it| it.facts.id == key && has_perm) else {
            return Ok(Bound::Absent);
        };
        let Some(facts) = record.facts.bind(perm, expires_at_unix_s) else {
            return Ok(match record.facts.kind {
                KeyKind::Permanent => Bound::Absent,
                KeyKind::Temporary { .. } => Bound::Taken,
            });
        };
        if facts != record.facts {
            record.facts = facts;
            let update = "UPDATE heliogram_keys SET ends = ?, perm = ?, sealed = ? WHERE id = ?";
            let row = (end_of(&facts), perm.0, self.sealer.seal(record), key.0);
            conn.exec_drop(update, row).await?;
            let surplus = surplus(temporary(conn, perm).await?, key);
            delete(conn, &surplus).await?;
            tell_caches(conn, &surplus).await?;
            tell_caches(conn, &[key]).await?;
            remember(&mut self.removed, &surplus);
        }
        let removed = self.removed.clone();
        Ok(Bound::Stored { facts, removed })
    }

    /// Locks both rows; returns what has not ended.
    async fn lock(&self, conn: &mut Conn) -> Result<Vec<KeyRecord>, Failure> {
        let select =
            "SELECT id, sealed FROM heliogram_keys WHERE id IN (?, ?) ORDER BY id FOR UPDATE";
        let ids = (self.binding.key.0, self.binding.perm.0);
        let rows: Vec<(i64, Vec<u8>)> = conn.exec(select, ids).await?;
        let now_unix_s = unix_now().seconds();
        let mut records = Vec::new();
        for (id, sealed) in rows {
            let id = AuthKeyId(id);
            let record = self.sealer.open(id, &sealed).ok_or(Failure::Sealed(id))?;
            records.extend((!record.facts.is_expired(now_unix_s)).then_some(record));
        }
        Ok(records)
    }
}

/// Removes keys; answers with those that had not ended.
pub(crate) struct Remove {
    /// The key, or the one that they are bound to.
    pub(crate) id: AuthKeyId,
    pub(crate) what: What,
    /// What attempts have destroyed, also those whose answer was lost.
    pub(crate) removed: Vec<AuthKeyId>,
}

/// Which keys are removed.
pub(crate) enum What {
    /// The key, and those that are bound to it.
    KeyAndBound,
    /// Those that are bound to it, except some.
    BoundExcept(Vec<AuthKeyId>),
}

impl Question for Remove {
    type Answer = Vec<AuthKeyId>;

    fn ask<'a>(&'a mut self, conn: &'a mut Conn) -> BoxFuture<'a, Result<Self::Answer, Failure>> {
        Box::pin(async move {
            conn.query_drop("START TRANSACTION").await?;
            self.remove(conn).await?;
            conn.query_drop("COMMIT").await?;
            Ok(self.removed.clone())
        })
    }
}

impl Remove {
    async fn remove(&mut self, conn: &mut Conn) -> Result<(), Failure> {
        let select = "SELECT ends FROM heliogram_keys WHERE id = ? FOR UPDATE";
        let own: Option<Option<u32>> = conn.exec_first(select, (self.id.0,)).await?;
        let mut keys = temporary(conn, self.id).await?;
        match &self.what {
            What::KeyAndBound => keys.extend(own.map(|end| (end.unwrap_or(u32::MAX), self.id))),
            What::BoundExcept(except) => keys.retain(|(_, id)| !except.contains(id)),
        }
        let ids: Vec<_> = keys.iter().map(|&(_, id)| id).collect();
        delete(conn, &ids).await?;
        tell_caches(conn, &ids).await?;
        let now_unix_s = unix_now().seconds();
        let live = keys.iter().filter(|&&(end, _)| u64::from(end) > now_unix_s);
        remember(
            &mut self.removed,
            &live.map(|&(_, id)| id).collect::<Vec<_>>(),
        );
        Ok(())
    }
}

/// Removes temporary keys that have ended, at most [`PURGE_MAX`], and changes that no cache can have missed; answers
/// with the number of keys.
pub(crate) struct Purge {
    pub(crate) now_unix_s: u64,
}

impl Question for Purge {
    type Answer = usize;

    fn ask<'a>(&'a mut self, conn: &'a mut Conn) -> BoxFuture<'a, Result<Self::Answer, Failure>> {
        Box::pin(async move {
            let now = u32::try_from(self.now_unix_s).unwrap_or(u32::MAX);
            let select = format!("SELECT id FROM heliogram_keys WHERE ends <= ? LIMIT {PURGE_MAX}");
            let ended: Vec<i64> = conn.exec(select, (now,)).await?;
            let ended: Vec<_> = ended.into_iter().map(AuthKeyId).collect();
            delete(conn, &ended).await?;
            let told_s = 2 * CACHED_AGE_MAX.as_secs();
            let forget = format!(
                "DELETE FROM heliogram_changes WHERE at < NOW(3) - INTERVAL {told_s} SECOND LIMIT {PURGE_MAX}"
            );
            conn.query_drop(forget).await?;
            Ok(ended.len())
        })
    }
}

/// Returns the temporary keys that are bound to a key, with their ends, in the order of their ids.
async fn temporary(conn: &mut Conn, perm: AuthKeyId) -> Result<Vec<(u32, AuthKeyId)>, Failure> {
    let select =
        "SELECT ends, id FROM heliogram_keys WHERE perm = ? AND ends IS NOT NULL ORDER BY id";
    let rows: Vec<(u32, i64)> = conn.exec(select, (perm.0,)).await?;
    Ok(rows
        .into_iter()
        .map(|(end, id)| (end, AuthKeyId(id)))
        .collect())
}

async fn delete(conn: &mut Conn, ids: &[AuthKeyId]) -> Result<(), Failure> {
    if !ids.is_empty() {
        for table in ["heliogram_keys", "heliogram_users"] {
            let delete = format!("DELETE FROM {table} WHERE id IN ({})", list(ids));
            conn.query_drop(delete).await?;
        }
    }
    Ok(())
}

/// Notes, as durably as the change itself, that a cache must not go on with an older copy.
async fn tell_caches(conn: &mut Conn, ids: &[AuthKeyId]) -> Result<(), Failure> {
    if !ids.is_empty() {
        let rows = list(ids).replace(',', "),(");
        conn.query_drop(format!(
            "INSERT INTO heliogram_changes (id) VALUES ({rows})"
        ))
        .await?;
    }
    Ok(())
}

/// Writes numbers for a statement.
fn list(ids: &[AuthKeyId]) -> String {
    let ids: Vec<_> = ids.iter().map(|id| id.0.to_string()).collect();
    ids.join(",")
}

fn remember(removed: &mut Vec<AuthKeyId>, now: &[AuthKeyId]) {
    let new: Vec<_> = now
        .iter()
        .filter(|id| !removed.contains(id))
        .copied()
        .collect();
    removed.extend(new);
}

fn end_of(facts: &KeyFacts) -> Option<u32> {
    match facts.kind {
        KeyKind::Permanent => None,
        KeyKind::Temporary { expires_at_unix_s } => Some(expires_at_unix_s),
    }
}

fn is_duplicate(error: &Error) -> bool {
    matches!(
        error,
        Error::Server(ServerError {
            code: ER_DUP_ENTRY,
            ..
        })
    )
}

/// Source: <https://mariadb.com/docs/server/reference/error-codes/mariadb-error-codes-1000-to-1099/e1062>.
const ER_DUP_ENTRY: u16 = 1062;
