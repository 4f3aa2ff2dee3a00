//! Messages that come twice, too late, out of order, or announced; and a server that has begun anew.

use heliogram_proto::cx::Cx;
use heliogram_proto::ids::{MsgId, Salt, SeqNo};
use heliogram_proto::session::client::{Event, Unacceptable};
use heliogram_tl::{Deserialize, Serialize, mtproto as tl};

use super::alone::Alone;
use crate::pair::Pair;
use crate::support::{METHOD, container};

#[test]
fn updates_that_come_together_are_told_in_the_order_of_their_identifiers() {
    let mut alone = Alone::new();
    let ids = [0; 3].map(|_| alone.server_id(3));
    let messages = [2, 0, 1].map(|at: u8| {
        let id = ids[usize::from(at)];
        (id, SeqNo(1), vec![at, 0, 0, 0x77])
    });
    let outer = alone.server_id(3);
    alone
        .hear_as(outer, SeqNo(2), &container(&messages))
        .unwrap();
    let order = alone.told().into_iter().map(|it| {
        let Event::Update(body) = it else {
            panic!("{it:?}")
        };
        body[0]
    });
    let order: Vec<_> = order.collect();
    assert_eq!(order, [0, 1, 2]);
}

#[test]
fn a_container_with_an_identifier_that_is_no_servers_is_not_used_at_all() {
    let mut alone = Alone::new();
    let (good, bad) = (alone.server_id(3), MsgId(alone.server_id(1).0 & !3));
    let outer = alone.server_id(3);
    let update = vec![1, 0, 0, 0x77];
    let both = container(&[
        (good, SeqNo(1), update.clone()),
        (bad, SeqNo(1), update.clone()),
    ]);
    assert_eq!(
        alone.hear_as(outer, SeqNo(2), &both),
        Err(Unacceptable::IdLowBits)
    );
    assert_eq!(alone.told(), []);
    assert_eq!(
        alone.hear_as(MsgId(outer.0 & !3 | 2), SeqNo(1), &update),
        Err(Unacceptable::IdLowBits)
    );
}

#[test]
fn a_message_below_all_that_are_remembered_is_left_out_and_that_is_told() {
    let mut alone = Alone::new();
    let early = alone.server_id(3);
    let (call, sent) = alone.sent_call();
    let early_answer = alone.server_id(1);
    for _ in 0..4097 {
        alone.hear_update(0xe317_af7e);
    }
    alone.told();
    alone.hear_as(early, SeqNo(1), &[0, 0, 0, 0x77]).unwrap();
    assert_eq!(alone.told(), [Event::Missed]);
    // A call is answered once, however late.
    let result = tl::RpcResult {
        req_msg_id: sent.msg_id.0,
        result: &METHOD,
    };
    alone
        .hear_as(early_answer, SeqNo(1), &result.to_bytes())
        .unwrap();
    let told = alone.told();
    assert!(matches!(told[..], [Event::Answer { call: it, .. }] if it == call));
}

#[test]
fn an_announced_message_is_acknowledged_if_it_came_and_asked_for_if_not() {
    let mut alone = Alone::new();
    let known = alone.hear_update(0xe317_af7e);
    let unknown = [0; 3].map(|_| alone.server_id(3));
    for answer_msg_id in [known, unknown[0], unknown[1], unknown[2]] {
        alone.hear(&tl::MsgNewDetailedInfo {
            answer_msg_id: answer_msg_id.0,
            bytes: 4,
            status: 0,
        });
    }
    let said = alone.drain();
    assert_eq!(said.len(), 2, "one request for all, and acknowledgements");
    let wanted = said[0].read::<tl::MsgResendReq<'_>>();
    assert_eq!(
        wanted.msg_ids.iter().collect::<Vec<_>>(),
        unknown.map(|it| it.0)
    );
    let acks = said[1].read::<tl::MsgsAck<'_>>();
    assert_eq!(acks.msg_ids.iter().collect::<Vec<_>>(), [known.0; 2]);
}

