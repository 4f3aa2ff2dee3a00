//! Keys found and stored per second, at each layer of a cluster, beside what the layer itself does without us.
//!
//! Sketch: a gateway's memory is one walk down a tree, and a note that the key is used. A gateway that has to ask pays a
//! round trip of HTTP/2 to a session node (some 50 µs of two processes' work) and what lies behind it. A cached
//! look-up there is one round trip of some 400 bytes to Redis and an opened seal (2 µs); an uncached one is a round trip to
//! the database, and on a cached store two more to Redis. An insertion waits for the disk; those that come together share a
//! flush of the log, as the database sees fit.
//!
//! Servers, peers and we share the cores of one machine: ratios count, not figures.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use heliogram_crypto::at_rest::MasterKeys;
use heliogram_crypto::{AuthKey, SecretBytes};
use heliogram_grpc::{KeysService, RemoteKeys, Role, Server, dial};
use heliogram_ports::{AuthKeys, FirstSalt, KeyFacts, KeyKind, KeyRecord, random};
use heliogram_proto::cx::{Cx, Mono, Now, Unix};
use heliogram_proto::edge::keys::{self, KeyCache, KeyOutcome};
use heliogram_proto::ids::{AuthKeyId, LinkId, Salt, Term};
use heliogram_store_cluster::{Config, migrate, open};
use heliogram_testservices::{MariaDb, Redis};
use mysql_async::prelude::Queryable as _;
use mysql_async::{Opts, OptsBuilder, Pool, PoolConstraints, PoolOpts};
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

type Failure = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let (mariadb, redis) = (MariaDb::start()?, Redis::start()?);
    migrate(&mariadb.url()).await?;
    let mut config = Config::new(
        &mariadb.url(),
        MasterKeys::new(1, SecretBytes::new([1; 32])),
    );
    config.redis = Some(redis.url());
    let opened = open(&config).await?;
    while !opened.cache.as_ref().is_some_and(|cache| cache.is_up()) {
        tokio::task::yield_now().await;
    }
    let mut ids = Vec::new();
    for number in 0..KEYS {
        let record = record(number);
        let id = record.facts.id;
        opened.keys.insert(record).await?;
        // The first look-up fills the cache.
        opened.keys.find(id).await?;
        ids.push(id);
    }
    let ids: Arc<[AuthKeyId]> = ids.into();
    let peers = Peers::connect(&mariadb, &redis).await?;

    let remote = Remote::start(Arc::clone(&opened.keys)).await?;

    println!("| | in flight | per second | plain peer | ratio |");
    println!("| --- | --- | --- | --- | --- |");
    row(
        "found in a gateway's memory",
        1,
        in_memory(&ids),
        in_map(&ids),
    );
    for in_flight in [1, 64] {
        let ours = find(in_flight, &remote.keys, &ids).await;
        row(
            "asked of a session node, found in Redis",
            in_flight,
            ours,
            remote.nothing(in_flight).await,
        );
        let ours = find(in_flight, &opened.keys, &ids).await;
        row(
            "found in Redis",
            in_flight,
            ours,
            peers.get(in_flight).await,
        );
        let record: Arc<dyn AuthKeys> = Arc::new(opened.record.clone());
        let ours = find(in_flight, &record, &ids).await;
        row(
            "found in MariaDB",
            in_flight,
            ours,
            peers.select(in_flight, &ids).await,
        );
        let ours = insert(in_flight, &opened.keys).await;
        row(
            "stored, durable",
            in_flight,
            ours,
            peers.insert(in_flight).await,
        );
    }
    Ok(())
}

async fn find(in_flight: u64, keys: &Arc<dyn AuthKeys>, ids: &Arc<[AuthKeyId]>) -> f64 {
    per_second(in_flight, |number| {
        let (keys, id) = (Arc::clone(keys), pick(ids, number));
        async move { keys.find(id).await.is_ok_and(|found| found.is_some()) }
    })
    .await
}

