//! What `deploy/` ships: its scripts run, its configurations are taken, and it names nothing that is not there.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

#[test]
fn secrets_are_made_once_for_their_owner_alone_and_kept_afterwards() {
    use std::os::unix::fs::MetadataExt as _;

    let deploy = Prepared::new();
    let first = deploy.secrets();
    deploy.prepare();

    assert_eq!(deploy.secrets(), first);
    for name in first.keys() {
        let is_public = Path::new(name).extension().is_some_and(|it| it == "pem")
            && name != "server_private.pem";
        let mode = fs::metadata(deploy.path().join("secrets").join(name))
            .unwrap()
            .mode();
        assert!(is_public || mode & 0o077 == 0, "{name}: {mode:o}");
    }
}

#[test]
fn every_certificate_is_of_the_authority_and_for_its_role() {
    let deploy = Prepared::new();
    for role in ["gateway", "session", "backend"] {
        let secrets = deploy.path().join("secrets");
        let verified = Command::new("openssl")
            .current_dir(&secrets)
            .args(["verify", "-CAfile", "ca.pem", "-verify_hostname"])
            .args([format!("{role}.heliogram.internal"), format!("{role}.pem")])
            .output()
            .unwrap();
        assert!(verified.status.success(), "{verified:?}");
    }
}

#[test]
fn every_configuration_is_taken() {
    let deploy = Prepared::new();
    let files = fs::read_dir(deploy.path().join("config")).unwrap();
    let files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    assert_eq!(files.len(), 2);
    for file in files {
        let shown = heliogram(&["config", "show", "--config", file.to_str().unwrap()]);
        assert!(shown.status.success(), "{}: {shown:?}", file.display());
    }
}

#[test]
fn every_file_that_a_configuration_or_a_manifest_names_is_made() {
    let deploy = Prepared::new();
    let secrets = deploy.secrets();
    let mut named = 0;
    for (file, text) in texts(&source()) {
        let words = text.split(|it: char| !(it.is_alphanumeric() || "/._-".contains(it)));
        for word in words {
            let name = word
                .strip_prefix("/run/heliogram/")
                .or_else(|| word.strip_prefix("secrets/"))
                .or_else(|| word.strip_prefix("./secrets/"));
            if let Some(name) = name.filter(|name| name.contains('.')) {
                named += 1;
                assert!(secrets.contains_key(name), "{}: {name}", file.display());
            }
            if let Some(name) = word
                .strip_prefix("kubernetes/")
                .filter(|it| it.ends_with(".yaml"))
            {
                assert!(source().join("kubernetes").join(name).exists(), "{name}");
            }
        }
    }
    assert!(named > 20, "{named}");
}

#[test]
fn every_command_and_option_of_the_manifests_is_one_of_the_program() {
    let mut seen = BTreeMap::new();
    for (file, text) in texts(&source()) {
        for command in ["gateway", "session", "migrate", "ready"] {
            let (list, item) = (format!("[\"{command}\""), format!("- {command}\n"));
            let Some(at) = text.find(&list).or_else(|| text.find(&item)) else {
                continue;
            };
            let help = heliogram(&[command, "--help"]);
            let help = String::from_utf8(help.stdout).unwrap();
            let rest = text.get(at..).unwrap();
            let end = rest.find("\n\n").unwrap_or(rest.len());
            let lines = rest.get(..end).unwrap().lines();
            let lines =
                lines.take_while(|line| !line.contains("env:") && !line.contains("volumes:"));
            for option in lines
                .flat_map(|line| line.split(['"', ' ', ',']))
                .filter(|it| it.starts_with("--"))
            {
                assert!(
                    help.contains(option),
                    "{}: {command} {option}",
                    file.display()
                );
                *seen.entry(command).or_insert(0) += 1;
            }
        }
    }
    assert!(
        seen.len() == 3 && seen.values().all(|&count| count > 0),
        "{seen:?}"
    );
}

/// A copy of `deploy/` with its secrets made.
struct Prepared(TempDir);

impl Prepared {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        copy(&source(), directory.path());
        let deploy = Self(directory);
        deploy.prepare();
        for file in ["gateway", "session"] {
            let path = deploy.path().join(format!("config/{file}.toml"));
            let text = fs::read_to_string(&path).unwrap();
            let secrets = deploy.path().join("secrets");
            let text = text.replace("/run/heliogram", secrets.to_str().unwrap());
            fs::write(path, text).unwrap();
        }
        deploy
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn prepare(&self) {
        let made = Command::new(self.path().join("prepare.sh")).output();
        let made = made.unwrap();
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
    }

    /// Returns what was made, by name.
    fn secrets(&self) -> BTreeMap<String, Vec<u8>> {
        let files = fs::read_dir(self.path().join("secrets")).unwrap();
        let files = files.map(|file| file.unwrap());
        files
            .map(|it| {
                (
                    it.file_name().into_string().unwrap(),
                    fs::read(it.path()).unwrap(),
                )
            })
            .collect()
    }
}

fn heliogram(arguments: &[&str]) -> std::process::Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_heliogram"));
    command.args(arguments).output().unwrap()
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy")
}

/// Returns all configurations and manifests below a directory.
fn texts(directory: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("secrets") {
            found.extend(texts(&path));
        } else if path
            .extension()
            .is_some_and(|it| it == "yaml" || it == "toml")
        {
            let text = fs::read_to_string(&path).unwrap();
            found.push((path, text));
        }
    }
    found
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        if path.is_dir() && !path.ends_with("secrets") {
            fs::create_dir(&to).unwrap();
            copy(&path, &to);
        } else if path.is_file() {
            fs::copy(&path, &to).unwrap();
        }
    }
}
