//! What a server refuses, with which code, and in which order it looks.

use heliogram_proto::host::Input;
use heliogram_proto::ids::{LinkId, MsgId, Salt, SeqNo};
use heliogram_tl::Serialize;
use heliogram_tl::mtproto as tl;

use crate::support::{
    LINK, METHOD, START_S, World, client_id_at, container, ping, refusal, vectors,
};

#[test]
fn a_msg_id_is_judged_as_the_vectors_say() {
    let vectors = vectors("msg_id_seqno");
    for case in vectors["client_msg_ids_at_server"].as_array().unwrap() {
        let id: u64 = case["msg_id"].as_str().unwrap().parse().unwrap();
        let id = MsgId(id.cast_signed());
        let mut world = World::new();
        assert_eq!(case["server_now"], START_S);
        world.submit(world.frame(id, SeqNo(0), ping(1)));
        let sent = world.received();
        match case["server_verdict"].as_str().unwrap() {
            verdict if verdict.starts_with("accept") => {
                assert!(
                    sent.iter().any(|it| it.id() == tl::Pong::ID),
                    "{}",
                    case["name"]
                );
            }
            verdict => {
                let code = verdict.strip_prefix("bad_msg ").unwrap().parse().unwrap();
                assert_eq!(refusal(&sent), (id, code), "{}", case["name"]);
            }
        }
    }
}

#[test]
fn a_message_exactly_300_s_old_is_accepted_and_301_s_is_not() {
    assert_eq!(code_of(client_id_at(START_S - 300)), None);
    assert_eq!(code_of(client_id_at(START_S - 301)), Some(16));
}

#[test]
fn a_message_exactly_30_s_ahead_is_accepted_and_31_s_is_not() {
    assert_eq!(code_of(client_id_at(START_S + 30)), None);
    assert_eq!(code_of(client_id_at(START_S + 31)), Some(17));
}

#[test]
fn checks_come_in_the_documented_order() {
    // Wrong in every way at once; each repair shows the next check.
    let mut world = World::new();
    let nested = container(&[(client_id_at(START_S), SeqNo(0), container(&[]))]);
    let bad_salt = Salt(1);
    let submit = |world: &mut World, id: MsgId, salt: Salt| {
        let mut frame = world.frame(id, SeqNo(0), nested.clone());
        frame.salt = salt;
        world.submit(frame);
        refusal(&world.received()).1
    };
    assert_eq!(
        submit(
            &mut world,
            MsgId(client_id_at(START_S + 31).0 + 1),
            bad_salt
        ),
        18
    );
    assert_eq!(submit(&mut world, client_id_at(START_S + 31), bad_salt), 17);
    assert_eq!(
        submit(&mut world, client_id_at(START_S - 301), bad_salt),
        16
    );
    assert_eq!(submit(&mut world, client_id_at(START_S), bad_salt), 48);
    let salt = crate::support::FIRST_SALT;
    assert_eq!(submit(&mut world, client_id_at(START_S), salt), 64);

    let known = world.send_bytes(false, ping(1));
    world.received();
    assert_eq!(submit(&mut world, known, salt), 19);
}

#[test]
fn a_container_with_the_id_of_an_earlier_message_is_refused_with_19() {
    let mut world = World::new();
    let id = world.send_bytes(false, ping(1));
    world.received();
    world.submit(world.frame(id, SeqNo(0), container(&[])));
    assert_eq!(refusal(&world.received()), (id, 19));

    let outer = world.send_bytes(false, container(&[]));
    world.submit(world.frame(outer, SeqNo(0), container(&[])));
    assert_eq!(refusal(&world.received()), (outer, 19));
}

#[test]
fn what_follows_a_broken_message_in_its_container_is_not_run_when_the_container_is_captured() {
    let mut world = World::new();
    let broken = (world.client_id(), world.seqno(false), ping(1)[..8].to_vec());
    let call = (world.client_id(), world.seqno(true), METHOD.to_vec());
    let (id, seqno) = (world.client_id(), world.seqno(false));
    let mut frame = world.frame(id, seqno, container(&[broken, call]));
    world.submit(frame.clone());
    frame.link = LinkId(2);
    world.submit(frame);
    assert_eq!(refusal(&world.drain(LinkId(2))), (id, 19));
    assert!(world.calls.is_empty());
}

