//! What a schema's declarations mean in Rust.

use std::collections::{BTreeMap, BTreeSet};

use heliogram_tl::schema::{
    Condition, Declaration, Field, Kind, PUBLISHED_CONSTANTS, Role, Schema, Type,
};

use crate::{Error, Options, names};

/// A schema, with what can be generated from it.
pub(crate) struct Model<'a> {
    pub(crate) options: Options<'a>,
    /// Declarations to generate: everything they refer to is known.
    pub(crate) items: Vec<&'a Declaration<'a>>,
    /// Types and their constructors, if all of those are known.
    pub(crate) types: BTreeMap<&'a str, Vec<&'a Declaration<'a>>>,
}

/// A field's type in Rust.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum RustType<'a> {
    Bare(&'a Declaration<'a>),
    Boxed(&'a str),
    Bytes,
    Primitive(Primitive),
    /// An object that nobody looks at here: everything that is left.
    Rest,
    Vector {
        boxed: bool,
        element: Type<'a>,
    },
}

/// A type of fixed form that borrows nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Primitive {
    pub(crate) rust: &'static str,
    pub(crate) bytes: usize,
    /// Whether any bytes of that length are a value.
    pub(crate) fixed: bool,
}

impl<'a> Model<'a> {
    /// Checks `schema` and finds out what can be generated from it.
    pub(crate) fn new(schema: &'a Schema<'a>, options: Options<'a>) -> Result<Self, Error> {
        let declarations = schema
            .declarations
            .iter()
            .filter(|declaration| !is_builtin(declaration));
        let mut items = declarations.collect::<Vec<_>>();
        items
            .iter()
            .try_for_each(|declaration| check_id(declaration))?;
        // Everything is known until something it refers to is not: types may refer to themselves.
        loop {
            let types = types_of(&items, schema);
            let model = Self {
                options,
                items,
                types,
            };
            let is_known = |declaration: &&Declaration<'a>| {
                declaration
                    .fields
                    .iter()
                    .all(|field| model.is_known(field.ty))
            };
            let known = model
                .items
                .iter()
                .copied()
                .filter(is_known)
                .collect::<Vec<_>>();
            if known.len() == model.items.len() {
                return Ok(model);
            }
            items = known;
        }
    }

    /// Returns what a field's type is in Rust, or nothing for a bit field.
    pub(crate) fn rust_type(&self, ty: Type<'a>) -> Option<RustType<'a>> {
        match ty.kind() {
            Kind::Flags => None,
            Kind::Method(_) => Some(RustType::Rest),
            Kind::Vector { boxed, element } => Some(RustType::Vector { boxed, element }),
            Kind::Named { name, boxed } => match (name, primitive(name)) {
                (_, Some(primitive)) => Some(RustType::Primitive(primitive)),
                ("string" | "bytes", _) => Some(RustType::Bytes),
                ("Object", _) => Some(RustType::Rest),
                (name, _) if boxed => Some(RustType::Boxed(name)),
                (name, _) => self.constructor(name).map(RustType::Bare),
            },
        }
    }

    /// Returns the path of `declaration`'s Rust type, as seen from a namespace.
    pub(crate) fn path(&self, declaration: &Declaration<'_>, from: Option<&str>) -> String {
        match self.by_hand(declaration.name) {
            // Imported where the struct would otherwise stand.
            Some(_) if names::split(declaration.name).0 == from => {
                names::type_name(declaration.name)
            }
            Some(path) => path.to_owned(),
            None => self.local_path(declaration.name, &names::type_name(declaration.name), from),
        }
    }

    /// Returns the constructors of a TL type, or none if not all of them are known.
    pub(crate) fn constructors(&self, name: &str) -> &[&'a Declaration<'a>] {
        self.types.get(name).map_or(&[], Vec::as_slice)
    }

    /// Returns the path of the Rust type that stands for a TL type.
    pub(crate) fn boxed_path(&self, name: &str, from: Option<&str>) -> String {
        match self.constructors(name) {
            [only] => self.path(only, from),
            _ => self.local_path(name, &self.enum_name(name), from),
        }
    }

    /// Returns the name of the enum of a TL type with several constructors.
    pub(crate) fn enum_name(&self, name: &str) -> String {
        let rust_name = names::type_name(name);
        let (namespace, _) = names::split(name);
        let is_taken = |item: &&Declaration<'_>| {
            names::type_name(item.name) == rust_name && names::split(item.name).0 == namespace
        };
        if self.items.iter().any(is_taken) {
            format!("Any{rust_name}")
        } else {
            rust_name
        }
    }

    pub(crate) fn by_hand(&self, name: &str) -> Option<&'a str> {
        let found = self
            .options
            .by_hand
            .iter()
            .find(|(by_hand, _)| *by_hand == name);
        found.map(|(_, path)| *path)
    }

    pub(crate) fn bound(&self, declaration: &str, field: &str) -> Option<&'a str> {
        let is_meant = |(other, other_field, _): &&(&str, &str, &str)| {
            *other == declaration && *other_field == field
        };
        self.options
            .bounds
            .iter()
            .find(is_meant)
            .map(|(_, _, bound)| *bound)
    }

    /// Tells whether `declaration` or anything within it borrows.
    pub(crate) fn borrows(&self, declaration: &'a Declaration<'a>) -> bool {
        let borrows = |ty| {
            matches!(
                ty,
                RustType::Bytes | RustType::Rest | RustType::Vector { .. }
            )
        };
        self.any(declaration, &borrows, &mut BTreeSet::new())
    }

    /// Tells whether equality of `declaration`'s values is total.
    pub(crate) fn is_eq(&self, declaration: &'a Declaration<'a>) -> bool {
        let is_float = |ty| matches!(ty, RustType::Primitive(Primitive { rust: "f64", .. }));
        !self.any(declaration, &is_float, &mut BTreeSet::new())
    }

    /// Tells whether `declaration` has a natural empty value: no enum is required.
    pub(crate) fn has_default(&self, declaration: &'a Declaration<'a>) -> bool {
        declaration
            .fields
            .iter()
            .all(|field| match self.rust_type(field.ty) {
                Some(RustType::Boxed(name)) if field.condition.is_none() => {
                    matches!(self.constructors(name), [only] if self.has_default(only))
                }
                Some(RustType::Bare(inner)) => self.has_default(inner),
                _ => true,
            })
    }

    /// Returns the bytes of the shortest bare form, and whether every value has just these.
    pub(crate) fn size(&self, declaration: &'a Declaration<'a>) -> (usize, bool) {
        let size = |field: &Field<'a>| match (self.rust_type(field.ty), field.condition) {
            (_, Some(_)) => (0, false),
            (None, _) => (4, false),
            (Some(RustType::Primitive(primitive)), _) => (primitive.bytes, primitive.fixed),
            (Some(RustType::Bare(inner)), _) => self.size(inner),
            (
                Some(
                    RustType::Bytes | RustType::Boxed(_) | RustType::Rest | RustType::Vector { .. },
                ),
                _,
            ) => (4, false),
        };
        let sizes = declaration.fields.iter().map(size);
        sizes.fold((0, true), |(bytes, fixed), (more, also)| {
            (bytes + more, fixed && also)
        })
    }

    fn constructor(&self, name: &str) -> Option<&'a Declaration<'a>> {
        let is_it = |item: &&&Declaration<'a>| item.name == name && item.role == Role::Constructor;
        self.items.iter().find(is_it).copied()
    }

    fn is_known(&self, ty: Type<'a>) -> bool {
        match self.rust_type(ty) {
            None => ty.kind() == Kind::Flags,
            Some(RustType::Boxed(name)) => name == "true" || self.types.contains_key(name),
            Some(RustType::Vector { element, .. }) => self.is_known(element),
            Some(RustType::Bare(_) | RustType::Bytes | RustType::Primitive(_) | RustType::Rest) => {
                true
            }
        }
    }

    fn any(
        &self,
        declaration: &'a Declaration<'a>,
        test: &dyn Fn(RustType<'a>) -> bool,
        seen: &mut BTreeSet<&'a str>,
    ) -> bool {
        if !seen.insert(declaration.name) {
            return false;
        }
        declaration
            .fields
            .iter()
            .any(|field| self.any_type(field.ty, test, seen))
    }

    fn any_type(
        &self,
        ty: Type<'a>,
        test: &dyn Fn(RustType<'a>) -> bool,
        seen: &mut BTreeSet<&'a str>,
    ) -> bool {
        let Some(rust_type) = self.rust_type(ty) else {
            return false;
        };
        test(rust_type)
            || match rust_type {
                RustType::Bare(inner) => self.any(inner, test, seen),
                RustType::Boxed(name) => self
                    .constructors(name)
                    .iter()
                    .any(|constructor| self.any(constructor, test, seen)),
                RustType::Vector { element, .. } => self.any_type(element, test, seen),
                RustType::Bytes | RustType::Primitive(_) | RustType::Rest => false,
            }
    }

    fn local_path(&self, tl_name: &str, rust_name: &str, from: Option<&str>) -> String {
        let module = self.options.module;
        match names::split(tl_name).0 {
            namespace if namespace == from => rust_name.to_owned(),
            Some(namespace) => format!("crate::{module}::{namespace}::{rust_name}"),
            None => format!("crate::{module}::{rust_name}"),
        }
    }
}

/// Returns the fields that hang on a bit field.
pub(crate) fn on_flags<'a>(
    declaration: &'a Declaration<'a>,
    flags: &str,
) -> impl Iterator<Item = &'a Field<'a>> {
    let hangs_on_it = move |field: &&Field<'_>| {
        field
            .condition
            .is_some_and(|condition| condition.flags == flags)
    };
    declaration.fields.iter().filter(hangs_on_it)
}

