//! The full framing: total length, sequence number, payload, checksum.
//!
//! Sequence numbers count the frames of each direction from zero. The checksum is CRC-32 (zlib) over all before it.
//! There are no quick acks.
//!
//! Source: <https://core.telegram.org/mtproto/mtproto-transports#full>.

use super::error::Error;
use super::frame::{Extent, Head};
use crate::side::{Side, is_server};

/// Reads what stands in front of a frame that `S` receives.
///
/// Some servers send a transport error as a bare negative word; a client takes it for one.
pub(super) fn head<S: Side>(bytes: &[u8]) -> Result<Head, Error> {
    let Some(&word) = bytes.first_chunk::<4>() else {
        return Ok(Head::Need(4));
    };
    let code = i32::from_le_bytes(word);
    if code < 0 && !is_server::<S>() {
        return Ok(Head::Code(code));
    }
    let total = usize::try_from(u32::from_le_bytes(word)).map_err(|_| Error::TooLarge)?;
    let payload_bytes = total
        .checked_sub(HEADER_BYTES + TRAILER_BYTES)
        .ok_or(Error::BadLength)?;
    Ok(Head::Frame(Extent {
        header_bytes: HEADER_BYTES,
        payload_bytes,
        trailer_bytes: TRAILER_BYTES,
        quick_ack: false,
    }))
}

/// Checks sequence number and checksum of a whole frame.
pub(super) fn check(frame: &[u8], seq: u32) -> Result<(), Error> {
    let Some((checked, &crc)) = frame.split_last_chunk::<TRAILER_BYTES>() else {
        return Err(Error::BadLength);
    };
    if crc32fast::hash(checked) != u32::from_le_bytes(crc) {
        return Err(Error::BadChecksum);
    }
    match checked.as_chunks::<4>().0 {
        [_, found, ..] if u32::from_le_bytes(*found) == seq => Ok(()),
        _ => Err(Error::OutOfSequence),
    }
}

/// Appends a whole frame.
pub(super) fn write(payload: &[u8], seq: u32, out: &mut Vec<u8>) -> Result<(), Error> {
    let total = payload.len().saturating_add(HEADER_BYTES + TRAILER_BYTES);
    let total =
        i32::try_from(total).map_err(|_| Error::Misuse("the payload is too long to frame"))?;
    let start = out.len();
    out.extend_from_slice(&total.to_le_bytes());
    out.extend_from_slice(&seq.to_le_bytes());
    out.extend_from_slice(payload);
    let crc = crc32fast::hash(out.get(start..).unwrap_or_default());
    out.extend_from_slice(&crc.to_le_bytes());
    Ok(())
}

/// Total length and sequence number.
const HEADER_BYTES: usize = 8;

/// The checksum.
const TRAILER_BYTES: usize = 4;
