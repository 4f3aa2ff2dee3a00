//! Calls: answered each with its own answer, given up, timed out, ended.

use std::time::Duration;

use heliogram_client::{Client, ConnectError, Device, InvokeError, Lost, Raw, Transport};
use heliogram_proto::transport::Framing;
use heliogram_proto::transport::client::Obfuscation;

use crate::server::{Count, Fail, Never, RSA_KEY, Server, client_of};

#[tokio::test]
async fn a_thousand_calls_at_once_get_each_its_own_answer_and_run_once() {
    let server = Server::start();
    let client = server.client().connect().await.unwrap();
    let calls: Vec<_> = (0..1000)
        .map(|token| {
            let client = client.clone();
            tokio::spawn(async move { client.invoke(&Count(token)).await })
        })
        .collect();
    for (token, call) in (0..).zip(calls) {
        assert_eq!(call.await.unwrap(), Ok(token));
    }
    let runs = server.backend.runs();
    assert_eq!(runs.len(), 1000);
    assert!(runs.values().all(|&times| times == 1));
    client.shutdown().await;
}

#[tokio::test]
async fn a_method_of_a_mebibyte_less_4_kib_is_sent_and_what_no_message_holds_ends_at_once() {
    let server = Server::start();
    let client = server.client().connect().await.unwrap();
    let largest = (1 << 20) - (4 << 10);
    let sent = client.invoke(&Raw(vec![0; largest].into())).await;
    assert!(matches!(sent, Err(InvokeError::Rpc(_))), "{sent:?}");
    for length in [largest + 4, 6] {
        let refused = client.invoke(&Raw(vec![0; length].into())).await;
        assert_eq!(refused, Err(InvokeError::Unsendable(length)));
    }
    assert_eq!(client.invoke(&Count(3)).await, Ok(3));
    client.shutdown().await;
}

#[tokio::test]
async fn every_transport_carries_calls() {
    let server = Server::start();
    let tcp = |framing, obfuscation| Transport::Tcp {
        framing,
        obfuscation,
    };
    let obfuscated = || Some(Obfuscation::default());
    let transports = [
        tcp(Framing::Abridged, None),
        tcp(Framing::Intermediate, None),
        tcp(Framing::PaddedIntermediate, None),
        tcp(Framing::Full, None),
        tcp(Framing::Abridged, obfuscated()),
        tcp(Framing::Intermediate, obfuscated()),
        tcp(Framing::PaddedIntermediate, obfuscated()),
    ];
    for transport in transports {
        let client = server.client().transport(transport.clone()).connect().await;
        let client = client.unwrap();
        assert_eq!(client.invoke(&Count(3)).await, Ok(3), "{transport:?}");
        client.shutdown().await;
    }
    let websocket = Transport::WebSocket {
        framing: Framing::Intermediate,
        path: "/apiws".to_owned(),
    };
    let builder = client_of(server.websocket).transport(websocket);
    let client = builder.connect().await.unwrap();
    assert_eq!(client.invoke(&Count(3)).await, Ok(3));
    client.shutdown().await;
}

#[tokio::test]
async fn an_rpc_error_is_the_callers() {
    let server = Server::start();
    let client = server.client().connect().await.unwrap();
    let error = client.invoke(&Fail(1)).await.unwrap_err();
    let InvokeError::Rpc(error) = error else {
        panic!("{error:?}")
    };
    assert_eq!((error.code, error.name.as_str()), (400, "PEER_ID_INVALID"));
    client.shutdown().await;
}

#[tokio::test]
async fn a_call_that_is_not_answered_in_its_time_ends() {
    let server = Server::start();
    let builder = server.client().call_time_max(Duration::from_millis(500));
    let client = builder.connect().await.unwrap();
    assert_eq!(client.invoke(&Never(1)).await, Err(InvokeError::TimedOut));
    assert_eq!(client.invoke(&Count(2)).await, Ok(2), "others go on");
    client.shutdown().await;
}

#[tokio::test]
async fn a_call_that_is_dropped_holds_nothing_up() {
    let server = Server::start();
    let client = server.client().connect().await.unwrap();
    let waiting = tokio::time::timeout(Duration::from_millis(50), client.invoke(&Never(1)));
    assert!(waiting.await.is_err());
    assert_eq!(client.invoke(&Count(2)).await, Ok(2));
    // It waits for all calls that are under way: there is none.
    let start = std::time::Instant::now();
    client.shutdown().await;
    assert!(start.elapsed() < heliogram_client::SHUTDOWN_MAX);
}

#[tokio::test]
async fn shutdown_ends_what_is_not_answered_and_what_comes_later() {
    let server = Server::start();
    let client = server.client().connect().await.unwrap();
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { client.invoke(&Never(1)).await }
    });
    while server.backend.runs().is_empty() {
        tokio::task::yield_now().await;
    }

    client.shutdown().await;

    let lost = Err(InvokeError::ConnectionLost(Lost::ShutDown));
    assert_eq!(waiting.await.unwrap(), lost);
    assert_eq!(client.invoke(&Count(2)).await, lost);
}

#[tokio::test]
async fn the_first_call_says_who_the_client_is() {
    let server = Server::start();
    let device = Device {
        app_version: "7.7".to_owned(),
        ..Device::default()
    };
    let client = server.client().device(device).connect().await.unwrap();
    client.invoke(&Count(3)).await.unwrap();
    client.invoke(&Count(6)).await.unwrap();
    assert_eq!(server.backend.clients(), ["7.7", "7.7"]);
    client.shutdown().await;
}

#[tokio::test]
async fn what_every_client_needs_is_asked_for_by_name() {
    let missing = |error| {
        let ConnectError::Missing(what) = error else {
            panic!("{error}")
        };
        what
    };
    let builder = Client::builder();
    assert_eq!(missing(builder.connect().await.unwrap_err()), "api_id");
    let builder = Client::builder().api_id(4);
    assert_eq!(missing(builder.connect().await.unwrap_err()), "api_hash");
    let builder = Client::builder().api_id(4).api_hash("hash");
    assert_eq!(missing(builder.connect().await.unwrap_err()), "data_centre");
    let builder = Client::builder()
        .server_key(RSA_KEY.public().clone())
        .api_id(4)
        .api_hash("hash");
    assert_eq!(missing(builder.connect().await.unwrap_err()), "data_centre");
}
