//! The byte form of what crosses between the owners of sessions, where these are processes of their own.
//!
//! Numbers are little-endian and of fixed width, `usize` as 8 bytes; a sequence begins with its length in 4 bytes, an `Option`
//! and an enum with one byte. Times are told as nanoseconds from the moment of writing, since clocks have nothing in common:
//! what is on its way for long is as much younger when it arrives.
//!
//! Each type lists its fields once, next to where they are declared, for both directions: a field that is added breaks the
//! list. Whoever reads believes no length: memory is taken as bytes are there.

mod port;

use core::net::{IpAddr, Ipv6Addr, SocketAddr};
use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use crate::cx::Mono;

/// Something that has a byte form.
pub(crate) trait Cross: Sized {
    /// Appends it.
    fn write(&self, out: &mut Out);

    /// Reads it.
    fn read(from: &mut In<'_>) -> Result<Self, Malformed>;
}

/// The bytes are no such thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// What is written, up to a maximum.
#[derive(Debug)]
pub(crate) struct Out {
    bytes: Vec<u8>,
    bytes_max: usize,
    is_whole: bool,
    now: Mono,
}

impl Out {
    pub(crate) const fn new(now: Mono, bytes_max: usize) -> Self {
        Self {
            bytes: Vec::new(),
            bytes_max,
            is_whole: true,
            now,
        }
    }

    /// Takes note of something that has no byte form.
    pub(crate) const fn fail(&mut self) {
        self.is_whole = false;
    }

    /// Returns what was written, if all of it was.
    pub(crate) fn finish(self) -> Option<Vec<u8>> {
        self.is_whole.then_some(self.bytes)
    }

    fn put(&mut self, bytes: &[u8]) {
        if self.bytes.len() + bytes.len() > self.bytes_max {
            self.fail();
        }
        if self.is_whole {
            self.bytes.extend_from_slice(bytes);
        }
    }

    fn len(&mut self, len: usize) {
        match u32::try_from(len) {
            Ok(len) => len.write(self),
            Err(_) => self.fail(),
        }
    }

    pub(crate) fn all<'a, T: Cross + 'a>(&mut self, items: impl ExactSizeIterator<Item = &'a T>) {
        self.len(items.len());
        for item in items {
            item.write(self);
        }
    }
}

/// What is left to be read.
#[derive(Debug)]
pub(crate) struct In<'a> {
    bytes: &'a [u8],
    now: Mono,
}

impl<'a> In<'a> {
    pub(crate) const fn new(bytes: &'a [u8], now: Mono) -> Self {
        Self { bytes, now }
    }

    /// Checks that nothing is left.
    pub(crate) const fn finish(&self) -> Result<(), Malformed> {
        if self.bytes.is_empty() {
            Ok(())
        } else {
            Err(Malformed)
        }
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (taken, left) = self.bytes.split_at_checked(len).ok_or(Malformed)?;
        self.bytes = left;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.take(N)?.try_into().map_err(|_| Malformed)
    }

    fn len(&mut self) -> Result<usize, Malformed> {
        let len = u32::read(self)?;
        usize::try_from(len).map_err(|_| Malformed)
    }

    fn counted(&mut self) -> Result<&'a [u8], Malformed> {
        let len = self.len()?;
        self.take(len)
    }
}

/// Checks something that was read.
pub(crate) const fn ensure(is_so: bool) -> Result<(), Malformed> {
    if is_so { Ok(()) } else { Err(Malformed) }
}

/// Tells whether identifiers, or anything, rise.
pub(crate) fn rise<T: Ord>(items: impl IntoIterator<Item = T>) -> bool {
    items.into_iter().is_sorted_by(|a, b| a < b)
}

