//! No old copy of a key comes back: not from a look-up that was slow, nor from a cache that could not be told.

use std::sync::Arc;
use std::time::Duration;

use heliogram_ports::record::Sealer;
use heliogram_ports::{AuthKeys, Binding, Bound, BoxFuture, Inserted, KeyRecord, Unavailable};
use heliogram_proto::ids::AuthKeyId;
use heliogram_store_cluster::{CachedKeys, Change, MySqlKeys, OfRecord};
use heliogram_testservices::Redis;
use tokio::sync::Semaphore;

use crate::rig::{
    NOBODY, cached, cached_at, database, is_cache_up, is_there, master_keys, permanent, rows, sql,
    temporary, uncached, until, until_absent,
};

#[tokio::test]
async fn a_look_up_that_began_before_a_removal_leaves_nothing_behind() {
    let rig = Slow::new().await;
    let id = permanent(&rig.keys, 1).await.facts.id;
    let slow = rig.find_slowly(id).await;
    assert_eq!(rig.other.remove(id).await, Ok(vec![id]));
    rig.go_on();
    assert!(
        slow.await.unwrap().unwrap().is_some(),
        "it was there when it was looked for"
    );
    rig.go_on();
    assert_eq!(is_there(&rig.keys, id).await, Ok(false));
}

#[tokio::test]
async fn a_look_up_that_began_before_a_binding_leaves_nothing_behind() {
    let rig = Slow::new().await;
    let perm = permanent(&rig.keys, 1).await.facts.id;
    let key = temporary(&rig.keys, 2).await.facts.id;
    let slow = rig.find_slowly(key).await;
    let binding = Binding {
        key,
        perm,
        expires_at_unix_s: u32::MAX,
    };
    assert!(matches!(
        rig.other.bind(binding).await,
        Ok(Bound::Stored { .. })
    ));
    rig.go_on();
    assert_eq!(slow.await.unwrap().unwrap().unwrap().facts.perm, None);
    rig.go_on();
    assert_eq!(
        rig.keys.find(key).await.unwrap().unwrap().facts.perm,
        Some(perm)
    );
}

#[tokio::test]
async fn a_look_up_that_began_before_an_insertion_leaves_nothing_behind() {
    let rig = Slow::new().await;
    let key = heliogram_ports::conformance::record(1, heliogram_ports::KeyKind::Permanent);
    let id = key.facts.id;
    let slow = rig.find_slowly(id).await;
    assert_eq!(rig.other.insert(key).await, Ok(Inserted::Stored));
    rig.go_on();
    assert!(slow.await.unwrap().unwrap().is_none());
    rig.go_on();
    assert_eq!(is_there(&rig.keys, id).await, Ok(true));
}

#[tokio::test]
async fn a_removal_by_a_process_that_cannot_reach_the_cache_is_seen_by_those_that_can() {
    let (database, redis) = (database().await, Redis::shared().unwrap());
    let near = cached(&database, redis).await;
    let far = cached_at(&database, NOBODY).await;
    let id = permanent(&near.keys, 1).await.facts.id;
    assert_eq!(is_there(&near.keys, id).await, Ok(true));
    assert_eq!(far.keys.remove(id).await, Ok(vec![id]));
    until_absent(&near.keys, id).await;
    let start = std::time::Instant::now();
    while rows(&database, "heliogram_changes").await > 0 {
        assert!(start.elapsed() < Duration::from_secs(60), "never settled");
    }
}

#[tokio::test]
async fn a_cache_that_was_stopped_during_a_removal_is_not_believed_when_it_goes_on() {
    let (database, redis) = (database().await, Redis::start().unwrap());
    let opened = cached(&database, &redis).await;
    let id = permanent(&opened.keys, 1).await.facts.id;
    assert_eq!(is_there(&opened.keys, id).await, Ok(true));

    redis.freeze().unwrap();
    assert_eq!(opened.keys.remove(id).await, Ok(vec![id]));
    assert!(!is_cache_up(&opened), "it did not answer");
    assert_eq!(is_there(&opened.keys, id).await, Ok(false));
    redis.thaw().unwrap();
    // Whether the deletion waited in the socket or was told anew: from the first use on, the entry is gone.
    until("the cache is in use again", || is_cache_up(&opened)).await;
    assert_eq!(is_there(&opened.keys, id).await, Ok(false));
}

