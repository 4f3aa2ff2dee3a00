//! Databases of one's own, and what tests say of keys.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use heliogram_crypto::SecretBytes;
use heliogram_crypto::at_rest::MasterKeys;
use heliogram_ports::clock::unix_now;
use heliogram_ports::conformance::record;
use heliogram_ports::{AuthKeys, Inserted, KeyKind, KeyRecord, Unavailable};
use heliogram_proto::ids::AuthKeyId;
use heliogram_store_cluster::{Config, Opened, migrate, open};
use heliogram_testservices::{MariaDb, Redis};
use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Opts};
use tokio::time::{Instant, sleep};

/// Makes a database that nobody else uses, in the server that the tests share; returns its URL.
pub(crate) async fn empty_database() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let server = MariaDb::shared().unwrap();
    let name = format!("heliogram_{}", COUNT.fetch_add(1, Ordering::Relaxed));
    sql(&server.url(), &format!("CREATE DATABASE {name}")).await;
    server.url_of(&name)
}

/// As [`empty_database`], with the tables.
pub(crate) async fn database() -> String {
    let url = empty_database().await;
    migrate(&url).await.unwrap();
    url
}

/// Carries out statements, past the store.
pub(crate) async fn sql(url: &str, statement: &str) {
    let mut conn = Conn::new(Opts::from_url(url).unwrap()).await.unwrap();
    conn.query_drop(statement).await.unwrap();
    conn.disconnect().await.unwrap();
}

/// Counts the rows of a table.
pub(crate) async fn rows(url: &str, table: &str) -> u64 {
    let mut conn = Conn::new(Opts::from_url(url).unwrap()).await.unwrap();
    let rows = conn
        .query_first(format!("SELECT COUNT(*) FROM {table}"))
        .await
        .unwrap();
    conn.disconnect().await.unwrap();
    rows.unwrap()
}

pub(crate) fn master_keys() -> MasterKeys {
    MasterKeys::new(1, SecretBytes::new([5; 32]))
}

/// Opens a store without a cache.
pub(crate) async fn uncached(mysql: &str) -> Opened {
    open(&Config::new(mysql, master_keys())).await.unwrap()
}

/// Opens a store with a cache, and returns once the cache is in use.
pub(crate) async fn cached(mysql: &str, redis: &Redis) -> Opened {
    let opened = cached_at(mysql, &redis.url()).await;
    until("the cache is in use", || is_cache_up(&opened)).await;
    opened
}

/// Opens a store with a cache that may not be there.
pub(crate) async fn cached_at(mysql: &str, redis: &str) -> Opened {
    let mut config = Config::new(mysql, master_keys());
    config.redis = Some(redis.to_owned());
    open(&config).await.unwrap()
}

pub(crate) fn is_cache_up(opened: &Opened) -> bool {
    opened.cache.as_ref().is_some_and(|cache| cache.is_up())
}

/// A Redis URL at which nobody listens.
pub(crate) const NOBODY: &str = "redis://127.0.0.1:1";

/// Stores a permanent key, filled with a byte.
pub(crate) async fn permanent(keys: &Arc<dyn AuthKeys>, byte: u8) -> KeyRecord {
    stored(keys, record(byte, KeyKind::Permanent)).await
}

/// Stores a key that ends in an hour, filled with a byte.
pub(crate) async fn temporary(keys: &Arc<dyn AuthKeys>, byte: u8) -> KeyRecord {
    let expires_at_unix_s = u32::try_from(unix_now().seconds()).unwrap() + 3600;
    stored(keys, record(byte, KeyKind::Temporary { expires_at_unix_s })).await
}

async fn stored(keys: &Arc<dyn AuthKeys>, record: KeyRecord) -> KeyRecord {
    assert_eq!(keys.insert(record.clone()).await, Ok(Inserted::Stored));
    record
}

/// Tells whether a key is found.
pub(crate) async fn is_there(keys: &Arc<dyn AuthKeys>, id: AuthKeyId) -> Result<bool, Unavailable> {
    keys.find(id).await.map(|found| found.is_some())
}

/// Waits until something is so.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(60), "never: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until a key is found no more.
pub(crate) async fn until_absent(keys: &Arc<dyn AuthKeys>, id: AuthKeyId) {
    let start = Instant::now();
    while is_there(keys, id).await != Ok(false) {
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "{id:?} is found for ever"
        );
        sleep(Duration::from_millis(5)).await;
    }
}
