//! The store as its users see it: the port's conformance suite, restarts, and files that can't be used.

use std::path::Path;
use std::sync::Barrier;

use heliogram_ports::conformance::{self, record};
use heliogram_ports::{AuthKeys, Binding, Bound, Inserted, KeyKind};
use heliogram_store_embedded::{Config, OpenError, Opened, open};

#[tokio::test]
async fn the_store_conforms() {
    let directory = tempfile::tempdir().unwrap();
    conformance::auth_keys(&opened(directory.path()).keys).await;
}

#[tokio::test]
async fn keys_and_the_salt_secret_survive_a_restart_and_each_start_has_a_larger_term() {
    let directory = tempfile::tempdir().unwrap();
    let kept = record(7, KeyKind::Permanent);
    let first = opened(directory.path());
    assert_eq!(first.keys.insert(kept.clone()).await, Ok(Inserted::Stored));
    let (term, secret) = (first.term, first.salt_secret);
    drop(first.keys);

    let second = opened(directory.path());
    assert!(second.term > term);
    assert!(second.salt_secret == secret);
    let found = second.keys.find(kept.facts.id).await.unwrap().unwrap();
    assert_eq!(found.facts, kept.facts);
}

#[tokio::test]
async fn a_stored_key_is_on_disk_when_its_insert_returns() {
    // A copy of the file taken at that moment is what a power cut would leave.
    let directory = tempfile::tempdir().unwrap();
    let crashed = tempfile::tempdir().unwrap();
    let store = opened(directory.path());
    let kept = record(7, KeyKind::Permanent);
    assert_eq!(store.keys.insert(kept.clone()).await, Ok(Inserted::Stored));
    for name in ["keys.redb", "master.key"] {
        std::fs::copy(directory.path().join(name), crashed.path().join(name)).unwrap();
    }
    let survivor = opened(crashed.path());
    assert!(survivor.keys.find(kept.facts.id).await.unwrap().is_some());
}

#[tokio::test]
async fn an_ended_temporary_key_leaves_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let ended = record(
        7,
        KeyKind::Temporary {
            expires_at_unix_s: 1,
        },
    );
    let store = opened(directory.path());
    assert_eq!(store.keys.insert(ended.clone()).await, Ok(Inserted::Stored));
    drop(store.keys);
    // The writer purges when it starts, and what is asked of it waits behind that. An id that is there is a duplicate.
    let store = opened(directory.path());
    assert_eq!(store.keys.insert(ended).await, Ok(Inserted::Stored));
}

#[tokio::test]
async fn a_binding_survives_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let (perm, key) = (
        record(7, KeyKind::Permanent),
        record(
            8,
            KeyKind::Temporary {
                expires_at_unix_s: u32::MAX,
            },
        ),
    );
    let binding = Binding {
        key: key.facts.id,
        perm: perm.facts.id,
        expires_at_unix_s: u32::MAX - 1,
    };
    let store = opened(directory.path()).keys;
    for record in [&perm, &key] {
        assert_eq!(store.insert(record.clone()).await, Ok(Inserted::Stored));
    }
    let bound = store.bind(binding).await;
    drop(store);

    let store = opened(directory.path()).keys;
    let facts = store.find(key.facts.id).await.unwrap().unwrap().facts;
    let removed = vec![];
    assert_eq!(bound, Ok(Bound::Stored { facts, removed }));
    assert_eq!(facts.perm, Some(perm.facts.id));
    assert_eq!(
        store.remove(perm.facts.id).await,
        Ok(vec![key.facts.id, perm.facts.id])
    );
}

#[tokio::test]
async fn neither_key_bytes_nor_the_salt_secret_lie_open_in_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let store = opened(directory.path());
    let kept = record(0xa7, KeyKind::Permanent);
    assert_eq!(store.keys.insert(kept).await, Ok(Inserted::Stored));
    let secret = store.salt_secret;
    drop(store.keys);
    let bytes = std::fs::read(directory.path().join("keys.redb")).unwrap();
    assert!(!bytes.windows(16).any(|window| window == [0xa7; 16]));
    assert!(
        !bytes
            .windows(16)
            .any(|window| window == &secret.expose()[..16])
    );
}

#[test]
fn a_second_process_is_told_that_the_file_is_in_use() {
    let directory = tempfile::tempdir().unwrap();
    let _first = opened(directory.path());
    let error = open(&Config::in_directory(directory.path())).unwrap_err();
    assert!(matches!(error, OpenError::InUse(_)), "{error}");
}

#[test]
fn of_many_that_start_at_once_for_the_first_time_one_opens_the_store_and_can_open_it_again() {
    for _ in 0..20 {
        let directory = tempfile::tempdir().unwrap();
        let start = Barrier::new(4);
        let opened = std::thread::scope(|scope| {
            let starters = std::array::from_fn::<_, 4, _>(|_| {
                scope.spawn(|| {
                    start.wait();
                    open(&Config::in_directory(directory.path()))
                })
            });
            starters.map(|starter| starter.join().unwrap())
        });
        let (stores, errors): (Vec<_>, Vec<_>) = opened.into_iter().partition(Result::is_ok);
        assert!(
            errors
                .iter()
                .all(|error| matches!(error, Err(OpenError::InUse(_)))),
            "{errors:?}"
        );
        drop(stores);
        drop(open(&Config::in_directory(directory.path())).unwrap());
    }
}

#[test]
fn a_first_start_that_was_cut_short_before_anything_was_sealed_is_made_good() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("keys.redb"), b"").unwrap();
    opened(directory.path());
}

#[test]
fn another_master_key_is_refused_before_anything_is_served() {
    let directory = tempfile::tempdir().unwrap();
    drop(opened(directory.path()));
    let path = directory.path().join("master.key");
    let other = format!("1 {}\n", "00".repeat(32));
    std::fs::write(&path, other).unwrap();
    let error = open(&Config::in_directory(directory.path())).unwrap_err();
    assert!(matches!(error, OpenError::WrongMasterKey(_)), "{error}");
}

#[test]
fn a_file_that_is_no_store_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    drop(opened(directory.path()));
    std::fs::write(directory.path().join("keys.redb"), [0x55; 8192]).unwrap();
    let error = open(&Config::in_directory(directory.path())).unwrap_err();
    assert!(matches!(error, OpenError::Data(..)), "{error}");
}

#[expect(clippy::unwrap_used, reason = "a test's helper")]
fn opened(directory: &Path) -> Opened {
    open(&Config::in_directory(directory)).unwrap()
}
