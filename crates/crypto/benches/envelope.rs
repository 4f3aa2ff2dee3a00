//! Sealing and opening of one message, beside grammers-crypto in the same run.
//!
//! Sketch, per message of 32 + body + padding bytes, of which 12 to 27 are padding:
//!
//! | body | AES blocks (56 cycles each, one after the other) | SHA-256 blocks of the text, and of the key | expected |
//! | --- | --- | --- | --- |
//! | 32 B | 5 | 2 + 4 | 0.4 us |
//! | 1 KiB | 67 | 17 + 4 | 2 us |
//! | 512 KiB | 32,771 | 8,193 + 4 | 0.8 ms |
//!
//! At 3.7 GHz the AES of 512 KiB takes 0.5 ms at least, and SHA-256 another 0.3 ms.
//!
//! Run with `cargo bench -p heliogram-crypto --bench envelope`. Sealing includes the copy of the body and the padding,
//! here from a buffered generator, there from the operating system.

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use grammers_crypto::DequeBuffer;
use heliogram_crypto::message::{self, HEADER_BYTES, Job};
use heliogram_crypto::{AuthKey, Direction};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

fn main() {
    divan::main();
}

#[divan::bench(args = BODIES)]
fn seal(bencher: Bencher<'_, '_>, body: usize) {
    let (key, mut rng) = (key(), rng());
    let text = text(body);
    let mut envelope = vec![0; HEADER_BYTES + padded(text.len())];
    bencher.counter(BytesCount::new(body)).bench_local(|| {
        let (_, rest) = envelope.split_at_mut(HEADER_BYTES);
        let (front, padding) = rest.split_at_mut(text.len());
        front.copy_from_slice(black_box(&text));
        rng.fill_bytes(padding);
        message::seal(&key, Direction::ClientToServer, &mut envelope)
    });
}

#[divan::bench(args = BODIES)]
fn seal_grammers(bencher: Bencher<'_, '_>, body: usize) {
    let key = grammers_crypto::AuthKey::from_bytes(KEY);
    let text = text(body);
    let mut buffer = DequeBuffer::with_capacity(padded(text.len()) + 64, HEADER_BYTES);
    bencher.counter(BytesCount::new(body)).bench_local(|| {
        buffer.clear();
        buffer.extend(black_box(&text).iter().copied());
        grammers_crypto::encrypt_data_v2(&mut buffer, &key);
    });
}

#[divan::bench(args = BODIES)]
fn open(bencher: Bencher<'_, '_>, body: usize) {
    let key = key();
    let sealed = sealed(body);
    let mut envelope = sealed.clone();
    bencher.counter(BytesCount::new(body)).bench_local(|| {
        envelope.copy_from_slice(black_box(&sealed));
        message::open(&key, Direction::ServerToClient, &mut envelope)
    });
}

#[divan::bench(args = BODIES)]
fn open_grammers(bencher: Bencher<'_, '_>, body: usize) {
    let key = grammers_crypto::AuthKey::from_bytes(KEY);
    let sealed = sealed(body);
    let mut envelope = sealed.clone();
    bencher.counter(BytesCount::new(body)).bench_local(|| {
        envelope.copy_from_slice(black_box(&sealed));
        grammers_crypto::decrypt_data_v2(&mut envelope, &key).is_ok()
    });
}

/// Sixteen messages of one size, as a fan-out makes them. A loop for now: sixteen times `seal` is what to expect.
#[divan::bench(args = [32, 1024])]
fn seal_batch_of_16(bencher: Bencher<'_, '_>, body: usize) {
    let key = key();
    let mut envelopes = vec![vec![0; HEADER_BYTES + padded(32 + body)]; 16];
    bencher.counter(BytesCount::new(16 * body)).bench_local(|| {
        let mut jobs: Vec<_> = envelopes
            .iter_mut()
            .map(|envelope| Job {
                key: &key,
                dir: Direction::ServerToClient,
                envelope,
            })
            .collect();
        message::seal_batch(black_box(&mut jobs))
    });
}

fn sealed(body: usize) -> Vec<u8> {
    let mut text = text(body);
    text.resize(padded(text.len()), 7);
    let mut envelope = [vec![0; HEADER_BYTES], text].concat();
    let sealed = message::seal(&key(), Direction::ServerToClient, &mut envelope);
    assert!(sealed.is_ok());
    envelope
}

/// The header of 32 bytes and the body.
fn text(body: usize) -> Vec<u8> {
    vec![5; 32 + body]
}

fn padded(text: usize) -> usize {
    (text + 12).next_multiple_of(16)
}

fn key() -> AuthKey {
    AuthKey::new(KEY)
}

fn rng() -> ChaCha8Rng {
    ChaCha8Rng::from_seed([0; 32])
}

const BODIES: [usize; 3] = [32, 1024, 512 * 1024];

const KEY: [u8; 256] = [3; 256];
