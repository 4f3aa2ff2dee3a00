//! `cargo xtask processors`: the tests of `crates/crypto` on processors that this machine's isn't.
//!
//! A level that is forced down still runs on a processor that has more. An emulated one says on its own that it has
//! less, and stops the program at an instruction that it has not.

use std::process::Command;

use anyhow::{Result, bail};

use crate::process::{self, cargo};

/// Runs all tests under each emulator that is installed.
///
/// # Errors
///
/// When a test fails, or no emulator is there.
pub(crate) fn run() -> Result<()> {
    if !cfg!(target_arch = "x86_64") {
        bail!("NOTHING WAS RUN: the emulated processors are x86_64's, this machine's isn't");
    }
    let mut ran = 0;
    for Emulator {
        what,
        runner,
        package,
    } in EMULATORS
    {
        let program = runner.split(' ').next().unwrap_or_default();
        let mut version = Command::new(program);
        version.arg("--version");
        if !process::is_there(version) {
            println!(
                "== {what}: NOT RUN: {program} is missing; on Debian: apt-get install {package}"
            );
            continue;
        }
        println!("== {what}");
        let mut tests = cargo(&["test", "--package", "heliogram-crypto", "--tests"]);
        tests.env("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER", runner);
        process::run(tests)?;
        ran += 1;
    }
    if ran == 0 {
        bail!("NOTHING WAS RUN: see above");
    }
    println!(
        "all tests passed on {ran} of {} emulated processors",
        EMULATORS.len()
    );
    Ok(())
}

struct Emulator {
    /// What the tests see.
    what: &'static str,
    runner: &'static str,
    package: &'static str,
}

const EMULATORS: &[Emulator] = &[
    Emulator {
        what: "no AES instructions, no AVX: the plain level on the bitsliced fallback",
        runner: "qemu-x86_64 -cpu Nehalem",
        package: "qemu-user",
    },
    Emulator {
        what: "AES instructions and AVX2, no SHA, no VAES, no AVX-512: AES-NI",
        runner: "qemu-x86_64 -cpu Haswell",
        package: "qemu-user",
    },
    Emulator {
        what: "what valgrind decodes: AES-NI and AVX2",
        runner: "valgrind --tool=none --quiet",
        package: "valgrind libc6-dbg",
    },
];
