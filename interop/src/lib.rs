//! Real clients of other projects against the real server, and our client against a server of others: the harness.
//!
//! A leaf that nothing depends on, and that sees the product only as a stranger does: a binary to start, a directory
//! with `endpoints.json` and a public key, sockets. The clients are Python programs in `python/`; each is an
//! unmodified library plus what a user would write. [`Server`] starts, kills and restarts the binary, [`Program`] runs a
//! program and walks it step by step. [`ForeignServer`] is a server that stands on somebody else's library.
//!
//! `cargo xtask test` sets [`PYTHON`], [`GRAMMERS`] and [`FULL`]. Without them a test says that it was skipped.

mod foreign;
mod program;
mod server;

use std::io::Write as _;
use std::path::PathBuf;

pub use foreign::{ForeignServer, Seen};
pub use program::Program;
pub use server::{Server, binary, rust_backend};

/// The environment variable that names a Python with the packages of `python/requirements.txt`.
pub const PYTHON: &str = "HELIOGRAM_INTEROP_PYTHON";

/// The environment variable that names the directory with the programs of `grammers/`, built by xtask.
pub const GRAMMERS: &str = "HELIOGRAM_GRAMMERS";

/// The environment variable that names a directory `node_modules` with the packages of `node/package.json`.
pub const NODE: &str = "HELIOGRAM_INTEROP_NODE";

/// The environment variable that, set to `1`, makes a missing [`PYTHON`] or [`GRAMMERS`] a failure.
pub const FULL: &str = "HELIOGRAM_FULL";

/// Returns the Python to run clients with, or says loudly that the test is skipped.
///
/// # Panics
///
/// When there is none although the run is to be a full one.
#[must_use]
pub fn python(test: &str) -> Option<PathBuf> {
    tool(PYTHON, test)
}

/// Returns the directory with the programs that use grammers, or says loudly that the test is skipped.
///
/// # Panics
///
/// When there is none although the run is to be a full one.
#[must_use]
pub fn grammers(test: &str) -> Option<PathBuf> {
    tool(GRAMMERS, test)
}

/// Returns the packages of JavaScript to run programs with, or says loudly that the test is skipped.
///
/// # Panics
///
/// When there are none although the run is to be a full one.
#[must_use]
pub fn node(test: &str) -> Option<PathBuf> {
    tool(NODE, test)
}

#[expect(clippy::panic, reason = "this is a test")]
fn tool(variable: &str, test: &str) -> Option<PathBuf> {
    if let Some(path) = std::env::var_os(variable) {
        return Some(path.into());
    }
    if std::env::var_os(FULL).is_some_and(|full| full == "1") {
        panic!("{test}: a full run needs {variable}; `cargo xtask test` sets it");
    }
    // Not through `eprintln!`, whose output the test runner shows for failed tests only.
    let _ = writeln!(
        std::io::stderr(),
        "SKIPPED {test}: no {variable}; run `cargo xtask test`"
    );
    None
}
