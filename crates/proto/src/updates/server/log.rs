//! The events of one sequence: the last number, and as many of the newest events as are kept.

use std::collections::VecDeque;

/// The log of one sequence. A channel's `updates.getChannelDifference` is answered from [`Log::after`] alone.
#[derive(Clone, Debug)]
pub struct Log<E> {
    /// The number before the oldest event that is kept.
    floor: i32,
    last: i32,
    kept: VecDeque<Kept<E>>,
    kept_max: usize,
}

#[derive(Clone, Debug)]
struct Kept<E> {
    /// The sequence's number after it.
    after: i32,
    event: E,
}

/// What an update says of its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "what the API has")]
pub struct Numbers {
    /// The sequence's number after the update.
    pub pts: i32,
    /// Events in it.
    pub pts_count: i32,
}

/// What came after a number.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a client is told one of these")]
pub enum After<'a, E> {
    /// These events; none if there is nothing new.
    Events(Part<'a, E>),
    /// More than is kept.
    TooLong,
}

/// Events in order, and where they lead.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "says all")]
pub struct Part<'a, E> {
    /// The events.
    pub events: Vec<&'a E>,
    /// The sequence's number after the last of them.
    pub pts: i32,
    /// There are no more.
    pub is_final: bool,
}

/// The numbers of a sequence have come to their end: clients would take lower ones for repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "says all")]
pub struct Exhausted;

impl core::fmt::Display for Exhausted {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the numbers of a sequence of updates have come to their end")
    }
}

impl core::error::Error for Exhausted {}

impl<E> Log<E> {
    /// Goes on from a number, without events; keeps so many of those that come.
    ///
    /// Whoever has stored events begins with the number before the oldest and appends all of them again: they get
    /// their old numbers.
    #[must_use]
    pub const fn new(last: i32, kept_max: usize) -> Self {
        Self {
            floor: last,
            last,
            kept: VecDeque::new(),
            kept_max,
        }
    }

    /// Returns the number after the newest event.
    #[must_use]
    pub const fn last(&self) -> i32 {
        self.last
    }

    /// Returns the number before the oldest event that is kept.
    #[must_use]
    pub const fn floor(&self) -> i32 {
        self.floor
    }

    /// Adds an update that makes up so many events.
    ///
    /// # Errors
    ///
    /// [`Exhausted`] when the numbers end; nothing is changed then.
    pub fn append(&mut self, count: u16, event: E) -> Result<Numbers, Exhausted> {
        let pts_count = i32::from(count);
        let pts = self.last.checked_add(pts_count).ok_or(Exhausted)?;
        self.last = pts;
        self.kept.push_back(Kept { after: pts, event });
        while self.kept.len() > self.kept_max
            && let Some(oldest) = self.kept.pop_front()
        {
            self.floor = oldest.after;
        }
        Ok(Numbers { pts, pts_count })
    }

    /// Returns the first `max` events after a number; at least one if there is any. A number above our own counts as
    /// our own.
    #[must_use]
    pub fn after(&self, pts: i32, max: usize) -> After<'_, E> {
        let pts = pts.min(self.last);
        if pts < self.floor {
            return After::TooLong;
        }
        let first = self.kept.partition_point(|it| it.after <= pts);
        let events = self.kept.iter().skip(first).take(max.max(1));
        let mut part = Part {
            events: Vec::with_capacity(events.len()),
            pts,
            is_final: first + events.len() >= self.kept.len(),
        };
        for kept in events {
            part.events.push(&kept.event);
            part.pts = kept.after;
        }
        After::Events(part)
    }
}
