//! Starts a real server, and ends it in every way that a server ends.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// A running server with a data directory of its own. Killed when dropped.
#[derive(Debug)]
pub struct Server {
    kind: Kind,
    child: Child,
    dir: TempDir,
    endpoints: Endpoints,
}

/// What is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// `heliogram serve`.
    Serve,
    /// `examples/own_backend.rs`, which writes the entry of every call that it runs to `ledger.txt`.
    Ledger,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Endpoints {
    tcp: Vec<String>,
    websocket: Vec<String>,
    /// Only `heliogram serve` has one.
    admin: Option<String>,
}

impl Server {
    /// Starts `heliogram serve` on free ports and waits until it is ready.
    ///
    /// # Panics
    ///
    /// When it isn't ready in time; the message holds its output.
    #[must_use]
    pub fn start() -> Self {
        Self::start_kind(Kind::Serve)
    }

    /// Starts `heliogram serve` with this configuration, in a directory of the caller's; what the configuration says of the
    /// data directory and of where the server listens does not count.
    ///
    /// # Panics
    ///
    /// When it isn't ready in time; the message holds its output.
    #[must_use]
    pub fn start_configured(dir: TempDir, config: &str) -> Self {
        let written = std::fs::write(dir.path().join(CONFIG), config);
        expect(written, "write the configuration");
        Self::start_in(Kind::Serve, dir)
    }

    /// Starts the example whose backend keeps a ledger of the calls that it ran, and waits until it is ready.
    ///
    /// # Panics
    ///
    /// When it isn't ready in time; the message holds its output.
    #[must_use]
    pub fn start_ledger() -> Self {
        Self::start_kind(Kind::Ledger)
    }

    fn start_kind(kind: Kind) -> Self {
        Self::start_in(kind, expect(tempfile::tempdir(), "make a directory"))
    }

    fn start_in(kind: Kind, dir: TempDir) -> Self {
        let free = "127.0.0.1:0".to_owned();
        let wanted = Endpoints {
            tcp: vec![free.clone()],
            websocket: vec![free.clone()],
            admin: (kind == Kind::Serve).then_some(free),
        };
        let (child, endpoints) = launch(kind, dir.path(), &wanted);
        Self {
            kind,
            child,
            dir,
            endpoints,
        }
    }

    /// Ends the server as a power cut would, as far as the process can tell: `SIGKILL`.
    ///
    /// # Panics
    ///
    /// When it has already ended.
    pub fn kill(&mut self) {
        assert_eq!(
            expect(self.child.try_wait(), "ask for the server"),
            None,
            "the server has ended by itself"
        );
        expect(self.child.kill(), "kill the server");
        expect(self.child.wait(), "wait for the server");
    }

    /// Asks the server to end, with `SIGTERM`, and returns whether it says that all went well.
    ///
    /// # Panics
    ///
    /// When it is still there after half a minute.
    pub fn terminate(&mut self) -> bool {
        let pid = self.child.id().to_string();
        expect(
            Command::new("kill").args(["-TERM", &pid]).status(),
            "run kill",
        );
        let start = Instant::now();
        loop {
            if let Some(status) = expect(self.child.try_wait(), "ask for the server") {
                return status.success();
            }
            assert!(
                start.elapsed() < PATIENCE,
                "still there {PATIENCE:?} after SIGTERM\n{}",
                self.log()
            );
            std::thread::sleep(POLL);
        }
    }

    /// Starts the server again, with the same data and on the same ports.
    ///
    /// # Panics
    ///
    /// When it isn't ready in time, or listens elsewhere.
    pub fn restart(&mut self) {
        let (child, endpoints) = launch(self.kind, self.dir.path(), &self.endpoints);
        // The WebSocket port of the ledger is any free one.
        assert_eq!(
            endpoints.tcp, self.endpoints.tcp,
            "after a restart it listens where it listened"
        );
        self.child = child;
    }

    /// Returns the address at which it takes TCP connections.
    #[must_use]
    pub fn tcp(&self) -> &str {
        self.endpoints.tcp.first().map_or("", String::as_str)
    }

    /// Returns the data directory, with `endpoints.json` and `server_public.pem`.
    ///
    /// # Panics
    ///
    /// When its path is no UTF-8.
    #[must_use]
    pub fn data(&self) -> &str {
        expect(
            self.dir.path().to_str().ok_or("not UTF-8"),
            "name the directory",
        )
    }

    /// Returns the entries of the calls that were run, in order; only a ledger has some.
    ///
    /// # Panics
    ///
    /// When they can't be read.
    #[must_use]
    pub fn ledger(&self) -> Vec<i64> {
        let text = std::fs::read_to_string(self.dir.path().join("ledger.txt"));
        let entries = expect(text, "read the ledger");
        entries
            .lines()
            .map(|line| expect(line.parse(), "read an entry"))
            .collect()
    }

    /// Returns what the server wrote to its standard output since its last start.
    ///
    /// # Panics
    ///
    /// When it can't be read.
    #[must_use]
    pub fn stdout(&self) -> String {
        expect(
            std::fs::read_to_string(self.dir.path().join(STDOUT)),
            STDOUT,
        )
    }

