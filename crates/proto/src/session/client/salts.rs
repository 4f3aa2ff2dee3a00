//! The salts that a client knows: the one in use, and those for the time to come.
//!
//! A salt is used a minute after its time begins: the one before is good for a whole slot more, and clocks differ.

use core::time::Duration;
use std::collections::VecDeque;

use crate::cx::Mono;
use crate::ids::Salt;
use crate::limits::{SALT_LATE_S, SALTS_ASK_S, SALTS_KEPT_MAX};

/// A salt to be used from a moment on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "what `future_salt` says, but its end"
)]
pub struct FutureSalt {
    /// Unix time in seconds, by the server's clock, from which the server accepts it.
    pub since_unix_s: u64,
    /// The salt.
    pub salt: Salt,
}

/// The salts of one key.
#[derive(Clone, Debug)]
pub struct KnownSalts {
    current: Salt,
    /// In order of their times.
    later: VecDeque<FutureSalt>,
    wanting: Wanting,
    asked_at: Option<Mono>,
}

/// Whether there is reason to ask for more.
#[derive(Clone, Copy, Debug)]
enum Wanting {
    Nothing,
    /// Few are left.
    Since(Mono),
    /// The server has refused one.
    AtOnce,
}

impl KnownSalts {
    /// Begins with the salt of the key's exchange, or the last that was used.
    #[must_use]
    pub const fn new(current: Salt) -> Self {
        Self {
            current,
            later: VecDeque::new(),
            wanting: Wanting::Nothing,
            asked_at: None,
        }
    }

    /// Adds salts for later. They take the place of all that were known for later.
    pub fn add(&mut self, salts: impl IntoIterator<Item = FutureSalt>) {
        let mut salts: Vec<_> = salts.into_iter().take(SALTS_KEPT_MAX).collect();
        salts.sort_unstable_by_key(|it| it.since_unix_s);
        self.later = salts.into();
        self.wanting = Wanting::Nothing;
    }

    /// Takes the salt that the server has named. What was known for later is of another server's making.
    pub fn replace(&mut self, salt: Salt) {
        self.current = salt;
        self.later.clear();
        self.wanting = Wanting::AtOnce;
    }

    /// Returns the salt to use at `now_unix_s`, the server's time in seconds.
    pub fn current(&mut self, now_unix_s: u64) -> Salt {
        while let Some(next) = self.later.front()
            && next.since_unix_s.saturating_add(SALT_LATE_S) <= now_unix_s
        {
            self.current = next.salt;
            self.later.pop_front();
        }
        self.current
    }

    /// Returns the salt that was used last.
    #[must_use]
    pub const fn last_used(&self) -> Salt {
        self.current
    }

    /// Returns the salts for later, in order of their times.
    pub fn later(&self) -> impl Iterator<Item = FutureSalt> {
        self.later.iter().copied()
    }

    /// Tells whether it is time to ask for more, and takes note if so: at most one is left, and nobody has asked within
    /// the last minute. A key's first salt is good for a while: it is a minute old before anybody asks.
    pub(super) fn asks(&mut self, now: Mono) -> bool {
        let pause = Duration::from_secs(SALTS_ASK_S);
        if self.later.len() > 1 || self.asked_at.is_some_and(|at| now.since(at) < pause) {
            return false;
        }
        match self.wanting {
            Wanting::Nothing => {
                self.wanting = Wanting::Since(now);
                return false;
            }
            Wanting::Since(since) if now.since(since) < pause => return false,
            Wanting::Since(_) | Wanting::AtOnce => {}
        }
        self.asked_at = Some(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_salt_is_used_a_minute_after_its_time_and_not_before() {
        let mut salts = KnownSalts::new(Salt(1));
        salts.add([later(2000, 3), later(1000, 2)]);
        assert_eq!(salts.current(1059), Salt(1));
        assert_eq!(salts.current(1060), Salt(2));
        assert_eq!(salts.current(9000), Salt(3));
        assert_eq!(salts.last_used(), Salt(3));
    }

    #[test]
    fn more_are_asked_for_when_one_is_left_and_once_a_minute() {
        let mut salts = KnownSalts::new(Salt(1));
        salts.add([later(1000, 2), later(2000, 3)]);
        assert!(!salts.asks(at(1000)), "two are left");
        salts.current(1060);
        assert!(!salts.asks(at(1000)), "the reason is not a minute old");
        assert!(!salts.asks(at(1059)));
        assert!(salts.asks(at(1060)));
        assert!(!salts.asks(at(1119)), "asked a moment ago");
        assert!(salts.asks(at(1120)));
    }

    #[test]
    fn a_salt_that_the_server_names_ends_all_others_and_more_are_asked_for_at_once() {
        let mut salts = KnownSalts::new(Salt(1));
        salts.add([later(1000, 2), later(2000, 3)]);
        salts.replace(Salt(9));
        assert_eq!(salts.current(5000), Salt(9));
        assert!(salts.asks(at(5)));
    }

    #[test]
    fn sixty_four_salts_are_kept_and_no_more() {
        let mut salts = KnownSalts::new(Salt(1));
        salts.add((0..64).map(|it| later(it, 0)));
        assert_eq!(salts.later().count(), 64);
        salts.add((0..65).map(|it| later(it, 0)));
        assert_eq!(salts.later().count(), 64);
    }

    fn later(since_unix_s: u64, salt: i64) -> FutureSalt {
        FutureSalt {
            since_unix_s,
            salt: Salt(salt),
        }
    }

    fn at(seconds: u64) -> Mono {
        Mono(0) + Duration::from_secs(seconds)
    }
}
