//! What a host counts, beside what it did.

use heliogram_proto::host::Tally;
use heliogram_proto::ids::{MsgId, Salt, SeqNo};
use heliogram_proto::limits::PUSHES_QUEUED_MAX;
use heliogram_proto::port::Target;
use heliogram_proto::session::BadMsg;

use crate::support::{METHOD, World, client_id_at, container, ping};

#[test]
fn a_frame_a_session_and_a_message_that_was_sent_count_once_each() {
    let mut world = World::new();
    world.send_bytes(false, ping(1));
    world.send_bytes(false, ping(2));
    world.received();
    let tally = world.host.tally();
    assert_eq!((tally.frames, tally.sessions, tally.duplicates), (2, 1, 0));
    assert_eq!(tally.sent, u64::try_from(world.outers).unwrap());
    assert_eq!(tally.resent, 0);
}

#[test]
fn refusals_count_by_their_reason_outside_and_inside_of_sessions() {
    let mut world = World::new();
    let mut frame = world.frame(client_id_at(crate::support::START_S), SeqNo(0), ping(1));
    frame.salt = Salt(1);
    world.submit(frame);
    world.send_bytes(false, ping(1));
    let odd = world.client_id();
    world.submit(world.frame(odd, SeqNo(1), container(&[])));
    let inner = MsgId(world.client_id().0 + 1);
    let carried = container(&[(inner, SeqNo(0), ping(3))]);
    let outer = world.client_id();
    world.submit(world.frame(outer, SeqNo(0), carried));

    let tally = world.host.tally();
    let counted = |error| {
        let at = BadMsg::ALL.iter().position(|it| *it == error).unwrap();
        tally.refused[at]
    };
    assert_eq!(counted(BadMsg::Salt), 1);
    assert_eq!(counted(BadMsg::SeqNoOdd), 1);
    assert_eq!(counted(BadMsg::IdLowBits), 1);
    assert_eq!(tally.refused.iter().sum::<u64>(), 3);
}

#[test]
fn a_second_copy_and_the_answer_that_it_brings_again_are_counted() {
    let mut world = World::new();
    let id = world.send_bytes(true, METHOD.to_vec());
    world.answer_next(&[1, 0, 0, 0]);
    world.received();
    let before = world.host.tally();
    world.submit(world.frame(id, SeqNo(1), METHOD.to_vec()));
    world.received();
    let after = world.host.tally();
    assert_eq!(after.duplicates - before.duplicates, 1);
    assert!(after.resent > before.resent, "{before:?}, {after:?}");
}

#[test]
fn updates_that_fit_are_counted_apart_from_those_that_do_not() {
    let mut world = World::new();
    world.send_bytes(true, METHOD.to_vec());
    for number in 0..=i32::try_from(PUSHES_QUEUED_MAX).unwrap() {
        world.push(&[Target::Key(world.identity())], number);
    }
    let tally = world.host.tally();
    assert_eq!(tally.updates, u64::try_from(PUSHES_QUEUED_MAX).unwrap());
    assert_eq!(tally.updates_dropped, 1);
}

#[test]
fn tallies_of_several_hosts_add_up() {
    let mut one = World::new();
    one.send_bytes(false, ping(1));
    one.received();
    let mut sum = Tally::default();
    sum += one.host.tally();
    sum += one.host.tally();
    assert_eq!(sum.frames, 2 * one.host.tally().frames);
    assert_eq!(sum.sent, 2 * one.host.tally().sent);
}
