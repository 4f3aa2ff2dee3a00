//! Runs a program, of a client or of a server of others, and walks it step by step.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::server::expect;

/// A program that plays a part. It says `@ name` where it has reached a step, and waits there for a line if the step is a gate.
/// Killed when dropped.
#[derive(Debug)]
pub struct Program {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    stderr: Option<JoinHandle<String>>,
    heard: Vec<String>,
    deadline: Instant,
}

impl Program {
    /// Starts a Python program, a file of `interop/python` or an absolute path.
    ///
    /// # Panics
    ///
    /// When it can't be started.
    #[must_use]
    pub fn start<'a>(
        python: &Path,
        program: impl AsRef<Path>,
        arguments: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("python");
        let program = programs.join(program);
        let mut command = Command::new(python);
        command
            .args(["-u", "-B"])
            .arg(&program)
            .args(arguments)
            .env("PYTHONPATH", &programs);
        // Whatever it saves goes where the program is, unless that is the source tree.
        if let Some(dir) = program.parent().filter(|dir| *dir != programs) {
            command.current_dir(dir);
        }
        let name = program.file_name().unwrap_or_default();
        Self::run(&name.to_string_lossy(), command)
    }

    /// Starts a program for Node.js, by its absolute path, with the packages of the directory `modules`.
    ///
    /// # Panics
    ///
    /// When it can't be started.
    #[must_use]
    pub fn start_node<'a>(
        modules: &Path,
        program: &Path,
        arguments: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let mut command = Command::new("node");
        command.arg(program).args(arguments);
        command.env("NODE_PATH", modules);
        let name = program.file_name().unwrap_or_default();
        Self::run(&name.to_string_lossy(), command)
    }

    /// Starts any other program; `name` is what it is called where it fails.
    ///
    /// # Panics
    ///
    /// When it can't be started.
    #[must_use]
    pub fn run(name: &str, mut command: Command) -> Self {
        let mut child = expect(
            command
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn(),
            name,
        );

        let (sender, lines) = channel();
        if let Some(stdout) = child.stdout.take() {
            std::thread::spawn(move || {
                for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                    let _ = sender.send(line);
                }
            });
        }
        let stderr = child.stderr.take().map(|mut stderr| {
            std::thread::spawn(move || {
                let mut text = String::new();
                let _ = stderr.read_to_string(&mut text);
                text
            })
        });
        let stdin = child.stdin.take();
        Self {
            name: name.to_owned(),
            child,
            stdin,
            lines,
            stderr,
            heard: Vec::new(),
            deadline: Instant::now() + PATIENCE,
        }
    }

    /// Waits until the program says that it has reached `step`.
    ///
    /// # Panics
    ///
    /// When it ends or takes too long before that.
    pub fn until(&mut self, step: &str) {
        while let Some(line) = self.next_line() {
            if line.strip_prefix("@ ") == Some(step) {
                return;
            }
        }
        self.fail(&format!("ended before '{step}'"));
    }

    /// Waits until the program writes this line.
    ///
    /// # Panics
    ///
    /// When it ends or takes too long before that.
    pub fn until_line(&mut self, wanted: &str) {
        while let Some(line) = self.next_line() {
            if line == wanted {
                return;
            }
        }
        self.fail(&format!("ended before it wrote '{wanted}'"));
    }

    /// Lets the program go on from the gate that it waits at.
    ///
    /// # Panics
    ///
    /// When it has ended.
    pub fn go_on(&mut self) {
        let sent = self
            .stdin
            .as_mut()
            .map(|stdin| stdin.write_all(b"\n").and_then(|()| stdin.flush()));
        if !matches!(sent, Some(Ok(()))) {
            self.fail("ended at a gate");
        }
    }

    /// Waits for the program's end and returns all that it wrote to its standard output.
    ///
    /// # Panics
    ///
    /// When it says that something was wrong, or takes too long; the message holds its output.
    pub fn finish(mut self) -> String {
        while self.next_line().is_some() {}
        let status = expect(self.child.wait(), "wait for the program");
        if !status.success() {
            self.fail(&format!("ended with {status}"));
        }
        self.heard.join("\n")
    }

    fn next_line(&mut self) -> Option<String> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        match self.lines.recv_timeout(left) {
            Ok(line) => {
                self.heard.push(line.clone());
                Some(line)
            }
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => {
                self.fail(&format!("has not finished after {PATIENCE:?}"))
            }
        }
    }

    #[expect(clippy::panic, reason = "this is a test")]
    fn fail(&mut self, what: &str) -> ! {
        let _ = self.child.kill();
        let stderr = self
            .stderr
            .take()
            .map_or_else(String::new, |stderr| stderr.join().unwrap_or_default());
        panic!(
            "{} {what}\n--- its output\n{}\n--- its errors\n{stderr}",
            self.name,
            self.heard.join("\n")
        );
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Longer than any program of `python/` takes on a busy machine of two cores.
const PATIENCE: Duration = Duration::from_secs(120);
