//! The testkit's backend, over sockets: what tests of everything else stand on.

use std::sync::Arc;

use grammers_tl_types::functions::{auth, help, updates, upload, users};
use grammers_tl_types::{enums, types};
use heliogram_client::{Client, DataCentre, InvokeError};
use heliogram_testkit::backend::{Content, generated, things};
use heliogram_testkit::server::{GUEST, Servers, public_key};

/// A client of all of these, at home at the first.
pub(crate) async fn client_of(servers: &Servers) -> Client {
    let mut builder = Client::builder()
        .api_id(4)
        .api_hash("hash")
        .server_key(public_key());
    for (dc, address) in servers.addresses() {
        builder = builder.data_centre(DataCentre::new(dc, [address]));
    }
    builder.connect().await.unwrap()
}

#[tokio::test]
async fn the_config_names_every_data_centre_of_the_test() {
    let servers = Servers::start([2, 4]).unwrap();
    let client = client_of(&servers).await;
    let enums::Config::Config(config) = client.invoke(&help::GetConfig {}).await.unwrap();
    let options = config.dc_options.into_iter().map(|it| {
        let enums::DcOption::Option(it) = it;
        (it.id, format!("{}:{}", it.ip_address, it.port))
    });
    let expected = servers.addresses().into_iter();
    assert!(options.eq(expected.map(|(dc, address)| (dc, address.to_string()))));
    assert_eq!(config.this_dc, 2);
}

#[tokio::test]
async fn a_method_fails_as_often_as_its_script_says_and_then_no_more() {
    let servers = Servers::start([2]).unwrap();
    let client = client_of(&servers).await;
    let script = servers.at(2).backend().script();
    script.fail::<updates::GetState>(2, 400, "PEER_ID_INVALID");
    for _ in 0..2 {
        let refused = client.invoke(&updates::GetState {}).await;
        assert!(matches!(refused, Err(InvokeError::Rpc(it)) if it.name == "PEER_ID_INVALID"));
    }
    client.invoke(&updates::GetState {}).await.unwrap();
    let ledger = servers.at(2).backend().ledger();
    assert_eq!(ledger.calls::<updates::GetState>(), 3);
}

#[tokio::test]
async fn an_authorization_is_exported_to_one_data_centre_for_one_use() {
    let servers = Servers::start([2, 4]).unwrap();
    let client = client_of(&servers).await;
    let export = auth::ExportAuthorization { dc_id: 4 };
    let enums::auth::ExportedAuthorization::Authorization(pass) =
        client.invoke(&export).await.unwrap();
    assert_eq!(pass.id, GUEST);
    let import = auth::ImportAuthorization {
        id: pass.id,
        bytes: pass.bytes,
    };
    client.invoke_at(4, &import).await.unwrap();
    let me = users::GetUsers {
        id: vec![enums::InputUser::UserSelf],
    };
    let found = client.invoke_at(4, &me).await.unwrap();
    assert_eq!(found[0].id(), GUEST);
    let again = client.invoke_at(4, &import).await;
    assert!(matches!(again, Err(InvokeError::Rpc(it)) if it.name == "AUTH_BYTES_INVALID"));
}

#[tokio::test]
async fn a_held_method_waits_and_others_do_not() {
    let servers = Servers::start([2]).unwrap();
    let client = client_of(&servers).await;
    let backend = Arc::clone(servers.at(2).backend());
    let held = backend.script().hold::<updates::GetState>();
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { client.invoke(&updates::GetState {}).await }
    });
    backend.ledger().wait_for::<updates::GetState>(1).await;
    client.invoke(&help::GetNearestDc {}).await.unwrap();
    assert!(!waiting.is_finished());
    drop(held);
    waiting.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_generated_file_is_read_in_parts() {
    let servers = Servers::start([2]).unwrap();
    let client = client_of(&servers).await;
    let content = Content::Generated {
        bytes: 256 << 20,
        seed: 7,
    };
    let location = servers.cloud().files().add(1, 2, content);
    let offset = (256 << 20) - (512 << 10);
    let part = upload::GetFile {
        precise: false,
        cdn_supported: false,
        location,
        offset,
        limit: 512 << 10,
    };
    let enums::upload::File::File(types::upload::File { bytes, .. }) =
        client.invoke(&part).await.unwrap()
    else {
        panic!("redirected")
    };
    assert_eq!(bytes, generated(7, offset.unsigned_abs(), 512 << 10));
}

#[tokio::test]
async fn what_was_recorded_and_not_pushed_is_in_the_difference() {
    let servers = Servers::start([2]).unwrap();
    let client = client_of(&servers).await;
    let enums::updates::State::State(before) = client.invoke(&updates::GetState {}).await.unwrap();
    let recorded = servers.cloud().news().write(GUEST, GUEST, "hello");
    recorded.unwrap();
    let ask = updates::GetDifference {
        pts: before.pts,
        pts_limit: None,
        pts_total_limit: None,
        date: before.date,
        qts: before.qts,
        qts_limit: None,
    };
    let enums::updates::Difference::Difference(missed) = client.invoke(&ask).await.unwrap() else {
        panic!("something else")
    };
    assert_eq!(missed.new_messages.len(), 1);
    let enums::updates::State::State(state) = missed.state;
    assert_eq!(state.pts, before.pts + 1);
    assert!(missed.users.iter().any(|it| it.id() == GUEST));
    let channel = updates::GetChannelDifference {
        force: false,
        channel: things::input_channel(9),
        filter: enums::ChannelMessagesFilter::Empty,
        pts: 1,
        limit: 10,
    };
    let unknown = client.invoke(&channel).await;
    assert!(matches!(unknown, Err(InvokeError::Rpc(it)) if it.name == "CHANNEL_INVALID"));
}
