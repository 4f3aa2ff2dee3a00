//! Connections that break: no call is lost, and none runs twice while the server lives.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use heliogram_client::Client;

use crate::proxy::Proxy;
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
    let builder = client_of(proxy.address).reconnect(heliogram_client::Reconnect {
        first: Duration::from_millis(1),
        max: Duration::from_millis(1),
        ..heliogram_client::Reconnect::default()
    });
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
async fn a_connection_cut_after_any_byte_loses_no_call_and_doubles_none() {
    let server = Server::start();
    let proxy = Proxy::start(server.address).await;
    let client = client_of(proxy.address).connect().await.unwrap();
    let mut token = 0;
    for bytes in 1..600 {
        proxy.limit(bytes);
        proxy.cut();
        // Until an answer gets through, the limit stands for each of these connections.
        let calls: Vec<_> = (0..3)
            .map(|_| {
                token += 1;
                let (client, token) = (client.clone(), token);
                tokio::spawn(async move { (token, client.invoke(&Count(token)).await) })
            })
            .collect();
        let opened = proxy.connections();
        while proxy.connections() < opened + 1 && !calls.iter().all(|it| it.is_finished()) {
            tokio::time::sleep(POLL).await;
        }
        proxy.limit(usize::MAX);
        for call in calls {
            let (token, outcome) = call.await.unwrap();
            assert_eq!(outcome, Ok(token), "cut after {bytes} bytes");
        }
    }
    client.shutdown().await;
    let runs = server.backend.runs();
    assert!(runs.values().all(|&times| times == 1), "{runs:?}");
}

/// How often a test looks whether something has happened.
const POLL: Duration = Duration::from_millis(1);
