//! Which hellos have been seen: a second copy is somebody's who has listened.

use std::collections::{BTreeSet, VecDeque};

use super::visitor::Visitor;
use crate::limits::{FAKE_TLS_AGE_S_MAX, FAKE_TLS_HELLOS_MAX, FAKE_TLS_SKEW_S_MAX};

/// The hellos of the time in which one is accepted.
///
/// Only hellos that show the secret get here: others are strangers' whatever happens, and could fill it.
#[derive(Debug, Default)]
pub struct Replays {
    seen: BTreeSet<[u8; 16]>,
    order: VecDeque<(u64, [u8; 16])>,
}

impl Replays {
    /// Takes note of a hello; `false` if it is a second copy. So is, for safety, each new one while more have come than are
    /// remembered.
    pub fn admit(&mut self, visitor: &Visitor, now_unix_s: u64) -> bool {
        let life = FAKE_TLS_AGE_S_MAX + FAKE_TLS_SKEW_S_MAX;
        while let Some(&(at, oldest)) = self.order.front()
            && at.saturating_add(life) < now_unix_s
        {
            self.seen.remove(&oldest);
            self.order.pop_front();
        }
        let Some(&id) = visitor.random.first_chunk() else {
            return false;
        };
        if self.order.len() >= FAKE_TLS_HELLOS_MAX || !self.seen.insert(id) {
            return false;
        }
        self.order.push_back((now_unix_s, id));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_copy_is_known_for_as_long_as_it_would_be_accepted() {
        let mut replays = Replays::default();
        assert!(replays.admit(&visitor(1), 1000));
        assert!(replays.admit(&visitor(2), 1000));
        assert!(!replays.admit(&visitor(1), 1603));
        assert_eq!(replays.order.len(), 2);
        // By now its time is over, and nobody would recognise it.
        assert!(replays.admit(&visitor(3), 1604));
        assert_eq!(replays.order.len(), 1);
    }

    #[test]
    fn as_many_are_remembered_as_may_be_and_then_no_more_are_admitted() {
        let mut replays = Replays::default();
        for number in 0..65_536 {
            assert!(replays.admit(&visitor(number), 1000));
        }
        assert!(!replays.admit(&visitor(65_536), 1000));
        assert!(replays.admit(&visitor(65_536), 2000));
    }

    fn visitor(number: u32) -> Visitor {
        let mut random = [0; 32];
        random[..4].copy_from_slice(&number.to_le_bytes());
        Visitor {
            secret: 0,
            random,
            session: [0; 32],
            cipher: [0x13, 1],
        }
    }
}