#[test]
fn a_refusal_that_a_captured_message_has_drawn_goes_with_the_link_that_brought_it() {
    let mut world = World::new();
    let call = (world.client_id(), world.seqno(true), METHOD.to_vec());
    let (id, seqno) = (world.client_id(), world.seqno(false));
    let mut frame = world.frame(id, seqno, container(&[call]));
    world.submit(frame.clone());
    world.received();
    frame.link = LinkId(2);
    world.submit(frame);
    world.input(Input::Detach { link: LinkId(2) });
    assert_eq!(world.received(), []);
}

#[test]
fn a_refused_message_is_not_remembered_so_that_it_may_come_again_repaired() {
    let mut world = World::new();
    let id = world.client_id();
    let mut frame = world.frame(id, SeqNo(0), ping(1));
    frame.salt = Salt(99);
    world.submit(frame);
    assert_eq!(refusal(&world.received()), (id, 48));
    world.submit(world.frame(id, SeqNo(0), ping(1)));
    assert!(world.answers().iter().any(|it| it.id() == tl::Pong::ID));
}

#[test]
fn seqno_below_an_earlier_message_is_32_and_above_a_later_one_is_33() {
    let mut world = World::new();
    let at = |s: u64| client_id_at(START_S - 100 + s);
    world.submit(world.frame(at(10), SeqNo(5), METHOD.to_vec()));
    world.submit(world.frame(at(20), SeqNo(9), METHOD.to_vec()));
    world.received();
    let mut code = |id: MsgId, seqno: i32| {
        let body = if seqno & 1 == 1 {
            METHOD.to_vec()
        } else {
            ping(1)
        };
        world.submit(world.frame(id, SeqNo(seqno), body));
        world.calls.clear();
        let sent = world.received();
        sent.iter()
            .any(|it| it.id() == tl::BadMsgNotification::ID)
            .then(|| refusal(&sent).1)
    };
    assert_eq!(code(at(30), 8), Some(32));
    assert_eq!(code(at(30), 9), Some(32), "the same and odd");
    assert_eq!(code(at(11), 4), Some(32));
    assert_eq!(code(at(15), 11), Some(33));
    assert_eq!(code(at(15), 9), Some(33), "the same and odd");
    assert_eq!(code(at(5), 7), Some(33));
    assert_eq!(code(at(15), 7), None);
    assert_eq!(code(at(16), 8), None);
    assert_eq!(code(at(17), 8), None, "the same and even");
    assert_eq!(code(at(30), 10), None);
}

#[test]
fn odd_seqno_on_a_container_is_34_and_even_seqno_on_a_call_is_35() {
    let mut world = World::new();
    let id = world.send_bytes(true, container(&[]));
    assert_eq!(refusal(&world.answers()), (id, 34));
    let id = world.send_bytes(false, METHOD.to_vec());
    assert_eq!(refusal(&world.answers()), (id, 35));
    assert!(world.calls.is_empty());
}

#[test]
fn a_ping_may_have_an_odd_or_an_even_seqno() {
    for content_related in [false, true] {
        let mut world = World::new();
        world.send_bytes(content_related, ping(8));
        assert!(world.answers().iter().any(|it| it.id() == tl::Pong::ID));
    }
}

#[test]
fn an_ack_may_have_an_odd_or_an_even_seqno() {
    for content_related in [false, true] {
        let mut world = World::new();
        let ack = tl::MsgsAck {
            msg_ids: (&[1, 2]).into(),
        };
        world.send_bytes(content_related, ack.to_bytes());
        world.send_bytes(true, ping(8));
        let answers = world.answers();
        let has = |id| answers.iter().any(|it| it.id() == id);
        assert!(has(tl::Pong::ID) && !has(tl::BadMsgNotification::ID));
    }
}

