//! Frames that are wrong, and what each is answered with.

use super::super::{Error, Framing, Reaction, client, server};
use super::support::{Told, hear, hear_trusted, payloads, trusting, unhex, vectors};

#[test]
fn every_malformed_frame_of_the_vectors_closes_the_connection_in_silence() {
    for vector in vectors("transport_frames")["malformed"].as_array().unwrap() {
        let why = vector["why"].as_str().unwrap();
        let mut wire = unhex(&vector["hex"]);
        match vector["transport"].as_str().unwrap() {
            "abridged" if wire[0] != 0xef => wire.insert(0, 0xef),
            "intermediate" => drop(wire.splice(..0, [0xee; 4])),
            _ => {}
        }
        let heard = hear_trusted(&wire);
        let expected = match why {
            "bad crc32" => Error::BadChecksum,
            "length above limit" => Error::BadLength,
            // By its first bytes it is not the full framing at all, but the start of an obfuscated header.
            "first packet must have seq 0" => {
                assert_eq!(heard.result, Ok(()), "{why}");
                continue;
            }
            _ => Error::BadLength,
        };
        assert_eq!(heard.result, Err(expected), "{why}");
        assert_eq!(expected.reaction(), Reaction::Close, "{why}");
        assert_eq!((heard.payloads.len(), heard.out.len()), (0, 0), "{why}");
    }
}

#[test]
fn a_four_byte_intermediate_frame_is_refused_with_404() {
    let heard = hear_trusted(b"\xee\xee\xee\xee\x04\0\0\0\x6c\xfe\xff\xff");
    assert_eq!(heard.result, Err(Error::TooShort));
    assert_eq!(Error::TooShort.reaction(), Reaction::Refuse { code: -404 });
}

#[test]
fn a_payload_of_16_bytes_is_too_short_for_a_message_and_one_of_20_is_not() {
    for framing in [Framing::Abridged, Framing::Intermediate, Framing::Full] {
        assert_eq!(
            hear_trusted(&framed(framing, &[1; 16])).result,
            Err(Error::TooShort),
            "{framing:?}"
        );
        assert_eq!(
            hear_trusted(&framed(framing, &[1; 20])).payloads,
            payloads(&[&[1; 20]]),
            "{framing:?}"
        );
    }
}

#[test]
fn an_empty_full_frame_closes() {
    let mut wire = vec![12, 0, 0, 0, 0, 0, 0, 0];
    wire.extend_from_slice(&crc32fast::hash(&wire).to_le_bytes());
    assert_eq!(hear_trusted(&wire).result, Err(Error::BadLength));
}

