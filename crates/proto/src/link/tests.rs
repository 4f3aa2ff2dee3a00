mod pair;

use core::time::Duration;
use std::sync::Arc;

use heliogram_crypto::AuthKey;
use heliogram_tl::Serialize;
use proptest::prelude::*;

use self::pair::{FRAMINGS, NANOSECOND, PREFIXES, Pair, START_S, Said, facts, record};
use super::*;
use crate::port::{FromHost, KeyKind};
use crate::transport::client::{self, Obfuscation};
use crate::transport::{Error, Framing};

#[test]
fn frames_are_the_same_at_once_and_byte_by_byte_in_every_framing() {
    for framing in FRAMINGS {
        let mut whole = Pair::new(framing);
        let mut drop_by_drop = Pair::new(framing);
        let mut bytes = Vec::new();
        for number in 0..20_u32 {
            let sealed = whole.seal(&number.to_le_bytes());
            bytes.extend(whole.frame(&sealed, false));
        }
        whole.receive(&bytes);
        whole.find_key();
        for byte in bytes {
            drop_by_drop.receive(&[byte]);
            if drop_by_drop.asks_for_key() {
                drop_by_drop.find_key();
            }
        }
        assert_eq!(whole.bodies().len(), 20);
        assert_eq!(whole.bodies(), drop_by_drop.bodies(), "{framing:?}");
    }
}

#[test]
fn frames_that_wait_for_their_key_are_delivered_in_order_and_before_later_ones() {
    let mut pair = Pair::new(Framing::Abridged);
    pair.send(b"1st.");
    pair.send(b"2nd.");
    assert!(pair.asks_for_key());
    pair.send(b"3rd.");
    assert!(!pair.asks_for_key(), "once");
    assert!(pair.bodies().is_empty());

    pair.find_key();
    pair.send(b"4th.");
    assert_eq!(pair.bodies(), [b"1st.", b"2nd.", b"3rd.", b"4th."]);
}

#[test]
fn frames_of_a_key_at_hand_do_not_wait_for_those_of_another() {
    let mut pair = Pair::new(Framing::Abridged);
    pair.find_key_of(b"mine");
    let other = AuthKey::new([2; 256]);
    let sealed = pair.seal_with(&other, b"late");
    pair.send_payload(&sealed);
    pair.send(b"soon");
    assert_eq!(pair.bodies(), [b"mine", b"soon"]);

    let found = pair.present(&other);
    pair.handle(Input::Key {
        id: other.id(),
        outcome: found,
    });
    assert_eq!(pair.bodies(), [b"mine", b"soon", b"late"]);
}

#[test]
fn an_absent_key_is_refused_with_404() {
    let mut pair = Pair::new(Framing::Intermediate);
    pair.send(b"text");
    pair.handle(Input::Key {
        id: pair.key.id(),
        outcome: KeyOutcome::Absent,
    });
    assert_eq!(pair.said(), [Said::Error(-404)]);
    assert_eq!(pair.closed(), Some(Cause::KeyAbsent));
}

#[test]
fn an_unavailable_key_closes_without_a_code() {
    let mut pair = Pair::new(Framing::Intermediate);
    pair.send(b"text");
    pair.handle(Input::Key {
        id: pair.key.id(),
        outcome: KeyOutcome::Unavailable,
    });
    assert_eq!(
        (pair.said(), pair.closed()),
        (vec![], Some(Cause::KeyUnavailable))
    );
}

#[test]
fn a_link_that_was_told_that_its_key_is_not_there_waits_for_it_no_more() {
    for outcome in [KeyOutcome::Absent, KeyOutcome::Unavailable] {
        let mut pair = Pair::new(Framing::Intermediate);
        pair.send(b"text");
        let id = pair.key.id();
        assert_eq!(pair.link.awaited_keys().collect::<Vec<_>>(), [id]);
        pair.handle(Input::Key { id, outcome });
        // Who forgot it again would take it from another link that has found it meanwhile.
        assert_eq!(pair.link.awaited_keys().count(), 0);
    }
}

#[test]
fn a_frame_waits_5_s_for_its_key_and_then_the_link_closes_without_a_code() {
    let mut pair = Pair::new(Framing::Intermediate);
    pair.send(b"text");
    pair.advance(Duration::from_secs(5) - NANOSECOND);
    assert_eq!(pair.closed(), None);
    pair.advance(NANOSECOND);
    assert_eq!(
        (pair.said(), pair.closed()),
        (vec![], Some(Cause::KeyUnavailable))
    );
}