#[test]
fn a_message_within_a_container_is_refused_alone() {
    let mut world = World::new();
    let inner = [
        world.client_id(),
        world.client_id(),
        MsgId(world.client_id().0 | 1),
    ];
    let body = container(&[
        (inner[0], SeqNo(1), METHOD.to_vec()),
        (inner[1], SeqNo(2), METHOD.to_vec()),
        (inner[2], SeqNo(2), ping(1)),
    ]);
    world.next_seqno = 2;
    world.send_bytes(false, body);
    assert_eq!(world.calls.len(), 1);
    let sent = world.answers();
    assert_eq!(refusal(&sent[..1]), (inner[1], 35));
    assert_eq!(refusal(&sent[1..2]), (inner[2], 18));
}

#[test]
fn inner_messages_may_be_older_than_a_message_may_be() {
    let mut world = World::new();
    let old = client_id_at(START_S - 5000);
    world.next_seqno = 2;
    world.send_bytes(false, container(&[(old, SeqNo(1), METHOD.to_vec())]));
    assert_eq!(world.calls[0].1.msg_id, old);
}

#[test]
fn malformed_containers_of_the_vectors_are_refused_as_a_whole() {
    let vectors = vectors("container_gzip");
    for case in vectors["malformed_containers"].as_array().unwrap() {
        let Some(body) = case["hex"].as_str() else {
            continue;
        };
        let mut world = World::new();
        let mut body = crate::support::hex(body);
        if case["container_msg_id"].is_string() {
            // The vector's ids are tiny; what matters is that the inner one is not below the outer.
            body[8..16].copy_from_slice(&client_id_at(START_S + 1).0.to_le_bytes());
        }
        let id = world.send_bytes(false, body);
        assert_eq!(refusal(&world.received()), (id, 64), "{}", case["name"]);
        assert!(world.calls.is_empty());
    }
}

#[test]
fn containers_of_the_vectors_are_read() {
    let vectors = vectors("container_gzip");
    for case in vectors["containers"].as_array().unwrap() {
        // The largest is described, not spelled out; a test below builds it.
        let Some(messages) = case["messages"].as_array() else {
            continue;
        };
        let mut world = World::new();
        let id = MsgId(client_id_at(START_S).0 + 4096 * 8);
        let seqno = messages
            .iter()
            .map(|it| it["seqno"].as_i64().unwrap())
            .max()
            .unwrap_or(0);
        let seqno = SeqNo(i32::try_from(seqno).unwrap() & !1 | 512);
        world.submit(world.frame(
            id,
            seqno,
            crate::support::hex(case["hex"].as_str().unwrap()),
        ));
        let sent = world.answers();
        assert!(
            !sent.iter().any(|it| it.id() == tl::BadMsgNotification::ID
                && it.read::<tl::BadMsgNotification>().bad_msg_id == id.0),
            "{}: {sent:?}",
            case["name"]
        );
    }
}

#[test]
fn a_container_holds_1024_messages_and_not_1025() {
    for (count, good) in [(1024, true), (1025, false)] {
        let mut world = World::new();
        let messages: Vec<_> = (0..count)
            .map(|at| (world.client_id(), SeqNo(0), ping(at)))
            .collect();
        world.send_bytes(false, container_unchecked(&messages));
        let sent = world.answers();
        if good {
            assert_eq!(sent.len(), 1024);
        } else {
            assert_eq!(refusal(&sent).1, 64);
        }
    }
}

#[test]
fn ten_thousand_nested_containers_are_refused_at_the_second() {
    let mut body = ping(1);
    let mut world = World::new();
    let inner = world.client_id();
    for _ in 0..10_000 {
        body = container_unchecked(&[(inner, SeqNo(0), body)]);
    }
    let id = world.send_bytes(false, body);
    assert_eq!(refusal(&world.received()), (id, 64));
}

