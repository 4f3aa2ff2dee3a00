//! `cargo xtask constant-time`: whether time or branches depend on secrets, as far as instruments can tell.
//!
//! The programs are in `bench/src/bin`: `timed` takes statistics of times at every level of this processor, `poisoned`
//! runs under memcheck at the levels that valgrind decodes. Both fail if they do not see what they are shown on purpose.

use std::process::Command;

use anyhow::{Result, bail};

use crate::bench::{Build, build_program};
use crate::process;

/// Runs both, the second one although the first failed.
///
/// # Errors
///
/// When one of them saw something, could not be run, or saw nothing where there was something.
pub(crate) fn run() -> Result<()> {
    let times = process::run(Command::new(build_program("timed", Build::Default)?));
    let branches = branches();
    times.and(branches)
}

fn branches() -> Result<()> {
    let mut valgrind = Command::new("valgrind");
    valgrind.arg("--version");
    if !process::is_there(valgrind) {
        bail!(
            "NO BRANCH WAS WATCHED: valgrind is missing; on Debian: apt-get install valgrind libc6-dbg"
        );
    }
    let mut memcheck = Command::new("valgrind");
    memcheck.args(["--tool=memcheck", "--quiet", "--error-limit=no"]);
    memcheck.arg(build_program("poisoned", Build::Default)?);
    process::run(memcheck)
}
