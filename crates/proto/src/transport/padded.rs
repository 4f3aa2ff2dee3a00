//! The padded intermediate framing: as intermediate, with up to 15 random bytes that the length includes.
//!
//! Only the payload itself tells where it ends: an encrypted message is 24 bytes and whole AES blocks, a plain one
//! names its length. A server's quick ack is a frame that begins with `ffffffff`; a bare token, as `MTProxy` sends
//! it, is read, too.
//!
//! Source: <https://core.telegram.org/mtproto/mtproto-transports#padded-intermediate>.

use rand_core::CryptoRng;

use super::error::Error;
use super::intermediate;

/// Returns the payload's own length within `frame`, which is at least [`super::frame::MESSAGE_BYTES_MIN`] long.
///
/// A plain message that claims more than there is, or that leaves more than padding can be, is returned whole: its
/// reader refuses it.
pub(super) fn payload_bytes(frame: &[u8]) -> usize {
    let [key_id, lengths @ ..] = frame.as_chunks::<8>().0 else {
        return frame.len();
    };
    if *key_id != [0; 8] {
        return frame
            .len()
            .checked_sub(ENVELOPE_HEAD_BYTES)
            .map_or(frame.len(), |sealed| frame.len() - sealed % 16);
    }
    let Some(&[low, mid, high, top, ..]) = lengths.get(1) else {
        return frame.len();
    };
    let body_bytes =
        usize::try_from(u32::from_le_bytes([low, mid, high, top])).unwrap_or(usize::MAX);
    let end = body_bytes.saturating_add(PLAIN_HEAD_BYTES);
    match frame.len().checked_sub(end) {
        Some(padding) if padding <= PADDING_BYTES_MAX => end,
        _ => frame.len(),
    }
}

/// Appends payload and padding, with their header. `padding_bytes_max` is one less than a power of two.
pub(super) fn write(
    payload: &[u8],
    quick_ack: bool,
    padding_bytes_max: usize,
    rng: &mut dyn CryptoRng,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    let padding = Padding::draw(padding_bytes_max, rng);
    intermediate::write_header(
        payload.len().saturating_add(padding.bytes().len()),
        quick_ack,
        out,
    )?;
    out.extend_from_slice(payload);
    out.extend_from_slice(padding.bytes());
    Ok(())
}

/// Appends a server's quick ack, in the documented form.
pub(super) fn write_quick_ack(
    token: u32,
    rng: &mut dyn CryptoRng,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    let padding = Padding::draw(PADDING_BYTES_MAX_SERVER, rng);
    intermediate::write_header(8 + padding.bytes().len(), false, out)?;
    out.extend_from_slice(&QUICK_ACK_MARK.to_le_bytes());
    out.extend_from_slice(&token.to_le_bytes());
    out.extend_from_slice(padding.bytes());
    Ok(())
}

/// Random bytes of a random length.
struct Padding {
    bytes: [u8; PADDING_BYTES_MAX + 1],
    length: u8,
}

impl Padding {
    /// Draws at most `bytes_max` bytes, which is one less than a power of two. The last of the bytes drawn gives the
    /// length and is not sent.
    fn draw(bytes_max: usize, rng: &mut dyn CryptoRng) -> Self {
        let mut bytes = [0; PADDING_BYTES_MAX + 1];
        rng.fill_bytes(&mut bytes);
        let [.., last] = bytes;
        let mask = u8::try_from(bytes_max).unwrap_or(0);
        Self {
            bytes,
            length: last & mask,
        }
    }

    fn bytes(&self) -> &[u8] {
        self.bytes
            .get(..usize::from(self.length))
            .unwrap_or_default()
    }
}

/// The most padding that a sender may add.
pub(super) const PADDING_BYTES_MAX: usize = 15;

/// The most padding that a server adds. Telethon, gotd and `MTProxy` cut what they get to whole words, and take all that
/// is left for the message.
pub(super) const PADDING_BYTES_MAX_SERVER: usize = 3;

/// The first word of a quick ack's frame.
pub(super) const QUICK_ACK_MARK: u32 = u32::MAX;

/// `auth_key_id` and `msg_key`.
const ENVELOPE_HEAD_BYTES: usize = 24;

/// `auth_key_id` (zero), `msg_id`, `message_data_length`.
const PLAIN_HEAD_BYTES: usize = 20;
