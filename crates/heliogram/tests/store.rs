//! `heliogram migrate`, and `heliogram serve` with keys in MariaDB and Redis.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use heliogram_testservices::{MariaDb, Redis};
use heliogram_tl::Serialize;
use heliogram_tl::api::help::GetConfig;

use support::RawClient;
use support::server::{Server, command, first_call};

#[test]
fn a_key_outlives_the_data_directory_of_the_server_that_made_it() {
    let (mariadb, redis) = (MariaDb::start().unwrap(), Redis::start().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let config = configuration(directory.path(), &mariadb.url(), Some(&redis.url()));
    let options = ["--config", config.to_str().unwrap()];
    let [first, second] = ["first", "second"].map(|name| directory.path().join(name));

    let refused = command(&first, &options).output().unwrap();
    let error = String::from_utf8(refused.stderr).unwrap();
    assert!(error.contains("run `heliogram migrate`"), "{error}");
    assert_eq!(said(&migrate(&config)), "made the tables, version 2\n");
    let again = said(&migrate(&config));
    assert_eq!(again, "the tables are of version 2 already\n");

    // Everything passes by gRPC in the first, by calls in the second.
    let server = Server::start(&first, &[&options[..], &["--through-grpc"]].concat());
    let mut client = RawClient::connect(server.tcp(), &server.public_key(), None).unwrap();
    let call = first_call(&GetConfig.to_bytes());
    assert!(client.call(&call).unwrap().is_ok());
    let login = client.login.clone();
    drop((client, server));

    let server = Server::start(&second, &options);
    let mut client = RawClient::resume(server.tcp(), login).unwrap();
    assert!(client.call(&call).unwrap().is_ok());
}

#[test]
fn no_error_and_no_configuration_shows_the_password_of_a_database() {
    let directory = tempfile::tempdir().unwrap();
    for mysql in [
        "mysql://heliogram:pa55word@127.0.0.1:1/heliogram",
        "mysql://heliogram:pa55word@/?pa55word=pa55word",
        "mysql://heliogram:pa55word@[::1:pa55word",
        "mysql://pa55word",
    ] {
        for redis in ["redis://:pa55word@[", "redis://:pa55word@127.0.0.1:1"] {
            let config = configuration(directory.path(), mysql, Some(redis));
            let options = ["--config", config.to_str().unwrap()];
            for output in [
                migrate(&config),
                command(directory.path(), &options).output().unwrap(),
                heliogram(&["config", "show", options[0], options[1]]),
            ] {
                let said = [output.stdout, output.stderr].concat();
                let said = String::from_utf8(said).unwrap();
                assert!(!said.contains("pa55"), "{said}");
            }
        }
    }
}

#[test]
fn who_migrates_without_a_database_is_told_which_key_is_missing() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("heliogram.toml");
    std::fs::write(&config, "").unwrap();
    let output = migrate(&config);
    assert!(!output.status.success());
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("`store.mysql`"), "{error}");
}

fn migrate(config: &Path) -> Output {
    heliogram(&["migrate", "--config", config.to_str().unwrap()])
}

fn heliogram(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_heliogram"));
    command.args(arguments).output().unwrap()
}

fn said(output: &Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Writes a configuration with the store in these databases, and its master key.
fn configuration(directory: &Path, mysql: &str, redis: Option<&str>) -> PathBuf {
    let master = directory.join("master.key");
    std::fs::write(&master, format!("1 {}\n", "5a".repeat(32))).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&master, mode).unwrap();
    let redis = redis.map_or_else(String::new, |redis| format!("redis = '{redis}'\n"));
    let path = directory.join("heliogram.toml");
    let text = format!(
        "[store]\nkind = 'cluster'\nmaster_key_file = '{}'\nmysql = '{mysql}'\n{redis}",
        master.display()
    );
    std::fs::write(&path, text).unwrap();
    path
}
