//! Which constructors and methods there are.

use std::collections::BTreeMap;

use crate::layer;
use crate::schema::{Declaration, Role, Schema, Type};

/// The declarations of one schema, found by id, by name and by type.
#[derive(Clone, Debug, Default)]
pub struct Catalog<'s> {
    declarations: Vec<Declaration<'s>>,
    /// Each index points into the declarations.
    by_id: BTreeMap<u32, usize>,
    constructors: BTreeMap<&'s str, usize>,
    methods: BTreeMap<&'s str, usize>,
    by_type: BTreeMap<&'s str, Vec<usize>>,
}

impl Catalog<'static> {
    /// Catalogs the API layer that this crate knows: [`layer::LAYER`].
    #[must_use]
    pub fn of_layer() -> Self {
        Self::from(layer::declarations().collect::<Vec<_>>())
    }
}

impl<'s> Catalog<'s> {
    /// Catalogs a parsed schema. A declaration without an id has its checksum for one; of two of one name the first has
    /// the name, the other is found by its id.
    #[must_use]
    pub fn new(schema: Schema<'s>) -> Self {
        Self::from(schema.declarations)
    }

    /// Returns the constructor with a name: `inputPeerSelf`.
    #[must_use]
    pub fn constructor(&self, name: &str) -> Option<&Declaration<'s>> {
        self.at(self.constructors.get(name))
    }

    /// Returns the method with a name: `help.getConfig`.
    #[must_use]
    pub fn method(&self, name: &str) -> Option<&Declaration<'s>> {
        self.at(self.methods.get(name))
    }

    /// Returns the constructor or the method with an id.
    #[must_use]
    pub fn by_id(&self, id: u32) -> Option<&Declaration<'s>> {
        self.at(self.by_id.get(&id))
    }

    /// Returns the constructors of a type, in the order of the schema; none if there is no such type.
    pub fn constructors_of(&self, name: &str) -> impl Iterator<Item = &Declaration<'s>> {
        let indices = self.by_type.get(name).into_iter().flatten();
        indices.filter_map(|at| self.at(Some(at)))
    }

    /// Returns all methods, sorted by name.
    pub fn methods(&self) -> impl Iterator<Item = &Declaration<'s>> {
        self.methods.values().filter_map(|at| self.at(Some(at)))
    }

    /// Returns all constructors, sorted by name.
    pub fn constructors(&self) -> impl Iterator<Item = &Declaration<'s>> {
        self.constructors
            .values()
            .filter_map(|at| self.at(Some(at)))
    }

    /// Returns the declaration that a bare type means: of the constructor with that name, or of a type's only one.
    #[must_use]
    pub fn bare(&self, name: &str) -> Option<&Declaration<'s>> {
        if let Some(constructor) = self.constructor(name) {
            return Some(constructor);
        }
        let mut of_type = self.constructors_of(name);
        of_type.next().filter(|_| of_type.next().is_none())
    }

    fn at(&self, index: Option<&usize>) -> Option<&Declaration<'s>> {
        self.declarations.get(*index?)
    }
}

impl<'s> From<Vec<Declaration<'s>>> for Catalog<'s> {
    fn from(declarations: Vec<Declaration<'s>>) -> Self {
        let mut catalog = Self::default();
        for (at, declaration) in declarations.iter().enumerate() {
            let names = match declaration.role {
                Role::Builtin => continue,
                Role::Constructor => {
                    let ty = bare_name(declaration.result);
                    catalog.by_type.entry(ty).or_default().push(at);
                    &mut catalog.constructors
                }
                Role::Method => &mut catalog.methods,
            };
            names.entry(declaration.name).or_insert(at);
            catalog
                .by_id
                .entry(declaration.id_or_checksum())
                .or_insert(at);
        }
        catalog.declarations = declarations;
        catalog
    }
}

fn bare_name(ty: Type<'_>) -> &str {
    ty.text().trim_start_matches('%')
}
