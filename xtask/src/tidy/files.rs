//! What must never be committed: keys, leftovers of a merge, large files, paths of somebody's machine.

use super::File;

/// Finds what stops a commit.
pub(super) fn check(file: &File<'_>) -> Vec<String> {
    let mut findings = Vec::new();
    let path = file.path.display();
    if !file.path.starts_with("testdata") {
        if looks_like_a_key(file) {
            findings.push(format!(
                "{path}: looks like a key; keys for tests live in testdata/"
            ));
        }
        if file.bytes.len() > FILE_BYTES_MAX {
            findings.push(format!(
                "{path}: {} bytes; the maximum outside testdata/ is {FILE_BYTES_MAX}",
                file.bytes.len()
            ));
        }
    }
    let Some(text) = file.text() else {
        return findings;
    };
    for (number, line) in text.lines().enumerate() {
        if MERGE_MARKS.iter().any(|mark| line.starts_with(mark)) {
            findings.push(format!("{}: a leftover of a merge", file.at(number + 1)));
        }
        if let Some(part) = MACHINE_PATHS
            .iter()
            .find(|part| names_a_machine_path(line, part))
        {
            findings.push(format!(
                "{}: {part}… is a path of somebody's machine",
                file.at(number + 1)
            ));
        }
    }
    findings
}

fn looks_like_a_key(file: &File<'_>) -> bool {
    if KEY_EXTENSIONS
        .iter()
        .any(|extension| file.has_extension(extension))
    {
        return true;
    }
    match file.text() {
        Some(text) => has_private_pem(text),
        None => file.bytes.len() == AUTH_KEY_BYTES,
    }
}

/// Tells a key from code that reads keys: there the label is not followed by a line of base64.
fn has_private_pem(text: &str) -> bool {
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if !line.contains(PRIVATE_PEM_LABEL) {
            continue;
        }
        let next = lines.clone().next().unwrap_or_default().trim();
        let is_base64 = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=');
        if next.len() >= BASE64_LINE_CHARS_MIN && next.chars().all(is_base64) {
            return true;
        }
    }
    false
}

/// The part is a path only at the beginning of a path, not within an address or after a variable.
fn names_a_machine_path(line: &str, part: &str) -> bool {
    line.match_indices(part).any(|(at, _)| {
        let before = line.get(..at).and_then(|before| before.chars().next_back());
        !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '}' | '/'))
    })
}

const FILE_BYTES_MAX: usize = 1 << 20;
const AUTH_KEY_BYTES: usize = 256;
const BASE64_LINE_CHARS_MIN: usize = 40;
const KEY_EXTENSIONS: [&str; 6] = ["der", "jks", "key", "p12", "pem", "pfx"];

// In two parts, so that this file does not find itself.
const PRIVATE_PEM_LABEL: &str = concat!("PRIVATE", " KEY-----");
const MERGE_MARKS: [&str; 3] = [
    concat!("<<<<", "<<< "),
    concat!(">>>>", ">>> "),
    concat!("||||", "||| "),
];
const MACHINE_PATHS: [&str; 5] = [
    concat!("/ho", "me/"),
    concat!("/ro", "ot/"),
    concat!("/Us", "ers/"),
    concat!("/wo", "rk/"),
    concat!("/tmp/", "wt/"),
];

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_private_key_is_caught_outside_testdata_only() {
        let pem = format!(
            "-----BEGIN RSA {PRIVATE_PEM_LABEL}\n{}\n",
            "QUJD".repeat(16)
        );
        assert_eq!(check_file("src/a.rs", pem.as_bytes()).len(), 1);
        assert_eq!(
            check_file("testdata/a.txt", pem.as_bytes()),
            Vec::<String>::new()
        );
    }

    #[test]
    fn code_that_names_the_label_is_no_key() {
        let code = format!(
            "const LABEL: &str = \"-----BEGIN RSA {PRIVATE_PEM_LABEL}\";\nfn read() {{}}\n"
        );
        assert_eq!(
            check_file("src/pem.rs", code.as_bytes()),
            Vec::<String>::new()
        );
    }

    #[test]
    fn a_blob_as_long_as_an_auth_key_is_caught() {
        assert_eq!(check_file("a.bin", &[0; 256]).len(), 1);
        assert_eq!(check_file("a.bin", &[0; 255]), Vec::<String>::new());
    }

    #[test]
    fn the_name_alone_can_give_a_key_away() {
        assert_eq!(check_file("deploy/server.pem", b"").len(), 1);
    }

    #[test]
    fn a_file_of_a_mebibyte_passes_and_a_larger_one_does_not() {
        assert_eq!(
            check_file("a.txt", &vec![b'a'; 1 << 20]),
            Vec::<String>::new()
        );
        assert_eq!(check_file("a.txt", &vec![b'a'; (1 << 20) + 1]).len(), 1);
        assert_eq!(
            check_file("testdata/a.txt", &vec![b'a'; (1 << 20) + 1]),
            Vec::<String>::new()
        );
    }

    #[test]
    fn a_leftover_of_a_merge_is_caught() {
        assert_eq!(
            check_file("a.md", format!("{}main\n", MERGE_MARKS[0]).as_bytes()).len(),
            1
        );
    }

    #[test]
    fn a_path_of_a_machine_is_caught_but_not_within_an_address() {
        let path = format!("cd {}me/src\n", MACHINE_PATHS[0]);
        assert_eq!(check_file("a.md", path.as_bytes()).len(), 1);
        let address = format!("see https://example.org{}me\n", MACHINE_PATHS[0]);
        assert_eq!(check_file("a.md", address.as_bytes()), Vec::<String>::new());
    }

    fn check_file(path: &str, bytes: &[u8]) -> Vec<String> {
        check(&File {
            path: Path::new(path),
            bytes,
        })
    }
}
