//! Opens and seals encrypted messages. Exists once, for both roles.
//!
//! ```text
//!  0  auth_key_id: 8
//!  8  msg_key: 16
//! 24  AES-256-IGE of:  0 salt: 8   8 session_id: 8   16 msg_id: 8   24 seqno: 4   28 length: 4
//!                     32 body: length, a multiple of 4     then 12 to 1024 bytes of padding
//! ```
//!
//! [`open`] is the only maker of an [`Authentic`] message, apart from a host that takes what an edge has opened.
//! Whatever is wrong with an envelope, the error is the same, and `msg_key` is checked before anything is looked at.
//!
//! Source: <https://core.telegram.org/mtproto/description>.

use heliogram_crypto::AuthKey;
use heliogram_crypto::message::{self, Job};
use rand_core::CryptoRng;

use crate::ids::{MsgId, Salt, SeqNo, SessionId};
use crate::limits::{PADDING_BYTES_MAX, PADDING_BYTES_MIN};
use crate::side::Side;

/// Authentication failed, or the envelope is malformed. One error on purpose: naming the failed check would tell an
/// attacker which guess was warm. A client closes the connection; a server answers `-404` and closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "says nothing, for ever")]
pub struct Undecryptable;

impl core::fmt::Display for Undecryptable {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("not a message sealed with this key")
    }
}

impl core::error::Error for Undecryptable {}

/// What the holder of a key has said. Only this module makes one.
#[derive(Clone, Copy, Debug)]
pub struct Authentic<T>(T);

impl<T> Authentic<T> {
    /// Gives up the proof.
    pub fn into_inner(self) -> T {
        self.0
    }

    /// Takes the word of an edge that has opened the envelope on the far side of the port.
    ///
    /// The port is trusted like this process: an edge that lies could as well use the keys it holds.
    pub(crate) const fn vouched_by_edge(value: T) -> Self {
        Self(value)
    }
}

impl<T> core::ops::Deref for Authentic<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// What an envelope says of its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "the layout is fixed by the protocol"
)]
pub struct Header {
    /// The salt that the sender used.
    pub salt: Salt,
    /// The session.
    pub session_id: SessionId,
    /// Outer message id.
    pub msg_id: MsgId,
    /// Outer sequence number.
    pub seqno: SeqNo,
}

/// One message: a header and a body, whose length is a multiple of four.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "the layout is fixed by the protocol"
)]
pub struct Message<'a> {
    /// What the envelope says of it.
    pub header: Header,
    /// One boxed object, not looked at yet.
    pub body: &'a [u8],
}

/// An opened envelope.
#[derive(Clone, Copy, Debug)]
pub struct Opened<'a> {
    /// The message.
    pub message: Authentic<Message<'a>>,
    /// What to answer if the sender asked for a quick ack and the message passes all checks.
    pub quick_ack: u32,
}

/// Opens an envelope in place. `S` is the receiver's role, `envelope` one frame.
///
/// Up to 15 bytes after the last whole block are dropped: padded transports leave them.
///
/// # Errors
///
/// [`Undecryptable`] if the frame has less than 24 + 48 bytes, names another key, has another `msg_key` than its
/// contents, a length that is negative, no multiple of four or too great, or padding outside 12..=1024 bytes.
pub fn open<'a, S: Side>(
    key: &AuthKey,
    envelope: &'a mut [u8],
) -> Result<Opened<'a>, Undecryptable> {
    let envelope = whole_blocks(key, envelope)?;
    let hash = message::open(key, <S::Peer as Side>::SENDS, envelope);
    read(envelope, hash.ok().map(|hash| hash.quick_ack_token()))
}

/// One frame to open in a batch.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "a pair")]
pub struct Sealed<'a> {
    /// The key whose id the frame names.
    pub key: &'a AuthKey,
    /// The frame; is opened in place.
    pub envelope: &'a mut [u8],
}

