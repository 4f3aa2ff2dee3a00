//! Processor time of this process's threads, by their names.
//!
//! Linux tells it in `/proc`; elsewhere the figures that need it are left out.

use std::fs;
use std::path::Path;
use std::time::Duration;

/// Returns what the threads have spent whose names `is_meant` chooses; `None` if the system doesn't say.
///
/// Threads that have ended are not counted: compare two readings between which none of those that matter ends.
pub(crate) fn of_threads(is_meant: impl Fn(&str) -> bool) -> Option<Duration> {
    let mut spent = Duration::ZERO;
    for task in fs::read_dir("/proc/self/task").ok()? {
        // A thread that ends while we look is none of those that matter.
        if let Some((name, time)) = task.ok().and_then(|task| read(&task.path()))
            && is_meant(&name)
        {
            spent += time;
        }
    }
    Some(spent)
}

/// Returns what they have spent since a reading.
pub(crate) fn since(before: Option<Duration>, is_meant: impl Fn(&str) -> bool) -> Option<Duration> {
    Some(of_threads(is_meant)?.saturating_sub(before?))
}

fn read(task: &Path) -> Option<(String, Duration)> {
    let name = fs::read_to_string(task.join("comm")).ok()?;
    let statistics = fs::read_to_string(task.join("schedstat")).ok()?;
    let nanos = statistics.split_whitespace().next()?.parse().ok()?;
    Some((name.trim_end().to_owned(), Duration::from_nanos(nanos)))
}
