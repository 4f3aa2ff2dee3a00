//! A word that is said in any case.

/// A value that is handed over when this is dropped: the one it was [set](Self::set) to, or the one it began with if
/// whoever should have set it was cancelled or panicked.
pub(crate) struct OnDrop<T, F: FnOnce(T)> {
    parts: Option<(T, F)>,
}

impl<T, F: FnOnce(T)> OnDrop<T, F> {
    pub(crate) const fn new(value: T, hand_over: F) -> Self {
        Self {
            parts: Some((value, hand_over)),
        }
    }

    pub(crate) fn set(mut self, value: T) {
        if let Some((current, _)) = &mut self.parts {
            *current = value;
        }
    }
}

impl<T, F: FnOnce(T)> Drop for OnDrop<T, F> {
    fn drop(&mut self) {
        if let Some((value, hand_over)) = self.parts.take() {
            hand_over(value);
        }
    }
}
