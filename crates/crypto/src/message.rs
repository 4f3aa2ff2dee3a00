//! Whole `MTProto` 2.0 envelopes, sealed and opened in place.
//!
//! ```text
//! auth_key_id 8 | msg_key 16 | AES-256-IGE( plaintext with padding )
//! ```
//!
//! Knows nothing of what the plaintext holds, apart from its least size; lengths inside it are the caller's to check,
//! and only after [`open`] has said that it is authentic.
//!
//! The batch forms are what callers with several messages use: they cost less than one after the other, the more the messages are alike.
//!
//! ```
//! use heliogram_crypto::message::{self, HEADER_BYTES};
//! use heliogram_crypto::{AuthKey, Direction::ClientToServer};
//!
//! let key = AuthKey::new([7; 256]);
//! let mut envelope = vec![0; HEADER_BYTES];
//! envelope.extend_from_slice(b"32 bytes of header, the body, and at least 12 of random padding.");
//!
//! let sent = message::seal(&key, ClientToServer, &mut envelope)?;
//! let received = message::open(&key, ClientToServer, &mut envelope).expect("the same key");
//!
//! assert_eq!(received.quick_ack_token(), sent.quick_ack_token());
//! assert!(envelope.ends_with(b"random padding."));
//! # Ok::<(), heliogram_crypto::LengthError>(())
//! ```
//!
//! Source: <https://core.telegram.org/mtproto/description#defining-aes-key-and-initialization-vector>.

#![expect(
    clippy::indexing_slicing,
    reason = "constant offsets into arrays of fixed size"
)]

mod batch;
#[cfg(any(test, fuzzing))]
pub(crate) mod compared;

use core::fmt;

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use crate::auth_key::DirectionPart;
use crate::simd::Cpu;
use crate::{AesKeyIv, AuthKey, Direction, LengthError, Undecryptable, hash, ige};

/// Bytes in front of the ciphertext.
pub const HEADER_BYTES: usize = 24;

/// The smallest plaintext: 32 bytes of header, nothing, 12 bytes of padding, rounded up to blocks.
pub const PLAINTEXT_BYTES_MIN: usize = 48;

/// `msg_key_large` of a message that was sealed or opened.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct MessageHash {
    large: [u8; 32],
}

impl MessageHash {
    /// Returns the middle 128 bits, which travel in the clear.
    #[must_use]
    pub fn msg_key(&self) -> [u8; 16] {
        let mut key = [0; 16];
        key.copy_from_slice(&self.large[8..24]);
        key
    }

    /// Returns the first 32 bits, little-endian, with the high bit set.
    ///
    /// Source: <https://core.telegram.org/mtproto/mtproto-transports#quick-ack>.
    #[must_use]
    pub fn quick_ack_token(&self) -> u32 {
        let [b0, b1, b2, b3, ..] = self.large;
        u32::from_le_bytes([b0, b1, b2, b3]) | 0x8000_0000
    }
}

impl fmt::Debug for MessageHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MessageHash(…)")
    }
}

/// Seals in place: in, 24 bytes that are free and the plaintext with its padding; out, the envelope.
///
/// # Errors
///
/// [`LengthError`] when the plaintext is shorter than [`PLAINTEXT_BYTES_MIN`] or not a multiple of 16;
/// nothing is changed then.
pub fn seal(
    key: &AuthKey,
    dir: Direction,
    envelope: &mut [u8],
) -> Result<MessageHash, LengthError> {
    let mut parts = split(envelope).ok_or(LengthError)?;
    Ok(seal_on(Cpu::current(), key, dir, &mut parts))
}

/// Opens in place: afterwards the plaintext with its padding is at `envelope[24..]`.
///
/// # Errors
///
/// [`Undecryptable`] when the ciphertext is shorter than [`PLAINTEXT_BYTES_MIN`] or not a multiple of 16, when it is
/// of another key, or when `msg_key` isn't the one of the whole plaintext. What was decrypted is erased then.
pub fn open(
    key: &AuthKey,
    dir: Direction,
    envelope: &mut [u8],
) -> Result<MessageHash, Undecryptable> {
    let mut parts = split(envelope).ok_or(Undecryptable)?;
    open_on(Cpu::current(), key, dir, &mut parts)
}

