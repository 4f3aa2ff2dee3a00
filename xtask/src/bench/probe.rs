//! The measuring program: builds it, starts it, asks it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result};

use crate::metadata::Metadata;
use crate::process;

/// For which processor the program is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Build {
    /// Any of its family, as one ships it.
    Default,
    /// This very one: `-C target-cpu=native`.
    Native,
}

/// A program that waits for questions.
pub(super) struct Probe {
    build: Build,
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Probe {
    /// Builds the program and starts it.
    ///
    /// # Errors
    ///
    /// When either fails.
    pub(super) fn start(build: Build) -> Result<Self> {
        let mut child = Command::new(build_program("probe", build)?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("can't start the program that measures")?;
        Ok(Self {
            build,
            questions: child.stdin.take().context("piped above")?,
            answers: BufReader::new(child.stdout.take().context("piped above")?),
            child,
        })
    }

    pub(super) fn build(&self) -> Build {
        self.build
    }

    /// Returns the nanoseconds of a piece of work; nothing where the program was built without it.
    ///
    /// # Errors
    ///
    /// When the program has ended.
    pub(super) fn ask(&mut self, by: &str, work: &str) -> Result<Option<f64>> {
        writeln!(self.questions, "{by} {work}")?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        if answer.is_empty() {
            anyhow::bail!("the program that measures ended at `{by} {work}`");
        }
        Ok(answer.trim().parse().ok())
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Builds a program of `bench/` and returns its path.
///
/// # Errors
///
/// When cargo fails.
pub(crate) fn build_program(name: &str, build: Build) -> Result<PathBuf> {
    let target_dir = Metadata::load()?.target_dir.join(match build {
        Build::Default => "bench/default",
        Build::Native => "bench/native",
    });
    let mut command = process::cargo(&[
        "build",
        "--release",
        "--manifest-path",
        "bench/Cargo.toml",
        "--bin",
        name,
        "--no-default-features",
    ]);
    command.env("CARGO_TARGET_DIR", &target_dir);
    match build {
        Build::Default => {
            command.args(["--features", &features().join(",")]);
        }
        // Ours is shipped as one build, and takes minutes to compile because of aws-lc.
        Build::Native => {
            command.env("RUSTFLAGS", "-C target-cpu=native");
        }
    }
    process::run(command)?;
    Ok(target_dir
        .join("release")
        .join(format!("{name}{}", std::env::consts::EXE_SUFFIX)))
}

fn features() -> Vec<&'static str> {
    let mut features = vec!["heliogram"];
    let mut find = Command::new("pkg-config");
    find.args(["--exists", "libcrypto"]);
    if process::is_there(find) {
        features.push("openssl");
    } else {
        eprintln!(
            "OPENSSL IS NOT MEASURED: its headers are missing; on Debian: apt-get install libssl-dev pkg-config"
        );
    }
    features
}
