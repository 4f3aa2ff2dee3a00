//! Maxima that show only between two processes: each from both sides.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use heliogram_grpc::limits::{CALLS_PER_STREAM_MAX, MESSAGE_BYTES_MAX, TLS_HANDSHAKES_MAX};
use heliogram_grpc::{
    Address, BackendService, Form, RemoteBackend, RemoteKeys, Role, Server, dial,
};
use heliogram_ports::{Answer, AuthKeys as _, Backend, Call, Reply};
use heliogram_proto::ids::AuthKeyId;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::backend::{call, echo, reply};
use crate::certificates::Authority;
use crate::metrics::{node, reads};
use crate::process::{Process, in_time};

#[tokio::test]
async fn a_stream_has_so_many_calls_and_one_more_fails() {
    let counting = Arc::new(Counting::default());
    let service = BackendService::new(Arc::<Counting>::clone(&counting), None);
    let process = Process::start(Server::new().backend(service)).await;
    let (patience, more) = (Duration::from_secs(600), CALLS_PER_STREAM_MAX + 1);
    let remote = RemoteBackend::with_limits(process.channel(), Form::Streaming, patience, more);
    let mut calls = JoinSet::new();
    for _ in 0..CALLS_PER_STREAM_MAX {
        calls.spawn(reply(remote.call(call(1))));
    }
    let until = async |count| {
        while counting.begun.load(Ordering::Relaxed) != count {
            tokio::task::yield_now().await;
        }
    };
    in_time(until(CALLS_PER_STREAM_MAX)).await;
    let refused = in_time(reply(remote.call(call(2)))).await;
    assert!(matches!(refused, Reply::Error(error) if error.code == 500));
    assert!(calls.try_join_next().is_none(), "the others run on");
    assert_eq!(counting.begun.load(Ordering::Relaxed), CALLS_PER_STREAM_MAX);
}

#[tokio::test]
async fn a_message_may_be_so_large_and_no_larger() {
    let process = Process::start(echo()).await;
    let remote = RemoteBackend::new(process.channel(), Form::Unary);
    let mut large = call(1);
    // Some of it is around the body.
    large.body = vec![7; MESSAGE_BYTES_MAX - 1024].into();
    let body = large.body.clone();
    assert_eq!(
        in_time(reply(remote.call(large.clone()))).await,
        Reply::Result(body)
    );
    large.body = vec![7; MESSAGE_BYTES_MAX].into();
    let refused = in_time(reply(remote.call(large))).await;
    assert!(matches!(refused, Reply::Error(error) if error.code == 500));
}

#[tokio::test]
async fn so_many_handshakes_run_at_once_and_one_more_waits() {
    let cluster = Authority::new();
    let (node, counts) = node(Some(cluster.tls("session", &[Role::Session]))).await;
    let Address::Tcp(address) = &node.address else {
        panic!("it listens on TCP")
    };
    let gateway = cluster.tls("gateway", &[Role::Gateway]);
    let find = || {
        let channel = dial(node.address.clone(), Role::Session, Some(gateway.clone()));
        async move { RemoteKeys::new(channel).find(AuthKeyId(4)).await.is_ok() }
    };
    // They say nothing.
    let mut silent = Vec::new();
    let mut running = 0;
    for _ in 1..TLS_HANDSHAKES_MAX {
        silent.push(TcpStream::connect(address).await.unwrap());
        running += 1;
    }
    in_time(reads(&counts, "grpc_tls_handshakes_running", running)).await;
    assert!(in_time(find()).await, "there is room for one");

    silent.push(TcpStream::connect(address).await.unwrap());
    in_time(reads(&counts, "grpc_tls_handshakes_running", running + 1)).await;
    let mut found = std::pin::pin!(find());
    let waited = tokio::time::timeout(Duration::from_millis(200), &mut found).await;
    assert!(waited.is_err(), "there is no room");
    drop(silent.pop());
    assert!(in_time(found).await);
}

/// Never answers.
#[derive(Default)]
struct Counting {
    begun: AtomicUsize,
}

impl Backend for Counting {
    fn call(&self, _: Call) -> Answer {
        self.begun.fetch_add(1, Ordering::Relaxed);
        Answer::Later(Box::pin(std::future::pending()))
    }
}
