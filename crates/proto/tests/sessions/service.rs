//! Service messages: each is answered as the protocol says, and none by an `rpc_error`.

use heliogram_proto::ids::{LinkId, MsgId, SeqNo, SessionId};
use heliogram_tl::{Serialize, api, mtproto as tl};

use crate::support::{LINK, METHOD, START_S, Sent, World, container, hex, ping, vectors};

#[test]
fn a_ping_is_answered_by_a_bare_pong() {
    let mut world = World::new();
    let id = world.send_bytes(false, ping(42));
    let sent = world.answers();
    let pong: tl::Pong = sent[0].read();
    assert_eq!((pong.msg_id, pong.ping_id), (id.0, 42));
    assert_eq!(sent.len(), 1, "an even ping asks for no acknowledgement");
}

#[test]
fn the_low_bits_of_a_servers_identifiers_are_those_of_the_vectors() {
    let mut world = World::new();
    world.send_bytes(false, ping(1));
    world.send(true, &tl::GetFutureSalts { num: 2 });
    world.send_bytes(true, METHOD.to_vec());
    let mut sent = world.received();
    world.pass_s(1);
    sent.extend(world.received());
    world.answer_next(&[0; 4]);
    sent.extend(world.received());
    let id = world.client_id();
    let mut bad_salt = world.frame(id, SeqNo(4), ping(1));
    bad_salt.salt.0 ^= 1;
    world.submit(bad_salt);
    let bad_low_bits = MsgId(id.0 + 1);
    world.submit(world.frame(bad_low_bits, SeqNo(4), ping(1)));
    sent.extend(world.received());

    let vectors = vectors("msg_id_seqno");
    let kinds = vectors["server_msg_id_parity"].as_array().unwrap();
    for (name, constructor) in [
        ("rpc_result", tl::RpcResult::ID),
        ("pong", tl::Pong::ID),
        ("future_salts", tl::FutureSalts::ID),
        ("bad_msg_notification", tl::BadMsgNotification::ID),
        ("bad_server_salt", tl::BadServerSalt::ID),
        ("new_session_created", tl::NewSessionCreated::ID),
        ("msgs_ack", tl::MsgsAck::ID),
    ] {
        let names_it = |kind: &&serde_json::Value| kind["kind"].as_str().unwrap().contains(name);
        let kind = kinds.iter().find(names_it).unwrap();
        // That of `new_session_created` is in words: 1 was seen, 3 would be taken as well.
        let expected = kind["mod4"].as_i64().unwrap_or(1);
        let found = sent.iter().find(|it| it.id() == constructor);
        assert_eq!(found.map(|it| it.msg_id.0 & 3), Some(expected), "{name}");
    }
}

#[test]
fn a_service_message_that_is_wrapped_like_a_call_is_answered_as_if_it_were_not() {
    let mut world = World::new();
    let body = api::InvokeWithoutUpdates { query: &ping(42) }.to_bytes();
    let id = world.send_bytes(true, body);
    let pong: tl::Pong = world.answers()[0].read();
    assert_eq!((pong.msg_id, pong.ping_id), (id.0, 42));
    assert!(world.calls.is_empty());
}

#[test]
fn ping_delay_disconnect_closes_the_connection_after_its_delay() {
    let mut world = World::new();
    world.send(
        false,
        &tl::PingDelayDisconnect {
            ping_id: 1,
            disconnect_delay: 75,
        },
    );
    assert!(world.answers().iter().any(|it| it.id() == tl::Pong::ID));
    world.pass_s(74);
    world.received();
    assert_eq!(world.closed, []);
    world.pass_s(1);
    assert_eq!(world.ready, [LINK]);
    world.received();
    assert_eq!(world.closed, [(LINK, None)]);
}

#[test]
fn another_ping_delay_disconnect_sets_the_time_anew() {
    let mut world = World::new();
    for _ in 0..5 {
        world.send(
            false,
            &tl::PingDelayDisconnect {
                ping_id: 1,
                disconnect_delay: 75,
            },
        );
        world.pass_s(60);
        world.received();
    }
    assert_eq!(world.closed, []);
    world.pass_s(15);
    world.received();
    assert_eq!(world.closed, [(LINK, None)]);
}

