//! Starts other programs, at the root of the workspace, and says exactly what failed.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// Returns the root of the workspace.
pub(crate) fn root() -> PathBuf {
    // Cargo sets the variable when it runs us; a binary started by hand falls back on where it was built.
    let manifest_dir = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    manifest_dir
        .parent()
        .map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

/// Prepares the cargo that runs us.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments);
    command
}

/// Runs a command at the root and lets it talk to the terminal.
///
/// # Errors
///
/// When it can't be started or says that it failed; the message holds the command line.
pub(crate) fn run(mut command: Command) -> Result<()> {
    println!("$ {}", line_of(&command));
    let status = command
        .current_dir(root())
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("can't start `{}`", line_of(&command)))?;
    if !status.success() {
        bail!("`{}` failed ({status})", line_of(&command));
    }
    Ok(())
}

/// Runs a command at the root, prints each line of its output as it comes, and also hands it to `on_line`.
///
/// # Errors
///
/// As [`run`].
pub(crate) fn run_watched(mut command: Command, mut on_line: impl FnMut(&str)) -> Result<()> {
    println!("$ {}", line_of(&command));
    let mut child = command
        .current_dir(root())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("can't start `{}`", line_of(&command)))?;
    let stdout = child
        .stdout
        .take()
        .context("standard output was not piped")?;
    for line in BufReader::new(stdout).split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        on_line(&line);
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("`{}` failed ({status})", line_of(&command));
    }
    Ok(())
}

/// Runs a command at the root and returns what it wrote to its standard output.
///
/// # Errors
///
/// As [`run`]; the message also holds what the command wrote to its standard error.
pub(crate) fn output(mut command: Command) -> Result<String> {
    let output = command
        .current_dir(root())
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("can't start `{}`", line_of(&command)))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!(
            "`{}` failed ({}): {}",
            line_of(&command),
            output.status,
            stderr.trim()
        );
    }
    String::from_utf8(output.stdout)
        .with_context(|| format!("`{}` wrote no UTF-8", line_of(&command)))
}

/// Tells whether a program is there: whether it starts and says its version.
pub(crate) fn is_there(mut command: Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn line_of(command: &Command) -> String {
    let program = Path::new(command.get_program())
        .file_name()
        .unwrap_or_default();
    let words = std::iter::once(program).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}