    fn log(&self) -> String {
        log(self.dir.path())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail if it has ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!(
                "--- the server's output since its last start\n{}",
                self.log()
            );
        }
    }
}

#[expect(clippy::panic, reason = "this is a test")]
fn launch(kind: Kind, dir: &Path, wanted: &Endpoints) -> (Child, Endpoints) {
    let endpoints_file = dir.join("endpoints.json");
    // What a killed server left behind would tell of readiness too early.
    let _ = std::fs::remove_file(&endpoints_file);

    let mut command = match kind {
        Kind::Serve => serve(dir, wanted),
        Kind::Ledger => ledger(dir, wanted),
    };
    command.stdin(Stdio::null());
    command.stdout(expect(File::create(dir.join(STDOUT)), STDOUT));
    command.stderr(expect(File::create(dir.join(STDERR)), STDERR));
    let mut child = expect(command.spawn(), "start the server");

    let start = Instant::now();
    loop {
        if let Some(endpoints) =
            read_endpoints(&endpoints_file).filter(|it| it.admin.as_deref().is_none_or(is_ready))
        {
            return (child, endpoints);
        }
        let ended = expect(child.try_wait(), "ask for the server");
        assert!(
            ended.is_none(),
            "the server ended with {ended:?}\n{}",
            log(dir)
        );
        if start.elapsed() > PATIENCE {
            let _ = child.kill();
            let _ = child.wait();
            break;
        }
        std::thread::sleep(POLL);
    }
    panic!("not ready after {PATIENCE:?}\n{}", log(dir));
}

fn serve(dir: &Path, wanted: &Endpoints) -> Command {
    let mut command = Command::new(binary());
    command.arg("serve").arg("--data").arg(dir);
    let config = dir.join(CONFIG);
    if config.exists() {
        command.arg("--config").arg(config);
    }
    let options = [
        ("--listen", &wanted.tcp),
        ("--ws-listen", &wanted.websocket),
    ];
    for (option, addresses) in options {
        command.args(addresses.iter().flat_map(|address| [option, address]));
    }
    command.args(wanted.admin.iter().flat_map(|address| ["--admin", address]));
    command
}

fn ledger(dir: &Path, wanted: &Endpoints) -> Command {
    let mut command = Command::new(own_backend());
    command.arg(dir).args(&wanted.tcp);
    command
}

fn read_endpoints(path: &Path) -> Option<Endpoints> {
    let value: Value = serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()?;
    let list = |name: &str| -> Option<Vec<String>> {
        value
            .get(name)?
            .as_array()?
            .iter()
            .map(|address| address.as_str().map(str::to_owned))
            .collect()
    };
    Some(Endpoints {
        tcp: list("tcp")?,
        websocket: list("websocket")?,
        admin: value
            .get("admin")
            .and_then(|it| Some(it.as_str()?.to_owned())),
    })
}

fn is_ready(admin: &str) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(admin)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(
            stream,
            "GET /ready HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

fn log(dir: &Path) -> String {
    let read = |name: &str| std::fs::read_to_string(dir.join(name)).unwrap_or_default();
    format!("{}{}", read(STDOUT), read(STDERR))
}

/// Returns the program `heliogram`: xtask's, or one that is built now.
///
/// # Panics
///
/// When it can't be built.
#[must_use]
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| built("HELIOGRAM_BIN", &["--package", "heliogram"], "heliogram"))
}

/// Returns the example with a ledger.
fn own_backend() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let what = [
            "--package",
            "heliogram-examples",
            "--example",
            "own_backend",
        ];
        built("HELIOGRAM_OWN_BACKEND", &what, "examples/own_backend")
    })
}

/// Returns the example of a backend in Rust.
#[must_use]
pub fn rust_backend() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let what = ["--package", "heliogram-examples", "--example", "backend"];
        built("HELIOGRAM_RUST_BACKEND", &what, "examples/backend")
    })
}

/// Returns a program that xtask has built and names in `variable`; without xtask, builds it.
fn built(variable: &str, what: &[&str], name: &str) -> PathBuf {
    if let Some(binary) = std::env::var_os(variable) {
        return binary.into();
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = expect(
        Command::new(cargo).arg("build").args(what).status(),
        "run cargo",
    );
    assert!(built.success(), "the server can't be built");
    // This test program is target/debug/deps/NAME.
    let own = expect(std::env::current_exe(), "find this program");
    let profile_dir = own
        .ancestors()
        .nth(2)
        .map_or_else(PathBuf::new, Path::to_path_buf);
    profile_dir.join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}

/// What all of this does on failure: say what, and end the test.
#[expect(clippy::panic, reason = "this is a test")]
pub(crate) fn expect<T, E: std::fmt::Display>(result: Result<T, E>, what: &str) -> T {
    result.unwrap_or_else(|error| panic!("can't {what}: {error}"))
}

const CONFIG: &str = "heliogram.toml";
const STDOUT: &str = "stdout.log";
const STDERR: &str = "stderr.log";
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(10);
