//! `heliogram gateway` and `heliogram session` as processes of their own, with real MariaDB, Redis and etcd.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/mod.rs"]
mod support;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use heliogram_client::{Client, DataCentre, Method};
use heliogram_testservices::{Etcd, MariaDb, Redis};

use support::server::Server;

#[tokio::test(flavor = "multi_thread")]
async fn clients_go_on_while_gateways_and_session_nodes_come_and_go() {
    let cluster = Cluster::start();
    let first = cluster.session("s1");
    let _second = cluster.session("s2");
    let one = cluster.gateway("g1", cluster.gateways[0]);
    let _two = cluster.gateway("g2", cluster.gateways[1]);

    let mut clients = Vec::new();
    for _ in 0..8 {
        let client = Client::builder()
            .api_id(4)
            .api_hash("hash")
            .server_key(one.public_key())
            .data_centre(DataCentre::new(2, cluster.gateways));
        let client = in_time(client.connect()).await.unwrap();
        in_time(client.invoke(&GetNearestDc)).await.unwrap();
        clients.push(client);
    }

    end(one);
    for client in &clients {
        in_time(client.invoke(&GetNearestDc)).await.unwrap();
    }

    // Its share is the other's when it has ended.
    end(first);
    for client in &clients {
        in_time(client.invoke(&GetNearestDc)).await.unwrap();
    }

    let _third = cluster.session("s3");
    for client in clients {
        in_time(client.invoke(&GetNearestDc)).await.unwrap();
        client.shutdown().await;
    }
}

#[test]
fn a_gateway_is_ready_only_while_every_session_has_a_node() {
    let cluster = Cluster::start();
    let data = cluster.directory.path().join("g");
    let mut command = cluster.gateway_command("g", cluster.gateways[0]);
    let admin = free_address().to_string();
    command.args(["--admin", &admin]);
    let mut gateway = command.spawn().unwrap();
    until("the gateway answers", || {
        get(&admin, "/ready").contains("not ready: a session node for every session")
    });
    assert!(get(&admin, "/live").starts_with("HTTP/1.1 200"));
    assert!(!data.join("endpoints.json").exists(), "it is not ready");

    let session = cluster.session("s1");
    until("the gateway is ready", || {
        get(&admin, "/ready").starts_with("HTTP/1.1 200") && data.join("endpoints.json").exists()
    });

    // Killed: its lease runs out.
    drop(session);
    until("the gateway misses the node", || {
        get(&admin, "/ready").starts_with("HTTP/1.1 503")
    });
    gateway.kill().unwrap();
    gateway.wait().unwrap();
}

#[test]
fn a_session_node_says_what_its_configuration_lacks() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("heliogram.toml");
    std::fs::write(&config, "").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_heliogram"));
    command.arg("session").arg("--config").arg(&config);
    command.arg("--data").arg(directory.path().join("data"));
    let output = command.output().unwrap();
    assert!(!output.status.success());
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("`store.kind`"), "{error}");
}

/// The databases, etcd, and where gateways are to be.
struct Cluster {
    _mariadb: MariaDb,
    _redis: Redis,
    _etcd: Etcd,
    directory: tempfile::TempDir,
    gateways: [SocketAddr; 2],
}

impl Cluster {
    /// Starts what is not ours, and makes the tables.
    fn start() -> Self {
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
        let text = format!(
            "server_keys = [{:?}]\n\
             [listen]\nadvertise = {gateways:?}\nwebsocket = []\nadmin = '127.0.0.1:0'\n\
             [limits]\nshutdown_grace_s = 6\n\
             [store]\nkind = 'cluster'\nmaster_key_file = {master:?}\nmysql_file = {:?}\nredis_file = {:?}\n\
             [cluster]\netcd = [{:?}]\nlisten = '127.0.0.1:0'\nlease_s = 2\n",
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

    fn session(&self, name: &str) -> Server {
        let data = self.directory.path().join(name);
        let mut command = self.command("session");
        command.args(["--node", name]).arg("--data").arg(&data);
        Server::spawn(&data, &mut command)
    }

    fn gateway(&self, name: &str, address: SocketAddr) -> Server {
        let data = self.directory.path().join(name);
        Server::spawn(&data, &mut self.gateway_command(name, address))
    }

    fn gateway_command(&self, name: &str, address: SocketAddr) -> Command {
        let mut command = self.command("gateway");
        let data: PathBuf = self.directory.path().join(name);
        command.args(["--listen", &address.to_string()]);
        command.arg("--data").arg(data);
        command
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_heliogram"));
        let config = self.directory.path().join("heliogram.toml");
        command.arg(name).arg("--config").arg(config);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }
}

/// Ends a process as an operator does, and waits for it.
fn end(mut server: Server) {
    server.signal("TERM");
    assert!(server.child.wait().unwrap().success());
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

/// Asks an admin address; nothing if nobody is there.
fn get(admin: &str, path: &str) -> String {
    let mut answer = String::new();
    let Ok(mut stream) = TcpStream::connect(admin) else {
        return answer;
    };
    let request = format!("GET {path} HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let patience = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < patience, "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap()
}

/// `help.getNearestDc#1fb33026 = NearestDc`.
struct GetNearestDc;

impl Method for GetNearestDc {
    type Return = Bytes;

    fn to_body(&self) -> Bytes {
        Bytes::copy_from_slice(&0x1fb3_3026_u32.to_le_bytes())
    }

    fn read_result(result: &[u8]) -> Result<Bytes, String> {
        Ok(Bytes::copy_from_slice(result))
    }
}

const PATIENCE: Duration = Duration::from_secs(90);
