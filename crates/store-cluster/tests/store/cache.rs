//! The cache, while all goes well.

use std::time::Duration;

use heliogram_ports::conformance;
use heliogram_ports::{Binding, Bound};
use heliogram_proto::ids::AuthKeyId;
use heliogram_testservices::{MariaDb, Redis};
use tokio::time::Instant;

use crate::rig::{
    NOBODY, cached, cached_at, database, is_cache_up, is_there, permanent, temporary, uncached,
};

#[tokio::test]
async fn the_cached_store_conforms() {
    let opened = cached(&database().await, Redis::shared().unwrap()).await;
    conformance::auth_keys(&*opened.keys).await;
    assert!(is_cache_up(&opened), "the cache was in use to the end");
}

#[tokio::test]
async fn the_store_conforms_with_its_cache_down() {
    let opened = cached_at(&database().await, NOBODY).await;
    conformance::auth_keys(&*opened.keys).await;
    assert!(!is_cache_up(&opened));
}

#[tokio::test]
async fn a_key_that_was_found_once_is_found_without_the_database() {
    let mut server = MariaDb::start().unwrap();
    heliogram_store_cluster::migrate(&server.url())
        .await
        .unwrap();
    let opened = cached(&server.url(), Redis::shared().unwrap()).await;
    let key = permanent(&opened.keys, 1).await;
    assert_eq!(is_there(&opened.keys, key.facts.id).await, Ok(true));

    server.kill().unwrap();
    let found = opened.keys.find(key.facts.id).await.unwrap().unwrap();
    assert_eq!(found.facts, key.facts);
    assert!(found.key.expose() == key.key.expose());
    assert_eq!(found.created_at_unix_s, key.created_at_unix_s);
}

#[tokio::test]
async fn an_absent_key_is_remembered_for_two_seconds_and_no_longer_than_it_is_absent() {
    let redis = Redis::shared().unwrap();
    let database = database().await;
    let opened = cached(&database, redis).await;
    let key = conformance::record(77, heliogram_ports::KeyKind::Permanent);
    let id = key.facts.id;
    assert_eq!(is_there(&opened.keys, id).await, Ok(false));
    let name = entry_of(redis, id);
    let left: u64 = number(&redis.ask(&format!("PTTL {name}")).unwrap());
    assert!((1..=2000).contains(&left), "{left}");

    // Known to be absent, though the database has it: the word is the cache's.
    let other = uncached(&database).await;
    other.keys.insert(key.clone()).await.unwrap();
    let start = Instant::now();
    let mut said_absent = 0;
    while is_there(&opened.keys, id).await == Ok(false) {
        said_absent += 1;
        assert!(start.elapsed() < Duration::from_secs(60), "absent for ever");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(said_absent > 0);

    // Set through the cache, it is found at once.
    let id = AuthKeyId(
        conformance::record(78, heliogram_ports::KeyKind::Permanent)
            .facts
            .id
            .0,
    );
    assert_eq!(is_there(&opened.keys, id).await, Ok(false));
    permanent(&opened.keys, 78).await;
    assert_eq!(is_there(&opened.keys, id).await, Ok(true));
}

#[tokio::test]
async fn a_binding_and_a_removal_are_seen_at_once_by_every_process() {
    let (database, redis) = (database().await, Redis::shared().unwrap());
    let (one, other) = (
        cached(&database, redis).await,
        cached(&database, redis).await,
    );
    let perm = permanent(&one.keys, 1).await.facts.id;
    let key = temporary(&one.keys, 2).await.facts.id;
    for id in [perm, key] {
        assert_eq!(is_there(&one.keys, id).await, Ok(true));
    }
    let binding = Binding {
        key,
        perm,
        expires_at_unix_s: u32::MAX,
    };
    let Ok(Bound::Stored { facts, .. }) = other.keys.bind(binding).await else {
        unreachable!("both keys are there")
    };
    assert_eq!(one.keys.find(key).await.unwrap().unwrap().facts, facts);

    assert_eq!(other.keys.remove_bound(perm, vec![]).await, Ok(vec![key]));
    assert_eq!(is_there(&one.keys, key).await, Ok(false));
    assert_eq!(other.keys.remove(perm).await, Ok(vec![perm]));
    assert_eq!(is_there(&one.keys, perm).await, Ok(false));
}

#[tokio::test]
async fn a_flushed_cache_is_filled_again() {
    let redis = Redis::start().unwrap();
    let opened = cached(&database().await, &redis).await;
    let id = permanent(&opened.keys, 1).await.facts.id;
    for _ in 0..2 {
        assert_eq!(is_there(&opened.keys, id).await, Ok(true));
        assert!(
            redis
                .ask(&format!("EXISTS {}", entry_of(&redis, id)))
                .unwrap()
                .starts_with(":1")
        );
        redis.ask("FLUSHALL").unwrap();
    }
    assert_eq!(is_there(&opened.keys, id).await, Ok(true));
    assert!(is_cache_up(&opened));
}

#[tokio::test]
async fn neither_garbage_nor_another_keys_entry_is_believed() {
    let redis = Redis::start().unwrap();
    let opened = cached(&database().await, &redis).await;
    let keys = [
        permanent(&opened.keys, 1).await,
        permanent(&opened.keys, 2).await,
    ];
    for key in &keys {
        assert_eq!(is_there(&opened.keys, key.facts.id).await, Ok(true));
    }
    let [first, second] = keys.each_ref().map(|key| entry_of(&redis, key.facts.id));
    let plant = [
        format!("COPY {second} {first} REPLACE"),
        format!("SET {first} Kgarbage"),
        format!("SET {first} ?"),
        format!("SET {first} \"\""),
    ];
    for command in plant {
        let answer = redis.ask(&command).unwrap();
        assert!(
            answer.starts_with(":1") || answer.starts_with("+OK"),
            "{answer}"
        );
        let found = opened.keys.find(keys[0].facts.id).await.unwrap().unwrap();
        assert_eq!(found.facts, keys[0].facts, "{command}");
    }
}

#[tokio::test]
async fn two_databases_share_a_cache_and_see_nothing_of_each_other() {
    let redis = Redis::shared().unwrap();
    let (one, other) = (
        cached(&database().await, redis).await,
        cached(&database().await, redis).await,
    );
    let id = permanent(&one.keys, 1).await.facts.id;
    assert_eq!(is_there(&one.keys, id).await, Ok(true));
    assert_eq!(is_there(&other.keys, id).await, Ok(false));
    assert_eq!(is_there(&one.keys, id).await, Ok(true));
}

#[tokio::test]
async fn nothing_lies_open_in_the_cache() {
    let redis = Redis::start().unwrap();
    let opened = cached(&database().await, &redis).await;
    let id = permanent(&opened.keys, b'x').await.facts.id;
    assert_eq!(is_there(&opened.keys, id).await, Ok(true));
    let entry = redis.ask(&format!("GET {}", entry_of(&redis, id))).unwrap();
    assert!(
        entry.starts_with("$352\r\nK"),
        "a sealed record: {} bytes",
        entry.len()
    );
    assert!(!entry.contains("xxxxxxxx"));
}

/// Returns the name of a key's entry.
fn entry_of(redis: &Redis, id: AuthKeyId) -> String {
    let suffix = format!("{:016x}", u64::from_le_bytes(id.0.to_le_bytes()));
    let names = redis.ask("KEYS *").unwrap();
    let mut names = names.split("\r\n").filter(|name| name.ends_with(&suffix));
    names.next().unwrap().to_owned()
}

fn number(answer: &str) -> u64 {
    answer.trim().trim_start_matches(':').parse().unwrap()
}
