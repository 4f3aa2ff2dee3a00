//! Where a client keeps its keys between two starts.

use std::collections::BTreeMap;
use std::fmt;

use heliogram_proto::client::Saved;
use parking_lot::Mutex;

/// Keeps what a client must not lose: one permanent key for each data centre, and which of them is home.
///
/// Called seldom, from a task of the client: it may block for as long as a small file takes.
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

/// Keeps keys until the process ends: for tests and for clients that make new ones at each start.
#[derive(Debug, Default)]
pub struct Memory {
    state: Mutex<State>,
}

impl Memory {
    /// Makes an empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Storage for Memory {
    fn load(&self) -> Result<State, StorageError> {
        Ok(self.state.lock().clone())
    }

    fn store(&self, state: &State) -> Result<(), StorageError> {
        *self.state.lock() = state.clone();
        Ok(())
    }
}
