//! The master key file: who has it and the data has the keys.
//!
//! Text, one key a line: a version, from 1, and 32 bytes in hexadecimal. The highest version seals, all of them open.
//! To rotate, append a line with the next version; keep the old lines while records sealed with them live.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use heliogram_crypto::SecretBytes;
use heliogram_crypto::at_rest::MasterKeys;
use rand_core::{Rng as _, UnwrapErr};
use zeroize::Zeroizing;

use crate::OpenError;
use crate::schema::sync_directory_of;

/// Where the master keys are.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum MasterKeyFile {
    /// Made with mode 0600 at first start, when nothing has been sealed yet.
    BesideData(PathBuf),
    /// Given by the operator: must be there.
    Given(PathBuf),
}

/// Bytes of a master key file that are read: some hundred keys.
const FILE_BYTES_MAX: u64 = 16 * 1024;

const HEADER: &str = "# Heliogram master keys: version and 32 bytes in hex. The highest version seals, all open.\n\
                      # Without this file the authorization keys are lost. Keep a copy, apart from the data.\n";

impl MasterKeyFile {
    /// Reads the keys, for a store that is not in a file; makes none.
    ///
    /// # Errors
    ///
    /// [`OpenError::MasterKey`] when the file can't be used.
    pub fn read(&self) -> Result<MasterKeys, OpenError> {
        let (Self::BesideData(path) | Self::Given(path)) = self;
        Self::Given(path.clone()).load(false)
    }

    /// Reads the keys; makes the first one only if there are no secrets that another key has sealed.
    pub(crate) fn load(&self, secrets_exist: bool) -> Result<MasterKeys, OpenError> {
        let (path, may_make) = match self {
            Self::BesideData(path) => (path, !secrets_exist),
            Self::Given(path) => (path, false),
        };
        let fail = |reason: String| OpenError::MasterKey(path.clone(), reason);
        let text = match read(path) {
            Ok(text) => text,
            Err(Unreadable::Absent) if may_make => make(path).map_err(|e| fail(e.to_string()))?,
            Err(Unreadable::Absent) if secrets_exist => {
                return Err(fail(
                    "is missing: restore it, the keys can't be read without it".to_owned(),
                ));
            }
            Err(Unreadable::Absent) => {
                return Err(fail(
                    "is missing: write one line into it, `1 ` and 64 random hexadecimal digits"
                        .to_owned(),
                ));
            }
            Err(Unreadable::Other(reason)) => return Err(fail(reason)),
        };
        parse(&text).map_err(fail)
    }
}

enum Unreadable {
    Absent,
    Other(String),
}

fn read(path: &Path) -> Result<Zeroizing<String>, Unreadable> {
    let other = |error: std::io::Error| Unreadable::Other(error.to_string());
    let file = File::open(path).map_err(|error| {
        if error.kind() == ErrorKind::NotFound {
            Unreadable::Absent
        } else {
            other(error)
        }
    })?;
    let metadata = file.metadata().map_err(other)?;
    let mode = metadata.mode() & 0o777;
    if is_open(mode, metadata.uid(), own_user()) {
        let reason = format!(
            "others can read it (mode {mode:03o}): chmod 600 {}",
            path.display()
        );
        return Err(Unreadable::Other(reason));
    }
    let capacity = usize::try_from(FILE_BYTES_MAX).unwrap_or(0);
    let mut text = Zeroizing::new(String::with_capacity(capacity));
    file.take(FILE_BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(other)?;
    Ok(text)
}

/// Tells whether others may read a file, or write to it: all but its owner, and the group of a file that the system's
/// administrator has given to a process, as containers get theirs.
const fn is_open(mode: u32, owner: u32, user: u32) -> bool {
    let others = if owner == ROOT && user != ROOT {
        0o027
    } else {
        0o077
    };
    mode & others != 0
}

/// Returns whose process this is; what can't be found out is taken for the administrator's, whose files nobody else may read.
fn own_user() -> u32 {
    std::fs::metadata("/proc/self").map_or(ROOT, |own| own.uid())
}

const ROOT: u32 = 0;

/// Makes the file with one new key: whole on disk under its name, or not there at all.
fn make(path: &Path) -> std::io::Result<Zeroizing<String>> {
    let mut key = Zeroizing::new([0; 32]);
    UnwrapErr(getrandom::SysRng).fill_bytes(key.as_mut_slice());
    let mut text = Zeroizing::new(String::with_capacity(HEADER.len() + 80));
    text.push_str(HEADER);
    text.push_str("1 ");
    for byte in key.iter() {
        // Writing to a string can't fail.
        let _ = write!(text, "{byte:02x}");
    }
    text.push('\n');
    let fresh = path.with_extension("key.new");
    let mut options = std::fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&fresh)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&fresh, path)?;
    sync_directory_of(path)?;
    Ok(text)
}

