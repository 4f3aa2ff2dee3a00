//! Destroyed keys: refused for every frame, whatever a gateway still holds.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use crate::cx::Mono;
use crate::ids::AuthKeyId;
use crate::limits::{DESTROYED_KEY_AGE_S, DESTROYED_KEYS_MAX};
use crate::port::KeyFacts;

/// The keys that an owner knows to be no more.
#[derive(Debug, Default)]
pub(super) struct Gone {
    until: BTreeMap<AuthKeyId, Mono>,
    order: VecDeque<AuthKeyId>,
}

impl Gone {
    /// Remembers a key. What is too old is forgotten, and so is the first of too many.
    pub(super) fn insert(&mut self, key: AuthKeyId, now: Mono) {
        let until = now + Duration::from_secs(DESTROYED_KEY_AGE_S);
        if self.until.insert(key, until).is_some() {
            return;
        }
        self.order.push_back(key);
        while let Some(first) = self.order.front()
            && (self.order.len() > DESTROYED_KEYS_MAX || !self.contains(*first, now))
        {
            self.until.remove(first);
            self.order.pop_front();
        }
    }

    /// Tells whether a key is no more.
    pub(super) fn contains(&self, key: AuthKeyId, now: Mono) -> bool {
        self.until.get(&key).is_some_and(|&until| until > now)
    }

    /// Tells whether a key may not be used: it is no more, or what it is bound to.
    pub(super) fn refuses(&self, key: &KeyFacts, now: Mono) -> bool {
        !self.until.is_empty()
            && (self.contains(key.id, now) || key.perm.is_some_and(|perm| self.contains(perm, now)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destroyed_key_is_remembered_for_a_day_and_no_longer() {
        let mut gone = Gone::default();
        gone.insert(AuthKeyId(1), Mono(0));
        let day = Mono(0) + Duration::from_secs(86_400);
        assert!(gone.contains(AuthKeyId(1), Mono(day.0 - 1)));
        assert!(!gone.contains(AuthKeyId(1), day));
        gone.insert(AuthKeyId(2), day);
        assert_eq!((gone.order.len(), gone.until.len()), (1, 1));
    }

    #[test]
    fn as_many_destroyed_keys_are_remembered_as_may_and_of_one_more_the_first_is_forgotten() {
        let mut gone = Gone::default();
        let count = i64::try_from(DESTROYED_KEYS_MAX).unwrap();
        for id in 0..count {
            gone.insert(AuthKeyId(id), Mono(0));
        }
        assert!(gone.contains(AuthKeyId(0), Mono(0)));
        gone.insert(AuthKeyId(count), Mono(0));
        assert!(!gone.contains(AuthKeyId(0), Mono(0)));
        assert!(gone.contains(AuthKeyId(1), Mono(0)));
        assert_eq!(gone.until.len(), DESTROYED_KEYS_MAX);
    }
}