async fn insert(in_flight: u64, keys: &Arc<dyn AuthKeys>) -> f64 {
    static FRESH: AtomicU64 = AtomicU64::new(1 << 32);
    per_second(in_flight, |_| {
        let (keys, number) = (Arc::clone(keys), FRESH.fetch_add(1, Ordering::Relaxed));
        async move { keys.insert(record(number)).await.is_ok() }
    })
    .await
}

/// Keys that one link after another wants of a gateway, and lets go, in one thread.
fn in_memory(ids: &[AuthKeyId]) -> f64 {
    let mut cache = KeyCache::new(keys::Config::default());
    let (mut rng, mut out) = (random::lend(), Vec::new());
    let now = Now {
        mono: Mono(1),
        unix: Unix::from_seconds(1),
    };
    for number in 0..KEYS {
        cache.handle(
            keys::Input::Made(Arc::new(record(number))),
            &mut Cx {
                now,
                rng: &mut rng,
                out: &mut out,
            },
        );
    }
    per_second_here(|number| {
        let (link, id) = (LinkId(number), pick(ids, number));
        let mut cx = Cx {
            now,
            rng: &mut rng,
            out: &mut out,
        };
        cache.handle(keys::Input::Want { link, id }, &mut cx);
        cache.handle(keys::Input::Release { link, id }, &mut cx);
        let outcome = out.pop();
        matches!(
            outcome,
            Some(keys::Effect::Outcome {
                outcome: KeyOutcome::Present(_),
                ..
            })
        )
    })
}

/// The same keys in a plain map.
fn in_map(ids: &[AuthKeyId]) -> f64 {
    let map: HashMap<AuthKeyId, Arc<KeyRecord>> = (0..KEYS)
        .map(|number| Arc::new(record(number)))
        .map(|record| (record.facts.id, record))
        .collect();
    per_second_here(|number| map.get(&pick(ids, number)).cloned().is_some())
}

/// Asks so many questions one after the other, in this thread; returns how many were answered well in a second.
fn per_second_here(mut question: impl FnMut(u64) -> bool) -> f64 {
    let start = Instant::now();
    for number in 0..QUESTIONS {
        assert!(question(number), "every question is answered well");
    }
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    let rate = QUESTIONS as f64 / start.elapsed().as_secs_f64();
    rate
}

/// A session node, as far as keys go, and a gateway that asks it, on a loopback address without certificates.
struct Remote {
    keys: Arc<dyn AuthKeys>,
    health: HealthClient<Channel>,
}

impl Remote {
    async fn start(keys: Arc<dyn AuthKeys>) -> Result<Self, Failure> {
        let server = Server::new().keys(KeysService::new(keys));
        let bound = server.bind(&"127.0.0.1:0".parse()?, None).await?;
        let channel = dial(bound.address()?, Role::Session, None);
        tokio::spawn(bound.serve(std::future::pending()));
        Ok(Self {
            keys: Arc::new(RemoteKeys::new(channel.clone())),
            health: HealthClient::new(channel),
        })
    }

    /// A question of the same connection to which nothing has to be looked up.
    async fn nothing(&self, in_flight: u64) -> f64 {
        per_second(in_flight, |_| {
            let mut health = self.health.clone();
            async move { health.check(HealthCheckRequest::default()).await.is_ok() }
        })
        .await
    }
}

/// The same questions, asked of the servers by the same libraries, without seals, limits or retries.
struct Peers {
    pool: Pool,
    redis: redis::aio::MultiplexedConnection,
}

impl Peers {
    async fn connect(mariadb: &MariaDb, server: &Redis) -> Result<Self, Failure> {
        let constraints = PoolConstraints::new(32, 32).ok_or("32 is at most 32")?;
        let pool = PoolOpts::default().with_constraints(constraints);
        let opts = OptsBuilder::from_opts(Opts::from_url(&mariadb.url())?)
            .pool_opts(pool)
            .prefer_socket(false);
        let pool = Pool::new(opts);
        let mut conn = pool.get_conn().await?;
        conn.query_drop("CREATE TABLE plain (id BIGINT PRIMARY KEY, sealed VARBINARY(512))")
            .await?;
        let client = redis::Client::open(server.url())?;
        let mut redis = client.get_multiplexed_async_connection().await?;
        let entry = [7_u8; ENTRY_BYTES].as_slice();
        redis::cmd("SET")
            .arg("plain")
            .arg(entry)
            .exec_async(&mut redis)
            .await?;
        Ok(Self { pool, redis })
    }

