//! The store of record, alone.

use heliogram_crypto::SecretBytes;
use heliogram_crypto::at_rest::MasterKeys;
use heliogram_ports::conformance::{self, record};
use heliogram_ports::{Binding, Bound, Inserted, KeyKind};
use heliogram_store_cluster::{Config, OpenError, migrate, open};
use heliogram_testservices::MariaDb;
use tokio::time::Duration;

use crate::rig::{
    database, empty_database, is_there, master_keys, permanent, rows, sql, temporary, uncached,
    until,
};

#[tokio::test]
async fn the_store_of_record_conforms() {
    let opened = uncached(&database().await).await;
    conformance::auth_keys(&*opened.keys).await;
}

#[tokio::test]
async fn two_processes_see_the_same_keys_and_the_same_salt_secret() {
    let database = database().await;
    let (one, other) = tokio::join!(uncached(&database), uncached(&database));
    assert!(one.salt_secret == other.salt_secret);

    let key = permanent(&one.keys, 1).await;
    let found = other.keys.find(key.facts.id).await.unwrap().unwrap();
    assert_eq!(found.facts, key.facts);
    assert!(found.key.expose() == key.key.expose());
}

#[tokio::test]
async fn of_two_processes_that_insert_the_same_key_one_stores_it() {
    let database = database().await;
    let (one, other) = (uncached(&database).await, uncached(&database).await);
    for byte in 1..20 {
        let key = record(byte, KeyKind::Permanent);
        let (first, second) = tokio::join!(one.keys.insert(key.clone()), other.keys.insert(key));
        let mut outcomes = [first.unwrap(), second.unwrap()];
        outcomes.sort_by_key(|it| *it == Inserted::Duplicate);
        assert_eq!(outcomes, [Inserted::Stored, Inserted::Duplicate]);
    }
}

#[tokio::test]
async fn of_two_processes_that_bind_a_key_to_different_ones_one_succeeds() {
    let database = database().await;
    let (one, other) = (uncached(&database).await, uncached(&database).await);
    let perms = [permanent(&one.keys, 1).await, permanent(&one.keys, 2).await];
    for byte in 10..30 {
        let key = temporary(&one.keys, byte).await.facts.id;
        let to = |perm: usize| Binding {
            key,
            perm: perms[perm].facts.id,
            expires_at_unix_s: u32::MAX,
        };
        let (first, second) = tokio::join!(one.keys.bind(to(0)), other.keys.bind(to(1)));
        let winner = match (first.unwrap(), second.unwrap()) {
            (Bound::Stored { facts, .. }, Bound::Taken) => (facts, 0),
            (Bound::Taken, Bound::Stored { facts, .. }) => (facts, 1),
            both => unreachable!("{both:?}"),
        };
        let (facts, perm) = winner;
        assert_eq!(facts.perm, Some(perms[perm].facts.id));
        assert_eq!(one.keys.find(key).await.unwrap().unwrap().facts, facts);
    }
}

#[tokio::test]
async fn no_binding_outlives_a_permanent_key_that_another_process_destroys() {
    let database = database().await;
    let (one, other) = (uncached(&database).await, uncached(&database).await);
    for byte in (10..50).step_by(2) {
        let perm = permanent(&one.keys, byte).await.facts.id;
        let key = temporary(&one.keys, byte + 1).await.facts.id;
        let binding = Binding {
            key,
            perm,
            expires_at_unix_s: u32::MAX,
        };
        let (bound, removed) = tokio::join!(one.keys.bind(binding), other.keys.remove(perm));
        let removed = removed.unwrap();
        match bound.unwrap() {
            Bound::Stored { .. } => assert_eq!(removed, [key, perm]),
            Bound::Absent => assert_eq!(removed, [perm]),
            Bound::Taken => unreachable!("bound once"),
        }
        assert_eq!(is_there(&one.keys, perm).await, Ok(false));
        assert_eq!(is_there(&one.keys, key).await, Ok(removed.len() == 1));
    }
}

