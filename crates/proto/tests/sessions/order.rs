//! `invokeAfterMsg(s)`: what waits for what, for how long, and what becomes of it.

use std::time::Duration;

use heliogram_proto::host::Input;
use heliogram_proto::ids::{MsgId, SeqNo};
use heliogram_proto::port::{Reply, RpcError};
use heliogram_tl::{Deserialize, Serialize, api, mtproto as tl};

use crate::calls::{RESULT, acked, error, results};
use crate::support::{LINK, METHOD, Sent, World, container};

#[test]
fn a_call_runs_once_the_one_before_it_has_succeeded() {
    let mut world = World::new();
    let first = world.send_bytes(true, METHOD.to_vec());
    let second = world.send_bytes(true, after(&[first]));
    assert_eq!(ids(&world), [first]);
    world.answer_next(RESULT);
    assert_eq!(ids(&world), [second]);
    assert_eq!(world.calls[0].1.body, METHOD[..]);
    world.answer_next(RESULT);
    let sent = world.answers();
    assert_eq!(
        results(&sent),
        [(first.0, RESULT.to_vec()), (second.0, RESULT.to_vec())]
    );
}

#[test]
fn a_call_within_the_same_container_waits_as_well() {
    let mut world = World::new();
    let first = (world.client_id(), world.seqno(true), METHOD.to_vec());
    let second = (world.client_id(), world.seqno(true), after(&[first.0]));
    world.send_bytes(false, container(&[first.clone(), second.clone()]));
    assert_eq!(ids(&world), [first.0]);
    world.answer_next(RESULT);
    assert_eq!(ids(&world), [second.0]);
}

#[test]
fn a_call_waits_for_all_that_it_names() {
    let mut world = World::new();
    let first = world.send_bytes(true, METHOD.to_vec());
    let second = world.send_bytes(true, METHOD.to_vec());
    let third = world.send_bytes(true, after(&[first, second]));
    let other = world.send_bytes(true, METHOD.to_vec());
    assert_eq!(ids(&world), [first, second, other], "others don't wait");
    world.calls.swap(0, 1);
    world.answer_next(RESULT);
    assert_eq!(ids(&world), [first, other]);
    world.answer_next(RESULT);
    assert_eq!(ids(&world), [other, third]);
}

#[test]
fn a_call_that_names_what_is_over_or_unknown_or_later_runs_at_once() {
    let mut world = World::new();
    let over = world.send_bytes(true, METHOD.to_vec());
    world.answer_next(RESULT);
    let own = MsgId(world.last_client_id + 4);
    let later = MsgId(own.0 + 4);
    let id = world.send_bytes(true, after(&[over, MsgId(over.0 - 4000), own, later]));
    assert_eq!(ids(&world), [id]);
}

#[test]
fn what_names_a_call_that_fails_fails_with_all_that_names_it_in_turn() {
    let mut world = World::new();
    let first = world.send_bytes(true, METHOD.to_vec());
    let second = world.send_bytes(true, after(&[first]));
    let third = world.send_bytes(true, after(&[second]));
    let other = world.send_bytes(true, METHOD.to_vec());
    fail_next(&mut world);
    assert_eq!(ids(&world), [other]);
    assert_eq!(
        errors(&world.answers()),
        [
            (first.0, "NO".to_owned()),
            (second.0, "MSG_WAIT_FAILED".to_owned()),
            (third.0, "MSG_WAIT_FAILED".to_owned()),
        ]
    );
    let fourth = world.send_bytes(true, after(&[third]));
    assert_eq!(
        errors(&world.answers()),
        [(fourth.0, "MSG_WAIT_FAILED".to_owned())],
        "a failure is remembered"
    );
    assert_eq!(world.host.calls_running(), 1);
}

#[test]
fn a_call_waits_for_half_a_second_and_no_longer() {
    let mut world = World::new();
    let first = world.send_bytes(true, METHOD.to_vec());
    let second = world.send_bytes(true, after(&[first]));
    let third = world.send_bytes(true, after(&[second]));
    world.received();
    world.pass(Duration::from_millis(499));
    assert_eq!(world.ready, []);
    world.pass(Duration::from_millis(1));
    assert_eq!(world.ready, [LINK]);
    assert_eq!(
        errors(&world.answers()),
        [
            (second.0, "MSG_WAIT_TIMEOUT".to_owned()),
            (third.0, "MSG_WAIT_FAILED".to_owned()),
        ]
    );
    world.answer_next(RESULT);
    assert_eq!(ids(&world), [], "what was given up does not run later");
    assert_eq!(results(&world.answers()).len(), 1);
}

