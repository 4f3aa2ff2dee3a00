//! Temporary keys that are bound: what their sessions become, and what is sent meanwhile.

use std::time::Duration;

use bytes::Bytes;
use heliogram_crypto::AuthKey;
use heliogram_proto::exchange::binding::{self, Claim, Error, Subject};
use heliogram_proto::host::{CallId, Effect, Handover, Input, PreparedPush};
use heliogram_proto::ids::{Identity, LinkId, MsgId, Salt, SeqNo, SessionId};
use heliogram_proto::limits::{
    BINDINGS_CHECKED_MAX, LINKS_PER_SESSION_MAX, PARKED_BYTES_MAX, PARKED_FRAMES_MAX,
};
use heliogram_proto::port::{Frame, KeyFacts, KeyKind, KeyRecord, Push, Target};
use heliogram_tl::Deserialize;
use heliogram_tl::mtproto as tl;

use crate::support::{
    LINK, METHOD, SESSION, START_S, Sent, UPDATE, World, container, key, ping, refusal,
};

#[test]
fn a_call_after_a_binding_is_the_permanent_keys_whatever_the_gateway_knows() {
    let mut world = Client::new();
    world.bind();
    assert_eq!(world.results(), [true]);

    world.call();
    world.temp.perm = Some(world.perm.id);
    world.call();

    let identities = world.calls.iter().map(|(_, call)| call.identity);
    assert_eq!(identities.collect::<Vec<_>>(), [Identity(world.perm.id); 2]);
    let facts = world.calls.iter().map(|(_, call)| call.key.perm);
    assert_eq!(facts.collect::<Vec<_>>(), [Some(world.perm.id); 2]);
}

#[test]
fn a_binding_is_answered_only_once_it_is_recorded_and_taken_over() {
    let mut world = Client::new();
    world.bind_unanswered();
    assert_eq!(world.received(), []);
    world.record();
    assert_eq!(world.received(), []);
    world.take_over();
    assert_eq!(world.results(), [true]);
}

#[test]
fn a_binding_that_is_refused_is_answered_and_the_key_stays_unbound() {
    let expected = [
        (Error::Taken, 400, "TEMP_AUTH_KEY_ALREADY_BOUND"),
        (Error::Invalid, 400, "ENCRYPTED_MESSAGE_INVALID"),
        (Error::Expiry, 400, "EXPIRES_AT_INVALID"),
        (Error::Unavailable, 500, "RPC_CALL_FAIL"),
    ];
    for (why, code, name) in expected {
        let mut world = Client::new();
        let (call, _) = world.bind_unanswered();
        let outcome = Err(why);
        world.input(Input::Bound { call, outcome });
        let sent = world.received();
        assert_eq!(sent[0].id(), tl::NewSessionCreated::ID);
        assert_eq!(error(&sent[1]), (code, name.to_owned()));

        let msg_id = world.client_id();
        world.send_as(msg_id, 0x0d91_a548_u32.to_le_bytes().to_vec());
        let sent = world.answers();
        assert_eq!(error(&sent[0]), (401, "AUTH_KEY_PERM_EMPTY".to_owned()));
    }
}

#[test]
fn a_binding_under_a_permanent_key_or_to_another_one_or_that_cannot_be_read_is_refused_at_once() {
    let Client { perm, temp, .. } = Client::new();
    let bound = KeyFacts {
        perm: Some(perm.id),
        ..temp
    };
    let other = AuthKey::new([8; 256]);
    for (facts, perm, cut, name) in [
        (perm, key(), false, "TEMP_AUTH_KEY_EMPTY"),
        (bound, other, false, "TEMP_AUTH_KEY_ALREADY_BOUND"),
        (temp, key(), true, "ENCRYPTED_MESSAGE_INVALID"),
    ] {
        let mut world = Client::new();
        world.facts = facts;
        let (msg_id, mut body) = world.binding(&perm);
        if cut {
            body.truncate(40);
        }
        world.send_as(msg_id, body);
        let sent = world.answers();
        assert_eq!(error(&sent[0]), (400, name.to_owned()));
        assert!(world.about_keys.is_empty());
    }
}

