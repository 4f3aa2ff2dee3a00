//! Making a key and using it.

use heliogram_proto::transport::Framing;
use heliogram_proto::transport::client::{Config, Obfuscation};

use crate::client::{Client, Event};
use crate::server::Server;

#[tokio::test]
async fn a_client_makes_a_key_and_uses_it_at_once_and_on_another_connection() {
    let server = Server::start().await;
    let mut client = Client::connect(server.address()).await;
    let made = client.make_key().await;
    assert_eq!(client.echo(&made.key, b"at once!").await, b"at once!");

    let mut other = Client::connect(server.address()).await;
    assert_eq!(other.echo(&made.key, b"again...").await, b"again...");
    let facts = server.sessions.seen()[0].key;
    assert_eq!((facts.id, facts.dc), (made.key.id(), Some(2)));
    assert_eq!(facts.first_salt.unwrap().salt, made.first_salt);
}

#[tokio::test]
async fn many_messages_in_one_write_are_answered_in_order() {
    let server = Server::start().await;
    let mut client = Client::connect(server.address()).await;
    let key = client.make_key().await.key;

    let mut bytes = Vec::new();
    for number in 0..100_u32 {
        let sealed = client.seal(&key, &number.to_le_bytes());
        bytes.extend(client.frame(&sealed, false));
    }
    tokio::io::AsyncWriteExt::write_all(&mut client.stream, &bytes)
        .await
        .unwrap();
    for number in 0..100_u32 {
        assert_eq!(client.message(&key).await, number.to_le_bytes());
    }
}

#[tokio::test]
async fn a_large_first_message_of_a_known_key_is_taken_on_a_new_connection() {
    let server = Server::start().await;
    let key = Client::connect(server.address()).await.make_key().await.key;
    let mut client = Client::connect(server.address()).await;
    let body = vec![5; 600_000];
    assert_eq!(client.echo(&key, &body).await, body);
}

#[tokio::test]
async fn a_quick_ack_comes_through_the_obfuscation_and_before_the_answer() {
    let server = Server::start().await;
    let key = Client::connect(server.address()).await.make_key().await.key;
    for framing in [
        Framing::Abridged,
        Framing::Intermediate,
        Framing::PaddedIntermediate,
    ] {
        let config = Config::new(framing).obfuscated(Obfuscation::default());
        let mut client = Client::connect_as(server.address(), config).await;
        for _ in 0..3 {
            let sealed = client.seal(&key, b"hurry up");
            let frame = client.frame(&sealed, true);
            tokio::io::AsyncWriteExt::write_all(&mut client.stream, &frame)
                .await
                .unwrap();
            let Event::QuickAck(token) = client.event().await else {
                panic!("{framing:?}: no quick ack")
            };
            assert_eq!(token >> 31, 1);
            assert_eq!(client.message(&key).await, b"hurry up");
        }
    }
}
