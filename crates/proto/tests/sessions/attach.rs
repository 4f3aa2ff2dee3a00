//! Connections that a gateway brings back after a stream to their host has broken, and the term that it names.

use heliogram_proto::host::Input;
use heliogram_proto::ids::{AuthKeyId, LinkId, SeqNo, SessionId, Term};
use heliogram_proto::port::Attach;
use heliogram_tl::mtproto as tl;

use crate::calls::{RESULT, results};
use crate::support::{LINK, METHOD, SESSION, World, ping};

/// The connection of [`LINK`] under the number that it has on the new stream.
const AGAIN: LinkId = LinkId(11);

#[test]
fn what_is_unacknowledged_goes_to_a_connection_that_comes_back_at_once() {
    let mut world = World::new();
    let call = world.send_bytes(true, METHOD.to_vec());
    world.answer_next(RESULT);
    let lost = world.received();
    world.input(Input::Detach { link: LINK });
    world.ready.clear();
    attach(&mut world, AGAIN);
    assert_eq!(world.ready, [AGAIN]);
    let sent = world.drain(AGAIN);
    assert_eq!(sent, lost, "the news of the session, and the answer");
    assert_eq!(results(&sent)[0].0, call.0);
    assert!(world.closed.is_empty() && world.calls.is_empty());
}

#[test]
fn an_answer_that_comes_after_the_break_goes_to_the_connection_that_came_back() {
    let mut world = World::new();
    let call = world.send_bytes(true, METHOD.to_vec());
    world.received();
    world.input(Input::Detach { link: LINK });
    attach(&mut world, AGAIN);
    world.drain(AGAIN);
    world.answer_next(RESULT);
    assert_eq!(results(&world.drain(AGAIN))[0].0, call.0);
}

#[test]
fn a_connection_that_comes_back_without_its_session_is_closed_without_a_code() {
    let mut world = World::new();
    world.send_bytes(false, ping(1));
    world.received();
    let unknown = Attach {
        session_id: SessionId(1),
        ..back(&world, AGAIN)
    };
    world.input(Input::Attach(unknown));
    world.drain(AGAIN);
    assert_eq!(world.closed, [(AGAIN, None)]);
    assert_eq!(world.host.sessions(), 1, "no session is made");
    attach(&mut world, LinkId(12));
    world.drain(LinkId(12));
    assert_eq!(world.closed.len(), 1, "the session that is there is found");
}

#[test]
fn a_connection_that_comes_back_under_a_destroyed_key_is_told_so() {
    let mut world = World::new();
    world.send_bytes(false, ping(1));
    let identity = world.facts.identity();
    let keys = vec![world.facts.id];
    world.input(Input::Revoked { identity, keys });
    attach(&mut world, AGAIN);
    world.drain(AGAIN);
    assert_eq!(world.closed, [(AGAIN, Some(-404))]);
}

#[test]
fn a_connection_that_comes_back_does_not_take_the_place_of_one_that_brought_a_message() {
    let mut world = World::new();
    world.send_bytes(true, METHOD.to_vec());
    world.received();
    attach(&mut world, AGAIN);
    world.answer_next(RESULT);
    assert_eq!(world.drain(AGAIN), []);
    assert_eq!(results(&world.received()).len(), 1);
    // But it is next.
    world.input(Input::Detach { link: LINK });
    assert_eq!(results(&world.drain(AGAIN)).len(), 1);
}

#[test]
fn a_connection_that_comes_back_twice_stays_the_current_one() {
    let mut world = World::new();
    world.send_bytes(true, METHOD.to_vec());
    world.received();
    let id = world.client_id();
    let mut copy = world.frame(id, SeqNo(0), ping(2));
    copy.link = LinkId(12);
    copy.salt.0 += 1;
    world.submit(copy);
    world.drain(LinkId(12));
    attach(&mut world, LINK);
    world.answer_next(RESULT);
    assert_eq!(results(&world.received()).len(), 1);
}

#[test]
fn a_connection_over_http_comes_back_with_the_request_that_waits() {
    let mut world = World::new();
    let id = world.client_id();
    let mut frame = world.frame(id, SeqNo(1), METHOD.to_vec());
    frame.is_http = true;
    world.submit(frame);
    world.received();
    world.input(Input::Detach { link: LINK });
    world.answer_next(RESULT);
    let idle = LinkId(12);
    for (link, is_http) in [(idle, false), (AGAIN, true)] {
        let attach = Attach {
            is_http,
            ..back(&world, link)
        };
        world.input(Input::Attach(attach));
    }
    world.input(Input::Detach { link: idle });
    world.outers = 0;
    assert_eq!(results(&world.drain(AGAIN)).len(), 1);
    assert_eq!(
        (world.drain(AGAIN), world.outers),
        (vec![], 1),
        "one response"
    );
}

#[test]
fn a_frame_for_the_hosts_own_term_is_taken_and_one_for_another_closes_its_connection() {
    for (term, is_taken) in [
        (None, true),
        (Some(5), true),
        (Some(4), false),
        (Some(6), false),
    ] {
        let mut world = World::with_term(5);
        let id = world.client_id();
        let mut frame = world.frame(id, SeqNo(1), METHOD.to_vec());
        frame.term = term.map(Term);
        world.submit(frame);
        world.received();
        let closed: &[_] = if is_taken { &[] } else { &[(LINK, None)] };
        assert_eq!(world.closed, closed, "{term:?}");
        assert_eq!(world.calls.len(), usize::from(is_taken), "{term:?}");
        assert_eq!(world.host.sessions(), usize::from(is_taken), "{term:?}");
    }
}

#[test]
fn a_connection_that_comes_back_to_another_term_is_closed() {
    for (term, is_taken) in [
        (None, true),
        (Some(5), true),
        (Some(4), false),
        (Some(6), false),
    ] {
        let mut world = World::with_term(5);
        world.send(false, &tl::Ping { ping_id: 1 });
        world.received();
        let attach = Attach {
            term: term.map(Term),
            ..back(&world, AGAIN)
        };
        world.input(Input::Attach(attach));
        world.drain(AGAIN);
        let closed: &[_] = if is_taken { &[] } else { &[(AGAIN, None)] };
        assert_eq!(world.closed, closed, "{term:?}");
    }
}

#[test]
fn a_frame_that_names_another_term_says_nothing_of_its_key() {
    let mut world = World::with_term(5);
    let id = world.client_id();
    let mut frame = world.frame(id, SeqNo(1), METHOD.to_vec());
    frame.term = Some(Term(6));
    frame.key.kind = heliogram_proto::port::KeyKind::Temporary {
        expires_at_unix_s: 1,
    };
    frame.key.id = AuthKeyId(4);
    world.submit(frame);
    world.received();
    assert_eq!(world.closed, [(LINK, None)], "not -404: another may own it");
}

fn back(world: &World, link: LinkId) -> Attach {
    Attach {
        link,
        key: world.facts,
        session_id: SESSION,
        term: None,
        is_http: false,
    }
}

fn attach(world: &mut World, link: LinkId) {
    let attach = back(world, link);
    world.input(Input::Attach(attach));
}
