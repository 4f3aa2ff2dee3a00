//! What every crate's manifest and lint configuration must say.

use std::path::Path;

use anyhow::{Context as _, Result};

/// Reads the manifests and compares them.
///
/// # Errors
///
/// When a file that must be there can't be read.
pub(super) fn check(root: &Path) -> Result<Vec<String>> {
    let read =
        |path: &str| std::fs::read_to_string(root.join(path)).with_context(|| path.to_owned());
    let workspace = read("Cargo.toml")?;
    let mut findings = Vec::new();
    for member in members(&workspace) {
        let path = format!("{member}/Cargo.toml");
        if !has_workspace_lints(&read(&path)?) {
            findings.push(format!("{path}: must say `[lints]` and `workspace = true`"));
        }
    }

    let common = read("clippy.toml")?;
    for ring_1 in ["crypto", "proto", "tl"] {
        let path = format!("crates/{ring_1}/clippy.toml");
        for line in missing_lines(&common, &read(&path)?) {
            findings.push(format!(
                "{path}: must repeat `{line}`, since clippy reads the nearest file only"
            ));
        }
    }

    let documented = read("docs/dependencies.md")?;
    let used = foreign_dependencies(&workspace);
    for name in documented_dependencies(&documented)
        .into_iter()
        .filter(|name| !used.contains(name))
    {
        findings.push(format!("docs/dependencies.md: `{name}` is no longer used"));
    }
    for name in used {
        if !documented.contains(&format!("| `{name}` |")) {
            findings.push(format!(
                "docs/dependencies.md: no row for `{name}`: why it is here, its licence, its weight"
            ));
        }
    }
    Ok(findings)
}

fn members(workspace: &str) -> Vec<&str> {
    let Some((_, rest)) = workspace.split_once("members = [") else {
        return Vec::new();
    };
    let list = rest.split_once(']').map_or(rest, |(list, _)| list);
    list.split(',')
        .map(|member| member.trim().trim_matches('"'))
        .filter(|member| !member.is_empty())
        .collect()
}

fn has_workspace_lints(manifest: &str) -> bool {
    let mut lines = manifest
        .lines()
        .skip_while(|line| line.trim() != "[lints]")
        .skip(1);
    lines
        .next()
        .is_some_and(|line| line.trim() == "workspace = true")
}

fn missing_lines<'a>(common: &'a str, nearest: &str) -> Vec<&'a str> {
    let said: Vec<&str> = nearest.lines().map(str::trim).collect();
    common
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !said.contains(line))
        .collect()
}

fn foreign_dependencies(workspace: &str) -> Vec<&str> {
    let lines = workspace
        .lines()
        .skip_while(|line| *line != "[workspace.dependencies]")
        .skip(1);
    let rows = lines.take_while(|line| !line.starts_with('['));
    let named = rows
        .filter_map(|line| line.split_once('='))
        .map(|(name, _)| name.trim());
    named
        .filter(|name| !name.starts_with("heliogram-") && !name.starts_with('#'))
        .collect()
}

fn documented_dependencies(document: &str) -> Vec<&str> {
    document
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` |"))
        .map(|(name, _)| name)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_without_the_workspace_lints_is_caught() {
        assert!(has_workspace_lints(
            "[package]\nname = \"a\"\n\n[lints]\nworkspace = true\n"
        ));
        assert!(!has_workspace_lints(
            "[package]\nname = \"a\"\n\n[dependencies]\n"
        ));
        assert!(!has_workspace_lints(
            "[lints]\n[dependencies]\nworkspace = true\n"
        ));
    }

    #[test]
    fn a_lint_setting_that_ring_1_forgets_is_caught() {
        assert_eq!(missing_lines("a = 1\nb = 2\n", "b = 2\nc = 3\n"), ["a = 1"]);
    }

    #[test]
    fn only_foreign_dependencies_need_a_row() {
        let workspace = "[workspace.dependencies]\nheliogram-tl = { path = \"x\" }\n\naes = \"0.9\"\n\n[profile.dev]\ndebug = 1\n";
        assert_eq!(foreign_dependencies(workspace), ["aes"]);
    }

    #[test]
    fn a_row_of_the_document_begins_with_a_name() {
        assert_eq!(
            documented_dependencies("| name | why |\n| --- | --- |\n| `aes` | x |\ntext\n"),
            ["aes"]
        );
    }

    #[test]
    fn members_are_read_from_the_root_manifest() {
        assert_eq!(
            members(
                "[workspace]\nmembers = [\n    \"a/b\",\n    \"c\",\n]\ndefault-members = [\"a/b\"]\n"
            ),
            ["a/b", "c"]
        );
    }
}
