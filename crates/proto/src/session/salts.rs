//! Server salts: derived, not stored.
//!
//! ```text
//! salt = HMAC-SHA-256(secret, identity | slot | term)[0..8]      slot = unix time / 1800
//! ```
//!
//! Accepted are the slot's own salt, the one before, and in the last minute the one after. The term changes whenever a
//! host starts owning sessions: a packet captured before carries a salt of another term, and dies of it.

use heliogram_crypto::{SecretBytes, hash};

use crate::ids::{Identity, Salt, Term};
use crate::limits::{
    FUTURE_SALTS_MAX, FUTURE_SALTS_MIN, RECEIVED_ID_AGE_S, SALT_EARLY_S, SALT_SLOT_S,
};
use crate::port::KeyFacts;

/// Makes the salts of all identities that a host owns.
#[derive(Debug)]
pub struct SaltSource {
    secret: SecretBytes<32>,
    term: Term,
}

impl SaltSource {
    /// Makes a source. `secret` lives with the keys at rest; `term` is new whenever a host starts.
    #[must_use]
    pub const fn new(secret: SecretBytes<32>, term: Term) -> Self {
        Self { secret, term }
    }

    /// Returns the term.
    #[must_use]
    pub const fn term(&self) -> Term {
        self.term
    }

    fn derive(&self, identity: Identity, slot: u64) -> Salt {
        let mac = hash::hmac_sha256(
            self.secret.expose(),
            &[
                &identity.0.0.to_le_bytes(),
                &slot.to_le_bytes(),
                &self.term.0.to_le_bytes(),
            ],
        );
        let [a, b, c, d, e, f, g, h, ..] = mac;
        Salt(i64::from_le_bytes([a, b, c, d, e, f, g, h]))
    }
}

/// The salts of one identity that are needed all the time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Salts {
    identity: Identity,
    slot: u64,
    previous: Salt,
    current: Salt,
}

impl Salts {
    /// Derives the salts of this moment.
    pub(crate) fn new(identity: Identity, source: &SaltSource, now_s: u64) -> Self {
        let slot = now_s / SALT_SLOT_S;
        Self {
            identity,
            slot,
            previous: source.derive(identity, slot.wrapping_sub(1)),
            current: source.derive(identity, slot),
        }
    }

    /// Follows the time.
    pub(crate) fn refresh(&mut self, source: &SaltSource, now_s: u64) {
        if now_s / SALT_SLOT_S != self.slot {
            *self = Self::new(self.identity, source, now_s);
        }
    }

    /// Returns the salt that a server puts into its messages.
    pub(crate) const fn current(&self) -> Salt {
        self.current
    }

    /// Tells whether a client may use this salt now.
    pub(crate) fn accept(
        &self,
        salt: Salt,
        key: &KeyFacts,
        source: &SaltSource,
        now_s: u64,
    ) -> bool {
        salt == self.current
            || salt == self.previous
            || (now_s % SALT_SLOT_S >= SALT_SLOT_S - SALT_EARLY_S
                && salt == source.derive(self.identity, self.slot.wrapping_add(1)))
            || is_first(salt, key, source.term, self.slot)
    }

    /// Tells whether a salt that is not good yet will be while a message of this moment could come again.
    pub(crate) fn is_coming(&self, salt: Salt, source: &SaltSource, now_s: u64) -> bool {
        let left_s = SALT_SLOT_S - now_s % SALT_SLOT_S;
        left_s <= SALT_EARLY_S + RECEIVED_ID_AGE_S
            && salt == source.derive(self.identity, self.slot.wrapping_add(1))
    }

    /// Returns `(valid since, valid until, salt)` of the current slot and those that follow.
    pub(crate) fn future(
        &self,
        source: &SaltSource,
        count: i32,
    ) -> impl Iterator<Item = (u64, u64, Salt)> {
        let count = u64::try_from(count)
            .unwrap_or(0)
            .clamp(FUTURE_SALTS_MIN, FUTURE_SALTS_MAX);
        (self.slot..self.slot.saturating_add(count)).map(move |slot| {
            let since = slot.saturating_mul(SALT_SLOT_S);
            (
                since,
                since.saturating_add(SALT_SLOT_S),
                source.derive(self.identity, slot),
            )
        })
    }
}

/// Tells whether it is the salt of the key's exchange: good in the term that made it, until the end of the slot after.
fn is_first(salt: Salt, key: &KeyFacts, term: Term, slot: u64) -> bool {
    key.first_salt.is_some_and(|first| {
        first.salt == salt && first.term == term && slot <= first.since_unix_s / SALT_SLOT_S + 1
    })
}
