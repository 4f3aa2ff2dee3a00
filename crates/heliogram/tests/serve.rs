//! The whole binary from outside: `heliogram serve` in a process of its own, and a client that makes a key.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

#[path = "support/mod.rs"]
mod support;

use std::io::Read;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use heliogram_crypto::rsa::PublicKey;
use heliogram_tl::api::help::{GetConfig, GetNearestDc};
use heliogram_tl::api::{Config, InitConnection, InvokeWithLayer, NearestDc};
use heliogram_tl::mtproto::{Ping, Pong};
use heliogram_tl::{Deserialize, Serialize};

use support::RawClient;

#[test]
fn a_client_makes_a_key_calls_comes_back_and_calls_again() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path(), &[]);

    let mut client = RawClient::connect(server.tcp(), &server.public_key(), Some(4)).unwrap();
    let config = client
        .call(&first_call(&GetConfig.to_bytes()))
        .unwrap()
        .unwrap();
    let config = Config::from_bytes(&config).unwrap();
    let login = client.login.clone();
    drop(client);
    let mut client = RawClient::resume(server.tcp(), login).unwrap();
    let nearest = client
        .call(&first_call(&GetNearestDc.to_bytes()))
        .unwrap()
        .unwrap();

    assert_eq!(config.this_dc, 4);
    let port = i32::from(server.tcp().port());
    assert!(
        config
            .dc_options
            .iter()
            .any(|option| option.id == 4 && option.port == port)
    );
    assert_eq!(NearestDc::from_bytes(&nearest).unwrap().nearest_dc, 4);
}

#[test]
fn a_key_for_a_data_centre_that_is_not_served_is_refused_with_444() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path(), &[]);

    for named in [5, -5, 10_005, -10_005] {
        RawClient::connect(server.tcp(), &server.public_key(), Some(named)).unwrap();
    }
    for named in [6, -6, 10_006, 0] {
        let refused = RawClient::connect(server.tcp(), &server.public_key(), Some(named));
        let error = refused.err().unwrap().to_string();
        let code = format!("a transport error: {:?}", (-444_i32).to_le_bytes());
        assert_eq!(error, code, "{named}");
    }
}

#[test]
fn a_key_survives_a_killed_server() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path(), &[]);
    let login = RawClient::connect(server.tcp(), &server.public_key(), None)
        .unwrap()
        .login;
    let key = server.public_key();
    drop(server);

    let server = Server::start(directory.path(), &[]);
    let mut client = RawClient::resume(server.tcp(), login).unwrap();

    assert!(
        client
            .call(&first_call(&GetConfig.to_bytes()))
            .unwrap()
            .is_ok()
    );
    assert_eq!(server.public_key(), key);
}

#[test]
fn a_ping_is_answered_outside_of_any_rpc_result() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path(), &[]);
    let mut client = RawClient::connect(server.tcp(), &server.public_key(), None).unwrap();

    let msg_id = client.send(&Ping { ping_id: 7 }.to_bytes(), false).unwrap();
    let pong = client.receive_id(Pong::ID).unwrap();

    assert_eq!(
        Pong::from_bytes(&pong.body).unwrap(),
        Pong { msg_id, ping_id: 7 }
    );
}

#[test]
fn an_application_that_is_not_allowed_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("c.toml");
    std::fs::write(
        &config,
        "[[api.allowed]]\napi_id = 5\napi_hash = '014b35b6184100b085b0d0572f9b5103'\n",
    )
    .unwrap();
    let server = Server::start(directory.path(), &["--config", config.to_str().unwrap()]);
    let mut client = RawClient::connect(server.tcp(), &server.public_key(), None).unwrap();

    let answer = client.call(&first_call(&GetConfig.to_bytes())).unwrap();

    assert_eq!(answer, Err((400, "CONNECTION_API_ID_INVALID".to_owned())));
}

#[cfg(unix)]
#[test]
fn sigterm_ends_the_server_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let mut server = Server::start(directory.path(), &[]);
    let mut client = RawClient::connect(server.tcp(), &server.public_key(), None).unwrap();
    client
        .call(&first_call(&GetConfig.to_bytes()))
        .unwrap()
        .unwrap();

    let id = server.child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &id])
            .status()
            .unwrap()
            .success()
    );

    assert!(server.child.wait().unwrap().success());
    assert!(client.frames.receive().is_err());
}

#[test]
fn a_second_server_on_the_same_data_says_what_is_wrong_and_leaves_the_first_alone() {
    let directory = tempfile::tempdir().unwrap();
    let _server = Server::start(directory.path(), &[]);

    let output = command(directory.path(), &[]).output().unwrap();

    assert!(!output.status.success());
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("in use"), "{error}");
    assert!(directory.path().join("endpoints.json").exists());
}

#[test]
fn a_taken_port_is_named_with_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for option in ["--listen", "--ws-listen", "--admin"] {
        let directory = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_heliogram"));
        command.arg("serve").arg("--data").arg(directory.path());
        for other in ["--listen", "--ws-listen", "--admin"] {
            let is_taken = other == option;
            command.args([other, if is_taken { &address } else { "127.0.0.1:0" }]);
        }

        let output = command.output().unwrap();

        assert!(!output.status.success());
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains(&address), "{error}");
        assert!(error.contains("choose another with --listen"), "{error}");
        assert!(!directory.path().join("endpoints.json").exists());
    }
}

/// `invokeWithLayer(222, initConnection(query))`.
fn first_call(query: &[u8]) -> Vec<u8> {
    let init = InitConnection {
        api_id: 4,
        device_model: b"test",
        system_version: b"1",
        app_version: b"1",
        system_lang_code: b"en",
        lang_pack: b"",
        lang_code: b"en",
        proxy: None,
        params: None,
        query,
    };
    InvokeWithLayer {
        layer: 222,
        query: &init.to_bytes(),
    }
    .to_bytes()
}

/// A running server; killed when dropped.
struct Server {
    child: Child,
    endpoints: serde_json::Value,
    public_pem: String,
}

impl Server {
    fn start(data: &Path, options: &[&str]) -> Self {
        let endpoints_file = data.join("endpoints.json");
        // What a killed server has left.
        let _ = std::fs::remove_file(&endpoints_file);
        let mut child = command(data, options).spawn().unwrap();
        let patience = Instant::now() + Duration::from_secs(30);
        while !endpoints_file.exists() {
            if let Some(status) = child.try_wait().unwrap() {
                let mut error = String::new();
                child
                    .stderr
                    .take()
                    .unwrap()
                    .read_to_string(&mut error)
                    .unwrap();
                panic!("{status}: {error}");
            }
            assert!(Instant::now() < patience, "the server does not listen");
            std::thread::sleep(Duration::from_millis(5));
        }
        let endpoints = serde_json::from_slice(&std::fs::read(&endpoints_file).unwrap()).unwrap();
        let public_pem = std::fs::read_to_string(data.join("server_public.pem")).unwrap();
        Self {
            child,
            endpoints,
            public_pem,
        }
    }

    fn tcp(&self) -> SocketAddr {
        self.endpoints["tcp"][0].as_str().unwrap().parse().unwrap()
    }

    fn public_key(&self) -> PublicKey {
        PublicKey::from_pem(&self.public_pem).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(data: &Path, options: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_heliogram"));
    command.arg("serve").arg("--data").arg(data).args(options);
    for option in ["--listen", "--ws-listen", "--admin"] {
        command.args([option, "127.0.0.1:0"]);
    }
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    command
}
