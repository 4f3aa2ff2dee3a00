//! What owners have for each other, as bytes: the same when it is read, refused when it is damaged, harmless whatever it is.

use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use heliogram_proto::cx::{Mono, Now};
use heliogram_proto::exchange::binding::Error;
use heliogram_proto::host::wire::{self, decode, encode};
use heliogram_proto::host::{Effect, Input, Learned, PreparedAnswer, PreparedFrame, PreparedPush};
use heliogram_proto::ids::{AuthKeyId, Identity, LinkId, SeqNo, Term};
use heliogram_proto::limits::{CROSSING_BYTES_MAX, PUSH_TARGETS_MAX, SESSION_IDLE_S_MAX};
use heliogram_proto::port::{Attach, Frame, KeyKind, Push, Reply, RpcError, Target, Trace};
use heliogram_tl::mtproto as tl;
use heliogram_tl::{Serialize, api};
use proptest::collection::vec;
use proptest::prelude::*;

use super::rig::{Client, across};
use crate::calls::noise;
use crate::support::{LINK, METHOD, SESSION, START_S, UPDATE, World, container, ping};

#[test]
fn what_crosses_is_read_as_it_was_written() {
    for (name, input, now) in everything() {
        let bytes = encode(&input, now).unwrap();
        let read = decode(&bytes, now, &mut Some).unwrap();
        assert_eq!(format!("{read:?}"), format!("{input:?}"), "{name}");
        // What is not shown is there, too.
        assert_eq!(encode(&read, now), Some(bytes), "{name}");
    }
}

#[test]
fn what_is_cut_short_or_goes_on_is_refused() {
    for (name, input, now) in everything() {
        let mut bytes = encode(&input, now).unwrap();
        for len in 0..bytes.len() {
            let cut = decode(&bytes[..len], now, &mut Some).err();
            assert_eq!(cut, Some(wire::Error::Malformed), "{name}, {len} bytes");
        }
        bytes.push(0);
        let longer = decode(&bytes, now, &mut Some).err();
        assert_eq!(longer, Some(wire::Error::Malformed), "{name}");
    }
}

#[test]
fn another_version_is_refused() {
    let (_, input, now) = everything().remove(0);
    let mut bytes = encode(&input, now).unwrap();
    bytes[0] += 1;
    assert_eq!(
        decode(&bytes, now, &mut Some).err(),
        Some(wire::Error::Malformed)
    );
}

#[test]
fn what_a_store_or_a_gateway_says_does_not_cross() {
    let mut world = Client::new();
    let (call, _) = world.bind_unanswered();
    let attach = Attach {
        link: LINK,
        key: world.perm,
        session_id: SESSION,
        term: None,
        is_http: false,
    };
    let outcome = Err(Error::Invalid);
    for input in [
        Input::Attach(attach),
        Input::Bound { call, outcome },
        Input::Detach { link: LINK },
    ] {
        assert_eq!(encode(&input, world.now), None, "{input:?}");
    }
}

#[test]
fn as_many_bytes_as_may_cross_do_and_four_more_do_not() {
    // Version, kind, one target, nobody excepted, the lengths of targets and body.
    let around = 1 + 1 + 4 + 9 + 1 + 4;
    let now = Now::default();
    for (bytes, crosses) in [
        (CROSSING_BYTES_MAX - around, true),
        (CROSSING_BYTES_MAX - around + 4, false),
    ] {
        let push = push(vec![0; bytes], 1);
        assert_eq!(encode(&push, now).is_some(), crosses);
    }
}

#[test]
fn a_push_crosses_with_as_many_targets_as_it_may_have() {
    let now = Now::default();
    let mut bytes = encode(&push(METHOD.to_vec(), PUSH_TARGETS_MAX), now).unwrap();
    assert!(decode(&bytes, now, &mut Some).is_ok());
    let count = u32::try_from(PUSH_TARGETS_MAX + 1).unwrap();
    bytes[2..6].copy_from_slice(&count.to_le_bytes());
    bytes.splice(6..6, [0; 9]);
    let one_more = decode(&bytes, now, &mut Some).err();
    assert_eq!(one_more, Some(wire::Error::Malformed));
}