#[test]
fn an_inner_id_equal_to_the_containers_is_refused_and_four_below_is_not() {
    for (below, good) in [(0, false), (4, true)] {
        let mut world = World::new();
        let outer = world.client_id();
        let inner = MsgId(outer.0 - below);
        let body = container(&[(inner, SeqNo(0), ping(1))]);
        world.submit(world.frame(outer, SeqNo(0), body));
        let sent = world.answers();
        assert_eq!(sent[0].id() == tl::Pong::ID, good);
    }
}

#[test]
fn an_inner_seqno_above_the_containers_is_refused() {
    let mut world = World::new();
    let inner = world.client_id();
    let body = container(&[(inner, SeqNo(3), METHOD.to_vec())]);
    let id = world.client_id();
    world.submit(world.frame(id, SeqNo(2), body));
    assert_eq!(refusal(&world.received()), (id, 64));
}

#[test]
fn an_empty_container_is_accepted_and_answered_by_nothing() {
    let mut world = World::new();
    world.send_bytes(false, ping(1));
    world.received();
    let (id, seqno) = (world.client_id(), world.seqno(false));
    let mut frame = world.frame(id, seqno, container(&[]));
    frame.quick_ack = Some(7);
    world.submit(frame);
    assert_eq!((world.received(), world.quick_acks), (vec![], vec![7]));
}

#[test]
fn a_copy_of_a_message_is_that_message_and_runs_once() {
    let mut world = World::new();
    let first = world.client_id();
    world.next_seqno = 2;
    world.send_bytes(false, copy(first, SeqNo(1), &METHOD));
    assert_eq!(world.calls[0].1.msg_id, first);
    world.send_bytes(false, copy(first, SeqNo(1), &METHOD));
    world.submit(world.frame(first, SeqNo(1), METHOD.to_vec()));
    assert_eq!(world.calls.len(), 1);
}

#[test]
fn a_copy_keeps_to_the_rules_of_containers() {
    let mut world = World::new();
    let inner = world.client_id();
    let odd = world.send_bytes(true, copy(inner, SeqNo(0), &ping(1)));
    assert_eq!(refusal(&world.answers()), (odd, 34));
    let nested = copy(inner, SeqNo(0), &container(&[]));
    let later = copy(MsgId(i64::MAX), SeqNo(0), &ping(1));
    let higher = copy(inner, SeqNo(9), &METHOD);
    for (body, code) in [(nested, 64), (later, 64), (higher, 64)] {
        let id = world.send_bytes(false, body);
        assert_eq!(refusal(&world.answers()), (id, code));
    }
    assert!(world.calls.is_empty());
}

#[test]
fn a_refusal_goes_to_the_link_that_brought_the_message_and_makes_no_session() {
    let mut world = World::new();
    let mut frame = world.frame(client_id_at(START_S - 400), SeqNo(0), ping(1));
    frame.link = LinkId(77);
    world.submit(frame);
    assert_eq!(world.host.sessions(), 0);
    assert!(world.drain(LINK).is_empty());
    assert_eq!(refusal(&world.drain(LinkId(77))).1, 16);
}

#[test]
fn a_message_that_was_refused_with_17_does_not_run_when_its_time_comes() {
    let mut world = World::new();
    let early = world.frame(client_id_at(START_S + 100), SeqNo(1), METHOD.to_vec());
    world.submit(early.clone());
    assert_eq!(refusal(&world.received()).1, 17);
    world.pass_s(90);
    let mut captured = early.clone();
    captured.link = LinkId(66);
    world.submit(captured.clone());
    assert_eq!(refusal(&world.drain(LinkId(66))), (early.msg_id, 20));
    captured.session_id.0 += 1;
    world.submit(captured);
    assert_eq!(world.calls.len(), 1, "another session's is another message");
    world.pass_s(1000);
    world.submit(early);
    assert_eq!(refusal(&world.received()).1, 16, "too old by itself");
}

