//! Instruction counts: they do not change with the weather, so they can be compared between days.
//!
//! Callgrind runs one piece of work a hundred times at each level that valgrind can decode. It hides from a program what
//! it can't decode, so on today's processors the widest levels are not counted: equality tests and the ratios of
//! `cargo xtask bench` hold those.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::probe::{Build, build_program};
use crate::process;

/// Counts, and compares with what is recorded.
///
/// # Errors
///
/// When valgrind is missing, or a count has grown by more than the tolerance.
pub(crate) fn check() -> Result<()> {
    let text = std::fs::read_to_string(process::root().join(RECORD)).context(RECORD)?;
    let recorded = parse(&text)?;
    let compiler = compiler()?;
    if !text.contains(&compiler) {
        println!(
            "note: recorded with another compiler than {compiler}; counts may differ for that alone"
        );
    }
    let findings = compare(&recorded, &count()?);
    for finding in &findings {
        eprintln!("error: {finding}");
    }
    if !findings.is_empty() {
        bail!("{RECORD} does not hold; if that is meant: cargo xtask bench --record");
    }
    println!("no count grew by more than {TOLERANCE_PERCENT} % over {RECORD}");
    Ok(())
}

/// Counts, and writes the record.
///
/// # Errors
///
/// When valgrind is missing, or the record can't be written.
pub(crate) fn record() -> Result<()> {
    let mut text = format!(
        "# Instructions of one piece of work, by level, counted by callgrind: cargo xtask bench --record\n# {}\n",
        compiler()?
    );
    for ((level, work), count) in count()? {
        let _ = writeln!(text, "{level} {work} {count}");
    }
    std::fs::write(process::root().join(RECORD), text).context(RECORD)
}

/// Instructions by level and work.
type Counts = BTreeMap<(String, String), u64>;

fn count() -> Result<Counts> {
    let mut valgrind = Command::new("valgrind");
    valgrind.arg("--version");
    if !process::is_there(valgrind) {
        bail!(
            "NOTHING WAS COUNTED: valgrind is missing; on Debian: apt-get install valgrind libc6-dbg"
        );
    }
    let program = build_program("counted", Build::Default)?;
    let mut counts = Counts::new();
    for asked in LEVELS {
        for work in WORKS {
            let (level, count) = count_one(&program, asked, work)?;
            if level != *asked {
                println!("{asked}: not measured, since valgrind offers no more than {level}");
                break;
            }
            println!("{level} {work}: {count} instructions");
            counts.insert((level, (*work).to_owned()), count);
        }
    }
    Ok(counts)
}

/// Returns the level that was in use and the instructions of one piece of work.
fn count_one(program: &Path, level: &str, work: &str) -> Result<(String, u64)> {
    let mut callgrind = Command::new("valgrind");
    callgrind.args([
        "--tool=callgrind",
        "--callgrind-out-file=/dev/null",
        "--collect-atstart=no",
        "--toggle-collect=counted_work",
        "--log-fd=1",
    ]);
    callgrind.arg(program).args([level, work]);
    let output = process::output(callgrind)?;
    let after = |mark: &str| output.split_once(mark).map(|(_, rest)| rest);
    let level = after("level ").and_then(|rest| rest.lines().next());
    let collected = after("Collected : ").and_then(|rest| rest.split_whitespace().next());
    let collected: u64 = collected
        .and_then(|count| count.parse().ok())
        .with_context(|| format!("callgrind said no count:\n{output}"))?;
    if collected == 0 {
        bail!("callgrind did not find the function that it was to count");
    }
    Ok((
        level.context("the program named no level")?.to_owned(),
        collected / TIMES,
    ))
}

fn compare(recorded: &Counts, counted: &Counts) -> Vec<String> {
    let mut findings = Vec::new();
    for ((level, work), now) in counted {
        let Some(before) = recorded.get(&(level.clone(), work.clone())) else {
            findings.push(format!("{level} {work}: not recorded"));
            continue;
        };
        if now * 100 > before * (100 + TOLERANCE_PERCENT) {
            findings.push(format!(
                "{level} {work}: {now} instructions, {before} recorded"
            ));
        }
        if now * (100 + TOLERANCE_PERCENT) < before * 100 {
            println!("{level} {work}: {now} instructions, {before} recorded: record the gain");
        }
    }
    for (level, work) in recorded.keys() {
        if !counted.contains_key(&(level.clone(), work.clone())) {
            println!("{level} {work}: recorded, not measured here");
        }
    }
    if counted.is_empty() {
        findings.push("nothing was counted".to_owned());
    }
    findings
}

fn parse(text: &str) -> Result<Counts> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let parsed = lines.map(|line| {
        let mut words = line.split(' ');
        let (level, work) = (words.next()?.to_owned(), words.next()?.to_owned());
        Some(((level, work), words.next()?.parse().ok()?))
    });
    parsed
        .collect::<Option<Counts>>()
        .with_context(|| format!("{RECORD}: a line is not `level work count`"))
}

fn compiler() -> Result<String> {
    let mut rustc = Command::new("rustc");
    rustc.arg("--version");
    Ok(process::output(rustc)?.trim().to_owned())
}

const RECORD: &str = "bench/instructions.txt";
const TOLERANCE_PERCENT: u64 = 3;

/// How often `counted` does its work.
const TIMES: u64 = 100;

/// The names of `heliogram_crypto::simd::Level`, the lowest first.
const LEVELS: &[&str] = &["Plain", "AesNi", "AesSha", "Vaes256", "Vaes512"];

const WORKS: &[&str] = &[
    "seal_32",
    "open_32",
    "seal_1k",
    "open_1k",
    "seal_16x1k",
    "open_16x1k",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_by_3_percent_is_borne_and_by_more_is_not() {
        let recorded = parse("# c\nPlain seal_32 1000\n").unwrap();
        let counted = |count: u64| Counts::from([(("Plain".into(), "seal_32".into()), count)]);
        assert_eq!(compare(&recorded, &counted(1030)), Vec::<String>::new());
        assert_eq!(compare(&recorded, &counted(10)), Vec::<String>::new());
        assert_eq!(
            compare(&recorded, &counted(1031)),
            ["Plain seal_32: 1031 instructions, 1000 recorded"]
        );
    }

    #[test]
    fn work_without_a_record_is_a_finding_and_so_is_no_work() {
        let counted = Counts::from([(("Plain".into(), "open_32".into()), 1)]);
        assert_eq!(
            compare(&Counts::new(), &counted),
            ["Plain open_32: not recorded"]
        );
        assert_eq!(compare(&counted, &Counts::new()), ["nothing was counted"]);
    }

    #[test]
    fn a_record_that_cant_be_read_is_an_error() {
        assert!(parse("Plain seal_32\n").is_err());
        assert!(parse("Plain seal_32 many\n").is_err());
    }
}