#[tokio::test]
async fn an_ended_temporary_key_leaves_the_tables() {
    let database = database().await;
    let opened = uncached(&database).await;
    let ended = record(
        7,
        KeyKind::Temporary {
            expires_at_unix_s: 1,
        },
    );
    assert_eq!(opened.keys.insert(ended).await, Ok(Inserted::Stored));
    permanent(&opened.keys, 8).await;
    temporary(&opened.keys, 9).await;

    // Whoever opens the store purges at once; the first may have been slow to.
    let _second = uncached(&database).await;
    let start = std::time::Instant::now();
    while rows(&database, "heliogram_keys").await != 2 {
        assert!(start.elapsed() < Duration::from_secs(60), "never purged");
    }
}

#[tokio::test]
async fn more_ended_keys_than_are_purged_in_one_step_are_all_purged_at_once() {
    let database = database().await;
    let values = (0..2001)
        .map(|id| format!("({id},1,'')"))
        .collect::<Vec<_>>()
        .join(",");
    sql(
        &database,
        &format!("INSERT INTO heliogram_keys (id, ends, sealed) VALUES {values}"),
    )
    .await;
    let _opened = uncached(&database).await;
    let start = std::time::Instant::now();
    while rows(&database, "heliogram_keys").await != 0 {
        assert!(
            start.elapsed() < Duration::from_secs(50),
            "not within a period"
        );
    }
}

#[tokio::test]
async fn terms_grow_whoever_begins_them() {
    let database = database().await;
    let (one, other) = (
        uncached(&database).await.record,
        uncached(&database).await.record,
    );
    let mut terms = Vec::new();
    for _ in 0..10 {
        let (first, second) = tokio::join!(one.begin_term(), other.begin_term());
        let mut both = [first.unwrap(), second.unwrap()];
        both.sort_unstable();
        terms.extend(both);
    }
    assert!(
        terms.is_sorted_by(|earlier, later| earlier < later),
        "{terms:?}"
    );
}

#[tokio::test]
async fn migrating_again_changes_nothing_and_many_may_at_once() {
    let database = empty_database().await;
    let (one, other) = tokio::join!(migrate(&database), migrate(&database));
    let mut from = [one.unwrap().from, other.unwrap().from];
    from.sort_unstable();
    assert_eq!(from, [0, 2]);

    let key = permanent(&uncached(&database).await.keys, 1).await;
    let again = migrate(&database).await.unwrap();
    assert_eq!((again.from, again.to), (2, 2));
    assert_eq!(
        is_there(&uncached(&database).await.keys, key.facts.id).await,
        Ok(true)
    );
}

#[tokio::test]
async fn tables_of_another_version_are_refused_with_what_to_do() {
    let database = empty_database().await;
    let config = Config::new(&database, master_keys());
    let older = open(&config).await.unwrap_err();
    assert!(matches!(older, OpenError::Older(0, 2)), "{older}");
    assert!(older.to_string().contains("heliogram migrate"), "{older}");

    migrate(&database).await.unwrap();
    sql(
        &database,
        "INSERT INTO heliogram_migrations (version, name) VALUES (3, 'x')",
    )
    .await;
    for newer in [
        open(&config).await.unwrap_err(),
        migrate(&database).await.unwrap_err(),
    ] {
        assert!(matches!(newer, OpenError::Newer(3, 2)), "{newer}");
    }
}

#[tokio::test]
async fn tables_of_the_first_version_are_brought_to_this_one_with_their_keys() {
    let database = database().await;
    let key = permanent(&uncached(&database).await.keys, 1).await;
    // As the first migration left them.
    sql(&database, "DROP TABLE heliogram_users").await;
    sql(
        &database,
        "DELETE FROM heliogram_migrations WHERE version > 1",
    )
    .await;
    let error = open(&Config::new(&database, master_keys()))
        .await
        .unwrap_err();
    assert!(matches!(error, OpenError::Older(1, 2)), "{error}");

    let migrated = migrate(&database).await.unwrap();
    assert_eq!((migrated.from, migrated.to), (1, 2));
    let opened = uncached(&database).await;
    assert_eq!(is_there(&opened.keys, key.facts.id).await, Ok(true));
    conformance::users(&opened.record, &*opened.keys).await;
}

