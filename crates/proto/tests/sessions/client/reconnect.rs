//! Calls that are not answered: after a new connection, and after a while.

use std::time::Duration;

use bytes::Bytes;
use heliogram_proto::ids::MsgId;
use heliogram_tl::mtproto as tl;

use super::alone::{Alone, Said};
use crate::support::METHOD;

#[test]
fn after_reconnecting_a_call_goes_again_as_it_was_in_a_container() {
    let mut alone = Alone::new();
    let (_, first) = alone.sent_call();
    assert_eq!(first.container, None);
    alone.pass_s(300);
    alone.drain();
    alone.reconnect();
    let again = alone.calls();
    assert_eq!(again.len(), 1);
    assert_eq!(
        (again[0].msg_id, again[0].seqno),
        (first.msg_id, first.seqno)
    );
    assert!(again[0].container.is_some());
}

#[test]
fn calls_of_64_kib_go_again_at_once_and_of_more_only_when_the_server_lacks_them() {
    for (bytes, asks) in [(64 << 10, false), ((64 << 10) + 4, true)] {
        let mut alone = Alone::new();
        let mut body = METHOD.to_vec();
        body.resize(bytes, 0);
        alone.client.call(Bytes::from(body)).unwrap();
        alone.drain();
        alone.reconnect();
        let said = alone.drain();
        assert_eq!(said[0].id() == tl::MsgsStateReq::ID, asks);
        assert_eq!(said.iter().any(|it| it.body.starts_with(&METHOD)), !asks);
    }
}

#[test]
fn after_301_s_the_server_is_asked_first() {
    let mut alone = Alone::new();
    let (_, sent) = alone.sent_call();
    alone.pass_s(301);
    alone.drain();
    alone.reconnect();
    assert_eq!(states_asked(&alone.drain()), [sent.msg_id]);
}

#[test]
fn what_the_server_lacks_goes_again_what_it_has_does_not_and_answers_are_asked_for() {
    for (state, goes, asks) in [
        (1, true, false),
        (2, true, false),
        (3, true, false),
        (4, false, false),
        (4 | 32, false, false),
        (4 | 32 | 64, false, true),
    ] {
        let mut alone = Alone::new();
        let (_, sent) = alone.sent_call();
        let req_msg_id = ask_states(&mut alone).0;
        let info = &[state];
        alone.hear(&tl::MsgsStateInfo { req_msg_id, info });
        let said = alone.drain();
        let again = said.iter().filter(|it| it.body == METHOD[..]);
        let again: Vec<_> = again.map(|it| it.msg_id).collect();
        assert_eq!(again == [sent.msg_id], goes, "{state}");
        let wanted = said.iter().find(|it| it.id() == tl::MsgResendAnsReq::ID);
        assert_eq!(wanted.is_some(), asks, "{state}");
        if let Some(wanted) = wanted {
            let wanted = wanted.read::<tl::MsgResendAnsReq<'_>>();
            assert_eq!(wanted.msg_ids.iter().collect::<Vec<_>>(), [sent.msg_id.0]);
        }
    }
}

#[test]
fn states_that_nobody_asked_for_or_too_few_of_them_send_nothing_again() {
    let mut alone = Alone::new();
    let (_, sent) = alone.sent_call();
    let info: &[u8] = &[1];
    let req_msg_id = sent.msg_id.0;
    alone.hear(&tl::MsgsStateInfo { req_msg_id, info });
    assert_eq!(alone.drain(), []);
    assert_eq!(alone.client.calls_waiting(), 1);

    let req_msg_id = ask_states(&mut alone).0;
    let id = alone.server_id(1);
    let body = heliogram_tl::Serialize::to_bytes(&tl::MsgsStateInfo {
        req_msg_id,
        info: &[1, 1],
    });
    assert!(
        alone
            .hear_as(id, heliogram_proto::ids::SeqNo(0), &body)
            .is_err()
    );
    assert_eq!(alone.drain(), []);
}

#[test]
fn a_server_that_does_not_tell_states_within_5_s_gets_the_calls_again() {
    let mut alone = Alone::new();
    let (_, sent) = alone.sent_call();
    alone.pass_s(301);
    alone.drain();
    alone.reconnect();
    assert_eq!(alone.calls(), []);
    alone.pass(Duration::from_millis(4999));
    assert_eq!(alone.calls(), []);
    alone.pass(Duration::from_millis(1));
    let again = alone.calls();
    assert_eq!(again[0].msg_id, sent.msg_id);
}

#[test]
fn a_call_without_an_answer_is_asked_about_after_30_s_and_again() {
    let mut alone = Alone::new();
    let (_, sent) = alone.sent_call();
    alone.pass(Duration::from_millis(29_999));
    assert_eq!(alone.drain(), []);
    alone.pass(Duration::from_millis(1));
    assert_eq!(states_asked(&alone.drain()), [sent.msg_id]);
    alone.pass_s(30);
    assert_eq!(states_asked(&alone.drain()), [sent.msg_id]);
    alone.hear_result(sent.msg_id, &METHOD);
    alone.pass_s(30);
    assert!(alone.drain().iter().all(|it| it.id() == tl::MsgsAck::ID));
    assert_eq!(alone.client.next_deadline(), None);
}

#[test]
fn answers_can_be_asked_for_again() {
    let mut alone = Alone::new();
    let (_, sent) = alone.sent_call();
    alone.client.ask_for_answers();
    let said = alone.drain();
    let wanted = said[0].read::<tl::MsgResendAnsReq<'_>>();
    assert_eq!(wanted.msg_ids.iter().collect::<Vec<_>>(), [sent.msg_id.0]);
}

/// Has the client ask for states; returns the message that asks.
fn ask_states(alone: &mut Alone) -> MsgId {
    let (now, rng, out) = (alone.now, &mut alone.rng, &mut alone.events);
    alone
        .client
        .probe(&mut heliogram_proto::cx::Cx { now, rng, out });
    alone.drain()[0].msg_id
}

fn states_asked(said: &[Said]) -> Vec<MsgId> {
    let request = said.iter().find(|it| it.id() == tl::MsgsStateReq::ID);
    let request = request.expect("no question for states");
    let ids = request.read::<tl::MsgsStateReq<'_>>().msg_ids;
    ids.iter().map(MsgId).collect()
}
