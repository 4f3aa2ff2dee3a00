//! Source files that no module names: they look like code and are never compiled.

use std::path::{Path, PathBuf};

use super::File;

/// Finds every file below a `src` that its parent module does not declare.
pub(super) fn check(files: &[File<'_>]) -> Vec<String> {
    let is_declared = |file: &&File<'_>| {
        let Some(name) = module_name(file.path) else {
            return true;
        };
        let parents = parents(file.path);
        let mut parents = files
            .iter()
            .filter(|other| parents.iter().any(|path| path == other.path));
        parents.any(|parent| parent.text().is_some_and(|text| declares(text, &name)))
    };
    let below_src = |file: &&File<'_>| {
        file.has_extension("rs") && file.path.components().any(|part| part.as_os_str() == "src")
    };
    files
        .iter()
        .filter(below_src)
        .filter(|file| !is_declared(file))
        .map(|file| format!("{}: no module declares this file", file.path.display()))
        .collect()
}

/// Returns the module that a file holds; nothing for the root of a crate.
fn module_name(path: &Path) -> Option<String> {
    let stem = path.file_stem()?.to_str()?;
    let is_program = path
        .parent()
        .is_some_and(|folder| folder.ends_with("src/bin"));
    match stem {
        "lib" | "main" => None,
        _ if is_program => None,
        "mod" => Some(path.parent()?.file_name()?.to_str()?.to_owned()),
        _ => Some(stem.to_owned()),
    }
}

/// Lists where the module of a file may be declared.
fn parents(path: &Path) -> Vec<PathBuf> {
    let is_mod = path.file_stem().is_some_and(|stem| stem == "mod");
    let folder = if is_mod {
        path.parent().and_then(Path::parent)
    } else {
        path.parent()
    };
    let Some(folder) = folder else {
        return Vec::new();
    };
    let inside = ["mod.rs", "lib.rs", "main.rs"].map(|name| folder.join(name));
    inside
        .into_iter()
        .chain([folder.with_extension("rs")])
        .collect()
}

fn declares(text: &str, module: &str) -> bool {
    text.lines().any(|line| {
        let line = line.trim().strip_suffix(';');
        let name = line
            .and_then(|line| line.rsplit_once("mod "))
            .map(|(_, name)| name);
        name.map(|name| name.trim_start_matches("r#")) == Some(module)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_no_module_declares_is_found_and_others_are_not() {
        let files = [
            (
                "c/src/lib.rs",
                "mod a;\npub(crate) mod r#gen;\n// mod lost\n",
            ),
            ("c/src/a.rs", "mod b;\nmod d;\n"),
            ("c/src/a/b.rs", ""),
            ("c/src/a/d/mod.rs", ""),
            ("c/src/gen.rs", ""),
            ("c/src/lost.rs", ""),
            ("c/src/bin/program.rs", ""),
            ("c/tests/t.rs", ""),
        ];
        let files = files.map(|(path, text)| File {
            path: Path::new(path),
            bytes: text.as_bytes(),
        });
        assert_eq!(
            check(&files),
            ["c/src/lost.rs: no module declares this file"]
        );
    }
}