#[test]
fn sessions_arrive_without_the_connections_that_are_gone_and_speak_on_the_next() {
    let mut here = Client::new();
    here.call();
    let handover = handed_over(&mut here);
    let bytes = encode(&handover, here.now).unwrap();
    let mut there = World::with_term(2);
    let arrived = decode(&bytes, there.now, &mut |_| None).unwrap();
    let Input::TakeOver(sessions) = &arrived else {
        unreachable!()
    };
    assert_eq!((sessions.links(), sessions.sessions().count()), (vec![], 1));
    there.input(arrived);
    assert_eq!(there.drain(LINK), []);

    let back = Attach {
        link: LinkId(9),
        key: here.perm,
        session_id: SESSION,
        term: Some(Term(2)),
        is_http: false,
    };
    there.input(Input::Attach(back));
    let kinds: Vec<_> = there.drain(LinkId(9)).iter().map(|it| it.id()).collect();
    assert_eq!(kinds, [tl::NewSessionCreated::ID, tl::RpcResult::ID]);
}

#[test]
fn sessions_arrive_with_connections_under_the_names_that_these_have_there() {
    let mut here = Client::new();
    here.call();
    let handover = handed_over(&mut here);
    let bytes = encode(&handover, here.now).unwrap();
    let mut there = World::with_term(2);
    let rename = &mut |LinkId(it)| Some(LinkId(it + 76));
    there.input(decode(&bytes, there.now, rename).unwrap());
    assert_eq!(there.drain(LINK), []);
    let kinds: Vec<_> = there.drain(LinkId(77)).iter().map(|it| it.id()).collect();
    assert_eq!(kinds, [tl::NewSessionCreated::ID, tl::RpcResult::ID]);
}

#[test]
fn a_session_without_a_connection_ends_in_the_time_that_it_had_left_whatever_the_clocks() {
    let mut here = Client::new();
    here.call();
    let handover = handed_over(&mut here);
    here.pass_s(100);
    let bytes = encode(&handover, here.now).unwrap();
    let mut there = World::with_term(2);
    there.now.mono = Mono(50_000_000_000_000);
    there.input(decode(&bytes, there.now, &mut |_| None).unwrap());
    there.pass(Duration::from_secs(SESSION_IDLE_S_MAX - 100) - Duration::from_nanos(1));
    assert_eq!(there.host.sessions(), 1);
    there.pass(Duration::from_nanos(1));
    assert_eq!(there.host.sessions(), 0);
}

#[test]
fn a_frame_that_is_passed_on_has_lost_the_term_of_its_first_owner() {
    let mut here = Client::new();
    here.bind();
    let id = here.client_id();
    let mut frame = here.frame(id, SeqNo(3), METHOD.to_vec());
    frame.term = Some(Term(1));
    here.submit(frame);
    let Some(Effect::Forward { input, .. }) = here.about_keys.pop() else {
        panic!("the frame is passed on")
    };
    let mut there = World::with_term(2);
    there.input(*input);
    there.drain(LINK);
    assert_eq!(there.closed, []);
    let frame = PreparedFrame::new(Frame {
        term: Some(Term(1)),
        ..there.frame(id, SeqNo(3), METHOD.to_vec())
    });
    there.input(across(&Input::Frame(frame), here.now));
    there.drain(LINK);
    assert_eq!(there.closed, [], "written by anybody");
}

#[test]
fn a_frame_whose_connection_is_gone_is_refused() {
    let mut world = World::new();
    let id = world.client_id();
    let frame = Input::Frame(PreparedFrame::new(world.frame(id, SeqNo(1), ping(1))));
    let bytes = encode(&frame, world.now).unwrap();
    let gone = decode(&bytes, world.now, &mut |_| None).err();
    assert_eq!(gone, Some(wire::Error::LinkGone));
}

