//! Builds the clients of `interop/grammers`, which have servers' keys compiled in: in a copy of that workspace, under the
//! target directory, grammers-mtproto takes one more key from the environment.
//!
//! Nothing of grammers is checked in: its source comes from the registry, of exactly the version that the workspace's
//! lock file names, and the one function that knows keys is given one line more.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::metadata::Metadata;
use crate::process;

/// The environment variable by which its programs are told one more key, as [`key`] writes it.
pub(crate) const KEY: &str = "GRAMMERS_SERVER_KEY";

/// What is built, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    /// For tests.
    Calls,
    /// Optimised, for benchmarks.
    Measured,
}

/// Writes a key as the programs read it. Both are of hexadecimal digits.
///
/// # Errors
///
/// When the fingerprint is none.
pub(crate) fn key(fingerprint: &str, modulus: &str) -> Result<String> {
    let fingerprint = u64::from_str_radix(fingerprint, 16).context("a fingerprint")?;
    Ok(format!("{}:{modulus}", fingerprint.cast_signed()))
}

/// Builds a program, and returns the directory that it is in.
///
/// # Errors
///
/// When the source is not to be had, is not what the patch was made for, or does not compile.
pub(crate) fn build(program: Program) -> Result<PathBuf> {
    let dir = Metadata::load()?.target_dir.join("interop-grammers");
    let workspace = process::root().join(WORKSPACE);
    copy_tree(&workspace.join("src"), &dir.join("src"), &|_, text| {
        Ok(text)
    })?;
    for file in ["Cargo.toml", "Cargo.lock"] {
        let text = std::fs::read_to_string(workspace.join(file)).context(file)?;
        let patch = if file == "Cargo.toml" { PATCH } else { "" };
        write(&dir.join(file), &format!("{text}{patch}"))?;
    }
    copy_tree(&source_of(PATCHED)?, &dir.join(PATCHED), &|name, text| {
        if name == "authentication.rs" {
            with_key_of_environment(&text)
        } else {
            Ok(text)
        }
    })?;
    let manifest = dir.join("Cargo.toml");
    let target = dir.join("target");
    let (name, profile, place) = match program {
        Program::Calls => ("calls", "dev", "debug"),
        Program::Measured => ("measured", "release", "release"),
    };
    let mut build = process::cargo(&["build", "--bin", name, "--profile", profile]);
    build.arg("--manifest-path").arg(manifest);
    build.arg("--target-dir").arg(&target);
    process::run(build)?;
    Ok(target.join(place))
}

/// Returns where cargo has put a package's source, fetched if it wasn't there.
fn source_of(package: &str) -> Result<PathBuf> {
    let manifest = Path::new(WORKSPACE).join("Cargo.toml");
    let mut metadata = process::cargo(&["metadata", "--format-version", "1", "--locked"]);
    metadata.arg("--manifest-path").arg(manifest);
    let metadata: Value = serde_json::from_str(&process::output(metadata)?)?;
    let packages = metadata.get("packages").and_then(Value::as_array);
    let found = packages
        .into_iter()
        .flatten()
        .find(|it| it.get("name").and_then(Value::as_str) == Some(package));
    let manifest = found.and_then(|it| it.get("manifest_path")?.as_str());
    let manifest = Path::new(manifest.with_context(|| format!("{package} is not in the tree"))?);
    Ok(manifest.parent().unwrap_or(manifest).to_path_buf())
}

/// Adds to the function that finds keys by their fingerprints one that the environment names.
fn with_key_of_environment(source: &str) -> Result<String> {
    if source.matches(KEYS).count() != 1 {
        bail!("{PATCHED} has no longer the function that this patch was made for");
    }
    Ok(source.replacen(KEYS, &format!("{KEYS}{ONE_MORE}"), 1))
}

/// Copies text files, each changed by `change`, which is told their names. What is there already keeps its time, so that
/// nothing is compiled twice.
fn copy_tree(
    from: &Path,
    to: &Path,
    change: &dyn Fn(&str, String) -> Result<String>,
) -> Result<()> {
    for entry in std::fs::read_dir(from).with_context(|| from.display().to_string())? {
        let entry = entry?;
        let name = entry.file_name();
        let target = to.join(&name);
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &target, change)?;
            continue;
        }
        // What is no text is no source.
        if let Ok(text) = std::fs::read_to_string(entry.path()) {
            write(&target, &change(&name.to_string_lossy(), text)?)?;
        }
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<()> {
    if std::fs::read_to_string(path).is_ok_and(|there| there == text) {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    std::fs::write(path, text).with_context(|| path.display().to_string())
}

const WORKSPACE: &str = "interop/grammers";
const PATCHED: &str = "grammers-mtproto";

const PATCH: &str = "
[patch.crates-io]
grammers-mtproto = { path = \"grammers-mtproto\" }
";

/// The head of the function that knows keys.
const KEYS: &str = "fn key_for_fingerprint(fingerprint: i64) -> Option<rsa::Key> {
";

/// `FINGERPRINT:MODULUS`, a signed decimal number and one of hexadecimal digits; the exponent is 65537.
const ONE_MORE: &str = r#"    if let Ok(named) = std::env::var("GRAMMERS_SERVER_KEY")
        && let Some((known, modulus)) = named.split_once(':')
        && known.parse() == Ok(fingerprint)
    {
        let modulus = num_bigint::BigUint::parse_bytes(modulus.as_bytes(), 16)?;
        return rsa::Key::new(&modulus.to_string(), "65537");
    }
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_whose_function_is_another_is_not_patched() {
        let known = format!("a\n{KEYS}b\n");
        let patched = with_key_of_environment(&known).unwrap();
        assert!(patched.starts_with(&format!("a\n{KEYS}    if let")));
        assert!(patched.ends_with("    }\nb\n"));
        for other in ["", "fn key_for_fingerprint(fingerprint: u64)"] {
            assert!(with_key_of_environment(other).is_err());
        }
    }
}