/// Lists the fields of a struct, or the variants of an enum with their numbers and fields. What stands behind `;` does not
/// cross: a field is made anew from an expression, a variant is never met. `where` says what a struct must keep to.
macro_rules! crosses {
    (enum $name:ident {
        $($tag:literal = $variant:ident $({ $($field:ident),* })? $(( $($item:ident),* ))?),* $(,)?
        $(; $($never:ident),* $(,)?)?
    }) => {
        impl $crate::crossing::Cross for $name {
            fn write(&self, out: &mut $crate::crossing::Out) {
                match self {
                    $(Self::$variant $({ $($field),* })? $(( $($item),* ))? => {
                        <u8 as $crate::crossing::Cross>::write(&$tag, out);
                        $($($crate::crossing::Cross::write($field, out);)*)?
                        $($($crate::crossing::Cross::write($item, out);)*)?
                    })*
                    $($(Self::$never { .. } => out.fail(),)*)?
                }
            }

            fn read(
                from: &mut $crate::crossing::In<'_>,
            ) -> Result<Self, $crate::crossing::Malformed> {
                Ok(match <u8 as $crate::crossing::Cross>::read(from)? {
                    $($tag => Self::$variant
                        $({ $($field: $crate::crossing::Cross::read(from)?),* })?
                        $(($({
                            let $item = $crate::crossing::Cross::read(from)?;
                            $item
                        }),*))?,)*
                    _ => return Err($crate::crossing::Malformed),
                })
            }
        }
    };
    ($name:ident { $($field:ident),* $(,)? $(; $($left:ident = $anew:expr),* $(,)?)? }
        $(where $sound:expr)?
    ) => {
        impl $crate::crossing::Cross for $name {
            fn write(&self, out: &mut $crate::crossing::Out) {
                let Self { $($field,)* $($($left: _,)*)? } = self;
                $($crate::crossing::Cross::write($field, out);)*
            }

            fn read(
                from: &mut $crate::crossing::In<'_>,
            ) -> Result<Self, $crate::crossing::Malformed> {
                let it = Self {
                    $($field: $crate::crossing::Cross::read(from)?,)*
                    $($($left: $anew,)*)?
                };
                $($crate::crossing::ensure(($sound)(&it))?;)?
                Ok(it)
            }
        }
    };
}
pub(crate) use crosses;

macro_rules! numbers_cross {
    ($($name:ident),*) => {$(
        impl Cross for $name {
            fn write(&self, out: &mut Out) {
                out.put(&self.to_le_bytes());
            }

            fn read(from: &mut In<'_>) -> Result<Self, Malformed> {
                from.array().map(Self::from_le_bytes)
            }
        }
    )*};
}

numbers_cross!(u8, u16, u32, u64, i32, i64);

impl Cross for usize {
    fn write(&self, out: &mut Out) {
        match u64::try_from(*self) {
            Ok(it) => it.write(out),
            Err(_) => out.fail(),
        }
    }

    fn read(from: &mut In<'_>) -> Result<Self, Malformed> {
        Self::try_from(u64::read(from)?).map_err(|_| Malformed)
    }
}

impl Cross for bool {
    fn write(&self, out: &mut Out) {
        u8::from(*self).write(out);
    }

    fn read(from: &mut In<'_>) -> Result<Self, Malformed> {
        match u8::read(from)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed),
        }
    }
}

impl<const N: usize> Cross for [u8; N] {
    fn write(&self, out: &mut Out) {
        out.put(self);
    }

    fn read(from: &mut In<'_>) -> Result<Self, Malformed> {
        from.array()
    }
}

impl Cross for Bytes {
    fn write(&self, out: &mut Out) {
        out.len(self.len());
        out.put(self);
    }

    /// Copied: the smallest part would keep all the rest.
    fn read(from: &mut In<'_>) -> Result<Self, Malformed> {
        from.counted().map(Self::copy_from_slice)
    }
}

impl Cross for Box<[u8]> {
    fn write(&self, out: &mut Out) {
        out.len(self.len());
        out.put(self);
    }

    fn read(from: &mut In<'_>) -> Result<Self, Malformed> {
        from.counted().map(Self::from)
    }
}

impl Cross for String {
    fn write(&self, out: &mut Out) {
        out.len(self.len());
        out.put(self.as_bytes());
    }

    fn read(from: &mut In<'_>) -> Result<Self, Malformed> {
        let text = core::str::from_utf8(from.counted()?).map_err(|_| Malformed)?;
        Ok(text.to_owned())
    }
}

impl Cross for Mono {
    fn write(&self, out: &mut Out) {
        let ahead = i64::try_from(self.0.saturating_sub(out.now.0)).unwrap_or(i64::MAX);
        let behind = i64::try_from(out.now.0.saturating_sub(self.0)).unwrap_or(i64::MAX);
        (ahead - behind).write(out);
    }

    fn read(from: &mut In<'_>) -> Result<Self, Malformed> {
        let ahead = i64::read(from)?;
        Ok(Self(from.now.0.saturating_add_signed(ahead)))
    }
}

impl Cross for Duration {
    fn write(&self, out: &mut Out) {
        u64::try_from(self.as_nanos())
            .unwrap_or(u64::MAX)
            .write(out);
    }

    fn read(from: &mut In<'_>) -> Result<Self, Malformed> {
        u64::read(from).map(Self::from_nanos)
    }
}

impl Cross for SocketAddr {
    fn write(&self, out: &mut Out) {
        match self.ip() {
            IpAddr::V4(ip) => {
                4_u8.write(out);
                ip.octets().write(out);
            }
            IpAddr::V6(ip) => {
                6_u8.write(out);
                ip.octets().write(out);
            }
        }
        self.port().write(out);
    }

