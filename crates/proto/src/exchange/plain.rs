//! The unencrypted message: what an exchange travels in.
//!
//! ```text
//! auth_key_id: long = 0 | msg_id: long | length: int | body: length bytes | perhaps padding of the transport
//! ```
//!
//! The body is one object, from the front. Telegram's own servers write a `length` that covers a random tail after it,
//! so whoever parses a body ignores what follows the object.
//!
//! The `msg_id` of such a message is never checked: a client whose clock is wrong learns the time from the exchange.

use crate::cx::Unix;
use crate::ids::MsgId;
use crate::session::msg_id::Generator;

/// A parsed unencrypted message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plain<'a> {
    /// What the sender wrote; worth nothing but for logs.
    pub msg_id: MsgId,
    /// The object and perhaps a tail, a multiple of four bytes, at least four.
    pub body: &'a [u8],
}

/// Not an unencrypted message. A server refuses it with `-404`, a client closes the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl core::fmt::Display for Malformed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("not an unencrypted message")
    }
}

impl core::error::Error for Malformed {}

/// Tells whether a frame's payload claims to be an unencrypted message: its `auth_key_id` is zero.
#[must_use]
pub fn is_plain(payload: &[u8]) -> bool {
    payload.first_chunk::<8>().is_some_and(|id| *id == [0; 8])
}

/// Parses a frame's payload.
///
/// # Errors
///
/// [`Malformed`] when `auth_key_id` is not zero, or the length is no multiple of four, less than four, or more than
/// there is. Bytes after the body are the transport's padding and ignored.
pub fn parse(payload: &[u8]) -> Result<Plain<'_>, Malformed> {
    let (auth_key_id, rest) = payload.split_first_chunk::<8>().ok_or(Malformed)?;
    let (msg_id, rest) = rest.split_first_chunk::<8>().ok_or(Malformed)?;
    let (length, rest) = rest.split_first_chunk::<4>().ok_or(Malformed)?;
    let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| Malformed)?;
    if *auth_key_id != [0; 8] || length < 4 || !length.is_multiple_of(4) {
        return Err(Malformed);
    }
    Ok(Plain {
        msg_id: MsgId(i64::from_le_bytes(*msg_id)),
        body: rest.get(..length).ok_or(Malformed)?,
    })
}

/// Builds a frame's payload around one serialised object.
#[must_use]
pub fn build(msg_id: MsgId, body: &[u8]) -> Vec<u8> {
    debug_assert!(body.len().is_multiple_of(4), "TL objects are whole words");
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    let mut payload = Vec::with_capacity(HEADER_BYTES.saturating_add(body.len()));
    payload.extend_from_slice(&[0; 8]);
    payload.extend_from_slice(&msg_id.0.to_le_bytes());
    payload.extend_from_slice(&length.to_le_bytes());
    payload.extend_from_slice(body);
    payload
}

/// Returns an id for a server's answer: 1 modulo 4, above `after`.
#[must_use]
pub fn answer_id(now: Unix, after: Option<MsgId>) -> MsgId {
    msg_id(now, after, 1)
}

/// Returns an id for a client's query: 0 modulo 4, above `after`.
#[must_use]
pub fn query_id(now: Unix, after: Option<MsgId>) -> MsgId {
    msg_id(now, after, 0)
}

fn msg_id(now: Unix, after: Option<MsgId>, low_bits: i64) -> MsgId {
    let mut ids = Generator::default();
    ids.raise_to(after.unwrap_or_default());
    ids.next(now, low_bits)
}

const HEADER_BYTES: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_parses_and_padding_of_the_transport_is_ignored() {
        let mut payload = build(MsgId(5), &[1, 2, 3, 4]);
        assert_eq!(payload.len(), 24);
        for _ in 0..16 {
            let plain = parse(&payload).unwrap();
            assert_eq!((plain.msg_id, plain.body), (MsgId(5), &[1, 2, 3, 4][..]));
            payload.push(0xee);
        }
    }

    #[test]
    fn every_truncation_is_malformed() {
        let payload = build(MsgId(5), &[0; 8]);
        for end in 0..payload.len() {
            assert_eq!(parse(&payload[..end]), Err(Malformed), "{end} bytes");
        }
        assert!(parse(&payload).is_ok());
    }

    #[test]
    fn length_is_a_multiple_of_four_from_four_up_to_what_is_there() {
        for (length, accepted) in [
            (0_u32, false),
            (3, false),
            (4, true),
            (6, false),
            (8, true),
            (12, false),
            (1 << 31, false),
            (u32::MAX - 3, false),
        ] {
            let mut payload = build(MsgId(5), &[0; 8]);
            payload[16..20].copy_from_slice(&length.to_le_bytes());
            assert_eq!(parse(&payload).is_ok(), accepted, "length {length}");
        }
    }

    #[test]
    fn a_key_id_other_than_zero_is_not_plain() {
        let mut payload = build(MsgId(5), &[0; 4]);
        assert!(is_plain(&payload) && !is_plain(&payload[..7]));
        payload[7] = 1;
        assert!(!is_plain(&payload));
        assert_eq!(parse(&payload), Err(Malformed));
    }

    #[test]
    fn ids_have_the_parity_of_their_sender_and_grow_though_the_clock_stands() {
        let now = Unix(1_700_000_000_500_000_000);
        let first = answer_id(now, None);
        let second = answer_id(now, Some(first));
        assert_eq!((first.0 & 3, second.0), (1, first.0 + 4));
        assert_eq!(first.0 >> 32, 1_700_000_000);

        let query = query_id(now, Some(second));
        assert_eq!((query.0 & 3, query.0 > second.0), (0, true));
    }
}
