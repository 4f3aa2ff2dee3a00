//! What a server's exchanges have in common: its RSA keys, the data centres it serves.

use std::sync::Arc;

use heliogram_crypto::rsa::PrivateKey;

use crate::ids::Term;

/// What a server's exchanges have in common.
#[derive(Clone, Debug)]
pub struct Config {
    /// The keys that clients may encrypt to.
    pub keys: Keyring,
    /// The data centres that are served here.
    pub dcs: Dcs,
    /// Accept the padding with SHA-1 that older clients use, besides `RSA_PAD`.
    pub legacy_padding: bool,
    /// The term of whoever owns new keys: the first salt is valid in it only.
    pub term: Term,
}

/// The server's private keys, in the order in which their fingerprints are offered.
#[derive(Clone)]
pub struct Keyring(Vec<(i64, Arc<PrivateKey>)>);

impl Keyring {
    /// Takes the keys in the order of preference.
    #[must_use]
    pub fn new(keys: impl IntoIterator<Item = PrivateKey>) -> Self {
        let with_fingerprint = |key: PrivateKey| (key.public().fingerprint(), Arc::new(key));
        Self(keys.into_iter().map(with_fingerprint).collect())
    }

    /// Returns the fingerprints, as they are offered in `resPQ`.
    #[must_use]
    pub fn fingerprints(&self) -> Vec<i64> {
        self.0.iter().map(|(fingerprint, _)| *fingerprint).collect()
    }

    /// Offers one key under several fingerprints, as a transcript has them.
    #[cfg(test)]
    pub(in crate::exchange) fn offering(fingerprints: &[i64], key: PrivateKey) -> Self {
        let key = Arc::new(key);
        let offered = fingerprints.iter();
        Self(
            offered
                .map(|fingerprint| (*fingerprint, Arc::clone(&key)))
                .collect(),
        )
    }

    pub(super) fn find(&self, wanted: i64) -> Option<Arc<PrivateKey>> {
        self.0
            .iter()
            .find(|(fingerprint, _)| *fingerprint == wanted)
            .map(|(_, key)| Arc::clone(key))
    }
}

impl core::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(self.fingerprints()).finish()
    }
}

/// Which data centres an exchange may name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Dcs {
    /// Any.
    Any,
    /// Those with these numbers, each as production, test (`+10000`) and media-only (negative).
    Listed(Vec<u32>),
}

impl Dcs {
    /// Tells whether the data centre is served, as a client names it.
    #[must_use]
    pub fn serves(&self, named: i32) -> bool {
        let number = named.unsigned_abs();
        let number = number.checked_sub(TEST_DC_OFFSET).unwrap_or(number);
        match self {
            Self::Any => true,
            Self::Listed(numbers) => numbers.contains(&number),
        }
    }
}

/// What clients add to the number of a test data centre.
const TEST_DC_OFFSET: u32 = 10_000;
