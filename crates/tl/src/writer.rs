//! The writer.

use crate::limits::STRING_BYTES_MAX;
use crate::reader::{BOOL_FALSE, BOOL_TRUE, VECTOR};
use crate::{Error, Serialize, Vector};

/// Appends TL values to a byte vector.
///
/// Two things have no form on the wire: a string of 2^24 bytes or more, and a vector of 2^31 elements or more. Each is
/// written empty and remembered; [`Writer::finish`] then fails.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    out: Vec<u8>,
    overflowed: bool,
}

impl Writer {
    /// Makes an empty writer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends to `out`, keeping what it holds.
    #[must_use]
    pub fn from_vec(out: Vec<u8>) -> Self {
        Self {
            out,
            overflowed: false,
        }
    }

    /// Returns what has been written, for a caller that knows its strings to be short.
    #[must_use]
    pub fn into_vec(self) -> Vec<u8> {
        debug_assert!(
            !self.overflowed,
            "something too long for its length field was written"
        );
        self.out
    }

    /// Returns what has been written.
    ///
    /// # Errors
    ///
    /// [`Error::TooLong`] when something longer than its length field can express was written.
    pub fn finish(self) -> Result<Vec<u8>, Error> {
        if self.overflowed {
            Err(Error::TooLong)
        } else {
            Ok(self.out)
        }
    }

    /// Returns how many bytes the output has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Tells whether the output is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// Writes an `int`.
    pub fn i32(&mut self, value: i32) {
        self.raw(&value.to_le_bytes());
    }

    /// Writes a `#`: a bit field, or a constructor id.
    pub fn u32(&mut self, value: u32) {
        self.raw(&value.to_le_bytes());
    }

    /// Writes a `long`.
    pub fn i64(&mut self, value: i64) {
        self.raw(&value.to_le_bytes());
    }

    /// Writes a `double`.
    pub fn f64(&mut self, value: f64) {
        self.raw(&value.to_le_bytes());
    }

    /// Writes an `int128`.
    pub fn int128(&mut self, value: &[u8; 16]) {
        self.raw(value);
    }

    /// Writes an `int256`.
    pub fn int256(&mut self, value: &[u8; 32]) {
        self.raw(value);
    }

    /// Writes a boxed `Bool`.
    pub fn bool(&mut self, value: bool) {
        self.u32(if value { BOOL_TRUE } else { BOOL_FALSE });
    }

    /// Writes a `string` or `bytes` with its length and zero padding.
    pub fn bytes(&mut self, value: &[u8]) {
        match (u32::try_from(value.len()), u8::try_from(value.len())) {
            (_, Ok(len)) if len < 0xfe => {
                self.out.push(len);
                self.raw(value);
                self.pad((1 + value.len()).wrapping_neg() % 4);
            }
            (Ok(len), _) if value.len() <= STRING_BYTES_MAX => {
                self.u32(len << 8 | 0xfe);
                self.raw(value);
                self.pad(value.len().wrapping_neg() % 4);
            }
            _ => {
                self.overflowed = true;
                self.u32(0);
            }
        }
    }

    /// Writes bytes as they are: an object that is serialised already.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// Writes a boxed `Vector<T>`.
    pub fn vector<T: Serialize>(&mut self, vector: &Vector<'_, T>) {
        self.u32(VECTOR);
        self.bare_vector(vector);
    }

    /// Writes a bare `vector<T>`: a count and the elements.
    pub fn bare_vector<T: Serialize>(&mut self, vector: &Vector<'_, T>) {
        let Ok(len) = i32::try_from(vector.len()) else {
            self.overflowed = true;
            self.i32(0);
            return;
        };
        self.i32(len);
        vector.write_elements(self);
    }

    /// Remembers that something had no form on the wire.
    pub(crate) fn overflow(&mut self) {
        self.overflowed = true;
    }

    fn pad(&mut self, len: usize) {
        self.out.resize(self.out.len() + len, 0);
    }
}
