//! What distance costs: calls and handshakes in one process, through gRPC within it, and through the processes of a cluster.
//!
//! Sketch: a call that the built-in backend answers is some 10 µs of work in one process; gRPC adds two messages of HTTP/2
//! and two wake-ups, some 50 µs; processes add TLS. Clients, servers and stores share the machine's cores, so ratios between
//! the forms count, not figures. A handshake is milliseconds of arithmetic, at the client too.
//!
//! As a test it measures for a moment, and only that all is answered counts. `cargo xtask bench cluster` builds for
//! speed, and takes its time.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use heliogram_client::PublicKey;
use heliogram_client::tl::functions::help::GetNearestDc;
use heliogram_interop::binary;
use tokio::runtime::Runtime;

use crate::load::builder;
use crate::member::Member;
use crate::whole::Whole;

#[test]
fn calls_and_handshakes_are_answered_while_they_are_measured_in_every_form() {
    let dir = tempfile::tempdir().unwrap();
    println!("| | calls/s | p50 | p99 | handshakes/s, durable |\n| --- | --- | --- | --- | --- |");
    for (form, options) in [
        ("one process", &[][..]),
        ("one process, --through-grpc", &["--through-grpc"][..]),
    ] {
        let mut server = Member::new(dir.path(), form, binary())
            .with(&["serve"])
            .with(options)
            .configured(
                "listen.tcp = ['127.0.0.1:0']\nlisten.websocket = []\nlisten.admin = '127.0.0.1:0'",
            );
        server.start();
        let key = std::fs::read_to_string(server.path("server_public.pem")).unwrap();
        let address = server.endpoint("tcp").unwrap().parse().unwrap();
        measure(form, &key, &[address]);
    }
    let whole = Whole::lock();
    whole.settle();
    measure(
        "2 gateways, 3 session nodes, MariaDB, Redis, TLS",
        &whole.key,
        &whole.addresses(),
    );
}

fn measure(form: &str, key: &str, addresses: &[SocketAddr]) {
    let seconds = std::env::var(SECONDS).ok().and_then(|it| it.parse().ok());
    let time = Duration::from_millis(seconds.map_or(500, |seconds: u64| seconds * 1000));
    let key = PublicKey::from_pem(key).unwrap();
    let runtime = Runtime::new().unwrap();
    let mut times = runtime.block_on(calls(&key, addresses, time));
    let keys = runtime.block_on(handshakes(&key, addresses, time));
    times.sort_unstable();
    let at = |percent: usize| times[times.len() * percent / 100].as_micros();
    println!(
        "| {form} | {:.0} | {} µs | {} µs | {:.0} |",
        per_second(times.len(), time),
        at(50),
        at(99),
        per_second(keys, time),
    );
}

/// Calls for so long, with as many under way as there are lanes; returns how long each took.
async fn calls(key: &PublicKey, addresses: &[SocketAddr], time: Duration) -> Vec<Duration> {
    let mut lanes = Vec::new();
    for number in 0..CLIENTS {
        let mut addresses = addresses.to_vec();
        let first = number % addresses.len();
        addresses.rotate_left(first);
        let client = builder(key.clone(), addresses).connect().await.unwrap();
        // What is done but once is done.
        client.invoke(&GetNearestDc {}).await.unwrap();
        lanes.extend(std::iter::repeat_n(client, LANES));
    }
    let until = Instant::now() + time;
    let lanes = lanes.into_iter().map(|client| {
        tokio::spawn(async move {
            let mut times = Vec::new();
            while Instant::now() < until {
                let begun = Instant::now();
                client.invoke(&GetNearestDc {}).await.unwrap();
                times.push(begun.elapsed());
            }
            times
        })
    });
    let mut times = Vec::new();
    for lane in lanes.collect::<Vec<_>>() {
        times.extend(lane.await.unwrap());
    }
    times
}

/// Makes keys for so long; returns how many.
async fn handshakes(key: &PublicKey, addresses: &[SocketAddr], time: Duration) -> usize {
    let until = Instant::now() + time;
    let lanes = (0..LANES).map(|_| {
        let (key, addresses) = (key.clone(), addresses.to_vec());
        tokio::spawn(async move {
            let mut made = 0;
            while Instant::now() < until {
                let exchange = builder(key.clone(), addresses.clone()).exchange();
                exchange.await.unwrap();
                made += 1;
            }
            made
        })
    });
    let mut made = 0;
    for lane in lanes.collect::<Vec<_>>() {
        made += lane.await.unwrap();
    }
    made
}

#[expect(clippy::cast_precision_loss, reason = "a rate")]
fn per_second(count: usize, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}

const SECONDS: &str = "HELIOGRAM_BENCH_S";
const CLIENTS: usize = 8;
const LANES: usize = 4;
