//! obfuscated2: a header of 64 bytes that carries its own keys, then AES-256-CTR over everything in both directions.
//!
//! It hides the protocol from a simple censor and protects nothing. A secret mixed into the keys keeps out those who
//! don't know it.
//!
//! Source: <https://core.telegram.org/mtproto/mtproto-transports#transport-obfuscation>.

use heliogram_crypto::SecretBytes;
use heliogram_crypto::ctr::Aes256Ctr;
use heliogram_crypto::hash::sha256;
use rand_core::CryptoRng;

use super::Framing;
use super::detect::{ABRIDGED, HEADER_BYTES, INTERMEDIATE, PADDED};
use super::secret::Secret;

/// Both streams of an obfuscated connection.
#[derive(Debug)]
pub(super) struct Streams {
    pub(super) incoming: Box<Aes256Ctr>,
    pub(super) outgoing: Box<Aes256Ctr>,
}

/// What a header says.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) framing: Framing,
    /// The data centre that the client names; noise, if it names none.
    pub(super) dc: i16,
    pub(super) streams: Streams,
}

/// Reads a client's header with each secret in turn (`None`: without one).
pub(super) fn accept<'s>(
    wire: &[u8; HEADER_BYTES],
    secrets: impl Iterator<Item = Option<&'s Secret>>,
) -> Option<Accepted> {
    for secret in secrets {
        let (mut incoming, outgoing) = keys(wire, secret);
        let mut plain = *wire;
        incoming.apply(&mut plain);
        let Some(&[a, b, c, d, low, high, ..]) = plain.get(TAG_AT..) else {
            return None;
        };
        let framing = match [a, b, c, d] {
            [ABRIDGED, ABRIDGED, ABRIDGED, ABRIDGED] => Framing::Abridged,
            [INTERMEDIATE, INTERMEDIATE, INTERMEDIATE, INTERMEDIATE] => Framing::Intermediate,
            [PADDED, PADDED, PADDED, PADDED] => Framing::PaddedIntermediate,
            _ => continue,
        };
        if framing != Framing::PaddedIntermediate && secret.is_some_and(Secret::requires_padding) {
            continue;
        }
        let streams = Streams {
            incoming: Box::new(incoming),
            outgoing: Box::new(outgoing),
        };
        return Some(Accepted {
            framing,
            dc: i16::from_le_bytes([low, high]),
            streams,
        });
    }
    None
}

/// Draws a client's header. `None` if the framing can't be obfuscated.
pub(super) fn propose(
    framing: Framing,
    secret: Option<&Secret>,
    dc: Option<i16>,
    rng: &mut dyn CryptoRng,
) -> Option<([u8; HEADER_BYTES], Streams)> {
    let mut random = [0; HEADER_BYTES];
    rng.fill_bytes(&mut random);
    while is_ambiguous(&random) {
        rng.fill_bytes(&mut random);
    }
    complete(random, framing, secret, dc)
}

/// Makes a client's header from random bytes.
fn complete(
    random: [u8; HEADER_BYTES],
    framing: Framing,
    secret: Option<&Secret>,
    dc: Option<i16>,
) -> Option<([u8; HEADER_BYTES], Streams)> {
    let tag = match framing {
        Framing::Abridged => ABRIDGED,
        Framing::Intermediate => INTERMEDIATE,
        Framing::PaddedIntermediate => PADDED,
        Framing::Full | Framing::Http => return None,
    };
    let mut plain = random;
    plain.get_mut(TAG_AT..DC_AT)?.fill(tag);
    if let Some(dc) = dc {
        plain
            .get_mut(DC_AT..DC_AT + 2)?
            .copy_from_slice(&dc.to_le_bytes());
    }
    // The server's view of the keys: what it receives is what we send.
    let (mut outgoing, incoming) = keys(&plain, secret);
    let mut sealed = plain;
    outgoing.apply(&mut sealed);
    let mut wire = plain;
    wire.get_mut(TAG_AT..)?
        .copy_from_slice(sealed.get(TAG_AT..)?);
    Some((
        wire,
        Streams {
            incoming: Box::new(incoming),
            outgoing: Box::new(outgoing),
        },
    ))
}

/// Derives the streams from client to server, and from server to client.
fn keys(header: &[u8; HEADER_BYTES], secret: Option<&Secret>) -> (Aes256Ctr, Aes256Ctr) {
    let mut forward = [0; KEY_BYTES + IV_BYTES];
    for (to, from) in forward.iter_mut().zip(header.iter().skip(KEYS_AT)) {
        *to = *from;
    }
    let mut backward = forward;
    backward.reverse();
    (stream(&forward, secret), stream(&backward, secret))
}

fn stream(key_iv: &[u8; KEY_BYTES + IV_BYTES], secret: Option<&Secret>) -> Aes256Ctr {
    let mut key = [0; KEY_BYTES];
    let mut iv = [0; IV_BYTES];
    for (to, from) in key.iter_mut().chain(&mut iv).zip(key_iv) {
        *to = *from;
    }
    let Some(secret) = secret else {
        return Aes256Ctr::new(&key, &iv);
    };
    let mixed = SecretBytes::new(sha256(&[&key, secret.key()]));
    Aes256Ctr::new(mixed.expose(), &iv)
}

/// Tells whether a server could take `random` for the beginning of another transport.
fn is_ambiguous(random: &[u8; HEADER_BYTES]) -> bool {
    let [first, second, ..] = random.as_chunks::<4>().0 else {
        return true;
    };
    random.starts_with(&[ABRIDGED]) || FOREIGN_BEGINNINGS.contains(&first) || *second == [0; 4]
}

/// How other transports begin.
const FOREIGN_BEGINNINGS: [&[u8; 4]; 9] = [
    b"GET ",
    b"HEAD",
    b"OPTI",
    b"POST",
    b"PVrG",
    &[INTERMEDIATE; 4],
    &[PADDED; 4],
    &[0x16, 0x03, 0x01, 0x02],
    // The beginning of a PROXY header, version 2.
    &[0x0d, 0x0a, 0x0d, 0x0a],
];

/// Where the key of the client's direction begins; the vector follows it.
const KEYS_AT: usize = 8;

const KEY_BYTES: usize = 32;

const IV_BYTES: usize = 16;

/// Where the framing is named.
const TAG_AT: usize = 56;

/// Where the data centre is named.
const DC_AT: usize = 60;
