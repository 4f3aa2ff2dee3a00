//! Authorization keys of a cluster: MySQL or MariaDB has them, Redis makes finding them fast.
//!
//! ```text
//!  CachedKeys ──> Redis: sealed records, an hour at most; absent keys, two seconds
//!      │
//!  MySqlKeys ───> MySQL: one row per key, sealed; a change is durable before it is answered
//! ```
//!
//! [`KeptUsers`] keeps in MySQL, too, who has logged in with which key, for backends that don't.
//!
//! Without Redis everything is slower, and nothing wrong. Without MySQL known keys go on from the cache; whoever asks for
//! another, or brings a new one, waits up to five seconds for it to come back, and hears [`Unavailable`] then: never that
//! a key is absent, or stored. The bytes are drawn in `docs/record-format.md`; why it is so, in
//! `docs/adr/0025-a-cache-that-may-be-lost.md`.
//!
//! [`Unavailable`]: heliogram_ports::Unavailable
//!
//! ```no_run
//! # async fn example(master_keys: heliogram_crypto::at_rest::MasterKeys) -> Result<(), Box<dyn std::error::Error>> {
//! use heliogram_store_cluster::{Config, migrate, open};
//!
//! let mysql = "mysql://heliogram:password@db.internal:3306/heliogram";
//! migrate(mysql).await?; // once per release: `heliogram migrate`
//! let mut config = Config::new(mysql, master_keys);
//! config.redis = Some("redis://cache.internal:6379".to_owned());
//! let opened = open(&config).await?;
//! let keys = opened.keys; // an `Arc<dyn AuthKeys>`
//! # drop(keys);
//! # Ok(())
//! # }
//! ```
//!
//! Speaks to both in the clear: put them on a network of their own, or a tunnel between.

mod cache;
mod changes;
mod connections;
mod keys;
mod limits;
mod metrics;
mod rows;
mod schema;
mod shelf;
mod task;
mod users;

use std::fmt;
use std::sync::Arc;

use heliogram_crypto::SecretBytes;
use heliogram_crypto::at_rest::MasterKeys;
use heliogram_ports::AuthKeys;
use heliogram_ports::record::Sealer;
use mysql_async::Opts;

pub use crate::cache::{BadUrl, CachedKeys};
pub use crate::changes::{Change, OfRecord};
use crate::connections::Connections;
pub use crate::keys::MySqlKeys;
pub use crate::schema::Migrated;
pub use crate::users::KeptUsers;

/// Where the keys are, and which master keys seal them.
#[derive(Clone)]
#[non_exhaustive]
pub struct Config {
    /// The database of record: `mysql://user:password@host[:port]/database`. The user may select, insert, update and
    /// delete; who migrates may also create and alter.
    pub mysql: String,
    /// The cache in front, if there is one: `redis://[user:password@]host[:port][/database]`.
    pub redis: Option<String>,
    /// The master keys. All processes of a cluster have the same.
    pub master_keys: MasterKeys,
}

impl Config {
    /// Starts without a cache.
    #[must_use]
    pub fn new(mysql: &str, master_keys: MasterKeys) -> Self {
        Self {
            mysql: mysql.to_owned(),
            redis: None,
            master_keys,
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // URLs hold passwords.
        f.debug_struct("Config")
            .field("redis", &self.redis.is_some())
            .finish_non_exhaustive()
    }
}

/// What opening gives.
#[non_exhaustive]
pub struct Opened {
    /// The keys, through the cache if there is one.
    pub keys: Arc<dyn AuthKeys>,
    /// The keys without the cache.
    pub record: MySqlKeys,
    /// The cache, if there is one.
    pub cache: Option<CachedKeys<MySqlKeys>>,
    /// The secret that salts are derived from: the same for all who open this database.
    pub salt_secret: SecretBytes<32>,
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened")
            .field("cache", &self.cache)
            .finish_non_exhaustive()
    }
}

/// Why a store could not be opened. Each message says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The cache's URL is of no use.
    #[error("Redis: {0}")]
    Cache(#[from] BadUrl),
    /// A row is missing that a migration has made.
    #[error("the tables are damaged: restore the database from a backup")]
    Damaged,
    /// Another process migrates, and does not finish.
    #[error("another process has been migrating for a minute: wait for it, then try again")]
    Migrating,
    /// A newer release has migrated the database.
    #[error(
        "the tables are of version {0}, this release works with {1}: use the release that migrated them"
    )]
    Newer(usize, usize),
    /// The database would say that a key is stored before it is.
    #[error(
        "innodb_flush_log_at_trx_commit is not 1: a crash would lose keys; set it in the server's configuration"
    )]
    NotDurable,
    /// The tables are not there, or of an older release.
    #[error("the tables are of version {0}, this release works with {1}: run `heliogram migrate`")]
    Older(usize, usize),
    /// The database can't be reached, or refuses.
    #[error("MySQL: {0}")]
    Sql(#[source] Box<mysql_async::Error>),
    /// What the database holds was sealed with a master key that is not there.
    #[error("the database was sealed with another master key: use the one that belongs to it")]
    WrongMasterKey,
}

impl From<mysql_async::Error> for OpenError {
    fn from(error: mysql_async::Error) -> Self {
        Self::Sql(Box::new(error))
    }
}

/// Brings the tables of a database to the version of this release, making them if there are none. May be called again,
/// and by many at once.
///
/// # Errors
///
/// [`OpenError::Newer`], [`OpenError::Migrating`] or [`OpenError::Sql`].
pub async fn migrate(mysql: &str) -> Result<Migrated, OpenError> {
    schema::migrate(parse(mysql)?).await
}

/// Checks the tables and opens the store. Must be called within a runtime, which it uses for as long as the keys live.
///
/// # Errors
///
/// See [`OpenError`]. A cache that can't be reached is no error.
pub async fn open(config: &Config) -> Result<Opened, OpenError> {
    let opts = parse(&config.mysql)?;
    let sealer = Arc::new(Sealer::new(config.master_keys.clone()));
    let checked = schema::check(opts.clone(), &sealer).await?;
    let connections = Arc::new(Connections::new(opts));
    let record = MySqlKeys::new(connections, Arc::clone(&sealer));
    let cache = match &config.redis {
        Some(url) => Some(CachedKeys::new(
            record.clone(),
            sealer,
            url,
            checked.cluster,
        )?),
        None => None,
    };
    let keys: Arc<dyn AuthKeys> = match &cache {
        Some(cache) => Arc::new(cache.clone()),
        None => Arc::new(record.clone()),
    };
    Ok(Opened {
        keys,
        record,
        cache,
        salt_secret: checked.salt_secret,
    })
}

fn parse(mysql: &str) -> Result<Opts, OpenError> {
    let opts = Opts::from_url(mysql).map_err(mysql_async::Error::from)?;
    Ok(opts)
}
