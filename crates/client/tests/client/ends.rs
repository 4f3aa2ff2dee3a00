//! Connections that end for good: calls end with them, and a later call begins anew, unless the client was shut down.

use std::time::Duration;

use heliogram_client::{Client, DataCentre, InvokeError, Lost, Reconnect};
use heliogram_proto::client::Failure;

use crate::proxy::Proxy;
use crate::server::{Count, Never, Server, client_of};

#[tokio::test]
async fn when_no_further_try_is_allowed_calls_end_and_a_later_one_tries_again() {
    let server = Server::start();
    let proxy = Proxy::start(server.address).await;
    let builder = client_of(proxy.address).reconnect(Reconnect {
        first: Duration::from_millis(1),
        max: Duration::from_millis(1),
        attempts_max: Some(2),
        ..Reconnect::default()
    });
    let client = builder.connect().await.unwrap();
    let waiting = spawn_never(&client, &server).await;
    proxy.limit(0);
    proxy.cut();
    let lost = Err(InvokeError::ConnectionLost(Lost::Failed(
        Failure::Unreachable,
    )));
    assert_eq!(waiting.await.unwrap(), lost);
    let tried = proxy.connections();
    assert_eq!(client.invoke(&Count(2)).await, lost);
    assert!(proxy.connections() > tried, "it has tried again");

    proxy.limit(usize::MAX);
    assert_eq!(client.invoke(&Count(3)).await, Ok(3));
    client.shutdown().await;
}

#[tokio::test]
async fn after_shutdown_no_other_data_centre_is_called_either() {
    let server = Server::start();
    let proxy = Proxy::start(server.address).await;
    let dc = DataCentre::new(4, [proxy.address]);
    let client = server.client().data_centre(dc).connect().await.unwrap();
    client.shutdown().await;
    let lost = InvokeError::ConnectionLost(Lost::ShutDown);
    assert_eq!(client.begin(&Count(1)).unwrap_err(), lost);
    assert_eq!(client.invoke_at(4, &Count(1)).await, Err(lost));
    assert_eq!(proxy.connections(), 0);
}

#[tokio::test]
async fn the_last_client_that_is_dropped_takes_its_connections_along() {
    let server = Server::start();
    let proxy = Proxy::start(server.address).await;
    let client = client_of(proxy.address).connect().await.unwrap();
    let waiting = spawn_never(&client, &server).await;
    drop(client);
    assert_eq!(proxy.open(), 1, "the call has a client of its own");
    waiting.abort();
    while proxy.open() > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[test]
fn a_client_may_be_dropped_after_its_runtime() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (server, client) = runtime.block_on(async {
        let server = Server::start();
        let client = server.client().connect().await.unwrap();
        (server, client)
    });
    runtime.shutdown_background();
    drop(client);
    drop(server);
}

/// Begins a call that is never answered, and waits until it runs.
async fn spawn_never(
    client: &Client,
    server: &Server,
) -> tokio::task::JoinHandle<Result<i64, InvokeError>> {
    let calling = client.clone();
    let waiting = tokio::spawn(async move { calling.invoke(&Never(1)).await });
    while server.backend.runs().is_empty() {
        tokio::task::yield_now().await;
    }
    waiting
}
