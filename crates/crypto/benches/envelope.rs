//! Sealing and opening of messages, beside the plain crates and grammers-crypto in the same run.
//!
//! Sketch, per message of 32 + body + padding bytes, of which 12 to 27 are padding. A block of AES-256 waits for the one
//! before it: 14 rounds of 3 or 4 cycles. Two rounds of SHA-256 take 4 cycles or somewhat more.
//!
//! | body | AES blocks | SHA-256 blocks of the text, and of the key | seal | open, which hides the hash |
//! | --- | --- | --- | --- | --- |
//! | 32 B | 5 | 2 + 2 | 0.3 us | 0.3 us |
//! | 1 KiB | 67 | 18 + 2 | 1.8 us | 1.3 us |
//! | 512 KiB | 32,771 | 8,194 + 2 | 0.8 ms | 0.5 ms |
//!
//! Sixteen at once fill the processor: with AVX-512 some 0.2, 0.6 and 250 us each.
//!
//! Run with `cargo bench -p heliogram-crypto --bench envelope`. "Plain" are the crates `aes`, `ige` and `sha2`, which our
//! lowest level is. Sealing includes the copy of the body and the padding, here from a buffered generator, in grammers
//! from the operating system.

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use grammers_crypto::DequeBuffer;
use heliogram_crypto::ctr::Aes256Ctr;
use heliogram_crypto::message::{self, HEADER_BYTES, Job};
use heliogram_crypto::simd::{self, Level};
use heliogram_crypto::{AuthKey, Direction, ige};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

fn main() {
    divan::main();
}

#[divan::bench(args = BODIES)]
fn seal(bencher: Bencher<'_, '_>, body: usize) {
    seal_at(bencher, BEST, body);
}

#[divan::bench(args = BODIES)]
fn seal_plain(bencher: Bencher<'_, '_>, body: usize) {
    seal_at(bencher, Level::Plain, body);
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
    open_at(bencher, BEST, body);
}

#[divan::bench(args = BODIES)]
fn open_plain(bencher: Bencher<'_, '_>, body: usize) {
    open_at(bencher, Level::Plain, body);
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

/// Sixteen messages of one size, as a fan-out makes them; the time of all sixteen.
#[divan::bench(args = LEVELS, consts = BATCHED)]
fn seal_16<const BODY: usize>(bencher: Bencher<'_, '_>, level: Level) {
    simd::force(level);
    let key = key();
    let mut envelopes = vec![vec![0; HEADER_BYTES + padded(32 + BODY)]; 16];
    bencher
        .counter(ItemsCount::new(16_usize))
        .bench_local(|| message::seal_batch(black_box(&mut jobs(&key, &mut envelopes))));
}

/// The same, one after the other.
#[divan::bench(consts = BATCHED)]
fn seal_16_one_by_one<const BODY: usize>(bencher: Bencher<'_, '_>) {
    simd::force(BEST);
    let key = key();
    let mut envelopes = vec![vec![0; HEADER_BYTES + padded(32 + BODY)]; 16];
    bencher.counter(ItemsCount::new(16_usize)).bench_local(|| {
        for envelope in &mut envelopes {
            let sealed = message::seal(&key, Direction::ServerToClient, black_box(envelope));
            assert!(sealed.is_ok());
        }
    });
}

#[divan::bench(args = LEVELS, consts = BATCHED)]
fn open_16<const BODY: usize>(bencher: Bencher<'_, '_>, level: Level) {
    simd::force(level);
    let (key, sealed) = (key(), vec![sealed(BODY); 16]);
    let (mut envelopes, mut opened) = (sealed.clone(), Vec::new());
    bencher.counter(ItemsCount::new(16_usize)).bench_local(|| {
        envelopes.clone_from_slice(black_box(&sealed));
        opened.clear();
        message::open_batch(&mut jobs(&key, &mut envelopes), &mut opened);
        assert!(opened.iter().all(Result::is_ok));
    });
}

#[divan::bench(consts = BATCHED)]
fn open_16_one_by_one<const BODY: usize>(bencher: Bencher<'_, '_>) {
    simd::force(BEST);
    let (key, sealed) = (key(), vec![sealed(BODY); 16]);
    let mut envelopes = sealed.clone();
    bencher.counter(ItemsCount::new(16_usize)).bench_local(|| {
        envelopes.clone_from_slice(black_box(&sealed));
        for envelope in &mut envelopes {
            assert!(message::open(&key, Direction::ServerToClient, envelope).is_ok());
        }
    });
}

#[divan::bench(args = [Level::Plain, BEST])]
fn ige_encrypt_64_kib(bencher: Bencher<'_, '_>, level: Level) {
    simd::force(level);
    let mut data = vec![1; 65_536];
    bencher
        .counter(BytesCount::new(data.len()))
        .bench_local(|| ige::encrypt(&[2; 32], &[3; 32], black_box(&mut data)));
}

#[divan::bench(args = [Level::Plain, BEST])]
fn ige_decrypt_64_kib(bencher: Bencher<'_, '_>, level: Level) {
    simd::force(level);
    let mut data = vec![1; 65_536];
    bencher
        .counter(BytesCount::new(data.len()))
        .bench_local(|| ige::decrypt(&[2; 32], &[3; 32], black_box(&mut data)));
}

#[divan::bench]
fn ige_encrypt_64_kib_grammers(bencher: Bencher<'_, '_>) {
    let mut data = vec![1; 65_536];
    bencher
        .counter(BytesCount::new(data.len()))
        .bench_local(|| {
            grammers_crypto::aes::ige_encrypt(black_box(&mut data), &[2; 32], &[3; 32]);
        });
}

/// A stream of packets of one size.
#[divan::bench(args = LEVELS, consts = [64, 100, 65_536])]
fn ctr<const BYTES: usize>(bencher: Bencher<'_, '_>, level: Level) {
    simd::force(level);
    let (mut stream, mut data) = (Aes256Ctr::new(&[2; 32], &[3; 16]), vec![1; BYTES]);
    bencher
        .counter(BytesCount::new(BYTES))
        .bench_local(|| stream.apply(black_box(&mut data)));
}

fn seal_at(bencher: Bencher<'_, '_>, level: Level, body: usize) {
    simd::force(level);
    let (key, mut rng) = (key(), ChaCha8Rng::from_seed([0; 32]));
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

fn open_at(bencher: Bencher<'_, '_>, level: Level, body: usize) {
    simd::force(level);
    let key = key();
    let sealed = sealed(body);
    let mut envelope = sealed.clone();
    bencher.counter(BytesCount::new(body)).bench_local(|| {
        envelope.copy_from_slice(black_box(&sealed));
        message::open(&key, Direction::ServerToClient, &mut envelope)
    });
}

fn jobs<'a>(key: &'a AuthKey, envelopes: &'a mut [Vec<u8>]) -> Vec<Job<'a>> {
    envelopes
        .iter_mut()
        .map(|envelope| Job {
            key,
            dir: Direction::ServerToClient,
            envelope,
        })
        .collect()
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

const BODIES: [usize; 3] = [32, 1024, 512 * 1024];

const BATCHED: [usize; 3] = [32, 1024, 16 * 1024];

/// As high as the processor goes.
const BEST: Level = Level::Vaes512;

const LEVELS: [Level; 5] = Level::ALL;

const KEY: [u8; 256] = [3; 256];
