//! Facts about every method and constructor of the API layer: name, id, fields, result.
//!
//! A table, not types: it tells a known method from an unknown one and names what passes by. Rows are text that is
//! taken apart when somebody asks, so that the table costs no more than its letters.
//!
//! The table is generated; its source is the schema in the package `grammers-tl-types` 0.9.0.

use std::fmt;

use crate::generated::layer;
use crate::schema::{Declaration, Field, Role, Type, parse_field, parse_generic};

/// Number of the layer.
pub const LAYER: i32 = layer::LAYER;

/// Returns the constructor with an id.
#[must_use]
pub fn constructor(id: u32) -> Option<&'static Combinator> {
    by_id(&layer::CONSTRUCTORS, id)
}

/// Returns the constructor with a name.
#[must_use]
pub fn constructor_by_name(name: &str) -> Option<&'static Combinator> {
    by_name(&layer::CONSTRUCTORS, &layer::CONSTRUCTORS_BY_NAME, name)
}

/// Returns all constructors, sorted by id.
#[must_use]
pub fn constructors() -> &'static [Combinator] {
    &layer::CONSTRUCTORS
}

/// Returns the method with an id.
#[must_use]
pub fn method(id: u32) -> Option<&'static Combinator> {
    by_id(&layer::METHODS, id)
}

/// Returns the method with a name: `help.getConfig`.
#[must_use]
pub fn method_by_name(name: &str) -> Option<&'static Combinator> {
    by_name(&layer::METHODS, &layer::METHODS_BY_NAME, name)
}

/// Returns all methods, sorted by id.
#[must_use]
pub fn methods() -> &'static [Combinator] {
    &layer::METHODS
}

/// Takes every row apart: constructors, then methods, each sorted by id.
pub(crate) fn declarations() -> impl Iterator<Item = Declaration<'static>> {
    let constructors = constructors().iter().map(|row| (row, Role::Constructor));
    let methods = methods().iter().map(|row| (row, Role::Method));
    let rows = constructors.chain(methods).enumerate();
    rows.map(|(at, (row, role))| row.declare(at + 1, role))
}

/// A constructor or a method.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Combinator {
    id: u32,
    /// `name {X:Type} field:Type = Result`
    text: &'static str,
}

impl Combinator {
    pub(crate) const fn new(id: u32, text: &'static str) -> Self {
        Self { id, text }
    }

    /// Returns the constructor id.
    #[must_use]
    pub const fn id(&self) -> u32 {
        self.id
    }

    /// Returns the name, with its namespace if it has one.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.text
            .split_once(' ')
            .map_or(self.text, |(name, _)| name)
    }

    /// Returns the fields in the order of the wire.
    pub fn fields(&self) -> impl Iterator<Item = Field<'static>> + use<> {
        let words = self.text.split(' ').skip(1).take_while(|word| *word != "=");
        words.filter_map(|word| parse_field(word).ok())
    }

    /// Returns the type of the value, or of the method's answer.
    #[must_use]
    pub fn result(&self) -> Type<'static> {
        let last = self.text.rsplit_once(' ').map_or("", |(_, last)| last);
        Type::trusted(last)
    }

    /// Returns the declaration without its id.
    #[must_use]
    pub const fn declaration(&self) -> &'static str {
        self.text
    }

    fn declare(&self, line: usize, role: Role) -> Declaration<'static> {
        let words = self.text.split(' ').skip(1).take_while(|word| *word != "=");
        Declaration {
            line,
            name: self.name(),
            id: Some(self.id),
            role,
            generics: words.filter_map(parse_generic).collect(),
            fields: self.fields().collect(),
            result: self.result(),
        }
    }
}

impl fmt::Debug for Combinator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{:08x}", self.name(), self.id)
    }
}

fn by_id(table: &'static [Combinator], id: u32) -> Option<&'static Combinator> {
    let index = table.binary_search_by_key(&id, Combinator::id).ok()?;
    table.get(index)
}

fn by_name(table: &'static [Combinator], index: &[u16], name: &str) -> Option<&'static Combinator> {
    let row = |at: &u16| table.get(usize::from(*at));
    let position = index
        .binary_search_by(|at| row(at).map_or("", Combinator::name).cmp(name))
        .ok()?;
    index.get(position).and_then(row)
}

/// Makes a static table of rows.
macro_rules! table {
    ($name:ident: $len:literal; $($id:literal $text:literal;)*) => {
        pub(crate) static $name: [Combinator; $len] = [$(Combinator::new($id, $text)),*];
    };
}

pub(crate) use table;
