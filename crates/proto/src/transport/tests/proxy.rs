//! PROXY headers.

use std::sync::Arc;

use super::super::server::{Config, Transport};
use super::super::{Error, ProxyHeader};
use super::support::{hear, payloads, unhex, vectors};

#[test]
fn every_header_of_the_vectors_is_read_and_the_stream_goes_on_behind_it() {
    for vector in vectors("ws_http_proxy")["proxy_protocol"]
        .as_array()
        .unwrap()
    {
        let name = vector["name"].as_str().unwrap();
        let header = unhex(&vector["hex"]);
        assert_eq!(header.len() as u64, vector["length"].as_u64().unwrap());
        let address = |field: &str| vector[field].as_str().map(|text| text.parse().unwrap());
        let expected = ProxyHeader {
            source: address("source"),
            destination: address("destination"),
        };

        let mut transport = behind_proxy();
        let heard = hear(
            &mut transport,
            [[&header[..], b"\xef\x05twenty bytes of text"]
                .concat()
                .as_slice()],
        );
        assert_eq!(transport.announced(), Some(expected), "{name}");
        assert_eq!(transport.announced_peer(), expected.source, "{name}");
        assert_eq!(
            (heard.payloads, heard.result),
            (payloads(&[b"twenty bytes of text"]), Ok(())),
            "{name}"
        );
        assert_eq!(transport.buffered_bytes(), 0, "{name}");

        let mut transport = behind_proxy();
        for (at, byte) in header.iter().enumerate() {
            assert!(transport.awaits_proxy_header(), "{name} {at}");
            assert_eq!(
                hear(&mut transport, [&[*byte][..]]).result,
                Ok(()),
                "{name} {at}"
            );
        }
        assert!(!transport.awaits_proxy_header() && transport.is_detecting());
        assert_eq!(transport.announced(), Some(expected), "{name}");
    }
}

#[test]
fn a_connection_without_the_header_closes_where_it_is_required() {
    for first in [
        &b"\xef"[..],
        b"\xee\xee\xee\xee",
        b"GET /apiws",
        b"POST",
        b"PROXZ",
        b"\r\n\r\n\0\r\nQUIT\r",
    ] {
        assert_eq!(
            hear(&mut behind_proxy(), [first]).result,
            Err(Error::BadProxyHeader),
            "{first:?}"
        );
    }
}

#[test]
fn a_header_where_none_is_expected_is_no_transport() {
    let config = Config {
        obfuscated: false,
        ..Config::default()
    };
    let mut transport = Transport::new(Arc::new(config));
    assert_eq!(
        hear(&mut transport, [&b"PROXY TCP4 "[..]]).result,
        Err(Error::UnknownTransport)
    );
}

#[test]
fn malformed_lines_of_version_1_close() {
    for line in [
        "PROXY\r\n",
        "PROXY \r\n",
        "PROXY TCP4\r\n",
        "PROXY TCP5 192.0.2.1 198.51.100.2 1 2\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 1\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 1 2 3\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 1  2\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 +1 2\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 1 65536\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2  \r\n",
        "PROXY TCP4 192.0.2.256 198.51.100.2 1 2\r\n",
        "PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n",
        "PROXY TCP6 192.0.2.1 198.51.100.2 1 2\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 1 2\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 1 \u{fc}\r\n",
    ] {
        assert_eq!(
            hear(&mut behind_proxy(), [line.as_bytes()]).result,
            Err(Error::BadProxyHeader),
            "{line:?}"
        );
    }
}

#[test]
fn a_line_of_107_bytes_is_read_and_one_of_108_closes() {
    for (bytes, expected) in [(107, Ok(())), (108, Err(Error::BadProxyHeader))] {
        let line = format!("PROXY UNKNOWN {}\r\n", "f".repeat(bytes - 16));
        assert_eq!(line.len(), bytes);
        assert_eq!(
            hear(&mut behind_proxy(), [line.as_bytes()]).result,
            expected
        );
    }
    // Without any end, no more is read either.
    let endless = "PROXY ".to_owned() + &"f".repeat(102);
    assert_eq!(
        hear(&mut behind_proxy(), [endless.as_bytes()]).result,
        Err(Error::BadProxyHeader)
    );
}

#[test]
fn malformed_headers_of_version_2_close() {
    let header = |version_command: u8, family: u8, body: usize| {
        let [high, low] = u16::try_from(body).unwrap().to_be_bytes();
        let mut bytes = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
        bytes.extend_from_slice(&[version_command, family, high, low]);
        bytes.resize(16 + body, 0);
        bytes
    };
    for (wrong, what) in [
        (header(0x11, 0x11, 12), "version 1"),
        (header(0x31, 0x11, 12), "version 3"),
        (header(0x22, 0x11, 12), "unknown command"),
        (header(0x21, 0x11, 11), "TCP4, too short"),
        (header(0x21, 0x21, 35), "TCP6, too short"),
        (header(0x21, 0x31, 215), "UNIX, too short"),
        (header(0x21, 0x41, 12), "unknown family"),
        (header(0x21, 0x12, 12), "UDP4"),
        (header(0x21, 0x11, 2049), "too long"),
    ] {
        assert_eq!(
            hear(&mut behind_proxy(), [wrong.as_slice()]).result,
            Err(Error::BadProxyHeader),
            "{what}"
        );
    }
    for (right, what) in [
        (header(0x21, 0x11, 12), "TCP4"),
        (header(0x21, 0x21, 36), "TCP6"),
        (header(0x21, 0x31, 216), "UNIX"),
        (header(0x21, 0x11, 2048), "longest"),
        (header(0x20, 0x99, 5), "LOCAL, whatever it says"),
    ] {
        let mut transport = behind_proxy();
        assert_eq!(
            hear(&mut transport, [right.as_slice()]).result,
            Ok(()),
            "{what}"
        );
        assert!(transport.announced().is_some(), "{what}");
    }
}

fn behind_proxy() -> Transport {
    Transport::new(Arc::new(Config {
        proxy_header: true,
        ..Config::default()
    }))
}
