//! What a client does about an error by itself, and what it leaves to its user.

use std::sync::Arc;
use std::time::Duration;

use grammers_tl_types::functions::{help, updates};
use heliogram_client::{Builder, Client, DataCentre, InvokeError, Remedy};
use heliogram_testkit::server::{GUEST, Servers, public_key};

#[tokio::test]
async fn a_short_flood_wait_is_waited_for_and_a_long_one_is_told_with_its_time() {
    let servers = Servers::start([2]).unwrap();
    let client = client_of(&servers)
        .flood_wait_max(Duration::from_secs(1))
        .connect();
    let client = client.await.unwrap();
    let backend = servers.at(2).backend();
    backend
        .script()
        .fail::<updates::GetState>(1, 420, "FLOOD_WAIT_1");
    client.invoke(&updates::GetState {}).await.unwrap();
    assert_eq!(backend.ledger().calls::<updates::GetState>(), 2);

    backend
        .script()
        .fail::<updates::GetState>(1, 420, "FLOOD_WAIT_42");
    let told = client.invoke(&updates::GetState {}).await.unwrap_err();
    let InvokeError::Rpc(error) = told else {
        panic!("{told:?}")
    };
    assert_eq!((error.code, error.name.as_str()), (420, "FLOOD_WAIT"));
    assert_eq!(error.parameter, Some(42));
    assert_eq!(error.remedy(), Remedy::Wait(Duration::from_secs(42)));
    assert_eq!(backend.ledger().calls::<updates::GetState>(), 3);
}

#[tokio::test]
async fn a_server_that_fails_once_is_asked_again() {
    let servers = Servers::start([2]).unwrap();
    let client = client_of(&servers).connect().await.unwrap();
    let script = servers.at(2).backend().script();
    script.fail::<updates::GetState>(1, 500, "RPC_CALL_FAIL");
    client.invoke(&updates::GetState {}).await.unwrap();
}

#[tokio::test]
async fn an_account_that_lives_elsewhere_is_followed_and_that_is_home_from_then_on() {
    let servers = Servers::start([2, 4]).unwrap();
    let client = client_of(&servers).connect().await.unwrap();
    let (old, new) = (servers.at(2).backend(), servers.at(4).backend());
    new.welcome(Some(GUEST));
    old.script()
        .fail::<updates::GetState>(1, 303, "USER_MIGRATE_4");
    client.invoke(&updates::GetState {}).await.unwrap();
    assert_eq!(client.home(), 4);
    client.invoke(&updates::GetState {}).await.unwrap();
    assert_eq!(old.ledger().calls::<updates::GetState>(), 1);
    assert_eq!(new.ledger().calls::<updates::GetState>(), 2);
}

#[tokio::test]
async fn a_request_that_belongs_elsewhere_goes_there_and_home_stays() {
    let servers = Servers::start([2, 4]).unwrap();
    let client = client_of(&servers).connect().await.unwrap();
    let script = servers.at(2).backend().script();
    script.fail::<help::GetNearestDc>(1, 303, "STATS_MIGRATE_4");
    client.invoke(&help::GetNearestDc {}).await.unwrap();
    let ledger = servers.at(4).backend().ledger();
    assert_eq!(ledger.calls::<help::GetNearestDc>(), 1);
    assert_eq!(client.home(), 2);
}

#[tokio::test]
async fn a_call_that_is_dropped_is_given_up_by_the_server_too() {
    let servers = Servers::start([2]).unwrap();
    let client = client_of(&servers).connect().await.unwrap();
    let backend = Arc::clone(servers.at(2).backend());
    backend.script().hang::<updates::GetState>(1);
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { client.invoke(&updates::GetState {}).await }
    });
    backend.ledger().wait_for::<updates::GetState>(1).await;

    waiting.abort();

    backend
        .ledger()
        .wait_for_given_up::<updates::GetState>(1)
        .await;
}

fn client_of(servers: &Servers) -> Builder {
    let mut builder = Client::builder()
        .api_id(4)
        .api_hash("hash")
        .server_key(public_key());
    for (dc, address) in servers.addresses() {
        builder = builder.data_centre(DataCentre::new(dc, [address]));
    }
    builder
}