#[tokio::test]
async fn another_master_key_is_refused_and_a_newer_one_takes_the_secret_over() {
    let database = database().await;
    let first = uncached(&database).await;
    let second = || (2, SecretBytes::new([6; 32]));
    let other = Config::new(&database, MasterKeys::new(2, second().1));
    let error = open(&other).await.unwrap_err();
    assert!(matches!(error, OpenError::WrongMasterKey), "{error}");

    let both = MasterKeys::new(2, second().1)
        .with_older(1, SecretBytes::new([5; 32]))
        .unwrap();
    let rotated = open(&Config::new(&database, both)).await.unwrap();
    assert!(rotated.salt_secret == first.salt_secret);
    assert!(open(&other).await.unwrap().salt_secret == first.salt_secret);
}

#[tokio::test]
async fn a_record_that_does_not_open_is_never_called_absent() {
    let database = database().await;
    let opened = uncached(&database).await;
    let key = permanent(&opened.keys, 1).await;
    sql(
        &database,
        "UPDATE heliogram_keys SET sealed = REVERSE(sealed)",
    )
    .await;
    assert!(opened.keys.find(key.facts.id).await.is_err());
    let binding = Binding {
        key: key.facts.id,
        perm: key.facts.id,
        expires_at_unix_s: u32::MAX,
    };
    assert!(opened.keys.bind(binding).await.is_err());
}

#[tokio::test]
async fn a_server_that_forgets_commits_in_a_crash_is_refused() {
    let server = MariaDb::start().unwrap();
    migrate(&server.url()).await.unwrap();
    let config = Config::new(&server.url(), master_keys());
    open(&config).await.unwrap();
    sql(
        &server.url(),
        "SET GLOBAL innodb_flush_log_at_trx_commit = 2",
    )
    .await;
    let error = open(&config).await.unwrap_err();
    assert!(matches!(error, OpenError::NotDurable), "{error}");
}

#[tokio::test]
async fn an_absent_server_and_a_bad_url_are_said_without_the_password() {
    for url in [
        "mysql://u:hunter2@127.0.0.1:1/x",
        "nosql://u:hunter2@127.0.0.1/x",
    ] {
        let config = Config::new(url, master_keys());
        let said = format!("{} {config:?}", open(&config).await.unwrap_err());
        assert!(!said.contains("hunter2"), "{said}");
    }
}

#[tokio::test]
async fn neither_key_bytes_nor_the_salt_secret_lie_open_in_the_files() {
    let mut server = MariaDb::start().unwrap();
    migrate(&server.url()).await.unwrap();
    let opened = uncached(&server.url()).await;
    permanent(&opened.keys, 0xa7).await;
    server.kill().unwrap();

    let secret = opened.salt_secret.expose()[..16].to_vec();
    let mut bytes = 0;
    for file in server.files().unwrap() {
        let content = std::fs::read(file).unwrap();
        bytes += content.len();
        let holds = |needle: &[u8]| content.windows(needle.len()).any(|it| it == needle);
        assert!(!holds(&[0xa7; 16]) && !holds(&secret));
    }
    assert!(bytes > 1_000_000, "the files of a database were read");
}

#[tokio::test]
async fn a_stored_key_and_a_binding_are_durable_when_the_server_is_killed() {
    let mut server = MariaDb::start().unwrap();
    migrate(&server.url()).await.unwrap();
    let opened = uncached(&server.url()).await;
    let perm = permanent(&opened.keys, 1).await.facts.id;
    let key = temporary(&opened.keys, 2).await.facts.id;
    let binding = Binding {
        key,
        perm,
        expires_at_unix_s: u32::MAX,
    };
    let bound = opened.keys.bind(binding).await.unwrap();
    server.kill().unwrap();
    server.start_again().unwrap();

    let opened = uncached(&server.url()).await;
    assert_eq!(is_there(&opened.keys, perm).await, Ok(true));
    let found = opened.keys.find(key).await.unwrap().unwrap();
    let removed = vec![];
    assert_eq!(
        bound,
        Bound::Stored {
            facts: found.facts,
            removed
        }
    );
    until("the database is up", || opened.record.is_up()).await;
}
