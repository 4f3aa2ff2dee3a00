//! Simulates clusters under faults: `testkit/` does the work.

use anyhow::Result;

use crate::process::{self, cargo};

/// Runs the simulator with these options.
///
/// # Errors
///
/// When a promise was broken; the simulator has printed which, and the seed.
pub(crate) fn run(options: &[&str]) -> Result<()> {
    let mut command = cargo(&[
        "run",
        "--locked",
        "--profile",
        "sim",
        "--package",
        "heliogram-testkit",
        "--no-default-features",
        "--bin",
        "heliogram-sim",
        "--",
    ]);
    command.args(options);
    process::run(command)
}
