//! The virtual environment under `target/` with the real clients that the server is tested with.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::metadata::Metadata;
use crate::process;

/// A Python environment that has what `interop/python/requirements.txt` names.
#[derive(Debug)]
pub(crate) struct Venv {
    bin: PathBuf,
}

impl Venv {
    /// Makes the environment, or finds that the one that is there is of the same list.
    ///
    /// # Errors
    ///
    /// When there is no Python, or the packages can't be installed. The message says what to install.
    pub(crate) fn ensure() -> Result<Self> {
        let dir = Metadata::load()?.target_dir.join("interop-venv");
        let bin = dir.join(if cfg!(windows) { "Scripts" } else { "bin" });
        let wanted =
            std::fs::read_to_string(process::root().join(REQUIREMENTS)).context(REQUIREMENTS)?;
        let stamp = dir.join("installed-requirements.txt");
        if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
            return Ok(Self { bin });
        }

        make(&dir)?;
        let mut pip = Command::new(bin.join("python"));
        pip.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--requirement",
            REQUIREMENTS,
        ]);
        process::run(pip)
            .context("the packages of interop/python/requirements.txt must be reachable by pip")?;
        // Written last: an installation that was broken off is done anew.
        std::fs::write(&stamp, wanted)?;
        Ok(Self { bin })
    }

    /// Returns the path of a program of the environment.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }
}

fn make(dir: &Path) -> Result<()> {
    let mut python = Command::new("python3");
    python.arg("--version");
    if !process::is_there(python) {
        bail!("python3 is missing; on Debian: apt-get install python3-venv");
    }
    let mut python = Command::new("python3");
    python.args(["-m", "venv", "--clear"]).arg(dir);
    process::run(python)
        .context("python3 can't make virtual environments; on Debian: apt-get install python3-venv")
}

const REQUIREMENTS: &str = "interop/python/requirements.txt";
