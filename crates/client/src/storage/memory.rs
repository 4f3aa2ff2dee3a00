//! Keys that nobody keeps.

use parking_lot::Mutex;

use crate::storage::{State, Storage, StorageError};

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
