//! What the cache holds, and the connection to it.
//!
//! An entry is `K` and a sealed record, `A` for an absent key, or `L` and 16 random bytes: the lease of a look-up that has
//! gone to ask the store. An operation that fails ends the connection; until there is another, all pass the cache over.

use std::sync::Arc;
use std::time::Duration;

use heliogram_proto::ids::AuthKeyId;
use parking_lot::RwLock;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, FromRedisValue, RedisError, cmd};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::limits::{CACHE_ANSWER_MAX, CACHE_CONNECT_MAX, LEASE_AGE_MAX};

/// The cache of one cluster.
pub(crate) struct Shelf {
    client: Client,
    prefix: Arc<str>,
    connection: RwLock<Option<Connection>>,
    lost: Notify,
}

/// What a look-up found.
#[derive(Debug)]
pub(crate) enum Found {
    /// The store has said, a moment ago, that there is no such key.
    Absent,
    /// Nothing: with a lease, the cache wants to be told what the store says.
    Nothing(Option<Lease>),
    /// A sealed record.
    Sealed(Vec<u8>),
}

/// The right to fill one entry; lost with the entry.
#[derive(Debug)]
pub(crate) struct Lease(Vec<u8>);

/// The cache could not be told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lost;

impl Shelf {
    /// Connects to nothing yet.
    pub(crate) fn new(url: &str, cluster: u64) -> Result<Self, RedisError> {
        Ok(Self {
            client: Client::open(url)?,
            prefix: format!("heliogram:{cluster:016x}:").into(),
            connection: RwLock::new(None),
            lost: Notify::new(),
        })
    }

    pub(crate) fn is_up(&self) -> bool {
        self.connection.read().is_some()
    }

    /// Looks a key up, and takes the lease if there is no entry.
    pub(crate) async fn look_up(&self, id: AuthKeyId) -> Found {
        let Some(connection) = self.current() else {
            return Found::Nothing(None);
        };
        let found = connection.look_up(id).await;
        found.unwrap_or_else(|error| {
            self.lose(&connection, &error);
            Found::Nothing(None)
        })
    }

    /// Fills an entry, if the lease is still there: with a sealed record, or with the word that there is none.
    pub(crate) async fn fill(
        &self,
        id: AuthKeyId,
        lease: &Lease,
        sealed: Option<&[u8]>,
        age_max: Duration,
    ) {
        let Some(connection) = self.current() else {
            return;
        };
        // It may be full: what it holds is good all the same.
        match connection.fill(id, lease, sealed, age_max).await {
            Err(error) if is_lost(&error) => self.lose(&connection, &error),
            Err(error) => tracing::debug!(%error, "the cache takes no entry"),
            Ok(()) => {}
        }
    }

    /// Deletes entries.
    ///
    /// # Errors
    ///
    /// [`Lost`] when they may be there still.
    pub(crate) async fn forget(&self, ids: &[AuthKeyId]) -> Result<(), Lost> {
        let connection = self.current().ok_or(Lost)?;
        connection.forget(ids).await.map_err(|error| {
            self.lose(&connection, &error);
            Lost
        })
    }

    /// Makes a connection that only its caller uses.
    pub(crate) async fn connect(&self) -> Result<Connection, RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CACHE_CONNECT_MAX))
            .set_response_timeout(Some(CACHE_ANSWER_MAX));
        let connect = self
            .client
            .get_multiplexed_async_connection_with_config(&config);
        let redis = timeout(CACHE_CONNECT_MAX, connect)
            .await
            .map_err(timed_out)??;
        let connection = Connection {
            redis,
            prefix: Arc::clone(&self.prefix),
            token: Arc::new(()),
        };
        connection.ask::<()>(&cmd("PING")).await?;
        Ok(connection)
    }

    /// Lets everybody use a connection.
    pub(crate) fn publish(&self, connection: Connection) {
        *self.connection.write() = Some(connection);
    }

    /// Returns after the connection has been lost, or earlier.
    pub(crate) async fn until_lost(&self) {
        self.lost.notified().await;
    }

    pub(crate) fn current(&self) -> Option<Connection> {
        self.connection.read().clone()
    }

    /// Takes a connection away from everybody, if it is still the one.
    pub(crate) fn lose(&self, connection: &Connection, error: &RedisError) {
        let mut current = self.connection.write();
        // Who fails on a former connection says nothing of this one.
        if current
            .as_ref()
            .is_some_and(|it| Arc::ptr_eq(&it.token, &connection.token))
        {
            *current = None;
            self.lost.notify_one();
            tracing::warn!(%error, "the cache is down: look-ups go to the database");
        }
    }
}