#[test]
fn a_full_frame_shorter_than_its_own_header_closes() {
    for total in 0..12 {
        let heard = hear_trusted(&[total, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(heard.result, Err(Error::BadLength), "{total}");
    }
}

#[test]
fn a_length_of_2_to_the_31_closes_in_every_framing_and_reserves_nothing() {
    for wire in [
        &b"\xee\xee\xee\xee\0\0\0\x80"[..],
        b"\xdd\xdd\xdd\xdd\0\0\0\x80",
        b"\xee\xee\xee\xee\xff\xff\xff\xff",
        b"\xee\xee\xee\xee\xfc\xff\xff\x7f",
        b"\xdd\xdd\xdd\xdd\xff\xff\xff\x7f",
        b"\0\0\0\x80\0\0\0\0",
        b"\xff\xff\xff\xff\0\0\0\0",
        b"\xfc\xff\xff\x7f\0\0\0\0",
        b"\xef\x7f\xff\xff\xff",
        b"\xef\xff\xff\xff\xff",
    ] {
        let mut transport = trusting(server::Config::default());
        let heard = hear(&mut transport, [wire]);
        assert!(
            matches!(heard.result, Err(Error::BadLength | Error::TooLarge)),
            "{wire:02x?}: {heard:?}"
        );
        assert!(transport.buffered_bytes() <= 8, "{wire:02x?}");
    }
}

#[test]
fn a_wrong_checksum_closes() {
    let mut wire = framed(Framing::Full, &[1; 24]);
    for at in [8, wire.len() - 5, wire.len() - 1] {
        wire[at] ^= 1;
        assert_eq!(hear_trusted(&wire).result, Err(Error::BadChecksum), "{at}");
        wire[at] ^= 1;
    }
    assert_eq!(hear_trusted(&wire).result, Ok(()));
}

#[test]
fn a_full_frame_that_is_repeated_skipped_or_starts_late_closes() {
    let mut sender = client::Transport::new(
        &client::Config::new(Framing::Full),
        &mut Told::default(),
        &mut Vec::new(),
    );
    let sender = sender.as_mut().unwrap();
    let frames: Vec<Vec<u8>> = (0..3)
        .map(|_| {
            let mut frame = Vec::new();
            sender
                .encode(&[1; 24], false, &mut Told::default(), &mut frame)
                .unwrap();
            frame
        })
        .collect();
    let order = |numbers: &[usize]| -> Vec<u8> {
        numbers
            .iter()
            .flat_map(|&number| frames[number].clone())
            .collect()
    };
    assert_eq!(hear_trusted(&order(&[0, 1, 2])).result, Ok(()));
    for wrong in [[0, 0], [0, 2]] {
        let heard = hear_trusted(&order(&wrong));
        assert_eq!(heard.result, Err(Error::OutOfSequence));
        assert_eq!(heard.payloads.len(), 1);
    }
    // Without a zero sequence number nothing says that it is the full framing.
    assert_eq!(hear_trusted(&order(&[1, 2])).result, Ok(()));
    assert!(hear_trusted(&order(&[1, 2])).payloads.is_empty());
}

#[test]
fn a_zero_length_closes_in_every_framing() {
    for wire in [
        &b"\xef\x00"[..],
        b"\xef\x80",
        b"\xee\xee\xee\xee\0\0\0\0",
        b"\xdd\xdd\xdd\xdd\0\0\0\0",
        b"\xdd\xdd\xdd\xdd\0\0\0\x80",
    ] {
        assert_eq!(
            hear_trusted(wire).result,
            Err(Error::BadLength),
            "{wire:02x?}"
        );
    }
}

#[test]
fn a_length_that_is_not_a_multiple_of_four_closes_unless_padded() {
    for odd in [21u8, 22, 23] {
        let frame = |prefix: u8| {
            let mut wire = vec![prefix; 4];
            wire.extend_from_slice(&[odd, 0, 0, 0]);
            wire.resize(8 + usize::from(odd), 1);
            wire
        };
        assert_eq!(
            hear_trusted(&frame(0xee)).result,
            Err(Error::BadLength),
            "{odd}"
        );
        assert_eq!(hear_trusted(&frame(0xdd)).result, Ok(()), "{odd}");
        let full = [odd + 12, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(hear_trusted(&full).result, Err(Error::BadLength), "{odd}");
    }
}

#[test]
fn the_long_abridged_form_is_refused_for_126_words_and_required_for_127() {
    let mut wire = vec![0xef, 0x7f, 126, 0, 0];
    wire.resize(5 + 126 * 4, 1);
    assert_eq!(hear_trusted(&wire).result, Err(Error::BadLength));
    let mut wire = vec![0xef, 0x7f, 127, 0, 0];
    wire.resize(5 + 127 * 4, 1);
    assert_eq!(hear_trusted(&wire).payloads, payloads(&[&[1; 127 * 4]]));
}

#[test]
fn an_error_is_final_and_what_came_before_it_is_delivered() {
    let mut wire = framed(Framing::Intermediate, &[1; 24]);
    wire.extend_from_slice(&[0, 0, 0, 0]);
    wire.extend_from_slice(&framed(Framing::Intermediate, &[2; 24])[4..]);
    let mut transport = trusting(server::Config::default());
    let heard = hear(&mut transport, [wire.as_slice()]);
    assert_eq!(heard.payloads, payloads(&[&[1; 24]]));
    assert_eq!(heard.result, Err(Error::BadLength));
    let again = hear(
        &mut transport,
        [&framed(Framing::Intermediate, &[3; 24])[4..]],
    );
    assert_eq!(
        (again.payloads.len(), again.result),
        (0, Err(Error::BadLength))
    );
}

#[test]
fn a_transport_error_can_still_be_said_after_a_refusal() {
    let mut transport = trusting(server::Config::default());
    assert_eq!(
        hear(&mut transport, [&b"\xef\x01abcd"[..]]).result,
        Err(Error::TooShort)
    );
    let mut out = Vec::new();
    transport.encode_error(-404, &mut Told::default(), &mut out);
    assert_eq!(out, b"\x01\x6c\xfe\xff\xff");
}

/// A client's prefix and one frame.
fn framed(framing: Framing, payload: &[u8]) -> Vec<u8> {
    let mut wire = Vec::new();
    let mut sender = client::Transport::new(
        &client::Config::new(framing),
        &mut Told::default(),
        &mut wire,
    )
    .unwrap();
    sender
        .encode(payload, false, &mut Told::default(), &mut wire)
        .unwrap();
    wire
}
