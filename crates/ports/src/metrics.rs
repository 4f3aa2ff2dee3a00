//! What shells tell their operator in numbers, without knowing who asks.
//!
//! A shell counts where it works, and is asked now and then. Whoever asks brings a [`Meter`], which knows the form in
//! which numbers leave the process; the names here are those that it uses.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A part of the program that can be asked for its numbers.
pub trait Measured: Send + Sync + 'static {
    /// Says all of them. Each name at most once.
    fn measure(&self, meter: &mut dyn Meter);
}

/// Takes numbers.
pub trait Meter {
    /// Takes a count that only grows, split by one label; without samples it says that nothing was counted yet.
    fn counts(&mut self, metric: Metric, label: &str, samples: &[(&str, u64)]);

    /// Takes a count that only grows.
    fn count(&mut self, metric: Metric, value: u64);

    /// Takes a level that goes up and down.
    fn level(&mut self, metric: Metric, value: u64);

    /// Takes a level, split by one label.
    fn levels(&mut self, metric: Metric, label: &str, samples: &[(&str, u64)]);

    /// Takes how long things took.
    fn times(&mut self, metric: Metric, times: &Times);

    /// Takes how long things took, split by one label.
    fn times_by(&mut self, metric: Metric, label: &str, samples: &[(&str, Times)]);
}

/// Numbers as they were when they were asked for, by name: what a test looks at. A label is written as in
/// `calls{route="rest"}`, and of times there is their number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readings(pub BTreeMap<String, u64>);

impl Readings {
    /// Asks for all numbers.
    #[must_use]
    pub fn of(measured: &dyn Measured) -> Self {
        let mut readings = Self::default();
        measured.measure(&mut readings);
        readings
    }

    /// Returns the name of each number that was said, without labels.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let bare = |name: &str| name.find('{').unwrap_or(name.len());
        self.0.keys().filter_map(move |name| name.get(..bare(name)))
    }

    fn say(&mut self, name: String, value: u64) {
        let before = self.0.insert(name, value);
        debug_assert!(before.is_none(), "each name once");
    }

    fn say_all(&mut self, metric: Metric, label: &str, samples: impl Iterator<Item = Sample>) {
        let mut is_empty = true;
        for (value, number) in samples {
            is_empty = false;
            self.say(format!("{}{{{label}=\"{value}\"}}", metric.name), number);
        }
        if is_empty {
            self.say(format!("{}{{}}", metric.name), 0);
        }
    }
}

type Sample = (String, u64);

impl Meter for Readings {
    fn counts(&mut self, metric: Metric, label: &str, samples: &[(&str, u64)]) {
        let samples = samples.iter().map(|&(value, it)| (value.to_owned(), it));
        self.say_all(metric, label, samples);
    }

    fn count(&mut self, metric: Metric, value: u64) {
        self.say(metric.name.to_owned(), value);
    }

    fn level(&mut self, metric: Metric, value: u64) {
        self.say(metric.name.to_owned(), value);
    }

    fn levels(&mut self, metric: Metric, label: &str, samples: &[(&str, u64)]) {
        self.counts(metric, label, samples);
    }

    fn times(&mut self, metric: Metric, times: &Times) {
        self.say(metric.name.to_owned(), times.len());
    }

    fn times_by(&mut self, metric: Metric, label: &str, samples: &[(&str, Times)]) {
        let samples = samples
            .iter()
            .map(|(value, it)| ((*value).to_owned(), it.len()));
        self.say_all(metric, label, samples);
    }
}

/// What a number is called, and what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "what a number is called")]
pub struct Metric {
    /// In snake case, with its unit last; a count says what is counted, in the plural.
    pub name: &'static str,
    /// One sentence without its full stop.
    pub help: &'static str,
}

/// How long things took: how many were within each of some bounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    within: [u64; BOUNDS.len()],
    longer: u64,
    sum_ns: u64,
}

impl Times {
    /// Adds one.
    pub fn add(&mut self, time: Duration) {
        match bound_of(time).and_then(|at| self.within.get_mut(at)) {
            Some(count) => *count += 1,
            None => self.longer += 1,
        }
        self.sum_ns = self.sum_ns.saturating_add(nanoseconds(time));
    }

