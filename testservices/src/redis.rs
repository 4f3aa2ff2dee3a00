//! Redis, without a file of its own: a restart is a flush.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use crate::server::{Server, directory, find, free_port, wait_until};

/// A Redis server. It ends when it is dropped, or with the program.
#[derive(Debug)]
pub struct Redis {
    dir: PathBuf,
    port: u16,
    server: Option<Server>,
}

impl Redis {
    /// Starts a server of one's own, and returns once it answers.
    ///
    /// # Errors
    ///
    /// When Redis is not installed, or does not start.
    pub fn start() -> io::Result<Self> {
        let (dir, port) = (directory("redis")?, free_port()?);
        let mut redis = Self {
            dir,
            port,
            server: None,
        };
        redis.start_again()?;
        Ok(redis)
    }

    /// Returns a server that all tests of this program share: for those that leave it alone.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn shared() -> io::Result<&'static Self> {
        static SHARED: OnceLock<Result<Redis, String>> = OnceLock::new();
        let shared = SHARED.get_or_init(|| Self::start().map_err(|error| error.to_string()));
        shared
            .as_ref()
            .map_err(|error| io::Error::other(error.clone()))
    }

    /// Returns where it is: `redis://127.0.0.1:port`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Kills it; its data are gone.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn kill(&mut self) -> io::Result<()> {
        self.server.take().map_or(Ok(()), Server::kill)
    }

    /// Starts it, empty, at the same port, and returns once it answers.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_again(&mut self) -> io::Result<()> {
        self.kill()?;
        let program = find("redis-server", "redis-server")?;
        let arguments = [
            "--port",
            &self.port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
        ];
        let mut arguments = arguments.map(Into::into).to_vec();
        arguments.extend(["--dir".into(), self.dir.clone().into_os_string()]);
        self.server = Some(Server::start(&self.dir, &program, &arguments)?);
        wait_until(&self.dir, || {
            self.ask("PING").map(|answer| answer.starts_with("+PONG"))
        })
    }

    /// Stops it in the middle of what it does (`SIGSTOP`): it still takes connections, and answers nothing.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn freeze(&self) -> io::Result<()> {
        self.server
            .as_ref()
            .map_or(Ok(()), |server| server.signal("STOP"))
    }

    /// Lets it go on.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn thaw(&self) -> io::Result<()> {
        self.server
            .as_ref()
            .map_or(Ok(()), |server| server.signal("CONT"))
    }

    /// Sends a command in its inline form, and returns the beginning of its answer as it came.
    ///
    /// # Errors
    ///
    /// When the server is not there, or does not answer within a second.
    pub fn ask(&self, command: &str) -> io::Result<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(format!("{command}\r\n").as_bytes())?;
        let mut answer = [0; 4096];
        let length = stream.read(&mut answer)?;
        Ok(String::from_utf8_lossy(answer.get(..length).unwrap_or_default()).into_owned())
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        drop(self.server.take());
        // One that was killed has left its directory.
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}
