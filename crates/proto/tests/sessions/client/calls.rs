//! Calls with a time limit, and calls that are not wanted any more.

use std::time::Duration;

use bytes::Bytes;
use heliogram_proto::cx::Cx;
use heliogram_proto::ids::{AuthKeyId, MsgId, Salt};
use heliogram_proto::port::Reply;
use heliogram_proto::session::Outgoing;
use heliogram_proto::session::client::{Binding, Cancelled, Event, Fate, TooManyCalls};
use heliogram_tl::{Deserialize, Serialize, api, mtproto as tl};

use super::alone::{Alone, Said};
use crate::support::{METHOD, key};

#[test]
fn a_call_ends_when_its_time_is_over_and_not_before() {
    let mut alone = Alone::new();
    let due = alone.now.mono + Duration::from_secs(3);
    let call = alone
        .client
        .call_until(Bytes::from_static(&METHOD), due)
        .unwrap();
    let sent = alone.drain().pop().unwrap();
    assert_eq!(alone.client.next_deadline(), Some(due));
    alone.pass(Duration::from_nanos(2_999_999_999));
    assert_eq!(alone.told(), []);
    alone.pass(Duration::from_nanos(1));
    assert_eq!(alone.told(), [Event::TimedOut { call }]);
    assert_eq!(alone.client.calls_waiting(), 0);
    let said = alone.drain();
    assert_eq!(dropped(&said), [sent.msg_id]);
    alone.pass_s(100);
    assert_eq!(alone.told(), []);
}

#[test]
fn a_call_whose_time_is_over_before_it_was_sent_is_never_sent() {
    let mut alone = Alone::new();
    let due = alone.now.mono + Duration::from_secs(3);
    let body = Bytes::from_static(&METHOD);
    let call = alone.client.call_until(body, due).unwrap();
    alone.pass_s(3);
    assert_eq!(alone.told(), [Event::TimedOut { call }]);
    assert_eq!(alone.drain(), []);
}

#[test]
fn a_call_that_is_answered_in_time_does_not_end_twice() {
    let mut alone = Alone::new();
    let due = alone.now.mono + Duration::from_secs(3);
    let body = Bytes::from_static(&METHOD);
    let call = alone.client.call_until(body, due).unwrap();
    let sent = alone.drain().pop().unwrap();
    alone.hear_result(sent.msg_id, &METHOD);
    assert_eq!(alone.told(), [answer(call)]);
    alone.pass_s(3);
    assert_eq!(alone.told(), []);
}

#[test]
fn a_call_that_was_not_sent_is_cancelled_without_a_word() {
    let mut alone = Alone::new();
    let (first, second) = (alone.call(), alone.call());
    assert_eq!(alone.client.cancel(first), Cancelled::NotSent);
    assert_eq!(alone.client.cancel(first), Cancelled::Unknown);
    assert_eq!(alone.drain().len(), 1);
    assert_eq!(alone.client.calls_waiting(), 1);
    assert_eq!(alone.client.cancel(second), Cancelled::Sent);
    assert_eq!(alone.client.calls_waiting(), 0);
}

#[test]
fn a_cancelled_call_has_its_answer_dropped_and_its_fate_told() {
    let fates = [
        (tl::RpcAnswerUnknown.to_bytes(), Fate::Unknown),
        (tl::RpcAnswerDroppedRunning.to_bytes(), Fate::Running),
        (
            tl::RpcAnswerDropped {
                msg_id: 1,
                seq_no: 1,
                bytes: 4,
            }
            .to_bytes(),
            Fate::Answered,
        ),
    ];
    for (result, fate) in fates {
        let mut alone = Alone::new();
        let (call, sent) = alone.sent_call();
        assert_eq!(alone.client.cancel(call), Cancelled::Sent);
        let drop = alone.drain().pop().unwrap();
        assert_eq!(drop.read::<tl::RpcDropAnswer>().req_msg_id, sent.msg_id.0);
        // The query itself is answered, too, while it runs.
        alone.hear_result(sent.msg_id, &result);
        assert_eq!(alone.told(), []);
        alone.hear_result(drop.msg_id, &result);
        assert_eq!(alone.told(), [Event::Dropped { call, fate }]);
    }
}

#[test]
fn the_wish_to_drop_an_answer_outlives_its_connection_under_a_new_identifier() {
    let mut alone = Alone::new();
    let (call, sent) = alone.sent_call();
    alone.client.cancel(call);
    let first = alone.drain().pop().unwrap();
    alone.reconnect();
    let said = alone.drain();
    assert_eq!(dropped(&said), [sent.msg_id]);
    assert!(said[0].msg_id > first.msg_id);
}

