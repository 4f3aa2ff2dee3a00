//! Checks what compilers do not: the layers, the sizes, and what must never be committed.
//!
//! Each check takes plain data and returns findings, so that its tests can plant what it must find.

mod documents;
mod files;
mod layers;
mod licences;
mod manifests;
mod orphans;
mod sources;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::metadata::Metadata;
use crate::process;

/// Runs all checks and prints every finding, not only the first.
///
/// # Errors
///
/// When there is a finding.
pub(crate) fn run() -> Result<()> {
    let root = process::root();
    let metadata = Metadata::load()?;
    let paths = listed_files(&root)?;

    let mut contents = Vec::with_capacity(paths.len());
    for path in &paths {
        let bytes = std::fs::read(root.join(path)).with_context(|| path.display().to_string())?;
        contents.push(bytes);
    }
    let files: Vec<File<'_>> = paths
        .iter()
        .zip(&contents)
        .map(|(path, bytes)| File { path, bytes })
        .collect();

    let mut findings = layers::check(&metadata);
    findings.extend(manifests::check(&root)?);
    let deny = std::fs::read_to_string(root.join("deny.toml")).context("deny.toml")?;
    findings.extend(licences::check(&metadata, &deny));
    findings.extend(documents::check(&files));
    findings.extend(orphans::check(&files));
    let mut notes = Vec::new();
    for file in &files {
        findings.extend(files::check(file));
        findings.extend(sources::check(file));
        notes.extend(sources::note(file));
    }

    for note in &notes {
        println!("note: {note}");
    }
    for finding in &findings {
        eprintln!("error: {finding}");
    }
    if !findings.is_empty() {
        bail!("tidy found {} thing(s) to put right", findings.len());
    }
    println!(
        "tidy: {} packages, {} files, nothing to put right",
        metadata.packages.len(),
        paths.len()
    );
    Ok(())
}

/// A file as the checks see it.
#[derive(Clone, Copy, Debug)]
struct File<'a> {
    /// Relative to the root, with `/` between its parts.
    path: &'a Path,
    /// The contents.
    bytes: &'a [u8],
}

impl File<'_> {
    /// Returns the contents if they are text.
    fn text(&self) -> Option<&str> {
        if self.bytes.contains(&0) {
            return None;
        }
        std::str::from_utf8(self.bytes).ok()
    }

    /// Tells whether the name ends so: `rs`.
    fn has_extension(&self, extension: &str) -> bool {
        self.path
            .extension()
            .is_some_and(|found| found == extension)
    }

    /// Tells whether a program wrote it.
    fn is_generated(&self) -> bool {
        self.text()
            .is_some_and(|text| text.lines().take(5).any(|line| line.contains("@generated")))
    }

    /// Says where, for a finding. Lines count from 1.
    fn at(&self, line: usize) -> String {
        format!("{}:{line}", self.path.display())
    }
}

/// Lists what is committed or would be: not what `.gitignore` names.
fn listed_files(root: &Path) -> Result<Vec<PathBuf>> {
    let mut git = Command::new("git");
    git.args([
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]);
    let listed = process::output(git).context("tidy reads the list of files from git")?;
    let mut paths: Vec<PathBuf> = listed
        .split('\0')
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
        .collect();
    // A file that is deleted but not yet committed is still listed.
    paths.retain(|path| root.join(path).is_file());
    paths.sort();
    paths.dedup();
    Ok(paths)
}
