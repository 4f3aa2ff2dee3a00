//! Servers, the program, and what it says.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use heliogram_testkit::backend::Backend;
use heliogram_testkit::server::{Servers, Setup, public_key};
use heliogram_tl::layer;
use serde_json::Value as Json;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// A server of data centre 2, and a directory with its public key.
pub(crate) struct Bed {
    pub(crate) runtime: Runtime,
    pub(crate) servers: Servers,
    directory: TempDir,
}

/// What the program said, and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Bed {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl Fn(&mut Setup)) -> Self {
        let runtime = Runtime::new().unwrap();
        let servers = {
            let _within = runtime.enter();
            Servers::start_with([2], |_, setup| change(setup)).unwrap()
        };
        let directory = tempfile::tempdir().unwrap();
        let bed = Self {
            runtime,
            servers,
            directory,
        };
        std::fs::write(bed.path("key.pem"), public_key().to_pkcs1_pem()).unwrap();
        bed
    }

    pub(crate) fn backend(&self) -> &Arc<Backend> {
        self.servers.at(2).backend()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Makes a command that runs in the directory.
    pub(crate) fn command(&self, tool: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_heliogram"));
        command
            .current_dir(self.directory.path())
            .arg(tool)
            .args(arguments);
        command.env_remove("HELIOGRAM_LOG");
        command
    }

    /// Calls the server.
    pub(crate) fn call(&self, arguments: &[&str]) -> Said {
        let server = self.servers.at(2).address().to_string();
        self.call_elsewhere(&[arguments, &["--server", &server, "--pubkey", "key.pem"]].concat())
    }

    /// Calls wherever the arguments say.
    pub(crate) fn call_elsewhere(&self, arguments: &[&str]) -> Said {
        self.call_with_input(arguments, b"")
    }

    pub(crate) fn call_with_input(&self, arguments: &[&str], input: &[u8]) -> Said {
        let mut command = self.command("call", arguments);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // It may end without having read it.
        let _ = child.stdin.take().unwrap().write_all(input);
        let output = child.wait_with_output().unwrap();
        Said {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Said {
    /// Parses what a call that went well has printed.
    pub(crate) fn json(&self) -> Json {
        assert_eq!((self.code, self.err.as_str()), (Some(0), ""), "{self:?}");
        serde_json::from_str(&self.out).unwrap()
    }

    /// Checks how a call failed, and that it was said.
    pub(crate) fn failed(&self, code: i32, words: &str) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(self.err.starts_with("error: "), "{self:?}");
        assert!(self.err.contains(words), "{self:?}");
    }
}

/// Returns a method's constructor id.
pub(crate) fn id(method: &str) -> u32 {
    layer::method_by_name(method).unwrap().id()
}
