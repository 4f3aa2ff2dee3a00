//! The two errors that most of this crate shares.

use core::fmt;

/// The bytes were not made by whom they claim to be from.
///
/// One value on purpose: naming the failed check would tell an attacker which guess was warm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Undecryptable;

impl fmt::Display for Undecryptable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not authentic")
    }
}

impl core::error::Error for Undecryptable {}

/// Our caller passed a number of bytes that the primitive doesn't take. Never caused by a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LengthError;

impl fmt::Display for LengthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("wrong number of bytes")
    }
}

impl core::error::Error for LengthError {}