fn parse(text: &str) -> Result<MasterKeys, String> {
    let mut keys: Vec<(u32, SecretBytes<32>)> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let expected = || {
            format!(
                "line {}: expected a version from 1 and 64 hex digits",
                index + 1
            )
        };
        let (version, hex) = line.split_once(' ').ok_or_else(expected)?;
        let version = version
            .parse()
            .ok()
            .filter(|&version| version > 0)
            .ok_or_else(expected)?;
        let key = parse_hex(hex.trim()).ok_or_else(expected)?;
        if keys.iter().any(|&(other, _)| other == version) {
            return Err(format!(
                "line {}: version {version} is there twice",
                index + 1
            ));
        }
        keys.push((version, key));
    }
    keys.sort_by_key(|&(version, _)| version);
    let (newest, key) = keys.pop().ok_or("holds no key")?;
    let mut master_keys = MasterKeys::new(newest, key);
    for (version, key) in keys {
        master_keys = master_keys
            .with_older(version, key)
            .map_err(|error| error.to_string())?;
    }
    Ok(master_keys)
}

fn parse_hex(hex: &str) -> Option<SecretBytes<32>> {
    if hex.len() != 64 || !hex.is_ascii() {
        return None;
    }
    let mut key = Zeroizing::new([0; 32]);
    for (index, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(hex.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(SecretBytes::new(*key))
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_first_key_is_made_once_and_readable_by_its_owner_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("master.key");
        let file = MasterKeyFile::BesideData(path.clone());
        file.load(false).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        file.load(false).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }

    #[test]
    fn no_key_is_made_beside_data_or_where_the_operator_names_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("master.key");
        for (file, secrets_exist, next_step) in [
            (MasterKeyFile::BesideData(path.clone()), true, "restore it"),
            (MasterKeyFile::Given(path.clone()), true, "restore it"),
            (MasterKeyFile::Given(path.clone()), false, "write one line"),
        ] {
            let error = file.load(secrets_exist).unwrap_err().to_string();
            assert!(error.contains("is missing"), "{error}");
            assert!(error.contains(next_step), "{error}");
            assert!(!path.exists());
        }
    }

    #[test]
    fn a_file_that_others_can_read_is_refused_with_the_command_that_mends_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("master.key");
        make(&path).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let error = MasterKeyFile::Given(path.clone())
            .load(true)
            .unwrap_err()
            .to_string();
        assert!(error.contains("chmod 600"), "{error}");
        std::fs::set_permissions(&path, Permissions::from_mode(0o400)).unwrap();
        MasterKeyFile::Given(path).load(true).unwrap();
    }

    #[test]
    fn a_group_may_read_what_the_administrator_has_given_to_another_user_and_nobody_may_write() {
        let user = 10_001;
        for (mode, owner, is_refused) in [
            (0o440, ROOT, false),
            (0o640, ROOT, false),
            (0o460, ROOT, true),
            (0o444, ROOT, true),
            (0o400, user, false),
            (0o440, user, true),
        ] {
            assert_eq!(
                is_open(mode, owner, user),
                is_refused,
                "{mode:o} of {owner}"
            );
        }
        assert!(is_open(0o440, ROOT, ROOT));
    }

    #[test]
    fn bad_lines_are_named_and_never_shown() {
        let key = "ab".repeat(32);
        for (text, expected) in [
            (String::new(), "holds no key"),
            (format!("0 {key}"), "line 1"),
            (format!("# comment\n\n1 {key}x"), "line 3"),
            (format!("1 {}", &key[1..]), "line 1"),
            (
                format!("1 {key}\n1 {key}"),
                "line 2: version 1 is there twice",
            ),
            (key.clone(), "line 1"),
        ] {
            let error = parse(&text).unwrap_err();
            assert!(error.contains(expected), "{error}");
            assert!(!error.contains("abab"), "{error}");
        }
        parse(&format!("1 {key}\n 3 {key} \n")).unwrap();
    }
}