#[test]
fn as_many_frames_wait_as_may_and_one_more_closes_without_a_code() {
    let mut pair = Pair::new(Framing::Abridged);
    for number in 0..limits::WAITING_FRAMES_MAX {
        assert_eq!(pair.closed(), None, "{number}");
        pair.send(b"text");
    }
    assert!(
        !pair.link.wants_input(),
        "the socket is asked to hold more long before"
    );
    pair.send(b"text");
    assert_eq!(
        (pair.said(), pair.closed()),
        (vec![], Some(Cause::KeyUnavailable))
    );
}

#[test]
fn as_many_keys_are_used_on_one_link_as_may_and_one_more_is_refused() {
    let mut pair = Pair::new(Framing::Abridged);
    for number in 0..limits::KEYS_PER_LINK_MAX {
        let key = AuthKey::new([u8::try_from(number).unwrap() + 10; 256]);
        let sealed = pair.seal_with(&key, b"text");
        pair.send_payload(&sealed);
        let found = pair.present(&key);
        pair.handle(Input::Key {
            id: key.id(),
            outcome: found,
        });
        assert_eq!(pair.closed(), None);
    }
    assert_eq!(pair.link.held_keys().count(), limits::KEYS_PER_LINK_MAX);
    pair.send(b"text");
    assert_eq!(
        (pair.said(), pair.closed()),
        (vec![Said::Error(-429)], Some(Cause::TooMuch))
    );
}

#[test]
fn frames_name_the_permanent_key_once_the_link_is_told_of_it_and_not_before() {
    let mut pair = Pair::new(Framing::Intermediate);
    pair.find_key_of(b"1st.");
    let facts = KeyFacts {
        perm: Some(AuthKeyId(5)),
        ..facts(&pair.key)
    };
    pair.handle(Input::Key {
        id: pair.key.id(),
        outcome: KeyOutcome::Present(Arc::new(record(&pair.key, facts))),
    });
    pair.send(b"2nd.");
    let perms = pair.effects.iter().filter_map(|effect| {
        let Effect::Frame(frame) = effect else {
            return None;
        };
        Some(frame.key.perm)
    });
    assert_eq!(perms.collect::<Vec<_>>(), [None, Some(AuthKeyId(5))]);
    assert_eq!(pair.link.held_keys().count(), 1);
}

#[test]
fn a_revoked_key_still_seals_what_waits_and_opens_nothing() {
    let mut pair = Pair::new(Framing::Intermediate);
    pair.find_key_of(b"1st.");
    pair.handle(Input::Revoked { id: pair.key.id() });
    assert_eq!(pair.link.held_keys().count(), 0);
    pair.reply(b"bye.");
    assert_eq!(
        (pair.said(), pair.closed()),
        (vec![Said::Body(b"bye.".to_vec())], None)
    );

    pair.send(b"2nd.");
    assert_eq!(pair.bodies(), [b"1st."]);
    assert_eq!(
        (pair.said(), pair.closed()),
        (vec![Said::Error(-404)], Some(Cause::KeyAbsent))
    );
}

#[test]
fn a_doubted_key_seals_on_and_opens_nothing_before_it_was_found_again() {
    let mut pair = Pair::new(Framing::Intermediate);
    pair.find_key_of(b"1st.");
    let id = pair.key.id();
    pair.handle(Input::Doubted { id });
    assert_eq!(pair.link.held_keys().count(), 0);
    pair.reply(b"one.");
    pair.send(b"2nd.");
    pair.send(b"3rd.");
    pair.reply(b"two.");
    assert_eq!(pair.bodies(), [b"1st."]);
    let loads = |pair: &Pair| {
        let loads = pair.effects.iter();
        loads
            .filter(|it| matches!(it, Effect::LoadKey { .. }))
            .count()
    };
    assert_eq!((loads(&pair), pair.link.awaited_keys().count()), (2, 1));
    let replies = vec![Said::Body(b"one.".to_vec()), Said::Body(b"two.".to_vec())];
    assert_eq!((pair.said(), pair.closed()), (replies, None));

    let found = KeyOutcome::Present(Arc::new(record(&pair.key, facts(&pair.key))));
    pair.handle(Input::Key { id, outcome: found });
    assert_eq!(pair.bodies(), [b"1st.", b"2nd.", b"3rd."]);
    assert_eq!((loads(&pair), pair.link.held_keys().count()), (2, 1));
}

