//! What a builder makes of what it is told: exchanges alone, sessions of other programs, addresses.

use std::sync::Arc;

use heliogram_client::storage::{Memory, State, Storage as _};
use heliogram_client::{Client, ConnectError, DataCentre, IpVersions, SavedSession};
use heliogram_crypto::AuthKey;
use heliogram_proto::ids::{Salt, SessionId};

use crate::server::{Count, RSA_KEY, Server};

#[tokio::test]
async fn an_exchange_alone_makes_a_key_that_a_client_can_go_on_with() {
    let server = Server::start();
    let builder = Client::builder()
        .server_key(RSA_KEY.public().clone())
        .data_centre(DataCentre::new(2, [server.address]));
    let exchanged = builder.exchange().await.unwrap();
    assert!(exchanged.clock_offset_s.abs() <= 1);

    let session = SavedSession {
        key: exchanged.key.clone(),
        salt: exchanged.salt,
        session_id: SessionId(1),
        clock_offset_s: 0,
    };
    let storage = Arc::new(Memory::new());
    let builder = server.client().storage(Arc::<Memory>::clone(&storage));
    let client = builder.session(2, session).connect().await.unwrap();
    assert_eq!(client.invoke(&Count(1)).await, Ok(1));
    client.shutdown().await;
    assert_eq!(storage.load().unwrap().keys[&2].key, exchanged.key);
}

#[tokio::test]
async fn a_session_is_exported_in_284_bytes_and_goes_on_elsewhere_under_a_name_of_its_own() {
    let server = Server::start();
    let client = server.client().connect().await.unwrap();
    client.invoke(&Count(1)).await.unwrap();
    let exported = client.export_session(2).unwrap();
    assert_ne!(exported.session_id, SessionId(0));
    let again = client.export_session(2).unwrap();
    assert_ne!(again.session_id, exported.session_id);
    assert!(client.export_session(4).is_none());
    client.shutdown().await;

    let bytes = exported.to_bytes();
    let imported = SavedSession::from_bytes(&bytes).unwrap();
    let client = server
        .client()
        .session(2, imported)
        .connect()
        .await
        .unwrap();
    assert_eq!(client.invoke(&Count(2)).await, Ok(2));
    let key = client.export_session(2).unwrap().key;
    client.shutdown().await;
    assert_eq!(key, exported.key);
}

#[test]
fn an_imported_session_takes_the_place_of_no_key_and_chooses_a_home_where_there_is_none() {
    let mut state = State::default();
    assert!(state.import(4, &session(1)));
    assert!(state.import(2, &session(2)));
    assert!(!state.import(4, &session(3)));
    assert_eq!(state.home, Some(4));
    assert_eq!(state.keys[&4].key, session(1).key);
    assert_eq!(state.keys[&4].clock_offset_ns, -3_000_000_000);
    let exported = state.export(4, SessionId(9)).unwrap();
    assert_eq!(exported.session_id, SessionId(9));
    assert_eq!(exported.salt, Salt(5));
    assert_eq!(exported.clock_offset_s, -3);
}

#[tokio::test]
async fn home_can_be_chosen_and_addresses_of_a_wrong_kind_are_not_tried() {
    let server = Server::start();
    let nobody = "[::1]:9".parse().unwrap();
    let builder = || {
        let dc = DataCentre::new(4, [nobody, server.address]);
        server.client().data_centre(dc).home(4)
    };
    let client = builder().connect().await.unwrap();
    assert_eq!(client.home(), 4);
    client.shutdown().await;
    for versions in [IpVersions::Ipv4, IpVersions::Ipv6First] {
        let client = builder().ip_versions(versions).connect().await;
        client.unwrap().shutdown().await;
    }
    let dc = DataCentre::new(4, [server.address]);
    let builder = server.client().data_centre(dc).home(4);
    let error = builder.ip_versions(IpVersions::Ipv6).connect().await;
    assert!(matches!(error, Err(ConnectError::Misconfigured(_))));
}

fn session(byte: u8) -> SavedSession {
    SavedSession {
        key: AuthKey::new([byte; 256]),
        salt: Salt(5),
        session_id: SessionId(7),
        clock_offset_s: -3,
    }
}
