//! Parser of TL schemas, borrowing everything from their text.
//!
//! It covers what the schemas of MTProto and of the API use: declarations, generic methods, conditional fields,
//! vectors, bare types, comments and sections. A declaration of a built-in type (`int ? = Int;`) is kept by name only.
//!
//! Whether an id equals the checksum of its declaration is for the caller to ask: [`Declaration::checksum`].
//!
//! Source: <https://core.telegram.org/mtproto/TL>.

mod checksum;
mod parse;
mod ty;
mod words;

use std::fmt;

pub use checksum::PUBLISHED_CONSTANTS;
pub use parse::parse;
pub(crate) use parse::{parse_field, parse_generic};
pub use ty::{Kind, Type};

/// A parsed schema: its declarations in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schema<'a> {
    /// Declarations of both sections.
    pub declarations: Vec<Declaration<'a>>,
}

/// One declaration: `name#id fields = Result;`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declaration<'a> {
    /// Line on which it begins, from 1.
    pub line: usize,
    /// Name, with its namespace if it has one.
    pub name: &'a str,
    /// Constructor id, if it is written down.
    pub id: Option<u32>,
    /// What the declaration declares.
    pub role: Role,
    /// Type parameters: `X` of `{X:Type}`.
    pub generics: Vec<&'a str>,
    /// Fields in the order of the wire.
    pub fields: Vec<Field<'a>>,
    /// Type of the value, or of the method's answer.
    pub result: Type<'a>,
}

/// What a declaration declares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the schema language has no fourth kind"
)]
pub enum Role {
    /// A type whose encoding the language itself can't express: it has no fields here.
    Builtin,
    /// A constructor of a type.
    Constructor,
    /// A method.
    Method,
}

/// One field of a declaration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Name.
    pub name: &'a str,
    /// When the field is present; always, if there is no condition.
    pub condition: Option<Condition<'a>>,
    /// Type of the value.
    pub ty: Type<'a>,
}

/// `flags.N?`: the field is present if a bit of an earlier field is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Condition<'a> {
    /// The earlier field, of type `#`.
    pub flags: &'a str,
    /// Number of the bit, 0 to 31, from the lowest.
    pub bit: u8,
}

impl Field<'_> {
    /// Tells whether the field has no bytes: its bit is its value.
    #[must_use]
    pub fn is_flag(&self) -> bool {
        self.condition.is_some() && self.ty.text() == "true"
    }
}

impl Declaration<'_> {
    /// Returns the id that is written down, or else the one that the text gives.
    #[must_use]
    pub fn id_or_checksum(&self) -> u32 {
        self.id.unwrap_or_else(|| self.checksum())
    }
}

impl fmt::Display for Declaration<'_> {
    /// Writes the declaration as a schema does, without its semicolon.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        if let Some(id) = self.id {
            write!(f, "#{id:x}")?;
        }
        for generic in &self.generics {
            write!(f, " {{{generic}:Type}}")?;
        }
        for field in &self.fields {
            write!(f, " {field}")?;
        }
        write!(f, " = {}", self.result)
    }
}

impl fmt::Display for Field<'_> {
    /// Writes the field as a schema does: `name:flags.0?int`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.name)?;
        if let Some(Condition { flags, bit }) = self.condition {
            write!(f, "{flags}.{bit}?")?;
        }
        write!(f, "{}", self.ty)
    }
}

/// Why a schema can't be parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// Line of the declaration, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a declaration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// A condition names a bit over 31, or a field that is not an earlier `#`.
    BadCondition,
    /// The id is not one to eight hexadecimal digits.
    BadId,
    /// A name is not an identifier, or its namespace is not.
    BadName,
    /// A type is not one the language has.
    BadType,
    /// Two declarations of one id, or two fields of one name.
    Duplicate,
    /// There is no `=`.
    MissingResult,
    /// The text ends before the `;` or within a comment.
    Unfinished,
    /// A section other than types and functions.
    UnknownSection,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let problem = match self.problem {
            Problem::BadCondition => "a condition names no bit of an earlier field of type #",
            Problem::BadId => "the id is not one to eight hexadecimal digits",
            Problem::BadName => "a name is not an identifier",
            Problem::BadType => "a type is not one of the language",
            Problem::Duplicate => "the id or a field is declared twice",
            Problem::MissingResult => "there is no `= Type`",
            Problem::Unfinished => "the text ends within a declaration or a comment",
            Problem::UnknownSection => "the section is neither types nor functions",
        };
        write!(f, "line {}: {problem}", self.line)
    }
}

impl std::error::Error for ParseError {}