/// One envelope of a batch.
#[derive(Debug)]
pub struct Job<'a> {
    /// The key.
    pub key: &'a AuthKey,
    /// Who sends.
    pub dir: Direction,
    /// As for [`seal`] or [`open`].
    pub envelope: &'a mut [u8],
}

/// Seals all of them, as [`seal`] does one.
///
/// # Errors
///
/// [`LengthError`] when [`seal`] would refuse one of them; none is changed then.
pub fn seal_batch(jobs: &mut [Job<'_>]) -> Result<(), LengthError> {
    batch::seal(Cpu::current(), jobs)
}

/// Opens all of them, as [`open`] does one; appends one result per job to `out`.
pub fn open_batch(jobs: &mut [Job<'_>], out: &mut Vec<Result<MessageHash, Undecryptable>>) {
    batch::open(Cpu::current(), jobs, out);
}

/// An envelope, cut.
struct Parts<'a> {
    id: &'a mut [u8; 8],
    msg_key: &'a mut [u8; 16],
    /// At least three blocks.
    text: &'a mut [[u8; 16]],
}

/// Cuts an envelope, if its length is one that may be.
fn split(envelope: &mut [u8]) -> Option<Parts<'_>> {
    let (id, rest) = envelope.split_first_chunk_mut()?;
    let (msg_key, text) = rest.split_first_chunk_mut()?;
    let (text, []) = text.as_chunks_mut() else {
        return None;
    };
    let valid = text.len() >= PLAINTEXT_BYTES_MIN / 16;
    valid.then_some(Parts { id, msg_key, text })
}

fn seal_on(cpu: Cpu, key: &AuthKey, dir: Direction, parts: &mut Parts<'_>) -> MessageHash {
    let part = key.part(dir);
    let hash = match cpu.aes_sha() {
        Some(kernels) => MessageHash {
            large: kernels.seal(part, parts.text),
        },
        None => {
            let hash = message_hash(part, parts.text);
            let derived = derive(part, &hash.msg_key());
            ige::encrypt_on(cpu, derived.key(), derived.iv(), parts.text);
            hash
        }
    };
    address(key, parts, &hash);
    hash
}

/// Writes what stands in front of the ciphertext.
fn address(key: &AuthKey, parts: &mut Parts<'_>, hash: &MessageHash) {
    *parts.id = key.id().0.to_le_bytes();
    *parts.msg_key = hash.msg_key();
}

fn open_on(
    cpu: Cpu,
    key: &AuthKey,
    dir: Direction,
    parts: &mut Parts<'_>,
) -> Result<MessageHash, Undecryptable> {
    let part = key.part(dir);
    let hash = match cpu.aes_sha() {
        Some(kernels) => MessageHash {
            large: kernels.open(part, parts.msg_key, parts.text),
        },
        None => {
            let derived = derive(part, parts.msg_key);
            ige::decrypt_on(cpu, derived.key(), derived.iv(), parts.text);
            message_hash(part, parts.text)
        }
    };
    check(key, parts, hash)
}

/// Compares what was decrypted with what stands in front of it; all of it, without an early exit.
fn check(
    key: &AuthKey,
    parts: &mut Parts<'_>,
    hash: MessageHash,
) -> Result<MessageHash, Undecryptable> {
    let (claimed, computed) = (*parts.msg_key, hash.msg_key());
    let same_message = u128::from_le_bytes(claimed).ct_eq(&u128::from_le_bytes(computed));
    let same_key = i64::from_le_bytes(*parts.id).ct_eq(&key.id().0);
    if bool::from(same_message & same_key) {
        Ok(hash)
    } else {
        parts.text.as_flattened_mut().zeroize();
        Err(Undecryptable)
    }
}

/// `msg_key_large` of a plaintext with its padding.
fn message_hash(part: &DirectionPart, plaintext: &[[u8; 16]]) -> MessageHash {
    MessageHash {
        large: hash::sha256(&[&part[88..120], plaintext.as_flattened()]),
    }
}

