//! `cargo xtask bench clients`: our client beside those of others, against the same server, in one run.
//!
//! Each client is a program that is started anew in each round, makes a key, and then does one work after the other while
//! the others wait. Time is the wall clock's; a processor's seconds are what the system has counted for the process.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::document;
use crate::grammers::Program;
use crate::metadata::Metadata;
use crate::venv::Venv;
use crate::{grammers, process};

/// Measures all clients, prints the table, and with `write` puts it into the document.
///
/// # Errors
///
/// When something can't be built, or a client fails at a work.
pub(crate) fn run(write: bool) -> Result<()> {
    let clients = build_clients()?;
    let server = Server::start()?;
    let mut figures: BTreeMap<(&str, &str), Vec<Figure>> = BTreeMap::new();
    for round in 1..=ROUNDS {
        eprintln!("round {round} of {ROUNDS}");
        let mut running = Vec::new();
        for (name, command) in &clients {
            let (client, start) = Client::start(command, &server)
                .with_context(|| format!("{name} does not come as far as its first answer"))?;
            figures.entry((START, name)).or_default().push(start);
            running.push((*name, client));
        }
        for work in WORKS {
            for (name, client) in &mut running {
                let count = work.count(name);
                let figure = client.ask(work.name, count);
                let figure = figure.with_context(|| format!("{name} failed at {}", work.name))?;
                figures.entry((work.name, name)).or_default().push(figure);
            }
        }
    }
    let text = render(&figures);
    println!("{text}");
    if write {
        document::put("cargo xtask bench clients --write", &text)?;
    }
    Ok(())
}

fn build_clients() -> Result<Vec<(&'static str, Vec<PathBuf>)>> {
    let venv = Venv::ensure()?;
    let target = Metadata::load()?.target_dir.join("bench/clients");
    let mut ours = process::cargo(&[
        "build",
        "--release",
        "--manifest-path",
        "bench/Cargo.toml",
        "--no-default-features",
        "--features",
        "client",
        "--bin",
        "client",
    ]);
    ours.env("CARGO_TARGET_DIR", &target);
    process::run(ours)?;
    let theirs = grammers::build(Program::Measured)?;
    Ok(vec![
        (OURS, vec![target.join("release/client")]),
        ("grammers", vec![theirs.join("measured")]),
        (
            TELETHON,
            vec![
                venv.program("python"),
                process::root().join("interop/python/measured.py"),
            ],
        ),
    ])
}

/// The server that all clients speak to.
struct Server {
    child: Child,
    /// What each client is told of it.
    arguments: Vec<String>,
    /// What grammers is told of its key.
    grammers_key: String,
}

