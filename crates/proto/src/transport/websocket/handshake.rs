//! The opening handshake, both roles: one HTTP request, one answer.
//!
//! Source: RFC 6455, section 4.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use heliogram_crypto::hash::sha1;
use rand_core::CryptoRng;

use super::super::error::Error;
use super::head::Head;

/// The server's end, while the request comes.
#[derive(Debug, Default)]
pub(in super::super) struct Upgrading {
    head: Head,
}

impl Upgrading {
    /// Takes the request from the front of `input`; `true` once it is answered with 101.
    ///
    /// A request that is refused is answered, too, in `out`.
    pub(in super::super) fn take(
        &mut self,
        input: &mut &mut [u8],
        out: &mut Vec<u8>,
    ) -> Result<bool, Error> {
        match self.head.take(input) {
            Ok(true) => {}
            Ok(false) => return Ok(false),
            Err(_) => return Err(refuse(Refusal::TooLarge, out)),
        }
        match accept(self.head.bytes()) {
            Ok(token) => {
                write_accepted(&token, out);
                Ok(true)
            }
            Err(refusal) => Err(refuse(refusal, out)),
        }
    }

    pub(in super::super) fn buffered_bytes(&self) -> usize {
        self.head.buffered_bytes()
    }
}

/// The client's end, while the answer comes.
#[derive(Debug)]
pub(in super::super) struct Asking {
    head: Head,
    token: String,
}

impl Asking {
    /// Appends the request to `out`.
    pub(in super::super) fn start(
        host: &str,
        path: &str,
        rng: &mut dyn CryptoRng,
        out: &mut Vec<u8>,
    ) -> Self {
        let mut nonce = [0; 16];
        rng.fill_bytes(&mut nonce);
        let key = BASE64.encode(nonce);
        for piece in [
            "GET ",
            path,
            " HTTP/1.1\r\nHost: ",
            host,
            "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: ",
            &key,
            "\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: binary\r\n\r\n",
        ] {
            out.extend_from_slice(piece.as_bytes());
        }
        Self {
            head: Head::default(),
            token: token(key.as_bytes()),
        }
    }

    /// Takes the answer from the front of `input`; `true` once it is there and right.
    pub(in super::super) fn take(&mut self, input: &mut &mut [u8]) -> Result<bool, Error> {
        if !self.head.take(input)? {
            return Ok(false);
        }
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut response = httparse::Response::new(&mut headers);
        let is_whole = response
            .parse(self.head.bytes())
            .is_ok_and(|status| status.is_complete());
        let is_right = is_whole
            && response.code == Some(101)
            && one(response.headers, "upgrade")
                .is_some_and(|value| value.eq_ignore_ascii_case(b"websocket"))
            && lists(response.headers, "connection", "upgrade")
            && one(response.headers, "sec-websocket-accept") == Some(self.token.as_bytes())
            && one(response.headers, "sec-websocket-protocol") == Some(b"binary")
            && one(response.headers, "sec-websocket-extensions").is_none();
        if is_right {
            Ok(true)
        } else {
            Err(Error::BadHandshake)
        }
    }
}

/// Why a request is refused.
#[derive(Clone, Copy)]
enum Refusal {
    Malformed,
    Method,
    Path,
    TooLarge,
    Version,
}

/// Checks a request; returns the token that accepts it.
fn accept(head: &[u8]) -> Result<String, Refusal> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    if !request.parse(head).is_ok_and(|status| status.is_complete()) || request.version != Some(1) {
        return Err(Refusal::Malformed);
    }
    if request.method != Some("GET") {
        return Err(Refusal::Method);
    }
    if !request.path.is_some_and(is_served_path) {
        return Err(Refusal::Path);
    }
    let headers = &*request.headers;
    if !lists(headers, "upgrade", "websocket") || !lists(headers, "connection", "upgrade") {
        return Err(Refusal::Malformed);
    }
    if one(headers, "sec-websocket-version") != Some(b"13") {
        return Err(Refusal::Version);
    }
    if !lists(headers, "sec-websocket-protocol", "binary") || one(headers, "host").is_none() {
        return Err(Refusal::Malformed);
    }
    let key = one(headers, "sec-websocket-key").ok_or(Refusal::Malformed)?;
    if BASE64.decode(key).map(|nonce| nonce.len()) != Ok(16) {
        return Err(Refusal::Malformed);
    }
    Ok(token(key))
}

/// `/apiws`, with `_test` and `_premium` in this order; what follows a `?` is ignored.
fn is_served_path(target: &str) -> bool {
    let path = target.split_once('?').map_or(target, |(path, _)| path);
    let Some(suffix) = path.strip_prefix("/apiws") else {
        return false;
    };
    let suffix = suffix.strip_prefix("_test").unwrap_or(suffix);
    suffix.strip_prefix("_premium").unwrap_or(suffix).is_empty()
}

/// Returns the value of a header that occurs once.
pub(in super::super) fn one<'h>(headers: &[httparse::Header<'h>], name: &str) -> Option<&'h [u8]> {
    let mut found = headers
        .iter()
        .filter(|header| header.name.eq_ignore_ascii_case(name));
    let first = found.next()?;
    if found.next().is_some() {
        None
    } else {
        Some(first.value.trim_ascii())
    }
}

/// Tells whether a header that is a list, which may be spread over several, contains `item`.
fn lists(headers: &[httparse::Header<'_>], name: &str, item: &str) -> bool {
    headers
        .iter()
        .filter(|header| header.name.eq_ignore_ascii_case(name))
        .flat_map(|header| header.value.split(|&byte| byte == b','))
        .any(|found| found.trim_ascii().eq_ignore_ascii_case(item.as_bytes()))
}

/// Shows that the request was understood.
fn token(key: &[u8]) -> String {
    BASE64.encode(sha1(&[key, GUID]))
}

fn write_accepted(token: &str, out: &mut Vec<u8>) {
    for piece in [
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ",
        token,
        "\r\nSec-WebSocket-Protocol: binary\r\n\r\n",
    ] {
        out.extend_from_slice(piece.as_bytes());
    }
}

fn refuse(refusal: Refusal, out: &mut Vec<u8>) -> Error {
    let (status, extra) = match refusal {
        Refusal::Malformed => ("400 Bad Request", ""),
        Refusal::Method => ("405 Method Not Allowed", "Allow: GET\r\n"),
        Refusal::Path => ("404 Not Found", ""),
        Refusal::TooLarge => ("431 Request Header Fields Too Large", ""),
        Refusal::Version => ("426 Upgrade Required", "Sec-WebSocket-Version: 13\r\n"),
    };
    for piece in [
        "HTTP/1.1 ",
        status,
        "\r\n",
        extra,
        "Connection: close\r\nContent-Length: 0\r\n\r\n",
    ] {
        out.extend_from_slice(piece.as_bytes());
    }
    Error::BadHandshake
}

/// Fixed by RFC 6455.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// More header fields than this are refused; browsers send some twenty.
const HEADERS_MAX: usize = 64;
