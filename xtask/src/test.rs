//! Runs all tests, the ones with real clients included, and counts them.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use crate::grammers::{self, Program};
use crate::metadata::Metadata;
use crate::node;
use crate::process;
use crate::services;
use crate::venv::Venv;

/// Runs all tests. Prints `N passed, N failed, N skipped` as its last line.
///
/// # Errors
///
/// When a test failed, or something that the tests need is missing.
pub(crate) fn run() -> Result<()> {
    let mut counts = Counts::default();
    let outcome = run_counted(&mut counts);
    println!("{counts}");
    outcome
}

/// As [`run`], but leaves the printing to the caller.
///
/// # Errors
///
/// As [`run`].
pub(crate) fn run_counted(counts: &mut Counts) -> Result<()> {
    // Everything runs even if the first part failed: who waits for CI wants to know all of it.
    let ours = services::ensure().and(watched(process::cargo(OURS), counts));
    let real = real_clients(counts);
    ours.and(real)?;
    if counts.passed == 0 {
        bail!("no test ran");
    }
    Ok(())
}

fn real_clients(counts: &mut Counts) -> Result<()> {
    let venv = Venv::ensure()?;
    process::run(process::cargo(SERVER))?;
    process::run(process::cargo(EXAMPLES))?;
    let mut command = process::cargo(REAL_CLIENTS);
    command.env("HELIOGRAM_FULL", "1");
    command.env("HELIOGRAM_INTEROP_PYTHON", venv.program("python"));
    command.env("HELIOGRAM_INTEROP_NODE", node::ensure()?);
    command.env("HELIOGRAM_BIN", built("heliogram")?);
    command.env("HELIOGRAM_OWN_BACKEND", built("examples/own_backend")?);
    command.env("HELIOGRAM_RUST_BACKEND", built("examples/backend")?);
    command.env("HELIOGRAM_GRAMMERS", grammers::build(Program::Calls)?);
    watched(command, counts)
}

fn built(name: &str) -> Result<PathBuf> {
    let name = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    Ok(Metadata::load()?.target_dir.join("debug").join(name))
}

fn watched(command: Command, counts: &mut Counts) -> Result<()> {
    process::run_watched(command, |line| counts.add_line(line))
}

/// How many tests there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    passed: u32,
    failed: u32,
    skipped: u32,
}

impl Counts {
    /// Adds a closing line of one test program; ignores other lines.
    fn add_line(&mut self, line: &str) {
        let Some((_, counts)) = line
            .strip_prefix("test result: ")
            .and_then(|rest| rest.split_once(". "))
        else {
            return;
        };
        for count in counts.split(';') {
            let mut words = count.split_whitespace();
            let Some(number) = words.next().and_then(|word| word.parse::<u32>().ok()) else {
                continue;
            };
            match words.next() {
                Some("passed") => self.passed += number,
                Some("failed") => self.failed += number,
                Some("ignored") => self.skipped += number,
                _ => {}
            }
        }
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} passed, {} failed, {} skipped",
            self.passed, self.failed, self.skipped
        )
    }
}

const OURS: &[&str] = &[
    "test",
    "--workspace",
    "--locked",
    "--no-fail-fast",
    "--exclude",
    "heliogram-interop",
];

const SERVER: &[&str] = &["build", "--locked", "--package", "heliogram"];

const EXAMPLES: &[&str] = &[
    "build",
    "--locked",
    "--package",
    "heliogram-examples",
    "--examples",
];

// One at a time: each starts a server and many clients, and measures nothing but right and wrong.
const REAL_CLIENTS: &[&str] = &[
    "test",
    "--locked",
    "--no-fail-fast",
    "--package",
    "heliogram-interop",
    "--",
    "--test-threads=1",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_the_sum_over_all_test_programs() {
        let mut counts = Counts::default();
        counts.add_line("test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.1s");
        counts.add_line("test tidy::tests::passed ... ok");
        counts.add_line(
            "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 7 filtered out",
        );
        assert_eq!(counts.to_string(), "15 passed, 2 failed, 1 skipped");
    }
}