/// A connection; clones share it.
#[derive(Clone)]
pub(crate) struct Connection {
    redis: MultiplexedConnection,
    prefix: Arc<str>,
    /// Tells it from others.
    token: Arc<()>,
}

impl Connection {
    async fn look_up(&self, id: AuthKeyId) -> Result<Found, RedisError> {
        let entry: Option<Vec<u8>> = self.ask(cmd("GET").arg(self.name(id))).await?;
        let Some(mut entry) = entry else {
            return Ok(Found::Nothing(self.take_lease(id).await?));
        };
        Ok(match entry.first() {
            Some(&ABSENT) => Found::Absent,
            Some(&SEALED) => Found::Sealed(entry.split_off(1)),
            Some(_) | None => Found::Nothing(None),
        })
    }

    async fn take_lease(&self, id: AuthKeyId) -> Result<Option<Lease>, RedisError> {
        let mut lease = vec![LEASE; 17];
        if getrandom::fill(lease.get_mut(1..).unwrap_or_default()).is_err() {
            return Ok(None);
        }
        let mut set = cmd("SET");
        set.arg(self.name(id))
            .arg(&lease)
            .arg("NX")
            .arg("PX")
            .arg(millis(LEASE_AGE_MAX));
        let taken: Option<String> = self.ask(&set).await?;
        Ok(taken.map(|_| Lease(lease)))
    }

    async fn fill(
        &self,
        id: AuthKeyId,
        lease: &Lease,
        sealed: Option<&[u8]>,
        age_max: Duration,
    ) -> Result<(), RedisError> {
        let entry = sealed.map_or_else(|| vec![ABSENT], |sealed| [&[SEALED], sealed].concat());
        let mut eval = cmd("EVAL");
        eval.arg(FILL)
            .arg(1)
            .arg(self.name(id))
            .arg(&lease.0)
            .arg(entry)
            .arg(millis(age_max));
        self.ask(&eval).await
    }

    /// Deletes entries.
    pub(crate) async fn forget(&self, ids: &[AuthKeyId]) -> Result<(), RedisError> {
        if ids.is_empty() {
            return Ok(());
        }
        let names: Vec<_> = ids.iter().map(|&id| self.name(id)).collect();
        self.ask(cmd("DEL").arg(names)).await
    }

    async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, RedisError> {
        let mut redis = self.redis.clone();
        let answer = timeout(CACHE_ANSWER_MAX, command.query_async(&mut redis)).await;
        answer.map_err(timed_out)?
    }

    fn name(&self, id: AuthKeyId) -> String {
        let number = u64::from_le_bytes(id.0.to_le_bytes());
        format!("{}{number:016x}", self.prefix)
    }
}

fn timed_out(_: tokio::time::error::Elapsed) -> RedisError {
    std::io::Error::from(std::io::ErrorKind::TimedOut).into()
}

fn is_lost(error: &RedisError) -> bool {
    error.is_io_error() || error.is_timeout() || error.is_connection_dropped()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

const ABSENT: u8 = b'A';
const LEASE: u8 = b'L';
const SEALED: u8 = b'K';

/// Fills an entry in which the lease is still there.
const FILL: &str = "\
    if redis.call('GET', KEYS[1]) == ARGV[1] then \
        redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) \
    end \
    return redis.status_reply('OK')";
