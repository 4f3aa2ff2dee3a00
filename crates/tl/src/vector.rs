//! A sequence of elements: a view of wire bytes, or of a slice.

use std::fmt;
use std::marker::PhantomData;

use crate::{Deserialize, Error, Limits, Reader, Serialize, Writer};

/// A `Vector<T>` that owns nothing: checked bytes of the wire, or a slice of values to be written.
///
/// Elements that were read from the wire are decoded anew at each iteration; they are checked once, when the vector is
/// read, so that an iteration can't fail.
pub struct Vector<'a, T>(Repr<'a, T>);

enum Repr<'a, T> {
    Slice(&'a [T]),
    Wire { bytes: &'a [u8], len: usize },
}

impl<'a, T> Vector<'a, T> {
    /// Wraps `bytes`, which must be `len` elements that `T` has read without an error.
    pub(crate) fn from_wire(bytes: &'a [u8], len: usize) -> Self {
        Self(Repr::Wire { bytes, len })
    }

    /// Returns the number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        match self.0 {
            Repr::Slice(slice) => slice.len(),
            Repr::Wire { len, .. } => len,
        }
    }

    /// Tells whether there is no element.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the elements one by one.
    #[must_use]
    pub fn iter(&self) -> Iter<'a, T> {
        Iter(match self.0 {
            Repr::Slice(slice) => Source::Slice(slice.iter()),
            Repr::Wire { bytes, len } => Source::Wire {
                reader: Reader::unchecked(bytes, Limits::NONE),
                left: len,
                elements: PhantomData,
            },
        })
    }

    pub(crate) fn write_elements(&self, w: &mut Writer)
    where
        T: Serialize,
    {
        match self.0 {
            Repr::Slice(slice) => slice.iter().for_each(|element| element.write(w)),
            Repr::Wire { bytes, .. } => w.raw(bytes),
        }
    }
}

impl<'a, T: Deserialize<'a>> Deserialize<'a> for Vector<'a, T> {
    const BYTES_MIN: usize = 8;

    fn read(r: &mut Reader<'a>) -> Result<Self, Error> {
        r.vector(usize::MAX)
    }
}

impl<T: Serialize> Serialize for Vector<'_, T> {
    fn write(&self, w: &mut Writer) {
        w.vector(self);
    }
}

impl<T> Clone for Vector<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Vector<'_, T> {}

impl<T> Clone for Repr<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Repr<'_, T> {}

impl<T> Default for Vector<'_, T> {
    fn default() -> Self {
        Self(Repr::Slice(&[]))
    }
}

impl<'a, T> From<&'a [T]> for Vector<'a, T> {
    fn from(slice: &'a [T]) -> Self {
        Self(Repr::Slice(slice))
    }
}

impl<'a, T, const N: usize> From<&'a [T; N]> for Vector<'a, T> {
    fn from(array: &'a [T; N]) -> Self {
        Self(Repr::Slice(array))
    }
}

impl<'a, T: Deserialize<'a> + Copy + fmt::Debug> fmt::Debug for Vector<'a, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'a, T: Deserialize<'a> + Copy + PartialEq> PartialEq for Vector<'a, T> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<'a, T: Deserialize<'a> + Copy + Eq> Eq for Vector<'a, T> {}

impl<'a, T: Deserialize<'a> + Copy> IntoIterator for Vector<'a, T> {
    type Item = T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

impl<'a, T: Deserialize<'a> + Copy> IntoIterator for &Vector<'a, T> {
    type Item = T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

/// The elements of a [`Vector`], by value.
pub struct Iter<'a, T>(Source<'a, T>);

enum Source<'a, T> {
    Slice(std::slice::Iter<'a, T>),
    Wire {
        reader: Reader<'a>,
        left: usize,
        elements: PhantomData<T>,
    },
}

impl<'a, T: Deserialize<'a> + Copy> Iterator for Iter<'a, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        match &mut self.0 {
            Source::Slice(slice) => slice.next().copied(),
            Source::Wire { reader, left, .. } => {
                *left = left.checked_sub(1)?;
                let element = T::read(reader);
                debug_assert!(
                    element.is_ok(),
                    "a vector's elements are checked when it is read"
                );
                element.ok()
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let len = match &self.0 {
            Source::Slice(slice) => slice.len(),
            Source::Wire { left, .. } => *left,
        };
        (len, Some(len))
    }
}

impl<'a, T: Deserialize<'a> + Copy> ExactSizeIterator for Iter<'a, T> {}

impl<T> fmt::Debug for Iter<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Iter").finish_non_exhaustive()
    }
}
