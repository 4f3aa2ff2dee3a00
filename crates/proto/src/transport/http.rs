//! HTTP as a framing: the body of each request is one payload, and so is the body of each response.
//!
//! As little of HTTP as that needs: `POST` to a known path, HTTP/1.1, a length in front. There are no quick acks, and
//! transport errors are statuses. A server may write only in response to a request: its session sees to that.
//!
//! Source: <https://core.telegram.org/mtproto/transports#http>.

use super::error::Error;
use super::frame::{Extent, Head};
use super::websocket::one;
use crate::limits::HTTP_REQUEST_HEAD_BYTES_MAX;

/// Reads a request's head.
pub(super) fn head(bytes: &[u8]) -> Result<Head, Error> {
    let searched = bytes.get(..HTTP_REQUEST_HEAD_BYTES_MAX).unwrap_or(bytes);
    let end = searched.windows(END.len()).position(|it| it == END);
    let Some(end) = end else {
        if searched.len() == HTTP_REQUEST_HEAD_BYTES_MAX {
            return Err(Error::BadRequest);
        }
        return Ok(Head::Need(bytes.len() + missing(bytes)));
    };
    let header_bytes = end + END.len();
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let parsed = request.parse(searched);
    let is_right = parsed.is_ok_and(|status| status.is_complete())
        && request.version == Some(1)
        && request.method == Some("POST")
        && request.path.is_some_and(is_served_path)
        && one(request.headers, "transfer-encoding").is_none();
    let length = one(request.headers, "content-length").filter(|_| is_right);
    let payload_bytes = length.and_then(number).ok_or(Error::BadRequest)?;
    Ok(Head::Frame(Extent {
        header_bytes,
        payload_bytes,
        trailer_bytes: 0,
        quick_ack: false,
    }))
}

/// Appends what stands in front of a response's payload.
pub(super) fn write_header(payload_bytes: usize, out: &mut Vec<u8>) {
    for piece in [
        "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Type: application/octet-stream\r\n\
         Pragma: no-cache\r\nCache-Control: no-store\r\nContent-Length: ",
        &payload_bytes.to_string(),
        "\r\n\r\n",
    ] {
        out.extend_from_slice(piece.as_bytes());
    }
}

/// Appends a transport error: the connection is closed after it.
pub(super) fn write_error(code: i32, out: &mut Vec<u8>) {
    let reason = match code {
        -400 => "Bad Request",
        -403 => "Forbidden",
        -404 => "Not Found",
        -429 => "Too Many Requests",
        _ => "Error",
    };
    for piece in [
        "HTTP/1.1 ",
        &code.unsigned_abs().to_string(),
        " ",
        reason,
        "\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
    ] {
        out.extend_from_slice(piece.as_bytes());
    }
}

/// `/api`, `/apiw` or `/apiw1`, with `_test` and `_premium` in this order.
fn is_served_path(path: &str) -> bool {
    let suffix = ["/apiw1", "/apiw", "/api"]
        .into_iter()
        .find_map(|base| path.strip_prefix(base));
    suffix.is_some_and(|suffix| {
        let suffix = suffix.strip_prefix("_test").unwrap_or(suffix);
        suffix.strip_prefix("_premium").unwrap_or(suffix).is_empty()
    })
}

/// Reads digits and nothing else.
fn number(text: &[u8]) -> Option<usize> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    core::str::from_utf8(text).ok()?.parse().ok()
}

/// Returns how many bytes the end of a head lacks at least: no byte behind it is asked for.
fn missing(bytes: &[u8]) -> usize {
    let matched = (1..END.len()).rev().find(|&count| {
        let begin = END.get(..count).unwrap_or_default();
        bytes.ends_with(begin)
    });
    END.len() - matched.unwrap_or(0)
}

/// Ends a head.
const END: &[u8] = b"\r\n\r\n";

/// More header fields than this are refused; browsers send some twenty.
const HEADERS_MAX: usize = 64;
