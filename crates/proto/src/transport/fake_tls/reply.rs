//! The server's reply, and the client's look at it.
//!
//! ```text
//! 16 03 03 00 7a | ServerHello 122      its random bytes are an HMAC of the client's and all of this
//! 14 03 03 00 01 | 01
//! 17 03 03 len   | noise
//! ```

use heliogram_crypto::curve25519::random_abscissa;
use heliogram_crypto::hash::ct_eq;
use rand_core::CryptoRng;

use super::secret::DisguisedSecret;
use super::visitor::Visitor;
use super::writer::{random, sized};
use super::{RANDOM_BYTES, hello, put_random, sign, take_random};
use crate::limits::FAKE_TLS_REPLY_BYTES_MAX;
use crate::transport::Error;

/// Appends the reply to a visitor that has shown `secret`, with so much noise as the real site would send: 1000 to 4000
/// bytes are usual.
pub fn write_reply(
    secret: &DisguisedSecret,
    visitor: &Visitor,
    noise_bytes: u16,
    rng: &mut dyn CryptoRng,
    out: &mut Vec<u8>,
) {
    let mut reply = HELLO_RECORD.to_vec();
    sized::<2>(&mut reply, |out| {
        out.push(2);
        sized::<3>(out, |out| {
            out.extend_from_slice(&[3, 3]);
            out.extend_from_slice(&[0; RANDOM_BYTES]);
            sized::<1>(out, |out| out.extend_from_slice(&visitor.session));
            out.extend_from_slice(&visitor.cipher);
            out.push(0);
            sized::<2>(out, |out| {
                out.extend_from_slice(&[0, 0x33, 0, 0x24, 0, 0x1d, 0, 0x20]);
                out.extend_from_slice(&random_abscissa(rng));
                out.extend_from_slice(&[0, 0x2b, 0, 2, 3, 4]);
            });
        });
    });
    reply.extend_from_slice(&CHANGE_CIPHER_SPEC);
    reply.extend_from_slice(&DATA_RECORD);
    sized::<2>(&mut reply, |out| random(out, usize::from(noise_bytes), rng));
    let signed = sign(secret.key(), &[&visitor.random, &reply]);
    put_random(&mut reply, &signed);
    out.extend_from_slice(&reply);
}

/// A client that waits for the reply.
#[derive(Debug)]
pub(in super::super) struct Asking {
    secret: DisguisedSecret,
    random: [u8; RANDOM_BYTES],
    read: Vec<u8>,
}

impl Asking {
    /// Appends the hello to `out`.
    pub(in super::super) fn start(
        secret: DisguisedSecret,
        unix_s: u32,
        rng: &mut dyn CryptoRng,
        out: &mut Vec<u8>,
    ) -> Self {
        let (hello, random) = hello::write(&secret, unix_s, rng);
        out.extend_from_slice(&hello);
        Self {
            secret,
            random,
            read: Vec::new(),
        }
    }

    /// Takes the reply from the front of `input`; `true` once it is there and right.
    pub(in super::super) fn take(&mut self, input: &mut &mut [u8]) -> Result<bool, Error> {
        loop {
            let missing = match missing(&self.read)? {
                0 => break,
                missing => missing.min(input.len()),
            };
            if missing == 0 {
                return Ok(false);
            }
            let (taken, rest) = core::mem::take(input).split_at_mut(missing);
            self.read.extend_from_slice(taken);
            *input = rest;
        }
        let (random, zeroed) = take_random(&self.read).ok_or(Error::BadHandshake)?;
        let signed = sign(self.secret.key(), &[&self.random, &zeroed]);
        if ct_eq(&signed, &random) {
            Ok(true)
        } else {
            Err(Error::BadHandshake)
        }
    }
}

/// Returns how many bytes are known to be missing of a reply; zero if it is whole.
fn missing(read: &[u8]) -> Result<usize, Error> {
    let mut rest = read;
    for record in [&HELLO_RECORD, &CHANGE_CIPHER_RECORD, &DATA_RECORD] {
        let known = rest.len().min(record.len());
        if rest.get(..known) != record.get(..known) {
            return Err(Error::BadHandshake);
        }
        let Some((&[_, _, _, high, low], body)) = rest.split_first_chunk() else {
            return Ok(HEADER_BYTES - rest.len());
        };
        let length = usize::from(u16::from_be_bytes([high, low]));
        if length > FAKE_TLS_REPLY_BYTES_MAX {
            return Err(Error::TooLarge);
        }
        let Some(after) = body.get(length..) else {
            return Ok(length - body.len());
        };
        rest = after;
    }
    Ok(0)
}

const HELLO_RECORD: [u8; 3] = [0x16, 3, 3];
const CHANGE_CIPHER_RECORD: [u8; 3] = [0x14, 3, 3];
const DATA_RECORD: [u8; 3] = [0x17, 3, 3];
const HEADER_BYTES: usize = 5;

/// The whole record.
pub(super) const CHANGE_CIPHER_SPEC: [u8; 6] = [0x14, 3, 3, 0, 1, 1];
