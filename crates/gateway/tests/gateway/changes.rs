//! What can be changed of a gateway that runs.

use std::time::Duration;

use heliogram_gateway::{Listener, ListenerKind};
use heliogram_proto::exchange::server::Keyring;
use heliogram_tl::mtproto::{ReqPqMulti, ResPq};
use heliogram_tl::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use crate::client::{Client, PATIENCE};
use crate::server::{RSA_KEY, Server, any_port};

#[tokio::test]
async fn listeners_come_and_go_while_connections_stay() {
    let server = Server::start().await;
    let first = Listener::tcp(any_port());
    let mut client = Client::connect(server.address()).await;
    let key = client.make_key().await.key;

    server
        .control
        .listen(&[first, Listener::tcp(any_port())])
        .unwrap();
    let both = server.control.addresses();
    assert_eq!(both[0].address, server.address(), "it stays open");
    Client::connect(both[1].address).await.make_key().await;

    let second = Listener::websocket(any_port());
    server.control.listen(&[second]).unwrap();
    let one = server.control.addresses();
    assert_eq!(one.len(), 1);
    assert_eq!(one[0].kind, ListenerKind::WebSocket);
    assert_eq!(
        one[0].address,
        server.address(),
        "and speaks something else"
    );
    until_refused(both[1].address).await;
    assert_eq!(client.echo(&key, b"as ever!").await, b"as ever!");
}

#[tokio::test]
async fn a_change_that_can_not_be_made_changes_nothing() {
    let server = Server::start().await;
    let taken = TcpListener::bind(any_port()).await.unwrap();
    let taken = taken.local_addr().unwrap();
    let before = server.control.addresses();

    let error = server
        .control
        .listen(&[Listener::websocket(any_port()), Listener::tcp(taken)])
        .unwrap_err();

    assert!(error.to_string().contains(&taken.to_string()), "{error}");
    assert_eq!(server.control.addresses(), before);
    Client::connect(server.address()).await.make_key().await;
}

#[tokio::test]
async fn other_keys_are_offered_from_then_on() {
    let server = Server::start().await;
    let mut client = Client::connect(server.address()).await;
    assert_eq!(
        offered(&mut client, 1).await,
        [RSA_KEY.public().fingerprint()]
    );

    server.control.set_keys(Keyring::new([]));

    assert!(offered(&mut client, 2).await.is_empty());
}

#[tokio::test]
async fn a_gateway_that_is_gone_listens_on_nothing() {
    let mut server = Server::start().await;
    let control = server.control.clone();
    let address = server.address();
    server.stop();
    server.ended().await;

    control.listen(&[Listener::tcp(address)]).unwrap();

    assert_eq!(control.addresses(), []);
    until_refused(address).await;
}

async fn offered(client: &mut Client, nonce: u8) -> Vec<i64> {
    let nonce = [nonce; 16];
    client.ask(&ReqPqMulti { nonce }.to_bytes()).await;
    let answer = client.answer().await;
    let answer = ResPq::from_bytes(&answer).unwrap();
    answer.server_public_key_fingerprints.iter().collect()
}

async fn until_refused(address: std::net::SocketAddr) {
    let refused = async {
        while TcpStream::connect(address).await.is_ok() {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, refused).await.unwrap();
}
