//! Buffers of a thread, lent to one connection for one turn.

use std::cell::Cell;

use heliogram_ports::{FromHost, ToHost};
use heliogram_proto::link::{self, Effect, Input};

/// The buffers. All but `read` are empty between turns.
pub(super) struct Scratch {
    pub(super) read: Vec<u8>,
    pub(super) write: Vec<u8>,
    pub(super) mail: Vec<Input>,
    pub(super) effects: Vec<Effect>,
    pub(super) to_host: Vec<ToHost>,
    pub(super) from_host: Vec<FromHost>,
    pub(super) link: link::Scratch,
}

impl Scratch {
    /// Lends this thread's buffers. They are lost if `turn` panics, so that nobody gets what it left in them.
    pub(super) fn lend<T>(turn: impl FnOnce(&mut Self) -> T) -> T {
        let mut scratch = SCRATCH.take().unwrap_or_default();
        let result = turn(&mut scratch);
        scratch.reset();
        SCRATCH.set(Some(scratch));
        result
    }

    /// Empties the buffers; those that one great turn made huge are given up.
    fn reset(&mut self) {
        self.mail.clear();
        self.effects.clear();
        self.to_host.clear();
        self.from_host.clear();
        self.write.clear();
        if self.write.capacity() > WRITE_BYTES_KEPT {
            self.write = Vec::new();
            self.link = link::Scratch::default();
        }
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self {
            read: vec![0; READ_BYTES],
            write: Vec::new(),
            mail: Vec::new(),
            effects: Vec::new(),
            to_host: Vec::new(),
            from_host: Vec::new(),
            link: link::Scratch::default(),
        }
    }
}

thread_local! {
    static SCRATCH: Cell<Option<Box<Scratch>>> = const { Cell::new(None) };
}

/// Bytes of one read.
pub(super) const READ_BYTES: usize = 64 << 10;

/// Bytes of a buffer that is kept from turn to turn.
const WRITE_BYTES_KEPT: usize = 1 << 20;
