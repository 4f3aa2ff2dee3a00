//! Both sides of each limit.

use bytes::Bytes;
use heliogram_proto::host::Input;
use heliogram_proto::ids::{LinkId, MsgId, SeqNo, SessionId};
use heliogram_proto::limits::ANSWER_BYTES_MAX;
use heliogram_proto::port::Reply;
use heliogram_tl::{Deserialize, Serialize, api, gzip, mtproto as tl};

use crate::support::{LINK, METHOD, Rules, World, client_id_at, ping, refusal};

#[test]
fn an_answer_that_fits_a_frame_is_sent_and_one_with_four_bytes_more_is_an_error() {
    for (bytes, fits) in [(ANSWER_BYTES_MAX, true), (ANSWER_BYTES_MAX + 4, false)] {
        let mut world = World::new();
        world.send_bytes(true, METHOD.to_vec());
        let (id, _) = world.calls.remove(0);
        world.answer(id, Reply::Result(Bytes::from(vec![1; bytes])));
        let sent = world.received();
        let result = sent.iter().find(|it| it.id() == tl::RpcResult::ID).unwrap();
        let result: tl::RpcResult<'_> = result.read();
        assert_eq!(result.result.len() == bytes, fits);
        assert_eq!(tl::RpcError::from_bytes(result.result).is_ok(), !fits);
    }
}

#[test]
fn a_list_holds_8192_ids_and_not_8193() {
    for (count, good) in [(8192, true), (8193, false)] {
        let ids: Vec<i64> = (0..count).collect();
        let ids = ids.as_slice();
        for at in 0..3 {
            let mut world = World::new();
            match at {
                0 => world.send(
                    false,
                    &tl::MsgsAck {
                        msg_ids: ids.into(),
                    },
                ),
                1 => world.send(
                    false,
                    &tl::MsgsStateReq {
                        msg_ids: ids.into(),
                    },
                ),
                _ => world.send(
                    false,
                    &tl::MsgResendReq {
                        msg_ids: ids.into(),
                    },
                ),
            };
            world.received();
            assert_eq!(world.closed.is_empty(), good, "{count} ids, object {at}");
        }
    }
}

#[test]
fn a_session_runs_1024_calls_at_once_and_refuses_the_next() {
    let mut world = World::new();
    for _ in 0..1025 {
        world.send_bytes(true, METHOD.to_vec());
    }
    assert_eq!(
        (world.calls.len(), world.host.calls_running()),
        (1024, 1024)
    );
    let sent = world.answers();
    assert_eq!(sent.len(), 1);
    let error = &sent[0].body[12..];
    let name = b"FLOOD_WAIT_1";
    assert!(error.windows(name.len()).any(|it| it == name));
    world.answer_next(&METHOD);
    world.send_bytes(true, METHOD.to_vec());
    assert_eq!(world.calls.len(), 1024);
}

#[test]
fn an_identity_has_100_sessions_and_the_one_used_longest_ago_makes_room() {
    let mut world = World::new();
    for session in 0..101 {
        let id = world.client_id();
        let mut frame = world.frame(id, SeqNo(1), METHOD.to_vec());
        frame.session_id = SessionId(session);
        world.submit(frame);
        world.pass(std::time::Duration::from_millis(1));
        assert_eq!(
            world.host.sessions(),
            usize::try_from(session).unwrap().min(99) + 1
        );
    }
    assert_eq!(world.cancelled.len(), 1);
    assert_eq!(world.cancelled[0].session_id, SessionId(0));
    assert_eq!(world.host.calls_running(), 100);
}

#[test]
fn a_session_without_a_connection_is_kept_for_900_s() {
    let mut world = World::new();
    world.send_bytes(false, ping(1));
    world.pass_s(10_000);
    assert_eq!(world.host.sessions(), 1, "it has a connection");
    world.input(Input::Detach { link: LINK });
    world.pass_s(899);
    assert_eq!(world.host.sessions(), 1);
    world.pass_s(1);
    assert_eq!(world.host.sessions(), 0);
    world.pass_s(10_000);
    assert_eq!(world.host.next_deadline(), None, "nothing is left of it");
}

