//! The examples of clients, each run as a program against a server.

#![cfg(test)]

use std::path::{Path, PathBuf};
use std::process::Command;

use heliogram_testkit::server::{Servers, public_key};
use tempfile::TempDir;

#[tokio::test(flavor = "multi_thread")]
async fn connect_and_call_says_who_answers_and_who_asks() {
    let bed = Bed::start();
    let said = bed.run("connect_and_call", &[&bed.address(), &bed.key()]);
    let expected = "data centre 2 answers\n\
        signed in as user 1000\n\
        1 addresses of data centres are known; the nearest is 2\n";
    assert_eq!(said, expected);

    bed.servers.at(2).backend().welcome(None);
    let said = bed.run("connect_and_call", &[&bed.address(), &bed.key()]);
    assert!(
        said.contains("not signed in: 401 AUTH_KEY_UNREGISTERED\n"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn own_loop_gets_its_answer_without_a_runtime() {
    let bed = Bed::start();
    let said = bed.run("own_loop", &[&bed.address(), &bed.key()]);
    assert_eq!(said, "data centre 2 answers\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn custom_key_store_comes_back_with_its_key() {
    let bed = Bed::start();
    let database = bed.path("keys.redb");
    for keys in [0, 1] {
        let arguments = [&database, &bed.address(), &bed.key()];
        let said = bed.run("custom_key_store", &arguments.map(String::as_str));
        assert_eq!(
            said,
            format!("{keys} keys are kept\ndata centre 2 answers\n")
        );
    }
}

/// A server, and a directory with its key.
struct Bed {
    servers: Servers,
    files: TempDir,
}

impl Bed {
    fn start() -> Self {
        let bed = Self {
            servers: Servers::start([2]).unwrap(),
            files: TempDir::new().unwrap(),
        };
        std::fs::write(bed.key(), public_key().to_pkcs1_pem()).unwrap();
        bed
    }

    fn address(&self) -> String {
        self.servers.at(2).address().to_string()
    }

    fn key(&self) -> String {
        self.path("server_public.pem")
    }

    fn path(&self, name: &str) -> String {
        self.files.path().join(name).to_str().unwrap().to_owned()
    }

    /// Runs an example to its end; returns what it prints.
    fn run(&self, name: &str, arguments: &[&str]) -> String {
        let output = Command::new(program(name)).args(arguments).output();
        let output = output.unwrap_or_else(|error| panic!("{name}: {error}"));
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }
}

/// Finds a program that cargo has built for these tests: `target/debug/deps/` is where this one is.
fn program(name: &str) -> PathBuf {
    let this = std::env::current_exe().unwrap();
    let profile = this.parent().and_then(Path::parent).unwrap();
    profile
        .join("examples")
        .join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}
