//! What a type looks like on the wire.

use crate::schema::{Kind, Type};

/// What a type looks like on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the language has no other types; a new one must break whoever shows values"
)]
pub enum Shape<'a> {
    /// `Object` and `!X`: a boxed object of any type, or a method.
    Any,
    /// An object without its id: of a constructor by its name, or of the only constructor of a type.
    Bare(&'a str),
    /// `Bool`.
    Bool,
    /// An object of a type, with its id.
    Boxed(&'a str),
    /// `bytes`.
    Bytes,
    /// `double`.
    Double,
    /// `#`.
    Flags,
    /// `int`.
    Int,
    /// `int128`.
    Int128,
    /// `int256`.
    Int256,
    /// `long`.
    Long,
    /// `string`.
    String,
    /// `true`: a bit and nothing else.
    True,
    /// `Vector<T>` and `vector<T>`.
    Vector {
        /// Type of each element.
        element: Type<'a>,
        /// Whether the vector's id is on the wire.
        boxed: bool,
    },
}

impl<'a> Shape<'a> {
    /// Tells the shape of a type.
    #[must_use]
    pub fn of(ty: Type<'a>) -> Self {
        match ty.kind() {
            Kind::Flags => Self::Flags,
            Kind::Method(_) => Self::Any,
            Kind::Vector { element, boxed } => Self::Vector { element, boxed },
            Kind::Named { name, boxed } => match name {
                "Bool" => Self::Bool,
                "Object" => Self::Any,
                "bytes" => Self::Bytes,
                "double" => Self::Double,
                "int" => Self::Int,
                "int128" => Self::Int128,
                "int256" => Self::Int256,
                "long" => Self::Long,
                "string" => Self::String,
                "true" => Self::True,
                _ if boxed => Self::Boxed(name),
                _ => Self::Bare(name),
            },
        }
    }
}
