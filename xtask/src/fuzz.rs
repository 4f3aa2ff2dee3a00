//! `cargo xtask fuzz`: feeds a target of `fuzz/` with what libFuzzer thinks of.
//!
//! Compiles with the stable compiler and the flags that `cargo fuzz` would use, without a sanitizer. The corpus is one
//! text file per target, a line of hexadecimal digits per input: small, the same on every machine, and replayed by a
//! normal test of the crate. A failure's input is printed; it becomes a line of the corpus and a test with a name.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::metadata::Metadata;
use crate::process;

/// Fuzzes a target for some seconds; what was found is added to the corpus if `grows`.
///
/// # Errors
///
/// When the target fails, which is what one hopes not to see, or can't be built.
pub(crate) fn run(target: &str, seconds: &str, grows: bool) -> Result<()> {
    let seconds: u32 = seconds.parse().context("seconds are a whole number")?;
    let folder = folder()?;
    let program = build(target, &folder)?;
    let archive = process::root()
        .join("fuzz/corpora")
        .join(format!("{target}.txt"));
    let (inputs, kept) = (
        folder.join("inputs").join(target),
        folder.join("kept").join(target),
    );
    for folder in [&inputs, &kept] {
        let _ = std::fs::remove_dir_all(folder);
        std::fs::create_dir_all(folder)?;
    }
    // A new target has none yet.
    let old = std::fs::read_to_string(&archive).unwrap_or_default();
    unpack(&old, &inputs)?;

    let limits = limits(&old);
    let mut fuzz = Command::new(&program);
    fuzz.arg(format!("-max_total_time={seconds}")).args(&limits);
    fuzz.arg(format!("-artifact_prefix={}/", folder.display()))
        .arg(&inputs);
    process::run(fuzz).context("the input is printed above, as Base64")?;
    if grows {
        let mut merge = Command::new(&program);
        merge.arg("-merge=1").args(&limits).args([&kept, &inputs]);
        process::run(merge)?;
        std::fs::write(&archive, pack(&old, &kept)?)?;
    }
    Ok(())
}

/// Shows that a failure is noticed: a target that always fails must.
///
/// # Errors
///
/// When it did not, or could not be built.
pub(crate) fn alarm() -> Result<()> {
    build("alarm", &folder()?)?;
    match run("alarm", "120", false) {
        Ok(()) => bail!("the target that must fail did not: fuzzing notices nothing"),
        Err(error) => {
            println!("the alarm works: {error:#}");
            Ok(())
        }
    }
}

fn folder() -> Result<PathBuf> {
    Ok(Metadata::load()?.target_dir.join("fuzz"))
}

fn build(target: &str, folder: &Path) -> Result<PathBuf> {
    let host = host()?;
    let mut command = process::cargo(&[
        "build",
        "--release",
        "--manifest-path",
        "fuzz/Cargo.toml",
        "--bin",
        target,
        // Named, so that the flags are not for build scripts, too.
        "--target",
        &host,
    ]);
    command.env("CARGO_TARGET_DIR", folder);
    command.env("RUSTFLAGS", FLAGS.join(" "));
    process::run(command)?;
    Ok(folder.join(&host).join("release").join(target))
}

fn host() -> Result<String> {
    let mut rustc = Command::new("rustc");
    rustc.arg("-vV");
    let said = process::output(rustc)?;
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc named no host")?.to_owned())
}

fn unpack(archive: &str, folder: &Path) -> Result<()> {
    for (number, line) in archive.lines().enumerate() {
        let input = from_hex(line).with_context(|| format!("line {}", number + 1))?;
        std::fs::write(folder.join(number.to_string()), input)?;
    }
    Ok(())
}

/// Adds to what was there what covers more, in an order that is always the same.
fn pack(old: &str, folder: &Path) -> Result<String> {
    let mut lines: BTreeSet<String> = old.lines().map(str::to_owned).collect();
    for entry in std::fs::read_dir(folder)? {
        lines.insert(to_hex(&std::fs::read(entry?.path())?));
    }
    lines.remove("");
    Ok(lines.iter().map(|line| format!("{line}\n")).collect())
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(line: &str) -> Result<Vec<u8>> {
    let pairs = line.as_bytes().chunks(2);
    let bytes = pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    bytes
        .collect::<Option<Vec<u8>>>()
        .filter(|_| line.len().is_multiple_of(2))
        .context("not a line of hexadecimal digits")
}

/// Short inputs say all that there is to say, unless the corpus has longer ones; and ten seconds are for ever.
fn limits(corpus: &str) -> [String; 3] {
    let longest = corpus.lines().map(|line| line.len() / 2).max();
    let bytes_max = longest.unwrap_or(0).max(INPUT_BYTES);
    [
        format!("-max_len={bytes_max}"),
        "-timeout=10".to_owned(),
        "-print_final_stats=1".to_owned(),
    ]
}

const INPUT_BYTES: usize = 256;

const FLAGS: &[&str] = &[
    "--cfg fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_corpus_is_packed_without_repeats_and_always_in_the_same_order() {
        let folder = std::env::temp_dir().join(format!("heliogram-corpus-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        unpack("ff\n00\n", &folder).unwrap();
        let packed = pack("0102\nff\n", &folder).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(packed, "00\n0102\nff\n");
    }

    #[test]
    fn inputs_are_as_long_as_the_longest_of_the_corpus_and_never_shorter_than_most() {
        let longer = "00".repeat(INPUT_BYTES + 1);
        assert_eq!(limits("")[0], "-max_len=256");
        assert_eq!(limits(&format!("00\n{longer}\n"))[0], "-max_len=257");
    }

    #[test]
    fn a_line_has_whole_bytes() {
        assert_eq!(from_hex("0aff").unwrap(), [10, 255]);
        assert!(from_hex("0af").is_err());
        assert!(from_hex("0g").is_err());
    }
}
