//! What a client does about each code of `bad_msg_notification`, and about `bad_server_salt`.

use heliogram_proto::ids::{MsgId, Salt};
use heliogram_proto::session::client::Event;
use heliogram_tl::mtproto as tl;

use super::alone::Alone;
use crate::support::METHOD;

#[test]
fn after_16_33_48_and_64_the_same_call_goes_in_a_new_message_of_the_same_session() {
    for code in [16, 33, 48, 64] {
        let mut alone = Alone::new();
        let (_, first) = alone.sent_call();
        alone.hear_refusal(first.msg_id, code);
        let again = alone.calls();
        assert_eq!(again.len(), 1, "{code}");
        assert_eq!(again[0].session_id, first.session_id, "{code}");
        assert!(again[0].msg_id > first.msg_id, "{code}");
        assert_eq!(alone.told(), [], "{code}");
    }
}

#[test]
fn after_32_sequence_numbers_go_on_64_higher() {
    let mut alone = Alone::new();
    let (_, first) = alone.sent_call();
    alone.hear_refusal(first.msg_id, 32);
    let again = alone.calls();
    assert_eq!(again[0].session_id, first.session_id);
    assert_eq!(again[0].seqno.0, first.seqno.0 + 2 + 64);
}

#[test]
fn after_17_18_34_and_35_the_call_goes_in_a_new_session() {
    for code in [17, 18, 34, 35] {
        let mut alone = Alone::new();
        let (_, first) = alone.sent_call();
        alone.hear_refusal(first.msg_id, code);
        let again = alone.calls();
        assert_eq!(again.len(), 1, "{code}");
        assert_ne!(again[0].session_id, first.session_id, "{code}");
        let session_id = again[0].session_id;
        assert_eq!(alone.told(), [Event::Restarted { session_id }], "{code}");
    }
}

#[test]
fn after_19_the_same_messages_go_in_another_container() {
    let mut alone = Alone::new();
    alone.call();
    alone.call();
    let first = alone.drain();
    alone.hear_refusal(first[0].container.unwrap(), 19);
    let again = alone.calls();
    let numbers = |said: &[super::alone::Said]| -> Vec<_> {
        said.iter().map(|it| (it.msg_id, it.seqno)).collect()
    };
    assert_eq!(numbers(&again), numbers(&first));
    assert!(again[0].container > first[0].container);
}

#[test]
fn after_20_nobody_can_say_whether_the_call_was_executed() {
    let mut alone = Alone::new();
    let (call, first) = alone.sent_call();
    alone.hear_refusal(first.msg_id, 20);
    assert_eq!(alone.told(), [Event::Uncertain { call }]);
    assert_eq!(alone.drain(), []);
    assert_eq!(alone.client.calls_waiting(), 0);
}

#[test]
fn a_refused_container_is_refused_for_all_that_it_held() {
    let mut alone = Alone::new();
    let calls = [alone.call(), alone.call()];
    alone.client.ping(1, None);
    let first = alone.drain();
    assert_eq!(first.len(), 3);
    alone.hear_bad_salt(first[0].container.unwrap(), 9);
    let again = alone.drain();
    assert_eq!(again.iter().filter(|it| it.body == METHOD[..]).count(), 2);
    assert!(again.iter().any(|it| it.id() == tl::Ping::ID));
    assert!(again.iter().all(|it| it.salt == Salt(9)));
    assert_eq!(calls, [0, 1]);
}

#[test]
fn what_was_sent_twice_keeps_its_identifier_when_its_container_is_refused() {
    let mut alone = Alone::new();
    let (_, first) = alone.sent_call();
    alone.reconnect();
    let second = alone.calls();
    // The first copy may have been taken, and may run: under another identifier the call would run twice.
    alone.hear_bad_salt(second[0].container.unwrap(), 9);
    let third = alone.calls();
    assert_eq!(third.len(), 1);
    assert_eq!(third[0].msg_id, first.msg_id);
    assert!(third[0].container > second[0].container);
}

#[test]
fn what_was_sent_twice_and_is_itself_refused_is_uncertain() {
    let mut alone = Alone::new();
    let (call, first) = alone.sent_call();
    alone.reconnect();
    alone.drain();
    alone.hear_refusal(first.msg_id, 33);
    assert_eq!(alone.told(), [Event::Uncertain { call }]);
    assert_eq!(alone.calls(), []);
}

#[test]
fn a_refusal_of_a_copy_that_went_alone_says_nothing_of_one_in_a_container_after_it() {
    for code in [16, 48, 64] {
        let mut alone = Alone::new();
        let (_, first) = alone.sent_call();
        alone.reconnect();
        alone.drain();
        alone.hear_refusal(first.msg_id, code);
        assert_eq!(alone.told(), [], "{code}");
        assert_eq!(alone.calls(), [], "{code}");
        assert_eq!(alone.client.calls_waiting(), 1, "{code}");
    }
}

#[test]
fn a_refusal_of_what_was_not_sent_is_not_believed() {
    for code in [16, 17, 19, 20, 32, 33, 34, 48, 64] {
        let mut alone = Alone::new();
        let (_, sent) = alone.sent_call();
        alone.hear_refusal(MsgId(sent.msg_id.0 + 4), code);
        assert_eq!(alone.told(), [], "{code}");
        assert_eq!(alone.drain(), [], "{code}");
        assert_eq!(alone.client.id(), sent.session_id, "{code}");
    }
}

#[test]
fn five_refusals_in_a_row_are_borne_and_the_sixth_is_the_last() {
    let mut alone = Alone::new();
    let (_, mut sent) = alone.sent_call();
    for _ in 0..5 {
        alone.hear_refusal(sent.msg_id, 33);
        assert_eq!(alone.told(), []);
        sent = alone.calls().pop().unwrap();
    }
    alone.hear_refusal(sent.msg_id, 33);
    assert_eq!(alone.told(), [Event::GaveUp]);
    assert_eq!(alone.calls(), []);
}
