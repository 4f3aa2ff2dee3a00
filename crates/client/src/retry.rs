//! How often a call is made again by itself, and how long it waits for that.

use std::time::Duration;

use heliogram_proto::reconnect::{Attempts, Policy};
use heliogram_proto::remedy::Remedy;
use rand_core::CryptoRng;

/// One call's tries.
#[derive(Debug)]
pub(crate) struct Tries {
    wait_left: Duration,
    moves_left: u8,
    introductions_left: u8,
    passes_left: u8,
    failures: Attempts,
}

impl Tries {
    /// Begins with the first. `wait_max` is how long the server may have the call wait, in all.
    pub(crate) fn new(wait_max: Duration) -> Self {
        Self {
            wait_left: wait_max,
            moves_left: MOVES_MAX,
            introductions_left: 1,
            passes_left: 1,
            failures: Attempts::new(FAILURES),
        }
    }

    /// Decides whether the account is carried to another data centre for the call's sake.
    pub(crate) fn allow_pass(&mut self) -> bool {
        count_down(&mut self.passes_left).is_some()
    }

    /// Decides whether a remedy is tried; `None` if the error is the caller's. Returns what to wait for before.
    pub(crate) fn allow(&mut self, remedy: Remedy, rng: &mut dyn CryptoRng) -> Option<Duration> {
        match remedy {
            Remedy::Wait(wait) => {
                self.wait_left = self.wait_left.checked_sub(wait)?;
                Some(wait)
            }
            Remedy::Migrate(_) => count_down(&mut self.moves_left),
            Remedy::Introduce => count_down(&mut self.introductions_left),
            Remedy::Retry => self.failures.next_pause(rng),
            // The engine binds by itself, and its calls wait for that.
            Remedy::Bind | Remedy::None => None,
        }
    }
}

fn count_down(left: &mut u8) -> Option<Duration> {
    *left = left.checked_sub(1)?;
    Some(Duration::ZERO)
}

const MOVES_MAX: u8 = 5;

/// 1, 2 and 4 s: a server that has failed three times more will go on to.
const FAILURES: Policy = Policy {
    first: Duration::from_secs(1),
    max: Duration::from_secs(4),
    growth_percent: 200,
    jitter_percent: 0,
    attempts_max: Some(3),
};

#[cfg(test)]
mod tests {
    use heliogram_proto::dc::{Migration, Moves};
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng as _;

    use super::*;

    fn allow(tries: &mut Tries, remedy: Remedy) -> Option<u64> {
        let wait = tries.allow(remedy, &mut ChaCha8Rng::seed_from_u64(1))?;
        Some(wait.as_secs())
    }

    fn tries() -> Tries {
        Tries::new(Duration::from_secs(60))
    }

    fn wait(seconds: u64) -> Remedy {
        Remedy::Wait(Duration::from_secs(seconds))
    }

    #[test]
    fn flood_waits_are_waited_for_up_to_their_sum_and_no_longer() {
        let mut tries = tries();
        assert_eq!(allow(&mut tries, wait(40)), Some(40));
        assert_eq!(allow(&mut tries, wait(21)), None);
        assert_eq!(allow(&mut tries, wait(20)), Some(20));
    }

    #[test]
    fn a_call_moves_five_times_and_no_more() {
        let mut tries = tries();
        let remedy = Remedy::Migrate(Migration {
            dc: 4,
            moves: Moves::Account,
        });
        for _ in 0..5 {
            assert_eq!(allow(&mut tries, remedy), Some(0));
        }
        assert_eq!(allow(&mut tries, remedy), None);
    }

    #[test]
    fn a_server_that_fails_is_asked_again_after_1_2_and_4_s() {
        let mut tries = tries();
        for seconds in [Some(1), Some(2), Some(4), None] {
            assert_eq!(allow(&mut tries, Remedy::Retry), seconds);
        }
    }

    #[test]
    fn an_unknown_client_introduces_itself_once() {
        let mut tries = tries();
        assert_eq!(allow(&mut tries, Remedy::Introduce), Some(0));
        assert_eq!(allow(&mut tries, Remedy::Introduce), None);
    }

    #[test]
    fn for_one_call_the_account_is_carried_elsewhere_once() {
        let mut tries = tries();
        assert!(tries.allow_pass() && !tries.allow_pass());
    }

    #[test]
    fn what_is_the_callers_fault_stays_with_the_caller() {
        assert_eq!(allow(&mut tries(), Remedy::None), None);
    }
}
