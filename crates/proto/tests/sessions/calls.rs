//! Calls: handed out once, answered once, acknowledged when they run long, kept until acknowledged.

use bytes::Bytes;
use heliogram_crypto::SecretBytes;
use heliogram_proto::host::Config;
use heliogram_proto::ids::{LinkId, MsgId, SeqNo, Term};
use heliogram_proto::port::{Reply, RpcError};
use heliogram_tl::{Deserialize, Serialize, api, gzip, mtproto as tl};

use crate::support::{LINK, METHOD, Sent, World, container, ping, vectors};

pub(crate) const RESULT: &[u8] = &[0xb5, 0x75, 0x72, 0x99];

pub(crate) fn acked(sent: &[Sent]) -> Vec<i64> {
    let acks = sent.iter().filter(|it| it.id() == tl::MsgsAck::ID);
    acks.flat_map(|it| {
        it.read::<tl::MsgsAck<'_>>()
            .msg_ids
            .iter()
            .collect::<Vec<_>>()
    })
    .collect()
}

pub(crate) fn results(sent: &[Sent]) -> Vec<(i64, Vec<u8>)> {
    let results = sent.iter().filter(|it| it.id() == tl::RpcResult::ID);
    results
        .map(|it| {
            let id = i64::from_le_bytes(it.body[4..12].try_into().unwrap());
            (id, it.body[12..].to_vec())
        })
        .collect()
}

pub(crate) fn error(sent: &[Sent]) -> (i32, String) {
    let [(_, object)] = &results(sent)[..] else {
        panic!("not one result: {sent:?}")
    };
    let it = tl::RpcError::from_bytes(object).unwrap();
    (
        it.error_code,
        String::from_utf8(it.error_message.to_vec()).unwrap(),
    )
}

#[test]
fn a_call_is_handed_out_and_its_answer_is_the_only_acknowledgement() {
    let mut world = World::new();
    let id = world.send_bytes(true, METHOD.to_vec());
    let call = world.answer_next(RESULT);
    assert_eq!(call.body, METHOD[..]);
    assert_eq!((call.msg_id, call.identity), (id, world.facts.identity()));
    let sent = world.answers();
    assert_eq!(results(&sent), [(id.0, RESULT.to_vec())]);
    assert_eq!(sent.len(), 1);
    world.pass_s(5);
    assert_eq!(world.answers(), []);
}

#[test]
fn a_call_that_runs_for_a_second_is_acknowledged_first() {
    let mut world = World::new();
    let id = world.send_bytes(true, METHOD.to_vec());
    world.received();
    world.pass(std::time::Duration::from_millis(999));
    assert_eq!(world.ready, []);
    world.pass(std::time::Duration::from_millis(1));
    assert_eq!(world.ready, [LINK]);
    assert_eq!(acked(&world.answers()), [id.0]);
    world.pass_s(10);
    assert_eq!(world.answers(), [], "once is enough");
    world.answer_next(RESULT);
    assert_eq!(results(&world.answers()).len(), 1);
}

#[test]
fn a_running_calls_acknowledgement_does_not_wait_for_a_younger_one() {
    let mut world = World::new();
    let call = world.send_bytes(true, METHOD.to_vec());
    world.received();
    world.pass(std::time::Duration::from_millis(500));
    let other = world.send(
        true,
        &tl::MsgsStateInfo {
            req_msg_id: 1,
            info: &[],
        },
    );
    world.pass(std::time::Duration::from_millis(500));
    assert_eq!(world.ready, [LINK]);
    assert_eq!(acked(&world.answers()), [other.0, call.0]);
}

#[test]
fn sixteen_acknowledgements_go_at_once_and_fifteen_wait_a_second() {
    let mut world = World::new();
    let salts = tl::MsgsStateInfo {
        req_msg_id: 1,
        info: &[],
    };
    world.send(true, &salts);
    world.received();
    for _ in 0..15 {
        world.send(true, &salts);
    }
    assert_eq!(world.ready, []);
    world.send(true, &salts);
    assert_eq!(world.ready, [LINK]);
    assert_eq!(acked(&world.received()).len(), 16);
    world.send(true, &salts);
    world.pass(std::time::Duration::from_millis(999));
    assert_eq!(world.ready, []);
    world.pass(std::time::Duration::from_millis(1));
    assert_eq!(acked(&world.received()).len(), 1);
}

#[test]
fn acknowledgements_travel_with_whatever_is_sent() {
    let mut world = World::new();
    let ping = world.send_bytes(true, ping(3));
    assert_eq!(acked(&world.received()), [ping.0]);
}