/// Returns the fields that hang on one bit.
pub(crate) fn on_bit<'a>(
    declaration: &'a Declaration<'a>,
    condition: Condition<'a>,
) -> impl Iterator<Item = &'a Field<'a>> {
    let hangs_on_it = move |field: &&Field<'_>| field.condition == Some(condition);
    declaration.fields.iter().filter(hangs_on_it)
}

/// Types whose constructors are all among `items`.
fn types_of<'a>(
    items: &[&'a Declaration<'a>],
    schema: &'a Schema<'a>,
) -> BTreeMap<&'a str, Vec<&'a Declaration<'a>>> {
    let mut types = BTreeMap::<&str, Vec<_>>::new();
    for item in items.iter().filter(|item| item.role == Role::Constructor) {
        types.entry(item.result.text()).or_default().push(*item);
    }
    let is_constructor = |declaration: &&Declaration<'_>| declaration.role == Role::Constructor;
    types.retain(|name, known| {
        let all = schema.declarations.iter().filter(is_constructor);
        all.filter(|declaration| declaration.result.text() == *name)
            .count()
            == known.len()
    });
    types
}

/// The language's own types, which the codec knows.
fn is_builtin(declaration: &Declaration<'_>) -> bool {
    let is_known_value = matches!(declaration.result.text(), "Bool" | "True");
    declaration.role == Role::Builtin || declaration.role == Role::Constructor && is_known_value
}

fn check_id(declaration: &Declaration<'_>) -> Result<(), Error> {
    let expected = declaration.checksum();
    let follows_rule = declaration.id.is_none_or(|id| id == expected);
    if follows_rule || PUBLISHED_CONSTANTS.contains(&declaration.name) {
        return Ok(());
    }
    Err(Error::Checksum {
        name: declaration.name.to_owned(),
        expected,
    })
}

fn primitive(name: &str) -> Option<Primitive> {
    let (rust, bytes, fixed) = match name {
        "int" => ("i32", 4, true),
        "long" => ("i64", 8, true),
        "double" => ("f64", 8, true),
        "int128" => ("[u8; 16]", 16, true),
        "int256" => ("[u8; 32]", 32, true),
        "Bool" | "true" => ("bool", 4, false),
        _ => return None,
    };
    Some(Primitive { rust, bytes, fixed })
}
