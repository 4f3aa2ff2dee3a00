//! SIGHUP: what is read anew without a restart, and what a wrong configuration does then.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/mod.rs"]
mod support;

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use heliogram_crypto::rsa::{PrivateKey, PublicKey};
use heliogram_tl::Serialize;
use heliogram_tl::api::help::GetConfig;

use support::RawClient;
use support::server::{Server, first_call};

#[test]
fn listeners_and_rsa_keys_change_without_a_restart_and_connections_stay() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let config = directory.path().join("heliogram.toml");
    configure(&config, &["127.0.0.1:0"], &[]);
    let server = start(&data, &config);
    let (first, first_key) = (server.tcp(), server.public_key());
    let mut client = RawClient::connect(first, &first_key, None).unwrap();
    let call = first_call(&GetConfig.to_bytes());
    assert!(client.call(&call).unwrap().is_ok());

    let key = PrivateKey::generate().unwrap();
    std::fs::write(
        directory.path().join("new.pem"),
        key.to_pkcs1_pem().unwrap().as_bytes(),
    )
    .unwrap();
    configure(&config, &["127.0.0.1:0", "127.0.0.1:0"], &["new.pem"]);
    server.signal("HUP");
    let both = until(&data, |tcp| tcp.len() == 2);
    assert_eq!(both[0], first, "it stays");
    RawClient::connect(both[1], key.public(), None).unwrap();
    let published = std::fs::read_to_string(data.join("server_public.pem")).unwrap();
    assert_eq!(PublicKey::from_pem(&published).unwrap(), *key.public());

    configure(&config, &["127.0.0.1:0"], &["new.pem"]);
    server.signal("HUP");
    assert_eq!(until(&data, |tcp| tcp.len() == 1), [first]);
    let patience = Instant::now() + PATIENCE;
    while TcpStream::connect(both[1]).is_ok() {
        assert!(Instant::now() < patience, "it goes on listening");
        std::thread::sleep(PAUSE);
    }
    assert!(client.call(&call).unwrap().is_ok(), "it was not cut");
}

#[test]
fn what_is_wrong_when_it_is_read_anew_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let config = directory.path().join("heliogram.toml");
    configure(&config, &["127.0.0.1:0"], &[]);
    let server = start(&data, &config);

    replace(&config, "listen = 3");
    server.signal("HUP");
    configure(&config, &["127.0.0.1:0"], &["missing.pem"]);
    server.signal("HUP");
    // Signals come in order, or as one: once this has been seen, so have the others.
    configure(&config, &["127.0.0.1:0", "127.0.0.1:0"], &[]);
    let patience = Instant::now() + PATIENCE;
    while tcp(&data).len() == 1 {
        assert!(Instant::now() < patience, "nothing is read any more");
        server.signal("HUP");
        std::thread::sleep(PAUSE);
    }
    RawClient::connect(server.tcp(), &server.public_key(), None).unwrap();
}

fn start(data: &Path, config: &Path) -> Server {
    let mut command = Command::new(env!("CARGO_BIN_EXE_heliogram"));
    command.arg("serve").arg("--data").arg(data);
    command.arg("--config").arg(config);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    Server::spawn(data, &mut command)
}

fn configure(config: &Path, tcp: &[&str], keys: &[&str]) {
    let keys: Vec<_> = keys.iter().map(|key| config.with_file_name(key)).collect();
    let text = format!(
        "server_keys = {keys:?}\n[listen]\ntcp = {tcp:?}\nwebsocket = []\nadmin = '127.0.0.1:0'\n"
    );
    replace(config, &text);
}

/// Whole or not at all: the process may read it at any moment.
fn replace(config: &Path, text: &str) {
    let new = config.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, config).unwrap();
}

/// Waits until the process says that it listens so; returns where.
fn until(data: &Path, is_so: impl Fn(&[SocketAddr]) -> bool) -> Vec<SocketAddr> {
    let patience = Instant::now() + PATIENCE;
    loop {
        let tcp = tcp(data);
        if is_so(&tcp) {
            return tcp;
        }
        assert!(Instant::now() < patience, "{tcp:?}");
        std::thread::sleep(PAUSE);
    }
}

fn tcp(data: &Path) -> Vec<SocketAddr> {
    let endpoints = std::fs::read(data.join("endpoints.json")).unwrap();
    let endpoints: serde_json::Value = serde_json::from_slice(&endpoints).unwrap();
    let tcp = endpoints.pointer("/tcp").unwrap().as_array().unwrap();
    let address = |it: &serde_json::Value| it.as_str().unwrap().parse().unwrap();
    tcp.iter().map(address).collect()
}

const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(5);