#[test]
fn a_repeat_under_a_bound_key_is_checked_and_answered_like_the_first() {
    let mut world = Client::new();
    world.bind();
    assert_eq!(world.results(), [true]);
    world.temp.perm = Some(world.perm.id);
    world.bind_unanswered();
    world.record();
    assert!(world.about_keys.is_empty(), "there is nothing to take over");
    assert_eq!(world.results(), [true]);
}

#[test]
fn nothing_is_sent_in_a_new_session_before_its_binding_has_an_outcome() {
    let mut world = Client::new();
    world.facts = world.temp;
    let (msg_id, body) = world.binding(&key());
    let ping_id = world.client_id();
    let (first, second) = (world.seqno(true), world.seqno(false));
    let (outer, seqno) = (world.client_id(), world.seqno(false));
    let items = [(msg_id, first, body), (ping_id, second, ping(7))];
    let frame = world.frame(outer, seqno, container(&items));
    world.submit(frame);
    world.pass(Duration::from_millis(1500));
    assert_eq!(world.received(), []);

    world.record();
    world.take_over();
    let sent = world.received();
    let mut ids: Vec<_> = sent.iter().map(Sent::id).collect();
    assert_eq!(ids.remove(0), tl::NewSessionCreated::ID);
    assert!(ids.contains(&tl::Pong::ID) && ids.contains(&tl::RpcResult::ID));
    let news: tl::NewSessionCreated = sent[0].read();
    assert_eq!(news.first_msg_id, msg_id.0);
}

#[test]
fn a_request_to_bind_that_fails_at_once_leaves_no_session_silent() {
    let mut world = Client::new();
    world.facts = world.temp;
    let (msg_id, mut body) = world.binding(&key());
    body.truncate(40);
    world.send_as(msg_id, body);
    let ids: Vec<_> = world.received().iter().map(Sent::id).collect();
    assert_eq!(ids, [tl::NewSessionCreated::ID, tl::RpcResult::ID]);
}

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
fn calls_that_come_with_a_request_to_bind_wait_for_it_and_run_for_the_permanent_key() {
    let mut world = Client::new();
    let (call, other) = (world.client_id(), world.client_id());
    world.bind_with(&[(call, LOGGED_IN.to_vec()), (other, METHOD.to_vec())]);
    assert!(world.calls.is_empty(), "also what an unbound key may call");
    world.record();
    world.take_over();
    let ran: Vec<_> = world
        .calls
        .iter()
        .map(|(_, it)| (it.msg_id, it.identity))
        .collect();
    let identity = Identity(world.perm.id);
    assert_eq!(ran, [(call, identity), (other, identity)]);
    assert_eq!(world.calls[0].1.key.perm, Some(world.perm.id));
    world.answer_next(&METHOD);
    world.answer_next(&METHOD);
    assert_eq!(world.results().len(), 3);
}

#[test]
fn calls_that_wait_for_a_binding_are_refused_if_it_is() {
    let mut world = Client::new();
    let call = world.client_id();
    let bind = world.bind_with(&[(call, METHOD.to_vec())]);
    let outcome = Err(Error::Invalid);
    world.input(Input::Bound {
        call: bind,
        outcome,
    });
    let sent = world.answers();
    let errors: Vec<_> = sent.iter().map(error).collect();
    let expected = [
        (401, "AUTH_KEY_PERM_EMPTY".to_owned()),
        (400, "ENCRYPTED_MESSAGE_INVALID".to_owned()),
    ];
    assert_eq!(errors, expected);
    assert!(world.calls.is_empty());
}

