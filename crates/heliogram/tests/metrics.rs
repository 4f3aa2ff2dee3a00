//! What `GET /metrics` says, beside what was done and what the document promises.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/mod.rs"]
mod support;

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;

use heliogram_tl::Serialize;
use heliogram_tl::api::help::GetNearestDc;

use support::RawClient;
use support::cluster::{Cluster, get};
use support::server::{Server, first_call};

#[test]
fn a_handshake_and_a_call_are_in_the_numbers() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path(), &[]);
    let mut client = RawClient::connect(server.tcp(), &server.public_key(), Some(2)).unwrap();
    let call = first_call(&GetNearestDc.to_bytes());
    client.call(&call).unwrap().unwrap();

    let page = page(directory.path());
    for line in [
        "heliogram_gateway_connections 1",
        "heliogram_gateway_opened_connections_total 1",
        "heliogram_gateway_handshakes_total 1",
        "heliogram_gateway_stored_keys_total{outcome=\"stored\"} 1",
        "heliogram_session_sessions 1",
        "heliogram_session_calls_total 1",
        "heliogram_session_answers_total{outcome=\"result\"} 1",
        "heliogram_session_call_seconds_count 1",
    ] {
        assert!(page.lines().any(|it| it == line), "{line} is not in {page}");
    }
    assert!(page.ends_with("# EOF\n"));
}

#[test]
fn every_number_is_in_the_document_and_no_other_is() {
    let page = everything();
    let said: BTreeSet<_> = page
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .collect();
    let document = document("docs/metrics.md");
    let promised: BTreeSet<_> = promised(&document)
        .map(|name| name.strip_suffix("_total").unwrap_or(name))
        .collect();
    let said: BTreeSet<_> = said
        .iter()
        .map(|name| name.strip_prefix("heliogram_").unwrap())
        .collect();
    assert_eq!(said, promised);
}

#[test]
fn the_dashboard_asks_for_every_number_of_the_document_and_for_no_other() {
    let dashboard = document("deploy/grafana/heliogram.json");
    let dashboard: serde_json::Value = serde_json::from_str(&dashboard).unwrap();
    let panels = dashboard.pointer("/panels").unwrap().as_array().unwrap();
    let targets = panels
        .iter()
        .filter_map(|it| it.get("targets")?.as_array())
        .flatten();
    let asked = targets.map(|target| target.get("expr").unwrap().as_str().unwrap());
    let is_of_a_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let asked: BTreeSet<_> = asked
        .flat_map(|expression| expression.split(|letter| !is_of_a_name(letter)))
        .filter_map(|word| word.strip_prefix("heliogram_"))
        .map(|name| name.strip_suffix("_bucket").unwrap_or(name))
        .collect();
    let document = document("docs/metrics.md");
    assert_eq!(asked, promised(&document).collect());
}

/// Returns the names of the numbers in the document, without what all begin with.
fn promised(document: &str) -> impl Iterator<Item = &str> {
    let lines = document.lines();
    let names = lines.filter_map(|line| line.strip_prefix("| `heliogram_")?.split('`').next());
    names.map(|name| name.split('{').next().unwrap())
}

fn document(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::fs::read_to_string(root.join(name)).unwrap()
}

/// Returns the pages of processes that together have whatever a process can have.
fn everything() -> String {
    let cluster = Cluster::with(
        "[backend]\naddress = '127.0.0.1:1'\n[traces]\nendpoint = 'http://127.0.0.1:1'\n",
    );
    let session = cluster.session("s1");
    let gateway = cluster.gateway("g1", cluster.gateways[0]);
    let pages = [session, gateway].map(|server| get(&server.admin().to_string(), "/metrics"));
    pages.concat()
}

fn page(data: &Path) -> String {
    let endpoints = std::fs::read(data.join("endpoints.json")).unwrap();
    let endpoints: serde_json::Value = serde_json::from_slice(&endpoints).unwrap();
    let admin = endpoints.pointer("/admin").unwrap().as_str().unwrap();
    let mut stream = TcpStream::connect(admin).unwrap();
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, page) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    page.to_owned()
}