#[test]
fn what_an_ended_session_has_received_stays_refused_for_as_long_as_it_could_come_again() {
    let mut world = World::new();
    let mut frame = world.frame(
        MsgId(client_id_at(crate::support::START_S + 30).0),
        SeqNo(1),
        METHOD.to_vec(),
    );
    frame.session_id = SessionId(5);
    let captured = frame.clone();
    world.submit(frame);
    world.send(false, &tl::DestroySession { session_id: 5 });
    world.received();
    assert_eq!((world.calls.len(), world.cancelled.len()), (1, 1));
    for _ in 0..11 {
        let mut frame = captured.clone();
        frame.link = LinkId(2);
        world.submit(frame);
        assert_eq!(world.calls.len(), 1, "executed again");
        assert!([16, 20].contains(&refusal(&world.drain(LinkId(2))).1));
        world.send(false, &tl::DestroySession { session_id: 5 });
        world.received();
        world.pass_s(33);
    }
}

#[test]
fn overflow_of_the_remembered_ids_is_refused_with_20_and_never_executed() {
    let mut world = World::new();
    let first = world.send_bytes(true, METHOD.to_vec());
    let second = world.send_bytes(true, METHOD.to_vec());
    while let Some((id, _)) = world.calls.pop() {
        world.answer(id, Reply::Result(Bytes::from_static(&METHOD)));
    }
    let acks: Vec<_> = world.received().iter().map(|it| it.msg_id.0).collect();
    world.send(
        false,
        &tl::MsgsAck {
            msg_ids: acks.as_slice().into(),
        },
    );
    for _ in 0..4093 {
        world.send_bytes(false, ping(1));
        world.received();
    }
    world.submit(world.frame(first, SeqNo(1), METHOD.to_vec()));
    assert_eq!(
        world.received()[0].id(),
        tl::MsgsAck::ID,
        "4096 are remembered"
    );
    world.send_bytes(false, ping(1));
    world.received();
    world.submit(world.frame(first, SeqNo(1), METHOD.to_vec()));
    assert_eq!(refusal(&world.received()), (first, 20));
    world.submit(world.frame(second, SeqNo(3), METHOD.to_vec()));
    assert_eq!(world.received()[0].id(), tl::MsgsAck::ID);
    assert!(world.calls.is_empty());
}

#[test]
fn a_call_that_runs_is_known_even_when_its_id_is_forgotten() {
    let mut world = World::new();
    let id = world.send_bytes(true, METHOD.to_vec());
    for _ in 0..5000 {
        world.send_bytes(false, ping(1));
        world.received();
    }
    world.submit(world.frame(id, SeqNo(1), METHOD.to_vec()));
    assert_eq!(world.received()[0].id(), tl::MsgsAck::ID);
    assert_eq!(world.calls.len(), 1);
}

#[test]
fn a_thousand_answers_are_kept_and_the_oldest_is_given_up_first() {
    let mut world = World::new();
    let mut ids = Vec::new();
    for _ in 0..1001 {
        ids.push(world.send_bytes(true, METHOD.to_vec()));
        world.answer_next(&METHOD);
        world.received();
    }
    // The news of the session is the oldest of all; then comes the first answer.
    for (at, kept) in [(0, false), (1, true), (1000, true)] {
        let seqno = SeqNo(i32::try_from(at * 2 + 1).unwrap());
        world.submit(world.frame(ids[at], seqno, METHOD.to_vec()));
        let sent = world.received();
        assert_eq!(sent[0].id() == tl::RpcResult::ID, kept, "answer {at}");
    }
    assert!(world.calls.is_empty());
}

#[test]
fn a_link_that_is_never_drained_is_closed_when_8192_messages_wait() {
    let mut world = World::new();
    world.send_bytes(false, ping(1));
    world.received();
    for _ in 0..8193 {
        world.send_bytes(false, ping(1));
    }
    world.received();
    assert_eq!(world.closed, [(LINK, None)]);
}

