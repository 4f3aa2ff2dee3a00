//! Processes of a cluster, with real MariaDB, Redis and etcd.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use heliogram_testservices::{Etcd, MariaDb, Redis};

use super::server::Server;

/// The databases, etcd, and where gateways are to be.
pub(crate) struct Cluster {
    _mariadb: MariaDb,
    _redis: Redis,
    _etcd: Etcd,
    pub(crate) directory: tempfile::TempDir,
    pub(crate) gateways: [SocketAddr; 2],
}

impl Cluster {
    /// Starts what is not ours, and makes the tables.
    pub(crate) fn start() -> Self {
        Self::with("")
    }

    /// As [`start`](Self::start), with more in the configuration: first of all in `[cluster]`. `DIRECTORY` stands for where all
    /// files are.
    pub(crate) fn with(more: &str) -> Self {
        let mariadb = MariaDb::start().unwrap();
        let (redis, etcd) = (Redis::start().unwrap(), Etcd::start().unwrap());
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let master = path("master.key");
        std::fs::write(&master, format!("1 {}\n", "5a".repeat(32))).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&master, mode).unwrap();
        std::fs::write(path("mysql.url"), mariadb.url()).unwrap();
        std::fs::write(path("redis.url"), redis.url()).unwrap();
        let key = heliogram_crypto::rsa::PrivateKey::generate().unwrap();
        let key = key.to_pkcs1_pem().unwrap();
        std::fs::write(path("server.pem"), key.as_bytes()).unwrap();
        let gateways = [free_address(), free_address()];
        let more = more.replace("DIRECTORY", directory.path().to_str().unwrap());
        let text = format!(
            "server_keys = [{:?}]\n\
             [listen]\nadvertise = {gateways:?}\nwebsocket = []\nadmin = '127.0.0.1:0'\n\
             [limits]\nshutdown_grace_s = 6\n\
             [store]\nkind = 'cluster'\nmaster_key_file = {master:?}\nmysql_file = {:?}\nredis_file = {:?}\n\
             [cluster]\netcd = [{:?}]\nlisten = '127.0.0.1:0'\nlease_s = 2\n{more}",
            path("server.pem"),
            path("mysql.url"),
            path("redis.url"),
            etcd.url(),
        );
        // Addresses are text in TOML.
        let listed = gateways.map(|address| format!("{:?}", address.to_string()));
        let text = text.replace(
            &format!("{gateways:?}"),
            &format!("[{}]", listed.join(", ")),
        );
        std::fs::write(path("heliogram.toml"), text).unwrap();
        let cluster = Self {
            _mariadb: mariadb,
            _redis: redis,
            _etcd: etcd,
            directory,
            gateways,
        };
        let migrated = cluster.command("migrate").output().unwrap();
        assert!(migrated.status.success());
        cluster
    }

    pub(crate) fn session(&self, name: &str) -> Server {
        let data = self.directory.path().join(name);
        let mut command = self.command("session");
        command.args(["--node", name]).arg("--data").arg(&data);
        Server::spawn(&data, &mut command)
    }

    pub(crate) fn gateway(&self, name: &str, address: SocketAddr) -> Server {
        let data = self.directory.path().join(name);
        Server::spawn(&data, &mut self.gateway_command(name, address))
    }

    pub(crate) fn gateway_command(&self, name: &str, address: SocketAddr) -> Command {
        let mut command = self.command("gateway");
        let data: PathBuf = self.directory.path().join(name);
        command.args(["--listen", &address.to_string()]);
        command.arg("--data").arg(data);
        command
    }

    /// Returns what all processes have logged, at every level.
    pub(crate) fn log(&self) -> String {
        let log = std::fs::read(self.directory.path().join("log"));
        String::from_utf8_lossy(&log.unwrap()).into_owned()
    }

    pub(crate) fn command(&self, name: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_heliogram"));
        let config = self.directory.path().join("heliogram.toml");
        command.arg(name).arg("--config").arg(config);
        let log = self.directory.path().join("log");
        let log = File::options().create(true).append(true).open(log).unwrap();
        command.stdout(Stdio::null()).stderr(log);
        command.env("HELIOGRAM_LOG", "trace");
        command
    }
}

/// Ends a process as an operator does, and waits for it.
pub(crate) fn end(mut server: Server) {
    server.signal("TERM");
    assert!(server.child.wait().unwrap().success());
}

pub(crate) fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

/// Asks an admin address; nothing if nobody is there.
pub(crate) fn get(admin: &str, path: &str) -> String {
    let mut answer = String::new();
    let Ok(mut stream) = TcpStream::connect(admin) else {
        return answer;
    };
    let request = format!("GET {path} HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

pub(crate) fn until(what: &str, is_so: impl Fn() -> bool) {
    let patience = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < patience, "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub(crate) const PATIENCE: Duration = Duration::from_secs(90);
