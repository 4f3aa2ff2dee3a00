//! Connections that speak HTTP: one response for each request, held as the client asks.

use std::time::Duration;

use heliogram_proto::ids::{LinkId, MsgId, SeqNo};
use heliogram_tl::{Serialize, mtproto as tl};

use crate::calls::{RESULT, results};
use crate::support::{LINK, METHOD, World, container, ping};

const PARKED: LinkId = LinkId(2);

#[test]
fn a_request_gets_one_response_with_all_that_waits() {
    let mut world = World::new();
    let messages: Vec<_> = (0..3)
        .map(|number| (world.client_id(), world.seqno(false), ping(number)))
        .collect();
    post(&mut world, LINK, false, container(&messages));
    assert_eq!(world.ready, [LINK]);
    let sent = world.received();
    assert_eq!(
        (sent.len(), world.outers),
        (4, 1),
        "three pongs and the news"
    );
}

#[test]
fn nothing_is_sent_without_a_request() {
    let mut world = World::new();
    post(&mut world, LINK, true, METHOD.to_vec());
    world.received();
    world.answer_next(RESULT);
    world.pass_s(60);
    assert_eq!((world.received(), world.outers), (vec![], 1));
    post(&mut world, LINK, false, wait(0, 0, 1000));
    assert_eq!(world.ready, [LINK]);
    assert_eq!(results(&world.received()).len(), 1);
}

#[test]
fn a_request_is_answered_by_an_empty_container_when_nothing_comes_in_25_s() {
    let mut world = introduced();
    post(&mut world, LINK, false, acks(&[1]));
    pass_to(&mut world, 24_999);
    assert_eq!(world.ready, []);
    assert_eq!(world.received(), [], "a drain that nobody asked for");
    world.pass(Duration::from_millis(1));
    assert_eq!(world.ready, [LINK]);
    assert_eq!((world.received(), world.outers), (vec![], 1));
    world.pass_s(100);
    assert_eq!((world.received(), world.outers), (vec![], 1), "once");
}

#[test]
fn max_wait_is_as_the_client_says_and_50_s_at_most() {
    for (asked, held) in [(0, 0), (300, 300), (50_000, 50_000), (50_001, 50_000)] {
        let mut world = introduced();
        post(&mut world, LINK, false, wait(0, 0, asked));
        if held > 0 {
            pass_to(&mut world, held - 1);
            assert_eq!(world.ready, [], "{asked}");
            world.pass(Duration::from_millis(1));
        }
        assert_eq!(world.ready, [LINK], "{asked}");
        assert_eq!((world.received(), world.outers), (vec![], 1));
    }
}

#[test]
fn what_waits_is_held_for_company_until_the_first_of_three_times() {
    // (max_delay, wait_after, max_wait), and when the response comes if answers are there after 100 and 150 ms.
    for (times, expected) in [
        ((0, 0, 5000), 100),
        ((30, 40, 5000), 130),
        ((100, 40, 5000), 140),
        ((100, 80, 5000), 200),
        ((500, 80, 5000), 230),
        ((500, 300, 120), 120),
    ] {
        let mut world = introduced();
        let calls = [
            METHOD.to_vec(),
            METHOD.to_vec(),
            wait(times.0, times.1, times.2),
        ];
        let calls: Vec<_> = calls
            .into_iter()
            .map(|body| {
                let is_call = body == METHOD;
                (world.client_id(), world.seqno(is_call), body)
            })
            .collect();
        post(&mut world, LINK, false, container(&calls));
        let start = world.now.mono;
        for at_ms in (10..300).step_by(10) {
            world.pass(Duration::from_millis(10));
            if at_ms == 100 || at_ms == 150 {
                world.answer_next(RESULT);
            }
            if world.ready == [LINK] {
                break;
            }
        }
        let after = world.now.mono.since(start).as_millis();
        assert_eq!(after, expected, "{times:?}");
        assert!(!world.received().is_empty());
        assert_eq!(world.outers, 1);
    }
}

#[test]
fn an_answer_goes_to_the_connection_that_is_parked_once_its_own_had_a_response() {
    let mut world = introduced();
    post(&mut world, PARKED, false, wait(0, 0, 25_000));
    let call = (world.client_id(), world.seqno(true), METHOD.to_vec());
    let hold = (world.client_id(), world.seqno(false), wait(0, 0, 0));
    post(&mut world, LINK, false, container(&[call.clone(), hold]));
    assert_eq!((world.received(), world.outers), (vec![], 1), "at once");
    world.answer_next(RESULT);
    assert_eq!(world.ready, [PARKED]);
    assert_eq!(results(&world.drain(PARKED)), [(call.0.0, RESULT.to_vec())]);
}

#[test]
fn two_requests_on_one_connection_get_two_responses() {
    let mut world = introduced();
    post(&mut world, LINK, false, wait(0, 0, 1000));
    post(&mut world, LINK, false, ping(1));
    assert_eq!(world.received().len(), 1);
    assert_eq!(world.outers, 2);
}

#[test]
fn a_refusal_is_the_response() {
    let mut world = World::new();
    let mut frame = world.frame(MsgId(4), SeqNo(0), ping(1));
    frame.is_http = true;
    world.submit(frame);
    assert_eq!(crate::support::refusal(&world.received()).1, 16);
    assert_eq!(world.outers, 1);
}

#[test]
fn http_wait_asks_for_nothing_on_other_connections() {
    let mut world = World::new();
    world.send_bytes(false, ping(1));
    world.received();
    world.send_bytes(false, wait(1000, 1000, 1000));
    world.pass_s(60);
    assert_eq!((world.ready.len(), world.outers), (0, 1));
    world.send_bytes(false, ping(1));
    assert_eq!(world.ready, [LINK], "nothing is held");
}

/// A session that has had its news.
fn introduced() -> World {
    let mut world = World::new();
    post(&mut world, LINK, false, ping(1));
    let sent = world.received();
    assert_eq!(sent.len(), 2);
    let ids: Vec<_> = sent.iter().map(|it| it.msg_id.0).collect();
    post(&mut world, LINK, false, acks(&ids));
    world.pass_s(30);
    world.received();
    world.outers = 0;
    world
}

fn post(world: &mut World, link: LinkId, content_related: bool, body: Vec<u8>) {
    let (id, seqno) = (world.client_id(), world.seqno(content_related));
    let mut frame = world.frame(id, seqno, body);
    (frame.link, frame.is_http) = (link, true);
    world.submit(frame);
}

fn pass_to(world: &mut World, ms: u64) {
    world.pass(Duration::from_millis(ms));
}

fn wait(max_delay: i32, wait_after: i32, max_wait: i32) -> Vec<u8> {
    tl::HttpWait {
        max_delay,
        wait_after,
        max_wait,
    }
    .to_bytes()
}

/// A message that is answered by nothing.
fn acks(ids: &[i64]) -> Vec<u8> {
    let msg_ids = ids.into();
    tl::MsgsAck { msg_ids }.to_bytes()
}