#[test]
fn a_session_that_flooded_one_link_goes_on_with_the_next() {
    let mut world = World::new();
    for _ in 0..8194 {
        world.send_bytes(false, ping(1));
    }
    world.received();
    assert_eq!(world.closed, [(LINK, None)]);
    world.input(Input::Detach { link: LINK });
    let (id, seqno) = (world.client_id(), world.seqno(false));
    let mut frame = world.frame(id, seqno, ping(2));
    frame.link = LinkId(2);
    world.submit(frame);
    let last: tl::Pong = world.drain(LinkId(2)).last().unwrap().read();
    assert_eq!((last.ping_id, world.closed.len()), (2, 1));
}

#[test]
fn a_session_that_made_room_on_its_link_ends_like_any_other() {
    let mut world = World::new();
    world.send_bytes(false, ping(1));
    world.received();
    world.pass_s(900);
    world.facts.id.0 += 1;
    for session in 0..100 {
        let id = world.client_id();
        let mut frame = world.frame(id, SeqNo(0), ping(1));
        frame.session_id = SessionId(session);
        world.submit(frame);
    }
    assert_eq!(world.host.sessions(), 101);
    world.input(Input::Detach { link: LINK });
    world.pass_s(10_000);
    assert_eq!(world.host.sessions(), 0);
}

#[test]
fn a_captured_message_of_an_ended_session_does_not_bring_it_back() {
    let mut world = World::new();
    let id = world.client_id();
    let mut captured = world.frame(id, SeqNo(1), METHOD.to_vec());
    captured.session_id = SessionId(5);
    world.submit(captured.clone());
    world.send(false, &tl::DestroySession { session_id: 5 });
    assert_eq!(world.host.sessions(), 1);
    captured.link = LinkId(2);
    world.submit(captured);
    assert_eq!(refusal(&world.drain(LinkId(2))), (id, 20));
    assert_eq!(world.host.sessions(), 1);
}

#[test]
fn calls_of_32_mib_run_at_once_and_one_more_is_refused() {
    let mut world = World::new();
    let mut body = METHOD.to_vec();
    body.resize(1 << 20, 0);
    for _ in 0..33 {
        world.send_bytes(true, body.clone());
    }
    assert_eq!(world.calls.len(), 32);
    world.answer_next(&METHOD);
    world.send_bytes(true, body);
    assert_eq!(world.calls.len(), 32);
}

#[test]
fn a_session_uses_16_links_and_a_link_carries_100_sessions() {
    let mut world = World::new();
    for link in 0..40 {
        let (id, seqno) = (world.client_id(), world.seqno(false));
        let mut frame = world.frame(id, seqno, ping(1));
        frame.link = LinkId(link);
        world.submit(frame);
    }
    let reached = (0..40)
        .filter(|&link| !world.drain(LinkId(link)).is_empty())
        .count();
    assert_eq!(reached, 16);
}

#[test]
fn more_ended_sessions_than_are_remembered_leave_no_gap_for_a_captured_message() {
    let mut world = World::new();
    let mut captured = Vec::new();
    for session in 10..260 {
        let id = world.client_id();
        let mut frame = world.frame(id, SeqNo(1), METHOD.to_vec());
        frame.session_id = SessionId(session);
        captured.push(frame.clone());
        world.submit(frame);
        world.send(
            false,
            &tl::DestroySession {
                session_id: session,
            },
        );
        world.received();
    }
    let executed = world.calls.len();
    let mut old = captured[0].clone();
    for frame in captured {
        world.submit(frame);
    }
    assert_eq!(world.calls.len(), executed);
    old.session_id = SessionId(8);
    old.link = LinkId(3);
    let old_id = old.msg_id;
    world.submit(old);
    assert_eq!(
        refusal(&world.drain(LinkId(3))),
        (old_id, 20),
        "more is refused than must be"
    );
    let (id, session) = (world.client_id(), SessionId(9));
    let mut frame = world.frame(id, SeqNo(1), METHOD.to_vec());
    frame.session_id = session;
    world.submit(frame);
    assert_eq!(
        world.calls.len(),
        executed + 1,
        "a new session goes on as usual"
    );
}

