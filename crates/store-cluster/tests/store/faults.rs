//! The database or the cache is gone, or says nothing: slower, never wrong.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use heliogram_ports::conformance::record;
use heliogram_ports::{Binding, Bound, Inserted, KeyKind, Unavailable};
use heliogram_proto::ids::AuthKeyId;
use heliogram_proto::limits::TEMP_KEYS_PER_KEY_MAX;
use heliogram_store_cluster::migrate;
use heliogram_testservices::{MariaDb, Redis};
use tokio::time::Instant;

use crate::rig::{
    cached, database, is_cache_up, is_there, permanent, rows, temporary, uncached, until,
};

#[tokio::test]
async fn without_the_database_nothing_is_called_absent_or_stored() {
    let mut server = MariaDb::start().unwrap();
    migrate(&server.url()).await.unwrap();
    let opened = cached(&server.url(), Redis::shared().unwrap()).await;
    let known = permanent(&opened.keys, 1).await.facts.id;
    let uncached = permanent(&opened.keys, 2).await.facts.id;
    assert_eq!(is_there(&opened.keys, known).await, Ok(true));

    for frozen in [false, true] {
        if frozen {
            server.start_again().unwrap();
            server.freeze().unwrap();
        } else {
            server.kill().unwrap();
        }
        let keys = &opened.keys;
        let fresh = record(3, KeyKind::Permanent);
        let start = Instant::now();
        let (found, unknown, inserted, removed) = tokio::join!(
            is_there(keys, uncached),
            is_there(keys, AuthKeyId(77)),
            keys.insert(fresh),
            keys.remove(known),
        );
        assert_eq!(found, Err(Unavailable), "frozen: {frozen}");
        assert_eq!(unknown, Err(Unavailable));
        assert_eq!(inserted, Err(Unavailable));
        assert_eq!(removed, Err(Unavailable));
        // Both edges of the wait are generous: a gateway waits five seconds.
        assert!(start.elapsed() >= Duration::from_secs(4), "they waited");
        assert!(!opened.record.is_up());
        if frozen {
            server.thaw().unwrap();
        }
    }
}

#[tokio::test]
async fn who_asks_while_the_database_is_down_is_answered_when_it_comes_back() {
    let mut server = MariaDb::start().unwrap();
    migrate(&server.url()).await.unwrap();
    let opened = uncached(&server.url()).await;
    let id = permanent(&opened.keys, 1).await.facts.id;
    for byte in 10..15 {
        server.kill().unwrap();
        let keys = Arc::clone(&opened.keys);
        let asked = tokio::spawn(async move {
            let found = is_there(&keys, id).await;
            (found, keys.insert(record(byte, KeyKind::Permanent)).await)
        });
        until("the database is known to be down", || {
            !opened.record.is_up()
        })
        .await;
        let server_is_back = tokio::task::spawn_blocking(move || {
            server.start_again().unwrap();
            server
        });
        server = server_is_back.await.unwrap();
        assert_eq!(asked.await.unwrap(), (Ok(true), Ok(Inserted::Stored)));
        assert!(opened.record.is_up());
    }
}

#[tokio::test]
async fn without_the_cache_everything_is_answered_and_it_is_used_again_when_it_comes_back() {
    let mut redis = Redis::start().unwrap();
    let opened = cached(&database().await, &redis).await;
    let perm = permanent(&opened.keys, 1).await.facts.id;
    for (byte, frozen) in [(10, false), (20, true)] {
        if frozen {
            redis.freeze().unwrap();
        } else {
            redis.kill().unwrap();
        }
        let key = temporary(&opened.keys, byte).await.facts.id;
        let binding = Binding {
            key,
            perm,
            expires_at_unix_s: u32::MAX,
        };
        assert_eq!(is_there(&opened.keys, key).await, Ok(true));
        assert!(matches!(
            opened.keys.bind(binding).await,
            Ok(Bound::Stored { .. })
        ));
        assert_eq!(
            opened.keys.find(key).await.unwrap().unwrap().facts.perm,
            Some(perm)
        );
        assert_eq!(opened.keys.remove(key).await, Ok(vec![key]));
        assert_eq!(is_there(&opened.keys, key).await, Ok(false));
        assert!(!is_cache_up(&opened));
        if frozen {
            redis.thaw().unwrap();
        } else {
            redis.start_again().unwrap();
        }
        until("the cache is in use again", || is_cache_up(&opened)).await;
        assert_eq!(is_there(&opened.keys, key).await, Ok(false));
        assert_eq!(is_there(&opened.keys, perm).await, Ok(true));
    }
}

#[tokio::test]
async fn an_insertion_whose_answer_was_lost_is_stored_once_and_told_so() {
    let database = database().await;
    let proxy = Proxy::start(&database);
    let opened = uncached(&proxy.url).await;
    permanent(&opened.keys, 1).await;
    proxy.lose_the_answer_to_a_record();
    let key = record(2, KeyKind::Permanent);
    assert_eq!(opened.keys.insert(key.clone()).await, Ok(Inserted::Stored));
    assert!(proxy.has_lost(), "the first answer was lost");
    assert_eq!(opened.keys.insert(key).await, Ok(Inserted::Duplicate));
    assert_eq!(rows(&database, "heliogram_keys").await, 2);
}

