//! Connections that break: no call is lost, and none runs twice while the server lives.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use heliogram_client::{Client, DataCentre, Reconnect};

use crate::proxy::{Bytes, Proxy};
use crate::server::{Count, Server, client_of};

/// Makes calls one after another in so many tasks, until told to stop; each must be answered with its token.
struct Callers {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicI64>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Callers {
    fn start(client: &Client, count: i64) -> Self {
        let (stop, answered) = (Arc::<AtomicBool>::default(), Arc::<AtomicI64>::default());
        let next = Arc::new(AtomicI64::new(1));
        let tasks = (0..count).map(|_| {
            let (client, next) = (client.clone(), Arc::clone(&next));
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let token = next.fetch_add(1, Ordering::Relaxed);
                    assert_eq!(client.invoke(&Count(token)).await, Ok(token));
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            })
        });
        let tasks = tasks.collect();
        Self {
            stop,
            answered,
            tasks,
        }
    }

    fn answered(&self) -> i64 {
        self.answered.load(Ordering::Relaxed)
    }

    async fn end(self) -> i64 {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.unwrap();
        }
        self.answered.load(Ordering::Relaxed)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_a_thousand_reconnects_no_call_is_lost_and_none_runs_twice() {
    let server = Server::start();
    let proxy = Proxy::start(server.address).await;
    let builder = client_of(proxy.address).reconnect(AT_ONCE);
    let client = builder.connect().await.unwrap();
    let callers = Callers::start(&client, 8);
    while proxy.connections() < 1000 {
        let before = callers.answered();
        let opened = proxy.connections();
        proxy.cut();
        // The next cut is to find calls under way, at some moment of a new connection.
        while proxy.connections() == opened
            || callers.answered() < before + i64::from(opened % 3 == 0)
        {
            tokio::time::sleep(POLL).await;
        }
    }
    let answered = callers.end().await;
    client.shutdown().await;

    let runs = server.backend.runs();
    assert_eq!(i64::try_from(runs.len()).unwrap(), answered);
    assert!(runs.values().all(|&times| times == 1), "{runs:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_talk_of_52_messages_cut_after_any_byte_of_the_server_loses_no_call_and_doubles_none() {
    cut_everywhere(|talk| (1..=talk.down).map(|down| Bytes { down, ..Bytes::ALL })).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_talk_of_52_messages_cut_after_any_byte_of_the_client_loses_no_call_and_doubles_none() {
    cut_everywhere(|talk| (1..=talk.up).map(|up| Bytes { up, ..Bytes::ALL })).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exchange_cut_after_any_byte_of_either_side_makes_a_key_all_the_same() {
    let server = Server::start();
    let proxy = Proxy::start(server.address).await;
    let connect = async || {
        let builder = client_of(proxy.address).reconnect(AT_ONCE);
        let client = builder.without_forward_secrecy().connect().await.unwrap();
        client.shutdown().await;
    };
    connect().await;
    let talk = proxy.passed();
    let up = (1..=talk.up).map(|up| Bytes { up, ..Bytes::ALL });
    let down = (1..=talk.down).map(|down| Bytes { down, ..Bytes::ALL });
    for limits in up.chain(down) {
        proxy.limit_next(limits);
        connect().await;
    }
}

/// Records a talk on one connection, then has it once for each of the limits, which end its connection on the way.
async fn cut_everywhere<I: Iterator<Item = Bytes>>(limits_of: impl FnOnce(Bytes) -> I) {
    let server = Server::start();
    let proxy = Proxy::start(server.address).await;
    let builder = client_of(proxy.address).reconnect(AT_ONCE);
    let client = builder.connect().await.unwrap();
    let mut tokens = 0..;
    talk(&client, &mut tokens).await;
    proxy.cut();
    talk(&client, &mut tokens).await;
    let recorded = proxy.passed();
    let mut talks = 0;
    for limits in limits_of(recorded) {
        proxy.limit_next(limits);
        proxy.cut();
        talk(&client, &mut tokens).await;
        talks += 1;
    }
    // 26 calls in one container have as many bytes.
    assert!(talks > 800, "recorded: {recorded:?}");
    // One connection to be cut and another one for each; a talk that fits fewer containers is over before its cut.
    let connections = proxy.connections();
    assert!(connections > talks * 5 / 4, "{connections} for {talks}");
    client.shutdown().await;
    let runs = server.backend.runs();
    assert_eq!(i64::try_from(runs.len()).unwrap() * 3, tokens.start);
    assert!(runs.values().all(|&times| times == 1), "{runs:?}");
}

/// 26 calls at once, and their answers.
async fn talk(client: &Client, tokens: &mut std::ops::RangeFrom<i64>) {
    // The backend answers every third token at once.
    let calls: Vec<_> = tokens.step_by(3).take(26).collect();
    tokens.start = calls[25] + 3;
    let calls = calls.into_iter().map(|token| {
        let client = client.clone();
        tokio::spawn(async move { (token, client.invoke(&Count(token)).await) })
    });
    for call in calls.collect::<Vec<_>>() {
        let (token, outcome) = call.await.unwrap();
        assert_eq!(outcome, Ok(token));
    }
}

#[tokio::test]
async fn an_address_that_takes_connections_and_says_nothing_does_not_keep_its_clients() {
    let server = Server::start();
    let mute = tokio::net::TcpListener::bind(("127.0.0.1", 0))
        .await
        .unwrap();
    let dc = DataCentre::new(2, [mute.local_addr().unwrap(), server.address]);
    let hangs_up = tokio::spawn(async move {
        let mut count = 0;
        loop {
            drop(mute.accept().await.unwrap());
            count += 1;
            assert_eq!(count, 1, "its turn comes again only after the others'");
        }
    });

    let client = server.client().data_centre(dc).connect().await.unwrap();

    for call in 1..=3 {
        assert_eq!(client.invoke(&Count(call)).await, Ok(call));
    }
    assert!(!hangs_up.is_finished());
    hangs_up.abort();
    client.shutdown().await;
}

/// Dials again after a millisecond.
const AT_ONCE: Reconnect = Reconnect {
    first: Duration::from_millis(1),
    max: Duration::from_millis(1),
    growth_percent: 100,
    jitter_percent: 0,
    attempts_max: None,
};

/// How often a test looks whether something has happened.
const POLL: Duration = Duration::from_millis(1);
