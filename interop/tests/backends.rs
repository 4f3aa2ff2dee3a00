//! The backends of `examples/backends`, in three languages, behind `heliogram serve`, with clients of other projects.

#![cfg(test)]

use std::path::{Path, PathBuf};
use std::process::Command;

use heliogram_interop::{Program, Server, node, python, rust_backend};
use serde_json::Value;
use tempfile::TempDir;

#[test]
fn telethon_is_served_by_the_backend_in_python() {
    let Some(python) = python("the backend in Python") else {
        return;
    };
    let bed = Bed::new(false);
    let backend = bed.python(&python);
    bed.walk(backend, |server| {
        Program::start(&python, "backend_clients.py", [server.data()])
    });
}

#[test]
fn telethon_is_served_by_the_backend_in_rust_call_by_call_and_on_one_stream() {
    let Some(python) = python("the backend in Rust") else {
        return;
    };
    for streaming in [false, true] {
        let bed = Bed::new(streaming);
        let backend = bed.rust();
        bed.walk(backend, |server| {
            Program::start(&python, "backend_clients.py", [server.data()])
        });
    }
}

#[test]
fn gramjs_is_served_by_the_backend_in_javascript_call_by_call_and_on_one_stream() {
    let Some(modules) = node("the backend in JavaScript") else {
        return;
    };
    for streaming in [false, true] {
        let bed = Bed::new(streaming);
        let backend = bed.node(&modules);
        let program = root().join("interop/node/backend_clients.js");
        bed.walk(backend, |server| {
            Program::start_node(&modules, &program, [server.data()])
        });
    }
}

#[test]
fn each_backend_refuses_terms_that_are_over_for_a_client_and_no_others() {
    let (Some(python), Some(modules)) = (python("terms"), node("terms")) else {
        return;
    };
    let in_python = |bed: &Bed| bed.python(&python);
    let in_node = |bed: &Bed| bed.node(&modules);
    let in_rust = |bed: &Bed| bed.rust();
    let backends: [&dyn Fn(&Bed) -> Program; 3] = [&in_python, &in_node, &in_rust];
    for start in backends {
        let bed = Bed::new(false);
        let mut backend = start(&bed);
        backend.until_line("ready");
        Program::start(&python, "backend_terms.py", [&*bed.calls()]).finish();
    }
}

#[test]
fn what_the_example_in_python_needs_is_what_it_is_tested_with() {
    let read = |path: &str| std::fs::read_to_string(root().join(path)).unwrap();
    let tested = read("interop/python/requirements.txt");
    for line in read("examples/backends/python/requirements.txt").lines() {
        assert!(tested.lines().any(|it| it == line), "{line}");
    }
}

#[test]
fn what_the_example_in_javascript_needs_is_what_it_is_tested_with() {
    let packages = |project: &str| {
        let lock = std::fs::read_to_string(root().join(project).join("package-lock.json")).unwrap();
        let lock: Value = serde_json::from_str(&lock).unwrap();
        lock["packages"].as_object().unwrap().clone()
    };
    let tested = packages("interop/node");
    for (name, package) in packages("examples/backends/node") {
        // The example itself has no name.
        if !name.is_empty() {
            assert_eq!(tested.get(&name), Some(&package), "{name}");
        }
    }
}

/// A directory in which a server and a backend find each other.
struct Bed {
    dir: TempDir,
    streaming: bool,
}

impl Bed {
    fn new(streaming: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { dir, streaming }
    }

    /// Where the backend listens.
    fn calls(&self) -> String {
        format!("unix:{}", self.dir.path().join("calls").display())
    }

    /// Where it pushes.
    fn pushes(&self) -> String {
        format!("unix:{}", self.dir.path().join("pushes").display())
    }

    fn python(&self, python: &Path) -> Program {
        let program = root().join("examples/backends/python/backend.py");
        let mut command = Command::new(python);
        command.args(["-u", "-B"]).arg(program);
        Program::run("backend.py", self.with_addresses(command))
    }

    fn node(&self, modules: &Path) -> Program {
        let program = root().join("examples/backends/node/backend.js");
        Program::start_node(modules, &program, [&*self.calls(), &*self.pushes()])
    }

    fn rust(&self) -> Program {
        let command = Command::new(rust_backend());
        Program::run("the backend in Rust", self.with_addresses(command))
    }

    fn with_addresses(&self, mut command: Command) -> Command {
        command.args([self.calls(), self.pushes()]);
        command
    }

    /// Has clients sign in, hear of each other, drop a call, come back after the server's death, and log out.
    fn walk(self, mut backend: Program, clients: impl FnOnce(&Server) -> Program) {
        backend.until_line("ready");
        let config = format!(
            "[backend]\naddress = '{}'\npush_listen = '{}'\nstreaming = {}\n",
            self.calls(),
            self.pushes(),
            self.streaming
        );
        let mut server = Server::start_configured(self.dir, &config);
        let mut clients = clients(&server);
        clients.until("waits");
        backend.until_line("waits");
        clients.go_on();
        clients.until("dropped");
        backend.until_line("cancelled");
        clients.until("restart");
        server.kill();
        server.restart();
        clients.go_on();
        clients.finish();
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
