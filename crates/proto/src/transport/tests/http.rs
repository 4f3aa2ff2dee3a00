//! HTTP: what a request must be, what a response looks like, and how errors are told.

use std::sync::Arc;

use super::super::client;
use super::super::server::{Config, Transport};
use super::super::{Error, Framing};
use super::support::{Told, from_hex, hear, payloads, vectors};

#[test]
fn the_request_of_the_vectors_is_read_and_its_response_written() {
    let vector = &vectors("ws_http_proxy")["http"];
    let hex = |name: &str| from_hex(vector[name].as_str().unwrap());
    let (request, body) = (hex("request"), hex("body"));
    for times in 1..=3 {
        for size in [1, 5, 64, 100, 1000] {
            let stream = request.repeat(times);
            let mut transport = server();
            let heard = hear(&mut transport, stream.chunks(size));
            assert_eq!(heard.result, Ok(()), "in pieces of {size}");
            assert_eq!(
                heard.payloads,
                payloads(&vec![&body[..]; times]),
                "in pieces of {size}"
            );
            assert_eq!(transport.framing(), Some(Framing::Http));
            assert!(!transport.has_partial_frame());
        }
    }
    let (mut transport, mut out) = (server(), Vec::new());
    hear(&mut transport, [request.as_slice()]);
    transport
        .encode(&body, &mut Told::default(), &mut out)
        .unwrap();
    assert_eq!(out, hex("response_200"));
}

#[test]
fn a_transport_error_is_a_status_and_a_quick_ack_is_nothing() {
    let mut transport = server();
    hear(&mut transport, [request("/api", "20").as_bytes()]);
    for (code, status) in [
        (-404, "404 Not Found"),
        (-429, "429 Too Many Requests"),
        (-444, "444 Error"),
    ] {
        let mut out = Vec::new();
        transport.encode_error(code, &mut Told::default(), &mut out);
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.starts_with(&format!("HTTP/1.1 {status}\r\n")),
            "{text}"
        );
        assert!(text.ends_with("Content-Length: 0\r\n\r\n"));
    }
    let mut out = Vec::new();
    transport
        .encode_quick_ack(1 << 31, &mut Told::default(), &mut out)
        .unwrap();
    assert!(out.is_empty());
}

#[test]
fn a_request_posts_to_a_known_path_with_one_length() {
    let good = request("/api", "20");
    assert_eq!(read(&good).0, Ok(()));
    for path in ["/apiw", "/apiw1", "/api_test", "/apiw1_test_premium"] {
        assert_eq!(read(&request(path, "20")).0, Ok(()), "{path}");
    }
    for bad in [
        request("/", "20"),
        request("/api/x", "20"),
        request("/api_premium_test", "20"),
        request("/api", "twenty"),
        request("/api", "-20"),
        request("/api", ""),
        request("/api", "99999999999999999999999"),
        good.replace("Content-Length: 20\r\n", ""),
        good.replace("Host", "Content-Length: 20\r\nHost"),
        good.replace("Host", "Transfer-Encoding: chunked\r\nHost"),
        good.replace("HTTP/1.1", "HTTP/1.0"),
        good.replace("POST /", "POST  /"),
        good.replace("Host: a", "no header"),
    ] {
        assert_eq!(read(&bad).0, Err(Error::BadRequest), "{bad}");
    }
}

#[test]
fn a_head_has_4_kib_at_most() {
    let good = request("/api", "20");
    for (length, expected) in [(4096, Ok(())), (4097, Err(Error::BadRequest))] {
        let filler = "x".repeat(length - (good.len() - 20) - "X: \r\n".len());
        let text = good.replace("Host", &format!("X: {filler}\r\nHost"));
        assert_eq!(text.len() - 20, length);
        for size in [7, 10_000] {
            let heard = hear(&mut server(), text.as_bytes().chunks(size));
            assert_eq!(heard.result, expected, "{length} bytes");
        }
    }
}

#[test]
fn a_body_has_a_length_that_a_message_can_have() {
    for (length, expected) in [
        ("0", Err(Error::BadLength)),
        ("4", Err(Error::TooShort)),
        ("20", Ok(())),
        ("22", Err(Error::BadLength)),
        ("1048576", Ok(())),
        ("1048580", Err(Error::TooLarge)),
    ] {
        let mut transport = server();
        transport.trust();
        let head = request("/api", length);
        let heard = hear(&mut transport, [head.as_bytes()]);
        assert_eq!(heard.result, expected, "{length}");
    }
}

#[test]
fn a_post_closes_where_http_is_not_served() {
    let bytes = request("/api", "20");
    for (http, plain, expected) in [
        (true, true, Ok(())),
        (false, true, Err(Error::UnknownTransport)),
        (true, false, Ok(())),
    ] {
        let config = Config {
            http,
            plain,
            ..Config::default()
        };
        let mut transport = Transport::new(Arc::new(config));
        let heard = hear(&mut transport, [bytes.as_bytes()]);
        assert_eq!(heard.result, expected);
        let is_taken = http && plain;
        assert_eq!(
            heard.payloads.len(),
            usize::from(is_taken),
            "else it is noise"
        );
        assert!(heard.out.is_empty());
    }
}

#[test]
fn a_client_does_not_speak_http() {
    let config = client::Config::new(Framing::Http);
    let made = client::Transport::new(&config, &mut Told::default(), &mut Vec::new());
    assert!(matches!(made, Err(Error::Misuse(_))));
}

fn server() -> Transport {
    Transport::new(Arc::new(Config::default()))
}

/// A request with a body of twenty bytes, whatever its length says.
fn request(path: &str, length: &str) -> String {
    let body = "m".repeat(20);
    format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{body}")
}

fn read(text: &str) -> (Result<(), Error>, usize) {
    let heard = hear(&mut server(), [text.as_bytes()]);
    (heard.result, heard.payloads.len())
}
