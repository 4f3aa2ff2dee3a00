//! What the processes of a cluster log at every level: no secret, and no client's address above debug.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/mod.rs"]
mod support;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use heliogram_tl::Serialize;
use heliogram_tl::api::help::GetNearestDc;

use support::RawClient;
use support::cluster::{Cluster, end};
use support::server::first_call;

#[test]
fn no_line_has_a_secret_and_none_above_debug_a_client_s_address() {
    let cluster = Cluster::start();
    let node = cluster.session("s1");
    let gateway = cluster.gateway("g1", cluster.gateways[0]);
    let mut client = RawClient::connect(gateway.tcp(), &gateway.public_key(), None).unwrap();
    let call = first_call(&GetNearestDc.to_bytes());
    assert!(client.call(&call).unwrap().is_ok());
    let address = client.frames.stream.local_addr().unwrap().to_string();
    // A stranger's key, a salt that is not valid, and somebody who speaks something else.
    let mut stranger = RawClient::resume(gateway.tcp(), client.login.clone()).unwrap();
    stranger.login.salt.0 ^= 1;
    assert!(stranger.call(&call).unwrap().is_ok());
    stranger.frames.send(&[0x77; 64]).unwrap();
    assert!(stranger.frames.receive().is_err() || stranger.frames.receive().is_err());
    end(gateway);
    end(node);

    let log = cluster.log();
    assert!(
        log.contains(" TRACE ") && log.contains("shut down"),
        "all is logged"
    );
    assert!(log.contains(&address), "what is to be looked for is there");
    let is_told_to_all = |line: &&str| {
        [" INFO ", " WARN ", "ERROR "]
            .iter()
            .any(|it| line.contains(it))
    };
    for line in log.lines().filter(is_told_to_all) {
        assert!(!line.contains(&address), "{line}");
    }
    let salt = client.login.salt.0;
    let secrets: [(&str, &[u8]); 5] = [
        ("the key", client.login.key.expose()),
        ("the key's end", &client.login.key.expose()[128..]),
        ("the salt", &salt.to_le_bytes()),
        ("the salt from its other end", &salt.to_be_bytes()),
        ("the master key", &[0x5a; 32]),
    ];
    for (what, secret) in secrets {
        for form in forms(secret.first_chunk().unwrap()) {
            assert!(!log.contains(&form), "{what} is in the log");
        }
    }
    for (what, text) in [
        ("the salt", salt.to_string()),
        ("the salt", salt.cast_unsigned().to_string()),
        ("a database's password", "heliogram:secret".to_owned()),
    ] {
        assert!(!log.contains(&text), "{what} is in the log");
    }
}

/// Returns how bytes look when something shows them.
fn forms(bytes: &[u8; 8]) -> [String; 5] {
    let list = |bytes: Vec<String>| bytes.join(", ");
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    // A whole number of groups: what comes after them changes nothing.
    let [a, b, c, d, e, f, ..] = *bytes;
    let base64 = STANDARD.encode([a, b, c, d, e, f]);
    [
        list(bytes.iter().map(|byte| format!("{byte}")).collect()),
        list(bytes.iter().map(|byte| format!("{byte:#04x}")).collect()),
        hex.to_uppercase(),
        hex,
        base64,
    ]
}
