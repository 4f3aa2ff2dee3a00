//! The client's hello: shaped like Chrome's, in whose crowd it hides.
//!
//! ```text
//! 16 03 01 len | 01 len | 03 03 | random 32 | 20 session 32 | ciphers | 01 00 | extensions, shuffled
//! ```
//!
//! The random bytes are an HMAC of everything else under the secret, the last four of them XORed with the time.

use heliogram_crypto::curve25519::random_abscissa;
use rand_core::CryptoRng;

use super::secret::DisguisedSecret;
use super::writer::{below, random, sized};
use super::{RANDOM_BYTES, put_random, sign};

/// Writes a hello at a time: Unix seconds, of the server's clock if that is known. Returns its random bytes, too.
pub(super) fn write(
    secret: &DisguisedSecret,
    unix_s: u32,
    rng: &mut dyn CryptoRng,
) -> (Vec<u8>, [u8; RANDOM_BYTES]) {
    let mut hello = vec![0x16, 3, 1];
    sized::<2>(&mut hello, |out| {
        out.push(1);
        sized::<3>(out, |out| {
            out.extend_from_slice(&[3, 3]);
            out.extend_from_slice(&[0; RANDOM_BYTES]);
            sized::<1>(out, |out| random(out, 32, rng));
            write_ciphers(out, rng);
            out.extend_from_slice(&[1, 0]);
            sized::<2>(out, |out| write_extensions(out, secret.domain(), rng));
        });
    });
    let mut signed = sign(secret.key(), &[&hello]);
    for (byte, time) in signed.iter_mut().skip(28).zip(unix_s.to_le_bytes()) {
        *byte ^= time;
    }
    put_random(&mut hello, &signed);
    (hello, signed)
}

fn write_ciphers(out: &mut Vec<u8>, rng: &mut dyn CryptoRng) {
    sized::<2>(out, |out| {
        out.extend_from_slice(&grease(rng));
        for cipher in CIPHERS {
            out.extend_from_slice(&cipher.to_be_bytes());
        }
    });
}

/// The order is new each time, as Chrome's is; only the first and the last, which mean nothing, have their places.
fn write_extensions(out: &mut Vec<u8>, domain: &str, rng: &mut dyn CryptoRng) {
    let (first, group) = (grease(rng), grease(rng));
    let mut last = grease(rng);
    while last == first {
        last = grease(rng);
    }
    let mut middle = vec![
        extension(SERVER_NAME, |out| {
            sized::<2>(out, |out| {
                out.push(0);
                sized::<2>(out, |out| out.extend_from_slice(domain.as_bytes()));
            });
        }),
        extension(SUPPORTED_GROUPS, |out| {
            sized::<2>(out, |out| {
                out.extend_from_slice(&group);
                out.extend_from_slice(&[0x11, 0xec, 0, 0x1d, 0, 0x17, 0, 0x18]);
            });
        }),
        extension(SUPPORTED_VERSIONS, |out| {
            sized::<1>(out, |out| {
                out.extend_from_slice(&grease(rng));
                out.extend_from_slice(&[3, 4, 3, 3]);
            });
        }),
        extension(KEY_SHARE, |out| write_key_shares(out, group, rng)),
        extension(ENCRYPTED_HELLO, |out| write_encrypted_hello(out, rng)),
    ];
    middle.extend(FIXED.map(|(kind, body)| extension(kind, |out| out.extend_from_slice(body))));
    out.extend_from_slice(&first);
    out.extend_from_slice(&[0, 0]);
    while !middle.is_empty() {
        let next = middle.swap_remove(below(middle.len(), rng));
        out.extend_from_slice(&next);
    }
    out.extend_from_slice(&last);
    out.extend_from_slice(&[0, 1, 0]);
}

fn extension(kind: u16, write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = kind.to_be_bytes().to_vec();
    sized::<2>(&mut out, write);
    out
}

fn write_key_shares(out: &mut Vec<u8>, group: [u8; 2], rng: &mut dyn CryptoRng) {
    sized::<2>(out, |out| {
        out.extend_from_slice(&group);
        out.extend_from_slice(&[0, 1, 0]);
        out.extend_from_slice(&[0x11, 0xec]);
        sized::<2>(out, |out| {
            write_ml_kem_key(out, rng);
            out.extend_from_slice(&random_abscissa(rng));
        });
        out.extend_from_slice(&[0, 0x1d]);
        sized::<2>(out, |out| out.extend_from_slice(&random_abscissa(rng)));
    });
}

/// A public key of ML-KEM-768: 768 numbers below 3329, twelve bits each, and 32 bytes of seed.
fn write_ml_kem_key(out: &mut Vec<u8>, rng: &mut dyn CryptoRng) {
    for _ in 0..384 {
        let (a, b) = (ml_kem_number(rng), ml_kem_number(rng));
        let [low, middle, high, _] = (a | b << 12).to_le_bytes();
        out.extend_from_slice(&[low, middle, high]);
    }
    random(out, 32, rng);
}

fn ml_kem_number(rng: &mut dyn CryptoRng) -> u32 {
    loop {
        let number = rng.next_u32() & 0xfff;
        if number < 3329 {
            return number;
        }
    }
}

/// What Chrome sends where it has no key to encrypt its hello with: bytes that look as if it had.
fn write_encrypted_hello(out: &mut Vec<u8>, rng: &mut dyn CryptoRng) {
    out.extend_from_slice(&[0, 0, 1, 0, 1]);
    random(out, 1, rng);
    sized::<2>(out, |out| out.extend_from_slice(&random_abscissa(rng)));
    let bytes = 144 + 32 * below(4, rng);
    sized::<2>(out, |out| random(out, bytes, rng));
}

/// One of the sixteen values that mean nothing.
fn grease(rng: &mut dyn CryptoRng) -> [u8; 2] {
    let [random, ..] = rng.next_u32().to_le_bytes();
    [random & 0xf0 | 0x0a; 2]
}

const SERVER_NAME: u16 = 0;
const SUPPORTED_GROUPS: u16 = 10;
const SUPPORTED_VERSIONS: u16 = 43;
const KEY_SHARE: u16 = 51;
const ENCRYPTED_HELLO: u16 = 0xfe0d;

const CIPHERS: [u16; 15] = [
    0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014, 0x009c,
    0x009d, 0x002f, 0x0035,
];

/// Extensions whose bodies are always the same.
const FIXED: [(u16, &[u8]); 11] = [
    (5, &[1, 0, 0, 0, 0]),
    (11, &[1, 0]),
    (13, &[0, 16, 4, 3, 8, 4, 4, 1, 5, 3, 8, 5, 5, 1, 8, 6, 6, 1]),
    (16, b"\0\x0c\x02h2\x08http/1.1"),
    (18, &[]),
    (23, &[]),
    (27, &[2, 0, 2]),
    (35, &[]),
    (45, &[1, 1]),
    (0x44cd, b"\0\x03\x02h2"),
    (0xff01, &[0]),
];
