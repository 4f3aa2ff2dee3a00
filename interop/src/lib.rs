//! Real clients of other projects against the real server, and our client against a server of others: the harness.
//!
//! A leaf that nothing depends on, and that sees the product only as a stranger does: a binary to start, a directory
//! with `endpoints.json` and a public key, sockets. The clients are Python programs in `python/`; each is an
//! unmodified library plus what a user would write. [`Server`] starts, kills and restarts the binary, [`Program`] runs a
//! program and walks it step by step. [`ForeignServer`] is a server that stands on somebody else's library.
//!
//! `cargo xtask test` sets [`PYTHON`] and [`FULL`]. Without them a test says that it was skipped.

mod foreign;
mod program;
mod server;

use std::io::Write as _;
use std::path::PathBuf;

pub use foreign::{ForeignServer, Seen};
pub use program::Program;
pub use server::Server;

/// The environment variable that names a Python with the packages of `python/requirements.txt`.
pub const PYTHON: &str = "HELIOGRAM_INTEROP_PYTHON";

/// The environment variable that, set to `1`, makes a missing [`PYTHON`] a failure.
pub const FULL: &str = "HELIOGRAM_FULL";

/// Returns the Python to run clients with, or says loudly that the test is skipped.
///
/// # Panics
///
/// When there is none although the run is to be a full one.
#[must_use]
#[expect(clippy::panic, reason = "this is a test")]
pub fn python(test: &str) -> Option<PathBuf> {
    if let Some(python) = std::env::var_os(PYTHON) {
        return Some(python.into());
    }
    if std::env::var_os(FULL).is_some_and(|full| full == "1") {
        panic!("{test}: a full run needs {PYTHON}; `cargo xtask test` sets it");
    }
    // Not through `eprintln!`, whose output the test runner shows for failed tests only.
    let _ = writeln!(
        std::io::stderr(),
        "SKIPPED {test}: no {PYTHON}; run `cargo xtask test`"
    );
    None
}