    /// Adds those that others have counted.
    pub fn add_all(&mut self, other: &Self) {
        for (count, more) in self.within.iter_mut().zip(other.within) {
            *count += more;
        }
        self.longer += other.longer;
        self.sum_ns = self.sum_ns.saturating_add(other.sum_ns);
    }

    /// Returns each bound with how many were above the one before it and not above this one; the last are without bound.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<Duration>, u64)> {
        let bounded = BOUNDS.into_iter().map(Some).zip(self.within);
        bounded.chain([(None, self.longer)])
    }

    /// Returns how many there were.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.within.iter().sum::<u64>() + self.longer
    }

    /// Tells whether there were none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns how long all of them took together.
    #[must_use]
    pub const fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum_ns)
    }
}

/// [`Times`] that many threads add to.
#[derive(Debug, Default)]
pub struct SharedTimes {
    within: [AtomicU64; BOUNDS.len()],
    longer: AtomicU64,
    sum_ns: AtomicU64,
}

impl SharedTimes {
    /// Adds one.
    pub fn add(&self, time: Duration) {
        let count = bound_of(time).and_then(|at| self.within.get(at));
        count
            .unwrap_or(&self.longer)
            .fetch_add(1, Ordering::Relaxed);
        self.sum_ns.fetch_add(nanoseconds(time), Ordering::Relaxed);
    }

    /// Returns what was added so far.
    #[must_use]
    pub fn load(&self) -> Times {
        Times {
            within: std::array::from_fn(|at| {
                self.within
                    .get(at)
                    .map_or(0, |count| count.load(Ordering::Relaxed))
            }),
            longer: self.longer.load(Ordering::Relaxed),
            sum_ns: self.sum_ns.load(Ordering::Relaxed),
        }
    }
}

/// A level that many threads raise and lower.
#[derive(Debug, Default)]
pub struct Level(AtomicU64);

impl Level {
    /// Raises it by one for as long as what is returned lives.
    #[must_use]
    pub fn hold(self: &Arc<Self>) -> Held {
        self.0.fetch_add(1, Ordering::Relaxed);
        Held(Arc::clone(self))
    }

    /// Returns how high it is.
    #[must_use]
    pub fn load(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One of what a [`Level`] counts.
#[derive(Debug)]
pub struct Held(Arc<Level>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A count that many threads add to.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds one.
    pub fn add_one(&self) {
        self.add(1);
    }

    /// Adds some.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// Returns what was added so far.
    #[must_use]
    pub fn load(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

fn bound_of(time: Duration) -> Option<usize> {
    BOUNDS.iter().position(|bound| time <= *bound)
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// From what memory answers to what a client gives up on.
const BOUNDS: [Duration; 14] = [
    Duration::from_micros(10),
    Duration::from_micros(100),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_micros(2500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(30),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_counts_up_to_its_bound_and_not_beyond() {
        let mut times = Times::default();
        times.add(Duration::from_millis(1));
        times.add(Duration::from_nanos(1_000_001));
        times.add(Duration::from_secs(30));
        times.add(Duration::from_secs(31));
        let counted: Vec<_> = times.buckets().filter(|(_, count)| *count > 0).collect();
        assert_eq!(
            counted,
            [
                (Some(Duration::from_millis(1)), 1),
                (Some(Duration::from_micros(2500)), 1),
                (Some(Duration::from_secs(30)), 1),
                (None, 1),
            ]
        );
        assert_eq!(times.len(), 4);
        assert_eq!(times.sum(), Duration::from_nanos(61_002_000_001));
    }

    #[test]
    fn what_many_threads_add_is_what_one_would() {
        let (shared, mut own) = (SharedTimes::default(), Times::default());
        for time in [Duration::ZERO, Duration::from_millis(7), Duration::MAX / 4] {
            shared.add(time);
            own.add(time);
        }
        let mut twice = own;
        twice.add_all(&shared.load());
        assert_eq!(shared.load().len(), own.len());
        assert_eq!(twice.len(), 2 * own.len());
    }

    #[test]
    fn a_level_counts_what_is_held_and_nothing_that_was_dropped() {
        let level = Arc::new(Level::default());
        let (first, second) = (level.hold(), level.hold());
        assert_eq!(level.load(), 2);
        drop(first);
        assert_eq!(level.load(), 1);
        drop(second);
        assert_eq!(level.load(), 0);
    }
}
