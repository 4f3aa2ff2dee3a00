//! Everything that a change is checked by, in one go, with a table at the end.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::r#gen;
use crate::process::{self, cargo};
use crate::sim;
use crate::test::{self, Counts};
use crate::tidy;
use crate::venv::Venv;

/// Runs all steps, the cheap ones first, and goes on after a failure, so that one run shows all that is wrong.
///
/// # Errors
///
/// When a step failed.
pub(crate) fn run() -> Result<()> {
    let mut counts = Counts::default();
    let mut report = Report::default();
    report.step("format", || {
        process::run(cargo(&["fmt", "--all", "--check"]))?;
        for manifest in OTHER_WORKSPACES {
            process::run(cargo(&["fmt", "--manifest-path", manifest, "--check"]))?;
        }
        Ok(Done::Yes)
    });
    report.step("tidy", || tidy::run().map(Done::yes));
    report.step("generated", || r#gen::run(true).map(Done::yes));
    report.step("spelling", || {
        process::run(Command::new(Venv::ensure()?.program("typos"))).map(Done::yes)
    });
    report.step("clippy", || {
        let clippy = [
            "clippy",
            "--workspace",
            "--all-targets",
            "--locked",
            "--",
            "-D",
            "warnings",
        ];
        process::run(cargo(&clippy)).map(Done::yes)
    });
    report.step("rustdoc", || {
        let mut doc = cargo(&["doc", "--workspace", "--no-deps", "--locked"]);
        doc.env("RUSTDOCFLAGS", "-D warnings");
        process::run(doc).map(Done::yes)
    });
    report.step("supply chain", supply_chain);
    report.step("test", || test::run_counted(&mut counts).map(Done::yes));
    report.step("simulation", || {
        sim::run(&["--budget", "2m", "--runs", "160"]).map(Done::yes)
    });

    println!("\n{report}\n{counts}");
    if report.has_failed() {
        bail!("a step failed; see above");
    }
    Ok(())
}

fn supply_chain() -> Result<Done> {
    if !process::is_there(cargo(&["deny", "--version"])) {
        return Ok(Done::No(
            "cargo-deny is not installed: cargo install --locked cargo-deny",
        ));
    }
    process::run(cargo(&["deny", "check", "bans", "licenses", "sources"])).map(Done::yes)
}

/// Whether a step that did not fail was carried out.
#[derive(Debug)]
enum Done {
    Yes,
    No(&'static str),
}

impl Done {
    fn yes((): ()) -> Self {
        Self::Yes
    }
}

#[derive(Debug, Default)]
struct Report {
    rows: Vec<(&'static str, Result<Done>, Duration)>,
}

impl Report {
    fn step(&mut self, name: &'static str, step: impl FnOnce() -> Result<Done>) {
        println!("\n== {name}");
        let start = Instant::now();
        let outcome = step();
        let took = start.elapsed();
        match &outcome {
            Ok(Done::Yes) => println!("== {name}: passed in {:.1} s", took.as_secs_f64()),
            Ok(Done::No(why)) => println!("== {name}: NOT RUN: {why}"),
            Err(error) => println!(
                "== {name}: FAILED after {:.1} s: {error:#}",
                took.as_secs_f64()
            ),
        }
        self.rows.push((name, outcome, took));
    }

    fn has_failed(&self) -> bool {
        self.rows.iter().any(|(_, outcome, _)| outcome.is_err())
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (name, outcome, took) in &self.rows {
            let word = match outcome {
                Ok(Done::Yes) => "passed",
                Ok(Done::No(_)) => "not run",
                Err(_) => "FAILED",
            };
            writeln!(f, "{name:<14} {word:<8} {:>7.1} s", took.as_secs_f64())?;
        }
        Ok(())
    }
}

/// Not compiled here: they are for optional commands, and what they compare with takes minutes to build.
const OTHER_WORKSPACES: [&str; 3] = [
    "bench/Cargo.toml",
    "fuzz/Cargo.toml",
    "interop/grammers/Cargo.toml",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_fails_the_run_and_one_that_could_not_be_run_does_not() {
        let mut report = Report::default();
        report.step("a", || Ok(Done::No("nothing to run it with")));
        assert!(!report.has_failed());

        report.step("b", || bail!("no"));
        assert!(report.has_failed());
        assert!(report.to_string().contains("b              FAILED"));
    }
}
