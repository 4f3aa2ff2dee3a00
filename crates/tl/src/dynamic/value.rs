//! A value of any type.

use super::Object;
use crate::reader::VECTOR;
use crate::{Serialize, Writer};

/// A value of any type, which knows how it is written.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "one for each shape; a new one must break whoever shows values"
)]
pub enum Value<'c> {
    /// A `Bool`.
    Bool(bool),
    /// `bytes`.
    Bytes(Vec<u8>),
    /// A `double`.
    Double(f64),
    /// Bits of a `#` that no field stands for.
    Flags(u32),
    /// An `int`.
    Int(i32),
    /// An `int128`: 16 bytes in their order.
    Int128([u8; 16]),
    /// An `int256`: 32 bytes in their order.
    Int256([u8; 32]),
    /// A `long`.
    Long(i64),
    /// An object or a method.
    Object(Object<'c>),
    /// A `string`: text, if whoever wrote it kept to the rules.
    String(Vec<u8>),
    /// A set bit: a conditional field of type `true`.
    True,
    /// A vector.
    Vector {
        /// Whether its id is on the wire.
        boxed: bool,
        /// Its elements.
        elements: Vec<Self>,
    },
}

impl<'c> Value<'c> {
    /// Returns the object, if it is one.
    #[must_use]
    pub const fn as_object(&self) -> Option<&Object<'c>> {
        if let Self::Object(object) = self {
            Some(object)
        } else {
            None
        }
    }
}

impl Serialize for Value<'_> {
    fn write(&self, w: &mut Writer) {
        match self {
            Self::Bool(value) => w.bool(*value),
            Self::Bytes(value) | Self::String(value) => w.bytes(value),
            Self::Double(value) => w.f64(*value),
            Self::Flags(value) => w.u32(*value),
            Self::Int(value) => w.i32(*value),
            Self::Int128(value) => w.int128(value),
            Self::Int256(value) => w.int256(value),
            Self::Long(value) => w.i64(*value),
            Self::Object(value) => value.write(w),
            Self::True => {}
            Self::Vector { boxed, elements } => {
                if *boxed {
                    w.u32(VECTOR);
                }
                match i32::try_from(elements.len()) {
                    Ok(len) => w.i32(len),
                    Err(_) => return w.overflow(),
                }
                for element in elements {
                    element.write(w);
                }
            }
        }
    }
}
