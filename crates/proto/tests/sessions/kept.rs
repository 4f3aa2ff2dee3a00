//! Answers that are kept until they are acknowledged: sent again if small, announced if large, given up last of all.

use bytes::Bytes;
use heliogram_proto::host::Input;
use heliogram_proto::ids::{LinkId, MsgId, SeqNo};
use heliogram_proto::limits::ANSWER_BYTES_MAX;
use heliogram_proto::port::Reply;
use heliogram_tl::mtproto as tl;

use crate::calls::{acked, error, results};
use crate::support::{LINK, METHOD, Sent, World, ping};

/// Bytes of a result whose answer is just small enough to be sent again unasked.
const SMALL: usize = 1024 - 12;

#[test]
fn a_second_copy_of_a_call_brings_an_answer_of_1024_bytes_again_and_a_larger_one_is_announced() {
    for (len, is_whole) in [(SMALL, true), (SMALL + 4, false)] {
        let mut world = World::new();
        let id = call(&mut world, len);
        let first = world.answers();
        world.submit(world.frame(id, SeqNo(1), METHOD.to_vec()));
        let sent = world.received();
        if is_whole {
            assert_eq!(sent, first);
        } else {
            assert_announced(&sent, id, &first[0]);
        }
        assert!(world.calls.is_empty());
    }
}

#[test]
fn what_was_announced_comes_as_it_was_when_it_is_asked_for() {
    let mut world = World::new();
    let id = call(&mut world, 5000);
    let first = world.answers();
    world.submit(world.frame(id, SeqNo(1), METHOD.to_vec()));
    world.received();
    let msg_ids = [first[0].msg_id.0];
    let msg_ids = (&msg_ids).into();
    world.send(false, &tl::MsgResendReq { msg_ids });
    assert_eq!(world.received(), first);
    world.acknowledge_all(&first);
    world.submit(world.frame(id, SeqNo(1), METHOD.to_vec()));
    assert_eq!(acked(&world.received()), [id.0]);
}

#[test]
fn an_announcement_that_waits_gives_way_to_the_message_itself() {
    let mut world = World::new();
    let id = call(&mut world, 5000);
    let first = world.answers();
    let again = world.frame(id, SeqNo(1), METHOD.to_vec());
    let msg_ids = [first[0].msg_id.0];
    let msg_ids = (&msg_ids).into();
    let request = tl::MsgResendReq { msg_ids };
    world.submit(again.clone());
    world.send(false, &request);
    world.submit(again);
    assert_eq!(world.received(), first);
}

