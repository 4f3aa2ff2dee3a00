//! `heliogram gateway` and `heliogram session` as processes of their own, with real MariaDB, Redis and etcd.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/mod.rs"]
mod support;

use std::process::Command;

use bytes::Bytes;
use heliogram_client::{Client, DataCentre, Method};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use support::cluster::{Cluster, PATIENCE, end, free_address, get, until};

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

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_renewed_without_cutting_anybody_off() {
    let cluster = Cluster::with(
        "tls = { authority = 'DIRECTORY/ca.pem', certificate = 'DIRECTORY/own.pem', key = 'DIRECTORY/own.key' }\n",
    );
    certify(&cluster);
    let first = cluster.session("s1");
    let gateway = cluster.gateway("g1", cluster.gateways[0]);
    let mut clients = Vec::new();
    for _ in 0..8 {
        let client = Client::builder()
            .api_id(4)
            .api_hash("hash")
            .server_key(gateway.public_key())
            .data_centre(DataCentre::new(2, [cluster.gateways[0]]));
        clients.push(in_time(client.connect()).await.unwrap());
    }

    // Of another authority: who has not read them anew is a stranger to those who come later.
    certify(&cluster);
    first.signal("HUP");
    gateway.signal("HUP");
    let _second = cluster.session("s2");
    let admin = gateway.admin().to_string();
    until("the gateway reaches the new node", || {
        let numbers = get(&admin, "/metrics");
        let nodes = numbers.contains("heliogram_discovery_nodes 2\n");
        nodes && get(&admin, "/ready").starts_with("HTTP/1.1 200")
    });
    for client in clients {
        in_time(client.invoke(&GetNearestDc)).await.unwrap();
        client.shutdown().await;
    }
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

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap()
}

/// Makes an authority, and one certificate for gateways and session nodes.
fn certify(cluster: &Cluster) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let names = ["gateway", "session"].map(|role| format!("{role}.heliogram.internal"));
    let key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(names).unwrap();
    let own = own.signed_by(&key, &authority).unwrap();
    for (name, pem) in [
        ("ca.pem", authority.pem()),
        ("own.pem", own.pem()),
        ("own.key", key.serialize_pem()),
    ] {
        std::fs::write(cluster.directory.path().join(name), pem).unwrap();
    }
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
