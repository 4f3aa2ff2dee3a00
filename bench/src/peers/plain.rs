//! An envelope as one writes it from `sha2`, `aes` and `ige`, without further thought.

use aes::cipher::{Array, BlockModeDecrypt as _, BlockModeEncrypt as _, KeyIvInit as _};
use aes::{Aes256Dec, Aes256Enc};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng as _};
use sha2::{Digest as _, Sha256};

pub(crate) const HEADER_BYTES: usize = 24;

pub(crate) const KEY: [u8; 256] = [3; 256];

/// The header of 32 bytes and the body.
pub(crate) fn text(body: usize) -> Vec<u8> {
    vec![5; 32 + body]
}

pub(crate) fn envelope_bytes(body: usize) -> usize {
    HEADER_BYTES + (32 + body + 12).next_multiple_of(16)
}

/// Puts text and padding where they are sealed.
pub(crate) fn fill(envelope: &mut [u8], text: &[u8], padding: &mut Padding) {
    let (front, rest) = envelope[HEADER_BYTES..].split_at_mut(text.len());
    front.copy_from_slice(text);
    padding.0.fill_bytes(rest);
}

/// Makes padding, as fast as it can be had.
pub(crate) struct Padding(ChaCha8Rng);

impl Default for Padding {
    fn default() -> Self {
        Self(ChaCha8Rng::from_seed([0; 32]))
    }
}

pub(crate) fn seal(envelope: &mut [u8]) {
    seal_at(envelope, 0);
}

pub(crate) fn sealed_by_server(body: usize) -> Vec<u8> {
    let mut envelope = vec![0; envelope_bytes(body)];
    fill(&mut envelope, &text(body), &mut Padding::default());
    seal_at(&mut envelope, 8);
    // What grammers compares; computed as it computes it.
    envelope[..8].copy_from_slice(&key_id());
    envelope
}

pub(crate) fn open(envelope: &mut [u8]) {
    let (head, text) = envelope.split_at_mut(HEADER_BYTES);
    let (key, iv) = derive(&head[8..], 8);
    let (blocks, _) = Array::slice_as_chunks_mut(text);
    ige::Decryptor::<Aes256Dec>::new(&key.into(), &iv.into()).decrypt_blocks(blocks);
    assert_eq!(msg_key(text, 8), head[8..]);
}

fn seal_at(envelope: &mut [u8], x: usize) {
    let (head, text) = envelope.split_at_mut(HEADER_BYTES);
    head[8..].copy_from_slice(&msg_key(text, x));
    let (key, iv) = derive(&head[8..], x);
    let (blocks, _) = Array::slice_as_chunks_mut(text);
    ige::Encryptor::<Aes256Enc>::new(&key.into(), &iv.into()).encrypt_blocks(blocks);
}

fn msg_key(text: &[u8], x: usize) -> [u8; 16] {
    let large = sha256(&[&KEY[88 + x..120 + x], text]);
    large[8..24].try_into().expect("16 bytes")
}

fn derive(msg_key: &[u8], x: usize) -> ([u8; 32], [u8; 32]) {
    let a = sha256(&[msg_key, &KEY[x..36 + x]]);
    let b = sha256(&[&KEY[40 + x..76 + x], msg_key]);
    let mix = |outer: &[u8; 32], inner: &[u8; 32]| {
        let mut mixed = *outer;
        mixed[8..24].copy_from_slice(&inner[8..24]);
        mixed
    };
    (mix(&a, &b), mix(&b, &a))
}

fn sha256(pieces: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for piece in pieces {
        hasher.update(piece);
    }
    hasher.finalize().into()
}

fn key_id() -> [u8; 8] {
    // Sealing by grammers writes the id in front.
    let mut buffer = grammers_crypto::DequeBuffer::with_capacity(128, HEADER_BYTES);
    buffer.extend([0; 64]);
    grammers_crypto::encrypt_data_v2(&mut buffer, &grammers_crypto::AuthKey::from_bytes(KEY));
    buffer[..8].try_into().expect("8 bytes")
}
