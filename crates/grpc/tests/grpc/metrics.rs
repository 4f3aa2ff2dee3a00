//! What listeners count is what came to them.

use std::sync::Arc;

use heliogram_grpc::contract::push_client::PushClient;
use heliogram_grpc::contract::pushes_request::Request;
use heliogram_grpc::{
    Address, KeyChangesService, KeysService, PushService, RemoteKeys, Role, Server, ServerCounts,
    Tls, contract, dial,
};
use heliogram_ports::memory::MemoryKeys;
use heliogram_ports::metrics::Readings;
use heliogram_ports::{AuthKeys as _, KeyKind, Push, PushRefused, Pushes, conformance};
use heliogram_proto::ids::Identity;
use tokio::net::TcpStream;
use tonic::transport::Channel;

use crate::certificates::Authority;
use crate::process::{Process, in_time};

#[tokio::test]
async fn questions_about_keys_are_counted_by_their_answers_and_strangers_as_such() {
    let cluster = Authority::new();
    let (node, counts) = node(Some(cluster.tls("session", &[Role::Session]))).await;
    let gateway = cluster.tls("gateway", &[Role::Gateway]);
    let keys = RemoteKeys::new(dial(node.address.clone(), Role::Session, Some(gateway)));
    let record = conformance::record(1, KeyKind::Permanent);
    let id = record.facts.id;
    in_time(keys.find(id)).await.unwrap();
    in_time(keys.insert(record.clone())).await.unwrap();
    in_time(keys.insert(record)).await.unwrap();
    in_time(keys.find(id)).await.unwrap();
    in_time(keys.remove(id)).await.unwrap_err();
    let Address::Tcp(address) = &node.address else {
        panic!("it listens on TCP")
    };
    drop(TcpStream::connect(address).await.unwrap());

    in_time(reads(&counts, "grpc_failed_tls_handshakes", 1)).await;
    for (name, count) in [
        (r#"keys_questions{outcome="absent"}"#, 1),
        (r#"keys_questions{outcome="present"}"#, 1),
        (r#"keys_questions{outcome="stored"}"#, 1),
        (r#"keys_questions{outcome="duplicate"}"#, 1),
        (r#"keys_questions{outcome="unavailable"}"#, 0),
        ("keys_question_seconds", 4),
        ("grpc_refused_requests", 1),
        ("grpc_opened_connections", 1),
        ("grpc_connections", 1),
        ("grpc_tls_handshakes_running", 0),
    ] {
        assert_eq!(read(&counts, name), count, "{name}");
    }
    drop(keys);
    in_time(reads(&counts, "grpc_connections", 0)).await;
}

#[tokio::test]
async fn pushes_are_counted_as_taken_or_refused_and_their_streams_while_they_are_open() {
    let (node, counts) = node(None).await;
    let channel: Channel = node.channel();
    let mut pushes = PushClient::new(channel);
    in_time(pushes.push(push(b"body"))).await.unwrap();
    in_time(pushes.push(push(b""))).await.unwrap_err();
    let user = contract::SetUserRequest::default();
    in_time(pushes.set_user(user)).await.unwrap();
    let (requests, sent) = tokio::sync::mpsc::channel(4);
    for request in [Request::Push(push(b"body")), Request::SetUser(user)] {
        let request = Some(request);
        let request = contract::PushesRequest { request };
        requests.send(request).await.unwrap();
    }
    let sent = tokio_stream::wrappers::ReceiverStream::new(sent);
    let mut replies = in_time(pushes.pushes(sent)).await.unwrap().into_inner();
    for _ in 0..2 {
        in_time(replies.message()).await.unwrap().unwrap();
    }

    assert_eq!(read(&counts, r#"push_pushes{outcome="taken"}"#), 2);
    assert_eq!(read(&counts, r#"push_pushes{outcome="refused"}"#), 1);
    assert_eq!(read(&counts, "push_users"), 2);
    assert_eq!(read(&counts, "push_streams"), 1);
    drop(requests);
    in_time(reads(&counts, "push_streams", 0)).await;
}

pub(crate) async fn node(tls: Option<Tls>) -> (Process, Arc<ServerCounts>) {
    let counts = Arc::<ServerCounts>::default();
    let keys = Arc::new(MemoryKeys::new());
    let server = Server::counted(Arc::clone(&counts))
        .keys(KeysService::new(Arc::<MemoryKeys>::clone(&keys)))
        .key_changes(KeyChangesService::new(keys))
        .push(PushService::new(Arc::new(Takes)));
    let process = Process::start_at(server, "127.0.0.1:0", tls).await;
    (process, counts)
}

fn read(counts: &ServerCounts, name: &str) -> u64 {
    *Readings::of(counts).0.get(name).unwrap()
}

pub(crate) async fn reads(counts: &ServerCounts, name: &str, value: u64) {
    while read(counts, name) != value {
        tokio::task::yield_now().await;
    }
}

fn push(body: &'static [u8]) -> contract::PushRequest {
    contract::PushRequest {
        body: body.into(),
        ..Default::default()
    }
}

/// Takes what has a body.
struct Takes;

impl Pushes for Takes {
    fn push(&self, push: Push) -> Result<(), PushRefused> {
        let is_object = !push.body.is_empty();
        is_object.then_some(()).ok_or(PushRefused::NotAnObject)
    }

    fn set_user(&self, _: Identity, _: Option<i64>) {}
}
