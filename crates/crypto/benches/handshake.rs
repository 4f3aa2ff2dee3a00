//! The heavy parts of a key exchange.
//!
//! Sketch, on a processor with wide multipliers (AVX-512 IFMA):
//!
//! | part | work | expected |
//! | --- | --- | --- |
//! | RSA, private | two exponentiations of 1024 bits, blinding, check | 0.25 ms |
//! | g^a or g_b^a, alone | one of 2048 bits, done twice at once since that is faster | 1.3 ms |
//! | g^b and g_a^b, paired | two of 2048 bits, interleaved | 1.3 ms |
//! | factors of pq | some 60,000 Montgomery products of 64 bits | 0.4 ms |
//!
//! A server pays the first and two of the second, a client the last two. With eight at once, by lanes of AVX-512 IFMA:
//!
//! | part, for eight | products in lanes | expected |
//! | --- | --- | --- |
//! | RSA, private | 2 * 1280 of 1024 bits | 1.3 ms |
//! | the base's powers | 387 of 2048 bits | 0.8 ms |
//! | powers | 2560 of 2048 bits | 4.5 ms |
//!
//! Run with `cargo bench -p heliogram-crypto --bench handshake`.

use divan::{Bencher, black_box};
use heliogram_crypto::dh::{self, Group};
use heliogram_crypto::rsa::{Decryptor, PrivateKey};
use heliogram_crypto::{SecretBytes, pq, rsa_pad};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

fn main() {
    divan::main();
}

#[divan::bench]
fn rsa_pad_open(bencher: Bencher<'_, '_>) {
    let Ok(key) = PrivateKey::generate() else {
        return;
    };
    let Ok(encrypted) = rsa_pad::encrypt(key.public(), &[1; 96], &mut rng()) else {
        return;
    };
    bencher.bench_local(|| rsa_pad::open(&key, black_box(&encrypted)));
}

#[divan::bench]
fn rsa_pad_open_8(bencher: Bencher<'_, '_>) {
    let Ok(key) = PrivateKey::generate() else {
        return;
    };
    let mut rng = rng();
    let Ok(encrypted) = rsa_pad::encrypt(key.public(), &[1; 96], &mut rng) else {
        return;
    };
    let mut key = Decryptor::new(key);
    bencher.bench_local(|| rsa_pad::open_all(&mut key, black_box(&[&encrypted; 8]), &mut rng));
}

#[divan::bench]
fn rsa_pad_encrypt(bencher: Bencher<'_, '_>) {
    let Ok(key) = PrivateKey::generate() else {
        return;
    };
    let mut rng = rng();
    bencher.bench_local(|| rsa_pad::encrypt(key.public(), black_box(&[1; 96]), &mut rng));
}

#[divan::bench]
fn dh_public(bencher: Bencher<'_, '_>) {
    let (group, secret) = (Group::known(), secret());
    bencher.bench_local(|| group.public(black_box(&secret)));
}

#[divan::bench]
fn dh_shared(bencher: Bencher<'_, '_>) {
    let (group, secret) = (Group::known(), secret());
    let public = group.public(&secret);
    bencher.bench_local(|| group.shared(black_box(&secret), &public));
}

#[divan::bench]
fn dh_public_and_shared(bencher: Bencher<'_, '_>) {
    let (group, secret) = (Group::known(), secret());
    let public = group.public(&secret);
    bencher.bench_local(|| group.public_and_shared(black_box(&secret), &public));
}

#[divan::bench]
fn dh_key_pairs_8(bencher: Bencher<'_, '_>) {
    let (group, mut rng) = (Group::known(), rng());
    bencher.bench_local(|| group.key_pairs(8, &mut rng));
}

#[divan::bench]
fn dh_shared_8(bencher: Bencher<'_, '_>) {
    let (group, secret) = (Group::known(), secret());
    let public = group.public(&secret);
    bencher.bench_local(|| group.shared_all(black_box(&[(&secret, &public); 8])));
}

#[divan::bench]
fn check_known_group() -> bool {
    dh::check_group(black_box(&dh::PRIME), dh::G).is_ok()
}

#[divan::bench]
fn pq_generate(bencher: Bencher<'_, '_>) {
    let mut rng = rng();
    bencher.bench_local(|| pq::generate(&mut rng));
}

#[divan::bench]
fn pq_factorize(bencher: Bencher<'_, '_>) {
    bencher
        .with_inputs(products())
        .bench_local_values(pq::factorize);
}

#[divan::bench]
fn pq_factorize_grammers(bencher: Bencher<'_, '_>) {
    bencher
        .with_inputs(products())
        .bench_local_values(grammers_crypto::factorize);
}

/// Another product each time: the time varies with it.
fn products() -> impl FnMut() -> u64 {
    let mut rng = rng();
    move || {
        let (p, q) = pq::generate(&mut rng);
        u64::from(p) * u64::from(q)
    }
}

fn secret() -> SecretBytes<256> {
    SecretBytes::random(&mut rng())
}

fn rng() -> ChaCha8Rng {
    ChaCha8Rng::from_seed([0; 32])
}