#[test]
fn a_captured_message_draws_no_acknowledgements_away() {
    let mut world = World::new();
    let (id, seqno) = (world.client_id(), world.seqno(true));
    let first = world.frame(id, seqno, ping(1));
    world.submit(first.clone());
    world.received();
    let second = world.send_bytes(true, ping(2));
    let mut captured = first;
    captured.link = LinkId(66);
    world.submit(captured);
    assert_eq!(acked(&world.drain(LinkId(66))), [id.0]);
    assert_eq!(acked(&world.received()), [second.0]);
}

#[test]
fn answers_that_are_ready_together_travel_together() {
    let mut world = World::new();
    for _ in 0..50 {
        world.send_bytes(true, METHOD.to_vec());
    }
    world.received();
    for _ in 0..50 {
        world.answer_next(RESULT);
    }
    assert_eq!(world.ready, [LINK], "said once");
    assert_eq!(results(&world.received()).len(), 50);
}

#[test]
fn a_second_copy_of_a_running_call_is_acknowledged_and_not_run() {
    let mut world = World::new();
    let id = world.send_bytes(true, METHOD.to_vec());
    world.received();
    world.submit(world.frame(id, SeqNo(1), METHOD.to_vec()));
    assert_eq!(world.calls.len(), 1);
    assert_eq!(acked(&world.received()), [id.0]);
}

#[test]
fn a_second_copy_of_an_answered_call_brings_the_kept_answer() {
    let mut world = World::new();
    let id = world.send_bytes(true, METHOD.to_vec());
    world.answer_next(RESULT);
    let first = world.answers();
    world.submit(world.frame(id, SeqNo(1), METHOD.to_vec()));
    assert_eq!(world.received(), first);
    assert!(world.calls.is_empty());
}

#[test]
fn a_second_copy_of_an_acknowledged_call_is_only_acknowledged() {
    let mut world = World::new();
    let id = world.send_bytes(true, METHOD.to_vec());
    world.answer_next(RESULT);
    let answer = world.answers()[0].msg_id;
    world.send(
        false,
        &tl::MsgsAck {
            msg_ids: (&[answer.0]).into(),
        },
    );
    world.submit(world.frame(id, SeqNo(1), METHOD.to_vec()));
    let sent = world.received();
    assert_eq!((sent.len(), acked(&sent)), (1, vec![id.0]));
    assert!(world.calls.is_empty());
}

#[test]
fn a_second_copy_within_a_new_container_on_another_link_brings_the_answer_there() {
    let mut world = World::new();
    let id = world.send_bytes(true, METHOD.to_vec());
    world.answer_next(RESULT);
    let first = world.answers();
    let outer = world.client_id();
    let body = container(&[(id, SeqNo(1), METHOD.to_vec())]);
    let mut frame = world.frame(outer, SeqNo(2), body);
    frame.link = LinkId(2);
    world.submit(frame);
    assert!(world.calls.is_empty());
    assert_eq!(world.drain(LinkId(2)), first);
    assert_eq!(world.drain(LINK), []);
}

#[test]
fn an_answer_that_comes_after_the_link_is_gone_waits_for_the_next() {
    let mut world = World::new();
    let id = world.send_bytes(true, METHOD.to_vec());
    world.received();
    world.input(heliogram_proto::host::Input::Detach { link: LINK });
    world.answer_next(RESULT);
    let (ping_id, seqno) = (world.client_id(), world.seqno(false));
    let mut frame = world.frame(ping_id, seqno, ping(1));
    frame.link = LinkId(9);
    world.submit(frame);
    assert_eq!(results(&world.drain(LinkId(9))), [(id.0, RESULT.to_vec())]);
}

#[test]
fn what_was_sent_to_a_link_that_is_gone_is_sent_again_on_the_next_until_acknowledged() {
    let mut world = World::new();
    world.send_bytes(true, METHOD.to_vec());
    world.answer_next(RESULT);
    let lost = world.received();
    for link in 2..5 {
        world.input(heliogram_proto::host::Input::Detach {
            link: LinkId(link - 1),
        });
        let (ping_id, seqno) = (world.client_id(), world.seqno(false));
        let mut frame = world.frame(ping_id, seqno, ping(1));
        frame.link = LinkId(link);
        world.submit(frame);
        let sent = world.drain(LinkId(link));
        assert!(
            lost.iter().all(|it| sent.contains(it)),
            "link {link}: {sent:?}"
        );
    }
    let ids: Vec<_> = lost.iter().map(|it| it.msg_id.0).collect();
    let (id, seqno) = (world.client_id(), world.seqno(false));
    let ack = tl::MsgsAck {
        msg_ids: ids.as_slice().into(),
    }
    .to_bytes();
    let mut frame = world.frame(id, seqno, ack);
    frame.link = LinkId(4);
    world.submit(frame);
    world.input(heliogram_proto::host::Input::Detach { link: LinkId(4) });
    let (ping_id, seqno) = (world.client_id(), world.seqno(false));
    world.submit(world.frame(ping_id, seqno, ping(1)));
    assert_eq!(world.received().len(), 1, "only the pong");
}

