//! What `cargo metadata` says of the workspace and its dependency tree, as far as the checks need it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::process;

/// The workspace and everything that it is built from.
#[derive(Debug, Default)]
pub(crate) struct Metadata {
    /// All packages by id.
    pub(crate) packages: BTreeMap<String, Package>,
    /// Ids of the workspace's own packages.
    pub(crate) members: BTreeSet<String>,
    /// Where builds go.
    pub(crate) target_dir: PathBuf,
}

/// One package.
#[derive(Debug, Default)]
pub(crate) struct Package {
    /// Its name in its registry.
    pub(crate) name: String,
    /// Its licence, as an SPDX expression; empty if it names none.
    pub(crate) licence: String,
    /// Where it comes from; nothing for a package of this workspace.
    pub(crate) source: Option<String>,
    /// The packages that it is linked with or built by.
    pub(crate) uses: BTreeSet<String>,
    /// The packages that only its tests use.
    pub(crate) tests_use: BTreeSet<String>,
}

impl Metadata {
    /// Asks cargo.
    ///
    /// # Errors
    ///
    /// When cargo fails, for example because `Cargo.lock` does not match the manifests, or says what we can't read.
    pub(crate) fn load() -> Result<Self> {
        let text = process::output(process::cargo(&[
            "metadata",
            "--format-version",
            "1",
            "--locked",
        ]))
        .context("if Cargo.lock is behind the manifests: `cargo check`, then commit it")?;
        Self::parse(&text)
    }

    /// Reads what cargo printed.
    ///
    /// # Errors
    ///
    /// When a field that cargo documents is not there.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let root: Value = serde_json::from_str(text)?;
        let mut metadata = Self {
            target_dir: string(&root, "target_directory")?.into(),
            ..Self::default()
        };
        for member in array(&root, "workspace_members")? {
            metadata
                .members
                .insert(member.as_str().context("workspace_members")?.to_owned());
        }
        for package in array(&root, "packages")? {
            let text = |field: &str| {
                package
                    .get(field)
                    .and_then(Value::as_str)
                    .map(str::to_owned)
            };
            let read = Package {
                name: string(package, "name")?.to_owned(),
                licence: text("license").unwrap_or_default(),
                source: text("source"),
                ..Package::default()
            };
            metadata
                .packages
                .insert(string(package, "id")?.to_owned(), read);
        }
        for node in array(root.get("resolve").context("resolve")?, "nodes")? {
            let package = metadata
                .packages
                .get_mut(string(node, "id")?)
                .context("a node without a package")?;
            for dependency in array(node, "deps")? {
                let id = string(dependency, "pkg")?.to_owned();
                for kind in array(dependency, "dep_kinds")? {
                    if kind.get("kind").and_then(Value::as_str) == Some("dev") {
                        package.tests_use.insert(id.clone());
                    } else {
                        package.uses.insert(id.clone());
                    }
                }
            }
        }
        Ok(metadata)
    }

    /// Returns the name of a package, or its id if there is no such package.
    pub(crate) fn name<'a>(&'a self, id: &'a str) -> &'a str {
        self.packages.get(id).map_or(id, |package| &package.name)
    }
}

fn string<'a>(value: &'a Value, field: &'static str) -> Result<&'a str> {
    value.get(field).and_then(Value::as_str).context(field)
}

fn array<'a>(value: &'a Value, field: &'static str) -> Result<&'a Vec<Value>> {
    value.get(field).and_then(Value::as_array).context(field)
}
