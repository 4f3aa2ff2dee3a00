//! Where a client keeps its keys between two starts: in a [`File`], in [`Memory`], or wherever a [`Storage`] of your own
//! puts them.

mod file;
mod file_error;
mod format;
mod memory;
mod record;
mod write;

use std::collections::BTreeMap;
use std::fmt;

use heliogram_proto::session::client::SavedSession;

pub use heliogram_crypto::{AuthKey, SecretBytes};
pub use heliogram_proto::client::Saved;
pub use heliogram_proto::ids::{Salt, SessionId};

pub use file::{File, Protection};
pub use file_error::FileError;
pub use memory::Memory;

/// Keeps what a client must not lose: one permanent key for each data centre, and which of them is home.
///
/// Called seldom, from a task of the client: it may block for as long as a small file takes.
///
/// A client's keys are all that it takes to be that client: whoever keeps them elsewhere than in memory should seal them,
/// and let one process at a time use them. [`State::to_bytes`] and [`State::from_bytes`] are a form to keep them in.
///
/// ```
/// use std::sync::{Mutex, PoisonError};
///
/// use heliogram_client::storage::{State, Storage, StorageError};
///
/// /// Stands for a table of a database, or for a vault.
/// #[derive(Default)]
/// struct Vault {
///     record: Mutex<Option<Vec<u8>>>,
/// }
///
/// impl Storage for Vault {
///     fn load(&self) -> Result<State, StorageError> {
///         let record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
///         match record.as_deref() {
///             None => Ok(State::default()),
///             Some(bytes) => State::from_bytes(bytes)
///                 .ok_or_else(|| StorageError("the vault's record is damaged".to_owned())),
///         }
///     }
///
///     fn store(&self, state: &State) -> Result<(), StorageError> {
///         let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
///         *record = Some(state.to_bytes().to_vec());
///         Ok(())
///     }
/// }
///
/// let vault = Vault::default();
/// let mut state = vault.load()?;
/// assert!(state.keys.is_empty());
/// state.home = Some(2);
/// vault.store(&state)?;
/// assert_eq!(vault.load()?.home, Some(2));
/// # Ok::<(), StorageError>(())
/// ```
pub trait Storage: Send + Sync + 'static {
    /// Reads everything; empty at the first start.
    ///
    /// # Errors
    ///
    /// When there is something that can't be read: the client does not begin then, so that nothing is overwritten.
    fn load(&self) -> Result<State, StorageError>;

    /// Keeps everything, in place of what was kept before: all of it or nothing.
    ///
    /// # Errors
    ///
    /// When it can't be kept. The client goes on, and tells its log.
    fn store(&self, state: &State) -> Result<(), StorageError>;
}

/// What is kept.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct State {
    /// The data centre that calls go to.
    pub home: Option<i32>,
    /// The permanent key of each data centre.
    pub keys: BTreeMap<i32, Saved>,
}

impl State {
    /// Takes over a session that another program has kept, unless there is a key for that data centre. The first is home, if
    /// none is known. Returns whether it was taken.
    pub fn import(&mut self, dc: i32, session: &SavedSession) -> bool {
        if self.keys.contains_key(&dc) {
            return false;
        }
        let saved = Saved {
            key: session.key.clone(),
            salt: session.salt,
            clock_offset_ns: i64::from(session.clock_offset_s) * NANOS_PER_SECOND,
        };
        self.keys.insert(dc, saved);
        self.home.get_or_insert(dc);
        true
    }

    /// Returns what another program needs to go on with a key: under `session_id`, which should be a new one, not zero.
    #[must_use]
    pub fn export(&self, dc: i32, session_id: SessionId) -> Option<SavedSession> {
        let saved = self.keys.get(&dc)?;
        let seconds = saved.clock_offset_ns / NANOS_PER_SECOND;
        Some(SavedSession {
            key: saved.key.clone(),
            salt: saved.salt,
            session_id,
            clock_offset_s: i32::try_from(seconds).unwrap_or(0),
        })
    }
}

const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// Why keys can't be read or kept, in words that say what to do.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "words")]
pub struct StorageError(pub String);

impl fmt::Display for StorageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StorageError {}