#[test]
fn a_captured_copy_does_not_keep_a_lost_answer_from_the_next_link() {
    let mut world = World::new();
    let (id, seqno) = (world.client_id(), world.seqno(true));
    let call = world.frame(id, seqno, METHOD.to_vec());
    world.submit(call.clone());
    world.answer_next(RESULT);
    assert_eq!(results(&world.answers()), [(id.0, RESULT.to_vec())]);
    world.pass_s(5);
    let mut captured = call;
    captured.link = LinkId(66);
    world.submit(captured);
    assert_eq!(results(&world.drain(LinkId(66))).len(), 1);
    let (ping_id, seqno) = (world.client_id(), world.seqno(false));
    let mut frame = world.frame(ping_id, seqno, ping(1));
    frame.link = LinkId(2);
    world.submit(frame);
    assert_eq!(results(&world.drain(LinkId(2))), [(id.0, RESULT.to_vec())]);
}

#[test]
fn an_rpc_error_of_the_backend_is_the_answer() {
    let mut world = World::new();
    world.send_bytes(true, METHOD.to_vec());
    let (id, _) = world.calls.remove(0);
    let message = "AUTH_KEY_UNREGISTERED".to_owned();
    world.answer(id, Reply::Error(RpcError { code: 401, message }));
    assert_eq!(
        error(&world.answers()),
        (401, "AUTH_KEY_UNREGISTERED".to_owned())
    );
}

#[test]
fn a_large_answer_is_packed_from_512_bytes_if_that_makes_it_smaller() {
    for (result, is_packed) in [
        (vec![7; 508], false),
        (vec![7; 512], true),
        (noise(4096), false),
    ] {
        let mut world = World::new();
        world.send_bytes(true, METHOD.to_vec());
        let (id, _) = world.calls.remove(0);
        world.answer(id, Reply::Result(Bytes::from(result.clone())));
        let (_, object) = results(&world.answers()).remove(0);
        if is_packed {
            let packed = tl::GzipPacked::from_bytes(&object).unwrap();
            assert_eq!(gzip::unpack(packed.packed_data, 1 << 20).unwrap(), result);
            assert!(object.len() < result.len());
        } else {
            assert_eq!(object, result);
        }
    }
}

#[test]
fn answers_larger_than_a_container_travel_alone() {
    let mut world = World::new();
    for _ in 0..3 {
        world.send_bytes(true, METHOD.to_vec());
    }
    for _ in 0..3 {
        let (id, _) = world.calls.remove(0);
        world.answer(id, Reply::Result(Bytes::from(noise(300 << 10))));
    }
    assert_eq!(results(&world.answers()).len(), 3);
}

#[test]
fn packed_queries_of_the_vectors_are_unpacked_and_bad_ones_refused() {
    let vectors = vectors("container_gzip");
    for case in vectors["gzip"].as_array().unwrap() {
        let inner = crate::support::hex(case["inner"].as_str().unwrap());
        let mut body = METHOD.to_vec();
        body.extend_from_slice(&inner);
        let mut world = World::new();
        world.send_bytes(true, packed(&body));
        assert_eq!(world.calls[0].1.body, body, "{}", case["name"]);
    }
    for case in vectors["gzip_malformed"].as_array().unwrap() {
        let mut world = World::new();
        let mut body = crate::support::hex(case["hex"].as_str().unwrap());
        body.resize(body.len().next_multiple_of(4), 0);
        world.send_bytes(true, body);
        assert!(world.calls.is_empty(), "{}", case["name"]);
        assert_eq!(
            error(&world.answers()),
            (400, "INPUT_FETCH_FAIL".to_owned())
        );
    }
}

#[test]
fn a_packed_container_is_refused_with_64() {
    let mut world = World::new();
    let id = world.send_bytes(true, packed(&container(&[])));
    let sent = world.received();
    assert_eq!(crate::support::refusal(&sent), (id, 64));
}

