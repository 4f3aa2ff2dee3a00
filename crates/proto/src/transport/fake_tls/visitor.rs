//! The server's look at a hello: a client that knows the secret, or a visitor for the real site.

use heliogram_crypto::hash::ct_eq;

use super::secret::DisguisedSecret;
use super::{RANDOM_BYTES, sign, take_random};
use crate::limits::{FAKE_TLS_AGE_S_MAX, FAKE_TLS_HELLO_BYTES_MAX, FAKE_TLS_SKEW_S_MAX};

/// Who has shown the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visitor {
    /// Which of the secrets, by its place.
    pub secret: usize,
    /// What a second copy of the hello is known by.
    pub(super) random: [u8; RANDOM_BYTES],
    pub(super) session: [u8; 32],
    pub(super) cipher: [u8; 2],
}

/// It is no hello of a client. The owner of the connection shows the real site, with all that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "says all on purpose")]
pub struct NotAClient;

impl core::fmt::Display for NotAClient {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("not the hello of a client")
    }
}

impl core::error::Error for NotAClient {}

/// Looks at the first record of a connection, all of it and nothing after it.
///
/// Whether the hello is a second copy is for [`super::Replays`] to say.
///
/// # Errors
///
/// [`NotAClient`] if it has no form that browsers send, names no domain of a secret, is signed with none, or is more than
/// 3 s ahead of `now_unix_s` or 10 minutes behind.
pub fn recognize(
    hello: &[u8],
    secrets: &[DisguisedSecret],
    now_unix_s: u64,
) -> Result<Visitor, NotAClient> {
    let form = parse(hello).ok_or(NotAClient)?;
    let (random, zeroed) = take_random(hello).ok_or(NotAClient)?;
    let (proof, masked_time) = random.split_at(28);
    let mut found = None;
    for (at, secret) in secrets.iter().enumerate() {
        let signed = sign(secret.key(), &[&zeroed]);
        let (expected, mask) = signed.split_at(28);
        // Each secret is tried, so that the time says nothing of which.
        if ct_eq(expected, proof) && form.domain == secret.domain().as_bytes() {
            let mut time = [0; 4];
            for ((to, a), b) in time.iter_mut().zip(mask).zip(masked_time) {
                *to = a ^ b;
            }
            found = Some((at, u64::from(u32::from_le_bytes(time))));
        }
    }
    let (secret, at_s) = found.ok_or(NotAClient)?;
    let is_ahead = at_s > now_unix_s.saturating_add(FAKE_TLS_SKEW_S_MAX);
    let is_old = at_s.saturating_add(FAKE_TLS_AGE_S_MAX) < now_unix_s;
    if is_ahead || is_old {
        return Err(NotAClient);
    }
    Ok(Visitor {
        secret,
        random,
        session: form.session,
        cipher: form.cipher,
    })
}

/// What of a hello matters.
struct Form<'a> {
    session: [u8; 32],
    cipher: [u8; 2],
    domain: &'a [u8],
}

fn parse(hello: &[u8]) -> Option<Form<'_>> {
    if hello.len() > FAKE_TLS_HELLO_BYTES_MAX {
        return None;
    }
    let (&[0x16, 3, 1], rest) = hello.split_first_chunk()? else {
        return None;
    };
    let (record, []) = field::<2>(rest)? else {
        return None;
    };
    let (&[1], rest) = record.split_first_chunk()? else {
        return None;
    };
    let (body, []) = field::<3>(rest)? else {
        return None;
    };
    let (&[3, 3], rest) = body.split_first_chunk()? else {
        return None;
    };
    let (_random, rest) = rest.split_first_chunk::<RANDOM_BYTES>()?;
    let (session, rest) = field::<1>(rest)?;
    let (ciphers, rest) = field::<2>(rest)?;
    let (&[1, 0], rest) = rest.split_first_chunk()? else {
        return None;
    };
    let (extensions, []) = field::<2>(rest)? else {
        return None;
    };
    Some(Form {
        session: *session.as_array()?,
        cipher: first_cipher(ciphers)?,
        domain: server_name(extensions)?,
    })
}

/// The first that means something must be one of TLS 1.3.
fn first_cipher(ciphers: &[u8]) -> Option<[u8; 2]> {
    let (ciphers, []) = ciphers.as_chunks::<2>() else {
        return None;
    };
    let is_grease = |[a, b]: &[u8; 2]| a == b && a & 0x0f == 0x0a;
    let first = ciphers.iter().find(|it| !is_grease(it))?;
    matches!(first, [0x13, 1..=3]).then_some(*first)
}

fn server_name(mut extensions: &[u8]) -> Option<&[u8]> {
    while !extensions.is_empty() {
        let (kind, rest) = extensions.split_first_chunk::<2>()?;
        let (body, rest) = field::<2>(rest)?;
        extensions = rest;
        if kind == &[0, 0] {
            let (names, []) = field::<2>(body)? else {
                return None;
            };
            let (&[0], rest) = names.split_first_chunk()? else {
                return None;
            };
            return Some(field::<2>(rest)?.0);
        }
    }
    None
}

/// Reads a field with its length before it, in `LENGTH` bytes; returns what follows, too.
fn field<const LENGTH: usize>(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_at_checked(LENGTH)?;
    let length = length
        .iter()
        .fold(0, |sum, &byte| sum << 8 | usize::from(byte));
    rest.split_at_checked(length)
}
