//! Sessions that had to be left: their calls are not sent again while they may run.

use bytes::Bytes;
use heliogram_proto::ids::{MsgId, SeqNo, SessionId};
use heliogram_proto::port::Reply;
use heliogram_proto::session::client::{Cancelled, Event, Unacceptable};
use heliogram_tl::{Serialize, mtproto as tl};

use super::alone::Alone;
use crate::support::METHOD;

#[test]
fn a_call_that_may_run_in_a_session_that_was_left_is_waited_for_and_not_sent_again() {
    let mut alone = Alone::new();
    let (running, sent) = alone.sent_call();
    let (refused, bad) = alone.sent_call();
    let old = alone.client.id();
    alone.hear_refusal(bad.msg_id, 17);
    assert_eq!(alone.told(), [restarted(&alone)]);
    assert_eq!(alone.calls().len(), 1, "the refused one");
    assert_eq!(alone.client.calls_waiting(), 2);

    hear_result_in(&mut alone, old, sent.msg_id).unwrap();
    hear_result_in(&mut alone, old, sent.msg_id).unwrap();
    assert_eq!(alone.told(), [answer(running)]);
    assert_eq!(alone.client.calls_waiting(), 1);
    assert_eq!(alone.client.cancel(refused), Cancelled::Sent);
}

#[test]
fn what_is_refused_in_a_session_that_was_left_goes_on_in_the_next() {
    let mut alone = Alone::new();
    let (_, first) = alone.sent_call();
    let (_, second) = alone.sent_call();
    let old = alone.client.id();
    alone.hear_refusal(first.msg_id, 17);
    assert_eq!(alone.calls().len(), 1);
    let refusal = tl::BadMsgNotification {
        bad_msg_id: second.msg_id.0,
        bad_msg_seqno: second.seqno.0,
        error_code: 17,
    };
    let id = alone.server_id(1);
    alone
        .hear_in(old, id, SeqNo(0), &refusal.to_bytes())
        .unwrap();
    let again = alone.calls();
    assert_eq!(again.len(), 1);
    assert_ne!(again[0].session_id, old);
}

#[test]
fn with_its_connection_a_session_that_was_left_is_over_and_its_calls_uncertain() {
    let mut alone = Alone::new();
    let (running, sent) = alone.sent_call();
    let (_, bad) = alone.sent_call();
    let old = alone.client.id();
    alone.hear_refusal(bad.msg_id, 17);
    alone.told();
    alone.reconnect();
    assert_eq!(alone.told(), [Event::Uncertain { call: running }]);
    assert_eq!(
        hear_result_in(&mut alone, old, sent.msg_id),
        Err(Unacceptable::ForeignSession)
    );
}

#[test]
fn a_call_in_a_session_that_was_left_has_its_time_and_can_be_cancelled() {
    let mut alone = Alone::new();
    let due = alone.now.mono + std::time::Duration::from_secs(9);
    let body = Bytes::from_static(&METHOD);
    let timed = alone.client.call_until(body, due).unwrap();
    let (cancelled, _) = alone.sent_call_among(2);
    let (_, bad) = alone.sent_call();
    alone.hear_refusal(bad.msg_id, 17);
    alone.told();
    assert_eq!(alone.client.cancel(cancelled), Cancelled::Sent);
    alone.pass_s(9);
    assert_eq!(alone.told(), [Event::TimedOut { call: timed }]);
    assert_eq!(alone.client.calls_waiting(), 1);
}

#[test]
fn four_sessions_that_were_left_are_remembered_and_not_five() {
    let mut alone = Alone::new();
    let mut running = Vec::new();
    for left in 0..5 {
        running.push(alone.sent_call().0);
        let (_, bad) = alone.sent_call();
        alone.hear_refusal(bad.msg_id, 17);
        // An answer comes between: the server is not given up.
        let again = alone.calls().pop().unwrap();
        alone.hear_result(again.msg_id, &METHOD);
        let told = alone.told();
        let uncertain = Event::Uncertain { call: running[0] };
        assert_eq!(told.contains(&uncertain), left == 4, "{left}");
    }
}

#[test]
fn who_renews_the_session_makes_all_calls_anew() {
    let mut alone = Alone::new();
    alone.sent_call();
    let (_, bad) = alone.sent_call();
    alone.hear_refusal(bad.msg_id, 17);
    alone.calls();
    let (now, rng, out) = (alone.now, &mut alone.rng, &mut alone.events);
    alone
        .client
        .renew(&mut heliogram_proto::cx::Cx { now, rng, out });
    assert_eq!(alone.calls().len(), 2);
}

#[test]
fn questions_about_a_session_end_with_it_and_those_about_the_key_go_on() {
    let mut alone = Alone::new();
    let (call, _) = alone.sent_call();
    alone.client.cancel(call);
    alone.client.ping(1, None);
    alone.client.ask_for_salts(3);
    alone.client.destroy_session(SessionId(7));
    alone.drain();
    let (_, bad) = alone.sent_call();
    alone.hear_refusal(bad.msg_id, 17);
    let mut kinds: Vec<_> = alone.drain().iter().map(super::alone::Said::id).collect();
    kinds.sort_unstable();
    let method = u32::from_le_bytes(METHOD);
    let mut expected = [tl::GetFutureSalts::ID, tl::DestroySession::ID, method];
    expected.sort_unstable();
    assert_eq!(kinds, expected);
}

fn hear_result_in(alone: &mut Alone, session: SessionId, to: MsgId) -> Result<(), Unacceptable> {
    let id = alone.server_id(1);
    let body = tl::RpcResult {
        req_msg_id: to.0,
        result: &METHOD,
    };
    alone.hear_in(session, id, SeqNo(1), &body.to_bytes())
}

fn restarted(alone: &Alone) -> Event {
    let session_id = alone.client.id();
    Event::Restarted { session_id }
}

fn answer(call: u64) -> Event {
    let reply = Reply::Result(Bytes::from_static(&METHOD));
    Event::Answer { call, reply }
}

impl Alone {
    /// As `sent_call`, where so many calls are sent together.
    fn sent_call_among(&mut self, count: usize) -> (u64, super::alone::Said) {
        let call = self.call();
        let mut said = self.drain();
        assert_eq!(said.len(), count);
        (call, said.pop().unwrap())
    }
}
