//! Where packages come from, and under which licences: the part of `cargo deny` that needs no `cargo deny`.
//!
//! The list of licences is the one in `deny.toml`.

use crate::metadata::Metadata;

/// Compares every package that is built, on any platform, with the list.
pub(super) fn check(metadata: &Metadata, deny: &str) -> Vec<String> {
    let allowed = allowed(deny);
    let mut findings = Vec::new();
    for (id, package) in metadata
        .packages
        .iter()
        .filter(|(id, _)| !metadata.members.contains(*id))
    {
        if package.source.as_deref() != Some(REGISTRY) {
            findings.push(format!(
                "{id}: comes from {:?}, not from the registry",
                package.source
            ));
        }
        if !is_free(&package.licence, &allowed) {
            findings.push(format!(
                "{id}: licence {:?} is not in deny.toml",
                package.licence
            ));
        }
    }
    findings
}

fn allowed(deny: &str) -> Vec<&str> {
    let licences = deny.split_once("[licenses]").map_or("", |(_, rest)| rest);
    let list = licences
        .split_once("allow = [")
        .map_or("", |(_, rest)| rest);
    let list = list.split_once(']').map_or("", |(list, _)| list);
    list.split(',')
        .map(|name| name.trim().trim_matches('"'))
        .filter(|name| !name.is_empty())
        .collect()
}

/// Evaluates an SPDX expression: `A OR (B AND C)`; an old manifest's `A/B` means `A OR B`.
fn is_free(expression: &str, allowed: &[&str]) -> bool {
    let spaced = expression
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut words = words.as_slice();
    any_of(&mut words, allowed) && words.is_empty()
}

fn any_of(words: &mut &[&str], allowed: &[&str]) -> bool {
    let mut free = all_of(words, allowed);
    while take(words, "OR") {
        free |= all_of(words, allowed);
    }
    free
}

fn all_of(words: &mut &[&str], allowed: &[&str]) -> bool {
    let mut free = one(words, allowed);
    while take(words, "AND") {
        free &= one(words, allowed);
    }
    free
}

fn one(words: &mut &[&str], allowed: &[&str]) -> bool {
    if take(words, "(") {
        return any_of(words, allowed) & take(words, ")");
    }
    let Some((name, rest)) = words.split_first() else {
        return false;
    };
    *words = rest;
    if take(words, "WITH") {
        // An exception widens a licence; none of them is needed here so far.
        *words = words.get(1..).unwrap_or_default();
        return false;
    }
    allowed.contains(name)
}

fn take(words: &mut &[&str], wanted: &str) -> bool {
    match words.split_first() {
        Some((word, rest)) if *word == wanted => {
            *words = rest;
            true
        }
        _ => false,
    }
}

const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::Package;

    const DENY: &str =
        "[licenses]\nallow = [\n    \"MIT\",\n    \"ISC\",\n]\n\n[bans]\nallow = [\"GPL-3.0\"]\n";

    #[test]
    fn an_expression_is_free_if_some_choice_is_all_allowed() {
        let allowed = allowed(DENY);
        for free in [
            "MIT",
            "MIT OR GPL-3.0",
            "GPL-3.0/MIT",
            "ISC AND (MIT OR GPL-3.0)",
            "(GPL-3.0 AND X) OR ISC",
        ] {
            assert!(is_free(free, &allowed), "{free}");
        }
        for not_free in [
            "GPL-3.0",
            "MIT AND GPL-3.0",
            "",
            "MIT MIT",
            "(MIT",
            "MIT WITH some-exception",
        ] {
            assert!(!is_free(not_free, &allowed), "{not_free}");
        }
    }

    #[test]
    fn a_package_from_elsewhere_or_without_a_free_licence_is_caught() {
        let mut metadata = Metadata::default();
        let mut add = |id: &str, licence: &str, source: &str| {
            let source = Some(source.to_owned());
            let package = Package {
                licence: licence.to_owned(),
                source,
                ..Package::default()
            };
            metadata.packages.insert(id.to_owned(), package);
        };
        add("good", "MIT", REGISTRY);
        add("git", "MIT", "git+https://example.org/x");
        add("gpl", "GPL-3.0", REGISTRY);

        let findings = check(&metadata, DENY);
        assert_eq!(findings.len(), 2, "{findings:?}");
        assert!(findings[0].starts_with("git: comes from"));
        assert!(findings[1].starts_with("gpl: licence"));
    }
}
