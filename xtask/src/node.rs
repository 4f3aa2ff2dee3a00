//! The packages of JavaScript, under `target/`, that clients in the tests and an example are made of.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::metadata::Metadata;
use crate::process;

/// Installs exactly what the lock file of `interop/node` names, or finds that it is there already; returns the
/// directory `node_modules`.
///
/// # Errors
///
/// When there is no Node.js, or the packages can't be installed. The message says what to install.
pub(crate) fn ensure() -> Result<PathBuf> {
    let from = process::root().join(PROJECT);
    let to = Metadata::load()?.target_dir.join("interop-node");
    let read = |dir: &PathBuf| std::fs::read_to_string(dir.join(LOCK));
    let wanted = read(&from).context(LOCK)?;
    let stamp = to.join("installed.json");
    let modules = to.join("node_modules");
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(modules);
    }

    for program in ["node", "npm"] {
        let mut asked = Command::new(program);
        asked.arg("--version");
        if !process::is_there(asked) {
            bail!("{program} is missing; on Debian: apt-get install nodejs npm");
        }
    }
    std::fs::create_dir_all(&to)?;
    for file in ["package.json", LOCK] {
        std::fs::copy(from.join(file), to.join(file)).context(file)?;
    }
    let mut npm = Command::new("npm");
    // No package runs anything of its own here: none of these needs to.
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
    npm.arg("--prefix").arg(&to);
    process::run(npm).with_context(|| format!("npm must reach the packages of {PROJECT}"))?;
    // Written last: an installation that was broken off is done anew.
    std::fs::write(&stamp, wanted)?;
    Ok(modules)
}

const PROJECT: &str = "interop/node";
const LOCK: &str = "package-lock.json";
