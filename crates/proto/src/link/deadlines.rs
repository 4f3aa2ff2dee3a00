//! What a client must do in time.

use crate::cx::Mono;

use super::{Cause, Limits};

/// The running time limits of a link.
#[derive(Debug)]
pub(super) struct Deadlines {
    limits: Limits,
    /// `None` once the transport is known.
    detecting_since: Option<Mono>,
    /// `None` while no frame is incomplete.
    partial_since: Option<Mono>,
    /// `None` once a key was shown or made.
    stranger_since: Option<Mono>,
    idle_since: Mono,
    has_shown_key: bool,
}

impl Deadlines {
    pub(super) const fn new(limits: Limits, now: Mono) -> Self {
        Self {
            limits,
            detecting_since: Some(now),
            partial_since: None,
            stranger_since: Some(now),
            idle_since: now,
            has_shown_key: false,
        }
    }

    /// Notes that bytes came, whether they completed a frame, and whether they left one incomplete.
    pub(super) const fn received(
        &mut self,
        is_detecting: bool,
        has_frame: bool,
        is_partial: bool,
        now: Mono,
    ) {
        if !is_detecting {
            self.detecting_since = None;
        }
        if has_frame {
            self.idle_since = now;
            self.partial_since = None;
        }
        self.partial_since = match (is_partial, self.partial_since) {
            (false, _) => None,
            (true, None) => Some(now),
            (true, since) => since,
        };
    }

    /// Notes that an exchange begins. On a link that never showed a key its time is limited again.
    pub(super) fn exchange_begins(&mut self, now: Mono) {
        if !self.has_shown_key {
            self.stranger_since.get_or_insert(now);
        }
    }

    /// Notes that an exchange has made a key.
    pub(super) const fn key_made(&mut self) {
        self.stranger_since = None;
    }

    /// Notes that the client has shown a key.
    pub(super) const fn key_shown(&mut self) {
        self.stranger_since = None;
        self.has_shown_key = true;
    }

    /// Returns what is overdue.
    pub(super) fn overdue(&self, now: Mono) -> Option<Cause> {
        self.all()
            .find(|&(end, _)| end <= now)
            .map(|(_, cause)| cause)
    }

    /// Returns when something is overdue, at the earliest.
    pub(super) fn next(&self) -> Option<Mono> {
        self.all().map(|(end, _)| end).min()
    }

    fn all(&self) -> impl Iterator<Item = (Mono, Cause)> {
        let Limits {
            detect_max,
            frame_max,
            handshake_max,
            idle_max,
            ..
        } = self.limits;
        [
            (self.detecting_since, detect_max, Cause::DetectTimeout),
            (self.partial_since, frame_max, Cause::FrameTimeout),
            (self.stranger_since, handshake_max, Cause::HandshakeTimeout),
            (Some(self.idle_since), idle_max, Cause::Idle),
        ]
        .into_iter()
        .filter_map(|(since, max, cause)| Some((since? + max, cause)))
    }
}
