//! Other data centres: where they are, and whose account comes along.

use grammers_tl_types::enums;
use grammers_tl_types::functions::{auth, help, upload, users};
use heliogram_client::{Builder, Client, DataCentre, InvokeError};
use heliogram_testkit::backend::{Content, refuse};
use heliogram_testkit::server::{GUEST, Servers, public_key};

#[tokio::test]
async fn a_call_elsewhere_carries_the_account_there_once_for_all_that_wait() {
    let servers = Servers::start([2, 4]).unwrap();
    let client = all_of(&servers).connect().await.unwrap();
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.invoke_at(4, &me()).await })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap()[0].id(), GUEST);
    }
    assert_eq!(carried(&servers), (1, 1));
    // A key that was signed out there is signed in again.
    servers.at(4).backend().sign_out_all();
    client.invoke_at(4, &me()).await.unwrap();
    assert_eq!(carried(&servers), (2, 2));
    client.shutdown().await;
}

#[tokio::test]
async fn a_request_that_is_sent_elsewhere_takes_the_account_along() {
    let servers = Servers::start([2, 4]).unwrap();
    let client = all_of(&servers).connect().await.unwrap();
    let content = Content::Generated { bytes: 10, seed: 7 };
    let location = servers.cloud().files().add(1, 4, content);
    let part = upload::GetFile {
        precise: false,
        cdn_supported: false,
        location,
        offset: 0,
        limit: 4096,
    };
    let found = client.invoke(&part).await.unwrap();
    assert!(matches!(found, enums::upload::File::File(it) if it.bytes.len() == 10));
    assert_eq!(client.home(), 2);
    assert_eq!(carried(&servers), (1, 1));
    client.shutdown().await;
}

#[tokio::test]
async fn an_account_that_moves_is_signed_in_at_its_new_home() {
    let servers = Servers::start([2, 4]).unwrap();
    let client = all_of(&servers).connect().await.unwrap();
    let script = servers.at(2).backend().script();
    script.fail::<users::GetUsers>(1, 303, "USER_MIGRATE_4");
    assert_eq!(client.invoke(&me()).await.unwrap()[0].id(), GUEST);
    assert_eq!((client.home(), carried(&servers)), (4, (1, 1)));
    client.invoke(&me()).await.unwrap();
    assert_eq!(carried(&servers), (1, 1));
    client.shutdown().await;
}

#[tokio::test]
async fn who_is_not_signed_in_at_home_is_told_so_by_the_call_itself() {
    let servers = Servers::start([2, 4]).unwrap();
    servers.at(2).backend().welcome(None);
    let client = all_of(&servers).connect().await.unwrap();
    for dc in [2, 4] {
        let error = name_of(client.invoke_at(dc, &me()).await);
        assert_eq!(error, "401 AUTH_KEY_UNREGISTERED");
    }
    assert_eq!(carried(&servers), (1, 0));
    client.shutdown().await;
}

#[tokio::test]
async fn an_authorization_that_was_used_is_exported_anew_once() {
    let servers = Servers::start([2, 4]).unwrap();
    let client = all_of(&servers).connect().await.unwrap();
    let script = servers.at(4).backend().script();
    script.fail::<auth::ImportAuthorization>(2, 400, "AUTH_BYTES_INVALID");
    let error = name_of(client.invoke_at(4, &me()).await);
    assert_eq!(error, "400 AUTH_BYTES_INVALID");
    assert_eq!(carried(&servers), (2, 2));
    script.fail::<auth::ImportAuthorization>(1, 400, "AUTH_BYTES_INVALID");
    client.invoke_at(4, &me()).await.unwrap();
    assert_eq!(carried(&servers), (4, 4));
    client.shutdown().await;
}

#[tokio::test]
async fn a_server_that_never_knows_the_account_is_tried_once_more_and_no_longer() {
    let servers = Servers::start([2, 4]).unwrap();
    let client = all_of(&servers).connect().await.unwrap();
    let backend = servers.at(4).backend();
    let refusal = |_: &_, _| Err(refuse(401, "AUTH_KEY_UNREGISTERED"));
    backend.script().answer::<users::GetUsers>(refusal);
    let error = name_of(client.invoke_at(4, &me()).await);
    assert_eq!(error, "401 AUTH_KEY_UNREGISTERED");
    assert_eq!(backend.ledger().calls::<users::GetUsers>(), 2);
    client.shutdown().await;
}

#[tokio::test]
async fn a_data_centre_that_is_not_known_is_asked_for_unless_addresses_are_fixed() {
    let servers = Servers::start([2, 4]).unwrap();
    let client = home_of(&servers).connect().await.unwrap();
    client.invoke_at(4, &me()).await.unwrap();
    let unknown = client.invoke_at(7, &me()).await;
    assert_eq!(unknown, Err(InvokeError::UnknownDataCentre(7)));
    client.shutdown().await;

    let client = home_of(&servers).fixed_addresses().connect().await.unwrap();
    let unknown = client.invoke_at(4, &me()).await;
    assert_eq!(unknown, Err(InvokeError::UnknownDataCentre(4)));
    client.shutdown().await;
}

#[tokio::test]
async fn a_client_asks_where_data_centres_are_and_goes_there() {
    let servers = Servers::start([2, 4]).unwrap();
    let nobody = "127.0.0.1:9".parse().unwrap();
    let builder = home_of(&servers).data_centre(DataCentre::new(4, [nobody]));
    let client = builder.connect().await.unwrap();
    let ledger = servers.at(2).backend().ledger();
    ledger.wait_for::<help::GetConfig>(1).await;
    client.invoke_at(4, &me()).await.unwrap();

    client.refresh_data_centres().await.unwrap();
    assert_eq!(ledger.calls::<help::GetConfig>(), 2);
    client.shutdown().await;
}

#[tokio::test]
async fn what_a_client_does_by_itself_holds_no_connection_of_one_that_was_dropped() {
    let servers = Servers::start([2]).unwrap();
    let held = servers.at(2).backend().script().hold::<help::GetConfig>();
    let client = home_of(&servers).connect().await.unwrap();
    let ledger = servers.at(2).backend().ledger();
    ledger.wait_for::<help::GetConfig>(1).await;
    let mut notices = client.notices();
    drop(client);
    // The line ends although its question was never answered.
    while !matches!(
        notices.next().await,
        heliogram_client::Notice::Connection {
            is_connected: false,
            ..
        }
    ) {}
    drop(held);
}

/// Begins to set up a client that knows where all of these are.
pub(crate) fn all_of(servers: &Servers) -> Builder {
    let addresses = servers.addresses().into_iter();
    addresses.fold(home_of(servers), |builder, (dc, address)| {
        builder.data_centre(DataCentre::new(dc, [address]))
    })
}

/// Begins to set up a client that knows where data centre 2 is.
fn home_of(servers: &Servers) -> Builder {
    Client::builder()
        .api_id(4)
        .api_hash("hash")
        .server_key(public_key())
        .data_centre(DataCentre::new(2, [servers.at(2).address()]))
}

fn me() -> users::GetUsers {
    users::GetUsers {
        id: vec![enums::InputUser::UserSelf],
    }
}

/// How often the account was exported at 2, and imported at 4.
fn carried(servers: &Servers) -> (usize, usize) {
    let [home, other] = [2, 4].map(|dc| servers.at(dc).backend().ledger());
    (
        home.calls::<auth::ExportAuthorization>(),
        other.calls::<auth::ImportAuthorization>(),
    )
}

fn name_of<T: std::fmt::Debug>(outcome: Result<T, InvokeError>) -> String {
    outcome.unwrap_err().to_string()
}
