//! When a client tries again: each pause longer than the last, up to a maximum, and never two clients in step.

use core::time::Duration;

use rand_core::CryptoRng;

/// How long to pause between attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "its owner chooses all of it")]
pub struct Policy {
    /// Before the first attempt.
    pub first: Duration,
    /// Before any attempt, jitter not counted.
    pub max: Duration,
    /// What each pause is of the one before, in percent; less than 100 counts as 100.
    pub growth_percent: u32,
    /// What chance adds to a pause at most, in percent of it.
    pub jitter_percent: u32,
    /// Attempts after which to give up; `None`: never.
    pub attempts_max: Option<u32>,
}

impl Default for Policy {
    /// From 1 s by half up to 30 s, with a quarter of jitter, for ever.
    fn default() -> Self {
        Self {
            first: Duration::from_secs(1),
            max: Duration::from_secs(30),
            growth_percent: 150,
            jitter_percent: 25,
            attempts_max: None,
        }
    }
}

/// Where one series of attempts has come to.
#[derive(Clone, Debug)]
pub struct Attempts {
    policy: Policy,
    made: u32,
    pause: Duration,
}

impl Attempts {
    /// Begins a series.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            made: 0,
            pause: policy.first.min(policy.max),
        }
    }

    /// Returns how long to wait before the next attempt; `None` to give up.
    pub fn next_pause(&mut self, rng: &mut dyn CryptoRng) -> Option<Duration> {
        if self.policy.attempts_max.is_some_and(|max| self.made >= max) {
            return None;
        }
        self.made = self.made.saturating_add(1);
        let pause = self.pause;
        let grown = part(pause, self.policy.growth_percent.max(100));
        self.pause = grown.min(self.policy.max);
        Some(pause.saturating_add(jitter(part(pause, self.policy.jitter_percent), rng)))
    }

    /// Begins anew: an attempt has led to more than a connection.
    pub fn succeed(&mut self) {
        *self = Self::new(self.policy);
    }

    /// Returns the attempts since the last success.
    #[must_use]
    pub const fn made(&self) -> u32 {
        self.made
    }
}

fn part(of: Duration, percent: u32) -> Duration {
    of.saturating_mul(percent) / 100
}

/// Returns a random time up to `most`.
fn jitter(most: Duration, rng: &mut dyn CryptoRng) -> Duration {
    let most_ns = u64::try_from(most.as_nanos()).unwrap_or(u64::MAX);
    // The high half of the product: even enough for a pause, and without a division.
    let scaled = u128::from(rng.next_u64()) * (u128::from(most_ns) + 1);
    Duration::from_nanos(u64::try_from(scaled >> 64).unwrap_or(most_ns))
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_core::SeedableRng;

    use super::*;

    #[test]
    fn pauses_grow_by_half_from_1_s_up_to_30_s() {
        let (mut attempts, mut rng) = begin(Policy {
            jitter_percent: 0,
            ..Policy::default()
        });
        let pauses: Vec<_> = (0..11)
            .filter_map(|_| attempts.next_pause(&mut rng))
            .collect();
        let ms = pauses.iter().map(Duration::as_millis).collect::<Vec<_>>();
        let expected = [
            1000, 1500, 2250, 3375, 5062, 7593, 11390, 17085, 25628, 30000, 30000,
        ];
        assert_eq!(ms, expected);
    }

    #[test]
    fn chance_adds_up_to_a_quarter_and_takes_nothing_away() {
        let (mut attempts, mut rng) = begin(Policy::default());
        let mut pauses = Vec::new();
        for _ in 0..500 {
            pauses.push(attempts.next_pause(&mut rng).unwrap());
            attempts.succeed();
        }
        let (least, most) = (*pauses.iter().min().unwrap(), *pauses.iter().max().unwrap());
        assert!(least >= Duration::from_secs(1), "{least:?}");
        assert!(most <= Duration::from_millis(1250), "{most:?}");
        assert!(
            most - least > Duration::from_millis(200),
            "{least:?} {most:?}"
        );
    }

    #[test]
    fn after_as_many_attempts_as_may_be_there_is_no_more_and_success_begins_anew() {
        let (mut attempts, mut rng) = begin(Policy {
            attempts_max: Some(3),
            ..Policy::default()
        });
        for made in 1..=3 {
            assert!(attempts.next_pause(&mut rng).is_some());
            assert_eq!(attempts.made(), made);
        }
        assert_eq!(attempts.next_pause(&mut rng), None);
        attempts.succeed();
        assert_eq!(attempts.made(), 0);
        assert!(attempts.next_pause(&mut rng).is_some());
    }

    #[test]
    fn no_policy_overflows() {
        let (mut attempts, mut rng) = begin(Policy {
            first: Duration::MAX,
            max: Duration::MAX,
            growth_percent: u32::MAX,
            jitter_percent: u32::MAX,
            attempts_max: None,
        });
        for _ in 0..3 {
            assert!(attempts.next_pause(&mut rng).is_some());
        }
    }

    fn begin(policy: Policy) -> (Attempts, ChaCha8Rng) {
        (Attempts::new(policy), ChaCha8Rng::seed_from_u64(1))
    }
}
