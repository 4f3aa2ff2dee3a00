//! Reading and writing TL.
//!
//! A ping in a container has 28 bytes and costs a bounds check per field: some nanoseconds, twice, since a vector is
//! checked when it is read and decoded when it is iterated. A look-up is eleven steps of a binary search. Inflating
//! 64 KiB takes some tens of microseconds, a thousand times the rest: it is what a peer can make us pay for, and what
//! `bytes_max` bounds.

use std::hint::black_box;

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use heliogram_tl::mtproto::{Message, MsgContainer, Ping};
use heliogram_tl::{Deserialize, Serialize, gzip, layer};

fn main() {
    divan::main();
}

#[divan::bench]
fn read_container_of_100_pings(bencher: Bencher<'_, '_>) {
    let encoded = container();
    let bencher = bencher.counter(ItemsCount::new(MESSAGES));
    bencher.bench(|| {
        let read = MsgContainer::from_bytes(black_box(&encoded));
        let messages = read.iter().flat_map(|container| container.messages);
        messages
            .filter_map(|message| Ping::from_bytes(message.body).ok())
            .fold(0, |sum: i64, ping| sum.wrapping_add(ping.ping_id))
    });
}

#[divan::bench]
fn write_container_of_100_pings(bencher: Bencher<'_, '_>) {
    let ping = Ping { ping_id: 7 }.to_bytes();
    let messages = messages(&ping);
    let container = MsgContainer {
        messages: messages.as_slice().into(),
    };
    let bencher = bencher.counter(ItemsCount::new(MESSAGES));
    bencher.bench(|| black_box(&container).to_bytes());
}

#[divan::bench]
fn look_up_a_method(bencher: Bencher<'_, '_>) {
    bencher.bench(|| layer::method(black_box(0xc4f9_186b)));
}

#[divan::bench]
fn inflate_64_kib(bencher: Bencher<'_, '_>) {
    let object = container().repeat(64 * 1024 / (28 * MESSAGES));
    let packed = gzip::pack(&object);
    let bencher = bencher.counter(BytesCount::new(object.len()));
    bencher.bench(|| gzip::unpack(black_box(&packed), 1 << 20));
}

fn container() -> Vec<u8> {
    let ping = Ping { ping_id: 7 }.to_bytes();
    let messages = messages(&ping);
    let container = MsgContainer {
        messages: messages.as_slice().into(),
    };
    container.to_bytes()
}

fn messages(body: &[u8]) -> Vec<Message<'_>> {
    vec![
        Message {
            msg_id: 4,
            seqno: 0,
            body
        };
        MESSAGES
    ]
}

const MESSAGES: usize = 100;
