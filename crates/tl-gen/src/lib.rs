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

#[cfg(test)]
mod tests {
    use heliogram_tl::schema::{self, Schema};

    use super::{Error, Options, layer, types};

    #[test]
    fn a_declaration_becomes_a_struct_and_a_type_with_several_constructors_an_enum() {
        let schema = with_ids("pong msg_id:long = Pong; a = E; b s:string = E;");
        let code = code_of(&schema, &[]);
        assert!(
            code.contains("pub struct Pong {\npub msg_id: i64,\n}"),
            "{code}"
        );
        assert!(
            code.contains("pub struct B<'a> {\npub s: &'a [u8],\n}"),
            "{code}"
        );
        assert!(code.contains("pub enum E<'a> {"), "{code}");
    }

    #[test]
    fn an_enum_named_like_its_constructor_is_called_any() {
        let code = code_of(&with_ids("pong = Pong; ping = Pong;"), &[]);
        assert!(code.contains("pub enum AnyPong {"), "{code}");
    }

    #[test]
    fn what_refers_to_an_unknown_type_is_left_out_and_so_is_what_refers_to_it() {
        let code = code_of(&with_ids("a u:User = A; b a:A = B; c n:int = C;"), &[]);
        assert!(code.contains("pub struct C"), "{code}");
        assert!(!code.contains("pub struct A"), "{code}");
        assert!(!code.contains("pub struct B"), "{code}");
    }

    #[test]
    fn a_type_may_refer_to_itself() {
        let code = code_of(
            &with_ids("leaf = Tree; node trees:Vector<Tree> = Tree;"),
            &[],
        );
        assert!(
            code.contains("pub trees: crate::Vector<'a, Tree<'a>>"),
            "{code}"
        );
    }

    #[test]
    fn a_bound_replaces_the_default_of_its_field_alone() {
        let bounds = [("a", "x", "X_MAX")];
        let code = code_of(&with_ids("a x:Vector<int> y:vector<int> = A;"), &bounds);
        assert!(
            code.contains("let x = reader.vector(crate::limits::X_MAX)?;"),
            "{code}"
        );
        assert!(
            code.contains("let y = reader.bare_vector(usize::MAX)?;"),
            "{code}"
        );
    }

    #[test]
    fn an_id_that_is_not_the_checksum_is_refused() {
        let schema = schema::parse("pong#347773c6 msg_id:long ping_id:long = Pong;").unwrap();
        let expected = 0x3477_73c5;
        let name = "pong".to_owned();
        assert_eq!(
            types(&schema, OPTIONS),
            Err(Error::Checksum { name, expected })
        );
    }

    #[test]
    fn a_conditional_object_is_refused_because_nothing_tells_where_it_ends() {
        let schema = with_ids("a flags:# b:flags.0?Object = A;");
        assert!(matches!(
            types(&schema, OPTIONS),
            Err(Error::Unsupported { .. })
        ));
    }

    #[test]
    fn rows_of_a_layer_are_sorted_by_id_and_indexed_by_name() {
        let schema = schema::parse("b#2 = T; c#1 x:int = T; a#3 = T;").unwrap();
        let code = layer(&schema, 7, "a test");
        let rows = "CONSTRUCTORS: 3;\n    0x0000_0001 \"c x:int = T\";\n    0x0000_0002 \"b = T\";\n    0x0000_0003 \"a = T\";\n";
        assert!(code.contains(rows), "{code}");
        assert!(
            code.contains("CONSTRUCTORS_BY_NAME: [u16; 3] = [2, 1, 0, ];"),
            "{code}"
        );
        assert!(code.contains("LAYER: i32 = 7;"), "{code}");
    }

    /// Parses declarations and gives each the id that follows from its text.
    fn with_ids(text: &'static str) -> Schema<'static> {
        let mut schema = schema::parse(text).unwrap();
        for declaration in &mut schema.declarations {
            declaration.id = Some(declaration.checksum());
        }
        schema
    }

    fn code_of(schema: &Schema<'_>, bounds: &[(&str, &str, &str)]) -> String {
        types(schema, Options { bounds, ..OPTIONS }).unwrap()
    }

    const OPTIONS: Options<'static> = Options {
        module: "test",
        source: "a test",
        bounds: &[],
        by_hand: &[],
    };
}
