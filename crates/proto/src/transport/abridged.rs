//! The abridged framing: the payload's length in words, in one byte, or as `7f` and three bytes.
//!
//! A server's quick ack is the token, byte-swapped, without a length: its first byte has the high bit, which no
//! length of a server has.
//!
//! Source: <https://core.telegram.org/mtproto/mtproto-transports#abridged>.

use super::error::Error;
use super::frame::{Extent, Head};
use crate::side::{Side, is_server};

/// Reads what stands in front of a frame that `S` receives.
pub(super) fn head<S: Side>(bytes: &[u8]) -> Result<Head, Error> {
    let Some(&first) = bytes.first() else {
        return Ok(Head::Need(1));
    };
    let flagged = first & FLAG != 0;
    if flagged && !is_server::<S>() {
        let Some(&token) = bytes.first_chunk::<4>() else {
            return Ok(Head::Need(4));
        };
        return Ok(Head::Token(u32::from_be_bytes(token)));
    }
    let short = first & !FLAG;
    let (header_bytes, words) = if short == LONG {
        let Some(&[_, low, mid, high]) = bytes.first_chunk::<4>() else {
            return Ok(Head::Need(4));
        };
        let words = u32::from_le_bytes([low, mid, high, 0]);
        if words < u32::from(LONG) {
            return Err(Error::BadLength);
        }
        (4, words)
    } else {
        (1, u32::from(short))
    };
    let payload_bytes = usize::try_from(words)
        .map_err(|_| Error::TooLarge)?
        .saturating_mul(4);
    Ok(Head::Frame(Extent {
        header_bytes,
        payload_bytes,
        trailer_bytes: 0,
        quick_ack: flagged,
    }))
}

/// Appends the header of a payload of `payload_bytes`.
pub(super) fn write_header(
    payload_bytes: usize,
    quick_ack: bool,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    let words = u32::try_from(payload_bytes / 4)
        .ok()
        .filter(|&words| words <= WORDS_MAX);
    let [low, mid, high, _] = words
        .ok_or(Error::Misuse("the payload is too long to frame"))?
        .to_le_bytes();
    let flag = if quick_ack { FLAG } else { 0 };
    if mid == 0 && high == 0 && low < LONG {
        out.push(low | flag);
    } else {
        out.extend_from_slice(&[LONG | flag, low, mid, high]);
    }
    Ok(())
}

/// Appends a server's quick ack.
pub(super) fn write_quick_ack(token: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&token.to_be_bytes());
}

/// In the first byte: the client asks for a quick ack.
const FLAG: u8 = 0x80;

/// In the first byte: the length follows in three bytes. Shorter payloads must not use that form.
const LONG: u8 = 0x7f;

/// The longest payload in words: 64 MiB less one word.
const WORDS_MAX: u32 = (1 << 24) - 1;
