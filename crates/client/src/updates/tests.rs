//! What a stream makes of answers that come in an order that no server can be made to keep to.

use heliogram_testkit::backend::things;
use heliogram_testkit::server::{Servers, public_key};

use super::*;
use crate::{DataCentre, RpcError};

#[tokio::test]
async fn a_request_that_was_refused_is_made_again_though_word_of_signing_in_came_before_or_is_given_up()
 {
    let (_servers, mut updates) = stream().await;
    let request = updates.first_request();
    updates.on_signed_in(7);
    updates.on_refusal(request, &refusal(401, "AUTH_KEY_UNREGISTERED"));
    assert_eq!(updates.requests.turn(), Some(request));
    // It was for that refusal.
    updates.on_refusal(request, &refusal(401, "AUTH_KEY_UNREGISTERED"));
    assert_eq!(updates.requests.turn(), None);

    updates.on_fed(Fed::Lost);
    assert_eq!(updates.requests.turn(), None, "nobody has signed in");
    updates.on_fed(Fed::Overrun);
    assert_eq!(updates.requests.turn(), Some(request));

    updates.on_refusal(request, &refusal(401, "AUTH_KEY_UNREGISTERED"));
    updates.on_signed_in(7);
    assert_eq!(updates.requests.turn(), Some(request));
    assert_eq!(updates.requests.turn(), None);
}

#[tokio::test]
async fn nothing_of_an_account_is_left_to_another_that_signs_in() {
    let (_servers, mut updates) = stream().await;
    updates.on_signed_in(7);
    updates.known.learn_user(&things::user(9, "Ann").into());
    updates.known.learn_channel(5, 6);
    updates.open_channel(5).unwrap();
    updates.on_signed_in(7);
    assert!(updates.input_peer(&things::person(9)).is_some());

    updates.on_signed_in(8);
    assert_eq!(updates.input_peer(&things::person(9)), None);
    assert_eq!(updates.known.channel_hash(5), 0);
    assert!(updates.open.is_empty());
    assert_eq!(updates.position(), Position::default());
    assert_eq!(updates.requests.turn(), Some(Request::State));
    updates.on_signed_in(8);
    assert_eq!(updates.known.me, Some(8));
}

#[tokio::test]
async fn an_open_channel_whose_number_the_server_refuses_is_asked_about_again() {
    let (_servers, mut updates) = stream().await;
    updates.open_channel(5).unwrap();
    updates.on_deadline();
    assert_eq!(updates.open.get(&5), Some(&None), "an answer is awaited");
    let request = Request::ChannelDifference {
        channel_id: 5,
        pts: 1,
    };
    updates.on_refusal(request, &refusal(400, "PERSISTENT_TIMESTAMP_INVALID"));
    assert!(matches!(updates.open.get(&5), Some(Some(_))));
    updates.on_deadline();
    updates.on_refusal(request, &refusal(400, "CHANNEL_PRIVATE"));
    assert_eq!(updates.open.get(&5), None);
}

#[tokio::test]
async fn a_difference_that_the_server_refuses_gives_way_to_the_state() {
    let (_servers, mut updates) = stream().await;
    let request = updates.first_request();
    updates.on_refusal(request, &refusal(400, "PERSISTENT_TIMESTAMP_INVALID"));
    assert_eq!(updates.requests.turn(), Some(Request::State));
}

impl Updates {
    /// Returns the request that it begins with.
    fn first_request(&mut self) -> Request {
        self.on_deadline();
        self.requests.turn().expect("a request")
    }
}

/// A stream that goes on from somewhere, and has asked nothing.
async fn stream() -> (Servers, Updates) {
    let servers = Servers::start([2]).unwrap();
    let client = Client::builder()
        .api_id(4)
        .api_hash("hash")
        .server_key(public_key())
        .data_centre(DataCentre::new(2, [servers.at(2).address()]));
    let state = UpdateState {
        pts: 10,
        qts: 1,
        seq: 1,
        date: 1,
    };
    let client = client.connect().await.unwrap();
    (servers, client.updates(Some(state.into())))
}

fn refusal(code: i32, name: &str) -> InvokeError {
    InvokeError::Rpc(RpcError::new(code, name))
}
