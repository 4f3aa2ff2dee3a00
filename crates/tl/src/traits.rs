//! What can be read and written, boxed and bare.

use crate::{Error, Reader, Writer};

/// A value that can be written: an object with its constructor id, a primitive as it is.
pub trait Serialize {
    /// Appends the value.
    fn write(&self, w: &mut Writer);

    /// Writes the value into a vector of its own, for a caller that knows its strings to be short.
    fn to_bytes(&self) -> Vec<u8> {
        let mut w = Writer::new();
        self.write(&mut w);
        w.into_vec()
    }
}

/// A value that can be read: an object with its constructor id, a primitive as it is.
pub trait Deserialize<'a>: Sized {
    /// Bytes that the shortest value of this type has.
    const BYTES_MIN: usize = 4;

    /// Whether any `BYTES_MIN` bytes are a value, and no value has more.
    const FIXED: bool = false;

    /// Reads one value.
    ///
    /// # Errors
    ///
    /// Any [`Error`] but those of compression; see each method of [`Reader`].
    fn read(r: &mut Reader<'a>) -> Result<Self, Error>;

    /// Reads a value that is the whole of `bytes`, under the default limits.
    ///
    /// # Errors
    ///
    /// As [`Deserialize::read`], and [`Error::TrailingBytes`] when something follows.
    fn from_bytes(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut r = Reader::new(bytes);
        let value = Self::read(&mut r)?;
        r.finish()?;
        Ok(value)
    }
}

/// An object that can be written without its constructor id.
pub trait SerializeBare {
    /// Appends the fields.
    fn write_bare(&self, w: &mut Writer);
}

/// An object that can be read without its constructor id.
pub trait DeserializeBare<'a>: Sized {
    /// Bytes that the shortest form has.
    const BYTES_MIN: usize;

    /// Whether any `BYTES_MIN` bytes are a value, and no value has more.
    const FIXED: bool;

    /// Reads the fields.
    ///
    /// # Errors
    ///
    /// As [`Deserialize::read`].
    fn read_bare(r: &mut Reader<'a>) -> Result<Self, Error>;
}

/// An object whose constructor id is not on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bare<T>(pub T);

impl<T: SerializeBare> Serialize for Bare<T> {
    fn write(&self, w: &mut Writer) {
        self.0.write_bare(w);
    }
}

impl<'a, T: DeserializeBare<'a>> Deserialize<'a> for Bare<T> {
    const BYTES_MIN: usize = T::BYTES_MIN;
    const FIXED: bool = T::FIXED;

    fn read(r: &mut Reader<'a>) -> Result<Self, Error> {
        T::read_bare(r).map(Self)
    }
}

/// Implements both traits for a primitive of a fixed size.
macro_rules! fixed {
    ($($type:ty, $bytes:literal, $method:ident, |$value:ident| $argument:expr;)+) => {$(
        impl Serialize for $type {
            fn write(&self, w: &mut Writer) {
                let $value = self;
                w.$method($argument);
            }
        }

        impl Deserialize<'_> for $type {
            const BYTES_MIN: usize = $bytes;
            const FIXED: bool = true;

            fn read(r: &mut Reader<'_>) -> Result<Self, Error> {
                r.$method()
            }
        }
    )+};
}

fixed! {
    i32, 4, i32, |value| *value;
    u32, 4, u32, |value| *value;
    i64, 8, i64, |value| *value;
    f64, 8, f64, |value| *value;
    [u8; 16], 16, int128, |value| value;
    [u8; 32], 32, int256, |value| value;
}

impl Serialize for bool {
    fn write(&self, w: &mut Writer) {
        w.bool(*self);
    }
}

impl Deserialize<'_> for bool {
    fn read(r: &mut Reader<'_>) -> Result<Self, Error> {
        r.bool()
    }
}

impl Serialize for &[u8] {
    fn write(&self, w: &mut Writer) {
        w.bytes(self);
    }
}

impl<'a> Deserialize<'a> for &'a [u8] {
    fn read(r: &mut Reader<'a>) -> Result<Self, Error> {
        r.bytes()
    }
}