#[test]
fn a_refused_call_whose_answer_is_dropped_at_once_counts_no_other_call_as_ended() {
    let mut config = Config::new(Term(1), SecretBytes::new([7; 32]));
    config.api_ids = Some(vec![4]);
    let mut world = World::with_config(config);
    world.send_bytes(true, METHOD.to_vec());
    let (id, seqno) = (world.client_id(), world.seqno(true));
    let init = api::InitConnection {
        api_id: 5,
        query: &METHOD,
        ..Default::default()
    };
    let drop = tl::RpcDropAnswer { req_msg_id: id.0 };
    let (drop_id, drop_seqno) = (world.client_id(), world.seqno(true));
    let both = [
        (id, seqno, init.to_bytes()),
        (drop_id, drop_seqno, drop.to_bytes()),
    ];
    world.send_bytes(false, container(&both));
    assert_eq!((world.calls.len(), world.host.calls_running()), (1, 1));
}

#[test]
fn a_result_that_is_no_object_becomes_an_rpc_error() {
    for (result, good) in [(&b"1234"[..], true), (b"12345", false), (b"", false)] {
        let mut world = World::new();
        world.send_bytes(true, METHOD.to_vec());
        world.answer_next(result);
        let sent = world.answers();
        if good {
            assert_eq!(results(&sent)[0].1, result);
        } else {
            assert_eq!(error(&sent), (500, "RPC_CALL_FAIL".to_owned()));
        }
    }
}

#[test]
fn rpc_drop_answer_stops_a_running_call() {
    let mut world = World::new();
    let id = world.send_bytes(true, METHOD.to_vec());
    let drop = world.send(true, &tl::RpcDropAnswer { req_msg_id: id.0 });
    let (call, _) = world.calls.remove(0);
    assert_eq!(world.cancelled, [call]);
    let dropped = tl::RpcAnswerDroppedRunning.to_bytes();
    assert_eq!(
        results(&world.answers()),
        [(id.0, dropped.clone()), (drop.0, dropped)]
    );
    assert_eq!(world.host.calls_running(), 0);
    world.answer(call, Reply::Result(Bytes::from_static(RESULT)));
    assert_eq!(world.answers(), [], "a late answer finds nobody");
}

#[test]
fn rpc_drop_answer_drops_a_kept_answer_and_knows_nothing_of_others() {
    let mut world = World::new();
    let id = world.send_bytes(true, METHOD.to_vec());
    world.answer_next(RESULT);
    let answer = world.answers()[0].clone();
    let drop = world.send(true, &tl::RpcDropAnswer { req_msg_id: id.0 });
    let (to, object) = results(&world.answers()).remove(0);
    let dropped = tl::RpcAnswerDropped::from_bytes(&object).unwrap();
    assert_eq!(
        (to, dropped.msg_id, dropped.seq_no),
        (drop.0, answer.msg_id.0, answer.seqno.0)
    );
    let again = world.send(true, &tl::RpcDropAnswer { req_msg_id: id.0 });
    let unknown = tl::RpcAnswerUnknown.to_bytes();
    assert_eq!(results(&world.answers()), [(again.0, unknown)]);
}

#[test]
fn a_quick_ack_is_given_for_what_is_accepted_or_repeated_and_for_nothing_else() {
    let mut world = World::new();
    let id = world.client_id();
    let submit = |world: &mut World, id: MsgId, seqno: i32, token: u32| {
        let mut frame = world.frame(id, SeqNo(seqno), METHOD.to_vec());
        frame.quick_ack = Some(token);
        world.submit(frame);
        world.received();
    };
    submit(&mut world, id, 1, 11);
    submit(&mut world, id, 1, 12);
    submit(&mut world, MsgId(id.0 + 4), 2, 13);
    submit(&mut world, MsgId(id.0 + 9), 3, 14);
    assert_eq!(world.quick_acks, [11, 12]);
}

pub(crate) fn packed(object: &[u8]) -> Vec<u8> {
    tl::GzipPacked {
        packed_data: &gzip::pack(object),
    }
    .to_bytes()
}

/// Bytes that can't be made smaller.
pub(crate) fn noise(len: usize) -> Vec<u8> {
    use rand_chacha::rand_core::{Rng, SeedableRng};
    let mut bytes = vec![0; len];
    rand_chacha::ChaCha8Rng::seed_from_u64(9).fill_bytes(&mut bytes);
    bytes
}
