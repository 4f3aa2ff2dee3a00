//! MariaDB, as durable as in production.

use std::io::{self, Read as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use crate::server::{Server, directory, find, free_port, run, wait_until};

/// A MariaDB server with an empty database `heliogram`, and a user who may do everything. It ends when it
/// is dropped, or with the program.
#[derive(Debug)]
pub struct MariaDb {
    dir: PathBuf,
    port: u16,
    server: Option<Server>,
}

impl MariaDb {
    /// Starts a server of one's own, and returns once it takes connections.
    ///
    /// # Errors
    ///
    /// When MariaDB is not installed, or does not start.
    pub fn start() -> io::Result<Self> {
        // First of all: it takes the directory along if anything fails.
        let mut mariadb = Self {
            dir: directory("mariadb")?,
            port: free_port()?,
            server: None,
        };
        let dir = &mariadb.dir;
        std::fs::write(dir.join("init.sql"), INIT)?;
        // Of its own: a server that starts clears away what others have in a common one.
        std::fs::create_dir(dir.join("tmp"))?;
        let mut install = Command::new(find("mariadb-install-db", PACKAGE)?);
        install
            .args([
                "--no-defaults",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                SMALL_LOG,
            ])
            .arg(format!("--datadir={}", dir.join("data").display()))
            .env("TMPDIR", dir.join("tmp"))
            .arg(format!("--tmpdir={}", dir.join("tmp").display()));
        if is_root()? {
            install.arg("--user=root");
        }
        run(&mut install)?;
        mariadb.start_again()?;
        Ok(mariadb)
    }

    /// Returns a server that all tests of this program share: for those that leave it alone.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn shared() -> io::Result<&'static Self> {
        static SHARED: OnceLock<Result<MariaDb, String>> = OnceLock::new();
        let shared = SHARED.get_or_init(|| Self::start().map_err(|error| error.to_string()));
        shared
            .as_ref()
            .map_err(|error| io::Error::other(error.clone()))
    }

    /// Returns where its database is: `mysql://user:password@127.0.0.1:port/heliogram`.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_of("heliogram")
    }

    /// Returns where a database of another name is, or would be.
    #[must_use]
    pub fn url_of(&self, database: &str) -> String {
        format!(
            "mysql://heliogram:secret@127.0.0.1:{}/{database}",
            self.port
        )
    }

    /// Kills it (`SIGKILL`); its data stay.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn kill(&mut self) -> io::Result<()> {
        self.server.take().map_or(Ok(()), Server::kill)
    }

    /// Starts it with its data at the same port, and returns once it takes connections.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_again(&mut self) -> io::Result<()> {
        self.kill()?;
        let dir = self.dir.display();
        let mut arguments = vec![
            "--no-defaults".to_owned(),
            format!("--datadir={dir}/data"),
            format!("--tmpdir={dir}/tmp"),
            format!("--socket={dir}/socket"),
            format!("--pid-file={dir}/pid"),
            format!("--init-file={dir}/init.sql"),
            format!("--port={}", self.port),
            "--bind-address=127.0.0.1".to_owned(),
            "--skip-name-resolve".to_owned(),
            "--innodb-buffer-pool-size=32M".to_owned(),
            SMALL_LOG.to_owned(),
        ];
        if is_root()? {
            arguments.push("--user=root".to_owned());
        }
        let arguments: Vec<_> = arguments.into_iter().map(Into::into).collect();
        let program = find("mariadbd", PACKAGE)?;
        self.server = Some(Server::start(&self.dir, &program, &arguments)?);
        // Its first words come once it is ready: init.sql has been carried out then.
        wait_until(&self.dir, || {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
            stream.set_read_timeout(Some(Duration::from_secs(1)))?;
            Ok(stream.read(&mut [0; 16])? > 0)
        })
    }

    /// Returns the paths of all its files.
    ///
    /// # Errors
    ///
    /// When a directory can't be read.
    pub fn files(&self) -> io::Result<Vec<PathBuf>> {
        let (mut files, mut directories) = (Vec::new(), vec![self.dir.clone()]);
        while let Some(directory) = directories.pop() {
            for entry in std::fs::read_dir(directory)? {
                let entry = entry?;
                let kind = entry.file_type()?;
                if kind.is_dir() {
                    directories.push(entry.path());
                } else if kind.is_file() {
                    files.push(entry.path());
                }
            }
        }
        Ok(files)
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
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        drop(self.server.take());
        // One that was killed has left its directory.
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// MariaDB refuses to run as root unless it is told to.
fn is_root() -> io::Result<bool> {
    Ok(Command::new("id").arg("-u").output()?.stdout == b"0\n")
}

const PACKAGE: &str = "mariadb-server-core mariadb-client-core";

/// The log is as durable as any, but need not be made 96 MiB long first.
const SMALL_LOG: &str = "--innodb-log-file-size=8M";

const INIT: &str = "\
CREATE DATABASE IF NOT EXISTS heliogram;
CREATE USER IF NOT EXISTS heliogram IDENTIFIED BY 'secret';
GRANT ALL ON *.* TO heliogram;
";
