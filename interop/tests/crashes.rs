//! What a `kill -9` of the server may cost its clients: time, and nothing else.

use std::time::Duration;

use heliogram_interop::{Program, Server, python};

#[test]
fn a_key_works_after_a_kill_between_the_handshake_and_the_next_call() {
    let Some(python) = python("kill after the handshake") else {
        return;
    };
    for framing in ["abridged", "full"] {
        let mut server = Server::start();
        let mut client = Program::start(
            &python,
            "killed_after_handshake.py",
            [server.data(), framing],
        );
        client.until("has a key");
        server.kill();
        server.restart();
        client.go_on();
        client.finish();
    }
}

#[test]
fn a_connected_client_carries_on_after_a_kill() {
    let Some(python) = python("kill of a connected client's server") else {
        return;
    };
    let mut server = Server::start();
    let mut client = Program::start(
        &python,
        "killed_while_connected.py",
        [server.data(), "abridged"],
    );
    client.until("connected");
    server.kill();
    server.restart();
    client.go_on();
    client.finish();
}

#[test]
fn each_of_200_calls_gets_its_own_answer_after_a_kill_in_their_midst() {
    let Some(python) = python("kill in the middle of 200 calls") else {
        return;
    };
    for pause_ms in [0, 30, 150] {
        let mut server = Server::start();
        let mut client = Program::start(&python, "calls_in_flight.py", [server.data()]);
        client.until("200 calls in flight");
        std::thread::sleep(Duration::from_millis(pause_ms));
        server.kill();
        server.restart();
        let output = client.finish();
        println!(
            "killed {pause_ms} ms into the calls: {}",
            output.lines().last().unwrap_or_default()
        );
    }
}

#[test]
fn no_handshake_whose_dh_gen_ok_arrived_is_lost_by_a_kill() {
    let Some(python) = python("kill in the middle of handshakes") else {
        return;
    };
    for pause_ms in [0, 70, 300] {
        let mut server = Server::start();
        let mut client = Program::start(&python, "handshakes_in_flight.py", [server.data()]);
        client.until("handshakes in flight");
        std::thread::sleep(Duration::from_millis(pause_ms));
        server.kill();
        client.until("cut off");
        server.restart();
        client.go_on();
        let output = client.finish();
        println!(
            "killed {pause_ms} ms into the handshakes: {}",
            output.lines().last().unwrap_or_default()
        );
    }
}

#[test]
fn a_server_that_is_told_to_end_ends_well_and_its_clients_carry_on() {
    let Some(python) = python("SIGTERM") else {
        return;
    };
    let mut server = Server::start();
    let mut client = Program::start(
        &python,
        "killed_while_connected.py",
        [server.data(), "intermediate"],
    );
    client.until("connected");
    assert!(server.terminate(), "SIGTERM is an ordinary end");
    server.restart();
    client.go_on();
    client.finish();
}
