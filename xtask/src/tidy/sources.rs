//! Sizes of source files and functions, and notes to self that nobody tracks.

use super::File;

/// Finds what stops a commit.
pub(super) fn check(file: &File<'_>) -> Vec<String> {
    let mut findings = Vec::new();
    let Some(text) = file.text() else {
        return findings;
    };
    if is_source(file) {
        let lines = text.lines().count();
        if lines > FILE_LINES_MAX {
            findings.push(format!(
                "{}: {lines} lines; the maximum is {FILE_LINES_MAX}",
                file.path.display()
            ));
        }
    }
    if file.has_extension("rs") && !file.is_generated() {
        findings.extend(long_functions(file, text));
    }
    findings.extend(untracked_notes(file, text));
    findings.extend(unsafe_outside_its_rooms(file, text));
    findings
}

/// Finds files that ask for `unsafe`, other than those of the two modules that may.
fn unsafe_outside_its_rooms(file: &File<'_>, text: &str) -> Option<String> {
    let is_room = ROOMS_OF_UNSAFE
        .iter()
        .any(|room| file.path.starts_with(room));
    let asks = || {
        text.lines()
            .any(|line| line.trim_start().starts_with("unsafe_code"))
    };
    let asks = file.has_extension("rs") && !is_room && asks();
    asks.then(|| {
        format!(
            "{}: unsafe code belongs to {ROOMS_OF_UNSAFE:?}",
            file.path.display()
        )
    })
}

/// Finds what is worth a thought.
pub(super) fn note(file: &File<'_>) -> Option<String> {
    let lines = file.text()?.lines().count();
    let is_long = is_source(file) && lines > FILE_LINES_WORTH_A_THOUGHT && lines <= FILE_LINES_MAX;
    is_long.then(|| {
        format!(
            "{}: {lines} lines; think of splitting it",
            file.path.display()
        )
    })
}

fn is_source(file: &File<'_>) -> bool {
    (file.has_extension("rs") || file.has_extension("py")) && !file.is_generated()
}

/// Counts as clippy does: lines between the braces that are neither empty nor comments.
///
/// Relies on rustfmt: the brace that closes a function stands in the column in which its signature begins.
fn long_functions(file: &File<'_>, text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let mut findings = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let Some(name) = function_name(line) else {
            continue;
        };
        let from_here = lines.get(start..).unwrap_or_default();
        let is_code =
            |line: &&&str| !line.trim().is_empty() && !line.trim_start().starts_with("//");
        let code = body(from_here).iter().filter(is_code).count();
        if code > FUNCTION_LINES_MAX {
            let at = file.at(start + 1);
            findings.push(format!(
                "{at}: `{name}` has {code} lines; the maximum is {FUNCTION_LINES_MAX}"
            ));
        }
    }
    findings
}

/// Returns the lines between the braces of the function that begins in the first line, none if it has no braces.
fn body<'a>(lines: &'a [&'a str]) -> &'a [&'a str] {
    let indent_of = |line: &str| line.len() - line.trim_start().len();
    let indent = lines.first().map_or(0, |line| indent_of(line));
    let is_level = |line: &&str| !line.trim().is_empty() && indent_of(line) == indent;
    let is_signature_end =
        |line: &&str| is_level(line) && line.trim_end().ends_with(['{', '}', ';']);
    let Some(open) = lines.iter().position(is_signature_end) else {
        return &[];
    };
    if !lines
        .get(open)
        .is_some_and(|line| line.trim_end().ends_with('{'))
    {
        return &[];
    }
    let rest = lines.get(open + 1..).unwrap_or_default();
    let close = rest
        .iter()
        .position(|line| is_level(line) && line.trim() == "}");
    rest.get(..close.unwrap_or(0)).unwrap_or_default()
}

fn function_name(line: &str) -> Option<&str> {
    let (before, after) = line.split_once("fn ")?;
    let is_qualifier = |word: &str| {
        word.starts_with("pub")
            || matches!(
                word,
                "async" | "const" | "unsafe" | "extern" | "\"C\"" | "in" | "crate)"
            )
    };
    if !before.split_whitespace().all(is_qualifier) {
        return None;
    }
    after
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .next()
        .filter(|name| !name.is_empty())
}

/// A note to self must name the issue that will resolve it.
fn untracked_notes(file: &File<'_>, text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for word in NOTES {
            let Some((before, after)) = line.split_once(word) else {
                continue;
            };
            let is_word = !before.ends_with(char::is_alphanumeric)
                && !after.starts_with(char::is_alphanumeric);
            let has_issue = after
                .strip_prefix("(#")
                .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
            if is_word && !has_issue {
                findings.push(format!(
                    "{}: {word} without an issue: write {word}(#12)",
                    file.at(number + 1)
                ));
            }
        }
        for stub in STUBS {
            if line.contains(stub) {
                findings.push(format!("{}: {stub}) is no code", file.at(number + 1)));
            }
        }
    }
    findings
}

