//! What the store counts is what happened.

use std::collections::BTreeMap;

use heliogram_ports::AuthKeys as _;
use heliogram_ports::metrics::{Measured, Readings};
use heliogram_proto::ids::AuthKeyId;
use heliogram_testservices::Redis;

use crate::rig::{NOBODY, cached, cached_at, database, is_there, permanent, until};

#[tokio::test]
async fn every_question_and_every_look_up_is_counted_once() {
    let redis = Redis::start().unwrap();
    let opened = cached(&database().await, &redis).await;
    let cache = opened.cache.clone().unwrap();
    let before = read(&opened.record);
    let id = permanent(&opened.keys, 1).await.facts.id;
    for _ in 0..3 {
        assert_eq!(is_there(&opened.keys, id).await, Ok(true));
        assert_eq!(is_there(&opened.keys, AuthKeyId(7)).await, Ok(false));
    }
    let counted = read(&cache);
    // An entry for an absent key ends by itself: on a slow machine it is missing again.
    assert_eq!(counted[r#"store_cache_look_ups{outcome="present"}"#], 2);
    let absent = counted[r#"store_cache_look_ups{outcome="absent"}"#];
    assert_eq!(
        absent + counted[r#"store_cache_look_ups{outcome="missing"}"#],
        4
    );
    assert!(absent > 0 && counted["store_cache_up"] == 1, "{counted:?}");

    let after = read(&opened.record);
    let grown = |name: &str| after[name] - before[name];
    assert!(
        grown(r#"store_questions{outcome="answered"}"#) >= 3,
        "one stored, two found"
    );
    assert_eq!(
        after["store_question_seconds"],
        after[r#"store_questions{outcome="answered"}"#]
    );
    assert_eq!(
        grown(r#"store_questions{outcome="refused"}"#)
            + grown(r#"store_questions{outcome="unavailable"}"#),
        0
    );
    assert_eq!(after["store_database_up"], 1);
}

#[tokio::test]
async fn what_the_cache_could_not_be_told_is_counted() {
    let opened = cached_at(&database().await, NOBODY).await;
    let cache = opened.cache.clone().unwrap();
    let id = permanent(&opened.keys, 1).await.facts.id;
    assert_eq!(is_there(&opened.keys, id).await, Ok(true));
    cache.remove(id).await.unwrap();
    let counted = read(&cache);
    assert_eq!(counted["store_cache_up"], 0);
    assert_eq!(counted[r#"store_cache_look_ups{outcome="down"}"#], 1);
    assert_eq!(
        counted["store_cache_untold_changes"], 2,
        "an insertion and a removal"
    );
    until("every question has ended", || {
        read(&opened.record)["store_questions_open"] == 0
    })
    .await;
}

fn read(measured: &impl Measured) -> BTreeMap<String, u64> {
    Readings::of(measured).0
}
