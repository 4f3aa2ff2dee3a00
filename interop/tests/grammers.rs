//! grammers, with no more changed than that it knows our server's key.

#![cfg(test)]

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use heliogram_client::PublicKey;
use heliogram_interop::{Program, Server, grammers};

#[test]
fn grammers_makes_a_key_calls_and_comes_back_after_a_restart_and_with_the_saved_key() {
    let Some(programs) = grammers("grammers") else {
        return;
    };
    let mut server = Server::start();
    let mut client = start(&programs, &server);
    client.until("gate");
    server.kill();
    server.restart();
    client.go_on();
    client.until("done");
    client.finish();
}

fn start(programs: &Path, server: &Server) -> Program {
    let pem = Path::new(server.data()).join("server_public.pem");
    let key = PublicKey::from_pem(&std::fs::read_to_string(pem).unwrap()).unwrap();
    let mut known = format!("{}:", key.fingerprint());
    for byte in key.n() {
        write!(known, "{byte:02x}").unwrap();
    }
    let mut command = Command::new(programs.join("calls"));
    command.arg(server.tcp()).env("GRAMMERS_SERVER_KEY", known);
    Program::run("grammers", command)
}