#[test]
fn an_announced_answer_is_asked_for_only_while_its_call_waits() {
    for is_cancelled in [false, true] {
        let mut alone = Alone::new();
        let (call, sent) = alone.sent_call();
        if is_cancelled {
            alone.client.cancel(call);
            alone.drain();
        }
        let answer = alone.server_id(1);
        alone.hear(&tl::MsgDetailedInfo {
            msg_id: sent.msg_id.0,
            answer_msg_id: answer.0,
            bytes: 2000,
            status: 0,
        });
        alone.pass_s(5);
        let said = alone.drain();
        assert_eq!(said.len(), 1);
        let expected = if is_cancelled {
            tl::MsgsAck::ID
        } else {
            tl::MsgResendReq::ID
        };
        assert_eq!(said[0].id(), expected);
    }
}

#[test]
fn a_new_session_of_the_server_loses_what_came_before_it_and_nothing_else() {
    let mut alone = Alone::new();
    let (_, lost) = alone.sent_call();
    alone.call();
    alone.call();
    let together = alone.drain();
    let outer = together[0].container.unwrap();
    // The first that the server has seen is the container: what it held was seen, too.
    new_session(&mut alone, outer, 1);
    assert_eq!(alone.told(), [Event::NewSession]);
    let again = alone.calls();
    assert_eq!(again.len(), 1);
    assert!(again[0].msg_id > lost.msg_id);
    assert_eq!(again[0].salt, Salt(42));
}

#[test]
fn the_same_new_session_is_told_once_and_another_again() {
    let mut alone = Alone::new();
    let (_, sent) = alone.sent_call();
    new_session(&mut alone, sent.msg_id, 1);
    alone.told();
    let next = MsgId(sent.msg_id.0 + 4);
    new_session(&mut alone, next, 1);
    assert_eq!(alone.told(), []);
    assert_eq!(alone.calls(), []);
    new_session(&mut alone, next, 2);
    assert_eq!(alone.told(), [Event::NewSession]);
    assert_eq!(alone.calls().len(), 1);
}

#[test]
fn a_second_copy_of_a_call_goes_alone_and_the_host_does_not_run_it_again() {
    let mut pair = Pair::new();
    let call = pair.call(1);
    assert_eq!(pair.client.message_of(call), None, "it was not sent");
    pair.client_sends();
    let first = pair.client.message_of(call).unwrap();
    let mut out = Vec::new();
    let (now, rng) = (pair.world.now, &mut pair.rng);
    let cx = &mut Cx {
        now,
        rng,
        out: &mut out,
    };
    assert!(pair.client.drain_copy(call, cx));
    let copy = tl::MsgCopy::from_bytes(&out[0].body).unwrap().orig_message;
    assert_eq!(copy.msg_id, first.0);
    assert!(out[0].header.msg_id > first);
    pair.send_sealed(out);
    pair.settle();
    assert_eq!(pair.answers().len(), 1);
    assert_eq!(pair.executed[&1], 1);
    let (now, rng, out) = (pair.world.now, &mut pair.rng, &mut Vec::new());
    assert!(!pair.client.drain_copy(call, &mut Cx { now, rng, out }));
}

#[test]
fn messages_of_the_server_can_be_wanted_again() {
    let mut alone = Alone::new();
    alone.client.want_again(5);
    assert_eq!(alone.drain(), []);
    let ids = [0; 3].map(|_| alone.hear_update(0xe317_af7e).0);
    alone.client.want_again(2);
    let said = alone.drain();
    let wanted = said[0].read::<tl::MsgResendReq<'_>>();
    assert_eq!(wanted.msg_ids.iter().collect::<Vec<_>>(), ids[1..]);
}

fn new_session(alone: &mut Alone, first: MsgId, unique_id: i64) {
    let body = tl::NewSessionCreated {
        first_msg_id: first.0,
        unique_id,
        server_salt: 42,
    };
    let id = alone.server_id(1);
    alone.hear_as(id, SeqNo(1), &body.to_bytes()).unwrap();
}
