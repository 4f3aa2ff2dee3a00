//! Limits by address and in total, on both sides.

use heliogram_tl::{Serialize, mtproto};
use tokio::net::TcpStream;

use crate::client::{Client, Event, until_closed};
use crate::server::Server;

#[tokio::test]
async fn an_address_gets_as_many_connections_as_it_may_and_no_more() {
    let server = Server::with(|config| {
        config.limiter.trusted.clear();
        config.limiter.connections_per_address_max = 3;
    })
    .await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = Client::connect(server.address()).await;
        client
            .ask(&mtproto::ReqPqMulti { nonce: [1; 16] }.to_bytes())
            .await;
        client.answer().await;
        clients.push(client);
    }
    assert_eq!(
        until_closed(&mut TcpStream::connect(server.address()).await.unwrap()).await,
        b""
    );

    clients.pop();
    while server.sessions.links() > 2 {
        tokio::task::yield_now().await;
    }
    Client::connect(server.address()).await.make_key().await;
}

#[tokio::test]
async fn the_total_of_connections_holds_for_trusted_addresses_too() {
    let server = Server::with(|config| config.limiter.connections_max = 1).await;
    let mut client = Client::connect(server.address()).await;
    client.make_key().await;
    assert_eq!(
        until_closed(&mut TcpStream::connect(server.address()).await.unwrap()).await,
        b""
    );
}

#[tokio::test]
async fn one_handshake_more_than_the_burst_is_refused_with_429() {
    let server = Server::with(|config| {
        config.limiter.trusted.clear();
        config.limiter.handshakes_burst = 3;
        config.limiter.handshakes_per_minute = 1;
    })
    .await;
    let mut client = Client::connect(server.address()).await;
    for number in 0..3 {
        client
            .ask(
                &mtproto::ReqPqMulti {
                    nonce: [number; 16],
                }
                .to_bytes(),
            )
            .await;
        client.answer().await;
    }
    client
        .ask(&mtproto::ReqPqMulti { nonce: [3; 16] }.to_bytes())
        .await;
    assert_eq!(client.event().await, Event::Error(-429));
    assert_eq!(client.event().await, Event::Closed);
}

#[tokio::test]
async fn trusted_networks_start_as_many_handshakes_as_they_like() {
    let server = Server::with(|config| config.limiter.handshakes_burst = 1).await;
    let mut client = Client::connect(server.address()).await;
    for number in 0..10 {
        client
            .ask(
                &mtproto::ReqPqMulti {
                    nonce: [number; 16],
                }
                .to_bytes(),
            )
            .await;
        client.answer().await;
    }
}
