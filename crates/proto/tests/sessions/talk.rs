//! What a client and a host make of each other: salts, clocks, reconnects, captured messages.

use heliogram_proto::envelope::{self, Header, Message};
use heliogram_proto::ids::{LinkId, MsgId, Salt, SeqNo, SessionId};
use heliogram_proto::session::Session;
use heliogram_proto::session::client::Event;
use heliogram_proto::side::{Client, Server};

use crate::pair::Pair;
use crate::support::{FIRST_SALT, World, key};

#[test]
fn calls_are_answered_each_with_its_own_answer() {
    let mut pair = Pair::new();
    let calls: Vec<_> = (0..300)
        .map(|token| (pair.call(1000 + token), 1000 + token))
        .collect();
    pair.settle();
    assert_eq!(pair.answers(), calls.into_iter().collect());
    assert_eq!(pair.client.calls_waiting(), 0);
    assert!(pair.executed.values().all(|&times| times == 1));
}

#[test]
fn acknowledgements_of_the_client_free_what_the_server_keeps() {
    let mut pair = Pair::new();
    pair.call(1);
    pair.settle();
    pair.world.pass_s(5);
    pair.settle();
    pair.reconnect(true);
    pair.client.ping(7, None);
    pair.client_sends();
    let frame = pair.to_server.pop_front().unwrap();
    pair.server_receives(frame, pair.link);
    pair.server_sends(pair.link);
    assert_eq!(pair.to_client.len(), 1);
    let before = pair.events.len();
    let frame = pair.to_client.pop_front().unwrap();
    pair.client_receives(frame);
    assert_eq!(pair.events[before..], [Event::Pong { ping_id: 7 }]);
}

#[test]
fn a_wrong_salt_is_repaired_and_the_calls_answered() {
    let mut pair = Pair::new();
    pair.client = Session::<Client>::new(SessionId(3), Salt(0), 0);
    for token in 0..5 {
        pair.call(token);
    }
    pair.client.ping(1, None);
    pair.settle();
    assert_eq!(pair.answers().len(), 5);
    assert!(pair.executed.values().all(|&times| times == 1));
    assert_ne!(pair.client.salt(), Salt(0));
}

#[test]
fn salts_rotate_under_a_client_that_calls_for_a_day() {
    let mut pair = Pair::new();
    for token in 0..24 * 4 {
        pair.call(token);
        if token % 8 == 0 {
            pair.client.ask_for_salts(4);
        }
        pair.settle();
        pair.world.pass_s(900);
    }
    assert_eq!(pair.answers().len(), 24 * 4);
    assert!(pair.executed.values().all(|&times| times == 1));
}

#[test]
fn a_client_that_calls_now_and_then_fetches_its_salts_ahead_and_none_is_refused() {
    use heliogram_tl::mtproto as tl;
    let mut pair = Pair::new();
    for token in 0..6 * 60 {
        pair.call(token);
        pair.settle();
        pair.world.pass_s(61);
    }
    assert_eq!(pair.heard.get(&tl::BadServerSalt::ID), None);
    assert!(pair.heard[&tl::FutureSalts::ID] < 6 * 60 / 10);
    assert_ne!(pair.client.salt(), FIRST_SALT);
}

#[test]
fn a_client_whose_clock_is_wrong_learns_the_servers() {
    for skew_s in [-3600_i64, -301, 31, 86_400] {
        let mut pair = Pair::new();
        pair.skew_ns = skew_s * 1_000_000_000;
        pair.call(9);
        pair.settle();
        assert_eq!(pair.answers().len(), 1, "{skew_s} s");
        assert_eq!(pair.executed[&9], 1);
        let learned_s = pair.client.clock_offset_ns() / 1_000_000_000;
        assert!(
            (learned_s + skew_s).abs() <= 1,
            "{learned_s} s against {skew_s} s"
        );
    }
}

#[test]
fn an_unanswered_call_is_answered_after_reconnecting_and_runs_once() {
    for server_notices in [true, false] {
        let mut pair = Pair::new();
        pair.call(1);
        pair.settle();
        pair.holds = true;
        let call = pair.call(2);
        pair.client_sends();
        let frame = pair.to_server.pop_front().unwrap();
        pair.server_receives(frame, pair.link);
        pair.reconnect(server_notices);
        let (id, held) = pair.held.pop().unwrap();
        pair.reply(id, &held);
        pair.settle();
        assert_eq!(
            pair.answers().get(&call),
            Some(&2),
            "server notices: {server_notices}"
        );
        assert_eq!(pair.executed[&2], 1);
    }
}

#[test]
fn an_answer_that_was_lost_on_its_way_is_brought_again() {
    for server_notices in [true, false] {
        let mut pair = Pair::new();
        let call = pair.call(2);
        pair.client_sends();
        let frame = pair.to_server.pop_front().unwrap();
        pair.server_receives(frame, pair.link);
        pair.server_sends(pair.link);
        assert!(!pair.to_client.is_empty());
        pair.reconnect(server_notices);
        pair.settle();
        assert_eq!(pair.answers().get(&call), Some(&2));
        assert_eq!(pair.executed[&2], 1);
    }
}

