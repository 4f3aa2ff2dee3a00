//! How one figure is taken.

use std::time::{Duration, Instant};

use crate::cases::Case;

/// Returns the nanoseconds of one piece of work: those of the fastest of several batches.
///
/// The fastest, since whatever else happens on a machine only ever makes a batch slower. The asker does the same with the
/// answers of several rounds.
pub(crate) fn measure(case: &mut Case) -> f64 {
    let repeats = repeats(case);
    let fastest = (0..BATCHES)
        .map(|_| time(case, repeats))
        .min()
        .unwrap_or_default();
    fastest.as_secs_f64() * 1e9 / f64::from(repeats) / f64::from(case.pieces)
}

/// How often the work must be done to fill a batch. Also warms the caches.
fn repeats(case: &mut Case) -> u32 {
    let mut repeats = 1;
    while time(case, repeats) < BATCH && repeats < 1 << 30 {
        repeats *= 2;
    }
    repeats
}

fn time(case: &mut Case, repeats: u32) -> Duration {
    let start = Instant::now();
    (case.run)(repeats);
    start.elapsed()
}

const BATCHES: usize = 5;
const BATCH: Duration = Duration::from_millis(1);
