//! How the tools reach a server, and what they say when they don't.

use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use heliogram_crypto::rsa::PrivateKey;
use heliogram_proto::transport::Secret;
use heliogram_testkit::server::public_key;
use serde_json::json;

use crate::bed::{Bed, id};

#[test]
fn every_transport_carries_a_call() {
    let bed = Bed::new();
    for options in [
        &["--transport", "abridged"][..],
        &["--transport", "intermediate"],
        &["--transport", "padded"],
        &["--transport", "full"],
        &["--transport", "abridged", "--plain"],
        &["--transport", "intermediate", "--plain"],
        &["--transport", "padded", "--plain"],
        &["--no-pfs"],
        &["--test"],
    ] {
        let said = bed.call(&[&["help.getNearestDc"], options].concat());
        assert_eq!(said.json()["_"], "nearestDc", "{options:?}");
    }
    let websocket = bed.servers.at(2).websocket().to_string();
    let arguments = [
        "help.getNearestDc",
        "--transport",
        "websocket",
        "--pubkey",
        "key.pem",
    ];
    let said = bed.call_elsewhere(&[&arguments[..], &["--server", &websocket]].concat());
    assert_eq!(said.json()["_"], "nearestDc");
}

#[test]
fn a_server_that_asks_for_a_secret_is_shown_it() {
    let bed = Bed::with(|setup| {
        let transport = &mut setup.gateway.transport;
        transport.secrets = vec![Secret::from_hex(SECRET).unwrap()];
    });
    for secret in [SECRET, &format!("dd{SECRET}")] {
        let said = bed.call(&["help.getNearestDc", "--secret", secret]);
        assert_eq!(said.json()["_"], "nearestDc", "{secret}");
    }
    bed.call(&["help.getNearestDc", "--secret", "00"])
        .failed(2, "--secret");
}

#[test]
fn a_name_is_looked_up_and_the_first_server_that_answers_is_taken() {
    let bed = Bed::new();
    let port = bed.servers.at(2).address().port();
    let closed = closed_port();
    let server = format!("localhost:{port}");
    let arguments = [
        "help.getNearestDc",
        "--pubkey",
        "key.pem",
        "--server",
        &closed,
    ];
    let said = bed.call_elsewhere(&[&arguments[..], &["--server", &server]].concat());
    assert_eq!(said.json()["_"], "nearestDc");
    let nowhere = [
        "help.getConfig",
        "--pubkey",
        "key.pem",
        "--server",
        "no-port",
    ];
    bed.call_elsewhere(&nowhere).failed(3, "expected HOST:PORT");
}

#[test]
fn nobody_there_ends_with_3_and_says_what_to_look_at() {
    let bed = Bed::new();
    let closed = closed_port();
    let arguments = ["help.getConfig", "--pubkey", "key.pem", "--server", &closed];
    bed.call_elsewhere(&arguments)
        .failed(3, "is --server right");
}

#[test]
fn somebody_who_never_answers_ends_with_4() {
    let bed = Bed::new();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let arguments = [
        "help.getConfig",
        "--pubkey",
        "key.pem",
        "--timeout",
        "1",
        "--server",
        &address,
    ];
    bed.call_elsewhere(&arguments)
        .failed(4, "no connection within 1 s");
}

#[test]
fn a_wrong_key_is_answered_with_the_fingerprint_of_the_right_one() {
    let bed = Bed::new();
    let stranger = PrivateKey::generate().unwrap().public().to_pkcs1_pem();
    std::fs::write(bed.path("key.pem"), stranger).unwrap();
    let fingerprint = public_key().fingerprint().cast_unsigned();
    let said = bed.call(&["help.getConfig"]);
    said.failed(
        3,
        &format!("it has {fingerprint:#018x}; name the file of one of those with --pubkey"),
    );
}

#[test]
fn a_key_that_is_none_ends_with_1_and_says_what_to_name() {
    let bed = Bed::new();
    std::fs::remove_file(bed.path("key.pem")).unwrap();
    bed.call(&["help.getConfig"])
        .failed(1, "name its file with --pubkey FILE");
    std::fs::write(bed.path("key.pem"), "no key").unwrap();
    bed.call(&["help.getConfig"])
        .failed(1, "expected the server's public RSA key");
}

#[test]
fn a_session_file_keeps_the_key_and_who_is_signed_in() {
    let bed = Bed::new();
    let session = ["--session", "me.session"];
    let token = [
        "auth.importBotAuthorization",
        "flags=0",
        "api_id=4",
        "api_hash=x",
        "bot_auth_token=77:x",
    ];
    bed.call(&[&token[..], &session].concat()).json();
    let who = ["users.getUsers", "id.0=inputUserSelf"];
    let came_back = bed.call(&[&who[..], &session].concat()).json();
    assert_eq!(came_back[0]["id"], "77");
    let without = bed.call(&who).json();
    assert_eq!(without[0]["id"], "1000");
}

#[test]
fn a_session_is_sealed_with_a_passphrase_and_opened_with_no_other() {
    let bed = Bed::new();
    std::fs::write(bed.path("right"), "correct horse\n").unwrap();
    std::fs::write(bed.path("wrong"), "battery staple\n").unwrap();
    let call = |file| {
        let session = ["--session", "me.session", "--passphrase-file", file];
        bed.call(&[&["help.getNearestDc"][..], &session].concat())
    };
    call("right").json();
    call("right").json();
    call("wrong").failed(1, "session me.session: ");
    bed.call(&["help.getNearestDc", "--session", "me.session"])
        .failed(1, "passphrase");
}

#[test]
fn the_application_and_the_data_centre_are_what_the_options_say() {
    let bed = Bed::new();
    let seen = Arc::new(Mutex::new(None));
    let noted = Arc::clone(&seen);
    bed.backend()
        .script()
        .answer_raw(id("help.getNearestDc"), move |call| {
            let client = call.client.as_ref().unwrap();
            *noted.lock().unwrap() = Some((client.api_id, call.key.dc));
            Ok(vec![0; 4])
        });
    let said = bed.call(&[
        "help.getNearestDc",
        "--api-id",
        "9",
        "--dc",
        "5",
        "--output",
        "hex",
    ]);
    assert_eq!(said.out, "00000000\n", "{said:?}");
    assert_eq!(
        json!(seen.lock().unwrap().map(|(api_id, _)| api_id)),
        json!(9)
    );
    assert_eq!(seen.lock().unwrap().unwrap().1, Some(5));
}

/// Returns an address at which nobody listens.
fn closed_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

const SECRET: &str = "000102030405060708090a0b0c0d0e0f";