const FILE_LINES_WORTH_A_THOUGHT: usize = 600;
const FILE_LINES_MAX: usize = 1000;
const FUNCTION_LINES_MAX: usize = 80;

/// `bench/` is no part of the product, and calls those that we are measured beside.
const ROOMS_OF_UNSAFE: [&str; 3] = ["crates/crypto/src/bn.rs", "crates/crypto/src/simd", "bench"];

// In two parts, so that this file does not find itself.
const NOTES: [&str; 2] = [concat!("TO", "DO"), concat!("FIX", "ME")];
const STUBS: [&str; 2] = [concat!("to", "do!("), concat!("unimple", "mented!(")];

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_file_of_1000_lines_passes_and_one_of_1001_does_not() {
        assert_eq!(
            check_text("a.rs", &"// line\n".repeat(1000)),
            Vec::<String>::new()
        );
        assert_eq!(
            check_text("a.rs", &"// line\n".repeat(1001)),
            ["a.rs: 1001 lines; the maximum is 1000"]
        );
    }

    #[test]
    fn a_file_over_600_lines_is_noted() {
        let long = "// line\n".repeat(601);
        assert_eq!(
            note(&file("a.rs", &long)).unwrap(),
            "a.rs: 601 lines; think of splitting it"
        );
        assert_eq!(note(&file("a.rs", &"// line\n".repeat(600))), None);
    }

    #[test]
    fn generated_files_may_be_long() {
        let text = format!("// @generated by a program\n{}", "// line\n".repeat(2000));
        assert_eq!(check_text("a.rs", &text), Vec::<String>::new());
    }

    #[test]
    fn a_function_of_80_lines_passes_and_one_of_81_does_not() {
        let function = |lines: usize| {
            let body = "        let _ = 1;\n".repeat(lines);
            format!(
                "impl A {{\n    pub(crate) async fn long(\n        &self,\n    ) {{\n{body}    }}\n}}\n"
            )
        };
        assert_eq!(check_text("a.rs", &function(80)), Vec::<String>::new());
        assert_eq!(
            check_text("a.rs", &function(81)),
            ["a.rs:2: `long` has 81 lines; the maximum is 80"]
        );
    }

    #[test]
    fn a_signature_without_a_body_is_no_function() {
        let text = format!(
            "trait A {{\n    fn a(\n        &self,\n    );\n{}}}\n",
            "    const B: u8;\n".repeat(90)
        );
        assert_eq!(check_text("a.rs", &text), Vec::<String>::new());
    }

    #[test]
    fn comments_and_empty_lines_do_not_count() {
        let body = "    // why\n\n".repeat(100);
        assert_eq!(
            check_text("a.rs", &format!("fn short() {{\n{body}}}\n")),
            Vec::<String>::new()
        );
    }

    #[test]
    fn a_note_to_self_needs_an_issue() {
        let note = NOTES[0];
        assert_eq!(
            check_text("a.md", &format!("{note}(#7): later\n")),
            Vec::<String>::new()
        );
        assert_eq!(check_text("a.md", &format!("x\n{note}: later\n")).len(), 1);
        assert_eq!(
            check_text("a.md", &format!("MA{note}S is a word\n")),
            Vec::<String>::new()
        );
    }

    #[test]
    fn unsafe_code_outside_its_two_modules_is_caught() {
        let code = "#![expect(\n    unsafe_code,\n    reason = \"fast\"\n)]\n";
        assert_eq!(
            check_text("crates/crypto/src/simd/aes.rs", code),
            Vec::<String>::new()
        );
        assert_eq!(
            check_text("crates/crypto/src/bn.rs", code),
            Vec::<String>::new()
        );
        assert_eq!(check_text("crates/crypto/src/simd.rs", code).len(), 1);
        assert_eq!(check_text("crates/proto/src/bn.rs", code).len(), 1);
    }

    #[test]
    fn a_stub_is_no_code() {
        assert_eq!(
            check_text("a.rs", &format!("fn a() {{ {}) }}\n", STUBS[0])).len(),
            1
        );
    }

    fn check_text(path: &str, text: &str) -> Vec<String> {
        check(&file(path, text))
    }

    fn file<'a>(path: &'a str, text: &'a str) -> File<'a> {
        File {
            path: Path::new(path),
            bytes: text.as_bytes(),
        }
    }
}
