//! The pages of `docs/deploy/`: every command in them runs, in order, as somebody would type it.
//!
//! A page becomes one script: its `sh` blocks, and its other blocks as the files that the line before them names. Ports are
//! replaced by free ones, so that nothing on the machine is in the way, and what was started ends with the script.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn every_command_of_one_process_runs() {
    run("one-process.md", &["openssl", "curl"]);
}

#[test]
fn every_command_of_databases_runs() {
    run("databases.md", &["openssl", "mariadbd", "redis-server"]);
}

#[test]
fn every_command_of_a_cluster_runs() {
    run(
        "cluster.md",
        &["openssl", "mariadbd", "redis-server", "etcd"],
    );
}

#[test]
fn every_page_is_run_by_a_test() {
    let mut pages: Vec<_> = fs::read_dir(directory())
        .unwrap()
        .map(|page| page.unwrap().file_name().into_string().unwrap())
        .collect();
    pages.sort();
    let expected = ["README.md", "cluster.md", "databases.md", "one-process.md"];
    assert_eq!(pages, expected);
    // The index has no commands of its own.
    assert_eq!(script(&page("README.md")), Ok(String::new()));
}

#[test]
fn a_page_becomes_its_commands_and_files_in_order() {
    let page = "# Page\n\nThe file, `a.toml`:\n\n```toml\nkey = 'it'\n```\n\n```sh\ncat a.toml\n```\n\n```text\nkey = 'it'\n```\n";
    let script = script(page).unwrap();
    assert_eq!(
        script,
        "cat >'a.toml' <<'END OF FILE'\nkey = 'it'\nEND OF FILE\ncat a.toml\n"
    );
}

#[test]
fn a_file_without_a_name_and_a_block_without_a_language_are_refused() {
    assert!(script("text\n\n```toml\nkey = 1\n```\n").is_err());
    assert!(script("```\nls\n```\n").is_err());
    assert!(script("```sh\nls\n").is_err());
}

/// Runs a page in an empty directory.
fn run(name: &str, tools: &[&str]) {
    if let Some(missing) = tools.iter().find(|tool| !is_there(tool)) {
        let is_full = std::env::var_os(heliogram_interop::FULL).is_some_and(|full| full == "1");
        assert!(!is_full, "{name}: {missing} is not installed");
        return eprintln!("SKIPPED {name}: {missing} is not installed; run `cargo xtask test`");
    }
    let script = with_free_ports(&script(&page(name)).unwrap());
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("page.sh");
    fs::write(&file, format!("{PROLOGUE}{script}")).unwrap();
    let output = Command::new("timeout")
        .args(["300", "bash", "page.sh"])
        .current_dir(directory.path())
        .env("PATH", path())
        .env("TMPDIR", directory.path())
        .env("HELIOGRAM_SOURCE", source())
        .output()
        .unwrap();
    let (said, error) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{name}: {said}{error}");
}

/// Returns the script of a page, or what is wrong with the page.
fn script(page: &str) -> Result<String, String> {
    let (mut script, mut before) = (String::new(), "");
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(language) = line.strip_prefix("```") else {
            if !line.trim().is_empty() {
                before = line;
            }
            continue;
        };
        let mut block = String::new();
        loop {
            match lines.next() {
                Some("```") => break,
                Some(line) => block.extend([line, "\n"]),
                None => return Err(format!("a block does not end: {line}")),
            }
        }
        match language {
            "sh" => script.push_str(&block),
            "text" => {}
            "sql" | "toml" => {
                let file = file_named(before).ok_or_else(|| format!("no file name: {before}"))?;
                script.push_str(&format!(
                    "cat >'{file}' <<'END OF FILE'\n{block}END OF FILE\n"
                ));
            }
            other => return Err(format!("a block of an unknown language: {other}")),
        }
        before = "";
    }
    Ok(script)
}

/// Returns the name at the end of a line such as "The configuration, `heliogram.toml`:".
fn file_named(line: &str) -> Option<&str> {
    let names = line.strip_suffix("`:")?;
    names.rsplit_once('`').map(|(_, name)| name)
}

/// Replaces the ports that pages name.
fn with_free_ports(script: &str) -> String {
    let mut listeners = Vec::new();
    let mut free = BTreeMap::new();
    for port in PORTS {
        // Held until all are chosen, so that no two are one.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        free.insert(port, listener.local_addr().unwrap().port().to_string());
        listeners.push(listener);
    }
    let (mut replaced, mut number) = (String::new(), String::new());
    for letter in script.chars().chain(['\n']) {
        if letter.is_ascii_digit() {
            number.push(letter);
            continue;
        }
        replaced.push_str(free.get(&*number).unwrap_or(&number));
        number.clear();
        replaced.push(letter);
    }
    replaced
}

/// What is tested comes before what is installed.
fn path() -> String {
    let built = heliogram_interop::binary()
        .parent()
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();
    let path = std::env::var("PATH").unwrap();
    // Debian's servers are not on everybody's path.
    format!("{built}:{path}:/usr/sbin:/sbin")
}

fn is_there(tool: &str) -> bool {
    let path = std::env::var("PATH").unwrap();
    format!("{path}:/usr/sbin:/sbin")
        .split(':')
        .any(|directory| Path::new(directory).join(tool).exists())
}

fn page(name: &str) -> String {
    fs::read_to_string(directory().join(name)).unwrap()
}

fn directory() -> PathBuf {
    source().join("docs/deploy")
}

/// Where Heliogram's source tree lies.
fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Stops at the first command that fails, and takes along what was started.
const PROLOGUE: &str = "\
set -eu -o pipefail
trap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT
trap 'exit 1' TERM
";

/// The ports that pages name.
const PORTS: [&str; 17] = [
    "2379", "2380", "3306", "6379", "7003", "7004", "7005", "8088", "8091", "8092", "8093", "8094",
    "8095", "10443", "10444", "11443", "11444",
];
