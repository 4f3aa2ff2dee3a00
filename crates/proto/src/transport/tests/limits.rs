//! Both sides of every size limit, and the memory that a peer can make us hold.

use std::sync::Arc;

use heliogram_crypto::AuthKeyId;

use super::super::{Error, Framing, client, server};
use super::support::{
    Told, Understood, client, hear, payloads, told_padding, trusting, understand,
};
use crate::limits::{FRAME_BYTES_MAX_BEFORE_KEY, FRAME_BYTES_MAX_CLIENT, FRAME_BYTES_MAX_SERVER};

const FRAMINGS: [Framing; 4] = [
    Framing::Abridged,
    Framing::Intermediate,
    Framing::PaddedIntermediate,
    Framing::Full,
];

#[test]
fn a_stranger_may_send_a_plain_message_of_4096_bytes_and_not_of_4100() {
    for framing in FRAMINGS {
        let exact = plain(FRAME_BYTES_MAX_BEFORE_KEY);
        let mut transport = stranger();
        let heard = hear(&mut transport, [framed(framing, &exact, &[]).as_slice()]);
        assert_eq!(
            (heard.payloads, heard.result),
            (payloads(&[&exact]), Ok(())),
            "{framing:?}"
        );
        let heard = hear(
            &mut stranger(),
            [framed(framing, &plain(FRAME_BYTES_MAX_BEFORE_KEY + 4), &[]).as_slice()],
        );
        assert_eq!(
            (heard.payloads.len(), heard.result),
            (0, Err(Error::TooLarge)),
            "{framing:?}"
        );
    }
}

#[test]
fn a_trusted_client_may_send_a_megabyte_and_not_four_bytes_more() {
    for framing in FRAMINGS {
        let (largest, next) = match framing {
            Framing::Abridged | Framing::Full | Framing::Http | Framing::Intermediate => {
                (FRAME_BYTES_MAX_SERVER, FRAME_BYTES_MAX_SERVER + 4)
            }
            // An envelope is 24 bytes and whole blocks; the rest is padding, which does not count.
            Framing::PaddedIntermediate => (FRAME_BYTES_MAX_SERVER - 8, FRAME_BYTES_MAX_SERVER + 8),
        };
        for padding in [&[][..], &[0; 15]] {
            let mut transport = trusting(server::Config::default());
            let heard = hear(
                &mut transport,
                [framed(framing, &sealed(largest), padding).as_slice()],
            );
            assert_eq!(heard.result, Ok(()), "{framing:?}");
            assert_eq!(heard.payloads, payloads(&[&sealed(largest)]), "{framing:?}");
            let mut transport = trusting(server::Config::default());
            let heard = hear(
                &mut transport,
                [framed(framing, &sealed(next), padding).as_slice()],
            );
            assert_eq!(
                (heard.payloads.len(), heard.result),
                (0, Err(Error::TooLarge)),
                "{framing:?}"
            );
        }
    }
}

#[test]
fn a_client_takes_16_mib_and_not_four_bytes_more() {
    let mut header = u32::try_from(FRAME_BYTES_MAX_CLIENT).unwrap().to_le_bytes();
    let mut receiver = client(&client::Config::new(Framing::Intermediate));
    assert_eq!(understand(&mut receiver, &header), (vec![], Ok(())));
    let mut rest = vec![0; FRAME_BYTES_MAX_CLIENT];
    rest[0] = 1;
    let (understood, result) = understand(&mut receiver, &rest);
    assert!(matches!(&understood[..], [Understood::Payload(payload)] if *payload == rest));
    assert_eq!(result, Ok(()));
    header[0] = 4;
    assert_eq!(
        understand(&mut receiver, &header),
        (vec![], Err(Error::TooLarge))
    );
}

#[test]
fn a_large_frame_from_a_stranger_waits_until_its_key_is_vouched_for() {
    for framing in FRAMINGS {
        let large = sealed(100_008);
        let wire = framed_both(framing, &large, &sealed(40));
        let mut transport = stranger();
        let heard = hear(&mut transport, [wire.as_slice()]);
        assert_eq!(
            (heard.payloads.len(), heard.result),
            (0, Ok(())),
            "{framing:?}"
        );
        assert_eq!(
            transport.claimed_key(),
            Some(AuthKeyId(0x0101_0101_0101_0101)),
            "{framing:?}"
        );
        assert!(transport.has_partial_frame());
        transport.trust();
        let heard = hear(&mut transport, [&[][..]]);
        assert_eq!(
            (heard.payloads, heard.result),
            (payloads(&[&large, &sealed(40)]), Ok(())),
            "{framing:?}"
        );
        assert_eq!(
            (transport.claimed_key(), transport.buffered_bytes()),
            (None, 0),
            "{framing:?}"
        );
    }
}