    /// Without an interface of the other machine.
    fn read(from: &mut In<'_>) -> Result<Self, Malformed> {
        let ip = match u8::read(from)? {
            4 => IpAddr::from(from.array::<4>()?),
            6 => IpAddr::V6(Ipv6Addr::from(from.array::<16>()?)),
            _ => return Err(Malformed),
        };
        Ok(Self::new(ip, u16::read(from)?))
    }
}

impl<T: Cross> Cross for Option<T> {
    fn write(&self, out: &mut Out) {
        self.is_some().write(out);
        if let Some(it) = self {
            it.write(out);
        }
    }

    fn read(from: &mut In<'_>) -> Result<Self, Malformed> {
        bool::read(from)?.then(|| T::read(from)).transpose()
    }
}

impl<T: Cross> Cross for Box<T> {
    fn write(&self, out: &mut Out) {
        (**self).write(out);
    }

    fn read(from: &mut In<'_>) -> Result<Self, Malformed> {
        T::read(from).map(Self::new)
    }
}

impl<T: Cross> Cross for Arc<T> {
    fn write(&self, out: &mut Out) {
        (**self).write(out);
    }

    fn read(from: &mut In<'_>) -> Result<Self, Malformed> {
        T::read(from).map(Self::new)
    }
}

impl<T: Cross> Cross for Vec<T> {
    fn write(&self, out: &mut Out) {
        out.all(self.iter());
    }

    fn read(from: &mut In<'_>) -> Result<Self, Malformed> {
        let len = from.len()?;
        let mut items = Self::with_capacity(len.min(ITEMS_BELIEVED));
        for _ in 0..len {
            items.push(T::read(from)?);
        }
        Ok(items)
    }
}

impl<T: Cross> Cross for VecDeque<T> {
    fn write(&self, out: &mut Out) {
        out.all(self.iter());
    }

    fn read(from: &mut In<'_>) -> Result<Self, Malformed> {
        Vec::read(from).map(Self::from)
    }
}

impl<A: Cross, B: Cross> Cross for (A, B) {
    fn write(&self, out: &mut Out) {
        self.0.write(out);
        self.1.write(out);
    }

    fn read(from: &mut In<'_>) -> Result<Self, Malformed> {
        Ok((A::read(from)?, B::read(from)?))
    }
}

/// Items for which room is made on somebody's word.
const ITEMS_BELIEVED: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Mono = Mono(1000);

    fn bytes(it: &impl Cross) -> Vec<u8> {
        let mut out = Out::new(NOW, 1 << 20);
        it.write(&mut out);
        out.finish().unwrap()
    }

    fn read_at<T: Cross>(bytes: &[u8], now: Mono) -> Result<T, Malformed> {
        let mut from = In::new(bytes, now);
        let it = T::read(&mut from)?;
        from.finish()?;
        Ok(it)
    }

    #[test]
    fn a_time_stays_as_far_away_as_it_was_by_the_clock_of_whoever_reads() {
        let later = Mono(50_000);
        for (at, expected) in [(1000, 50_000), (1007, 50_007), (993, 49_993)] {
            assert_eq!(read_at(&bytes(&Mono(at)), later), Ok(Mono(expected)));
        }
        // A process that is younger than what it hears of.
        assert_eq!(read_at(&bytes(&Mono(0)), Mono(999)), Ok(Mono(0)));
        assert_eq!(
            read_at(&bytes(&Mono(u64::MAX)), Mono(u64::MAX)),
            Ok(Mono(u64::MAX))
        );
    }

    #[test]
    fn what_is_as_long_as_it_may_be_is_written_and_one_byte_more_is_not() {
        for (bytes_max, is_whole) in [(7, true), (6, false)] {
            let mut out = Out::new(NOW, bytes_max);
            Bytes::from_static(b"abc").write(&mut out);
            assert_eq!(out.finish().is_some(), is_whole);
        }
    }

    #[test]
    fn a_length_that_is_not_there_takes_no_memory() {
        let huge = bytes(&u32::MAX);
        assert_eq!(read_at::<Vec<u64>>(&huge, NOW), Err(Malformed));
        assert_eq!(read_at::<Bytes>(&huge, NOW), Err(Malformed));
    }

    #[test]
    fn what_has_two_byte_forms_in_theory_has_one() {
        assert_eq!(read_at::<bool>(&[2], NOW), Err(Malformed));
        assert_eq!(read_at::<Option<u8>>(&[2, 0], NOW), Err(Malformed));
        assert_eq!(read_at::<u8>(&[1, 0], NOW), Err(Malformed));
    }

    #[test]
    fn addresses_come_as_they_were() {
        for text in ["192.0.2.1:443", "[2001:db8::1]:5000"] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(read_at(&bytes(&address), NOW), Ok(address));
        }
    }
}
