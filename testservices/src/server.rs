//! A server process that can't outlive the test program, its directory, and its port.

use std::ffi::OsString;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Waits for the end of its input, which comes when the test program ends; then kills the server, and removes its
/// directory unless it is told to keep it. Signals of a terminal, which reach it too, are left to the test program.
const GUARD: &str = r#"
trap '' INT TERM HUP
dir=$1; shift
"$@" >>"$dir/log" 2>&1 </dev/null &
echo $!
read -r word
kill -9 $!
wait
[ "$word" = keep ] || rm -rf -- "$dir"
"#;

/// A running server, whatever program it is. Ended when it is dropped, or with the test program; its directory goes with it.
#[derive(Debug)]
pub struct Server {
    guard: Child,
    pid: String,
}

impl Server {
    /// Starts a program whose output goes to `log` in its directory.
    ///
    /// # Errors
    ///
    /// When the system refuses. A program that isn't there shows in the log only.
    pub fn start(dir: &Path, program: &str, arguments: &[OsString]) -> io::Result<Self> {
        let mut guard = Command::new("sh")
            .args(["-c", GUARD, "guard"])
            .arg(dir)
            .arg(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut pid = String::new();
        let stdout = guard.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        BufReader::new(stdout).read_line(&mut pid)?;
        let pid = pid.trim().to_owned();
        Ok(Self { guard, pid })
    }

    /// Kills the server (`SIGKILL`), keeps its directory, and returns once it is gone.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn kill(mut self) -> io::Result<()> {
        if let Some(stdin) = &mut self.guard.stdin {
            stdin.write_all(b"keep\n")?;
        }
        self.guard.wait().map(drop)
    }

    /// Sends a signal by its name, such as `TERM`.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn signal(&self, name: &str) -> io::Result<()> {
        run(Command::new("kill").args(["-s", name, &self.pid]))
    }

    /// Tells whether the program has ended by itself, or by a signal.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        // Its parent waits for it only after its own end: until then it is a zombie.
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid));
        stat.map_or(true, |stat| {
            stat.rsplit(')')
                .next()
                .is_some_and(|rest| rest.trim_start().starts_with('Z'))
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        // It may be gone already; there is nobody to tell.
        let _ = self.guard.wait();
    }
}

/// Runs a command to its end.
///
/// # Errors
///
/// When it can't be started, or fails; then with what it wrote.
pub(crate) fn run(command: &mut Command) -> io::Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    let (out, err) = (&output.stdout, &output.stderr);
    let (out, err) = (String::from_utf8_lossy(out), String::from_utf8_lossy(err));
    let program = command.get_program().display();
    Err(io::Error::other(format!("{program} failed: {out}{err}")))
}

/// Finds a program in `PATH` or where Debian puts servers.
///
/// # Errors
///
/// When it isn't there; the message says which package has it.
pub(crate) fn find(program: &str, package: &str) -> io::Result<String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/usr/local/sbin".into()])
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.is_file());
    found
        .and_then(|found| found.into_os_string().into_string().ok())
        .ok_or_else(|| {
            let message = format!("{program} is missing; on Debian: apt-get install {package}");
            io::Error::new(io::ErrorKind::NotFound, message)
        })
}

/// Makes a directory for one server.
pub(crate) fn directory(name: &str) -> io::Result<PathBuf> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let (count, pid) = (COUNT.fetch_add(1, Ordering::Relaxed), std::process::id());
    let directory = std::env::temp_dir().join(format!("heliogram-{name}-{pid}-{count}"));
    std::fs::create_dir_all(&directory)?;
    Ok(directory)
}

/// Returns a port that nobody has now, and that the system gives to nobody who asks for any: a server that is started
/// again finds it free.
///
/// # Errors
///
/// When there is none.
pub fn free_port() -> io::Result<u16> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    // Two programs begin apart; within one, no port comes twice before all have.
    let begin = std::process::id().wrapping_mul(PORTS_APART);
    let mut ports = (0..PORTS).map(|_| {
        let at = begin.wrapping_add(COUNT.fetch_add(1, Ordering::Relaxed)) % PORTS;
        FIRST_PORT.saturating_add(u16::try_from(at).unwrap_or(0))
    });
    ports.find(is_free).ok_or(io::ErrorKind::AddrInUse.into())
}

/// Waits until a server says that it is there.
///
/// # Errors
///
/// When it does not within a minute; the message holds the end of its log.
pub(crate) fn wait_until(dir: &Path, is_there: impl Fn() -> io::Result<bool>) -> io::Result<()> {
    let start = Instant::now();
    while !is_there().unwrap_or(false) {
        if start.elapsed() > START_MAX {
            let log = std::fs::read_to_string(dir.join("log")).unwrap_or_default();
            let mut tail: Vec<_> = log.lines().rev().take(10).collect();
            tail.reverse();
            let message = format!("the server does not start: {}", tail.join("\n"));
            return Err(io::Error::new(io::ErrorKind::TimedOut, message));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// Below those that Linux gives to whoever asks for any, from 32768 on.
const FIRST_PORT: u16 = 12_000;
const PORTS: u32 = 20_000;
const PORTS_APART: u32 = 61;

/// How long a server may take to start.
const START_MAX: Duration = Duration::from_secs(60);