#[test]
fn after_the_host_forgot_everything_the_client_goes_on() {
    let mut pair = Pair::new();
    pair.call(1);
    pair.settle();
    let mut world = World::with_term(2);
    world.now = pair.world.now;
    world.facts = pair.world.facts;
    pair.world = world;
    pair.world.pass_s(1);
    pair.reconnect(false);
    let call = pair.call(2);
    pair.settle();
    assert_eq!(pair.answers().get(&call), Some(&2));
    assert!(pair.events.contains(&Event::NewSession));
}

#[test]
fn a_captured_frame_is_never_executed_again_in_its_term_or_a_later_one() {
    let mut pair = Pair::new();
    for token in 0..5 {
        pair.call(token);
        pair.settle();
        pair.world.pass_s(6);
    }
    let captured = pair.captured.clone();
    let replay = |pair: &mut Pair, link: u64| {
        for frame in &captured {
            pair.server_receives(frame.clone(), LinkId(link));
            pair.server_sends(LinkId(link));
        }
        assert!(
            pair.executed.values().all(|&times| times == 1),
            "executed again"
        );
        pair.to_client.drain(..).collect::<Vec<_>>()
    };
    replay(&mut pair, 50);

    let mut world = World::with_term(2);
    world.now = pair.world.now;
    world.facts = pair.world.facts;
    pair.world = world;
    for mut frame in replay(&mut pair, 51) {
        use heliogram_tl::{mtproto as tl, peek_id};
        let opened = envelope::open::<Client>(&key(), &mut frame).unwrap();
        assert_eq!(peek_id(opened.message.body), Some(tl::BadServerSalt::ID));
    }
    assert_eq!(
        pair.world.host.sessions(),
        0,
        "a captured frame makes no session"
    );
}

#[test]
fn a_captured_frame_does_not_draw_answers_away_from_the_client() {
    let mut pair = Pair::new();
    pair.holds = true;
    let call = pair.call(1);
    pair.client_sends();
    let frame = pair.to_server.pop_front().unwrap();
    pair.server_receives(frame.clone(), pair.link);
    pair.server_receives(frame, LinkId(66));
    let (id, held) = pair.held.pop().unwrap();
    pair.reply(id, &held);
    pair.settle();
    assert_eq!(pair.answers().get(&call), Some(&1));
}

#[test]
fn a_client_gives_up_after_five_refusals_in_a_row() {
    let mut pair = Pair::new();
    pair.call(1);
    // Another server's clock and salts at each step: nothing that the client learns helps.
    for step in 0..20_u64 {
        pair.client_sends();
        let Some(frame) = pair.to_server.pop_front() else {
            break;
        };
        pair.world = World::with_term(100 + step);
        pair.world.pass_s(step);
        pair.world.facts.first_salt = None;
        pair.server_receives(frame, pair.link);
        pair.server_sends(pair.link);
        while let Some(frame) = pair.to_client.pop_front() {
            pair.client_receives(frame);
        }
    }
    assert_eq!(
        pair.events
            .iter()
            .filter(|&it| *it == Event::GaveUp)
            .count(),
        1
    );
}

#[test]
fn a_refusal_of_a_message_that_was_never_sent_is_not_believed() {
    use heliogram_tl::{Serialize, mtproto as tl};
    let mut pair = Pair::new();
    pair.call(1);
    pair.settle();
    let salt = pair.client.salt();
    let body = tl::BadServerSalt {
        bad_msg_id: 4,
        bad_msg_seqno: 0,
        error_code: 48,
        new_server_salt: 666,
    };
    let msg_id = MsgId(crate::support::client_id_at(pair.world.now.unix.seconds() + 1).0 | 1);
    let header = Header {
        salt,
        session_id: pair.client.id(),
        msg_id,
        seqno: SeqNo(0),
    };
    let (body, mut frame) = (body.to_bytes(), Vec::new());
    let message = Message {
        header,
        body: &body,
    };
    envelope::seal::<Server>(&key(), &message, &mut frame, &mut pair.rng).unwrap();
    pair.client_receives(frame);
    assert_eq!(pair.client.salt(), salt);
}

#[test]
fn an_object_that_nobody_asked_for_is_an_update_and_is_acknowledged() {
    let mut pair = Pair::new();
    pair.call(1);
    pair.settle();
    pair.world.pass_s(10);
    pair.settle();
    let msg_id = MsgId(crate::support::client_id_at(pair.world.now.unix.seconds() + 1).0 | 3);
    let seqno = SeqNo(1);
    let header = Header {
        salt: Salt(1),
        session_id: pair.client.id(),
        msg_id,
        seqno,
    };
    let body = 0xe317_af7e_u32.to_le_bytes();
    for _ in 0..2 {
        let (message, mut frame) = (
            Message {
                header,
                body: &body,
            },
            Vec::new(),
        );
        envelope::seal::<Server>(&key(), &message, &mut frame, &mut pair.rng).unwrap();
        pair.client_receives(frame);
    }
    let updates = pair
        .events
        .iter()
        .filter(|it| matches!(it, Event::Update(_)))
        .count();
    assert_eq!(updates, 1, "a second copy is not delivered");
    assert!(pair.client.next_deadline().is_some());
}