#[test]
fn as_many_calls_wait_as_may_and_not_one_more() {
    let mut alone = Alone::new();
    for _ in 0..1024 {
        alone.call();
    }
    let body = Bytes::from_static(&METHOD);
    assert_eq!(alone.client.call(body.clone()), Err(TooManyCalls));
    let due = alone.now.mono;
    assert_eq!(
        alone.client.call_until(body.clone(), due),
        Err(TooManyCalls)
    );
    alone.client.cancel(0);
    assert!(alone.client.call(body).is_ok());
}

#[test]
fn a_binding_names_the_message_that_carries_it_and_travels_alone_under_its_own_salt() {
    let mut alone = Alone::new();
    alone.call();
    let (call, said) = bind(&mut alone);
    assert_eq!(named_by(&said), said.header.msg_id);
    assert_eq!(said.header.salt, OF_TEMP);
    assert!(said.header.seqno.is_content_related());
    let others = alone.drain();
    assert!(
        others
            .iter()
            .all(|it| it.id() != api::auth::BindTempAuthKey::ID)
    );
    assert!(others.iter().all(|it| it.msg_id > said.header.msg_id));
    alone.hear_result(said.header.msg_id, &METHOD);
    assert_eq!(alone.told(), [answer(call)]);
}

#[test]
fn a_refused_binding_is_given_back_because_it_fits_no_other_message() {
    let mut alone = Alone::new();
    let (call, said) = bind(&mut alone);
    alone.hear_bad_salt(said.header.msg_id, 5);
    assert_eq!(alone.told(), [Event::Refused { call }]);
    let (again, said_again) = bind(&mut alone);
    assert_ne!(again, call);
    assert_eq!(named_by(&said_again), said_again.header.msg_id);
}

#[test]
fn a_binding_whose_connection_is_gone_is_forgotten_without_a_word() {
    let mut alone = Alone::new();
    let (call, said) = bind(&mut alone);
    assert_eq!(alone.client.calls_waiting(), 1);
    alone.client.unbind(call);
    assert_eq!(alone.client.calls_waiting(), 0);
    let (now, rng, out) = (alone.now, &mut alone.rng, &mut alone.events);
    alone.client.reconnected(&mut Cx { now, rng, out });
    assert_eq!(alone.drain(), []);
    alone.hear_result(said.header.msg_id, &METHOD);
    assert_eq!(alone.told(), []);
}

#[test]
fn calls_wait_for_the_binding_and_not_for_whoever_is_asked_for_it() {
    let mut alone = Alone::new();
    let (_, sent) = alone.sent_call();
    let (call, asked) = bind(&mut alone);
    let news = tl::NewSessionCreated {
        first_msg_id: asked.header.msg_id.0,
        unique_id: 7,
        server_salt: 8,
    };
    alone.hear(&news);
    assert_eq!(alone.calls(), []);

    // Said of a key that is bound, the same means that the call is lost.
    alone.client.unbind(call);
    alone.hear(&tl::NewSessionCreated {
        unique_id: 9,
        ..news
    });
    assert!(alone.calls()[0].msg_id > sent.msg_id);
}

fn bind(alone: &mut Alone) -> (u64, Outgoing) {
    let binding = Binding {
        perm_key: &key(),
        temp: AuthKeyId(9),
        salt: OF_TEMP,
        expires_at_unix_s: 2_000_000_000,
    };
    alone.client.bind(&binding, alone.now, &mut alone.rng)
}

/// The first salt of the temporary key.
const OF_TEMP: Salt = Salt(77);

/// The message that a binding says to be in.
fn named_by(said: &Outgoing) -> MsgId {
    let request = api::auth::BindTempAuthKey::from_bytes(&said.body).unwrap();
    let plaintext = heliogram_crypto::v1::open(&key(), request.encrypted_message).unwrap();
    MsgId(i64::from_le_bytes(plaintext[16..24].try_into().unwrap()))
}

fn dropped(said: &[Said]) -> Vec<MsgId> {
    said.iter()
        .map(|it| MsgId(it.read::<tl::RpcDropAnswer>().req_msg_id))
        .collect()
}

fn answer(call: u64) -> Event {
    let reply = Reply::Result(Bytes::from_static(&METHOD));
    Event::Answer { call, reply }
}
