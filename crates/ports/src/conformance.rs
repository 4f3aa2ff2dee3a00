//! What every implementation of a port must do, as suites that a test calls with an empty implementation.
//!
//! A suite panics at the first rule that is broken.

use std::future::poll_fn;
use std::task::Poll;

use heliogram_crypto::AuthKey;
use heliogram_proto::ids::{AuthKeyId, Salt, Term};

use crate::clock::unix_now;
use crate::{AuthKeys, FirstSalt, Inserted, KeyFacts, KeyKind, KeyRecord};

/// Runs every rule of [`AuthKeys`].
///
/// # Panics
///
/// When a rule is broken.
pub async fn auth_keys(keys: &dyn AuthKeys) {
    finds_what_was_inserted(keys).await;
    refuses_a_second_key_of_the_same_id(keys).await;
    removes_once(keys).await;
    hides_an_ended_temporary_key(keys).await;
    takes_one_of_many_at_once(keys).await;
}

/// Makes a record whose key is filled with a byte.
#[must_use]
pub fn record(byte: u8, kind: KeyKind) -> KeyRecord {
    let key = AuthKey::new([byte; 256]);
    let first_salt = FirstSalt {
        salt: Salt(-1),
        term: Term(3),
        since_unix_s: 1_700_000_000,
    };
    let facts = KeyFacts {
        id: key.id(),
        kind,
        perm: None,
        dc: Some(-10_002),
        first_salt: Some(first_salt),
    };
    KeyRecord {
        facts,
        key,
        created_at_unix_s: 1_700_000_000,
    }
}

async fn finds_what_was_inserted(keys: &dyn AuthKeys) {
    let record = record(1, KeyKind::Permanent);
    assert!(
        matches!(keys.find(record.facts.id).await, Ok(None)),
        "an empty store is sure"
    );
    assert_eq!(keys.insert(record.clone()).await, Ok(Inserted::Stored));
    let found = keys.find(record.facts.id).await;
    let Ok(Some(found)) = found else {
        unreachable!("an inserted key is found")
    };
    assert_eq!(found.facts, record.facts);
    assert!(
        found.key.expose() == record.key.expose(),
        "the key comes back whole"
    );
    assert_eq!(found.created_at_unix_s, record.created_at_unix_s);
    assert!(matches!(
        keys.find(AuthKeyId(!record.facts.id.0)).await,
        Ok(None)
    ));
}

async fn refuses_a_second_key_of_the_same_id(keys: &dyn AuthKeys) {
    let first = record(2, KeyKind::Permanent);
    let mut second = first.clone();
    second.created_at_unix_s += 1;
    assert_eq!(keys.insert(first.clone()).await, Ok(Inserted::Stored));
    assert_eq!(keys.insert(second).await, Ok(Inserted::Duplicate));
    let found = keys.find(first.facts.id).await;
    assert!(
        matches!(found, Ok(Some(found)) if found.created_at_unix_s == first.created_at_unix_s),
        "a refused key changes nothing"
    );
}

async fn removes_once(keys: &dyn AuthKeys) {
    let record = record(3, KeyKind::Permanent);
    assert_eq!(keys.remove(record.facts.id).await, Ok(false));
    assert_eq!(keys.insert(record.clone()).await, Ok(Inserted::Stored));
    assert_eq!(keys.remove(record.facts.id).await, Ok(true));
    assert_eq!(keys.remove(record.facts.id).await, Ok(false));
    assert!(
        matches!(keys.find(record.facts.id).await, Ok(None)),
        "a removed key is absent"
    );
}

async fn hides_an_ended_temporary_key(keys: &dyn AuthKeys) {
    let now = u32::try_from(unix_now().seconds()).unwrap_or(u32::MAX);
    let ended = record(
        4,
        KeyKind::Temporary {
            expires_at_unix_s: now,
        },
    );
    let live = record(
        5,
        KeyKind::Temporary {
            expires_at_unix_s: now + 3600,
        },
    );
    for record in [&ended, &live] {
        assert_eq!(keys.insert(record.clone()).await, Ok(Inserted::Stored));
    }
    assert!(
        matches!(keys.find(ended.facts.id).await, Ok(None)),
        "ends with its second"
    );
    assert!(matches!(keys.find(live.facts.id).await, Ok(Some(_))));
}

async fn takes_one_of_many_at_once(keys: &dyn AuthKeys) {
    let record = record(6, KeyKind::Permanent);
    let mut inserts: Vec<_> = (0..16).map(|_| keys.insert(record.clone())).collect();
    let mut stored = 0;
    poll_fn(|cx| {
        inserts.retain_mut(|insert| match insert.as_mut().poll(cx) {
            Poll::Pending => true,
            Poll::Ready(outcome) => {
                assert!(outcome.is_ok(), "every insert is answered");
                stored += usize::from(outcome == Ok(Inserted::Stored));
                false
            }
        });
        if inserts.is_empty() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    assert_eq!(stored, 1, "exactly one of equal keys is stored");
}
