//! A type as a schema writes it.

use std::fmt;

/// A type that has been checked to be one the language has; it keeps the schema's text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Type<'a>(&'a str);

/// What a type is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the schema language has no fifth kind"
)]
pub enum Kind<'a> {
    /// `#`: a bit field.
    Flags,
    /// `!X`: a whole method, whose answer is an `X`.
    Method(&'a str),
    /// A type by its name. Boxed if the name begins with a capital, unless it is written `%Name`.
    Named {
        /// Name with its namespace, without the `%`.
        name: &'a str,
        /// Whether the constructor id is on the wire.
        boxed: bool,
    },
    /// `Vector<T>`, or the bare `vector<T>` without the id.
    Vector {
        /// Type of each element.
        element: Type<'a>,
        /// Whether the vector's id is on the wire.
        boxed: bool,
    },
}

impl<'a> Type<'a> {
    /// Checks a type's text.
    pub(crate) fn new(text: &'a str) -> Option<Self> {
        let kind = Self(text).kind();
        let valid = match kind {
            Kind::Flags => true,
            Kind::Method(name) => is_name(name),
            Kind::Named { name, .. } => is_qualified_name(name),
            Kind::Vector { element, .. } => Self::new(element.0).is_some(),
        };
        valid.then_some(Self(text))
    }

    /// Takes the last word of a built-in declaration, or text that was checked when it was generated.
    pub(crate) const fn trusted(text: &'a str) -> Self {
        Self(text)
    }

    /// Returns the type as the schema writes it.
    #[must_use]
    pub fn text(self) -> &'a str {
        self.0
    }

    /// Tells what the type is.
    #[must_use]
    pub fn kind(self) -> Kind<'a> {
        let text = self.0;
        if text == "#" {
            return Kind::Flags;
        }
        if let Some(name) = text.strip_prefix('!') {
            return Kind::Method(name);
        }
        if let Some((name, rest)) = text.split_once('<')
            && let Some(element) = rest.strip_suffix('>')
            && matches!(name, "Vector" | "vector" | "%Vector")
        {
            return Kind::Vector {
                element: Self(element),
                boxed: name == "Vector",
            };
        }
        match text.strip_prefix('%') {
            Some(name) => Kind::Named { name, boxed: false },
            None => Kind::Named {
                name: text,
                boxed: last_segment(text).starts_with(|c: char| c.is_ascii_uppercase()),
            },
        }
    }
}

impl fmt::Debug for Type<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl fmt::Display for Type<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Tells whether `name` is an identifier, with or without a namespace.
pub(super) fn is_qualified_name(name: &str) -> bool {
    match name.split_once('.') {
        Some((namespace, name)) => is_name(namespace) && is_name(name),
        None => is_name(name),
    }
}

/// Tells whether `name` is an identifier.
pub(super) fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn last_segment(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(_, last)| last)
}
