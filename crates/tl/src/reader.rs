//! The zero-copy reader.

use crate::{Deserialize, Error, Limits, Vector};

/// Reads TL values from the front of a byte slice.
///
/// After an error the position is unspecified; the first error is meant to be the last.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    depth_left: u32,
    vector_len_max: usize,
}

impl<'a> Reader<'a> {
    /// Reads `input` under the default [`Limits`].
    #[must_use]
    pub fn new(input: &'a [u8]) -> Self {
        Self::unchecked(input, Limits::default())
    }

    /// Reads `input` under `limits`.
    ///
    /// # Errors
    ///
    /// [`Error::TooLong`] when `input` has more than [`Limits::bytes_max`] bytes.
    pub fn with_limits(input: &'a [u8], limits: Limits) -> Result<Self, Error> {
        if input.len() > limits.bytes_max {
            return Err(Error::TooLong);
        }
        Ok(Self::unchecked(input, limits))
    }

    pub(crate) fn unchecked(input: &'a [u8], limits: Limits) -> Self {
        Self {
            rest: input,
            depth_left: limits.depth_max,
            vector_len_max: limits.vector_len_max,
        }
    }

    /// Returns how many bytes are left.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    pub(crate) const fn vector_len_max(&self) -> usize {
        self.vector_len_max
    }

    /// Takes everything that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// Ends the reading.
    ///
    /// # Errors
    ///
    /// [`Error::TrailingBytes`] when something is left.
    pub fn finish(self) -> Result<(), Error> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(Error::TrailingBytes)
        }
    }

    /// Takes the next `len` bytes as they are.
    ///
    /// # Errors
    ///
    /// [`Error::UnexpectedEnd`] when fewer are left.
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], Error> {
        let (taken, rest) = self
            .rest
            .split_at_checked(len)
            .ok_or(Error::UnexpectedEnd)?;
        self.rest = rest;
        Ok(taken)
    }

    /// Reads an `int`.
    ///
    /// # Errors
    ///
    /// [`Error::UnexpectedEnd`] when fewer than 4 bytes are left.
    pub fn i32(&mut self) -> Result<i32, Error> {
        self.array().map(i32::from_le_bytes)
    }

    /// Reads a `#`: a bit field, or a constructor id.
    ///
    /// # Errors
    ///
    /// [`Error::UnexpectedEnd`] when fewer than 4 bytes are left.
    pub fn u32(&mut self) -> Result<u32, Error> {
        self.array().map(u32::from_le_bytes)
    }

    /// Reads a `long`.
    ///
    /// # Errors
    ///
    /// [`Error::UnexpectedEnd`] when fewer than 8 bytes are left.
    pub fn i64(&mut self) -> Result<i64, Error> {
        self.array().map(i64::from_le_bytes)
    }

    /// Reads a `double`.
    ///
    /// # Errors
    ///
    /// [`Error::UnexpectedEnd`] when fewer than 8 bytes are left.
    pub fn f64(&mut self) -> Result<f64, Error> {
        self.array().map(f64::from_le_bytes)
    }

    /// Reads an `int128`: 16 bytes in their order.
    ///
    /// # Errors
    ///
    /// [`Error::UnexpectedEnd`] when fewer than 16 bytes are left.
    pub fn int128(&mut self) -> Result<[u8; 16], Error> {
        self.array()
    }

    /// Reads an `int256`: 32 bytes in their order.
    ///
    /// # Errors
    ///
    /// [`Error::UnexpectedEnd`] when fewer than 32 bytes are left.
    pub fn int256(&mut self) -> Result<[u8; 32], Error> {
        self.array()
    }

    /// Reads a boxed `Bool`.
    ///
    /// # Errors
    ///
    /// - [`Error::UnexpectedEnd`] when fewer than 4 bytes are left.
    /// - [`Error::UnexpectedId`] when they are neither `boolTrue` nor `boolFalse`.
    pub fn bool(&mut self) -> Result<bool, Error> {
        match self.u32()? {
            BOOL_TRUE => Ok(true),
            BOOL_FALSE => Ok(false),
            id => Err(Error::UnexpectedId { id }),
        }
    }

    /// Reads a `string` or `bytes`, padding included. The content of the padding is not looked at, and the long form
    /// of a short length is accepted: official readers do the same.
    ///
    /// # Errors
    ///
    /// - [`Error::UnexpectedEnd`] when the string or its padding runs past the input.
    /// - [`Error::BadLengthByte`] when the first byte is `0xff`.
    pub fn bytes(&mut self) -> Result<&'a [u8], Error> {
        let [first] = self.array()?;
        let (header, len) = match first {
            0xff => return Err(Error::BadLengthByte),
            0xfe => {
                let [a, b, c] = self.array()?;
                (
                    4,
                    usize::from(a) | usize::from(b) << 8 | usize::from(c) << 16,
                )
            }
            short => (1, usize::from(short)),
        };
        let value = self.take(len)?;
        self.take((header + len).wrapping_neg() % 4)?;
        Ok(value)
    }

    /// Looks at the constructor id that comes next.
    #[must_use]
    pub fn peek_id(&self) -> Option<u32> {
        crate::peek_id(self.rest)
    }

    /// Reads a constructor id that must be `expected`.
    ///
    /// # Errors
    ///
    /// - [`Error::UnexpectedEnd`] when fewer than 4 bytes are left.
    /// - [`Error::UnexpectedId`] when it is another one.
    pub fn expect_id(&mut self, expected: u32) -> Result<(), Error> {
        match self.u32()? {
            id if id == expected => Ok(()),
            id => Err(Error::UnexpectedId { id }),
        }
    }

    /// Reads a boxed `Vector<T>` of at most `len_max` elements.
    ///
    /// # Errors
    ///
    /// - [`Error::UnexpectedId`] when something other than a vector stands here.
    /// - [`Error::VectorTooLong`] when it claims more than `len_max` elements, or than the limits allow.
    /// - [`Error::UnexpectedEnd`] when fewer bytes are left than so many elements need.
    /// - Whatever reading an element gives.
    pub fn vector<T: Deserialize<'a>>(&mut self, len_max: usize) -> Result<Vector<'a, T>, Error> {
        self.expect_id(VECTOR)?;
        self.bare_vector(len_max)
    }

    /// Reads a bare `vector<T>`: a count and the elements.
    ///
    /// # Errors
    ///
    /// As [`Reader::vector`], without its first.
    pub fn bare_vector<T: Deserialize<'a>>(
        &mut self,
        len_max: usize,
    ) -> Result<Vector<'a, T>, Error> {
        let len = usize::try_from(self.i32()?).map_err(|_negative| Error::VectorTooLong)?;
        if len > len_max.min(self.vector_len_max) {
            return Err(Error::VectorTooLong);
        }
        let bytes_min = len.checked_mul(T::BYTES_MIN).ok_or(Error::VectorTooLong)?;
        if bytes_min > self.rest.len() {
            return Err(Error::UnexpectedEnd);
        }
        let elements = if T::FIXED {
            self.take(bytes_min)?
        } else {
            self.walk::<T>(len)?
        };
        Ok(Vector::from_wire(elements, len))
    }

    /// Reads what lies one level deeper.
    ///
    /// # Errors
    ///
    /// - [`Error::TooDeep`] when that level is one too many.
    /// - Whatever `read` gives.
    pub fn nested<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.depth_left = self.depth_left.checked_sub(1).ok_or(Error::TooDeep)?;
        let value = read(self)?;
        self.depth_left += 1;
        Ok(value)
    }

    /// Reads `len` elements of varying size and returns their bytes.
    fn walk<T: Deserialize<'a>>(&mut self, len: usize) -> Result<&'a [u8], Error> {
        let before = self.rest;
        for _ in 0..len {
            T::read(self)?;
        }
        before
            .get(..before.len() - self.rest.len())
            .ok_or(Error::UnexpectedEnd)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Error::UnexpectedEnd)?;
        self.rest = rest;
        Ok(*taken)
    }
}

pub(crate) const BOOL_TRUE: u32 = 0x9972_75b5;
pub(crate) const BOOL_FALSE: u32 = 0xbc79_9737;
pub(crate) const VECTOR: u32 = 0x1cb5_c415;
