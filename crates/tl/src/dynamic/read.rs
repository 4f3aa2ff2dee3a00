//! From bytes to values.

use std::collections::BTreeMap;

use super::{Catalog, Object, Shape, Value};
use crate::limits::VALUES_MAX;
use crate::reader::VECTOR;
use crate::schema::{Declaration, Field, Role, Type};
use crate::{Error, Reader};

impl<'s> Catalog<'s> {
    /// Reads one value of a type.
    ///
    /// # Errors
    ///
    /// - [`Error::UnexpectedId`] when an object is of another type, or of none that the catalog has. A bare type that
    ///   the catalog has not counts as id 0.
    /// - [`Error::TooLong`] when there are more than [`VALUES_MAX`] values.
    /// - Whatever the [`Reader`] gives.
    pub fn read<'c>(&'c self, r: &mut Reader<'_>, ty: Type<'_>) -> Result<Value<'c>, Error> {
        Reading::new(self).value(r, ty)
    }

    /// Reads one boxed object of any type, or a method.
    ///
    /// # Errors
    ///
    /// As [`Catalog::read`].
    pub fn read_any<'c>(&'c self, r: &mut Reader<'_>) -> Result<Object<'c>, Error> {
        let mut reading = Reading::new(self);
        reading.count()?;
        reading.boxed(r, |_| true)
    }

    /// Reads a value that is the whole of `bytes`, under the default limits.
    ///
    /// # Errors
    ///
    /// As [`Catalog::read`], and [`Error::TrailingBytes`] when something follows.
    pub fn read_all<'c>(&'c self, bytes: &[u8], ty: Type<'_>) -> Result<Value<'c>, Error> {
        let mut r = Reader::new(bytes);
        let value = self.read(&mut r, ty)?;
        r.finish()?;
        Ok(value)
    }
}

/// One reading, and how much more it may bring.
struct Reading<'c, 's> {
    catalog: &'c Catalog<'s>,
    values_left: usize,
}

impl<'c, 's> Reading<'c, 's> {
    const fn new(catalog: &'c Catalog<'s>) -> Self {
        Self {
            catalog,
            values_left: VALUES_MAX,
        }
    }

    fn count(&mut self) -> Result<(), Error> {
        self.values_left = self.values_left.checked_sub(1).ok_or(Error::TooLong)?;
        Ok(())
    }

    fn value(&mut self, r: &mut Reader<'_>, ty: Type<'_>) -> Result<Value<'c>, Error> {
        self.count()?;
        Ok(match Shape::of(ty) {
            Shape::Any => {
                let allows =
                    |it: &Declaration<'_>| ty.text() == "Object" || it.role == Role::Method;
                Value::Object(self.boxed(r, allows)?)
            }
            Shape::Bare(name) => {
                let declaration = self.catalog.bare(name);
                let declaration = declaration.ok_or(Error::UnexpectedId { id: 0 })?;
                Value::Object(self.fields(r, declaration, false)?)
            }
            Shape::Bool => Value::Bool(r.bool()?),
            Shape::Boxed(name) => {
                let allows =
                    |it: &Declaration<'_>| it.role == Role::Constructor && it.result.text() == name;
                Value::Object(self.boxed(r, allows)?)
            }
            Shape::Bytes => Value::Bytes(r.bytes()?.to_vec()),
            Shape::Double => Value::Double(r.f64()?),
            Shape::Flags => Value::Flags(r.u32()?),
            Shape::Int => Value::Int(r.i32()?),
            Shape::Int128 => Value::Int128(r.int128()?),
            Shape::Int256 => Value::Int256(r.int256()?),
            Shape::Long => Value::Long(r.i64()?),
            Shape::String => Value::String(r.bytes()?.to_vec()),
            Shape::True => Value::True,
            Shape::Vector { element, boxed } => {
                if boxed {
                    r.expect_id(VECTOR)?;
                }
                let elements = r.nested(|r| self.elements(r, element))?;
                Value::Vector { boxed, elements }
            }
        })
    }

    fn elements(&mut self, r: &mut Reader<'_>, ty: Type<'_>) -> Result<Vec<Value<'c>>, Error> {
        let count = r.i32()?;
        let count = usize::try_from(count).map_err(|_negative| Error::VectorTooLong)?;
        if count > r.vector_len_max() {
            return Err(Error::VectorTooLong);
        }
        // Grows with what is there, not with what is claimed.
        let mut elements = Vec::new();
        for _ in 0..count {
            elements.push(self.value(r, ty)?);
        }
        Ok(elements)
    }

    fn boxed(
        &mut self,
        r: &mut Reader<'_>,
        allows: impl FnOnce(&Declaration<'_>) -> bool,
    ) -> Result<Object<'c>, Error> {
        let id = r.u32()?;
        let declaration = self.catalog.by_id(id).filter(|it| allows(it));
        let declaration = declaration.ok_or(Error::UnexpectedId { id })?;
        self.fields(r, declaration, true)
    }

    fn fields(
        &mut self,
        r: &mut Reader<'_>,
        declaration: &'c Declaration<'s>,
        boxed: bool,
    ) -> Result<Object<'c>, Error> {
        let fields = r.nested(|r| self.present(r, &declaration.fields))?;
        Ok(Object::trusted(declaration, boxed, fields))
    }

    fn present(
        &mut self,
        r: &mut Reader<'_>,
        fields: &'c [Field<'s>],
    ) -> Result<Vec<(usize, Value<'c>)>, Error> {
        let mut words = BTreeMap::new();
        let mut present = Vec::new();
        for (at, field) in fields.iter().enumerate() {
            let is_there = field.condition.is_none_or(|condition| {
                let word = words.get(condition.flags).copied().unwrap_or_default();
                word & 1_u32 << condition.bit != 0
            });
            if !is_there {
                continue;
            }
            let mut value = self.value(r, field.ty)?;
            if let Value::Flags(word) = &mut value {
                words.insert(field.name, *word);
                *word &= !known_bits(fields, field.name);
                if *word == 0 {
                    continue;
                }
            }
            present.push((at, value));
        }
        Ok(present)
    }
}

/// Returns the bits of a word that fields stand for.
fn known_bits(fields: &[Field<'_>], flags: &str) -> u32 {
    let conditions = fields.iter().filter_map(|field| field.condition);
    let bits = conditions.filter(|condition| condition.flags == flags);
    bits.fold(0, |word, condition| word | 1 << condition.bit)
}