#[test]
fn each_call_waits_for_half_a_second_of_its_own() {
    let mut world = World::new();
    let first = world.send_bytes(true, METHOD.to_vec());
    let second = world.send_bytes(true, after(&[first]));
    world.pass(Duration::from_millis(300));
    let third = world.send_bytes(true, after(&[first]));
    world.received();
    world.pass(Duration::from_millis(200));
    assert_eq!(errors(&world.answers())[0].0, second.0);
    world.pass(Duration::from_millis(299));
    assert_eq!(world.answers(), []);
    world.pass(Duration::from_millis(1));
    assert_eq!(errors(&world.answers())[0].0, third.0);
}

#[test]
fn a_second_copy_of_a_waiting_call_is_acknowledged_and_not_run() {
    let mut world = World::new();
    let first = world.send_bytes(true, METHOD.to_vec());
    let second = world.send_bytes(true, after(&[first]));
    world.received();
    world.submit(world.frame(second, SeqNo(3), after(&[first])));
    assert_eq!(acked(&world.received()), [second.0]);
    world.answer_next(RESULT);
    assert_eq!(ids(&world), [second]);
}

#[test]
fn a_dropped_call_that_waits_is_not_cancelled_because_it_never_ran() {
    let mut world = World::new();
    let first = world.send_bytes(true, METHOD.to_vec());
    let second = world.send_bytes(true, after(&[first]));
    world.send(
        true,
        &tl::RpcDropAnswer {
            req_msg_id: second.0,
        },
    );
    assert_eq!(world.cancelled, []);
    world.answer_next(RESULT);
    assert_eq!(ids(&world), []);
}

#[test]
fn what_names_a_dropped_call_fails() {
    let mut world = World::new();
    let first = world.send_bytes(true, METHOD.to_vec());
    let second = world.send_bytes(true, after(&[first]));
    world.received();
    world.send(
        true,
        &tl::RpcDropAnswer {
            req_msg_id: first.0,
        },
    );
    assert_eq!(world.cancelled.len(), 1);
    assert_eq!(
        errors(&world.answers()),
        [(second.0, "MSG_WAIT_FAILED".to_owned())]
    );
}

#[test]
fn a_session_that_ends_cancels_what_runs_and_not_what_waits() {
    let mut world = World::new();
    let first = world.send_bytes(true, METHOD.to_vec());
    world.send_bytes(true, after(&[first]));
    world.input(Input::Detach { link: LINK });
    world.pass_s(1000);
    assert_eq!(world.host.sessions(), 0);
    assert_eq!(world.cancelled.len(), 1);
    assert_eq!(world.cancelled[0].msg_id, first);
}

#[test]
fn the_last_128_failures_are_remembered_and_the_one_before_is_not() {
    for (at, remembered) in [(0, false), (1, true)] {
        let mut world = World::new();
        let failed: Vec<_> = (0..129)
            .map(|_| {
                let id = world.send_bytes(true, METHOD.to_vec());
                fail_next(&mut world);
                id
            })
            .collect();
        world.received();
        let id = world.send_bytes(true, after(&[failed[at]]));
        assert_eq!(ids(&world) == [id], !remembered, "failure {at}");
    }
}

#[test]
fn a_call_that_was_refused_has_failed() {
    let mut world = World::new();
    let bad = api::InvokeWithLayer {
        layer: 0,
        query: &METHOD,
    };
    let first = world.send(true, &bad);
    world.received();
    world.send_bytes(true, after(&[first]));
    assert_eq!(error(&world.answers()), (400, "MSG_WAIT_FAILED".to_owned()));
}

fn after(calls: &[MsgId]) -> Vec<u8> {
    let query = &METHOD[..];
    if let [one] = calls {
        return api::InvokeAfterMsg {
            msg_id: one.0,
            query,
        }
        .to_bytes();
    }
    let ids: Vec<_> = calls.iter().map(|id| id.0).collect();
    api::InvokeAfterMsgs {
        msg_ids: ids.as_slice().into(),
        query,
    }
    .to_bytes()
}

/// The calls that were handed out and not answered, in order.
fn ids(world: &World) -> Vec<MsgId> {
    world.calls.iter().map(|(id, _)| id.msg_id).collect()
}

fn fail_next(world: &mut World) {
    let (id, _) = world.calls.remove(0);
    let message = "NO".to_owned();
    world.answer(id, Reply::Error(RpcError { code: 400, message }));
}

/// The errors among the answers, with the calls that they answer.
fn errors(sent: &[Sent]) -> Vec<(i64, String)> {
    let results = results(sent).into_iter();
    let errors = results.filter_map(|(to, object)| {
        let error = tl::RpcError::from_bytes(&object).ok()?;
        Some((
            to,
            String::from_utf8_lossy(error.error_message).into_owned(),
        ))
    });
    errors.collect()
}
