//! A server that stands on somebody else's library, and what it says of its clients.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::program::Program;
use crate::server::expect;

/// `python/foreign_server.py`, listening. Killed when dropped.
#[derive(Debug)]
pub struct ForeignServer {
    program: Program,
    dir: TempDir,
}

/// What a server has counted, by the names that it gives: `keys`, `bad salts`, `largest container`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    counts: BTreeMap<String, i64>,
}

impl ForeignServer {
    /// Starts one with new keys, and waits until it listens. `options` are the program's.
    ///
    /// # Panics
    ///
    /// When it ends before that, or takes too long.
    #[must_use]
    pub fn start(python: &Path, options: &[&str]) -> Self {
        let dir = expect(tempfile::tempdir(), "make a directory");
        let data = expect(dir.path().to_str().ok_or("no UTF-8"), "name the directory");
        let arguments = std::iter::once(data).chain(options.iter().copied());
        let mut program = Program::start(python, "foreign_server.py", arguments);
        program.until("listening");
        Self { program, dir }
    }

    /// Returns where it listens.
    ///
    /// # Panics
    ///
    /// When it has not written that down.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        let endpoints: Value = expect(
            serde_json::from_str(&self.file("endpoints.json")),
            "read endpoints.json",
        );
        let address = endpoints.pointer("/tcp/0").and_then(Value::as_str);
        expect(address.unwrap_or_default().parse(), "read the address")
    }

    /// Returns the key that it is known by, as PEM.
    ///
    /// # Panics
    ///
    /// When it has not written that down.
    #[must_use]
    pub fn public_key(&self) -> String {
        self.file("server_public.pem")
    }

    /// Ends it, and returns what it has counted.
    ///
    /// # Panics
    ///
    /// When a client has broken a rule that the server holds it to, or a call was run twice.
    #[must_use]
    pub fn end(mut self) -> Seen {
        self.program.go_on();
        let output = self.program.finish();
        let report = output.lines().last().unwrap_or_default();
        let report: Value = expect(serde_json::from_str(report), "read the report");
        for wrong in ["problems", "doubles"] {
            assert_eq!(
                report.get(wrong),
                Some(&Value::Array(Vec::new())),
                "{wrong}"
            );
        }
        let seen = report.get("seen").and_then(Value::as_object);
        let counts = seen.into_iter().flatten();
        Seen {
            counts: counts
                .filter_map(|(name, count)| Some((name.clone(), count.as_i64()?)))
                .collect(),
        }
    }

    fn file(&self, name: &str) -> String {
        expect(std::fs::read_to_string(self.dir.path().join(name)), name)
    }
}

impl Seen {
    /// Returns a count; zero of what was never seen.
    #[must_use]
    pub fn count(&self, name: &str) -> i64 {
        self.counts.get(name).copied().unwrap_or_default()
    }
}