#[tokio::test]
async fn a_cache_that_was_out_of_reach_is_told_of_every_change_before_it_is_believed() {
    let (database, redis) = (database().await, Redis::start().unwrap());
    let first = cached(&database, &redis).await;
    let id = permanent(&first.keys, 1).await.facts.id;
    assert_eq!(is_there(&first.keys, id).await, Ok(true));
    drop(first);

    // Nobody who can reach the cache is there to hear of it.
    let far = uncached(&database).await;
    assert_eq!(far.keys.remove(id).await, Ok(vec![id]));
    let names = redis.ask("KEYS *").unwrap();
    assert!(names.starts_with("*1"), "the old entry is there: {names}");

    let second = cached(&database, &redis).await;
    assert_eq!(is_there(&second.keys, id).await, Ok(false));
}

#[tokio::test]
async fn more_changes_than_are_told_in_one_step_are_all_told() {
    let (database, redis) = (database().await, Redis::shared().unwrap());
    let values = vec!["(1)"; 2001].join(",");
    sql(
        &database,
        &format!("INSERT INTO heliogram_changes (id) VALUES {values}"),
    )
    .await;
    let _opened = cached(&database, redis).await;
    assert_eq!(rows(&database, "heliogram_changes").await, 0);
}

/// A cached store whose look-ups wait at a gate, after the database has answered, and another process beside it.
struct Slow {
    gate: Arc<Semaphore>,
    arrived: Arc<Semaphore>,
    keys: Arc<dyn AuthKeys>,
    other: Arc<dyn AuthKeys>,
}

impl Slow {
    async fn new() -> Self {
        let (database, redis) = (database().await, Redis::shared().unwrap());
        let other = cached(&database, redis).await;
        let (gate, arrived) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let store = Gated {
            record: uncached(&database).await.record,
            gate: Arc::clone(&gate),
            arrived: Arc::clone(&arrived),
        };
        let sealer = Arc::new(Sealer::new(master_keys()));
        let cached =
            CachedKeys::new(store, sealer, &redis.url(), cluster(&database).await).unwrap();
        until("the cache is in use", || cached.is_up()).await;
        Self {
            gate,
            arrived,
            keys: Arc::new(cached),
            other: other.keys,
        }
    }

    /// Begins a look-up, and returns once the database has answered it.
    async fn find_slowly(
        &self,
        id: AuthKeyId,
    ) -> tokio::task::JoinHandle<Result<Option<Arc<KeyRecord>>, Unavailable>> {
        let keys = Arc::clone(&self.keys);
        let find = tokio::spawn(async move { keys.find(id).await });
        self.arrived.acquire().await.unwrap().forget();
        find
    }

    /// Lets one look-up go on.
    fn go_on(&self) {
        self.gate.add_permits(1);
    }
}

async fn cluster(database: &str) -> u64 {
    use mysql_async::prelude::Queryable as _;
    let opts = mysql_async::Opts::from_url(database).unwrap();
    let mut conn = mysql_async::Conn::new(opts).await.unwrap();
    let select = "SELECT value FROM heliogram_numbers WHERE name = 'cluster'";
    conn.query_first(select).await.unwrap().unwrap()
}

struct Gated {
    record: MySqlKeys,
    gate: Arc<Semaphore>,
    arrived: Arc<Semaphore>,
}

impl AuthKeys for Gated {
    fn find(&self, id: AuthKeyId) -> BoxFuture<'_, Result<Option<Arc<KeyRecord>>, Unavailable>> {
        Box::pin(async move {
            let found = self.record.find(id).await;
            self.arrived.add_permits(1);
            self.gate.acquire().await.unwrap().forget();
            found
        })
    }

    fn insert(&self, record: KeyRecord) -> BoxFuture<'_, Result<Inserted, Unavailable>> {
        self.record.insert(record)
    }

    fn bind(&self, binding: Binding) -> BoxFuture<'_, Result<Bound, Unavailable>> {
        self.record.bind(binding)
    }

    fn remove(&self, id: AuthKeyId) -> BoxFuture<'_, Result<Vec<AuthKeyId>, Unavailable>> {
        self.record.remove(id)
    }

    fn remove_bound(
        &self,
        perm: AuthKeyId,
        except: Vec<AuthKeyId>,
    ) -> BoxFuture<'_, Result<Vec<AuthKeyId>, Unavailable>> {
        self.record.remove_bound(perm, except)
    }
}

impl OfRecord for Gated {
    fn changes(&self, age_min: Duration) -> BoxFuture<'_, Result<Vec<Change>, Unavailable>> {
        self.record.changes(age_min)
    }

    fn settle(&self, changes: Vec<Change>) -> BoxFuture<'_, Result<(), Unavailable>> {
        self.record.settle(changes)
    }
}
