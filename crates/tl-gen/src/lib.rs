//! Generator of the Rust code in `crates/tl/src/generated`; used by `cargo xtask gen` alone.
//!
//! It turns a parsed schema into text and touches no files. What it makes is still to be formatted by `rustfmt`.
//!
//! - [`types`] makes a struct of every constructor and method, and an enum of every type with several constructors.
//! - [`layer`] makes a table of facts about an API layer.
//!
//! Names are those of the schema in Rust case: `req_DH_params` becomes `ReqDhParams`, `help.getConfig` becomes
//! `help::GetConfig`. An enum that would share its name with one of its constructors is called `Any…`.

mod emit;
mod layer;

mod model;
mod names;

use std::fmt;

pub use emit::types;
pub use layer::layer;

/// What the generator should know about a schema beyond its text.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// Name of the module the code becomes, below the crate: `mtproto`.
    pub module: &'a str,
    /// Path of the schema, for the header.
    pub source: &'a str,
    /// Vectors with a bound of their own: declaration, field, constant of `heliogram_tl::limits`.
    pub bounds: &'a [(&'a str, &'a str, &'a str)],
    /// Constructors that are written by hand: name and the path of the Rust type.
    pub by_hand: &'a [(&'a str, &'a str)],
}

/// Why a schema can't be turned into code.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The id of a declaration is not the checksum of its text.
    Checksum {
        /// Name of the declaration.
        name: String,
        /// What the text gives.
        expected: u32,
    },
    /// The generator doesn't cover what a declaration does.
    Unsupported {
        /// Name of the declaration.
        name: String,
        /// What it does.
        what: &'static str,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Checksum { name, expected } => {
                write!(f, "{name}: its text gives the id #{expected:08x}")
            }
            Self::Unsupported { name, what } => write!(f, "{name}: {what}"),
        }
    }
}

impl std::error::Error for Error {}
