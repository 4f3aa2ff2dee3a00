//! Bad servers while a key is made.

use std::time::Duration;

use heliogram_crypto::{dh, tmp_aes};
use heliogram_proto::client::{Event, Failure};
use heliogram_proto::exchange::client::Error;
use heliogram_proto::limits::EXCHANGE_RESTARTS_MAX;

use crate::keymaker::{Keymaker, Spoil, server_key};
use crate::world::World;

#[test]
fn each_lie_of_an_exchange_is_refused_as_often_as_it_is_told_and_no_key_is_kept() {
    for (lie, spoil) in LIES {
        let mut world = World::start(Keymaker::bad(*spoil), None);
        world.advance(Duration::from_mins(10));
        let tries = usize::try_from(EXCHANGE_RESTARTS_MAX).unwrap() + 1;
        let failed = Event::Failed(Failure::Exchange(Error::Untrusted));
        assert_eq!(world.told.last(), Some(&failed), "{lie}");
        assert_eq!(world.peer.begun, tries, "{lie}: begun anew each time");
        let connections = (world.dials, world.hang_ups);
        assert_eq!(connections, (tries, tries), "{lie}: each is closed");
        assert_eq!(world.kept, [], "{lie}");
        assert!(!is_ready(&world), "{lie}");
    }
}

#[test]
fn after_any_lie_an_honest_exchange_makes_its_own_key_and_nothing_is_left_of_the_other() {
    for (lie, spoil) in LIES {
        let mut keymaker = Keymaker::bad(*spoil);
        keymaker.spoilt_left = 1;
        let mut world = World::start(keymaker, None);
        world.advance(Duration::from_mins(1));
        assert_eq!(world.peer.begun, 2, "{lie}");
        assert!(is_ready(&world), "{lie}");
        let kept = world.kept.pop().unwrap();
        assert_eq!(Some(&kept.key), world.peer.made.last(), "{lie}");
        assert_eq!(kept.clock_offset_ns, 0, "{lie}: the clock");
        // The server's nonce is its number: the salt is of the second exchange.
        assert_eq!(world.kept.len(), 0, "{lie}: one key is kept");
    }
}

#[test]
fn a_server_whose_fingerprints_are_unknown_is_given_up_at_once() {
    let spoil = Spoil::ResPq(|offer| offer.fingerprints[0] ^= 1);
    let mut world = World::start(Keymaker::bad(spoil), None);
    world.advance(Duration::from_mins(10));
    let [Event::Failed(Failure::Exchange(Error::NoKnownKey(offered)))] = &world.told[..] else {
        panic!("{:?}", world.told);
    };
    let unknown = server_key().public().fingerprint() ^ 1;
    assert_eq!(
        offered.iter().collect::<Vec<_>>(),
        [unknown],
        "it says what was offered"
    );
    assert_eq!((world.dials, world.hang_ups, world.peer.begun), (1, 1, 1));
    assert_eq!(world.kept, []);
}

#[test]
fn a_message_that_can_not_be_read_ends_the_connection_and_the_same_query_goes_out_again() {
    let unreadable: [fn(&mut Vec<u8>); 3] =
        [|it| it[16] += 4, |it| it[19] = 0x80, |it| it.truncate(18)];
    for spoil in unreadable {
        let mut keymaker = Keymaker::bad(Spoil::Message(0, spoil));
        keymaker.spoilt_left = 1;
        let mut world = World::start(keymaker, None);
        assert_eq!(world.hang_ups, 1);
        world.advance(Duration::from_secs(5));
        assert_eq!((world.dials, world.kept.len()), (2, 1));
        assert_eq!(world.peer.nonces[0], world.peer.nonces[1]);
    }
}

#[test]
fn a_second_copy_of_an_answer_is_used_for_nothing() {
    let mut world = World::start(Twice(Keymaker::bad(Spoil::Nothing)), None);
    world.advance(Duration::from_secs(1));
    assert_eq!((world.dials, world.peer.0.begun), (1, 1));
    assert_eq!(world.kept.len(), 1);
    assert_eq!(Some(&world.kept[0].key), world.peer.0.made.last());
}

#[test]
fn an_envelope_while_there_is_no_key_ends_the_connection_and_the_exchange_goes_on() {
    let mut world = World::start(Silent, None);
    world.bring(&[1; 88]);
    assert_eq!(world.hang_ups, 1);
    world.advance(Duration::from_secs(5));
    assert_eq!(world.dials, 2);
    assert_eq!(world.kept, []);
}

#[test]
fn an_honest_server_gets_its_key_kept() {
    let world = World::start(Keymaker::bad(Spoil::Nothing), None);
    assert!(is_ready(&world));
    assert_eq!((world.dials, world.hang_ups), (1, 0));
    assert_eq!(world.kept[0].key, world.peer.made[0]);
}

/// Says everything twice.
struct Twice(Keymaker);

impl crate::world::Peer for Twice {
    fn take(&mut self, payload: Vec<u8>, now_unix_s: u64) -> Vec<Vec<u8>> {
        let mut answers = self.0.take(payload, now_unix_s);
        answers.extend(answers.clone());
        answers
    }
}

