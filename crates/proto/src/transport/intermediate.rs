//! The intermediate framing: the payload's length in four bytes, little-endian.
//!
//! The high bit of a client's length asks for a quick ack; in what a server sends it marks a quick ack, which is the
//! token itself.
//!
//! Source: <https://core.telegram.org/mtproto/mtproto-transports#intermediate>.

use super::error::Error;
use super::frame::{Extent, Head};
use crate::side::{Side, is_server};

/// Reads what stands in front of a frame that `S` receives. `payload_bytes` of the result includes padding, if the
/// framing has any; whether it is a multiple of four is checked by the caller.
pub(super) fn head<S: Side>(bytes: &[u8]) -> Result<Head, Error> {
    let Some(&word) = bytes.first_chunk::<4>() else {
        return Ok(Head::Need(4));
    };
    let word = u32::from_le_bytes(word);
    let flagged = word & FLAG != 0;
    if flagged && !is_server::<S>() {
        return Ok(Head::Token(word));
    }
    let payload_bytes = usize::try_from(word & !FLAG).map_err(|_| Error::TooLarge)?;
    Ok(Head::Frame(Extent {
        header_bytes: 4,
        payload_bytes,
        trailer_bytes: 0,
        quick_ack: flagged,
    }))
}

/// Appends the header of `payload_bytes`, padding included.
pub(super) fn write_header(
    payload_bytes: usize,
    quick_ack: bool,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    let length = u32::try_from(payload_bytes)
        .ok()
        .filter(|&length| length < FLAG);
    let length = length.ok_or(Error::Misuse("the payload is too long to frame"))?;
    let flag = if quick_ack { FLAG } else { 0 };
    out.extend_from_slice(&(length | flag).to_le_bytes());
    Ok(())
}

/// Appends a server's quick ack.
pub(super) fn write_quick_ack(token: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&token.to_le_bytes());
}

/// The high bit of the length.
const FLAG: u32 = 1 << 31;
