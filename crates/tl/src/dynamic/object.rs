//! An object or a method, field by field.

use std::collections::BTreeMap;
use std::fmt;

use super::{Shape, Value};
use crate::schema::{Condition, Declaration, Field, Role, Type};
use crate::{Serialize, Writer};

/// An object or a method: its declaration, and a value for each field that is there.
#[derive(Clone, Debug, PartialEq)]
pub struct Object<'c> {
    declaration: &'c Declaration<'c>,
    boxed: bool,
    /// Sorted by the field's place in the declaration.
    fields: Vec<(usize, Value<'c>)>,
}

/// Which field of an object is wrong, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a place and a reason")]
pub struct Misfit<'c> {
    /// The field's name.
    pub name: &'c str,
    /// What is wrong with it.
    pub wrong: Wrong<'c>,
}

/// What is wrong with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wrong<'c> {
    /// The value is not of the field's type, which is this.
    Kind(Type<'c>),
    /// The field has no value and must have one, of this type.
    Missing(Type<'c>),
    /// The field has no value, and must have one because another field with the same bit has.
    MissingBeside {
        /// The type of the value that is missing.
        ty: Type<'c>,
        /// The other field.
        other: &'c str,
    },
    /// The field has two values.
    Twice,
    /// The declaration has no such field.
    Unknown,
}

impl<'c> Object<'c> {
    /// Puts an object together from the values of its fields, in any order.
    ///
    /// The bits of `#` fields follow from the fields that have values; a `#` field may be given for further bits. A
    /// `true` field whose bit another field's value sets comes by itself.
    ///
    /// # Errors
    ///
    /// A field that is wrong: what is there before what is missing, each in the order of the declaration.
    pub fn new(
        declaration: &'c Declaration<'c>,
        boxed: bool,
        fields: Vec<(&'c str, Value<'c>)>,
    ) -> Result<Self, Misfit<'c>> {
        let mut given = BTreeMap::new();
        for (name, value) in fields {
            if given.insert(name, value).is_some() {
                let wrong = Wrong::Twice;
                return Err(Misfit { name, wrong });
            }
        }
        let mut complete = Vec::with_capacity(declaration.fields.len());
        for field in &declaration.fields {
            let value = given.remove(field.name);
            if value.as_ref().is_some_and(|value| !value.fits(field.ty)) {
                return Err(misfit(field, Wrong::Kind(field.ty)));
            }
            complete.push((field, value));
        }
        if let Some((name, _)) = given.pop_first() {
            let wrong = Wrong::Unknown;
            return Err(Misfit { name, wrong });
        }
        let set_by = set_bits(&complete);
        let mut fields = Vec::new();
        for (at, (field, value)) in complete.into_iter().enumerate() {
            let value = match value {
                Some(value) => Some(value),
                None => implied(field, &set_by)?,
            };
            // A word without further bits is made when it is written.
            fields.extend(value.filter(|it| *it != Value::Flags(0)).map(|it| (at, it)));
        }
        Ok(Self {
            declaration,
            boxed,
            fields,
        })
    }

    /// Takes what was read: the reader has followed the declaration.
    pub(super) fn trusted(
        declaration: &'c Declaration<'c>,
        boxed: bool,
        fields: Vec<(usize, Value<'c>)>,
    ) -> Self {
        Self {
            declaration,
            boxed,
            fields,
        }
    }

    /// Returns what the object is declared as.
    #[must_use]
    pub const fn declaration(&self) -> &'c Declaration<'c> {
        self.declaration
    }

    /// Tells whether the id is on the wire.
    #[must_use]
    pub const fn is_boxed(&self) -> bool {
        self.boxed
    }

    /// Returns the fields that are there, in the order of the wire. A `#` is among them only if it has bits that no
    /// field stands for.
    pub fn fields(&self) -> impl Iterator<Item = (&'c Field<'c>, &Value<'c>)> {
        let all = &self.declaration.fields;
        let fields = self.fields.iter();
        fields.filter_map(|(at, value)| Some((all.get(*at)?, value)))
    }

    /// Returns a field's value, if it is there.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value<'c>> {
        let mut fields = self.fields();
        fields.find_map(|(field, value)| (field.name == name).then_some(value))
    }

    /// Returns the type of the answer, if this is a method. That of `invokeWithLayer` is that of its query.
    #[must_use]
    pub fn answer(&self) -> Option<Type<'c>> {
        if self.declaration.role != Role::Method {
            return None;
        }
        let result = self.declaration.result;
        if !self.declaration.generics.contains(&result.text()) {
            return Some(result);
        }
        let is_it = |field: &Field<'_>| field.ty.text().strip_prefix('!') == Some(result.text());
        let mut queries = self.fields().filter(|(field, _)| is_it(field));
        queries.next()?.1.as_object()?.answer()
    }

    /// Computes each `#` field's word, by its place.
    fn words(&self) -> BTreeMap<usize, u32> {
        let all = &self.declaration.fields;
        let mut words = BTreeMap::new();
        for (at, value) in &self.fields {
            if let Value::Flags(bits) = value {
                words.insert(*at, *bits);
            }
        }
        // Backwards: a word may itself be conditional, on a word before it.
        for (at, field) in all.iter().enumerate().rev() {
            let is_there = if Shape::of(field.ty) == Shape::Flags {
                words.get(&at).is_some_and(|word| *word != 0)
            } else {
                self.fields.iter().any(|(of, _)| *of == at)
            };
            let Some(condition) = field.condition.filter(|_| is_there) else {
                continue;
            };
            if let Some(flags) = all.iter().position(|it| it.name == condition.flags) {
                *words.entry(flags).or_default() |= 1 << condition.bit;
            }
        }
        words
    }
}

