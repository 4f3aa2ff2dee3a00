//! A shutdown loses nothing that was taken.

use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use crate::client::{Client, Event, PATIENCE};
use crate::server::Server;

#[tokio::test]
async fn calls_that_are_running_are_answered_and_nothing_new_is_taken() {
    let mut server = Server::start().await;
    let address = server.address();
    let mut client = Client::connect(address).await;
    let key = client.make_key().await.key;
    server.sessions.hold();
    for number in 0..10_u32 {
        let sealed = client.seal(&key, &number.to_le_bytes());
        client.send(&sealed).await;
    }
    while server.sessions.seen().len() < 10 {
        sleep(Duration::from_millis(1)).await;
    }

    server.stop();
    while TcpStream::connect(address).await.is_ok() {
        sleep(Duration::from_millis(1)).await;
    }
    let late = client.seal(&key, b"too late");
    client.send(&late).await;
    sleep(Duration::from_millis(50)).await;
    server.sessions.let_go();
    for number in 0..10_u32 {
        assert_eq!(client.message(&key).await, number.to_le_bytes());
    }
    assert_eq!(client.event().await, Event::Closed);
    let sessions = std::sync::Arc::clone(&server.sessions);
    timeout(PATIENCE, server.ended()).await.unwrap();
    assert_eq!((sessions.seen().len(), sessions.links()), (10, 0));
}

#[tokio::test]
async fn a_call_that_never_ends_holds_a_shutdown_up_for_no_longer_than_the_grace() {
    let mut server =
        Server::with(|config| config.shutdown_grace = Duration::from_millis(200)).await;
    let mut client = Client::connect(server.address()).await;
    let key = client.make_key().await.key;
    server.sessions.hold();
    let sealed = client.seal(&key, b"for ever");
    client.send(&sealed).await;
    while server.sessions.seen().is_empty() {
        sleep(Duration::from_millis(1)).await;
    }

    let begin = Instant::now();
    server.stop();
    server.ended().await;
    assert!((Duration::from_millis(200)..Duration::from_secs(8)).contains(&begin.elapsed()));
}

#[tokio::test]
async fn idle_clients_are_sent_elsewhere_while_busy_ones_are_still_answered() {
    let mut server = Server::with(|config| config.leave_spread = PATIENCE).await;
    let mut idle = Client::connect(server.address()).await;
    idle.make_key().await;
    let mut busy = Client::connect(server.address()).await;
    let key = busy.make_key().await.key;

    server.stop();
    let left = async move { assert_eq!(idle.event().await, Event::Closed) };
    let mut left = std::pin::pin!(left);
    loop {
        tokio::select! {
            () = &mut left => break,
            () = sleep(Duration::from_millis(20)) => {
                assert_eq!(busy.echo(&key, b"still on").await, b"still on");
            }
        }
    }
    assert_eq!(busy.echo(&key, b"still on").await, b"still on");

    // Once it is idle, too, nothing is waited for.
    assert_eq!(timeout(PATIENCE, busy.event()).await, Ok(Event::Closed));
    drop(busy);
    timeout(PATIENCE / 2, server.ended()).await.unwrap();
}

#[tokio::test]
async fn an_idle_gateway_ends_at_once() {
    let mut server = Server::start().await;
    let mut client = Client::connect(server.address()).await;
    client.make_key().await;
    let begin = Instant::now();
    server.stop();
    assert_eq!(client.event().await, Event::Closed);
    drop(client);
    server.ended().await;
    assert!(begin.elapsed() < Duration::from_secs(8));
}
