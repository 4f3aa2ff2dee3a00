//! What a request to bind is answered, and what waits for the answer.

use std::time::Duration;

use bytes::Bytes;
use heliogram_crypto::AuthKey;
use heliogram_proto::exchange::binding::Error;
use heliogram_proto::host::{Effect, Input, PreparedPush};
use heliogram_proto::ids::{Identity, LinkId, Salt};
use heliogram_proto::limits::BINDINGS_CHECKED_MAX;
use heliogram_proto::port::{Frame, KeyFacts, Push, Target};
use heliogram_tl::mtproto as tl;

use super::rig::{Client, LOGGED_IN, error};
use crate::support::{LINK, METHOD, Sent, UPDATE, container, key, ping, refusal};

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