/// Opens many envelopes in place, in order, at less cost than one by one. Appends one result for each to `out`.
///
/// Errors are those of [`open`], one for each frame.
pub fn open_batch<'a, S: Side>(
    frames: impl IntoIterator<Item = Sealed<'a>>,
    out: &mut Vec<Result<Opened<'a>, Undecryptable>>,
) {
    let mut jobs = Vec::new();
    let first = out.len();
    for Sealed { key, envelope } in frames {
        match whole_blocks(key, envelope) {
            Ok(envelope) => {
                jobs.push(Job {
                    key,
                    dir: <S::Peer as Side>::SENDS,
                    envelope,
                });
                out.push(Ok(NOT_YET));
            }
            Err(error) => out.push(Err(error)),
        }
    }
    let mut hashes = Vec::with_capacity(jobs.len());
    message::open_batch(&mut jobs, &mut hashes);
    let mut opened = jobs.into_iter().zip(hashes);
    for slot in out.iter_mut().skip(first).filter(|slot| slot.is_ok()) {
        let Some((job, hash)) = opened.next() else {
            break;
        };
        *slot = read(job.envelope, hash.ok().map(|hash| hash.quick_ack_token()));
    }
}

/// Seals a message and appends its envelope to `out`. `S` is the sender's role. Returns the quick-ack token that the
/// receiver would compute.
///
/// Padding is 12 to 27 random bytes.
///
/// # Errors
///
/// [`BadLength`] if the body's length is no multiple of four, or above 2^31; `out` is then unchanged.
pub fn seal<S: Side>(
    key: &AuthKey,
    message: &Message<'_>,
    out: &mut Vec<u8>,
    rng: &mut dyn CryptoRng,
) -> Result<u32, BadLength> {
    let start = out.len();
    write(message, out, rng)?;
    let sealed = out.get_mut(start..).ok_or(BadLength)?;
    let hash = message::seal(key, S::SENDS, sealed).map_err(|_| BadLength)?;
    Ok(hash.quick_ack_token())
}

/// One message to seal in a batch.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a pair")]
pub struct ToSeal<'a> {
    /// The key to seal with.
    pub key: &'a AuthKey,
    /// What to seal.
    pub message: Message<'a>,
}

/// Seals many messages at less cost than one by one. Appends the envelopes to `out` one after another, and where
/// each ends in `out` to `ends`.
///
/// # Errors
///
/// [`BadLength`] as for [`seal`]; `out` and `ends` are then unchanged.
pub fn seal_batch<S: Side>(
    messages: &[ToSeal<'_>],
    out: &mut Vec<u8>,
    ends: &mut Vec<usize>,
    rng: &mut dyn CryptoRng,
) -> Result<(), BadLength> {
    let (start, first_end) = (out.len(), ends.len());
    out.reserve(
        messages
            .iter()
            .map(|job| sealed_len(job.message.body.len()))
            .sum(),
    );
    for job in messages {
        if write(&job.message, out, rng).is_err() {
            out.truncate(start);
            ends.truncate(first_end);
            return Err(BadLength);
        }
        ends.push(out.len());
    }
    let mut rest = out.get_mut(start..).unwrap_or_default();
    let mut jobs = Vec::with_capacity(messages.len());
    for job in messages {
        let Some((envelope, later)) = rest.split_at_mut_checked(sealed_len(job.message.body.len()))
        else {
            return Err(BadLength);
        };
        jobs.push(Job {
            key: job.key,
            dir: S::SENDS,
            envelope,
        });
        rest = later;
    }
    message::seal_batch(&mut jobs).map_err(|_| BadLength)
}

/// The body's length breaks the contract of [`seal`]. Never caused by a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "says all")]
pub struct BadLength;

impl core::fmt::Display for BadLength {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the length of a body must be a multiple of four below 2^31")
    }
}

impl core::error::Error for BadLength {}

/// Returns the length of the envelope of a body of `body_bytes`.
#[must_use]
pub const fn sealed_len(body_bytes: usize) -> usize {
    let least = HEADER_BYTES + body_bytes + PADDING_BYTES_MIN;
    CIPHERTEXT_AT + least.next_multiple_of(BLOCK_BYTES)
}