#[test]
fn large_answers_are_announced_on_every_new_connection_until_they_are_acknowledged() {
    let mut world = World::new();
    let large = call(&mut world, 5000);
    let small = call(&mut world, 4);
    let lost = world.answers();
    for link in 2..5 {
        let sent = reconnect(&mut world, LinkId(link - 1), LinkId(link));
        let [news, result, pong, announced] = &sorted(sent)[..] else {
            panic!("link {link}")
        };
        assert_eq!(news.id(), tl::NewSessionCreated::ID);
        assert_eq!((result, pong.id()), (&lost[1], tl::Pong::ID));
        assert_announced(std::slice::from_ref(announced), large, &lost[0]);
    }
    assert_eq!(lost[1].read::<tl::RpcResult<'_>>().req_msg_id, small.0);
}

#[test]
fn eight_mib_of_answers_are_kept_and_with_four_bytes_more_the_oldest_is_lost() {
    for (extra, is_lost) in [(0, false), (4, true)] {
        let mut world = World::new();
        world.send_bytes(false, ping(1));
        let news = world.received();
        world.acknowledge_all(&news);
        let first = call(&mut world, (4 << 20) - 12);
        let second = call(&mut world, (4 << 20) - 12 + extra);
        let sent = world.received();
        world.submit(world.frame(second, SeqNo(3), METHOD.to_vec()));
        assert_announced(&world.received(), second, &sent[1]);
        world.submit(world.frame(first, SeqNo(1), METHOD.to_vec()));
        let again = world.received();
        if is_lost {
            assert_eq!(error(&again), (500, "RPC_ANSWER_LOST".to_owned()));
            assert!(again[0].msg_id > sent[1].msg_id, "a message of its own");
        } else {
            assert_announced(&again, first, &sent[0]);
        }
        assert!(world.calls.is_empty(), "nothing runs again");
    }
}

#[test]
fn the_newest_answer_is_kept_whatever_its_size() {
    let mut world = World::new();
    let id = call(&mut world, ANSWER_BYTES_MAX);
    let first = world.answers();
    world.submit(world.frame(id, SeqNo(1), METHOD.to_vec()));
    assert_announced(&world.received(), id, &first[0]);
}

#[test]
fn a_client_is_told_of_a_lost_answer_when_it_reconnects_and_only_then() {
    let mut world = World::new();
    let first = call(&mut world, 6 << 20);
    let second = call(&mut world, 6 << 20);
    let sent = world.answers();
    assert_eq!(results(&sent).len(), 2, "both were sent");
    let again = reconnect(&mut world, LINK, LinkId(2));
    let lost = results(&again);
    assert_eq!(lost.len(), 1);
    assert_eq!(lost[0].0, first.0);
    let announced = again.iter().find(|it| it.id() == tl::MsgDetailedInfo::ID);
    assert_announced(std::slice::from_ref(announced.unwrap()), second, &sent[1]);
}

#[test]
fn an_acknowledged_answer_is_never_told_to_be_lost() {
    let mut world = World::new();
    let first = call(&mut world, 6 << 20);
    let sent = world.answers();
    call(&mut world, 6 << 20);
    world.received();
    world.acknowledge_all(&sent);
    world.submit(world.frame(first, SeqNo(1), METHOD.to_vec()));
    assert_eq!(acked(&world.received()), [first.0]);
}

#[test]
fn the_state_of_a_call_says_whether_it_runs_is_acknowledged_or_answered() {
    let mut world = World::new();
    let id = world.send_bytes(true, METHOD.to_vec());
    world.received();
    assert_eq!(state(&mut world, id), 4 | 32, "runs");
    world.pass_s(1);
    assert_eq!(acked(&world.received()), [id.0]);
    assert_eq!(state(&mut world, id), 4 | 8 | 32, "runs, acknowledged");
    world.answer_next(&METHOD);
    let sent = world.received();
    assert_eq!(state(&mut world, id), 4 | 8 | 32 | 64, "answered");
    world.acknowledge_all(&sent);
    assert_eq!(state(&mut world, id), 4 | 8, "nothing is left of it");
}

/// Makes a call, answers it with so many bytes that can't be packed.
fn call(world: &mut World, result_bytes: usize) -> MsgId {
    let id = world.send_bytes(true, METHOD.to_vec());
    let (call, _) = world.calls.remove(0);
    let result = if result_bytes > 200 << 10 {
        Bytes::from(vec![7; result_bytes])
    } else {
        Bytes::from(crate::calls::noise(result_bytes))
    };
    world.answer(call, Reply::Result(result));
    id
}

fn state(world: &mut World, id: MsgId) -> u8 {
    let msg_ids = [id.0];
    let msg_ids = (&msg_ids).into();
    world.send(false, &tl::MsgsStateReq { msg_ids });
    let sent = world.received();
    let info = sent.iter().find(|it| it.id() == tl::MsgsStateInfo::ID);
    let states = info.unwrap().read::<tl::MsgsStateInfo<'_>>();
    states.info[0]
}

/// The connection breaks; on the next one the client pings.
fn reconnect(world: &mut World, from: LinkId, to: LinkId) -> Vec<Sent> {
    world.input(Input::Detach { link: from });
    let (id, seqno) = (world.client_id(), world.seqno(false));
    let mut frame = world.frame(id, seqno, ping(1));
    frame.link = to;
    world.submit(frame);
    world.drain(to)
}

fn sorted(mut sent: Vec<Sent>) -> Vec<Sent> {
    sent.sort_by_key(|it| (it.id() == tl::MsgDetailedInfo::ID, it.msg_id));
    sent
}

fn assert_announced(sent: &[Sent], call: MsgId, answer: &Sent) {
    let [sent] = sent else {
        panic!("not one message: {sent:?}")
    };
    let it: tl::MsgDetailedInfo = sent.read();
    let bytes = i32::try_from(answer.body.len()).unwrap();
    assert_eq!((it.msg_id, it.answer_msg_id), (call.0, answer.msg_id.0));
    assert_eq!((it.bytes, it.status), (bytes, 0));
}