#[test]
fn nobody_who_is_not_vouched_for_makes_us_hold_more_than_one_read_and_4_kib() {
    let wire = framed(Framing::Intermediate, &sealed(100_008), &[]);
    let mut transport = stranger();
    let mut fed = 0;
    let error = loop {
        let heard = hear(&mut transport, [&wire[fed..fed + 64]]);
        fed += 64;
        if let Err(error) = heard.result {
            break error;
        }
        assert!(transport.buffered_bytes() <= 2 * FRAME_BYTES_MAX_BEFORE_KEY);
    };
    assert_eq!(error, Error::TooLarge);
    assert!(fed <= FRAME_BYTES_MAX_BEFORE_KEY + 128, "{fed}");
}

#[test]
fn a_large_frame_names_its_key_in_its_first_eight_bytes_however_they_come() {
    let wire = framed(Framing::Abridged, &sealed(4104), &[]);
    let mut transport = stranger();
    for (at, byte) in wire.iter().enumerate().take(13) {
        assert_eq!(transport.claimed_key(), None, "{at}");
        assert_eq!(hear(&mut transport, [&[*byte][..]]).result, Ok(()));
    }
    assert_eq!(
        transport.claimed_key(),
        Some(AuthKeyId(0x0101_0101_0101_0101))
    );
    transport.trust();
    assert_eq!(
        hear(&mut transport, [&wire[13..]]).payloads,
        payloads(&[&sealed(4104)])
    );
}

#[test]
fn a_partial_frame_grows_with_what_comes_and_an_idle_connection_holds_nothing() {
    let wire = framed(Framing::Intermediate, &sealed(FRAME_BYTES_MAX_SERVER), &[]);
    let mut transport = trusting(server::Config::default());
    assert_eq!(transport.buffered_bytes(), 0);
    let mut fed = 0;
    for piece in wire.chunks(1000) {
        hear(&mut transport, [piece]);
        fed += piece.len();
        if fed < wire.len() {
            assert!(transport.has_partial_frame());
            assert!(
                transport.buffered_bytes() <= (2 * fed).min(wire.len()),
                "{fed}"
            );
        }
    }
    assert!(!transport.has_partial_frame());
    assert_eq!(transport.buffered_bytes(), 0);
    // Many whole frames in one read: nothing is copied.
    let small = framed(Framing::Intermediate, &sealed(40), &[]);
    assert_eq!(
        hear(&mut transport, [small[4..].repeat(1000).as_slice()])
            .payloads
            .len(),
        1000
    );
    assert_eq!(transport.buffered_bytes(), 0);
}

fn stranger() -> server::Transport {
    server::Transport::new(Arc::new(server::Config::default()))
}

/// A plain message of `bytes` in all.
fn plain(bytes: usize) -> Vec<u8> {
    let mut message = vec![0; bytes];
    message[16..20].copy_from_slice(&u32::try_from(bytes - 20).unwrap().to_le_bytes());
    message
}

/// What could be an envelope: it names a key.
fn sealed(bytes: usize) -> Vec<u8> {
    vec![1; bytes]
}

fn framed(framing: Framing, payload: &[u8], padding: &[u8]) -> Vec<u8> {
    let mut wire = Vec::new();
    let mut sender = client::Transport::new(
        &client::Config::new(framing),
        &mut Told::default(),
        &mut wire,
    )
    .unwrap();
    sender
        .encode(payload, false, &mut told_padding(padding), &mut wire)
        .unwrap();
    wire
}

fn framed_both(framing: Framing, first: &[u8], second: &[u8]) -> Vec<u8> {
    let mut wire = Vec::new();
    let mut sender = client::Transport::new(
        &client::Config::new(framing),
        &mut Told::default(),
        &mut wire,
    )
    .unwrap();
    sender
        .encode(first, false, &mut Told::default(), &mut wire)
        .unwrap();
    sender
        .encode(second, false, &mut Told::default(), &mut wire)
        .unwrap();
    wire
}
