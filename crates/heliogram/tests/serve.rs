//! The whole binary from outside: `heliogram serve` in a process of its own, and a client that makes a key.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/mod.rs"]
mod support;

use std::net::TcpListener;
use std::process::Command;

use heliogram_tl::api::help::{GetConfig, GetNearestDc};
use heliogram_tl::api::{Config, NearestDc};
use heliogram_tl::mtproto::{Ping, Pong};
use heliogram_tl::{Deserialize, Serialize};

use support::RawClient;
use support::server::{Server, command, first_call};

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
fn who_asks_whether_a_server_is_ready_hears_so_while_it_runs_and_only_then() {
    let directory = tempfile::tempdir().unwrap();
    let ready = |option: &str, value: &str| {
        let mut ask = Command::new(env!("CARGO_BIN_EXE_heliogram"));
        ask.args(["ready", option, value]).output().unwrap()
    };
    let data = directory.path().to_str().unwrap();
    let before = ready("--data", data);
    let mut server = Server::start(directory.path(), &[]);
    let admin = server.admin().to_string();

    let while_it_runs = [ready("--data", data), ready("--admin", &admin)];
    server.child.kill().unwrap();
    server.child.wait().unwrap();
    let after = ready("--admin", &admin);

    assert!(while_it_runs.iter().all(|it| it.status.success()));
    for (failed, why) in [(before, "not ready yet"), (after, "is it running?")] {
        assert_eq!(failed.status.code(), Some(1));
        let error = String::from_utf8(failed.stderr).unwrap();
        assert!(error.contains(why), "{error}");
    }
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