/// Cuts a frame to whole blocks, if it is long enough and names this key.
fn whole_blocks<'a>(key: &AuthKey, envelope: &'a mut [u8]) -> Result<&'a mut [u8], Undecryptable> {
    let blocks = envelope
        .len()
        .checked_sub(CIPHERTEXT_AT)
        .ok_or(Undecryptable)?
        / BLOCK_BYTES;
    if blocks * BLOCK_BYTES < CIPHERTEXT_BYTES_MIN
        || envelope.first_chunk() != Some(&key.id().0.to_le_bytes())
    {
        return Err(Undecryptable);
    }
    envelope
        .get_mut(..CIPHERTEXT_AT + blocks * BLOCK_BYTES)
        .ok_or(Undecryptable)
}

/// Reads what was decrypted, once `msg_key` was found right: `quick_ack` is the witness.
fn read(envelope: &[u8], quick_ack: Option<u32>) -> Result<Opened<'_>, Undecryptable> {
    let plaintext = envelope.get(CIPHERTEXT_AT..).ok_or(Undecryptable)?;
    let (header, rest) = plaintext
        .split_first_chunk::<HEADER_BYTES>()
        .ok_or(Undecryptable)?;
    let quick_ack = quick_ack.ok_or(Undecryptable)?;
    let [salt, session_id, msg_id, tail] = header.as_chunks::<8>().0 else {
        return Err(Undecryptable);
    };
    let tail = u64::from_le_bytes(*tail);
    let (seqno, length) = (low_half(tail), low_half(tail >> 32));
    let length = usize::try_from(length).map_err(|_| Undecryptable)?;
    let padding = rest.len().checked_sub(length).ok_or(Undecryptable)?;
    if !length.is_multiple_of(4) || !(PADDING_BYTES_MIN..=PADDING_BYTES_MAX).contains(&padding) {
        return Err(Undecryptable);
    }
    let header = Header {
        salt: Salt(i64::from_le_bytes(*salt)),
        session_id: SessionId(i64::from_le_bytes(*session_id)),
        msg_id: MsgId(i64::from_le_bytes(*msg_id)),
        seqno: SeqNo(seqno),
    };
    let body = rest.get(..length).ok_or(Undecryptable)?;
    Ok(Opened {
        message: Authentic(Message { header, body }),
        quick_ack,
    })
}

/// Appends the plaintext of an envelope, with room for the key's id and `msg_key` before it.
fn write(
    message: &Message<'_>,
    out: &mut Vec<u8>,
    rng: &mut dyn CryptoRng,
) -> Result<(), BadLength> {
    let length = i32::try_from(message.body.len()).map_err(|_| BadLength)?;
    if !message.body.len().is_multiple_of(4) {
        return Err(BadLength);
    }
    let end = out.len() + sealed_len(message.body.len());
    out.reserve(sealed_len(message.body.len()));
    out.extend_from_slice(&[0; CIPHERTEXT_AT]);
    out.extend_from_slice(&message.header.salt.0.to_le_bytes());
    out.extend_from_slice(&message.header.session_id.0.to_le_bytes());
    out.extend_from_slice(&message.header.msg_id.0.to_le_bytes());
    out.extend_from_slice(&message.header.seqno.0.to_le_bytes());
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(message.body);
    let padding_at = out.len();
    out.resize(end, 0);
    rng.fill_bytes(out.get_mut(padding_at..).unwrap_or_default());
    Ok(())
}

/// Returns the low 32 bits as they stand on the wire.
const fn low_half(value: u64) -> i32 {
    let [a, b, c, d, ..] = value.to_le_bytes();
    i32::from_le_bytes([a, b, c, d])
}

const BLOCK_BYTES: usize = 16;
const CIPHERTEXT_AT: usize = 24;
const CIPHERTEXT_BYTES_MIN: usize = 48;
const HEADER_BYTES: usize = 32;

/// Stands for an envelope of a batch that is not read yet.
const NOT_YET: Opened<'static> = Opened {
    message: Authentic(Message {
        header: Header {
            salt: Salt(0),
            session_id: SessionId(0),
            msg_id: MsgId(0),
            seqno: SeqNo(0),
        },
        body: &[],
    }),
    quick_ack: 0,
};
