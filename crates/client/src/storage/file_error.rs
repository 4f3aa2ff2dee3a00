//! Why a key file can't be used, in words that say what to do.

use std::io;

use crate::storage::StorageError;

/// Why a key file can't be used. Whatever it is, the file stays as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The work that it asks for before its passphrase can be tried is more than this release does.
    #[error(
        "the key file asks for more work to open it than a key file of ours: it was not written by this program"
    )]
    Cost,
    /// Cut or changed since it was written.
    #[error(
        "the key file is damaged: restore a copy, or move it away to begin anew with new keys (whoever is signed in will not be)"
    )]
    Damaged,
    /// Something else.
    #[error("the key file is no key file: name another path, nothing here is overwritten")]
    Foreign,
    /// The system says no.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Another [`File`](crate::storage::File) has it: keys that two use at once are taken from both.
    #[error(
        "the key file is in use by another client: end that first, or use another file for this one"
    )]
    InUse,
    /// Sealed with a key, and that was not given.
    #[error("the key file is sealed with a key: open it with Protection::Key")]
    NeedsKey,
    /// Sealed with a passphrase, and that was not given.
    #[error("the key file is sealed with a passphrase: open it with Protection::Passphrase")]
    NeedsPassphrase,
    /// It lies open, and a passphrase or a key was given for it.
    #[error(
        "the key file is not sealed: open it with Protection::None, then seal it with File::protect"
    )]
    NotSealed,
    /// Anybody on this machine could have read it.
    #[error(
        "the key file can be read by others (mode {mode:03o}): chmod 600 it, and think about who had it"
    )]
    OthersCanRead {
        /// Its permissions.
        mode: u32,
    },
    /// It is not the file that was opened.
    #[error("the key file was replaced while it was in use: open it again")]
    Replaced,
    /// More than a key file ever has.
    #[error(
        "the key file is too large for a key file: name another path, nothing here is overwritten"
    )]
    TooLarge,
    /// A later release has written it.
    #[error(
        "the key file has format {0}, which a later release has written: use that release, or another file"
    )]
    Version(u8),
    /// The key is another one.
    #[error("the key file was sealed with another key")]
    WrongKey,
    /// The passphrase is another one.
    #[error("the key file was sealed with another passphrase: try again")]
    WrongPassphrase,
}

impl FileError {
    /// Names the file, for a client's user.
    pub(super) fn at(&self, path: &std::path::Path) -> StorageError {
        StorageError(format!("{}: {self}", path.display()))
    }
}
