//! What can be measured, by whom.

mod ciphers;
mod handshake;
mod messages;

/// One measurable piece of work, with its inputs.
pub(crate) struct Case {
    /// Does it so many times.
    pub(crate) run: Box<dyn FnMut(u32)>,
    /// How many pieces one time is, such as the messages of a batch.
    pub(crate) pieces: u32,
}

impl Case {
    /// The loop is inside what is called, so that a cipher's few nanoseconds aren't those of the call.
    fn new(mut step: impl FnMut() + 'static) -> Self {
        Self {
            run: Box::new(move |times| (0..times).for_each(|_| step())),
            pieces: 1,
        }
    }

    fn of_pieces(self, pieces: usize) -> Self {
        let pieces = u32::try_from(pieces).unwrap_or(u32::MAX);
        Self { pieces, ..self }
    }
}

/// A name as `by work`, and what makes it.
pub(crate) type Named = (&'static str, fn() -> Case);

/// Lists all that this build can measure.
pub(crate) fn all() -> Vec<Named> {
    [ciphers::all(), messages::all(), handshake::all()].concat()
}