#[test]
fn a_doubted_key_that_is_no_more_closes_the_link_at_its_next_frame() {
    let mut pair = Pair::new(Framing::Intermediate);
    pair.find_key_of(b"1st.");
    let id = pair.key.id();
    pair.handle(Input::Doubted { id });
    assert_eq!(pair.closed(), None);
    pair.send(b"2nd.");
    pair.handle(Input::Key {
        id,
        outcome: KeyOutcome::Absent,
    });
    assert_eq!(pair.bodies(), [b"1st."]);
    assert_eq!(
        (pair.said(), pair.closed()),
        (vec![Said::Error(-404)], Some(Cause::KeyAbsent))
    );
}

#[test]
fn a_key_is_refused_from_its_end_on_and_not_a_second_before() {
    let mut pair = Pair::new(Framing::Intermediate);
    pair.send(b"1st.");
    let facts = KeyFacts {
        kind: KeyKind::Temporary {
            expires_at_unix_s: START_S + 10,
        },
        ..facts(&pair.key)
    };
    let found = KeyOutcome::Present(Arc::new(record(&pair.key, facts)));
    pair.handle(Input::Key {
        id: pair.key.id(),
        outcome: found,
    });
    pair.advance(Duration::from_secs(9));
    pair.send(b"2nd.");
    assert_eq!((pair.bodies().len(), pair.closed()), (2, None));

    pair.advance(Duration::from_secs(1));
    pair.send(b"3rd.");
    assert_eq!(pair.bodies().len(), 2);
    assert_eq!(
        (pair.said(), pair.closed()),
        (vec![Said::Error(-404)], Some(Cause::KeyAbsent))
    );
}

#[test]
fn nothing_is_sealed_with_a_key_that_has_ended() {
    let mut pair = Pair::new(Framing::Intermediate);
    pair.send(b"1st.");
    let kind = KeyKind::Temporary {
        expires_at_unix_s: START_S + 10,
    };
    let record = record(
        &pair.key,
        KeyFacts {
            kind,
            ..facts(&pair.key)
        },
    );
    pair.handle(Input::Key {
        id: pair.key.id(),
        outcome: KeyOutcome::Present(Arc::new(record)),
    });
    pair.advance(Duration::from_secs(10));
    pair.reply(b"answer..");
    assert_eq!(
        (pair.said(), pair.closed()),
        (vec![Said::Error(-404)], Some(Cause::KeyAbsent))
    );
}

#[test]
fn a_plain_message_may_have_4_kib_before_a_key_is_shown_and_no_more() {
    let mut pair = Pair::new(Framing::Intermediate);
    pair.send_payload(&plain::build(MsgId(4), &[1; 4096 - 20]));
    assert!(matches!(
        pair.effects.as_slice(),
        [Effect::Exchange { starts: false, .. }]
    ));
    pair.send_payload(&plain::build(MsgId(4), &[1; 4096 - 20 + 4]));
    assert_eq!(
        (pair.said(), pair.closed()),
        (vec![], Some(Cause::Transport(Error::TooLarge)))
    );
}

#[test]
fn a_large_first_message_waits_until_its_key_is_found() {
    let mut pair = Pair::new(Framing::Abridged);
    let body = vec![7; 100_000];
    let sealed = pair.seal(&body);
    let bytes = pair.frame(&sealed, false);
    pair.receive(&bytes[..1000]);
    assert!(pair.asks_for_key());
    assert!(!pair.link.wants_input());
    pair.find_key();
    assert!(pair.link.wants_input());
    pair.receive(&bytes[1000..]);
    assert_eq!(pair.bodies(), [body]);
}

#[test]
fn a_large_message_behind_a_small_one_goes_on_when_their_key_is_found() {
    let mut pair = Pair::new(Framing::Abridged);
    let (small, large) = (vec![7; 100], vec![8; 5_000]);
    let mut bytes = Vec::new();
    for body in [&small, &large] {
        let sealed = pair.seal(body);
        bytes.extend(pair.frame(&sealed, false));
    }
    // All in one read: nothing more comes that would wake the link.
    pair.receive(&bytes);
    pair.find_key();
    assert_eq!(pair.bodies(), [small, large]);
}

