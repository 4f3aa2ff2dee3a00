//! What documents refer to must be there: files that they link to, tests that they name.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use super::File;

/// Looks at all Markdown among `files`.
pub(super) fn check(files: &[File<'_>]) -> Vec<String> {
    let functions: BTreeSet<&str> = files
        .iter()
        .filter(|file| file.has_extension("rs"))
        .filter_map(File::text)
        .flat_map(functions)
        .collect();
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.has_extension("rs")) {
        for (number, line) in file.text().unwrap_or_default().lines().enumerate() {
            let named = documents_named(line).map(Path::new);
            for name in named.filter(|name| !files.iter().any(|file| file.path == *name)) {
                findings.push(format!(
                    "{}: {} is not there",
                    file.at(number + 1),
                    name.display()
                ));
            }
        }
    }
    for file in files.iter().filter(|file| file.has_extension("md")) {
        for (number, line) in file.text().unwrap_or_default().lines().enumerate() {
            let at = || file.at(number + 1);
            for link in broken_links(file.path, line, files) {
                findings.push(format!("{}: {link} is not there", at()));
            }
            for name in tests_named(line).filter(|name| !functions.contains(name)) {
                findings.push(format!("{}: there is no test `{name}`", at()));
            }
        }
        for number in rows_held_by_nothing(file.text().unwrap_or_default()) {
            findings.push(format!("{}: held by no test", file.at(number)));
        }
    }
    findings
}

/// Finds documents that a comment points to.
fn documents_named(line: &str) -> impl Iterator<Item = &str> {
    let is_comment = line.trim_start().starts_with("//");
    let words = line.split(|c: char| c.is_whitespace() || matches!(c, '`' | '(' | ')' | ',' | ';'));
    let words = words.map(|word| word.trim_end_matches(['.', ':']));
    words.filter(move |word| is_comment && word.starts_with("docs/") && word.ends_with(".md"))
}

fn functions(text: &str) -> impl Iterator<Item = &str> {
    let declarations = text
        .lines()
        .filter_map(|line| line.split_once("fn "))
        .map(|(_, rest)| rest);
    declarations.filter_map(|rest| {
        rest.split(|c: char| !c.is_alphanumeric() && c != '_')
            .next()
    })
}

/// Finds `](path)` that name nothing. Addresses and places within the document are left alone.
fn broken_links<'a>(
    document: &'a Path,
    line: &'a str,
    files: &'a [File<'_>],
) -> impl Iterator<Item = &'a str> {
    let links = line
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'));
    let paths = links.map(|(link, _)| link.split('#').next().unwrap_or_default());
    let relative = paths.filter(|path| !path.is_empty() && !path.contains("://"));
    relative.filter(move |path| {
        let wanted = resolve(document, path);
        !files.iter().any(|file| file.path.starts_with(&wanted))
    })
}

fn resolve(document: &Path, link: &str) -> PathBuf {
    let mut resolved = document
        .parent()
        .map_or_else(PathBuf::new, Path::to_path_buf);
    for part in Path::new(link).components() {
        match part {
            Component::ParentDir => {
                resolved.pop();
            }
            Component::Normal(name) => resolved.push(name),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    resolved
}

/// Finds the names of tests: they state a rule, so they are long.
fn tests_named(line: &str) -> impl Iterator<Item = &str> {
    let is_code = |(index, _): &(usize, &str)| index % 2 == 1;
    let code = line
        .split('`')
        .enumerate()
        .filter(is_code)
        .map(|(_, code)| code);
    code.filter(|code| {
        let is_name = code
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        let is_metric = code.starts_with(METRIC_PREFIX);
        is_name && !is_metric && code.matches('_').count() >= TEST_NAME_UNDERSCORES_MIN
    })
}

/// Finds rows of tables whose last column says what holds them, and in which nothing is said there. Returns line numbers.
fn rows_held_by_nothing(text: &str) -> Vec<usize> {
    let mut is_held = false;
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let Some(cells) = line.strip_prefix('|').and_then(|it| it.strip_suffix('|')) else {
            is_held = false;
            continue;
        };
        let last = cells.rsplit('|').next().unwrap_or_default().trim();
        if last == "held by" {
            is_held = true;
        } else if is_held && last.is_empty() {
            found.push(number + 1);
        }
    }
    found
}

const TEST_NAME_UNDERSCORES_MIN: usize = 4;

/// Names of numbers are long, too. What a server says is compared with its document by a test of its own.
const METRIC_PREFIX: &str = "heliogram_";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_that_a_document_names_must_exist() {
        let code = "    fn a_key_is_never_lost_again() {\n";
        let good = "| x | `tl`: `a_key_is_never_lost_again` |\n";
        let bad = "| x | `a_key_is_sometimes_lost_again` |\n";

        assert_eq!(
            check(&[file("a.rs", code), file("b.md", good)]),
            Vec::<String>::new()
        );
        assert_eq!(
            check(&[file("a.rs", code), file("b.md", bad)]),
            ["b.md:1: there is no test `a_key_is_sometimes_lost_again`"]
        );
        let metric = "| `heliogram_keys_that_are_lost_total` |\n";
        assert_eq!(check(&[file("b.md", metric)]), Vec::<String>::new());
    }

    #[test]
    fn a_row_that_is_to_be_held_by_tests_names_some() {
        let head = "| promise | held by |\n| --- | --- |\n";
        let good = format!("{head}| x | `ring` and its own tests |\n\n| y | |\n");
        let bad = format!("{head}| x | |\n");
        assert_eq!(check(&[file("b.md", &good)]), Vec::<String>::new());
        assert_eq!(check(&[file("b.md", &bad)]), ["b.md:3: held by no test"]);
    }

    #[test]
    fn a_document_that_a_comment_names_must_exist() {
        let comment = "    // Why: `docs/why.md`.\n";
        assert_eq!(
            check(&[file("a.rs", comment), file("docs/why.md", "")]),
            Vec::<String>::new()
        );
        assert_eq!(
            check(&[file("a.rs", comment)]),
            ["a.rs:1: docs/why.md is not there"]
        );
    }

    #[test]
    fn names_of_the_protocol_are_no_tests() {
        let text = "`bad_server_salt`, `ping_delay_disconnect`, `server_DH_params_ok`\n";
        assert_eq!(check(&[file("b.md", text)]), Vec::<String>::new());
    }

    #[test]
    fn a_link_must_lead_to_a_file_or_a_directory() {
        let text =
            "[a](../src/a.rs#L3) [b](../src) [c](c.md) [d](https://example.org/x) [e](#here)\n";
        assert_eq!(
            check(&[file("docs/b.md", text), file("src/a.rs", "")]),
            ["docs/b.md:1: c.md is not there"]
        );
    }

    fn file<'a>(path: &'a str, text: &'a str) -> File<'a> {
        File {
            path: Path::new(path),
            bytes: text.as_bytes(),
        }
    }
}