#[test]
fn a_session_that_is_made_anew_goes_on_with_higher_ids_even_within_one_instant() {
    let mut world = World::new();
    let send = |world: &mut World| {
        let id = world.client_id();
        let mut frame = world.frame(id, SeqNo(0), ping(1));
        (frame.session_id, frame.link) = (SessionId(5), LinkId(2));
        world.submit(frame);
        let sent = world.drain(LinkId(2));
        world.rules = Rules::default();
        sent.iter().map(|it| it.msg_id).collect::<Vec<_>>()
    };
    let before = send(&mut world);
    world.send(false, &tl::DestroySession { session_id: 5 });
    let after = send(&mut world);
    assert!(
        before.iter().max() < after.iter().min(),
        "{before:?}, then {after:?}"
    );
}

#[test]
fn a_frame_unpacks_to_16_mib_and_not_to_four_bytes_more() {
    for (extra, good) in [(0, true), (4, false)] {
        let mut body = METHOD.to_vec();
        body.resize((16 << 20) + extra, 0);
        let mut world = World::new();
        world.send(
            true,
            &tl::GzipPacked {
                packed_data: &gzip::pack(&body),
            },
        );
        assert_eq!(world.calls.len(), usize::from(good), "{extra} bytes more");
    }
}

#[test]
fn all_packed_messages_of_a_container_share_the_16_mib() {
    let mut body = METHOD.to_vec();
    body.resize(6 << 20, 0);
    let packed = tl::GzipPacked {
        packed_data: &gzip::pack(&body),
    }
    .to_bytes();
    let mut world = World::new();
    let mut message = || (world.client_id(), world.seqno(true), packed.clone());
    let messages = [message(), message(), message()];
    world.send_bytes(false, crate::support::container(&messages));
    assert_eq!(world.calls.len(), 2, "twice 6 MiB fit, the third does not");
}

#[test]
fn strings_of_init_connection_are_kept_up_to_256_bytes() {
    for (len, kept) in [(256, 256), (257, 256)] {
        let text = vec![b'a'; len];
        let mut world = World::new();
        let query = &METHOD;
        world.send(
            true,
            &api::InitConnection {
                device_model: &text,
                query,
                ..Default::default()
            },
        );
        let client = world.calls[0].1.client.clone().unwrap();
        assert_eq!(client.device_model.len(), kept);
    }
}

#[test]
fn an_answer_is_kept_for_600_s_and_some_minutes_more_at_most() {
    for (age_s, kept) in [(600, true), (1000, false)] {
        let mut world = World::new();
        world.send_bytes(true, METHOD.to_vec());
        world.answer_next(&METHOD);
        let answer = world.answers();
        world.pass_s(age_s);
        world.send(
            false,
            &tl::MsgResendReq {
                msg_ids: (&[answer[0].msg_id.0]).into(),
            },
        );
        assert_eq!(world.received() == answer, kept, "after {age_s} s");
    }
}

#[test]
fn calls_are_refused_while_16_mib_wait_for_the_connection() {
    let mut world = World::new();
    for waiting_mib in 0..=16 {
        world.send_bytes(true, METHOD.to_vec());
        assert_eq!(
            world.calls.len(),
            usize::from(waiting_mib < 16),
            "{waiting_mib} MiB wait"
        );
        if let Some((id, _)) = world.calls.pop() {
            world.answer(id, Reply::Result(Bytes::from(vec![0x5a; 1 << 20])));
        }
    }
    world.received();
    world.send_bytes(true, METHOD.to_vec());
    assert_eq!(world.calls.len(), 1, "nothing waits any more");
}
