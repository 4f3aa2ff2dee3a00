//! Parts in flight: calls that run beside each other and are waited for in order.

use std::collections::VecDeque;
use std::future::Future;

use tokio::task::JoinHandle;

use crate::error::{InvokeError, Lost};
use crate::files::FileError;

/// Calls in the order in which they were made. Dropping them gives all up.
#[derive(Debug)]
pub(super) struct InFlight<T> {
    running: VecDeque<Running<T>>,
}

#[derive(Debug)]
struct Running<T>(JoinHandle<Result<T, FileError>>);

impl<T: Send + 'static> InFlight<T> {
    pub(super) const fn new() -> Self {
        Self {
            running: VecDeque::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.running.len()
    }

    pub(super) fn push(
        &mut self,
        call: impl Future<Output = Result<T, FileError>> + Send + 'static,
    ) {
        self.running.push_back(Running(tokio::spawn(call)));
    }

    /// Waits for the oldest; `None` if there is none. May be dropped and asked again.
    pub(super) async fn next(&mut self) -> Option<Result<T, FileError>> {
        let oldest = self.running.front_mut()?;
        let outcome = (&mut oldest.0).await;
        self.running.pop_front();
        // Nobody aborts what is in the queue: it has panicked, or its runtime has ended.
        match outcome {
            Ok(outcome) => Some(outcome),
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => Some(Err(InvokeError::ConnectionLost(Lost::ShutDown).into())),
        }
    }

    pub(super) fn clear(&mut self) {
        self.running.clear();
    }
}

impl<T> Drop for Running<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use tokio::runtime::Runtime;

    use super::*;

    #[test]
    fn a_part_whose_runtime_has_ended_is_an_error_and_not_the_end() {
        let mut parts = InFlight::<()>::new();
        let first = Runtime::new().unwrap();
        first.block_on(async { parts.push(std::future::pending()) });
        drop(first);
        let outcome = Runtime::new().unwrap().block_on(parts.next());
        let lost = InvokeError::ConnectionLost(Lost::ShutDown);
        assert!(
            matches!(&outcome, Some(Err(FileError::Invoke(it))) if *it == lost),
            "{outcome:?}"
        );
    }
}