/// The key and vector of one message.
fn derive(part: &DirectionPart, msg_key: &[u8; 16]) -> AesKeyIv {
    let a = Zeroizing::new(hash::sha256(&[msg_key, &part[..36]]));
    let b = Zeroizing::new(hash::sha256(&[&part[40..76], msg_key]));

    let mut derived = AesKeyIv {
        key: [0; 32],
        iv: [0; 32],
    };
    derived.key[..8].copy_from_slice(&a[..8]);
    derived.key[8..24].copy_from_slice(&b[8..24]);
    derived.key[24..].copy_from_slice(&a[24..]);
    derived.iv[..8].copy_from_slice(&b[..8]);
    derived.iv[8..24].copy_from_slice(&a[8..24]);
    derived.iv[24..].copy_from_slice(&b[24..]);
    derived
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::Level;
    use Direction::{ClientToServer, ServerToClient};

    #[test]
    fn the_plaintext_has_at_least_48_bytes_and_whole_blocks() {
        for (length, valid) in [
            (0, false),
            (32, false),
            (47, false),
            (48, true),
            (49, false),
            (63, false),
            (64, true),
        ] {
            let mut envelope = vec![1; HEADER_BYTES + length];
            assert_eq!(
                seal(&key(), ClientToServer, &mut envelope).is_ok(),
                valid,
                "{length} bytes"
            );
            assert_eq!(envelope == vec![1; HEADER_BYTES + length], !valid);
            assert_eq!(
                open(&key(), ClientToServer, &mut envelope).is_ok(),
                valid,
                "{length} bytes"
            );
        }
    }

    #[test]
    fn no_beginning_of_an_envelope_opens() {
        let whole = sealed(ClientToServer);
        for length in 0..whole.len() {
            assert_eq!(
                open(&key(), ClientToServer, &mut whole[..length].to_vec()),
                Err(Undecryptable),
                "{length} bytes"
            );
        }
        assert!(open(&key(), ClientToServer, &mut whole.clone()).is_ok());
    }

    #[test]
    fn a_change_of_any_byte_is_refused_and_what_was_decrypted_erased() {
        let whole = sealed(ServerToClient);
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 0x80;
            assert_eq!(
                open(&key(), ServerToClient, &mut changed),
                Err(Undecryptable),
                "byte {at}"
            );
            assert!(changed[HEADER_BYTES..].iter().all(|byte| *byte == 0));
        }
    }

    #[test]
    fn another_direction_and_another_key_are_refused() {
        let whole = sealed(ClientToServer);
        assert_eq!(
            open(&key(), ServerToClient, &mut whole.clone()),
            Err(Undecryptable)
        );
        assert_eq!(
            open(&AuthKey::new([8; 256]), ClientToServer, &mut whole.clone()),
            Err(Undecryptable)
        );
    }

    #[test]
    fn the_quick_ack_token_has_the_high_bit_and_both_ends_agree_on_it() {
        let mut envelope = vec![1; HEADER_BYTES + 64];
        let sent = seal(&key(), ClientToServer, &mut envelope).unwrap();
        let received = open(&key(), ClientToServer, &mut envelope).unwrap();
        assert_eq!(sent.quick_ack_token(), received.quick_ack_token());
        assert_eq!(sent.quick_ack_token() >> 31, 1);
    }

    #[test]
    fn a_batch_gives_what_one_after_the_other_gives() {
        let keys = [key(), AuthKey::new([8; 256])];
        let mut one_by_one = [vec![1; HEADER_BYTES + 48], vec![2; HEADER_BYTES + 4096]];
        let mut together = one_by_one.clone();
        for (key, envelope) in keys.iter().zip(&mut one_by_one) {
            seal(key, ClientToServer, envelope).unwrap();
        }
        seal_batch(&mut jobs(&keys, &mut together)).unwrap();
        assert_eq!(together, one_by_one);

        together[0][HEADER_BYTES] ^= 1;
        let mut results = Vec::new();
        open_batch(&mut jobs(&keys, &mut together), &mut results);
        assert_eq!(results[0], Err(Undecryptable));
        assert_eq!(
            results[1],
            open(&keys[1], ClientToServer, &mut one_by_one[1])
        );
        assert_eq!(together[1], one_by_one[1]);
    }

    #[test]
    fn a_batch_with_one_bad_length_is_left_alone() {
        let keys = [key(), key()];
        let before = [vec![1; HEADER_BYTES + 48], vec![2; HEADER_BYTES + 49]];
        let mut after = before.clone();
        assert_eq!(seal_batch(&mut jobs(&keys, &mut after)), Err(LengthError));
        assert_eq!(after, before);
    }

    #[test]
    fn every_level_seals_and_opens_like_the_plain_one_at_every_length_up_to_4096() {
        for length in (PLAINTEXT_BYTES_MIN..=4096).step_by(16) {
            let dir = if length % 32 == 0 {
                ClientToServer
            } else {
                ServerToClient
            };
            let mut text = vec![0; HEADER_BYTES + length];
            for (at, byte) in text[HEADER_BYTES..].iter_mut().enumerate() {
                *byte = ((at + length) % 251).to_le_bytes()[0];
            }
            let mut expected = text.clone();
            let hash = seal_on(plain(), &key(), dir, &mut split(&mut expected).unwrap());
            for cpu in Cpu::all() {
                let mut envelope = text.clone();
                let sealed = seal_on(cpu, &key(), dir, &mut split(&mut envelope).unwrap());
                assert_eq!(
                    (sealed, &envelope),
                    (hash, &expected),
                    "{length} bytes on {cpu:?}"
                );
                let opened = open_on(cpu, &key(), dir, &mut split(&mut envelope).unwrap());
                assert_eq!(opened, Ok(hash), "{length} bytes on {cpu:?}");
                assert_eq!(envelope[HEADER_BYTES..], text[HEADER_BYTES..]);
            }
        }
    }

    #[test]
    fn every_level_refuses_a_change_of_any_byte_and_erases_what_was_decrypted() {
        let whole = sealed(ServerToClient);
        for (cpu, at) in Cpu::all().flat_map(|cpu| (0..whole.len()).map(move |at| (cpu, at))) {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            let opened = open_on(
                cpu,
                &key(),
                ServerToClient,
                &mut split(&mut changed).unwrap(),
            );
            assert_eq!(opened, Err(Undecryptable), "byte {at} on {cpu:?}");
            assert!(changed[HEADER_BYTES..].iter().all(|byte| *byte == 0));
        }
    }

    #[test]
    fn every_level_seals_and_opens_a_batch_like_the_plain_one_whatever_the_mix() {
        let keys = [key(), AuthKey::new([8; 256])];
        let mut random = 1_u64;
        let mut below = |limit: usize| {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(99);
            usize::try_from(random >> 33).unwrap() % limit
        };
        for count in 1..=64 {
            let blocks_max = [4, 40, 4096][count % 3];
            let texts: Vec<Vec<u8>> = (0..count)
                .map(|i| vec![i.to_le_bytes()[0]; HEADER_BYTES + 48 + 16 * below(blocks_max)])
                .collect();
            let keys: Vec<_> = (0..count).map(|_| keys[below(2)].clone()).collect();
            let expected: Vec<_> = keys
                .iter()
                .zip(&texts)
                .map(|(key, text)| {
                    let mut envelope = text.clone();
                    let mut parts = split(&mut envelope).unwrap();
                    let hash = seal_on(plain(), key, ClientToServer, &mut parts);
                    (envelope, Ok(hash))
                })
                .collect();
            for cpu in Cpu::all() {
                let mut envelopes = texts.clone();
                batch::seal(cpu, &mut jobs(&keys, &mut envelopes)).unwrap();
                assert!(
                    envelopes
                        .iter()
                        .eq(expected.iter().map(|(envelope, _)| envelope)),
                    "{count} on {cpu:?}"
                );
                let mut results = Vec::new();
                batch::open(cpu, &mut jobs(&keys, &mut envelopes), &mut results);
                assert!(
                    results.iter().eq(expected.iter().map(|(_, hash)| hash)),
                    "{count} on {cpu:?}"
                );
                for (envelope, text) in envelopes.iter().zip(&texts) {
                    assert_eq!(envelope[HEADER_BYTES..], text[HEADER_BYTES..]);
                }
            }
        }
    }

    fn plain() -> Cpu {
        Cpu::all().find(|cpu| cpu.level() == Level::Plain).unwrap()
    }

    fn key() -> AuthKey {
        AuthKey::new(core::array::from_fn(|i| i.to_le_bytes()[0]))
    }

    fn sealed(dir: Direction) -> Vec<u8> {
        let mut envelope = vec![1; HEADER_BYTES + 64];
        seal(&key(), dir, &mut envelope).unwrap();
        envelope
    }

    fn jobs<'a>(keys: &'a [AuthKey], envelopes: &'a mut [Vec<u8>]) -> Vec<Job<'a>> {
        keys.iter()
            .zip(envelopes)
            .map(|(key, envelope)| Job {
                key,
                dir: ClientToServer,
                envelope,
            })
            .collect()
    }
}
