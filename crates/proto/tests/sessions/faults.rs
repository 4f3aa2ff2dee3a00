//! Random faults from a seed: connections that break anywhere, messages that come late or twice, hosts that crash.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use heliogram_proto::ids::LinkId;
use heliogram_proto::session::client::Event;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::pair::Pair;
use crate::support::{METHOD, World, hex, vectors};

#[test]
fn a_thousand_random_faults_lose_and_double_nothing() {
    for seed in 0..20 {
        let mut pair = Pair::with_world(World::new(), seed);
        let mut dice = ChaCha8Rng::seed_from_u64(seed ^ 0xd1ce);
        let mut calls = BTreeMap::new();
        for step in 0..400_u64 {
            match dice.next_u32() % 10 {
                0..4 => {
                    calls.insert(pair.call(step), step);
                }
                4 => pair.client_sends(),
                5 => {
                    while let Some(frame) = pair.to_server.pop_front() {
                        pair.server_receives(frame, pair.link);
                    }
                }
                6 => pair.server_sends(pair.link),
                7 => {
                    while let Some(frame) = pair.to_client.pop_front() {
                        pair.client_receives(frame);
                    }
                }
                8 => pair
                    .world
                    .pass(Duration::from_millis(u64::from(dice.next_u32() % 3000))),
                _ => match dice.next_u32() % 4 {
                    0 => pair.reconnect(dice.next_u32() % 2 == 0),
                    1 => {
                        pair.holds = !pair.holds;
                        for (id, call) in std::mem::take(&mut pair.held) {
                            pair.reply(id, &call);
                        }
                    }
                    2 if !pair.captured.is_empty() => {
                        let at = usize::try_from(dice.next_u32()).unwrap() % pair.captured.len();
                        pair.server_receives(pair.captured[at].clone(), LinkId(9999));
                        pair.server_sends(LinkId(9999));
                        pair.to_client.clear();
                        pair.reconnect(true);
                    }
                    _ => {}
                },
            }
        }
        pair.holds = false;
        for (id, call) in std::mem::take(&mut pair.held) {
            pair.reply(id, &call);
        }
        pair.reconnect(true);
        pair.settle();
        assert_eq!(pair.answers(), calls, "seed {seed}");
        assert!(
            pair.executed.values().all(|&times| times == 1),
            "seed {seed}"
        );
        assert_eq!(pair.world.host.calls_running(), 0);
        assert!(
            !pair
                .events
                .iter()
                .any(|it| matches!(it, Event::Restarted { .. }))
        );
    }
}

#[test]
fn when_the_host_crashes_every_call_is_answered_and_only_unanswered_ones_run_twice() {
    for seed in 0..20 {
        let mut pair = Pair::with_world(World::new(), seed);
        let mut dice = ChaCha8Rng::seed_from_u64(seed ^ 0xc4a5);
        let mut calls = BTreeMap::new();
        let mut may_double = BTreeSet::new();
        for step in 0..300_u64 {
            pair.world
                .pass(Duration::from_millis(u64::from(dice.next_u32() % 500)));
            match dice.next_u32() % 8 {
                0..3 => {
                    calls.insert(pair.call(step), step);
                }
                3 => pair.client_sends(),
                4 => {
                    while let Some(frame) = pair.to_server.pop_front() {
                        pair.server_receives(frame, pair.link);
                    }
                }
                5 => pair.server_sends(pair.link),
                6 => {
                    while let Some(frame) = pair.to_client.pop_front() {
                        pair.client_receives(frame);
                    }
                }
                _ if dice.next_u32() % 4 == 0 => {
                    may_double.extend(pair.unanswered(&calls));
                    let mut world = World::with_term(pair.world.host.term().0 + 1);
                    world.now = pair.world.now;
                    world.facts = pair.world.facts;
                    pair.world = world;
                    pair.world.pass_s(1);
                    pair.reconnect(false);
                }
                _ if pair.events.contains(&Event::GaveUp) => {
                    pair.events.retain(|it| *it != Event::GaveUp);
                    // New calls, by what is promised.
                    may_double.extend(pair.unanswered(&calls));
                    pair.renew();
                }
                _ => {}
            }
        }
        pair.reconnect(true);
        pair.world.pass_s(1);
        pair.settle();
        if pair.events.contains(&Event::GaveUp) {
            may_double.extend(pair.unanswered(&calls));
            pair.renew();
            pair.settle();
        }
        assert_eq!(pair.answers(), calls, "seed {seed}");
        for (token, &times) in &pair.executed {
            assert!(
                times == 1 || may_double.contains(token),
                "{token} ran {times} times"
            );
        }
    }
}

#[test]
fn hostile_bodies_are_refused_or_answered_and_break_nothing() {
    let vectors = vectors("tl_service");
    let samples = vectors["samples"].as_array().unwrap();
    let samples: Vec<_> = samples
        .iter()
        .map(|it| hex(it["hex"].as_str().unwrap()))
        .collect();
    let mut dice = ChaCha8Rng::seed_from_u64(5);
    let mut below = |end: usize| usize::try_from(dice.next_u32()).unwrap() % end;
    for _ in 0..3000 {
        let mut world = World::new();
        world.send_bytes(true, METHOD.to_vec());
        world.received();
        // A sound object, cut, lengthened or with some of its bytes changed; perhaps in a container, perhaps wrapped.
        let mut body = samples[below(samples.len())].clone();
        body.resize(below(body.len() / 4 + 4) * 4, 0xff);
        for _ in 0..below(4) {
            if !body.is_empty() {
                let at = below(body.len());
                body[at] = u8::try_from(below(256)).unwrap();
            }
        }
        if below(3) == 0 {
            let mut wrapped = 0xbf94_59b7_u32.to_le_bytes().to_vec();
            wrapped.append(&mut body);
            body = wrapped;
        }
        if below(3) == 0 {
            let (id, seqno) = (world.client_id(), world.seqno(below(2) == 0));
            body = crate::support::container(&[(id, seqno, body)]);
        }
        world.send_bytes(below(2) == 0, body);
        world.received();
        world.pass_s(2);
        world.received();
        if world.closed.is_empty() {
            world.send_bytes(true, crate::support::ping(1));
            assert!(!world.received().is_empty(), "the session goes on");
        }
    }
}
