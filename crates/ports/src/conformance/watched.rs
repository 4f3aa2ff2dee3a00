//! What a suite waits for, without a runtime.

use std::sync::{Mutex, PoisonError};
use std::task::{Poll, Waker};

/// A value whose changes one task waits for.
#[derive(Default)]
pub(super) struct Watched<T>(Mutex<(T, Option<Waker>)>);

impl<T> Watched<T> {
    pub(super) fn change(&self, change: impl FnOnce(&mut T)) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut inner.0);
        let waker = inner.1.take();
        drop(inner);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(super) fn poll_until(&self, waker: &Waker, is_so: impl Fn(&T) -> bool) -> Poll<()> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if is_so(&inner.0) {
            return Poll::Ready(());
        }
        inner.1 = Some(waker.clone());
        Poll::Pending
    }
}