#[test]
fn a_quick_ack_is_sent_only_once_the_host_says_so_and_passes_the_obfuscation() {
    for framing in [
        Framing::Abridged,
        Framing::Intermediate,
        Framing::PaddedIntermediate,
    ] {
        let config = client::Config::new(framing).obfuscated(Obfuscation::default());
        let mut pair = Pair::with(&config);
        let sealed = pair.seal(b"text");
        let bytes = pair.frame(&sealed, true);
        pair.receive(&bytes);
        pair.find_key();
        assert!(
            pair.said().is_empty(),
            "not before the host has checked the message"
        );

        let Some(Effect::Frame(Frame {
            quick_ack: Some(token),
            ..
        })) = pair.effects.pop()
        else {
            panic!("{framing:?}: no token");
        };
        let link = pair.link.id;
        pair.send_from_host(vec![FromHost::QuickAck { link, token }]);
        pair.reply(b"answer..");
        assert_eq!(
            pair.said(),
            [Said::QuickAck(token), Said::Body(b"answer..".to_vec())]
        );
    }
}

#[test]
fn a_quick_ack_that_nobody_asked_for_has_no_token() {
    let mut pair = Pair::new(Framing::Abridged);
    pair.find_key_of(b"text");
    assert!(matches!(
        pair.effects.as_slice(),
        [
            ..,
            Effect::Frame(Frame {
                quick_ack: None,
                is_http: false,
                term: None,
                trace: None,
                ..
            })
        ]
    ));
}

#[test]
fn what_the_host_says_is_written_in_its_order() {
    let mut pair = Pair::new(Framing::Intermediate);
    pair.find_key_of(b"text");
    let link = pair.link.id;
    let seals = [b"1st.", b"2nd."].map(|body| pair.seal_item(body));
    let [first, second] = seals;
    pair.send_from_host(vec![
        first,
        FromHost::QuickAck {
            link,
            token: 0x8000_0001,
        },
        second,
        FromHost::Close {
            link,
            code: Some(-429),
        },
        FromHost::QuickAck {
            link,
            token: 0x8000_0002,
        },
    ]);
    assert_eq!(
        pair.said(),
        [
            Said::Body(b"1st.".to_vec()),
            Said::QuickAck(0x8000_0001),
            Said::Body(b"2nd.".to_vec()),
            Said::Error(-429)
        ]
    );
    assert_eq!(pair.closed(), Some(Cause::Host));
}

#[test]
fn what_stands_before_a_bad_frame_is_delivered_and_what_stands_behind_is_not() {
    let mut pair = Pair::new(Framing::Abridged);
    pair.find_key_of(b"1st.");
    let (good, mut bad, late) = (pair.seal(b"good"), pair.seal(b"bad."), pair.seal(b"late"));
    bad[30] ^= 1;
    let mut bytes = pair.frame(&good, false);
    bytes.extend(pair.frame(&bad, false));
    bytes.extend(pair.frame(&late, false));
    pair.receive(&bytes);
    assert_eq!(pair.bodies(), [b"1st.", b"good"]);
    assert_eq!(
        (pair.said(), pair.closed()),
        (vec![Said::Error(-404)], Some(Cause::InvalidMessage))
    );
}

#[test]
fn an_exchange_is_handed_on_and_its_answer_written() {
    let mut pair = Pair::new(Framing::Intermediate);
    let query = mtproto::ReqPqMulti { nonce: [3; 16] }.to_bytes();
    pair.send_payload(&plain::build(MsgId(4), &query));
    let [Effect::Exchange { body, starts: true }] = pair.effects.as_slice() else {
        panic!("no exchange");
    };
    assert_eq!(*body, query);
    pair.handle(Input::Answer(Bytes::from_static(b"answer..")));
    let said = pair.said();
    let [Said::Payload(payload)] = said.as_slice() else {
        panic!("no answer")
    };
    let answer = plain::parse(payload).unwrap();
    assert_eq!((answer.body, answer.msg_id.0 & 3), (&b"answer.."[..], 1));
}

#[test]
fn as_many_exchange_messages_wait_for_answers_as_may_and_one_more_is_refused() {
    let mut pair = Pair::new(Framing::Intermediate);
    let query = plain::build(MsgId(4), &[1; 8]);
    for _ in 0..limits::EXCHANGE_MESSAGES_MAX {
        pair.send_payload(&query);
    }
    pair.handle(Input::Answer(Bytes::from_static(b"answer..")));
    pair.send_payload(&query);
    assert_eq!(pair.closed(), None);
    pair.send_payload(&query);
    assert_eq!(pair.closed(), Some(Cause::TooMuch));
}

