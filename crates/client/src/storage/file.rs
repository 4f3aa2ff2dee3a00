//! Keys in a file.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use heliogram_crypto::SecretBytes;
use heliogram_ports::random;
use parking_lot::Mutex;

use crate::storage::format::{Lock, Parsed, Seal};
use crate::storage::{FileError, State, Storage, StorageError, write};

/// Keeps keys in a file that its owner alone can read (mode 0600), replaced as a whole at each change, and held by one
/// client at a time: by a lock on a file of the same name and `.lock`, which stays.
///
/// What can't be read is never overwritten: a file of another kind, of a later release, damaged, or sealed with another
/// passphrase is an error of [`File::open`].
///
/// ```
/// use std::sync::Arc;
///
/// use heliogram_client::storage::{File, Protection};
/// use heliogram_client::Client;
///
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("account.key");
/// let file = File::open(&path, Protection::Passphrase("correct horse battery staple"))?;
/// let builder = Client::builder().storage(Arc::new(file));
/// # drop(builder);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct File {
    path: PathBuf,
    seal: Mutex<Seal>,
    /// Held as long as this lives.
    _lock: fs::File,
}

/// What keeps those who get hold of a key file from its keys.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum Protection<'a> {
    /// Nothing but its permissions.
    None,
    /// A passphrase, from which Argon2id makes a key: opening takes a good part of a second.
    Passphrase(&'a str),
    /// A key that somebody else keeps: the keyring of an operating system, a vault, a device. With the package `keyring` it
    /// is made once by [`SecretBytes::random`], kept by `Entry::set_secret`, and taken from `Entry::get_secret` at each start.
    Key(&'a SecretBytes<32>),
}

impl File {
    /// Opens a file, or begins one: it is written when there is something to keep. Blocks while a passphrase is tried.
    ///
    /// # Errors
    ///
    /// See [`FileError`]: one variant for each thing that can be wrong.
    pub fn open(path: impl AsRef<Path>, protection: Protection<'_>) -> Result<Self, FileError> {
        let path = write::resolve(path.as_ref())?;
        let lock = write::lock(&path)?;
        let seal = match write::read(&path)? {
            None => protection.seal()?,
            Some(bytes) => {
                let parsed = Parsed::new(&bytes)?;
                let seal = protection.fit(&parsed.lock)?;
                parsed.open(&seal)?;
                seal
            }
        };
        Ok(Self {
            path,
            seal: Mutex::new(seal),
            _lock: lock,
        })
    }

    /// Changes the protection, and writes the file under the new one if there is one.
    ///
    /// # Errors
    ///
    /// See [`FileError`]. The file is then still under the old protection.
    pub fn protect(&self, protection: Protection<'_>) -> Result<(), FileError> {
        let mut seal = self.seal.lock();
        let state = self.read(&seal)?;
        let new = protection.seal()?;
        if let Some(state) = state {
            self.write(&state, &new)?;
        }
        *seal = new;
        Ok(())
    }

    fn read(&self, seal: &Seal) -> Result<Option<State>, FileError> {
        let Some(bytes) = write::read(&self.path)? else {
            return Ok(None);
        };
        Parsed::new(&bytes)?.open(seal).map(Some)
    }

    fn write(&self, state: &State, seal: &Seal) -> Result<(), FileError> {
        let bytes = seal.write(state, &mut random::system());
        Ok(write::replace(&self.path, &bytes)?)
    }
}

impl Storage for File {
    fn load(&self) -> Result<State, StorageError> {
        let seal = self.seal.lock();
        let state = self.read(&seal).map_err(|error| error.at(&self.path))?;
        Ok(state.unwrap_or_default())
    }

    fn store(&self, state: &State) -> Result<(), StorageError> {
        let seal = self.seal.lock();
        self.write(state, &seal)
            .map_err(|error| error.at(&self.path))
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Protection<'_> {
    /// Makes the seal of a new file.
    fn seal(self) -> Result<Seal, FileError> {
        match self {
            Self::None => Ok(Seal::None),
            Self::Passphrase(passphrase) => {
                Seal::with_passphrase(passphrase, &mut random::system())
            }
            Self::Key(key) => Ok(Seal::with_key(key)),
        }
    }

    /// Makes the seal that a file asks for.
    fn fit(self, lock: &Lock) -> Result<Seal, FileError> {
        match (self, lock) {
            (Self::Passphrase(passphrase), Lock::Passphrase(cost)) => {
                Ok(Seal::Passphrase(cost.clone(), cost.keys(passphrase)?))
            }
            (Self::None, Lock::None) | (Self::Key(_), Lock::Key) => self.seal(),
            (_, Lock::None) => Err(FileError::NotSealed),
            (_, Lock::Passphrase(_)) => Err(FileError::NeedsPassphrase),
            (_, Lock::Key) => Err(FileError::NeedsKey),
        }
    }
}

impl fmt::Debug for Protection<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Passphrase(_) => "Passphrase(…)",
            Self::Key(_) => "Key(…)",
        })
    }
}
