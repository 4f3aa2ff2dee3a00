//! Fake TLS: the beginning of a connection looks like a browser's visit to some site, all that follows like its traffic.
//!
//! ```text
//!  client                                   server
//!  ClientHello, signed with the secret ──>  checks it; shows any other visitor the real site
//!          checks it  <── ServerHello, ChangeCipherSpec, one record of noise, signed
//!  ChangeCipherSpec, records ──>  <── records          what they hold joins to one obfuscated stream
//! ```
//!
//! It encrypts nothing: obfuscation is within, and MTProto within that. The server's side is here as far as it needs no
//! socket: who shows a visitor the real site is the owner of the connection.
//!
//! Source: <https://core.telegram.org/mtproto/mtproto-transports>, and MTProxy.

mod hello;
mod records;
mod replays;
mod reply;
mod secret;
mod visitor;
mod writer;

pub(super) use records::{Reader, wrap};
pub use replays::Replays;
pub(super) use reply::Asking;
pub use reply::write_reply;
pub use secret::DisguisedSecret;
pub use visitor::{NotAClient, Visitor, recognize};

/// Where a hello has its random bytes, of client and server alike.
const RANDOM_AT: usize = 11;

/// How many.
const RANDOM_BYTES: usize = 32;

/// Returns the signature of a hello whose random bytes are zero.
fn sign(key: &[u8; 16], pieces: &[&[u8]]) -> [u8; RANDOM_BYTES] {
    heliogram_crypto::hash::hmac_sha256(key, pieces)
}

/// Returns a hello's random bytes, and the same hello with zeros there.
fn take_random(hello: &[u8]) -> Option<([u8; RANDOM_BYTES], Vec<u8>)> {
    let random = *hello.get(RANDOM_AT..)?.first_chunk()?;
    let mut zeroed = hello.to_vec();
    put_random(&mut zeroed, &[0; RANDOM_BYTES]);
    Some((random, zeroed))
}

/// Writes a hello's random bytes.
fn put_random(hello: &mut [u8], random: &[u8; RANDOM_BYTES]) {
    for (to, from) in hello.iter_mut().skip(RANDOM_AT).zip(random) {
        *to = *from;
    }
}
