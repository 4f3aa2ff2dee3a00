//! What every implementation of a port must do, as suites that a test calls with an empty implementation.
//!
//! A suite panics at the first rule that is broken.

mod backend;
mod discovery;
mod session_port;
mod users;
mod watched;

pub use backend::{backend, call};
pub use discovery::discovery;
pub use session_port::{TERM, session_port};
pub use users::users;

use std::future::poll_fn;
use std::task::Poll;

use heliogram_crypto::AuthKey;
use heliogram_proto::ids::{AuthKeyId, Salt, Term};
use heliogram_proto::limits::TEMP_KEYS_PER_KEY_MAX;

use crate::clock::unix_now;
use crate::{
    AuthKeys, Binding, Bound, FirstSalt, Inserted, KeyFacts, KeyKind, KeyRecord, Unavailable,
};

/// Runs every rule of [`AuthKeys`].
///
/// # Panics
///
/// When a rule is broken.
pub async fn auth_keys(keys: &dyn AuthKeys) {
    finds_what_was_inserted(keys).await;
    refuses_a_second_key_of_the_same_id(keys).await;
    removes_once(keys).await;
    binds_a_temporary_key_to_one_permanent_key(keys).await;
    binds_nothing_but_a_temporary_key_to_a_permanent_one(keys).await;
    removes_temporary_keys_with_their_permanent_key(keys).await;
    removes_the_temporary_keys_that_are_not_excepted(keys).await;
    keeps_so_many_temporary_keys_of_a_permanent_one(keys).await;
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
    let id = record.facts.id;
    assert_eq!(keys.remove(id).await, Ok(vec![]));
    assert_eq!(keys.insert(record.clone()).await, Ok(Inserted::Stored));
    assert_eq!(keys.remove(id).await, Ok(vec![id]));
    assert_eq!(keys.remove(id).await, Ok(vec![]));
    assert!(
        matches!(keys.find(record.facts.id).await, Ok(None)),
        "a removed key is absent"
    );
}

async fn binds_a_temporary_key_to_one_permanent_key(keys: &dyn AuthKeys) {
    let (perm, other) = (store(keys, 10, None).await, store(keys, 11, None).await);
    let end = now_s() + 3600;
    let key = store(keys, 12, Some(end)).await;
    let binding = Binding {
        key,
        perm,
        expires_at_unix_s: end - 60,
    };

    let first = keys.bind(binding).await;
    let Ok(Bound::Stored { facts, removed }) = &first else {
        unreachable!("both keys are there: {first:?}")
    };
    assert_eq!((facts.id, facts.perm, removed.len()), (key, Some(perm), 0));
    let ends_earlier = KeyKind::Temporary {
        expires_at_unix_s: end - 60,
    };
    assert_eq!(facts.kind, ends_earlier);
    let found = keys.find(key).await;
    assert!(
        matches!(&found, Ok(Some(found)) if found.facts == *facts),
        "a binding is found with its key"
    );
    let again = Binding {
        expires_at_unix_s: end,
        ..binding
    };
    assert_eq!(keys.bind(again).await, first, "a repeat changes nothing");
    let elsewhere = Binding {
        perm: other,
        ..binding
    };
    assert_eq!(keys.bind(elsewhere).await, Ok(Bound::Taken));
    let found = keys.find(key).await;
    assert!(matches!(found, Ok(Some(found)) if found.facts.perm == Some(perm)));
}

async fn binds_nothing_but_a_temporary_key_to_a_permanent_one(keys: &dyn AuthKeys) {
    let perm = store(keys, 13, None).await;
    let key = store(keys, 14, Some(now_s() + 3600)).await;
    let ended = store(keys, 15, Some(now_s())).await;
    let unknown = AuthKeyId(77);
    for (key, perm) in [
        (unknown, perm),
        (ended, perm),
        (perm, perm),
        (key, unknown),
        (key, key),
    ] {
        let bound = keys.bind(binding(key, perm)).await;
        assert_eq!(bound, Ok(Bound::Absent), "{key:?} to {perm:?}");
    }
}