impl Server {
    fn start() -> Result<Self> {
        let package = ["--package", "heliogram-testkit", "--bin", TESTBED];
        let mut build = process::cargo(&["build", "--release"]);
        build.args(package);
        process::run(build)?;
        let program = Metadata::load()?.target_dir.join("release").join(TESTBED);
        let mut child = Command::new(program)
            .args(["--dcs", "2", "--file", &format!("1:{FILE_BYTES}:7")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        let stdout = child.stdout.take().context("it has an output")?;
        BufReader::new(stdout).read_line(&mut line)?;
        let said: Value = serde_json::from_str(&line).context("the server does not start")?;
        let text = |at| said.pointer(at).and_then(Value::as_str).context(at);
        let key_file = Metadata::load()?
            .target_dir
            .join("bench/clients/server.pem");
        std::fs::write(&key_file, text("/public_key")?)?;
        Ok(Self {
            arguments: vec![
                text("/dcs/0/tcp")?.to_owned(),
                key_file.display().to_string(),
                "2".to_owned(),
                "1".to_owned(),
                text("/files/0/access_hash")?.to_owned(),
                text("/files/0/file_reference")?.to_owned(),
            ],
            grammers_key: grammers::key(text("/fingerprint")?, text("/modulus")?)?,
            child,
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client that does what it is asked to.
struct Client {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Client {
    /// Starts it, and says what it took to its first answer.
    fn start(command: &[PathBuf], server: &Server) -> Result<(Self, Figure)> {
        let (program, more) = command.split_first().context("a command has a program")?;
        let begun = Instant::now();
        let mut child = Command::new(program)
            .args(more)
            .args(&server.arguments)
            .env(grammers::KEY, &server.grammers_key)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let questions = child.stdin.take().context("it has an input")?;
        let answers = BufReader::new(child.stdout.take().context("it has an output")?);
        let mut client = Self {
            child,
            questions,
            answers,
        };
        client.expect("ready")?;
        let seconds = begun.elapsed().as_secs_f64();
        let figure = Figure {
            per_second: 1.0 / seconds,
            seconds,
            cpu_s: client.cpu_s()?,
        };
        Ok((client, figure))
    }

    fn ask(&mut self, work: &str, count: usize) -> Result<Figure> {
        let (begun, cpu_s) = (Instant::now(), self.cpu_s()?);
        writeln!(self.questions, "{work} {count}")?;
        self.expect("done")?;
        let seconds = begun.elapsed().as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "counts are small")]
        let per_second = count as f64 / seconds;
        Ok(Figure {
            per_second,
            seconds,
            cpu_s: self.cpu_s()? - cpu_s,
        })
    }

    fn expect(&mut self, word: &str) -> Result<()> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        if line.trim() != word {
            bail!("expected `{word}`, and it said `{}`", line.trim());
        }
        Ok(())
    }

    /// Returns the processor's seconds that the system has counted for its threads.
    fn cpu_s(&self) -> Result<f64> {
        let tasks = PathBuf::from(format!("/proc/{}/task", self.child.id()));
        let mut nanoseconds = 0.0;
        for task in std::fs::read_dir(tasks)? {
            let counted = std::fs::read_to_string(task?.path().join("schedstat"))?;
            let first = counted.split(' ').next().unwrap_or_default();
            nanoseconds += first.parse::<f64>()?;
        }
        Ok(nanoseconds / 1e9)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a client took for a work.
#[derive(Clone, Copy, Debug)]
struct Figure {
    per_second: f64,
    seconds: f64,
    cpu_s: f64,
}

/// Something to do, so often that it takes seconds.
struct Work {
    name: &'static str,
    title: &'static str,
    count: usize,
    /// For Telethon, which would take minutes.
    count_telethon: usize,
    /// What one is: its figure is per second of these.
    unit: Unit,
}

#[derive(Clone, Copy)]
enum Unit {
    Call,
    /// In MiB.
    Part(f64),
}

impl Work {
    fn count(&self, client: &str) -> usize {
        if client == TELETHON {
            self.count_telethon
        } else {
            self.count
        }
    }
}

fn render(figures: &BTreeMap<(&str, &str), Vec<Figure>>) -> String {
    let names = [OURS, "grammers", TELETHON];
    let mut text = String::from("| |");
    for name in names {
        let _ = write!(text, " {name} | CPU |");
    }
    text.push_str("\n|");
    text.push_str(&" --- |".repeat(1 + 2 * names.len()));
    let best = |work: &'static str, name: &'static str| {
        let taken = figures.get(&(work, name))?;
        taken
            .iter()
            .copied()
            .max_by(|a, b| a.per_second.total_cmp(&b.per_second))
    };
    text.push_str("\n| from start to first answer |");
    for name in names {
        if let Some(it) = best(START, name) {
            let _ = write!(
                text,
                " {:.0} ms | {:.0} ms |",
                it.seconds * 1e3,
                it.cpu_s * 1e3
            );
        }
    }
    for work in WORKS {
        let _ = write!(text, "\n| {} |", work.title);
        for name in names {
            let Some(it) = best(work.name, name) else {
                continue;
            };
            #[expect(clippy::cast_precision_loss, reason = "counts are small")]
            let count = work.count(name) as f64;
            let _ = match work.unit {
                Unit::Call => write!(
                    text,
                    " {:.0} /s | {:.1} µs each |",
                    it.per_second,
                    it.cpu_s / count * 1e6
                ),
                Unit::Part(mib) => write!(
                    text,
                    " {:.0} MiB/s | {:.2} s |",
                    it.per_second * mib,
                    it.cpu_s
                ),
            };
        }
    }
    text.push('\n');
    text
}

const WORKS: [Work; 3] = [
    Work {
        name: "sequential",
        title: "calls, one after the other",
        count: 20_000,
        count_telethon: 3_000,
        unit: Unit::Call,
    },
    Work {
        name: "in_flight",
        title: "calls, 1,000 in flight",
        count: 100_000,
        count_telethon: 10_000,
        unit: Unit::Call,
    },
    Work {
        name: "download",
        title: "256 MiB in parts of 512 KiB, 4 in flight",
        count: 512,
        count_telethon: 512,
        unit: Unit::Part(0.5),
    },
];

const ROUNDS: usize = 3;
const FILE_BYTES: u64 = 256 << 20;
const START: &str = "start";
const OURS: &str = "heliogram";
const TELETHON: &str = "Telethon";
const TESTBED: &str = "heliogram-testbed";