#[test]
fn who_shows_no_transport_within_10_s_is_closed() {
    let mut pair = Pair::new(Framing::Intermediate);
    pair.receive(&[]);
    pair.advance(Duration::from_secs(10) - NANOSECOND);
    assert_eq!(pair.closed(), None);
    pair.advance(NANOSECOND);
    assert_eq!(pair.closed(), Some(Cause::DetectTimeout));
}

#[test]
fn a_frame_has_30_s_from_its_first_byte_and_the_next_one_has_them_anew() {
    let mut pair = Pair::new(Framing::Abridged);
    pair.find_key_of(b"text");
    let sealed = pair.seal(b"slow");
    let slow = pair.frame(&sealed, false);
    pair.receive(&slow[..9]);
    pair.advance(Duration::from_secs(29));
    pair.receive(&slow[9..slow.len() - 1]);
    pair.receive(&[&slow[slow.len() - 1..], &slow[..9]].concat());
    pair.advance(Duration::from_secs(30) - NANOSECOND);
    assert_eq!(pair.closed(), None);
    pair.advance(NANOSECOND);
    assert_eq!(pair.closed(), Some(Cause::FrameTimeout));
}

#[test]
fn a_stranger_has_60_s_to_make_or_show_a_key() {
    let mut pair = Pair::new(Framing::Intermediate);
    pair.send_payload(&plain::build(MsgId(4), &[1; 8]));
    pair.advance(Duration::from_secs(60) - NANOSECOND);
    assert_eq!(pair.closed(), None);
    pair.advance(NANOSECOND);
    assert_eq!(pair.closed(), Some(Cause::HandshakeTimeout));
}

#[test]
fn who_has_made_a_key_is_no_stranger() {
    let mut pair = Pair::new(Framing::Intermediate);
    pair.send_payload(&plain::build(MsgId(4), &[1; 8]));
    let ok = mtproto::DhGenOk {
        nonce: [1; 16],
        server_nonce: [2; 16],
        new_nonce_hash1: [3; 16],
    };
    pair.handle(Input::Answer(ok.to_bytes().into()));
    pair.advance(Duration::from_secs(119));
    assert_eq!(pair.closed(), None);
}

#[test]
fn who_sends_no_frame_for_120_s_is_closed() {
    let mut pair = Pair::new(Framing::Intermediate);
    pair.find_key_of(b"text");
    pair.advance(Duration::from_secs(119));
    pair.send(b"text");
    pair.advance(Duration::from_secs(120) - NANOSECOND);
    assert_eq!(pair.closed(), None);
    pair.advance(NANOSECOND);
    assert_eq!(pair.closed(), Some(Cause::Idle));
}

#[test]
fn a_closed_link_says_and_wants_nothing_more() {
    let mut pair = Pair::new(Framing::Intermediate);
    pair.find_key_of(b"text");
    pair.handle(Input::Refuse { code: Some(-404) });
    assert_eq!(pair.said(), [Said::Error(-404)]);
    pair.effects.clear();
    pair.send(b"more");
    pair.reply(b"answer..");
    pair.advance(Duration::from_secs(3600));
    assert!(pair.effects.is_empty() && pair.said().is_empty());
    assert_eq!(
        (pair.link.next_deadline(), pair.link.wants_input()),
        (None, false)
    );
}

proptest! {
    #[test]
    fn whatever_comes_and_however_it_is_cut_a_link_closes_at_most_once_and_then_wants_nothing(
        prefix in prop::sample::select(PREFIXES),
        bytes in prop::collection::vec(any::<u8>(), 0..2000),
        cut in 1_usize..500,
    ) {
        let mut pair = Pair::new(Framing::Abridged);
        for chunk in [prefix, &bytes].concat().chunks(cut) {
            pair.receive(chunk);
        }
        pair.advance(Duration::from_secs(3600));
        let closes = |effect: &Effect| matches!(effect, Effect::Close { .. });
        prop_assert_eq!(pair.effects.iter().filter(|effect| closes(effect)).count(), 1);
        prop_assert!(pair.effects.last().is_some_and(closes));
    }
}
