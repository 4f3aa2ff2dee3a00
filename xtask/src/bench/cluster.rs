//! `cargo xtask bench cluster`: what distance costs, from one process to a cluster, and what each layer of its store finds.

use std::process::Command;

use anyhow::Result;

use super::document;
use crate::metadata::Metadata;
use crate::{process, services};

/// Builds everything for speed, measures, prints, and with `write` puts the tables into the document.
///
/// # Errors
///
/// When a build fails, a server is missing, or something is not answered.
pub(crate) fn run(write: bool) -> Result<()> {
    services::ensure()?;
    process::run(process::cargo(SERVER))?;
    let program = format!("heliogram{}", std::env::consts::EXE_SUFFIX);
    let release = Metadata::load()?.target_dir.join("release");
    let mut calls = process::cargo(CALLS);
    calls.env("HELIOGRAM_BIN", release.join(program));
    calls.env("HELIOGRAM_BENCH_S", "10");
    // Tests of faults log all that there is.
    calls.env("HELIOGRAM_LOG", "warn");
    let calls = table_of(calls)?;
    let keys = table_of(process::cargo(KEYS))?;
    if write {
        let text = format!("{calls}\n{keys}");
        document::put("cargo xtask bench cluster --write", &text)?;
    }
    Ok(())
}

/// Runs a command, and returns the lines of a table that it prints among others.
fn table_of(command: Command) -> Result<String> {
    let mut table = String::new();
    process::run_watched(command, |line| {
        if line.starts_with('|') {
            table.push_str(line);
            table.push('\n');
        }
    })?;
    Ok(table)
}

const SERVER: &[&str] = &["build", "--release", "--locked", "--package", "heliogram"];

const CALLS: &[&str] = &[
    "test",
    "--release",
    "--locked",
    "--package",
    "heliogram-interop",
    "--test",
    "cluster",
    "--",
    "--nocapture",
    "bench::",
];

const KEYS: &[&str] = &[
    "bench",
    "--locked",
    "--package",
    "heliogram",
    "--bench",
    "keys",
];
