//! etcd, a cluster of one member.

use std::ffi::OsString;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use crate::server::{Server, directory, find, free_port, wait_until};

/// An etcd server. It ends when it is dropped, or with the program.
#[derive(Debug)]
pub struct Etcd {
    dir: PathBuf,
    port: u16,
    /// What members have for each other, and what tells whether it is well: never encrypted.
    inner_ports: [u16; 2],
    tls: Option<EtcdTls>,
    server: Option<Server>,
}

/// Certificates, as PEM, by which etcd is reached, and which whoever reaches it must have.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "what TLS needs")]
pub struct EtcdTls {
    /// Of the authority.
    pub authority: PathBuf,
    /// Of the server, for 127.0.0.1.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl Etcd {
    /// Starts a server of one's own, and returns once it answers.
    ///
    /// # Errors
    ///
    /// When etcd is not installed, or does not start.
    pub fn start() -> io::Result<Self> {
        Self::start_as(None)
    }

    /// Starts a server that is spoken to with certificates only.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_with(tls: EtcdTls) -> io::Result<Self> {
        Self::start_as(Some(tls))
    }

    /// Returns a server that all tests of this program share: for those that leave it alone, each under its own name.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn shared() -> io::Result<&'static Self> {
        static SHARED: OnceLock<Result<Etcd, String>> = OnceLock::new();
        let shared = SHARED.get_or_init(|| Self::start().map_err(|error| error.to_string()));
        shared
            .as_ref()
            .map_err(|error| io::Error::other(error.clone()))
    }

    /// Returns where it is: `http://127.0.0.1:port`, or `https` with certificates.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    /// Kills it (`SIGKILL`); its data stay.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn kill(&mut self) -> io::Result<()> {
        self.server.take().map_or(Ok(()), Server::kill)
    }

    /// Starts it with its data at the same port, and returns once it answers.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_again(&mut self) -> io::Result<()> {
        self.kill()?;
        let program = find("etcd", "etcd-server")?;
        let [peers, health] = self
            .inner_ports
            .map(|port| format!("http://127.0.0.1:{port}"));
        let cluster = format!("default={peers}");
        let data = self.dir.join("data");
        let url = self.url();
        let mut arguments: Vec<OsString> = vec!["--data-dir".into(), data.into()];
        let others = [
            ("--listen-client-urls", &url),
            ("--advertise-client-urls", &url),
            ("--listen-peer-urls", &peers),
            ("--initial-advertise-peer-urls", &peers),
            ("--initial-cluster", &cluster),
            ("--listen-metrics-urls", &health),
        ];
        for (name, value) in others {
            arguments.extend([name.into(), value.into()]);
        }
        if let Some(tls) = &self.tls {
            arguments.push("--client-cert-auth".into());
            let files = [
                ("--trusted-ca-file", &tls.authority),
                ("--cert-file", &tls.certificate),
                ("--key-file", &tls.key),
            ];
            for (name, path) in files {
                arguments.extend([name.into(), path.into()]);
            }
        }
        self.server = Some(Server::start(&self.dir, &program, &arguments)?);
        wait_until(&self.dir, || self.is_well())
    }

    /// Kills it, and starts it again without its data: another etcd in the same place.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start), and when the data can't be removed.
    pub fn start_anew(&mut self) -> io::Result<()> {
        self.kill()?;
        std::fs::remove_dir_all(self.dir.join("data"))?;
        self.start_again()
    }

    /// Lets nobody in any more but the user `root` with this password. Only without certificates.
    ///
    /// # Errors
    ///
    /// When it does not answer, or refuses.
    pub fn require_password(&self, password: &str) -> io::Result<()> {
        let root = format!(r#"{{"name":"root","password":"{password}"}}"#);
        self.post("/v3/auth/user/add", &root)?;
        self.post("/v3/auth/role/add", r#"{"name":"root"}"#)?;
        self.post("/v3/auth/user/grant", r#"{"user":"root","role":"root"}"#)?;
        self.post("/v3/auth/enable", "{}")
    }

    /// Has it forget what was before a revision: who asks for a change of then is told that it is gone. Only without
    /// certificates.
    ///
    /// # Errors
    ///
    /// When it does not answer, or has no such revision any more, or not yet.
    pub fn compact(&self, revision: u64) -> io::Result<()> {
        let request = format!(r#"{{"revision":"{revision}","physical":true}}"#);
        self.post("/v3/kv/compaction", &request)
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

    fn start_as(tls: Option<EtcdTls>) -> io::Result<Self> {
        let mut etcd = Self {
            dir: directory("etcd")?,
            port: free_port()?,
            inner_ports: [free_port()?, free_port()?],
            tls,
            server: None,
        };
        etcd.start_again()?;
        Ok(etcd)
    }

    fn is_well(&self) -> io::Result<bool> {
        let [_, port] = self.inner_ports;
        let answer = ask(port, "GET /health HTTP/1.0\r\n\r\n")?;
        Ok(answer.contains(r#"{"health":"true"}"#))
    }

    fn post(&self, path: &str, body: &str) -> io::Result<()> {
        let length = body.len();
        let request = format!("POST {path} HTTP/1.0\r\nContent-Length: {length}\r\n\r\n{body}");
        let answer = ask(self.port, &request)?;
        let is_done = answer.starts_with("HTTP/1.0 200");
        is_done
            .then_some(())
            .ok_or_else(|| io::Error::other(answer))
    }
}

/// Sends a request, and returns the beginning of the answer.
fn ask(port: u16, request: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(4096).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

impl Drop for Etcd {
    fn drop(&mut self) {
        drop(self.server.take());
        // One that was killed has left its directory.
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

const PATIENCE: Duration = Duration::from_secs(5);
