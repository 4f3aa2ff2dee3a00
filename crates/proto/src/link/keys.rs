//! The keys of one link, and the frames that wait for one.

use core::time::Duration;
use std::sync::Arc;

use crate::cx::Mono;
use crate::ids::AuthKeyId;
use crate::limits::{KEYS_PER_LINK_MAX, WAITING_BYTES_MAX, WAITING_FRAMES_MAX};
use crate::port::KeyRecord;

use super::{Cause, Refusal};

/// The keys, few: searched from the front.
#[derive(Debug)]
pub(super) struct Keys {
    slots: Vec<Slot>,
    wait_max: Duration,
    waiting_frames: usize,
    waiting_bytes: usize,
}

/// A frame whose key is being looked up.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) envelope: Vec<u8>,
    pub(super) quick_ack: bool,
}

/// What is known of a key.
#[derive(Debug)]
pub(super) enum Lookup<'a> {
    Held(&'a Arc<KeyRecord>),
    /// It has to be looked up again.
    Doubted,
    Loading,
    Revoked,
    Unknown,
}

impl Keys {
    pub(super) const fn new(wait_max: Duration) -> Self {
        Self {
            slots: Vec::new(),
            wait_max,
            waiting_frames: 0,
            waiting_bytes: 0,
        }
    }

    pub(super) fn find(&self, id: AuthKeyId) -> Lookup<'_> {
        match self
            .slots
            .iter()
            .find(|slot| slot.id == id)
            .map(|slot| &slot.state)
        {
            Some(State::Held(record)) => Lookup::Held(record),
            Some(State::Doubted(_)) => Lookup::Doubted,
            Some(State::Loading { .. }) => Lookup::Loading,
            Some(State::Revoked(_)) => Lookup::Revoked,
            None => Lookup::Unknown,
        }
    }

    /// Returns a key to seal with: also one that is no more, for what is on its way to the peer.
    pub(super) fn to_seal(&self, id: AuthKeyId) -> Option<&Arc<KeyRecord>> {
        let slot = self.slots.iter().find(|slot| slot.id == id)?;
        match &slot.state {
            State::Doubted(record) | State::Held(record) | State::Revoked(record) => Some(record),
            State::Loading { doubted, .. } => doubted.as_ref(),
        }
    }

    /// Makes a place for a key that is looked up from now on, perhaps again.
    pub(super) fn load(&mut self, id: AuthKeyId, now: Mono) -> Result<(), Refusal> {
        let end = now + self.wait_max;
        if let Some(slot) = self.slots.iter_mut().find(|slot| slot.id == id)
            && let State::Doubted(record) = &slot.state
        {
            slot.state = State::Loading {
                end,
                waiting: Vec::new(),
                doubted: Some(Arc::clone(record)),
            };
            return Ok(());
        }
        if self.slots.len() >= KEYS_PER_LINK_MAX {
            return Err(Refusal::TOO_MUCH);
        }
        // Most links ever use one key: don't let the first push make room for four.
        self.slots.reserve_exact(1);
        self.slots.push(Slot {
            id,
            state: State::Loading {
                end,
                waiting: Vec::new(),
                doubted: None,
            },
        });
        Ok(())
    }

    /// Lets a frame wait for a key that is being looked up.
    pub(super) fn wait(&mut self, id: AuthKeyId, frame: Waiting) -> Result<(), Refusal> {
        let frames = self.waiting_frames + 1;
        let bytes = self.waiting_bytes + frame.envelope.len();
        if frames > WAITING_FRAMES_MAX || bytes > WAITING_BYTES_MAX {
            return Err(Refusal::WAITS_TOO_MUCH);
        }
        if let Some(Slot {
            state: State::Loading { waiting, .. },
            ..
        }) = self.slots.iter_mut().find(|slot| slot.id == id)
        {
            waiting.push(frame);
            self.waiting_frames = frames;
            self.waiting_bytes = bytes;
        }
        Ok(())
    }

    /// Takes a key that was looked up, or whose facts have changed; returns what waited for it. `None` if nobody asked.
    pub(super) fn hold(&mut self, id: AuthKeyId, record: &Arc<KeyRecord>) -> Option<Vec<Waiting>> {
        let slot = self.slots.iter_mut().find(|slot| slot.id == id)?;
        let waiting = match &mut slot.state {
            State::Loading { waiting, .. } => core::mem::take(waiting),
            State::Held(_) => Vec::new(),
            State::Doubted(_) | State::Revoked(_) => return None,
        };
        slot.state = State::Held(Arc::clone(record));
        self.waiting_frames -= waiting.len();
        self.waiting_bytes -= waiting
            .iter()
            .map(|frame| frame.envelope.len())
            .sum::<usize>();
        Some(waiting)
    }

    /// Forgets a key that was not found: its outcome is taken, and it is not held.
    pub(super) fn give_up(&mut self, id: AuthKeyId) {
        self.slots
            .retain(|slot| slot.id != id || slot.state.end().is_none());
    }

    /// Takes note that a key is no more: it opens nothing from now on, and is not held.
    pub(super) fn revoke(&mut self, id: AuthKeyId) {
        if let Some(slot) = self.slots.iter_mut().find(|slot| slot.id == id)
            && let State::Held(record) = &slot.state
        {
            slot.state = State::Revoked(Arc::clone(record));
        }
    }

    /// Takes note that a key has to be looked up before it opens anything, and is not held until then.
    pub(super) fn doubt(&mut self, id: AuthKeyId) {
        if let Some(slot) = self.slots.iter_mut().find(|slot| slot.id == id)
            && let State::Held(record) = &slot.state
        {
            slot.state = State::Doubted(Arc::clone(record));
        }
    }

    /// Tells whether so much waits that no more should be read.
    pub(super) const fn is_crowded(&self) -> bool {
        self.waiting_frames >= WAITING_FRAMES_MAX / 16
            || self.waiting_bytes >= WAITING_BYTES_MAX / 2
    }

    pub(super) fn overdue(&self, now: Mono) -> Option<Cause> {
        self.next_deadline()
            .filter(|&end| end <= now)
            .map(|_| Cause::KeyUnavailable)
    }

    pub(super) fn next_deadline(&self) -> Option<Mono> {
        self.slots.iter().filter_map(|slot| slot.state.end()).min()
    }

    pub(super) fn held(&self) -> impl Iterator<Item = AuthKeyId> {
        self.slots
            .iter()
            .filter(|slot| matches!(slot.state, State::Held(_)))
            .map(|slot| slot.id)
    }

    pub(super) fn awaited(&self) -> impl Iterator<Item = AuthKeyId> {
        self.slots
            .iter()
            .filter(|slot| slot.state.end().is_some())
            .map(|slot| slot.id)
    }
}

#[derive(Debug)]
struct Slot {
    id: AuthKeyId,
    state: State,
}

#[derive(Debug)]
enum State {
    Held(Arc<KeyRecord>),
    Doubted(Arc<KeyRecord>),
    Loading {
        end: Mono,
        waiting: Vec<Waiting>,
        /// What was known of it before.
        doubted: Option<Arc<KeyRecord>>,
    },
    Revoked(Arc<KeyRecord>),
}

impl State {
    const fn end(&self) -> Option<Mono> {
        match self {
            Self::Doubted(_) | Self::Held(_) | Self::Revoked(_) => None,
            Self::Loading { end, .. } => Some(*end),
        }
    }
}
