//! Keys: made once, kept, temporary ones bound and renewed.

use std::sync::Arc;

use heliogram_client::storage::{Memory, Storage as _};
use heliogram_client::{ConnectError, DataCentre, Lost, PublicKey};
use heliogram_crypto::rsa::PrivateKey;
use heliogram_proto::client::Failure;
use heliogram_proto::exchange::client::Error;

use crate::server::{Count, RSA_KEY, Server};

#[tokio::test]
async fn a_client_comes_back_with_the_key_that_it_kept() {
    let server = Server::start();
    let storage = Arc::new(Memory::new());
    let builder = || server.client().storage(Arc::<Memory>::clone(&storage));
    let client = builder().connect().await.unwrap();
    client.invoke(&Count(1)).await.unwrap();
    client.shutdown().await;
    let first = storage.load().unwrap();
    assert_eq!(first.keys.len(), 1);

    let client = builder().connect().await.unwrap();
    assert_eq!(client.invoke(&Count(2)).await, Ok(2));
    client.shutdown().await;

    let second = storage.load().unwrap();
    assert_eq!(second.keys[&2].key.id(), first.keys[&2].key.id());
}

#[tokio::test]
async fn without_forward_secrecy_the_permanent_key_seals_calls() {
    let server = Server::start();
    let builder = server.client().without_forward_secrecy();
    let client = builder.connect().await.unwrap();
    assert_eq!(client.invoke(&Count(1)).await, Ok(1));
    client.shutdown().await;
}

#[tokio::test]
async fn a_server_that_has_forgotten_the_key_gets_a_new_one() {
    let storage = Arc::new(Memory::new());
    for _ in 0..2 {
        let server = Server::start();
        let builder = server.client().storage(Arc::<Memory>::clone(&storage));
        let client = builder.connect().await.unwrap();
        assert_eq!(client.invoke(&Count(1)).await, Ok(1));
        client.shutdown().await;
    }
}

#[tokio::test]
async fn a_server_whose_key_is_unknown_is_refused() {
    let server = Server::start();
    let stranger: PublicKey = PrivateKey::generate().unwrap().public().clone();
    let builder = heliogram_client::Client::builder()
        .api_id(4)
        .api_hash("hash")
        .server_key(stranger)
        .data_centre(DataCentre::new(2, [server.address]));
    let error = builder.connect().await.unwrap_err();
    let offered = [RSA_KEY.public().fingerprint()].into_iter().collect();
    let failure = Failure::Exchange(Error::NoKnownKey(offered));
    assert!(
        matches!(error, ConnectError::Failed(Lost::Failed(it)) if it == failure),
        "{error}"
    );
}