    async fn get(&self, in_flight: u64) -> f64 {
        per_second(in_flight, |_| {
            let mut redis = self.redis.clone();
            async move {
                let entry = redis::cmd("GET").arg("plain").query_async(&mut redis).await;
                entry.is_ok_and(|entry: Vec<u8>| entry.len() == ENTRY_BYTES)
            }
        })
        .await
    }

    async fn select(&self, in_flight: u64, ids: &Arc<[AuthKeyId]>) -> f64 {
        per_second(in_flight, |number| {
            let (pool, id) = (self.pool.clone(), pick(ids, number));
            async move {
                let Ok(mut conn) = pool.get_conn().await else {
                    return false;
                };
                let select = "SELECT sealed FROM heliogram_keys WHERE id = ?";
                let sealed: Result<Option<Vec<u8>>, _> = conn.exec_first(select, (id.0,)).await;
                sealed.is_ok_and(|sealed| sealed.is_some())
            }
        })
        .await
    }

    async fn insert(&self, in_flight: u64) -> f64 {
        static FRESH: AtomicU64 = AtomicU64::new(0);
        per_second(in_flight, |_| {
            let (pool, id) = (self.pool.clone(), FRESH.fetch_add(1, Ordering::Relaxed));
            async move {
                let Ok(mut conn) = pool.get_conn().await else {
                    return false;
                };
                let row = (
                    id.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 1,
                    [7_u8; ENTRY_BYTES - 1].as_slice(),
                );
                conn.exec_drop("INSERT INTO plain VALUES (?, ?)", row)
                    .await
                    .is_ok()
            }
        })
        .await
    }
}

/// Keeps so many questions in flight for a while; returns how many were answered well in a second.
async fn per_second<F>(in_flight: u64, question: impl Fn(u64) -> F) -> f64
where
    F: Future<Output = bool> + Send + 'static,
{
    let start = Instant::now();
    let (mut tasks, mut asked, mut answered) = (tokio::task::JoinSet::new(), 0, 0_u32);
    loop {
        while asked < in_flight + u64::from(answered) {
            tasks.spawn(question(asked));
            asked += 1;
        }
        let Some(outcome) = tasks.join_next().await else {
            break;
        };
        assert!(
            matches!(outcome, Ok(true)),
            "every question is answered well"
        );
        answered += 1;
        if start.elapsed() > LASTS {
            break;
        }
    }
    let rate = f64::from(answered) / start.elapsed().as_secs_f64();
    while tasks.join_next().await.is_some() {}
    rate
}

fn row(what: &str, in_flight: u64, ours: f64, theirs: f64) {
    let ratio = ours / theirs;
    println!("| {what} | {in_flight} | {ours:.0} | {theirs:.0} | {ratio:.2} |");
}

fn pick(ids: &[AuthKeyId], number: u64) -> AuthKeyId {
    let index = usize::try_from(number).unwrap_or(0) % ids.len();
    ids.get(index).copied().unwrap_or(AuthKeyId(0))
}

fn record(number: u64) -> KeyRecord {
    let mut bytes = [7; 256];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    let key = AuthKey::new(bytes);
    let first_salt = FirstSalt {
        salt: Salt(1),
        term: Term(1),
        since_unix_s: 1,
    };
    KeyRecord {
        facts: KeyFacts {
            id: key.id(),
            kind: KeyKind::Permanent,
            perm: None,
            dc: Some(2),
            first_salt: Some(first_salt),
        },
        key,
        created_at_unix_s: 1,
    }
}

/// Keys that are looked for.
const KEYS: u64 = 1000;

/// Questions to what answers within a microsecond.
const QUESTIONS: u64 = 5_000_000;

/// How long each other figure is measured.
const LASTS: Duration = Duration::from_secs(3);

/// As long as an entry of ours.
const ENTRY_BYTES: usize = 352;
