//! `cargo xtask bench cluster`: what distance costs, from one process to a cluster, and what each layer of its store finds.

use anyhow::Result;

use crate::metadata::Metadata;
use crate::{process, services};

/// Builds everything for speed, measures, and prints.
///
/// # Errors
///
/// When a build fails, a server is missing, or something is not answered.
pub(crate) fn run() -> Result<()> {
    services::ensure()?;
    process::run(process::cargo(SERVER))?;
    let program = format!("heliogram{}", std::env::consts::EXE_SUFFIX);
    let release = Metadata::load()?.target_dir.join("release");
    let mut calls = process::cargo(CALLS);
    calls.env("HELIOGRAM_BIN", release.join(program));
    calls.env("HELIOGRAM_BENCH_S", "10");
    // Tests of faults log all that there is.
    calls.env("HELIOGRAM_LOG", "warn");
    process::run(calls)?;
    process::run(process::cargo(KEYS))
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
    "heliogram-store-cluster",
    "--bench",
    "keys",
];