#[tokio::test]
async fn a_removal_and_a_surplus_whose_answers_were_lost_are_told_all_the_same() {
    let database = database().await;
    let proxy = Proxy::start(&database);
    let opened = uncached(&proxy.url).await;
    let perm = permanent(&opened.keys, 1).await.facts.id;
    let bind = |key| {
        opened.keys.bind(Binding {
            key,
            perm,
            expires_at_unix_s: u32::MAX,
        })
    };
    let mut bound = Vec::new();
    for (byte, _) in (10..).zip(0..TEMP_KEYS_PER_KEY_MAX) {
        bound.push(temporary(&opened.keys, byte).await.facts.id);
        assert!(matches!(
            bind(bound[bound.len() - 1]).await,
            Ok(Bound::Stored { .. })
        ));
    }
    let one_more = temporary(&opened.keys, 9).await.facts.id;
    proxy.lose_the_answer_to_commit();
    let Ok(Bound::Stored { removed, .. }) = bind(one_more).await else {
        unreachable!("both keys are there")
    };
    assert!(proxy.has_lost());
    assert_eq!(removed.len(), 1);
    bound.retain(|id| !removed.contains(id));

    proxy.lose_the_answer_to_commit();
    let mut expected = [bound, vec![one_more, perm]].concat();
    expected.sort_unstable();
    let mut removed = opened.keys.remove(perm).await.unwrap();
    removed.sort_unstable();
    assert!(proxy.has_lost());
    assert_eq!(removed, expected);
}

#[tokio::test]
async fn a_connection_that_has_died_silently_leaves_time_for_another() {
    let proxy = Proxy::start(&database().await);
    let opened = uncached(&proxy.url).await;
    let id = permanent(&opened.keys, 1).await.facts.id;
    proxy.forget_connections();
    assert_eq!(is_there(&opened.keys, id).await, Ok(true));
}

/// Stands between a store and the database; may carry a request there, and lose the answer with the connection.
struct Proxy {
    url: String,
    lose: Arc<Lose>,
}

#[derive(Default)]
struct Lose {
    commit: AtomicBool,
    insert: AtomicBool,
    /// Connections that were made before this many are forgotten: nothing goes through, and nothing ends them.
    forgotten: AtomicUsize,
    made: AtomicUsize,
    /// Set once the request has gone through: nothing comes back any more.
    now: AtomicBool,
}

impl Proxy {
    fn start(database: &str) -> Self {
        let (front, path) = database.rsplit_once('/').unwrap();
        let (user, to) = front.rsplit_once('@').unwrap();
        let to = to.to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("{user}@{}/{path}", listener.local_addr().unwrap());
        let lose = Arc::new(Lose::default());
        let shared = Arc::clone(&lose);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (client, server) = (client.unwrap(), TcpStream::connect(&to).unwrap());
                carry(&client, &server, &shared);
            }
        });
        Self { url, lose }
    }

    fn lose_the_answer_to_a_record(&self) {
        self.lose.now.store(false, Ordering::SeqCst);
        self.lose.insert.store(true, Ordering::SeqCst);
    }

    fn lose_the_answer_to_commit(&self) {
        self.lose.now.store(false, Ordering::SeqCst);
        self.lose.commit.store(true, Ordering::SeqCst);
    }

    fn forget_connections(&self) {
        let made = self.lose.made.load(Ordering::SeqCst);
        self.lose.forgotten.store(made, Ordering::SeqCst);
    }

    fn has_lost(&self) -> bool {
        self.lose.now.load(Ordering::SeqCst)
    }
}

fn carry(client: &TcpStream, server: &TcpStream, lose: &Arc<Lose>) {
    let number = lose.made.fetch_add(1, Ordering::SeqCst);
    let is_lost = Arc::new(AtomicBool::new(false));
    let pair = || (client.try_clone().unwrap(), server.try_clone().unwrap());
    let ((mut from, mut to), lose, flag) = (pair(), Arc::clone(lose), Arc::clone(&is_lost));
    std::thread::spawn(move || {
        let mut buffer = [0; 65536];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            if number < lose.forgotten.load(Ordering::SeqCst) {
                continue;
            }
            let request = &buffer[..read];
            let is_commit =
                request.ends_with(b"COMMIT") && lose.commit.swap(false, Ordering::SeqCst);
            if is_commit || read >= INSERTED_BYTES_MIN && lose.insert.swap(false, Ordering::SeqCst)
            {
                flag.store(true, Ordering::SeqCst);
                lose.now.store(true, Ordering::SeqCst);
            }
            if to.write_all(request).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    });
    let (mut to, mut from) = pair();
    std::thread::spawn(move || {
        let mut buffer = [0; 65536];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            // The server has answered: it has done what was asked.
            if is_lost.load(Ordering::SeqCst) || to.write_all(&buffer[..read]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    });
}

/// Only a request that carries a record is so long.
const INSERTED_BYTES_MIN: usize = 340;
