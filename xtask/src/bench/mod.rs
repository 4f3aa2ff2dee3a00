//! `cargo xtask bench`: our cryptography beside its peers, in one run, with the targets.
//!
//! What is measured lives in `bench/`, a workspace of its own, so that no peer becomes a dependency of the product. It
//! is built twice, as one ships it and for this very processor, since the peers profit from the latter. Ours is built
//! once: it finds out at run time what the processor has.

pub(crate) mod clients;
pub(crate) mod cluster;
mod counts;
mod document;
mod probe;
mod table;
mod targets;

use std::process::Command;

use anyhow::{Context as _, Result};

use crate::process;
pub(crate) use counts::{check, record};
use probe::Probe;
pub(crate) use probe::{Build, build_program};
use table::{Asked, Figures};

/// Measures everything, prints it, and with `write` puts it into the document.
///
/// # Errors
///
/// When a build fails, a probe ends early, or the document has no place for the figures.
pub(crate) fn run(write: bool) -> Result<()> {
    let mut probes = [Probe::start(Build::Default)?, Probe::start(Build::Native)?];
    let mut figures = Figures::default();
    for round in 1..=ROUNDS {
        eprintln!("round {round} of {ROUNDS}");
        for Asked { build, by, work } in table::all_asked() {
            let probe = probes.iter_mut().find(|probe| probe.build() == build);
            let probe = probe.context("both builds are started")?;
            figures.add(build, by, work, probe.ask(by, work)?);
        }
    }
    let text = format!(
        "{}\n{}\n{}",
        machine()?,
        targets::render(&figures),
        table::render(&figures)
    );
    println!("{text}");
    if write {
        document::put("cargo xtask bench --write", &text)?;
    }
    Ok(())
}

fn machine() -> Result<String> {
    let processor = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let mut lines = processor.lines().filter(|line| line.starts_with(name));
        let line = lines.next().unwrap_or_default();
        line.split_once(": ").map_or("unknown", |(_, value)| value)
    };
    let flags: Vec<&str> = field("flags").split(' ').collect();
    let wide: Vec<&str> = WIDE_FLAGS
        .iter()
        .filter(|flag| flags.contains(flag))
        .copied()
        .collect();
    let mut rustc = Command::new("rustc");
    rustc.arg("--version");
    let rustc = process::output(rustc)?;
    Ok(format!(
        "Processor: {}, with {}. Compiler: {}. The fastest of {ROUNDS} rounds, in each of which everyone had a turn.\n",
        field("model name"),
        wide.join(" "),
        rustc.trim()
    ))
}

const ROUNDS: usize = 9;
/// What makes a difference to cryptography, in the words of Linux.
const WIDE_FLAGS: [&str; 6] = ["aes", "sha_ni", "avx2", "vaes", "avx512f", "avx512ifma"];