#[test]
fn a_delay_is_held_between_1_and_600_s() {
    for (asked, closes_after_s) in [(-5, 1), (0, 1), (600, 600), (i32::MAX, 600)] {
        let mut world = World::new();
        world.send(
            false,
            &tl::PingDelayDisconnect {
                ping_id: 1,
                disconnect_delay: asked,
            },
        );
        world.pass_s(closes_after_s - 1);
        world.received();
        assert_eq!(world.closed, [], "{asked}");
        world.pass_s(1);
        world.received();
        assert_eq!(world.closed, [(LINK, None)], "{asked}");
    }
}

#[test]
fn future_salts_are_at_least_2_and_at_most_64_and_follow_each_other() {
    for (asked, given) in [(i32::MIN, 2), (0, 2), (1, 2), (2, 2), (64, 64), (65, 64)] {
        let mut world = World::new();
        let id = world.send(true, &tl::GetFutureSalts { num: asked });
        let sent = world.answers();
        let salts: tl::FutureSalts<'_> = sent[0].read();
        assert_eq!(salts.req_msg_id, id.0);
        assert_eq!(u64::try_from(salts.now).unwrap(), START_S);
        let salts: Vec<_> = salts.salts.iter().map(|it| it.0).collect();
        assert_eq!(salts.len(), given, "{asked}");
        assert!(salts[0].valid_since <= i32::try_from(START_S).unwrap());
        for pair in salts.windows(2) {
            assert_eq!(pair[0].valid_until, pair[1].valid_since);
            assert_ne!(pair[0].salt, pair[1].salt);
        }
    }
}

#[test]
fn a_container_full_of_requests_for_salts_has_one_answered_in_full() {
    let mut world = World::new();
    let requests: Vec<_> = (0..3)
        .map(|_| {
            let request = tl::GetFutureSalts { num: 64 }.to_bytes();
            (world.client_id(), world.seqno(false), request)
        })
        .collect();
    world.send_bytes(false, container(&requests));
    let given = |it: &Sent| it.read::<tl::FutureSalts<'_>>().salts.len();
    let given: Vec<_> = world.answers().iter().map(given).collect();
    assert_eq!(given, [64, 2, 2]);
}

#[test]
fn announced_salts_are_accepted_in_their_slot_and_the_next_and_a_minute_early() {
    let mut world = World::new();
    world.send(true, &tl::GetFutureSalts { num: 4 });
    let sent = world.answers();
    let salts: tl::FutureSalts<'_> = sent[0].read();
    let third = salts.salts.iter().nth(2).unwrap().0;
    let since = u64::try_from(third.valid_since).unwrap();
    let mut pongs_at = |unix_s: u64| {
        let seconds = unix_s - world.now.unix.seconds();
        world.pass_s(seconds);
        let (id, seqno) = (world.client_id(), world.seqno(false));
        let mut frame = world.frame(id, seqno, ping(1));
        frame.salt = heliogram_proto::ids::Salt(third.salt);
        world.submit(frame);
        world.answers().iter().any(|it| it.id() == tl::Pong::ID)
    };
    assert!(!pongs_at(since - 61));
    assert!(pongs_at(since - 60));
    assert!(pongs_at(since + 1800));
    assert!(pongs_at(since + 3599));
    assert!(!pongs_at(since + 3600));
}

#[test]
fn the_first_salt_is_good_until_the_end_of_the_next_slot() {
    let mut world = World::new();
    let slot_end = START_S.next_multiple_of(1800);
    world.send_bytes(false, ping(1));
    world.received();
    world.pass_s(slot_end + 1799 - START_S);
    world.send_bytes(false, ping(2));
    assert!(world.answers().iter().any(|it| it.id() == tl::Pong::ID));
    world.pass_s(1);
    world.send_bytes(false, ping(3));
    assert!(
        world
            .answers()
            .iter()
            .any(|it| it.id() == tl::BadServerSalt::ID)
    );
}