impl Serialize for Object<'_> {
    fn write(&self, w: &mut Writer) {
        if self.boxed {
            w.u32(self.declaration.id_or_checksum());
        }
        let words = self.words();
        let word = |at: usize| words.get(&at).copied().unwrap_or_default();
        let all = &self.declaration.fields;
        for (at, field) in all.iter().enumerate() {
            if Shape::of(field.ty) != Shape::Flags {
                let given = self.fields.iter().find(|(of, _)| *of == at);
                if let Some((_, value)) = given {
                    value.write(w);
                }
                continue;
            }
            let is_there = field.condition.is_none_or(|condition| {
                let flags = all.iter().position(|it| it.name == condition.flags);
                flags.is_some_and(|flags| word(flags) & 1 << condition.bit != 0)
            });
            if is_there {
                w.u32(word(at));
            }
        }
    }
}

impl Value<'_> {
    /// Tells whether the value is of a type.
    fn fits(&self, ty: Type<'_>) -> bool {
        match (self, Shape::of(ty)) {
            (Self::Bool(_), Shape::Bool)
            | (Self::Bytes(_), Shape::Bytes)
            | (Self::Double(_), Shape::Double)
            | (Self::Flags(_), Shape::Flags)
            | (Self::Int(_), Shape::Int)
            | (Self::Int128(_), Shape::Int128)
            | (Self::Int256(_), Shape::Int256)
            | (Self::Long(_), Shape::Long)
            | (Self::String(_), Shape::String)
            | (Self::True, Shape::True) => true,
            (Self::Object(object), shape) => object.fits(shape, ty),
            (
                Self::Vector { boxed, elements },
                Shape::Vector {
                    element,
                    boxed: declared,
                },
            ) => *boxed == declared && elements.iter().all(|it| it.fits(element)),
            _ => false,
        }
    }
}

impl Object<'_> {
    fn fits(&self, shape: Shape<'_>, ty: Type<'_>) -> bool {
        let declaration = self.declaration;
        if let Shape::Bare(name) = shape {
            let names = [declaration.name, declaration.result.text()];
            return !self.boxed && names.contains(&name);
        }
        let is_method = declaration.role == Role::Method;
        let allowed = if shape == Shape::Any {
            ty.text() == "Object" || is_method
        } else {
            !is_method && shape == Shape::of(declaration.result)
        };
        self.boxed && allowed
    }
}

/// Bits that are set, and the field whose value sets each.
type SetBits<'c> = BTreeMap<(&'c str, u8), &'c str>;

fn set_bits<'c>(fields: &[(&'c Field<'c>, Option<Value<'_>>)]) -> SetBits<'c> {
    let mut set = BTreeMap::new();
    for (field, value) in fields {
        if let (Some(condition), Some(_)) = (field.condition, value) {
            set.entry(key(condition)).or_insert(field.name);
        }
    }
    set
}

/// Returns the value of a field that was given none: nothing, if there may be nothing.
fn implied<'c>(
    field: &'c Field<'c>,
    set_by: &SetBits<'c>,
) -> Result<Option<Value<'c>>, Misfit<'c>> {
    let ty = field.ty;
    let wrong = match field.condition {
        // The word follows from the other fields.
        _ if Shape::of(ty) == Shape::Flags => return Ok(None),
        None => Wrong::Missing(ty),
        Some(condition) => match set_by.get(&key(condition)) {
            None => return Ok(None),
            Some(_) if field.is_flag() => return Ok(Some(Value::True)),
            Some(other) => Wrong::MissingBeside { ty, other },
        },
    };
    Err(misfit(field, wrong))
}

const fn key(condition: Condition<'_>) -> (&str, u8) {
    (condition.flags, condition.bit)
}

const fn misfit<'c>(field: &Field<'c>, wrong: Wrong<'c>) -> Misfit<'c> {
    let name = field.name;
    Misfit { name, wrong }
}

impl fmt::Display for Misfit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name;
        match self.wrong {
            Wrong::Kind(ty) => write!(f, "{name} is not of type {ty}"),
            Wrong::Missing(ty) => write!(f, "{name} is missing: it is of type {ty}"),
            Wrong::MissingBeside { ty, other } => write!(
                f,
                "{name} is missing: it is of type {ty}, and goes with {other}, which is there"
            ),
            Wrong::Twice => write!(f, "{name} is there twice"),
            Wrong::Unknown => write!(f, "there is no field {name}"),
        }
    }
}

impl std::error::Error for Misfit<'_> {}
