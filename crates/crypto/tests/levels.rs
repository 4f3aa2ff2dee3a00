//! Every level gives what the plain implementation gives. One test and a binary of its own, because a level holds for the
//! process.

// Says to the lints what Cargo knows: all of this is a test.
#![cfg(test)]

use heliogram_crypto::ctr::Aes256Ctr;
use heliogram_crypto::message::{self, HEADER_BYTES, Job, PLAINTEXT_BYTES_MIN};
use heliogram_crypto::simd::{self, Level};
use heliogram_crypto::{AuthKey, Direction, ige};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

#[test]
fn every_level_gives_the_bytes_of_the_plain_one() {
    let small = 0..64_usize;
    let mixed = prop_oneof![4 => small.clone(), 2 => 0..512_usize, 1 => 0..=4096_usize];
    let cases = (
        any::<[u8; 32]>(),
        vec(mixed, 1..=64),
        vec(0..300_usize, 0..8),
    );
    let mut runner = TestRunner::new(Config::with_cases(32));
    runner
        .run(&cases, |(seed, extra_blocks, cuts)| {
            simd::force(Level::Plain);
            let expected = all_results(seed, &extra_blocks, &cuts);
            for level in usable_levels() {
                simd::force(level);
                prop_assert!(
                    all_results(seed, &extra_blocks, &cuts) == expected,
                    "{:?}",
                    level
                );
            }
            Ok(())
        })
        .unwrap();
}

/// What each operation makes of the same input.
fn all_results(seed: [u8; 32], extra_blocks: &[usize], cuts: &[usize]) -> Vec<Vec<u8>> {
    let mut rng = ChaCha8Rng::from_seed(seed);
    let mut results = Vec::new();

    let (key, iv, counter): ([u8; 32], [u8; 32], [u8; 16]) =
        (filled(&mut rng), filled(&mut rng), filled(&mut rng));
    let mut stream = Aes256Ctr::new(&key, &counter);
    for cut in cuts {
        let mut piece = vec![0; *cut];
        stream.apply(&mut piece);
        results.push(piece);
    }
    for encrypt_or_decrypt in [ige::encrypt, ige::decrypt] {
        let mut data = vec![0; 16 * extra_blocks[0]];
        rng.fill_bytes(&mut data);
        encrypt_or_decrypt(&key, &iv, &mut data).unwrap();
        results.push(data);
    }

    let keys = [
        AuthKey::new(filled(&mut rng)),
        AuthKey::new(filled(&mut rng)),
    ];
    let mut envelopes: Vec<_> = extra_blocks
        .iter()
        .map(|blocks| {
            let mut envelope = vec![0; HEADER_BYTES + PLAINTEXT_BYTES_MIN + 16 * blocks];
            rng.fill_bytes(&mut envelope);
            envelope
        })
        .collect();
    let mut alone = envelopes[0].clone();
    message::seal(&keys[0], Direction::ServerToClient, &mut alone).unwrap();
    results.push(alone.clone());
    message::open(&keys[0], Direction::ServerToClient, &mut alone).unwrap();
    results.push(alone);

    message::seal_batch(&mut jobs(&keys, &mut envelopes)).unwrap();
    results.extend(envelopes.clone());
    let forged = envelopes.len() / 2;
    envelopes[forged][HEADER_BYTES] ^= 1;
    let mut opened = Vec::new();
    message::open_batch(&mut jobs(&keys, &mut envelopes), &mut opened);
    let authentic: Vec<_> = opened.iter().map(Result::is_ok).collect();
    assert!((0..opened.len()).all(|i| authentic[i] == (i != forged)));
    results.extend(envelopes);
    results
}

fn jobs<'a>(keys: &'a [AuthKey; 2], envelopes: &'a mut [Vec<u8>]) -> Vec<Job<'a>> {
    let directions = [Direction::ClientToServer, Direction::ServerToClient];
    envelopes
        .iter_mut()
        .enumerate()
        .map(|(i, envelope)| Job {
            key: &keys[i % 2],
            dir: directions[i / 2 % 2],
            envelope,
        })
        .collect()
}

fn filled<const N: usize>(rng: &mut ChaCha8Rng) -> [u8; N] {
    let mut bytes = [0; N];
    rng.fill_bytes(&mut bytes);
    bytes
}

fn usable_levels() -> impl Iterator<Item = Level> {
    Level::ALL
        .into_iter()
        .filter(|level| simd::force(*level) == *level)
}
