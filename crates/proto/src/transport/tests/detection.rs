//! Which transport the first bytes mean, on a port that serves all, some or one of them.

use std::sync::Arc;

use super::super::server::{Config, Transport, WebSocket};
use super::super::{Error, Framing};
use super::support::{from_hex, hear, vectors};

#[test]
fn every_beginning_of_the_vectors_is_told_apart() {
    for vector in vectors("ws_http_proxy")["detection"].as_array().unwrap() {
        let result = vector["result"].as_str().unwrap();
        let first = match vector["first_bytes"].as_str().unwrap() {
            "........00000000" => from_hex("3400000000000000"),
            "anything else, 64 bytes" => vec![0x42; 64],
            hex => from_hex(hex),
        };
        let mut transport = Transport::new(Arc::new(Config::default()));
        let heard = hear(&mut transport, [first.as_slice()]);
        let seen = (transport.framing(), heard.result);
        match result {
            "abridged" => assert_eq!(seen, (Some(Framing::Abridged), Ok(()))),
            "intermediate" => assert_eq!(seen, (Some(Framing::Intermediate), Ok(()))),
            "padded intermediate" => assert_eq!(seen, (Some(Framing::PaddedIntermediate), Ok(()))),
            "full, seq 0" => assert_eq!(seen, (Some(Framing::Full), Ok(()))),
            // The vectors have one name for two methods.
            "HTTP" if first == b"POST" => assert_eq!(seen, (Some(Framing::Http), Ok(()))),
            "HTTP"
            | "HTTP (CORS preflight)"
            | "TLS ClientHello (fake TLS when a secret is configured)" => {
                assert_eq!(seen, (None, Err(Error::UnknownTransport)), "{result}");
            }
            // Undecided, or noise to be skipped: neither an answer nor an error.
            _ => assert_eq!(seen, (None, Ok(())), "{result}"),
        }
        assert!(heard.out.is_empty(), "{result}");
    }
}

#[test]
fn a_client_that_stalls_is_still_being_detected() {
    for first in [
        &b""[..],
        b"\xee",
        b"\xee\xee\xee",
        b"\xdd\xdd\xdd",
        b"GE",
        b"\x34\0\0\0\0\0\0",
        &[0x42; 63],
    ] {
        let mut transport = Transport::new(Arc::new(Config::default()));
        assert_eq!(hear(&mut transport, [first]).result, Ok(()), "{first:?}");
        assert!(
            transport.is_detecting() && !transport.has_partial_frame(),
            "{first:?}"
        );
    }
}

#[test]
fn it_is_the_full_framing_only_if_all_four_bytes_of_its_first_number_are_zero() {
    for (at, expected) in [
        (None, Some(Framing::Full)),
        (Some(4), None),
        (Some(5), None),
        (Some(6), None),
        (Some(7), None),
    ] {
        let mut first = [0x34, 0, 0, 0, 0, 0, 0, 0];
        if let Some(at) = at {
            first[at] = 1;
        }
        let mut transport = Transport::new(Arc::new(Config::default()));
        assert_eq!(hear(&mut transport, [&first[..]]).result, Ok(()));
        assert_eq!(transport.framing(), expected, "{at:?}");
    }
}

#[test]
fn an_idle_connection_costs_little() {
    // The state of the largest variant, on the connection's own task; ciphers and WebSocket lie on the heap if used.
    assert!(size_of::<Transport>() <= 256, "{}", size_of::<Transport>());
}

#[test]
fn where_only_obfuscation_is_served_everything_else_is_skipped_in_silence() {
    let config = Arc::new(Config {
        plain: false,
        websocket: WebSocket::Refused,
        ..Config::default()
    });
    for first in [
        &b"\xef"[..],
        b"\xee\xee\xee\xee",
        b"\xdd\xdd\xdd\xdd",
        b"GET ",
        b"POST",
        b"\x16\x03\x01\x02",
    ] {
        let mut bytes = first.to_vec();
        bytes.resize(200, 0);
        let mut transport = Transport::new(Arc::clone(&config));
        let heard = hear(&mut transport, [bytes.as_slice()]);
        assert_eq!(
            (heard.payloads.len(), heard.result, heard.out.len()),
            (0, Ok(()), 0),
            "{first:?}"
        );
        assert!(transport.is_detecting(), "{first:?}");
    }
}

#[test]
fn where_only_plain_framings_are_served_the_rest_is_closed_after_eight_bytes() {
    let config = Config {
        obfuscated: false,
        websocket: WebSocket::Refused,
        ..Config::default()
    };
    let mut transport = Transport::new(Arc::new(config));
    assert_eq!(hear(&mut transport, [&[0x42; 7][..]]).result, Ok(()));
    assert_eq!(
        hear(&mut transport, [&[0x42; 1][..]]).result,
        Err(Error::UnknownTransport)
    );
}

#[test]
fn a_websocket_listener_takes_nothing_but_a_get() {
    let config = Arc::new(Config {
        websocket: WebSocket::Required,
        ..Config::default()
    });
    for (first, expected) in [
        (&b"GET "[..], Ok(())),
        (b"\xef\x05ab", Err(Error::UnknownTransport)),
        (b"\xee\xee\xee\xee", Err(Error::UnknownTransport)),
        (b"POST", Err(Error::UnknownTransport)),
        (b"\x42\x42\x42\x42", Err(Error::UnknownTransport)),
    ] {
        assert_eq!(
            hear(&mut Transport::new(Arc::clone(&config)), [first]).result,
            expected,
            "{first:?}"
        );
    }
}

#[test]
fn a_get_closes_where_websocket_is_not_served() {
    let config = Config {
        websocket: WebSocket::Refused,
        ..Config::default()
    };
    let heard = hear(
        &mut Transport::new(Arc::new(config)),
        [&b"GET / HTTP/1.1\r\n"[..]],
    );
    assert_eq!(
        (heard.result, heard.out.len()),
        (Err(Error::UnknownTransport), 0)
    );
}
