//! Which route a method takes.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use heliogram_tl::layer;

use super::RouteError;

/// The routes of methods, by constructor id.
#[derive(Default)]
pub(super) struct Table(HashMap<u32, usize>);

impl Table {
    /// Reads what routes are for: an id goes before a name, and a name before its namespace.
    pub(super) fn read<'a>(
        patterns: impl IntoIterator<Item = (&'a str, usize)>,
    ) -> Result<Self, RouteError> {
        let (mut by_id, mut by_name, mut by_namespace) =
            (HashMap::new(), HashMap::new(), HashMap::new());
        for (pattern, route) in patterns {
            let is_first = if let Some((_, id)) = pattern.split_once('#') {
                let id = id_of(id).ok_or_else(|| RouteError::BadId(pattern.to_owned()))?;
                put(&mut by_id, id, route)
            } else if let Some(namespace) = pattern.strip_suffix(".*") {
                let mut methods = layer::methods().iter();
                if !methods.any(|method| namespace_of(method.name()) == Some(namespace)) {
                    return Err(RouteError::Unknown(pattern.to_owned()));
                }
                put(&mut by_namespace, namespace, route)
            } else {
                if layer::method_by_name(pattern).is_none() {
                    return Err(RouteError::Unknown(pattern.to_owned()));
                }
                put(&mut by_name, pattern, route)
            };
            if !is_first {
                return Err(RouteError::Twice(pattern.to_owned()));
            }
        }
        for method in layer::methods() {
            let name = method.name();
            let of_namespace = || by_namespace.get(namespace_of(name)?);
            if let Some(&route) = by_name.get(name).or_else(of_namespace) {
                by_id.entry(method.id()).or_insert(route);
            }
        }
        Ok(Self(by_id))
    }

    /// Returns the route of a method, if there is one for it.
    pub(super) fn get(&self, method: u32) -> Option<usize> {
        self.0.get(&method).copied()
    }

    /// Returns for how many methods there is one.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// Tells whether nothing was there before.
fn put<K: Eq + std::hash::Hash>(map: &mut HashMap<K, usize>, key: K, route: usize) -> bool {
    match map.entry(key) {
        Entry::Vacant(entry) => {
            entry.insert(route);
            true
        }
        Entry::Occupied(_) => false,
    }
}

fn namespace_of(name: &str) -> Option<&str> {
    name.split_once('.').map(|(namespace, _)| namespace)
}

/// As TL writes it: hexadecimal, without leading zeros or with them.
fn id_of(text: &str) -> Option<u32> {
    let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let id = u32::from_str_radix(text, 16).ok();
    id.filter(|_| is_hex)
}