struct Silent;

impl crate::world::Peer for Silent {
    fn take(&mut self, _: Vec<u8>, _: u64) -> Vec<Vec<u8>> {
        Vec::new()
    }
}

fn is_ready<P>(world: &World<P>) -> bool {
    let is_ready = |it: &Event| matches!(it, Event::Ready { .. });
    world.told.iter().any(is_ready)
}

fn replay(bytes: &mut Vec<u8>, earlier: &[Vec<u8>]) {
    // Of the first exchange there is none yet: its first answer comes in its place.
    let own = bytes.clone();
    bytes.clone_from(earlier.first().unwrap_or(&own));
    if *bytes == own {
        bytes[4] ^= 1;
    }
}

/// One for each check of each step, and what comes in the wrong place.
const LIES: &[(&str, Spoil)] = &[
    ("resPQ: nonce", Spoil::ResPq(|it| it.nonce[15] ^= 1)),
    ("resPQ: even pq", Spoil::ResPq(|it| it.pq[7] ^= 1)),
    ("resPQ: no pq", Spoil::ResPq(|it| it.pq.clear())),
    (
        "resPQ: prime pq",
        Spoil::ResPq(|it| it.pq = 0x7fff_ffff_ffff_ffe7_u64.to_be_bytes().to_vec()),
    ),
    ("resPQ: constructor", Spoil::Body(0, |it, _| it[0] ^= 1)),
    ("resPQ: cut short", Spoil::Body(0, |it, _| it.truncate(40))),
    ("resPQ: of an earlier exchange", Spoil::Body(0, replay)),
    ("dh params: nonce", Spoil::DhParams(|it| it.nonce[0] ^= 1)),
    (
        "dh params: server_nonce",
        Spoil::DhParams(|it| it.server_nonce[0] ^= 1),
    ),
    (
        "dh params: inner nonce",
        Spoil::DhParams(|it| it.inner_nonce[0] ^= 1),
    ),
    (
        "dh params: inner server_nonce",
        Spoil::DhParams(|it| it.inner_server_nonce[0] ^= 1),
    ),
    (
        "dh params: hash, with a clock of another year",
        Spoil::DhParams(|it| (it.hash_flip, it.server_time) = (1, 7)),
    ),
    (
        "dh params: padding of a block too many",
        Spoil::DhParams(|it| it.padding = 24),
    ),
    (
        "dh params: another key",
        Spoil::DhParams(|it| it.tmp = tmp_aes::derive(&[1; 32], &[2; 16])),
    ),
    (
        "dh params: weak prime",
        Spoil::DhParams(|it| it.dh_prime[255] ^= 0x3a),
    ),
    (
        "dh params: prime of 2047 bits",
        Spoil::DhParams(|it| it.dh_prime[0] &= 0x7f),
    ),
    (
        "dh params: prime of 255 bytes",
        Spoil::DhParams(|it| it.dh_prime.truncate(255)),
    ),
    ("dh params: g = 1", Spoil::DhParams(|it| it.g = 1)),
    (
        "dh params: g = 2 with a prime that forbids it",
        Spoil::DhParams(|it| it.g = 2),
    ),
    ("dh params: g = -3", Spoil::DhParams(|it| it.g = -3)),
    (
        "dh params: g_a = 0",
        Spoil::DhParams(|it| it.g_a = vec![0; 256]),
    ),
    ("dh params: g_a = 1", Spoil::DhParams(|it| it.g_a = vec![1])),
    (
        "dh params: g_a = p - 1",
        Spoil::DhParams(|it| {
            it.g_a = dh::PRIME.to_vec();
            it.g_a[255] -= 1;
        }),
    ),
    (
        "dh params: g_a below 2^1984",
        Spoil::DhParams(|it| it.g_a = vec![0xff; 248]),
    ),
    (
        "dh params: g_a above p - 2^1984",
        Spoil::DhParams(|it| it.g_a[..8].copy_from_slice(&dh::PRIME[..8])),
    ),
    ("dh params: constructor", Spoil::Body(1, |it, _| it[0] ^= 1)),
    (
        "dh params: resPQ in its place",
        Spoil::Body(1, |it, earlier| it.clone_from(earlier.last().unwrap())),
    ),
    ("dh gen: nonce", Spoil::DhGen(|it| it.nonce[0] ^= 1)),
    (
        "dh gen: server_nonce",
        Spoil::DhGen(|it| it.server_nonce[15] ^= 1),
    ),
    ("dh gen: hash", Spoil::DhGen(|it| it.hash[15] ^= 1)),
    (
        "dh gen: the hash of dh_gen_retry",
        Spoil::DhGen(|it| it.hash = it.hash_of_retry),
    ),
    (
        "dh gen: the hash of another key",
        Spoil::DhGen(|it| it.hash = it.hash_of_other_key),
    ),
    ("dh gen: constructor", Spoil::Body(2, |it, _| it[0] ^= 1)),
    (
        "dh gen: dh params in its place",
        Spoil::Body(2, |it, earlier| it.clone_from(earlier.last().unwrap())),
    ),
];