#[test]
fn bad_server_salt_names_one_that_is_good() {
    let mut world = World::new();
    let id = world.client_id();
    let mut frame = world.frame(id, SeqNo(0), ping(1));
    frame.salt = heliogram_proto::ids::Salt(0);
    world.submit(frame);
    let sent = world.received();
    let refusal: tl::BadServerSalt = sent[0].read();
    let id = world.client_id();
    let mut frame = world.frame(id, SeqNo(0), ping(1));
    frame.salt = heliogram_proto::ids::Salt(refusal.new_server_salt);
    world.submit(frame);
    assert!(world.answers().iter().any(|it| it.id() == tl::Pong::ID));
}

#[test]
fn msgs_state_req_is_answered_by_one_byte_for_each_id() {
    let mut world = World::new();
    let running = world.send_bytes(true, METHOD.to_vec());
    let answered = world.send_bytes(true, METHOD.to_vec());
    let (id, _) = world.calls.pop().unwrap();
    world.answer(
        id,
        heliogram_proto::port::Reply::Result(vec![1, 0, 0, 0].into()),
    );
    let even = world.send_bytes(false, ping(1));
    let never = MsgId(even.0 - 2);
    let ids = [running.0, answered.0, even.0, never.0, even.0 + 4096];
    let asked = world.send(
        true,
        &tl::MsgsStateReq {
            msg_ids: (&ids).into(),
        },
    );
    let sent = world.answers();
    let info = sent
        .iter()
        .find(|it| it.id() == tl::MsgsStateInfo::ID)
        .unwrap();
    let info: tl::MsgsStateInfo<'_> = info.read();
    assert_eq!(info.req_msg_id, asked.0);
    let states: Vec<_> = info.info.iter().map(|state| state & 7).collect();
    assert_eq!(states, [4, 4, 4, 2, 3]);
    assert_eq!(info.info[0] & (32 | 64), 32, "runs");
    assert_eq!(info.info[1] & (32 | 64), 32 | 64, "is answered");
    assert_eq!(info.info[2] & 16, 16, "needs no acknowledgement");
}

#[test]
fn new_session_created_comes_once_and_again_only_for_a_new_minimum() {
    let mut world = World::new();
    let first = world.send_bytes(false, ping(1));
    world.send_bytes(false, ping(2));
    let news = |world: &mut World| -> Vec<(i64, i64)> {
        let sent = world.received();
        let news = sent
            .iter()
            .filter(|it| it.id() == tl::NewSessionCreated::ID);
        let news = news.map(|it| it.read::<tl::NewSessionCreated>());
        news.map(|it| (it.first_msg_id, it.unique_id)).collect()
    };
    let told = news(&mut world);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].0, first.0);
    let earlier = MsgId(first.0 - 400);
    world.submit(world.frame(earlier, SeqNo(0), ping(3)));
    assert_eq!(news(&mut world), [(earlier.0, told[0].1)]);
    world.submit(world.frame(MsgId(first.0 - 396), SeqNo(0), ping(3)));
    world.send_bytes(false, ping(4));
    assert_eq!(news(&mut world), []);
}

#[test]
fn new_session_created_names_the_smallest_id_of_the_first_container() {
    let mut world = World::new();
    let inner = [world.client_id(), world.client_id()];
    let body = container(&[(inner[1], SeqNo(0), ping(1)), (inner[0], SeqNo(0), ping(2))]);
    world.send_bytes(false, body);
    let sent = world.received();
    assert_eq!(
        sent[0].read::<tl::NewSessionCreated>().first_msg_id,
        inner[0].0
    );
}

