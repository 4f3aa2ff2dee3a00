//! What a server's exchanges have in common: its RSA keys, the data centres it serves.

use std::sync::Arc;

use heliogram_crypto::rsa::PrivateKey;

use crate::ids::{AuthKeyId, Term};

/// What a server's exchanges have in common.
#[derive(Clone, Debug)]
pub struct Config {
    /// The keys that clients may encrypt to.
    pub keys: Keyring,
    /// The data centres that are served here.
    pub dcs: Dcs,
    /// Accept the padding with SHA-1 that older clients use, besides `RSA_PAD`.
    pub legacy_padding: bool,
    /// The term of whoever owns a new key: its first salt is valid in it only.
    pub term: Terms,
}

/// The term of whoever owns a key.
#[derive(Clone)]
pub struct Terms(Of);

#[derive(Clone)]
enum Of {
    All(Term),
    Each(Arc<dyn Fn(AuthKeyId) -> Option<Term> + Send + Sync>),
}

impl Terms {
    /// Asks for each key anew. While nobody owns it, its first salt is good for nothing: its client is told another one.
    #[must_use]
    pub fn of_each(term: impl Fn(AuthKeyId) -> Option<Term> + Send + Sync + 'static) -> Self {
        Self(Of::Each(Arc::new(term)))
    }

    /// Returns the term of the owner of `key`.
    #[must_use]
    pub fn of(&self, key: AuthKeyId) -> Term {
        match &self.0 {
            Of::All(term) => *term,
            Of::Each(term) => term(key).unwrap_or(NOBODYS),
        }
    }
}

impl From<Term> for Terms {
    /// One owner has all keys.
    fn from(term: Term) -> Self {
        Self(Of::All(term))
    }
}

impl core::fmt::Debug for Terms {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match &self.0 {
            Of::All(term) => write!(f, "{term:?}"),
            Of::Each(_) => f.write_str("Terms(…)"),
        }
    }
}

/// A term that no owner has.
const NOBODYS: Term = Term(0);

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_the_term_of_its_owner_and_none_that_is_anybodys_without_one() {
        let terms = Terms::of_each(|key| (key.0 == 1).then_some(Term(7)));
        let of = |terms: &Terms, key| terms.of(AuthKeyId(key));
        assert_eq!((of(&terms, 1), of(&terms, 2)), (Term(7), NOBODYS));
        let terms = Terms::from(Term(9));
        assert_eq!((of(&terms, 1), of(&terms, 2)), (Term(9), Term(9)));
    }
}
