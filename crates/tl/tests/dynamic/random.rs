//! Values at random, of any type of a schema.

use std::collections::BTreeMap;

use heliogram_tl::dynamic::{Catalog, Object, Shape, Value};
use heliogram_tl::schema::{Declaration, Type};

/// Makes values of a catalog's types.
pub(crate) struct Maker<'c> {
    catalog: &'c Catalog<'c>,
    /// How deep the shallowest object of each constructor is.
    heights: BTreeMap<&'c str, u32>,
    seed: u64,
}

/// Which conditional fields are there.
#[derive(Clone, Copy)]
pub(crate) enum Optional {
    All,
    None,
    Some,
}

impl<'c> Maker<'c> {
    pub(crate) fn new(catalog: &'c Catalog<'c>) -> Self {
        let mut heights = BTreeMap::<&str, u32>::new();
        // Each round knows what is one level deeper.
        for round in 0..20 {
            let before = BTreeMap::clone(&heights);
            for it in catalog.constructors() {
                let is_known = it
                    .fields
                    .iter()
                    .all(|field| field.condition.is_some() || is_known(catalog, &before, field.ty));
                if is_known {
                    heights.entry(it.name).or_insert(round);
                }
            }
        }
        Self {
            catalog,
            heights,
            seed: 0,
        }
    }

    pub(crate) fn reseed(&mut self, seed: u64) {
        self.seed = seed;
    }

    pub(crate) fn object(
        &mut self,
        declaration: &'c Declaration<'c>,
        boxed: bool,
        optional: Optional,
        depth: u32,
    ) -> Object<'c> {
        let mut bits = BTreeMap::new();
        let mut fields = Vec::new();
        for field in &declaration.fields {
            if let Some(condition) = field.condition {
                let drawn = match optional {
                    Optional::All => true,
                    Optional::None => false,
                    Optional::Some => depth > 0 && self.below(3) == 0,
                };
                if !*bits
                    .entry((condition.flags, condition.bit))
                    .or_insert(drawn)
                {
                    continue;
                }
            }
            let value = self.value(field.ty, depth);
            fields.push((field.name, value));
        }
        Object::new(declaration, boxed, fields).unwrap()
    }

    fn value(&mut self, ty: Type<'c>, depth: u32) -> Value<'c> {
        let (catalog, deeper) = (self.catalog, depth.saturating_sub(1));
        match Shape::of(ty) {
            Shape::Any => {
                let method = catalog.method("help.getNearestDc").unwrap();
                Value::Object(self.object(method, true, Optional::Some, deeper))
            }
            Shape::Bare(name) => {
                let declaration = catalog.bare(name).unwrap();
                Value::Object(self.object(declaration, false, Optional::Some, deeper))
            }
            Shape::Bool => Value::Bool(self.below(2) == 0),
            Shape::Boxed(name) => {
                let mut all: Vec<_> = catalog.constructors_of(name).collect();
                assert!(!all.is_empty(), "{name} has no constructor");
                if depth == 0 {
                    let height = |it: &&Declaration<'_>| self.heights[it.name];
                    all.sort_by_key(height);
                    all.truncate(1);
                }
                let declaration = all[self.below(all.len())];
                Value::Object(self.object(declaration, true, Optional::Some, deeper))
            }
            Shape::Bytes => Value::Bytes(self.bytes()),
            Shape::Double => Value::Double(f64::from(i32::from_le_bytes(self.array())) / 1024.0),
            // What no field stands for: none.
            Shape::Flags => Value::Flags(0),
            Shape::Int => Value::Int(i32::from_le_bytes(self.array())),
            Shape::Int128 => Value::Int128(self.array()),
            Shape::Int256 => Value::Int256(self.array()),
            Shape::Long => Value::Long(i64::from_le_bytes(self.array())),
            Shape::String => {
                let bytes = self.bytes();
                Value::String(bytes.into_iter().map(|it| b'a' + it % 26).collect())
            }
            Shape::True => Value::True,
            Shape::Vector { element, boxed } => {
                let count = if depth == 0 { 0 } else { self.below(3) };
                let elements = (0..count).map(|_| self.value(element, deeper)).collect();
                Value::Vector { boxed, elements }
            }
        }
    }

    fn bytes(&mut self) -> Vec<u8> {
        let len = match self.below(20) {
            0 => 250 + self.below(10),
            _ => self.below(9),
        };
        (0..len).map(|_| self.array::<1>()[0]).collect()
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.next().to_le_bytes()[3])
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound).unwrap()).unwrap()
    }

    /// Steele, Lea, Flood: `SplitMix64`.
    fn next(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.seed ^ (self.seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

fn is_known(catalog: &Catalog<'_>, heights: &BTreeMap<&str, u32>, ty: Type<'_>) -> bool {
    let Shape::Boxed(name) = Shape::of(ty) else {
        return true;
    };
    let mut all = catalog.constructors_of(name);
    all.any(|it| heights.contains_key(it.name))
}