#[test]
fn a_message_that_was_refused_for_a_salt_to_come_does_not_run_when_that_comes() {
    let mut world = World::new();
    world.send(false, &tl::GetFutureSalts { num: 2 });
    let sent = world.answers();
    let next = Salt(
        sent[0]
            .read::<tl::FutureSalts<'_>>()
            .salts
            .iter()
            .nth(1)
            .unwrap()
            .0
            .salt,
    );
    // The next slot begins at START_S + 1000, its salt is good from a minute before.
    for (at_s, is_early) in [(800, true), (945, false)] {
        world.pass_s(at_s - (world.now.unix.seconds() - START_S));
        let id = world.client_id();
        let mut early = world.frame(id, SeqNo(1), METHOD.to_vec());
        early.session_id.0 += 1;
        early.salt = next;
        world.submit(early.clone());
        assert_eq!(world.calls.len(), usize::from(!is_early));
        world.drain(LINK);
        world.pass_s(140);
        early.link = LinkId(66);
        world.submit(early);
        let sent = world.drain(LinkId(66));
        if is_early {
            assert_eq!(refusal(&sent), (id, 20));
        }
        assert_eq!(world.calls.len(), usize::from(!is_early));
    }
}

#[test]
fn more_early_messages_than_are_remembered_leave_no_gap_for_a_captured_one() {
    let mut world = World::new();
    let mut captured = Vec::new();
    for at in 0..100 {
        let id = MsgId(client_id_at(START_S + 40 + at).0);
        let mut frame = world.frame(id, SeqNo(1), METHOD.to_vec());
        frame.session_id.0 += i64::try_from(at % 3).unwrap();
        world.submit(frame.clone());
        captured.push(frame);
    }
    world.received();
    world.pass_s(140);
    for frame in captured {
        world.submit(frame);
    }
    assert!(world.calls.is_empty());
    let sent = world.received();
    assert!(
        sent.iter()
            .all(|it| refusal(std::slice::from_ref(it)).1 == 20)
    );
    assert_eq!(sent.len(), 100);
    world.next_seqno = 0;
    world.send_bytes(true, METHOD.to_vec());
    assert_eq!(world.calls.len(), 1, "a message of this moment runs");
}

#[test]
fn an_early_message_is_remembered_until_it_is_too_old_and_not_if_it_dies_of_its_salt() {
    let last_salt_s = 66 * 1800;
    for (ahead_s, remembered) in [(31, true), (last_salt_s, true), (last_salt_s + 1, false)] {
        let mut world = World::new();
        world.submit(world.frame(client_id_at(START_S + ahead_s), SeqNo(1), METHOD.to_vec()));
        assert_eq!(refusal(&world.received()).1, 17);
        assert_eq!(world.host.next_deadline().is_some(), remembered);
        world.pass_s(ahead_s + 300);
        assert_eq!(world.host.next_deadline().is_some(), remembered);
        world.pass_s(1);
        assert_eq!(world.host.next_deadline(), None);
    }
}

fn code_of(id: MsgId) -> Option<i32> {
    let mut world = World::new();
    world.submit(world.frame(id, SeqNo(0), ping(1)));
    let sent = world.received();
    if sent.iter().any(|it| it.id() == tl::Pong::ID) {
        None
    } else {
        Some(refusal(&sent).1)
    }
}

fn copy(msg_id: MsgId, seqno: SeqNo, body: &[u8]) -> Vec<u8> {
    let orig_message = tl::Message {
        msg_id: msg_id.0,
        seqno: seqno.0,
        body,
    };
    tl::MsgCopy { orig_message }.to_bytes()
}

/// Writes a container without any limit.
fn container_unchecked(messages: &[(MsgId, SeqNo, Vec<u8>)]) -> Vec<u8> {
    let mut out = tl::MsgContainer::ID.to_le_bytes().to_vec();
    out.extend_from_slice(&u32::try_from(messages.len()).unwrap().to_le_bytes());
    for (id, seqno, body) in messages {
        out.extend_from_slice(&id.0.to_le_bytes());
        out.extend_from_slice(&seqno.0.to_le_bytes());
        out.extend_from_slice(&u32::try_from(body.len()).unwrap().to_le_bytes());
        out.extend_from_slice(body);
    }
    out
}
