//! What a peer or an owner could do to an engine: write what it can't prove, not read, lose a piece of work.

use core::time::Duration;

use super::{CALL, LIFE, World, length_of};
use crate::client::{Config, Effect, Engine, Event, Failure, Input};
use crate::cx::{Cx, Now, Unix};
use crate::exchange::testing::{NOW_S, random, server_key};
use crate::ids::SessionId;
use crate::transport::{self, Framing};

#[test]
fn a_stranger_may_say_twice_that_it_serves_another_dc_and_a_server_that_was_met_for_ever() {
    let mut world = World::new();
    world.start();
    let failed = Event::Failed(Failure::WrongDataCentre);
    for _ in 0..10 {
        say(&mut world, -444);
        assert!(!world.told.contains(&failed));
        world.advance(Duration::from_mins(1));
    }
    world.call_is_answered();

    let mut world = World::new();
    world.server.is_silent = true;
    world.start();
    for times in 1..=3 {
        world.server.is_silent = false;
        say(&mut world, -444);
        world.server.is_silent = true;
        assert_eq!(world.told.contains(&failed), times == 3, "{times}");
        world.advance(Duration::from_secs(3));
    }
}

#[test]
fn a_strange_key_ends_a_client_that_has_met_no_server_and_no_other() {
    let is_end = |it: &Event| matches!(it, Event::Failed(Failure::Exchange(_)));
    let mut world = World::new();
    world.start();
    world.server.is_gone = true;
    world.hear(Input::Disconnected);
    world.advance(LIFE * 2);
    world.server.is_gone = false;
    world.server.offers_strange_key = true;
    let before = world.dials;
    world.advance(Duration::from_hours(1));
    assert!(!world.told.iter().any(is_end));
    // Sixteen seconds between two tries, in the end.
    let tries = world.dials - before;
    assert!((200..250).contains(&tries), "{tries}");
    world.server.offers_strange_key = false;
    world.advance(Duration::from_mins(5));
    world.call_is_answered();

    let mut world = World::new();
    world.server.offers_strange_key = true;
    world.start();
    assert!(world.told.iter().any(is_end), "{:?}", world.told);
}

#[test]
fn what_finds_no_room_stays_queued_until_there_is_some_and_can_be_given_up() {
    let mut world = World::new();
    world.start();
    world.engine.set_room(0);
    let (kept, dropped) = (world.call(LIFE), world.call(LIFE));
    let overdue = world.call(Duration::from_secs(10));
    assert!(world.engine.is_held_back(world.mono));
    world.advance(Duration::from_secs(20));
    assert!(!world.is_answered(kept));
    let timed_out = crate::session::client::Event::TimedOut { call: overdue };
    assert!(world.told.contains(&Event::Session(timed_out)));
    world.engine.cancel(dropped);
    world.engine.set_room(1);
    world.step(Engine::flush);
    assert!(world.is_answered(kept));
    assert!(!world.is_answered(dropped));
}

#[test]
fn room_is_taken_by_what_is_sent_and_one_message_may_be_beyond() {
    let mut world = World::new();
    world.start();
    // Two that do not fit one container.
    let large = [&CALL[..], &vec![0; 200 << 10]].concat();
    for _ in 0..2 {
        let due = world.mono + LIFE;
        world.engine.call(large.clone().into(), due).unwrap();
    }
    world.engine.set_room(100 << 10);
    let sent = sent_by(&mut world, Engine::flush);
    assert!((200 << 10..210 << 10).contains(&sent), "{sent}");
    assert_eq!(sent_by(&mut world, Engine::flush), 0);
    world.engine.set_room(usize::MAX);
    assert!(sent_by(&mut world, Engine::flush) > 200 << 10);
    assert!(!world.engine.is_held_back(world.mono));
}

#[test]
fn work_that_nobody_finishes_has_the_exchange_begun_anew() {
    let transport = transport::client::Config::new(Framing::Intermediate);
    let config = Config::new(transport, vec![server_key().public().clone()]);
    let mut world = World::new();
    world.engine = Engine::new(config, None, SessionId(5));
    world.loses_work = true;
    world.start();
    assert!(world.told.iter().any(|it| matches!(it, Event::Lost { .. })));
    assert!(!world.engine.is_ready());
    world.loses_work = false;
    world.advance(Duration::from_secs(3));
    assert!(world.engine.is_ready());
    assert_eq!(world.dials, 2);
}

/// Has the server write an error, as anybody on the way could.
fn say(world: &mut World, code: i32) {
    world.bring(&code.to_le_bytes());
}

/// Lets the engine take a step whose bytes nobody gets. Returns how many there were.
fn sent_by(world: &mut World, step: impl FnOnce(&mut Engine, &mut Cx<'_, Effect>)) -> usize {
    let mut out = Vec::new();
    step(
        &mut world.engine,
        &mut Cx {
            now: Now {
                mono: world.mono,
                unix: Unix::from_seconds(NOW_S),
            },
            rng: &mut random(7),
            out: &mut out,
        },
    );
    let sent = out.iter().map(|effect| {
        if let Effect::Send(bytes) = effect {
            assert_eq!(length_of(*bytes.first_chunk().unwrap()) % 4, 0);
            bytes.len()
        } else {
            0
        }
    });
    sent.sum()
}
