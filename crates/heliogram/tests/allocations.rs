//! Allocations per message in the steady state, of everything between a server's socket and its backend. Their count is
//! stable where time is not.

// Says to the lints what Cargo knows: all of this is a test.
#![cfg(test)]

#[expect(
    dead_code,
    reason = "shared with `heliogram bench`, which uses all of it"
)]
#[path = "../src/bench/rig/mod.rs"]
mod rig;

use std::io::{Read, Write};
use std::net::TcpStream;

use allocation_counter::AllocationInfo;
use bytes::Bytes;
use heliogram_proto::session::client::Event;
use rig::client::{Connection, Talker};
use rig::{Listening, Store};
use tokio::sync::oneshot;

#[test]
fn a_call_costs_at_most_4_allocations() {
    let counted = count(|talker, out| talker.call(Bytes::from_static(&[0x22; 52]), out).unwrap());

    assert!(
        counted.count_total <= 4 * MESSAGES + OTHERS_MAX,
        "{counted:?}"
    );
}

#[test]
fn a_ping_costs_at_most_4_allocations() {
    let counted = count(|talker, out| talker.ping(1, out).unwrap());

    assert!(
        counted.count_total <= 4 * MESSAGES + OTHERS_MAX,
        "{counted:?}"
    );
}

/// Counts what the server's only thread allocates for [`MESSAGES`], one after another on one connection.
fn count(ask: fn(&mut Talker, &mut Vec<u8>)) -> AllocationInfo {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let server = rig::serve_on(runtime.handle(), Store::in_memory()).unwrap();
    let (is_warm, warm) = oneshot::channel();
    let (is_done, done) = oneshot::channel();
    let client = std::thread::spawn(move || {
        let (mut stream, mut talker) = connect(&server);
        converse(WARM_UP, &mut stream, &mut talker, ask);
        is_warm.send(()).unwrap();
        converse(MESSAGES, &mut stream, &mut talker, ask);
        is_done.send(()).unwrap();
    });
    runtime.block_on(warm).unwrap();
    let counted = allocation_counter::measure(|| runtime.block_on(done).unwrap());
    client.join().unwrap();
    counted
}

fn connect(server: &Listening) -> (TcpStream, Talker) {
    let mut connection = Connection::open(server.address).unwrap();
    let (key, salt) = connection.make_key(&server.key).unwrap();
    connection.into_talker(key, salt)
}

fn converse(
    messages: u64,
    stream: &mut TcpStream,
    talker: &mut Talker,
    ask: fn(&mut Talker, &mut Vec<u8>),
) {
    let mut buffer = [0; 4096];
    for _ in 0..messages {
        let mut out = Vec::new();
        ask(talker, &mut out);
        stream.write_all(&out).unwrap();
        let mut is_answered = false;
        while !is_answered {
            let read = stream.read(&mut buffer).unwrap();
            assert!(read > 0, "the server closed the connection");
            let events = talker.receive(&mut buffer[..read]).unwrap();
            is_answered = events
                .iter()
                .any(|event| matches!(event, Event::Answer { .. } | Event::Pong { .. }));
        }
    }
}

/// As many as a session remembers, and more: its tables have grown by then.
const WARM_UP: u64 = 5_000;

const MESSAGES: u64 = 2_000;

/// What the runtime and timers allocate meanwhile: far from one per message.
const OTHERS_MAX: u64 = MESSAGES / 100;
