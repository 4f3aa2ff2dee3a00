//! Bad servers once there is a key.

use std::time::Duration;

use heliogram_crypto::{AuthKey, Direction};
use heliogram_proto::client::{Event, Saved};
use heliogram_proto::ids::{Salt, SessionId};
use heliogram_proto::limits::UNPACKED_BYTES_MAX;
use heliogram_proto::session::client;
use heliogram_tl::gzip;

use crate::forger::{Forged, Forger, container, key, result};
use crate::world::{CALL, World};

#[test]
fn each_bad_envelope_ends_the_connection_answers_no_call_and_the_call_is_answered_on_the_next() {
    for (rule, spoil) in REFUSED {
        let mut world = start();
        world.peer.is_silent = true;
        let call = world.call();
        let mut answer = answer_to(&mut world);
        spoil(&mut answer);
        world.bring(&answer.to_bytes());
        assert_eq!(world.hang_ups, 1, "{rule}: closed");
        assert!(!world.is_answered(call), "{rule}: used");
        assert_eq!(updates(&world), 0, "{rule}: told");

        world.peer.is_silent = false;
        world.advance(Duration::from_mins(1));
        assert!(world.is_answered(call), "{rule}: answered in the end");
        assert_eq!(world.dials, 2, "{rule}: by one more connection");
        assert_eq!(world.kept, [], "{rule}: the key is the same");
    }
}

#[test]
fn each_message_that_is_not_to_be_heard_changes_nothing_and_the_connection_stays() {
    for (rule, spoil) in UNHEARD {
        let mut world = start();
        world.peer.is_silent = true;
        let call = world.call();
        let mut answer = answer_to(&mut world);
        spoil(&mut answer);
        world.bring(&answer.to_bytes());
        assert_eq!((world.hang_ups, world.dials), (0, 1), "{rule}");
        assert!(!world.is_answered(call), "{rule}: used");
        let honest = answer_to(&mut world);
        world.bring(&honest.to_bytes());
        assert!(world.is_answered(call), "{rule}: the true answer counts");
    }
}

#[test]
fn an_honest_envelope_with_12_or_1024_bytes_of_padding_is_heard() {
    for (padding, more) in [(12, 4), (1024, 0)] {
        let mut world = start();
        world.peer.is_silent = true;
        let call = world.call();
        let mut answer = answer_to(&mut world);
        answer.pad_with(padding, more);
        world.bring(&answer.to_bytes());
        assert!(world.is_answered(call), "{padding}");
    }
}

#[test]
fn an_envelope_that_comes_again_is_heard_once_on_this_connection_and_on_the_next() {
    let mut world = start();
    let id = world.peer.answer_id(world.now_unix_s()) | 2;
    let update = Forged::of(&UPDATE, id).to_bytes();
    world.bring(&update);
    world.bring(&update);
    assert_eq!(updates(&world), 1);
    // Garbage ends the connection; the next one brings the old envelope once more.
    world.bring(&[9; 88]);
    world.advance(Duration::from_secs(5));
    assert_eq!(world.dials, 2);
    world.bring(&update);
    assert_eq!((updates(&world), world.hang_ups), (1, 1));
}

#[test]
fn envelopes_in_another_order_are_all_heard_and_answers_find_their_calls() {
    let mut world = start();
    world.peer.is_silent = true;
    let calls: Vec<_> = (0..10).map(|_| world.call()).collect();
    let of = world.peer.calls.clone();
    let answers: Vec<_> = of
        .iter()
        .map(|of| {
            let id = world.peer.answer_id(world.now_unix_s());
            Forged::of(&result(*of, &CALL), id).to_bytes()
        })
        .collect();
    for answer in answers.iter().rev() {
        world.bring(answer);
    }
    assert!(calls.iter().all(|call| world.is_answered(*call)));
    assert_eq!(world.hang_ups, 0);
}

#[test]
fn packed_bytes_that_unpack_to_16_mib_are_taken_and_a_bomb_of_more_is_not() {
    for (length, is_taken) in [(UNPACKED_BYTES_MAX, true), (UNPACKED_BYTES_MAX + 4, false)] {
        let mut world = start();
        world.peer.is_silent = true;
        let call = world.call();
        let mut object = vec![0; length];
        object[..4].copy_from_slice(&CALL);
        let mut answer = answer_to(&mut world);
        answer.say(&result(world.peer.calls[0], &gzip_packed(&object)));
        assert!(answer.body.len() < 64 << 10, "a bomb is small");
        world.bring(&answer.to_bytes());
        assert_eq!(world.is_answered(call), is_taken, "{length}");
    }
}

