//! Which keys a cache may hold older copies of.
//!
//! A change of a key and the note of it are one transaction. The note is taken away once the cache has been told; until
//! then somebody tells it, whatever becomes of whoever made the change.

use std::time::Duration;

use heliogram_ports::{AuthKeys, BoxFuture, Unavailable};
use heliogram_proto::ids::AuthKeyId;
use mysql_async::Conn;
use mysql_async::prelude::Queryable as _;

use crate::connections::{Failure, Question};
use crate::limits::CHANGES_MAX;

/// A change of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a number and a key")]
pub struct Change {
    /// Its number in the store of record.
    pub seq: u64,
    /// The key that was bound or destroyed.
    pub id: AuthKeyId,
}

/// A store of record, in front of which there may be a cache.
pub trait OfRecord: AuthKeys {
    /// Returns changes at least `age_min` old that no cache has been told of for certain: the oldest, at most 1000.
    fn changes(&self, age_min: Duration) -> BoxFuture<'_, Result<Vec<Change>, Unavailable>>;

    /// Takes note that the cache has been told of these.
    fn settle(&self, changes: Vec<Change>) -> BoxFuture<'_, Result<(), Unavailable>>;
}

/// Asks for what no cache has been told of.
pub(crate) struct Changes {
    pub(crate) age_min: Duration,
}

impl Question for Changes {
    type Answer = Vec<Change>;

    fn ask<'a>(&'a mut self, conn: &'a mut Conn) -> BoxFuture<'a, Result<Self::Answer, Failure>> {
        Box::pin(async move {
            let select = format!(
                "SELECT seq, id FROM heliogram_changes WHERE at <= NOW(3) - INTERVAL ? MICROSECOND \
                 ORDER BY seq LIMIT {CHANGES_MAX}"
            );
            let age_us = u64::try_from(self.age_min.as_micros()).unwrap_or(u64::MAX);
            let rows: Vec<(u64, i64)> = conn.exec(select, (age_us,)).await?;
            let change = |(seq, id)| Change {
                seq,
                id: AuthKeyId(id),
            };
            Ok(rows.into_iter().map(change).collect())
        })
    }
}

/// Forgets changes that the cache has been told of.
pub(crate) struct Settle(pub(crate) Vec<Change>);

impl Question for Settle {
    type Answer = ();

    fn ask<'a>(&'a mut self, conn: &'a mut Conn) -> BoxFuture<'a, Result<Self::Answer, Failure>> {
        Box::pin(async move {
            if !self.0.is_empty() {
                let seqs: Vec<_> = self.0.iter().map(|it| it.seq.to_string()).collect();
                let seqs = seqs.join(",");
                let delete = format!("DELETE FROM heliogram_changes WHERE seq IN ({seqs})");
                conn.query_drop(delete).await?;
            }
            Ok(())
        })
    }
}