async fn removes_temporary_keys_with_their_permanent_key(keys: &dyn AuthKeys) {
    let perm = store(keys, 16, None).await;
    let (bound, free) = (
        store(keys, 17, Some(now_s() + 3600)).await,
        store(keys, 18, Some(now_s() + 3600)).await,
    );
    assert!(is_stored(&keys.bind(binding(bound, perm)).await));

    let mut expected = vec![perm, bound];
    expected.sort_unstable();
    assert_eq!(sorted(keys.remove(perm).await), expected);
    for id in [perm, bound] {
        assert!(matches!(keys.find(id).await, Ok(None)));
    }
    assert!(matches!(keys.find(free).await, Ok(Some(_))));
}

async fn removes_the_temporary_keys_that_are_not_excepted(keys: &dyn AuthKeys) {
    let perm = store(keys, 19, None).await;
    let mut bound = Vec::new();
    for byte in 20..23 {
        let key = store(keys, byte, Some(now_s() + 3600)).await;
        assert!(is_stored(&keys.bind(binding(key, perm)).await));
        bound.push(key);
    }
    let [spared, gone @ ..] = bound.as_slice() else {
        unreachable!("three were bound")
    };

    let mut expected = gone.to_vec();
    expected.sort_unstable();
    let removed = keys.remove_bound(perm, vec![*spared, perm]).await;
    assert_eq!(sorted(removed), expected);
    assert!(matches!(keys.find(*spared).await, Ok(Some(_))));
    assert!(matches!(keys.find(perm).await, Ok(Some(_))));
    assert_eq!(keys.remove_bound(perm, vec![*spared]).await, Ok(vec![]));
}

async fn keeps_so_many_temporary_keys_of_a_permanent_one(keys: &dyn AuthKeys) {
    let perm = store(keys, 30, None).await;
    let mut first_to_end = None;
    for (byte, at) in (31..).zip(0..TEMP_KEYS_PER_KEY_MAX) {
        let later = u32::try_from(at).unwrap_or(0);
        let key = store(keys, byte, Some(now_s() + 3600 + later)).await;
        let bound = keys.bind(binding(key, perm)).await;
        assert!(
            matches!(&bound, Ok(Bound::Stored { removed, .. }) if removed.is_empty()),
            "{at}: {bound:?}"
        );
        first_to_end.get_or_insert(key);
    }
    // One that ends before all of them, and yet takes the place of another.
    let newest = store(keys, 29, Some(now_s() + 1800)).await;
    let bound = keys.bind(binding(newest, perm)).await;
    assert!(
        matches!(&bound, Ok(Bound::Stored { removed, .. }) if removed.iter().eq(&first_to_end)),
        "{bound:?}"
    );
    assert!(matches!(keys.find(newest).await, Ok(Some(_))));
}

/// Keeps a key filled with a byte, temporary if it has an end.
async fn store(keys: &dyn AuthKeys, byte: u8, end: Option<u32>) -> AuthKeyId {
    let kind = end.map_or(KeyKind::Permanent, |expires_at_unix_s| KeyKind::Temporary {
        expires_at_unix_s,
    });
    let record = record(byte, kind);
    let id = record.facts.id;
    assert_eq!(keys.insert(record).await, Ok(Inserted::Stored));
    id
}

fn binding(key: AuthKeyId, perm: AuthKeyId) -> Binding {
    Binding {
        key,
        perm,
        expires_at_unix_s: u32::MAX,
    }
}

fn is_stored(bound: &Result<Bound, Unavailable>) -> bool {
    matches!(bound, Ok(Bound::Stored { .. }))
}

fn sorted(removed: Result<Vec<AuthKeyId>, Unavailable>) -> Vec<AuthKeyId> {
    let mut removed = removed.unwrap_or_default();
    removed.sort_unstable();
    removed
}

fn now_s() -> u32 {
    u32::try_from(unix_now().seconds()).unwrap_or(u32::MAX)
}

async fn hides_an_ended_temporary_key(keys: &dyn AuthKeys) {
    let now = now_s();
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
