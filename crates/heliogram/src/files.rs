//! Files that must be whole or absent, and secret ones that nobody else may read.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, ensure};

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readers {
    /// Its owner alone: mode 0600.
    Owner,
    /// As the system's defaults say.
    Everyone,
}

/// Makes the directory of keys and records, closed to others, if it is not there.
///
/// # Errors
///
/// If it can't be made, or is not a directory.
pub(crate) fn ensure_directory(path: &Path) -> anyhow::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|error| {
        let path = path.display();
        anyhow!("directory {path} can't be made: {error}; choose another with --data DIR")
    })
}

/// Reads a file of one line, without the line's end.
///
/// # Errors
///
/// If it can't be read, or is too long to be one line. The message does not show what is in it.
pub(crate) fn read_line(path: &Path) -> anyhow::Result<String> {
    let file = File::open(path).context("the file can't be read")?;
    let mut text = String::new();
    file.take(LINE_BYTES_MAX + 1)
        .read_to_string(&mut text)
        .context("the file can't be read")?;
    let line = text.trim();
    ensure!(
        u64::try_from(text.len()).unwrap_or(u64::MAX) <= LINE_BYTES_MAX && !line.contains('\n'),
        "the file has more than one line"
    );
    Ok(line.to_owned())
}

/// Bytes of a file of one line: more than a URL or a token has.
const LINE_BYTES_MAX: u64 = 4096;

/// Writes a file so that it is there whole or not at all, whatever happens: beside it first, then renamed.
///
/// # Errors
///
/// If it can't be written, or made durable.
pub(crate) fn write_atomically(
    path: &Path,
    readers: Readers,
    contents: &[u8],
) -> anyhow::Result<()> {
    let beside = beside(path);
    replace(path, &beside, readers, contents)
        .with_context(|| format!("file {} can't be written", path.display()))
}

fn replace(path: &Path, beside: &Path, readers: Readers, contents: &[u8]) -> io::Result<()> {
    // A leftover of a crash may have other permissions: a new file is made, never an old one opened.
    match std::fs::remove_file(beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if readers == Readers::Owner {
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    let mut file = options.open(beside)?;
    file.write_all(contents)?;
    file.sync_all()?;
    std::fs::rename(beside, path)?;
    sync_directory_of(path)
}

/// The name survives a crash only once its directory is on disk.
fn sync_directory_of(path: &Path) -> io::Result<()> {
    if !cfg!(unix) {
        return Ok(());
    }
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_leaves_nothing_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("f");

        write_atomically(&path, Readers::Everyone, b"long contents").unwrap();
        write_atomically(&path, Readers::Everyone, b"short").unwrap();

        assert_eq!(std::fs::read(&path).unwrap(), b"short");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn a_secret_file_is_its_owners_even_after_a_crash_left_an_open_one() {
        use std::os::unix::fs::PermissionsExt;

        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("f");
        std::fs::write(beside(&path), b"leftover").unwrap();
        std::fs::set_permissions(beside(&path), std::fs::Permissions::from_mode(0o644)).unwrap();

        write_atomically(&path, Readers::Owner, b"secret").unwrap();

        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }

    #[test]
    fn a_line_of_4096_bytes_is_read_and_neither_one_of_4097_nor_two_lines() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("f");
        for (text, line) in [
            ("a b\n".to_owned(), Some("a b")),
            ("a\nb".to_owned(), None),
            ("x".repeat(4096), Some(&*"x".repeat(4096))),
            ("x".repeat(4097), None),
        ] {
            std::fs::write(&path, text).unwrap();

            assert_eq!(read_line(&path).ok().as_deref(), line);
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_new_data_directory_is_closed_to_others() {
        use std::os::unix::fs::PermissionsExt;

        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b");

        ensure_directory(&path).unwrap();
        ensure_directory(&path).unwrap();

        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o700
        );
    }
}
