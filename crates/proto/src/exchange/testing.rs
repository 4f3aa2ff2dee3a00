//! What the tests of the exchange and of its table share: scripted randomness, the vectors, a server's keys.

use core::convert::Infallible;
use core::time::Duration;
use std::sync::OnceLock;

use heliogram_crypto::SecretBytes;
use heliogram_crypto::rsa::PrivateKey;
use heliogram_crypto::rsa_pad::Padding;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng, TryCryptoRng, TryRng};
use serde_json::Value;

use super::client;
use super::server::{self, Dcs, Keyring};
use crate::cx::{Mono, Now, Unix};
use crate::ids::Term;

/// The server's time in most tests.
pub(crate) const NOW_S: u64 = 1_700_000_000;

pub(crate) const TERM: Term = Term(3);

/// Returns both clocks, `after` the beginning of a test.
pub(crate) fn now(after: Duration) -> Now {
    Now {
        mono: Mono(0) + after,
        unix: Unix::from_seconds(NOW_S + after.as_secs()),
    }
}

/// Returns a generator that is random, and the same each time.
pub(crate) fn random(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// A generator that yields the given bytes, then random ones.
pub(crate) struct Script {
    bytes: Vec<u8>,
    used: usize,
    then: ChaCha8Rng,
}

impl Script {
    pub(crate) fn new(pieces: &[&[u8]]) -> Self {
        Self {
            bytes: pieces.concat(),
            used: 0,
            then: random(0),
        }
    }

    /// Tells whether exactly the script was used.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.used == self.bytes.len()
    }
}

impl TryRng for Script {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut word = [0; 4];
        self.try_fill_bytes(&mut word)?;
        Ok(u32::from_le_bytes(word))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut word = [0; 8];
        self.try_fill_bytes(&mut word)?;
        Ok(u64::from_le_bytes(word))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        for byte in out {
            *byte = self.bytes.get(self.used).copied().unwrap_or_else(|| {
                let mut byte = [0];
                self.then.fill_bytes(&mut byte);
                byte[0]
            });
            self.used += 1;
        }
        Ok(())
    }
}

impl TryCryptoRng for Script {}

/// Reads a file of vectors.
pub(crate) fn vectors(name: &str) -> Value {
    let path = format!(
        "{}/../../testdata/vectors/{name}",
        env!("CARGO_MANIFEST_DIR")
    );
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Returns the bytes of a hexadecimal string.
pub(crate) fn hex(value: &Value) -> Vec<u8> {
    let digits = value.as_str().unwrap();
    (0..digits.len() / 2)
        .map(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap())
        .collect()
}

/// Returns the bytes of a hexadecimal string of known length.
pub(crate) fn array<const N: usize>(value: &Value) -> [u8; N] {
    hex(value).try_into().unwrap()
}

/// Returns the server's key of the vectors.
pub(crate) fn server_key() -> PrivateKey {
    static KEY: OnceLock<PrivateKey> = OnceLock::new();
    let read = || {
        let key = &vectors("handshake.json")["rsa_key"];
        let d = SecretBytes::new(array(&key["d"]));
        PrivateKey::from_exponents(&array(&key["n"]), 65537, &d).unwrap()
    };
    KEY.get_or_init(read).clone()
}

/// Returns the configuration of a server that serves data centre 2.
pub(crate) fn server_config() -> server::Config {
    server::Config {
        keys: Keyring::new([server_key()]),
        dcs: Dcs::Listed(vec![2]),
        legacy_padding: true,
        term: TERM.into(),
    }
}

/// Returns the configuration of a client that knows that server and wants a permanent key for data centre 2.
pub(crate) fn client_config() -> client::Config {
    client::Config {
        keys: vec![server_key().public().clone()],
        dc: Some(2),
        expires_in_s: None,
        padding: Padding::RsaPad,
    }
}