#[test]
fn destroy_session_destroys_another_session_and_never_its_own() {
    let mut world = World::new();
    let mut frame = world.frame(world.facts_id(), SeqNo(0), ping(1));
    frame.session_id = SessionId(99);
    world.submit(frame);
    world.received();
    assert_eq!(world.host.sessions(), 1);

    world.send(true, &tl::DestroySession { session_id: 99 });
    let sent = world.answers();
    assert_eq!(sent[0].read::<tl::DestroySessionOk>().session_id, 99);
    assert_eq!(world.host.sessions(), 1);
    for id in [99, crate::support::SESSION.0] {
        world.send(true, &tl::DestroySession { session_id: id });
        let sent = world.answers();
        assert_eq!(sent[0].read::<tl::DestroySessionNone>().session_id, id);
    }
    assert_eq!(world.host.sessions(), 1);
}

#[test]
fn msg_resend_req_sends_again_what_is_kept_and_states_of_all_otherwise() {
    let mut world = World::new();
    world.send_bytes(false, ping(1));
    let first = world.received();
    let news = first
        .iter()
        .find(|it| it.id() == tl::NewSessionCreated::ID)
        .unwrap();
    world.send(
        false,
        &tl::MsgResendReq {
            msg_ids: (&[news.msg_id.0]).into(),
        },
    );
    assert_eq!(world.received(), std::slice::from_ref(news));

    world.send(
        false,
        &tl::MsgResendReq {
            msg_ids: (&[news.msg_id.0, 5]).into(),
        },
    );
    let sent = world.received();
    let info = sent
        .iter()
        .find(|it| it.id() == tl::MsgsStateInfo::ID)
        .unwrap();
    assert_eq!(info.read::<tl::MsgsStateInfo<'_>>().info.len(), 2);
}

#[test]
fn msg_new_detailed_info_of_an_unknown_message_is_answered_by_a_request_for_it() {
    let mut world = World::new();
    let object = tl::MsgNewDetailedInfo {
        answer_msg_id: 12,
        bytes: 4,
        status: 0,
    };
    world.send(false, &object);
    let sent = world.answers();
    let request: tl::MsgResendReq<'_> = sent[0].read();
    assert_eq!(request.msg_ids.iter().collect::<Vec<_>>(), [12]);
}

#[test]
fn msgs_all_info_acknowledges_what_was_received_and_brings_back_what_was_not() {
    let mut world = World::new();
    world.send_bytes(false, ping(1));
    let news = world.received()[0].clone();
    let say = |world: &mut World, state: u8| {
        let info = [state];
        let ids = [news.msg_id.0];
        world.send(
            false,
            &tl::MsgsAllInfo {
                msg_ids: (&ids).into(),
                info: &info,
            },
        );
        world.received()
    };
    assert_eq!(say(&mut world, 2), std::slice::from_ref(&news));
    assert_eq!(say(&mut world, 4), []);
    assert_eq!(
        say(&mut world, 2),
        [],
        "it is acknowledged, so nothing is left of it"
    );
}

#[test]
fn no_service_message_is_answered_by_an_rpc_error() {
    let vectors = vectors("tl_service");
    let mut seen = 0;
    for sample in vectors["samples"].as_array().unwrap() {
        let body = hex(sample["hex"].as_str().unwrap());
        let id = u32::from_le_bytes(body[..4].try_into().unwrap());
        if !is_service(id) {
            continue;
        }
        seen += 1;
        let mut world = World::new();
        let content_related = id != tl::MsgsAck::ID;
        world.send_bytes(content_related, body);
        for sent in world.answers() {
            if sent.id() == tl::RpcResult::ID {
                let object = &sent.body[12..];
                assert_ne!(
                    object[..4],
                    tl::RpcError::ID.to_le_bytes(),
                    "{}",
                    sample["name"]
                );
            }
        }
        assert!(
            world.calls.is_empty(),
            "{} was taken for a call",
            sample["name"]
        );
    }
    assert!(seen >= 25, "{seen} samples");
}

#[test]
fn a_message_of_the_wrong_direction_is_acknowledged_and_nothing_more() {
    let mut world = World::new();
    let id = world.send(
        true,
        &tl::Pong {
            msg_id: 1,
            ping_id: 2,
        },
    );
    world.pass_s(1);
    let sent = world.answers();
    let ack: tl::MsgsAck<'_> = sent[0].read();
    assert_eq!(
        (sent.len(), ack.msg_ids.iter().collect::<Vec<_>>()),
        (1, vec![id.0])
    );
}

#[test]
fn a_service_message_that_cannot_be_read_closes_the_connection() {
    let mut trailing = ping(1);
    trailing.extend_from_slice(&[0; 4]);
    let mut claims = tl::MsgsAck::ID.to_le_bytes().to_vec();
    claims.extend_from_slice(&0x1cb5_c415_u32.to_le_bytes());
    claims.extend_from_slice(&(1_u32 << 31).to_le_bytes());
    for body in [ping(1)[..8].to_vec(), trailing, claims] {
        let mut world = World::new();
        world.send_bytes(false, body);
        world.received();
        assert_eq!(world.closed, [(LINK, None)]);
    }
}

#[test]
fn a_closed_link_is_told_nothing_more() {
    let mut world = World::new();
    world.send_bytes(false, ping(1)[..8].to_vec());
    world.received();
    world.send_bytes(false, ping(2));
    assert_eq!(world.received(), []);
    assert_eq!(world.closed.len(), 1);
}

#[test]
fn a_pong_goes_to_the_link_that_asked() {
    let mut world = World::new();
    world.send_bytes(false, ping(1));
    world.received();
    let mut frame = world.frame(world.facts_id(), SeqNo(0), ping(2));
    frame.link = LinkId(2);
    world.submit(frame);
    assert_eq!(world.drain(LINK), []);
    assert_eq!(world.drain(LinkId(2))[0].read::<tl::Pong>().ping_id, 2);
}

impl World {
    /// A fresh id, for frames made by hand.
    fn facts_id(&self) -> MsgId {
        MsgId(crate::support::client_id_at(self.now.unix.seconds()).0 + 4000)
    }
}

fn is_service(id: u32) -> bool {
    [
        tl::MsgsAck::ID,
        tl::BadMsgNotification::ID,
        tl::BadServerSalt::ID,
        tl::MsgsStateReq::ID,
        tl::MsgsStateInfo::ID,
        tl::MsgsAllInfo::ID,
        tl::MsgDetailedInfo::ID,
        tl::MsgNewDetailedInfo::ID,
        tl::MsgResendReq::ID,
        tl::MsgResendAnsReq::ID,
        tl::RpcDropAnswer::ID,
        tl::GetFutureSalts::ID,
        tl::FutureSalts::ID,
        tl::Ping::ID,
        tl::PingDelayDisconnect::ID,
        tl::Pong::ID,
        tl::DestroySession::ID,
        tl::DestroySessionOk::ID,
        tl::DestroySessionNone::ID,
        tl::NewSessionCreated::ID,
        tl::HttpWait::ID,
        tl::DestroyAuthKey::ID,
        tl::DestroyAuthKeyOk::ID,
        tl::DestroyAuthKeyNone::ID,
        tl::DestroyAuthKeyFail::ID,
    ]
    .contains(&id)
}

#[test]
fn msg_resend_ans_req_brings_kept_answers_again_and_states_of_all_if_one_is_unknown() {
    let mut world = World::new();
    let call = world.send_bytes(true, METHOD.to_vec());
    world.answer_next(&METHOD);
    let answer = world.answers();
    world.send(
        false,
        &tl::MsgResendAnsReq {
            msg_ids: (&[call.0]).into(),
        },
    );
    assert_eq!(world.received(), answer);
    world.send(
        false,
        &tl::MsgResendAnsReq {
            msg_ids: (&[call.0, call.0 + 2]).into(),
        },
    );
    let sent = world.received();
    assert!(sent.contains(&answer[0]));
    let info = sent
        .iter()
        .find(|it| it.id() == tl::MsgsStateInfo::ID)
        .unwrap();
    assert_eq!(info.read::<tl::MsgsStateInfo<'_>>().info[1] & 7, 2);
}