fn start() -> World<Forger> {
    let saved = Saved {
        key: key(),
        salt: Salt(1),
        clock_offset_ns: 0,
    };
    World::start(Forger::default(), Some(saved))
}

/// The honest answer to the first call.
fn answer_to(world: &mut World<Forger>) -> Forged {
    let id = world.peer.answer_id(world.now_unix_s());
    Forged::of(&result(world.peer.calls[0], &CALL), id)
}

fn updates(world: &World<Forger>) -> usize {
    let is_update = |it: &&Event| matches!(it, Event::Session(client::Event::Update(_)));
    world.told.iter().filter(is_update).count()
}

fn gzip_packed(object: &[u8]) -> Vec<u8> {
    let packed = gzip::pack(object);
    let length = packed.len().to_le_bytes();
    let mut body = GZIP_PACKED.to_vec();
    body.extend_from_slice(&[254, length[0], length[1], length[2]]);
    body.extend_from_slice(&packed);
    body.resize(body.len().next_multiple_of(4), 0);
    body
}

type Rule = (&'static str, fn(&mut Forged));

/// What no honest server sends: the connection ends.
const REFUSED: &[Rule] = &[
    ("msg_key", |it| it.flip = Some(8)),
    ("the first byte of the ciphertext", |it| it.flip = Some(24)),
    ("the last byte of the ciphertext", |it| {
        it.flip = Some(24 + 32 + 31);
    }),
    ("another key", |it| it.key = AuthKey::new([9; 256])),
    ("another key under the name of ours", |it| {
        it.key = AuthKey::new([9; 256]);
        it.is_renamed = true;
    }),
    ("our own direction", |it| {
        it.direction = Direction::ClientToServer;
    }),
    ("cut within a block", |it| it.cut = Some(24 + 40)),
    ("cut to a block", |it| it.cut = Some(24 + 16)),
    ("padding of 8 bytes", |it| it.pad_with(8, 8)),
    ("padding of 1028 bytes", |it| it.pad_with(1028, 12)),
    ("length below zero", |it| it.length = -4),
    ("length of no whole word", |it| it.length -= 1),
    ("length beyond the message", |it| it.length = 1 << 20),
    ("length that leaves too little padding", |it| it.length += 8),
    ("another session", |it| it.session_id = SessionId(6)),
    ("session zero", |it| it.session_id = SessionId(0)),
    ("a client's identifier", |it| it.msg_id &= !3),
    ("an identifier that ends in 2", |it| {
        it.msg_id = it.msg_id & !3 | 2;
    }),
    ("an identifier 301 s old", |it| it.msg_id -= 301 << 32),
    ("an identifier of a client within a container", |it| {
        let inner = (it.msg_id - 1, it.body.clone());
        it.say(&container(&[inner]));
        it.seqno = 2;
    }),
    ("a container that counts more than it holds", |it| {
        let mut body = container(&[(it.msg_id - 4, it.body.clone())]);
        body[4] = 2;
        it.say(&body);
    }),
    ("a container with a message beyond its end", |it| {
        let mut body = container(&[(it.msg_id - 4, it.body.clone())]);
        body[20] += 4;
        it.say(&body);
    }),
    ("a container within a container", |it| {
        let inner = container(&[(it.msg_id - 8, it.body.clone())]);
        it.say(&container(&[(it.msg_id - 4, inner)]));
    }),
];

/// What may be a stranger's mistake or a late copy: it is left out.
const UNHEARD: &[Rule] = &[
    ("an answer to a call that nobody made", |it| it.body[4] ^= 4),
    ("a result cut short", |it| {
        let cut = it.body[..8].to_vec();
        it.say(&cut);
    }),
    ("an answer to another session's call", |it| it.body[11] ^= 1),
];

const UPDATE: [u8; 4] = 0xe317_af7e_u32.to_le_bytes();
const GZIP_PACKED: [u8; 4] = 0x3072_cfa1_u32.to_le_bytes();
