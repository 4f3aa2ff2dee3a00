//! What becomes of sessions that move to the permanent key.

use std::time::Duration;

use heliogram_proto::exchange::binding::Error;
use heliogram_proto::host::{Effect, Input};
use heliogram_proto::ids::{Identity, LinkId, SessionId};
use heliogram_proto::limits::{LINKS_PER_SESSION_MAX, PARKED_BYTES_MAX, PARKED_FRAMES_MAX};
use heliogram_proto::port::Frame;
use heliogram_tl::mtproto as tl;

use super::rig::Client;
use crate::support::{LINK, METHOD, Sent, ping, refusal};

#[test]
fn a_session_goes_on_under_a_renewed_key_and_is_not_announced_again() {
    let mut world = Client::new();
    world.facts = world.perm;
    let running = world.call();
    assert_eq!(world.received()[0].id(), tl::NewSessionCreated::ID);
    world.facts = world.temp;

    world.on_link(LinkId(2));
    world.bind();

    let sent = world.drain(LinkId(2));
    assert_eq!(
        sent.iter().map(Sent::id).collect::<Vec<_>>(),
        [tl::RpcResult::ID],
        "a client that were told of a new session would send its call again"
    );
    world.input(Input::Detach { link: LINK });
    world.answer_next(&METHOD);
    let answer: Vec<_> = world.drain(LinkId(2));
    let result = answer.iter().find(|it| it.id() == tl::RpcResult::ID);
    let result: tl::RpcResult<'_> = result.unwrap().read();
    assert_eq!(result.req_msg_id, running.0);
}

#[test]
fn a_call_that_was_sent_again_on_a_connection_that_is_gone_is_answered_where_the_client_is() {
    let mut world = Client::new();
    world.facts = world.perm;
    let running = world.call();
    world.received();
    world.on_link(LinkId(2));
    world.bind_again_with(running, &METHOD);
    world.input(Input::Detach { link: LinkId(2) });
    world.record();
    world.take_over();
    world.received();

    world.answer_next(&METHOD);
    let answer = world.received();
    assert_eq!(
        answer.iter().map(Sent::id).collect::<Vec<_>>(),
        [tl::RpcResult::ID]
    );
    let result: tl::RpcResult<'_> = answer[0].read();
    assert_eq!(result.req_msg_id, running.0);
    assert!(world.calls.is_empty(), "it ran once");
}

#[test]
fn what_was_announced_before_a_binding_is_not_said_again_once_sessions_are_united() {
    let mut world = Client::new();
    world.facts = world.perm;
    world.call();
    world.received();
    world.on_link(LinkId(2));
    let (call, _) = world.bind_unanswered();
    let outcome = Err(Error::Unavailable);
    world.input(Input::Bound { call, outcome });
    world.about_keys.clear();
    world.on_link(LinkId(3));
    world.bind();
    world.input(Input::Detach { link: LinkId(2) });

    let sent = world.drain(LinkId(3));
    assert!(sent.iter().all(|it| it.id() == tl::RpcResult::ID));
}

#[test]
fn a_call_that_came_under_the_old_key_does_not_run_again_under_the_renewed_one() {
    let mut world = Client::new();
    world.facts = world.perm;
    let (msg_id, seqno) = (world.client_id(), world.seqno(true));
    let frame = world.frame(msg_id, seqno, METHOD.to_vec());
    world.submit(frame.clone());
    world.answer_next(&METHOD);
    world.received();
    world.facts = world.temp;
    world.bind();
    assert_eq!(world.results(), [true]);

    let key = world.temp;
    world.submit(Frame { key, ..frame });

    assert!(world.calls.is_empty());
}

