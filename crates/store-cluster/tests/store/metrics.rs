//! What the store counts is what happened.

use std::collections::BTreeMap;

use heliogram_ports::AuthKeys as _;
use heliogram_ports::metrics::{Measured, Meter, Metric, Times};
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
    assert_eq!(counted["store_cache_look_ups present"], 2);
    let absent = counted["store_cache_look_ups absent"];
    assert_eq!(absent + counted["store_cache_look_ups missing"], 4);
    assert!(absent > 0 && counted["store_cache_up"] == 1, "{counted:?}");

    let after = read(&opened.record);
    let grown = |name: &str| after[name] - before[name];
    assert!(
        grown("store_questions answered") >= 3,
        "one stored, two found"
    );
    assert_eq!(
        after["store_question_seconds"],
        after["store_questions answered"]
    );
    assert_eq!(
        grown("store_questions refused") + grown("store_questions unavailable"),
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
    assert_eq!(counted["store_cache_look_ups down"], 1);
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
    let mut numbers = Numbers::default();
    measured.measure(&mut numbers);
    numbers.0
}

#[derive(Default)]
struct Numbers(BTreeMap<String, u64>);

impl Numbers {
    fn say(&mut self, name: String, value: u64) {
        assert!(self.0.insert(name, value).is_none(), "each name once");
    }
}

impl Meter for Numbers {
    fn counts(&mut self, metric: Metric, _: &str, samples: &[(&str, u64)]) {
        for (label, value) in samples {
            self.say(format!("{} {label}", metric.name), *value);
        }
    }

    fn count(&mut self, metric: Metric, value: u64) {
        self.say(metric.name.to_owned(), value);
    }

    fn level(&mut self, metric: Metric, value: u64) {
        self.say(metric.name.to_owned(), value);
    }

    fn times(&mut self, metric: Metric, times: &Times) {
        self.say(metric.name.to_owned(), times.len());
    }
}