#[test]
fn a_call_that_is_sent_again_with_a_request_to_bind_gets_its_answer_and_does_not_run_again() {
    for is_answered in [false, true] {
        let mut world = Client::new();
        world.facts = world.perm;
        let call = world.client_id();
        world.send_as(call, LOGGED_IN.to_vec());
        if is_answered {
            world.answer_next(&METHOD);
            world.received();
        }
        world.input(Input::Detach { link: LINK });
        world.on_link(LinkId(2));
        world.bind_again_with(call, &LOGGED_IN);
        world.record();
        world.take_over();
        assert_eq!(world.calls.len(), usize::from(!is_answered));
        if !is_answered {
            world.answer_next(&METHOD);
        }
        let sent = world.drain(LinkId(2));
        let results = sent.iter().filter(|it| it.id() == tl::RpcResult::ID);
        let results = results.map(|it| it.read::<tl::RpcResult<'_>>());
        let own: Vec<_> = results.filter(|it| it.req_msg_id == call.0).collect();
        assert_eq!(own.len(), 1);
        assert_eq!(own[0].result, METHOD);
    }
}

#[test]
fn a_call_that_was_dropped_while_it_waited_for_a_binding_does_not_run() {
    let mut world = Client::new();
    let call = world.client_id();
    world.bind_with(&[(call, METHOD.to_vec())]);
    let req_msg_id = call.0;
    world.send(true, &tl::RpcDropAnswer { req_msg_id });
    world.record();
    world.take_over();
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
fn a_lone_request_to_bind_a_temporary_key_needs_no_salt_and_nothing_else_goes_without() {
    let mut world = Client::new();
    world.facts = world.temp;
    let wrong = Salt(77);
    let (msg_id, body) = world.binding(&key());
    let seqno = world.seqno(true);
    let bind = world.frame(msg_id, seqno, body.clone());
    let contained = container(&[(msg_id, seqno, body.clone())]);
    let outer = world.client_id();
    let contained = world.frame(outer, seqno, contained);
    let other = world.frame(outer, seqno, METHOD.to_vec());
    let bound = Frame {
        key: KeyFacts {
            perm: Some(world.perm.id),
            ..world.temp
        },
        ..bind.clone()
    };
    for refused in [contained, other] {
        let id = refused.msg_id;
        world.submit(Frame {
            salt: wrong,
            ..refused
        });
        assert_eq!(refusal(&world.received()), (id, 48));
    }

    world.submit(Frame {
        salt: wrong,
        ..bind
    });

    assert!(matches!(world.about_keys[..], [Effect::Bind { .. }]));

    let mut world = Client::new();
    world.submit(Frame {
        salt: wrong,
        ..bound
    });
    assert!(matches!(world.about_keys[..], [Effect::Bind { .. }]));
}

#[test]
fn a_session_that_a_bound_key_begins_without_a_good_salt_is_announced_to_who_has_one() {
    let mut world = Client::new();
    world.temp.perm = Some(world.perm.id);
    world.facts = world.temp;
    let (msg_id, body) = world.binding(&key());
    let seqno = world.seqno(true);
    let frame = world.frame(msg_id, seqno, body);
    world.submit(Frame {
        salt: Salt(77),
        ..frame
    });
    world.record();
    let ids = |sent: Vec<Sent>| sent.iter().map(Sent::id).collect::<Vec<_>>();
    assert_eq!(ids(world.drain(LINK)), [tl::RpcResult::ID]);
    world.send_bytes(false, ping(1));
    world.forward_all();
    let sent = ids(world.drain(LINK));
    assert_eq!(sent[0], tl::NewSessionCreated::ID);
}

#[test]
fn a_request_to_bind_without_a_good_salt_draws_nothing_to_its_connection() {
    let mut world = Client::new();
    world.facts = world.temp;
    world.call();
    world.answer_next(&METHOD);
    world.drain(LINK);
    world.input(Input::Detach { link: LINK });
    // Captured before its sender could send it, if you will: its salt is of another term.
    let (msg_id, body) = world.binding(&key());
    let seqno = world.seqno(true);
    let frame = world.frame(msg_id, seqno, body);
    world.submit(Frame {
        salt: Salt(77),
        link: LinkId(2),
        ..frame
    });
    world.pass_s(60);
    assert_eq!(world.drain(LinkId(2)), []);
    world.record();
    world.take_over();
    let sent = world.drain(LinkId(2));
    assert_eq!(sent.len(), 1, "its own answer only: {sent:?}");
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
fn a_binding_over_http_gets_one_response_and_nothing_follows_without_a_request() {
    let (mut from, mut to) = (Client::new(), Client::new());
    from.is_http = true;
    from.call();
    from.received();
    from.bind_unanswered();
    from.record();
    let handover = from.take_handover();
    to.input(Input::TakeOver(handover));
    assert_eq!((to.results(), to.outers), (vec![true], 1));

    let push = Push {
        targets: vec![Target::Key(Identity(to.perm.id))],
        except: None,
        body: Bytes::copy_from_slice(&UPDATE.to_le_bytes()),
    };
    to.input(Input::Push(PreparedPush::new(push).unwrap()));
    to.pass_s(60);
    assert_eq!((to.results(), to.outers), (vec![], 1));
    (to.is_http, to.facts) = (true, to.perm);
    to.last_client_id = from.last_client_id;
    to.next_seqno = from.next_seqno;
    to.call();
    let sent = to.received();
    assert!(sent.iter().any(|it| it.id() == UPDATE));
    assert_eq!(to.outers, 2);
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
fn four_requests_to_bind_are_checked_at_once_and_the_fifth_has_to_wait() {
    let mut world = Client::new();
    for _ in 0..BINDINGS_CHECKED_MAX {
        world.bind_unanswered();
    }
    assert_eq!(world.about_keys.len(), 4);
    world.bind_unanswered();
    assert_eq!(world.about_keys.len(), 4);

    while let Some(Effect::Bind { id: call, .. }) = world.about_keys.pop() {
        let outcome = Err(Error::Invalid);
        world.input(Input::Bound { call, outcome });
    }
    let sent = world.received();
    let refused = sent.iter().filter(|it| it.id() == tl::RpcResult::ID);
    let (code, name) = refused.map(error).find(|(code, _)| *code == 420).unwrap();
    assert_eq!((code, name.as_str()), (420, "FLOOD_WAIT_1"));
    world.bind_unanswered();
    assert_eq!(world.about_keys.len(), 1);
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

/// A client with two keys, the host of both, and a store that knows them.
struct Client {
    world: World,
    perm: KeyFacts,
    temp: KeyFacts,
    link: LinkId,
    is_http: bool,
}

impl std::ops::Deref for Client {
    type Target = World;

    fn deref(&self) -> &World {
        &self.world
    }
}

impl std::ops::DerefMut for Client {
    fn deref_mut(&mut self) -> &mut World {
        &mut self.world
    }
}

impl Client {
    fn new() -> Self {
        let world = World::new();
        let perm = world.facts;
        let temp = KeyFacts {
            id: AuthKey::new([9; 256]).id(),
            kind: KeyKind::Temporary {
                expires_at_unix_s: end(),
            },
            ..perm
        };
        Self {
            world,
            perm,
            temp,
            link: LINK,
            is_http: false,
        }
    }

    fn on_link(&mut self, link: LinkId) {
        self.link = link;
    }

    /// Sends a call; returns its message.
    fn call(&mut self) -> MsgId {
        let msg_id = self.client_id();
        self.send_as(msg_id, METHOD.to_vec());
        self.forward_all();
        msg_id
    }

    fn send_as(&mut self, msg_id: MsgId, body: Vec<u8>) {
        let seqno = self.seqno(true);
        let frame = self.frame(msg_id, seqno, body);
        let (link, is_http) = (self.link, self.is_http);
        self.submit(Frame {
            link,
            is_http,
            ..frame
        });
    }

    /// Makes a request to bind the temporary key to `perm`, and the message to send it in.
    fn binding(&mut self, perm: &AuthKey) -> (MsgId, Vec<u8>) {
        let msg_id = self.client_id();
        let subject = Subject {
            temp: self.temp.id,
            session_id: SESSION,
            msg_id,
            expires_at_unix_s: i32::try_from(end()).unwrap(),
        };
        (msg_id, binding::seal(perm, &subject, &mut self.world.rng))
    }

    /// Sends a request to bind the temporary key; returns what the host wants checked.
    fn bind_unanswered(&mut self) -> (CallId, Claim) {
        self.facts = self.temp;
        let (msg_id, body) = self.binding(&key());
        self.send_as(msg_id, body);
        let effects = &self.about_keys;
        let found = effects.iter().find_map(|it| {
            let Effect::Bind { id, claim } = it else {
                return None;
            };
            Some((*id, claim.clone()))
        });
        found.unwrap()
    }

    /// Sends a request to bind the temporary key in one container with calls that were made before it.
    fn bind_with(&mut self, calls: &[(MsgId, Vec<u8>)]) -> CallId {
        self.facts = self.temp;
        let calls = calls.to_vec();
        let items: Vec<_> = calls
            .into_iter()
            .map(|(id, body)| (id, self.seqno(true), body))
            .collect();
        self.bind_after(items)
    }

    /// The same with a call that was sent before, as the first of its session.
    fn bind_again_with(&mut self, call: MsgId, body: &[u8]) {
        self.facts = self.temp;
        self.bind_after(vec![(call, SeqNo(1), body.to_vec())]);
    }

    fn bind_after(&mut self, mut items: Vec<(MsgId, SeqNo, Vec<u8>)>) -> CallId {
        let (msg_id, body) = self.binding(&key());
        items.push((msg_id, self.seqno(true), body));
        let (outer, seqno, link) = (self.client_id(), self.seqno(false), self.link);
        let frame = self.frame(outer, seqno, container(&items));
        self.submit(Frame { link, ..frame });
        let [Effect::Bind { id, .. }] = self.about_keys[..] else {
            panic!("{:?}", self.about_keys)
        };
        id
    }

    /// Does what a store and its shell do with the request.
    fn record(&mut self) {
        let at = self
            .about_keys
            .iter()
            .position(|it| matches!(it, Effect::Bind { .. }));
        let Effect::Bind { id: call, claim } = self.about_keys.remove(at.unwrap()) else {
            unreachable!()
        };
        let perm = KeyRecord {
            facts: self.perm,
            key: key(),
            created_at_unix_s: START_S,
        };
        let now_s = self.now.unix.seconds();
        let end = binding::verify(&claim, &perm, now_s).unwrap();
        let facts = self.temp.bind(self.perm.id, end).unwrap();
        let outcome = Ok(facts);
        self.input(Input::Bound { call, outcome });
    }

    fn take_over(&mut self) {
        let handover = self.take_handover();
        assert_eq!(handover.to(), Identity(self.perm.id));
        self.input(Input::TakeOver(handover));
        let told = self.about_keys.remove(0);
        assert!(matches!(told, Effect::TakenOver { key } if key.perm == Some(self.perm.id)));
        let key = self.temp.id;
        self.input(Input::TakenOver { key });
        self.forward_all();
    }

    fn take_handover(&mut self) -> Box<Handover> {
        let Effect::HandOver(handover) = self.about_keys.remove(0) else {
            unreachable!()
        };
        handover
    }

    /// Binds the temporary key, from the request to its answer.
    fn bind(&mut self) {
        self.bind_unanswered();
        self.record();
        self.take_over();
    }

    /// Gives the host what it forwards, as if it were another.
    fn forward_all(&mut self) {
        let effects = std::mem::take(&mut self.about_keys);
        for effect in effects {
            match effect {
                Effect::Forward { input, .. } => self.input(*input),
                other @ (Effect::Ready { .. }
                | Effect::Call { .. }
                | Effect::Cancel { .. }
                | Effect::Fanout { .. }
                | Effect::FindUser { .. }
                | Effect::Bind { .. }
                | Effect::DropKeys { .. }
                | Effect::DestroyKey { .. }
                | Effect::HandOver(_)
                | Effect::TakenOver { .. }) => self.about_keys.push(other),
            }
        }
    }

    /// Drains the link and returns which requests were answered `boolTrue`, or not.
    fn results(&mut self) -> Vec<bool> {
        let link = self.link;
        let sent = self.drain(link);
        let results = sent.iter().filter(|it| it.id() == tl::RpcResult::ID);
        results
            .map(|it| it.read::<tl::RpcResult<'_>>().result == 0x9972_75b5_u32.to_le_bytes())
            .collect()
    }
}

/// A method that an unbound key may not call.
const LOGGED_IN: [u8; 4] = 0x0d91_a548_u32.to_le_bytes();

fn end() -> u32 {
    u32::try_from(START_S).unwrap() + 3600
}

fn error(sent: &Sent) -> (i32, String) {
    let result: tl::RpcResult<'_> = sent.read();
    let error = tl::RpcError::from_bytes(result.result).unwrap();
    (
        error.error_code,
        String::from_utf8(error.error_message.to_vec()).unwrap(),
    )
}
