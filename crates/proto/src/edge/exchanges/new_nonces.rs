//! The `new_nonce`s that were used of late, as digests.

use core::time::Duration;
use std::collections::{BTreeSet, VecDeque};

use super::exchange::Digest;
use crate::cx::Mono;

/// A set that forgets by age, and its oldest when it is full.
#[derive(Debug, Default)]
pub(super) struct NewNonces {
    known: BTreeSet<Digest>,
    by_age: VecDeque<(Mono, Digest)>,
}

impl NewNonces {
    /// Adds one; `false` if it is known.
    pub(super) fn insert(&mut self, digest: Digest, now: Mono, count_max: usize) -> bool {
        if !self.known.insert(digest) {
            return false;
        }
        self.by_age.push_back((now, digest));
        if self.by_age.len() > count_max {
            self.forget_oldest();
        }
        true
    }

    /// Forgets what was added `life` ago or earlier.
    pub(super) fn expire(&mut self, now: Mono, life: Duration) {
        while self
            .by_age
            .front()
            .is_some_and(|(added, _)| *added + life <= now)
        {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, digest)) = self.by_age.pop_front() {
            self.known.remove(&digest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFE: Duration = Duration::from_secs(600);

    #[test]
    fn a_digest_is_known_until_its_life_ends() {
        let mut used = NewNonces::default();
        let added = Mono(7);
        assert!(used.insert([1; 32], added, 10));

        used.expire(Mono((added + LIFE).0 - 1), LIFE);
        assert!(!used.insert([1; 32], added, 10));

        used.expire(added + LIFE, LIFE);
        assert!(used.insert([1; 32], added, 10));
    }

    #[test]
    fn one_more_than_the_maximum_drops_the_oldest() {
        let mut used = NewNonces::default();
        for byte in 0..3 {
            assert!(used.insert([byte; 32], Mono(0), 3));
        }
        assert!(!used.insert([0; 32], Mono(0), 3));
        assert!(used.insert([3; 32], Mono(0), 3));
        assert!(!used.insert([1; 32], Mono(0), 3));
        assert!(used.insert([0; 32], Mono(0), 3));
    }
}