#[test]
fn a_call_that_was_held_when_it_was_handed_over_runs_in_the_name_of_its_new_owner() {
    let mut here = Client::new();
    here.facts = here.temp;
    let first = here.call();
    let second = here.client_id();
    here.send_as(second, after(first.0));
    assert_eq!(here.calls.len(), 1, "the second is held");
    let handover = handed_over(&mut here);
    let mut there = World::with_term(2);
    there.input(across(&handover, here.now));
    here.answer_next(&METHOD);
    let key = here.temp.id;
    here.input(Input::TakenOver { key });
    let Some(Effect::Forward { input, .. }) = here.about_keys.pop() else {
        panic!("the answer is passed on")
    };
    there.input(across(&input, here.now));

    let [(id, call)] = &there.calls[..] else {
        panic!("{:?}", there.calls)
    };
    assert_eq!((call.msg_id, call.term), (second, Term(2)));
    assert_eq!(
        (id.identity, call.identity),
        (Identity(here.perm.id), Identity(here.perm.id))
    );
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_harmless(kind in 0_u8..9, rest in vec(any::<u8>(), 0..400)) {
        let mut bytes = vec![1, kind];
        bytes.extend(rest);
        survive(&bytes);
    }

    #[test]
    fn damaged_bytes_are_harmless(
        which in any::<prop::sample::Index>(),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = which.get(&SAMPLES).clone();
        for (at, byte) in damage {
            *at.get_mut(&mut bytes) = byte;
        }
        survive(&bytes);
    }
}

/// Has a host take whatever the bytes are, and live with it.
fn survive(bytes: &[u8]) {
    let mut world = World::new();
    let Ok(input) = decode(bytes, world.now, &mut Some) else {
        return;
    };
    world.input(input);
    for link in [LINK, LinkId(2), LinkId(3)] {
        let mut out = Vec::new();
        let mut cx = heliogram_proto::cx::Cx {
            now: world.now,
            rng: &mut world.rng,
            out: &mut out,
        };
        world.host.drain(link, &mut cx);
    }
    world.input(Input::Detach { link: LINK });
}

static SAMPLES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let bytes = |(_, input, now): (_, Input, Now)| encode(&input, now).unwrap();
    everything().into_iter().map(bytes).collect()
});

/// One of each that crosses, with the time at which it does.
fn everything() -> Vec<(&'static str, Input, Now)> {
    let mut world = Client::new();
    let now = world.now;
    let mut all = Vec::new();
    let calls: [Vec<u8>; 5] = [
        METHOD.to_vec(),
        introduced(),
        after(4),
        vec![0; 8],
        layered(0),
    ];
    let items: Vec<_> = calls
        .into_iter()
        .map(|body| (world.client_id(), world.seqno(true), body))
        .collect();
    let bodies = [
        ("a frame", ping(1)),
        ("a frame of a container", container(&items)),
        (
            "a frame that breaks the rules",
            container(&items)[..40].to_vec(),
        ),
    ];
    for (name, body) in bodies {
        let id = world.client_id();
        let mut frame = world.frame(id, SeqNo(9), body);
        frame.key.kind = KeyKind::Temporary {
            expires_at_unix_s: 5,
        };
        frame.key.perm = Some(AuthKeyId(5));
        frame.key.dc = Some(-2);
        frame.peer = "[2001:db8::1]:443".parse().unwrap();
        frame.quick_ack = Some(7);
        frame.trace = Some(Trace {
            trace_id: [1; 16],
            span_id: [2; 8],
        });
        all.push((name, Input::Frame(PreparedFrame::new(frame)), now));
    }
    let (call, _) = world.bind_unanswered();
    let replies = [
        Reply::Result(Bytes::from_static(&METHOD)),
        Reply::Error(RpcError {
            code: 420,
            message: "FLOOD_WAIT_1".to_owned(),
        }),
    ];
    for reply in replies {
        let answer = PreparedAnswer::new(reply);
        all.push(("an answer", Input::Answer { call, answer }, now));
    }
    let identity = Identity(world.perm.id);
    all.push(("a push", push(METHOD.to_vec(), 3), now));
    for learned in [Learned::Told, Learned::Found, Learned::FoundLate] {
        let user = (learned == Learned::Told).then_some(1000);
        let input = Input::User {
            identity,
            user,
            learned,
        };
        all.push(("a user", input, now));
    }
    let keys = vec![AuthKeyId(1), AuthKeyId(-2)];
    all.push(("revoked keys", Input::Revoked { identity, keys }, now));
    let key = AuthKeyId(3);
    all.push(("the end of a hand-over", Input::TakenOver { key }, now));
    let (handover, now) = rich();
    let shown = format!("{handover:?}");
    for empty in [
        "http: []",
        "failed: []",
        "waiting: []",
        "refused: None",
        "disconnects: []",
    ] {
        assert!(!shown.contains(empty), "{empty}");
    }
    all.push(("sessions", handover, now));
    all
}

