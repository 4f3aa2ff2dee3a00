//! What tests start beside ourselves, of Debian's packages: the servers MariaDB, Redis and etcd, and Node.js.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::process;

/// Installs what is missing, if this is a Debian and we may.
///
/// # Errors
///
/// When something is missing and can't be installed; the message says what to do.
pub(crate) fn ensure() -> Result<()> {
    let is_missing = |programs: &[&str]| !programs.iter().all(|program| is_installed(program));
    let missing: Vec<_> = PACKAGES
        .iter()
        .filter(|(programs, _)| is_missing(programs))
        .flat_map(|(_, packages)| *packages)
        .copied()
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let help = format!("on Debian: apt-get install {}", missing.join(" "));
    if !is_installed("apt-get") || process::output(id())?.trim() != "0" {
        bail!("the tests need programs that are missing; {help}");
    }
    process::run(apt(&["update"])).with_context(|| help.clone())?;
    let install = ["install", "--yes", "--no-install-recommends"];
    process::run(apt(&[&install, missing.as_slice()].concat())).context(help)
}

/// Installs without questions, and without starting servers of its own.
fn apt(arguments: &[&str]) -> Command {
    let mut apt = Command::new("apt-get");
    apt.arg("--quiet").args(arguments);
    apt.env("DEBIAN_FRONTEND", "noninteractive");
    apt.env("RUNLEVEL", "1");
    apt
}

fn id() -> Command {
    let mut id = Command::new("id");
    id.arg("-u");
    id
}

/// Looks where Debian puts programs, too: not everybody has servers in `PATH`.
fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into()])
        .any(|directory| Path::new(&directory).join(program).is_file())
}

/// Programs, and the packages that have them.
const PACKAGES: &[(&[&str], &[&str])] = &[
    (
        &["mariadbd", "mariadb-install-db"],
        &["mariadb-server-core", "mariadb-client-core"],
    ),
    (&["redis-server"], &["redis-server"]),
    (&["etcd"], &["etcd-server"]),
    (&["node", "npm"], &["nodejs", "npm"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_there_is_found_and_another_is_not() {
        assert!(is_installed("sh"));
        assert!(!is_installed("heliogram-is-no-such-program"));
    }
}
