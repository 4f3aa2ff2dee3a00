//! What callgrind counts: `counted <level> <work>` does one piece of work a hundred times inside `counted_work`.
//!
//! Prints the level that was in use: valgrind hides instructions that it can't decode, so the processor's best one is
//! not always what was measured.

use std::hint::black_box;

use heliogram_crypto::message::{self, HEADER_BYTES, Job};
use heliogram_crypto::simd::{self, Level};
use heliogram_crypto::{AuthKey, Direction};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (level, work) = (arguments.next(), arguments.next());
    let level = Level::ALL
        .into_iter()
        .find(|known| level.as_deref() == Some(&format!("{known:?}")));
    println!("level {:?}", simd::force(level.unwrap_or(Level::Plain)));

    let (seals, body, together) = match work.as_deref() {
        Some("seal_32") => (true, 32, 1),
        Some("open_32") => (false, 32, 1),
        Some("seal_1k") => (true, 1 << 10, 1),
        Some("open_1k") => (false, 1 << 10, 1),
        Some("seal_16x1k") => (true, 1 << 10, 16),
        Some("open_16x1k") => (false, 1 << 10, 16),
        _ => panic!("no such work"),
    };
    let key = AuthKey::new([3; 256]);
    let mut envelopes = sealed(&key, body, TIMES * together);
    counted_work(&key, &mut envelopes, together, seals);
    black_box(envelopes);
}

/// What the counter is switched on for; its name is what the command line of callgrind says.
#[unsafe(no_mangle)]
#[inline(never)]
extern "Rust" fn counted_work(
    key: &AuthKey,
    envelopes: &mut [Vec<u8>],
    together: usize,
    seals: bool,
) {
    if together > 1 {
        for group in envelopes.chunks_mut(together) {
            batch(key, group, seals);
        }
        return;
    }
    for envelope in envelopes {
        if seals {
            assert!(message::seal(key, DIR, envelope).is_ok());
        } else {
            assert!(message::open(key, DIR, envelope).is_ok());
        }
    }
}

fn batch(key: &AuthKey, group: &mut [Vec<u8>], seals: bool) {
    let mut jobs: Vec<_> = group
        .iter_mut()
        .map(|envelope| Job {
            key,
            dir: DIR,
            envelope,
        })
        .collect();
    if seals {
        assert!(message::seal_batch(&mut jobs).is_ok());
    } else {
        let mut results = Vec::with_capacity(jobs.len());
        message::open_batch(&mut jobs, &mut results);
        assert!(results.iter().all(Result::is_ok));
    }
}

fn sealed(key: &AuthKey, body: usize, count: usize) -> Vec<Vec<u8>> {
    let bytes = HEADER_BYTES + (32 + body + 12).next_multiple_of(16);
    let mut envelope = vec![7; bytes];
    assert!(message::seal(key, DIR, &mut envelope).is_ok());
    vec![envelope; count]
}

/// How often the work is done: the count is divided by it.
const TIMES: usize = 100;

const DIR: Direction = Direction::ServerToClient;