/// Sessions of which everything that may be there is.
fn rich() -> (Input, Now) {
    let mut world = Client::new();
    world.facts = world.temp;
    // A message too early, and a session that has ended.
    let early = heliogram_proto::ids::MsgId((i64::try_from(START_S).unwrap() + 100) << 32);
    world.send_as(early, METHOD.to_vec());
    let destroyed = world.client_id();
    let mut frame = world.frame(destroyed, SeqNo(1), METHOD.to_vec());
    frame.session_id.0 += 1;
    world.submit(frame);
    let session_id = SESSION.0 + 1;
    world.send(false, &tl::DestroySession { session_id });
    world.drain(LINK);
    // Answers that were sent, are announced, wait; calls that run, are held, wait to be bound; acknowledgements.
    for bytes in [4, 2000] {
        world.call();
        let (call, _) = world.calls.pop().unwrap();
        world.answer(call, Reply::Result(Bytes::from(noise(bytes))));
    }
    world.drain(LINK);
    world.input(Input::Detach { link: LINK });
    world.on_link(LinkId(2));
    let first = world.call();
    let second = world.client_id();
    world.send_as(second, after(first.0));
    let identity = Identity(world.temp.id);
    for number in 0..3 {
        let target = Target::Key(identity);
        let except = None;
        let body = Bytes::from([&UPDATE.to_le_bytes(), &noise(4 << number)[..]].concat());
        let targets = vec![target];
        let push = PreparedPush::new(Push {
            targets,
            except,
            body,
        });
        world.input(Input::Push(push.unwrap()));
        if number == 1 {
            world.drain(LinkId(2));
        }
    }
    let ping_delay = tl::PingDelayDisconnect {
        ping_id: 1,
        disconnect_delay: 60,
    };
    let id = world.client_id();
    let seqno = world.seqno(true);
    let mut frame = world.frame(id, seqno, ping_delay.to_bytes());
    frame.link = LinkId(2);
    world.submit(frame);
    let failed = world.client_id();
    world.send_as(failed, layered(0));
    // HTTP, on a connection of its own, and the request to bind with a call that waits for it.
    world.on_link(LinkId(3));
    world.is_http = true;
    world.call();
    let waits = (world.client_id(), introduced());
    world.bind_with(&[waits]);
    world.record();
    let handover = Input::TakeOver(world.take_handover());
    (handover, world.now)
}

/// Binds the key of a client; returns its sessions.
fn handed_over(world: &mut Client) -> Input {
    world.bind_unanswered();
    world.record();
    Input::TakeOver(world.take_handover())
}

fn push(body: Vec<u8>, targets: usize) -> Input {
    let identity = Identity(AuthKeyId(1));
    let session_id = SESSION;
    let all = [
        Target::User(7),
        Target::Key(identity),
        Target::Session {
            identity,
            session_id,
        },
    ];
    let targets = match targets {
        3 => all.to_vec(),
        count => vec![Target::User(0); count],
    };
    let except = (targets.len() == 3).then_some((identity, session_id));
    let body = Bytes::from(body);
    let push = PreparedPush::new(Push {
        targets,
        except,
        body,
    });
    Input::Push(push.unwrap())
}

/// A call by a client that says what it is, with a wrapper of each kind that is kept.
fn introduced() -> Vec<u8> {
    let query = METHOD;
    let query = api::InvokeWithApnsSecret {
        nonce: b"nonce",
        secret: b"secret",
        query: &query,
    }
    .to_bytes();
    let query = api::InvokeWithTakeout {
        takeout_id: 5,
        query: &query,
    }
    .to_bytes();
    let query = api::InitConnection {
        api_id: 4,
        device_model: "Gerät".as_bytes(),
        query: &query,
        ..api::InitConnection::default()
    }
    .to_bytes();
    api::InvokeWithoutUpdates { query: &query }.to_bytes()
}

fn after(msg_id: i64) -> Vec<u8> {
    let query = METHOD;
    api::InvokeAfterMsg {
        msg_id,
        query: &query,
    }
    .to_bytes()
}

fn layered(layer: i32) -> Vec<u8> {
    let query = METHOD;
    api::InvokeWithLayer {
        layer,
        query: &query,
    }
    .to_bytes()
}