#[test]
fn a_message_that_came_before_the_hand_over_does_not_run_again_after_it() {
    let mut world = Client::new();
    world.facts = world.temp;
    let (msg_id, seqno) = (world.client_id(), world.seqno(true));
    let get_config = 0xc4f9_186b_u32.to_le_bytes().to_vec();
    let frame = world.frame(msg_id, seqno, get_config);
    world.submit(frame.clone());
    assert_eq!(world.calls.len(), 1);
    world.bind_unanswered();
    world.record();

    // Its second copy comes while the session is on its way, and a third one after.
    world.submit(frame.clone());
    world.take_over();
    world.submit(frame);
    world.forward_all();

    assert_eq!(world.calls.len(), 1);
}

#[test]
fn an_answer_finds_its_call_wherever_the_session_is_when_it_comes() {
    for answered in ["before", "on its way", "after"] {
        let mut world = Client::new();
        world.facts = world.temp;
        let call = world.call();
        world.bind_unanswered();
        let answer = |world: &mut Client| drop(world.answer_next(&METHOD));
        if answered == "before" {
            answer(&mut world);
        }
        world.record();
        if answered == "on its way" {
            answer(&mut world);
        }
        world.take_over();
        if answered == "after" {
            answer(&mut world);
        }
        world.forward_all();
        let sent = world.received();
        let results = sent.iter().filter(|it| it.id() == tl::RpcResult::ID);
        let results = results.map(|it| it.read::<tl::RpcResult<'_>>().req_msg_id);
        assert!(results.collect::<Vec<_>>().contains(&call.0), "{answered}");
    }
}

#[test]
fn as_many_frames_wait_for_a_hand_over_as_may_and_the_link_of_one_more_is_closed() {
    let mut world = Client::new();
    world.bind_unanswered();
    world.record();
    for _ in 0..PARKED_FRAMES_MAX {
        world.send_bytes(false, ping(1));
    }
    world.received();
    assert_eq!(world.closed, []);
    world.send_bytes(false, ping(1));
    world.received();
    assert_eq!(world.closed, [(LINK, None)]);
}

#[test]
fn a_host_remembers_until_its_end_where_a_key_has_gone() {
    let mut world = Client::new();
    world.bind();
    world.input(Input::Detach { link: LINK });
    world.pass_s(3599);
    assert_eq!(world.host.sessions(), 0, "idle for long");
    assert!(world.host.next_deadline().is_some());
    world.pass_s(1);
    assert_eq!(world.host.next_deadline(), None);
}

#[test]
fn frames_wait_5_s_for_a_hand_over_that_nobody_confirms() {
    let mut world = Client::new();
    world.bind_unanswered();
    world.record();
    world.send_bytes(false, ping(1));
    let passed_on = |world: &Client| {
        let forwards = |it: &&Effect| matches!(it, Effect::Forward { .. });
        world.about_keys.iter().filter(forwards).count()
    };
    world.pass(Duration::from_secs(5) - Duration::from_nanos(1));
    world.send_bytes(false, ping(2));
    assert_eq!(passed_on(&world), 0);
    world.pass(Duration::from_nanos(1));
    world.send_bytes(false, ping(3));
    assert_eq!(passed_on(&world), 3);
}

#[test]
fn more_bytes_than_may_wait_for_a_hand_over_close_the_link() {
    let mut world = Client::new();
    world.bind_unanswered();
    world.record();
    let large = vec![0; PARKED_BYTES_MAX / 4];
    for _ in 0..4 {
        world.send_bytes(true, large.clone());
    }
    world.received();
    assert_eq!(world.closed, []);
    world.send_bytes(false, ping(1));
    world.received();
    assert_eq!(world.closed, [(LINK, None)]);
}

#[test]
fn frames_that_have_waited_for_a_hand_over_are_answered_in_their_order() {
    let mut world = Client::new();
    world.bind_unanswered();
    world.record();
    for ping_id in 1..=3 {
        world.send_bytes(false, ping(ping_id));
    }
    assert!(
        world
            .about_keys
            .iter()
            .all(|it| !matches!(it, Effect::Forward { .. }))
    );
    world.take_over();
    world.forward_all();
    let sent = world.received();
    let pongs = sent.iter().filter(|it| it.id() == tl::Pong::ID);
    let pongs = pongs.map(|it| it.read::<tl::Pong>().ping_id);
    assert_eq!(pongs.collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn a_link_that_is_to_be_closed_in_time_still_is_and_one_that_has_pinged_again_is_not() {
    for again in [false, true] {
        let mut world = Client::new();
        world.facts = world.temp;
        let ping = tl::PingDelayDisconnect {
            ping_id: 1,
            disconnect_delay: 10,
        };
        world.send(false, &ping);
        world.bind();
        world.pass_s(5);
        if again {
            world.send(false, &ping);
            world.forward_all();
        }
        world.pass_s(5);
        world.received();
        assert_eq!(world.closed.len(), usize::from(!again));
    }
}

#[test]
fn a_session_that_comes_with_too_many_links_gives_up_the_oldest() {
    let mut world = Client::new();
    world.facts = world.perm;
    for link in 0..LINKS_PER_SESSION_MAX {
        world.on_link(LinkId(u64::try_from(link).unwrap() + 10));
        world.call();
    }
    world.facts = world.temp;
    world.on_link(LINK);
    world.bind();
    assert_eq!(world.results(), [true]);
    while !world.calls.is_empty() {
        world.answer_next(&METHOD);
    }
    // The answer of the link that had to go comes where the session is.
    let own = world.received();
    assert!(own.iter().any(|it| it.id() == tl::RpcResult::ID));
    assert_eq!(world.drain(LinkId(10)), []);
    assert_eq!(world.closed, []);
}

#[test]
fn a_session_of_a_temporary_key_that_ended_refuses_its_messages_under_the_permanent_key_too() {
    let mut world = Client::new();
    world.facts = world.temp;
    let (msg_id, seqno) = (world.client_id(), world.seqno(false));
    let old = world.frame(msg_id, seqno, ping(1));
    let old = Frame {
        session_id: SessionId(5),
        ..old
    };
    world.submit(old.clone());
    let session_id = 5;
    world.send(false, &tl::DestroySession { session_id });
    world.bind();
    world.received();
    world.received();

    world.submit(old);
    world.forward_all();

    assert_eq!(refusal(&world.received()), (msg_id, 20));
}

#[test]
fn a_session_that_lives_on_refuses_what_one_of_its_id_received_that_ended_before_the_binding() {
    let mut world = Client::new();
    let other = SessionId(5);
    let (msg_id, seqno) = (world.client_id(), world.seqno(false));
    let living = world.frame(msg_id, seqno, ping(1));
    world.submit(Frame {
        session_id: other,
        ..living
    });
    world.facts = world.temp;
    let (msg_id, seqno) = (world.client_id(), world.seqno(false));
    let captured = Frame {
        session_id: other,
        ..world.frame(msg_id, seqno, ping(2))
    };
    world.submit(captured.clone());
    let session_id = other.0;
    world.send(false, &tl::DestroySession { session_id });
    world.bind();
    world.received();
    world.received();

    world.submit(captured);
    world.forward_all();

    assert_eq!(refusal(&world.received()), (msg_id, 20));
}

#[test]
fn a_key_whose_sessions_all_ended_during_its_binding_leaves_nothing_behind() {
    let mut world = Client::new();
    world.bind_unanswered();
    let (identity, keys) = (Identity(world.temp.id), vec![world.temp.id]);
    world.input(Input::Revoked { identity, keys });
    world.record();
    world.take_over();
    world.pass_s(400);

    world.unknown.clear();
    world.facts = world.perm;
    world.send_bytes(false, ping(1));
    assert_eq!(world.unknown, [Identity(world.perm.id)]);
}

#[test]
fn the_first_salt_of_a_bound_key_stays_good() {
    let mut world = Client::new();
    world.bind();
    assert_eq!(world.results(), [true]);
    world.send_bytes(false, ping(1));
    world.forward_all();
    assert_eq!(world.answers()[0].id(), tl::Pong::ID);
}
