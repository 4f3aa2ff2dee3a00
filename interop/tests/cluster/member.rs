//! One process of ours: started, ended in every way, read.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use heliogram_testservices::Server;
use serde_json::Value;

/// A program with its arguments and a directory, running or not.
pub(crate) struct Member {
    name: String,
    dir: PathBuf,
    program: String,
    arguments: Vec<String>,
    server: Option<Server>,
}

impl Member {
    /// Names a program that is to run in a directory of its own, which is made.
    pub(crate) fn new(within: &Path, name: &str, program: &Path) -> Self {
        let dir = within.join(name);
        std::fs::create_dir_all(&dir).unwrap();
        Self {
            name: name.to_owned(),
            dir,
            program: program.to_str().unwrap().to_owned(),
            arguments: Vec::new(),
            server: None,
        }
    }

    pub(crate) fn with(mut self, arguments: &[&str]) -> Self {
        self.arguments
            .extend(arguments.iter().map(|it| (*it).to_owned()));
        self
    }

    /// Adds a configuration file to the arguments, which goes on after its own first lines: data directory and log.
    pub(crate) fn configured(self, text: &str) -> Self {
        let dir = self.path("");
        let text = format!("data = '{dir}'\n{text}\n[log]\nfilter = '{LOG_FILTER}'\n");
        std::fs::write(self.dir.join("heliogram.toml"), text).unwrap();
        let file = self.path("heliogram.toml");
        self.with(&["--config", &file])
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns the path of a file in its directory.
    pub(crate) fn path(&self, file: &str) -> String {
        self.dir.join(file).to_str().unwrap().to_owned()
    }

    /// Starts it, and comes back once it says that it is ready.
    pub(crate) fn start(&mut self) {
        self.launch();
        self.until_ready();
    }

    /// Starts it, and does not wait.
    pub(crate) fn launch(&mut self) {
        // What a killed one has left behind would tell of readiness too early.
        for file in ["endpoints.json", "ready"] {
            let _ = std::fs::remove_file(self.dir.join(file));
        }
        let arguments: Vec<_> = self.arguments.iter().map(Into::into).collect();
        self.server = Some(Server::start(&self.dir, &self.program, &arguments).unwrap());
    }

    /// Waits until it says that it is ready: by its admin address if it has one, else by a file.
    pub(crate) fn until_ready(&self) {
        let start = Instant::now();
        while !self.is_ready() {
            let server = self.server.as_ref().unwrap();
            assert!(!server.has_ended(), "{} ended\n{}", self.name, self.tail());
            assert!(
                start.elapsed() < PATIENCE,
                "{} is not ready after {PATIENCE:?}\n{}",
                self.name,
                self.tail()
            );
            std::thread::sleep(POLL);
        }
    }

    /// Tells whether it says that it is ready.
    pub(crate) fn is_ready(&self) -> bool {
        if self.dir.join("ready").exists() {
            return true;
        }
        self.endpoint("admin")
            .is_some_and(|admin| get(&admin, "/ready").is_ok_and(|it| it.contains("HTTP/1.1 200")))
    }

    /// Returns where it listens: `admin`, or the first address of a kind.
    pub(crate) fn endpoint(&self, kind: &str) -> Option<String> {
        let text = std::fs::read_to_string(self.dir.join("endpoints.json")).ok()?;
        let endpoints: Value = serde_json::from_str(&text).ok()?;
        let found = endpoints.get(kind)?;
        let address = found.as_str().or_else(|| found.get(0)?.as_str())?;
        Some(address.to_owned())
    }

    /// `SIGKILL`.
    pub(crate) fn kill(&mut self) {
        let server = self.server.take().unwrap();
        assert!(
            !server.has_ended(),
            "{} ended by itself\n{}",
            self.name,
            self.tail()
        );
        server.kill().unwrap();
    }

    /// `SIGTERM`; comes back once it has ended.
    pub(crate) fn terminate(&mut self) {
        let server = self.server.take().unwrap();
        server.signal("TERM").unwrap();
        let start = Instant::now();
        while !server.has_ended() {
            assert!(
                start.elapsed() < PATIENCE,
                "{} is there {PATIENCE:?} after SIGTERM\n{}",
                self.name,
                self.tail()
            );
            std::thread::sleep(POLL);
        }
        server.kill().unwrap();
    }

    /// Tells whether it runs: was started, and has not ended.
    pub(crate) fn is_there(&self) -> bool {
        self.server.as_ref().is_some_and(|it| !it.has_ended())
    }

    /// `SIGSTOP`.
    pub(crate) fn freeze(&self) {
        self.server.as_ref().unwrap().signal("STOP").unwrap();
    }

    /// `SIGCONT`.
    pub(crate) fn thaw(&self) {
        self.server.as_ref().unwrap().signal("CONT").unwrap();
    }

    /// Returns all that it has written since its first start.
    pub(crate) fn log(&self) -> Vec<u8> {
        std::fs::read(self.dir.join("log")).unwrap_or_default()
    }

    /// Returns the last that it has written above the level `debug`: what a failed test shows.
    pub(crate) fn tail(&self) -> String {
        let log = self.log();
        let log = String::from_utf8_lossy(&log);
        let of_note = |line: &&str| !line.contains("TRACE") && !line.contains("DEBUG");
        let lines: Vec<_> = log.lines().filter(of_note).collect();
        let last = lines.iter().skip(lines.len().saturating_sub(TAIL_LINES));
        let mut tail = format!("--- {}\n", self.name);
        for line in last {
            let _ = writeln!(tail, "{line}");
        }
        tail
    }
}

/// Asks an admin address for a path; returns the whole answer.
pub(crate) fn get(admin: &str, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(admin)?;
    stream.set_read_timeout(Some(ANSWER_PATIENCE))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Everything that our own code has to say; of the libraries below it, frames of HTTP/2 and the like, what is of note.
const LOG_FILTER: &str =
    "trace,h2=info,hyper=info,hyper_util=info,rustls=info,tower=info,tonic=info,mio=info";

const PATIENCE: Duration = Duration::from_secs(60);
const ANSWER_PATIENCE: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(20);
const TAIL_LINES: usize = 20;
