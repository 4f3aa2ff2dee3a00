//! Channels: a sequence and a difference for each.

use std::collections::BTreeMap;

use crate::cx::{Cx, Mono};
use crate::limits::{CHANNELS_MAX, POSTPONED_CHANNEL_UPDATES_MAX};
use crate::updates::client::sequence::{Event, Sequence, Verdict};
use crate::updates::client::{ChannelDifference, Effect, Placed, Request, Which};

/// All channels of an account that anything has come from.
#[derive(Clone, Debug)]
pub(super) struct Channels<U> {
    channels: BTreeMap<i64, Channel<U>>,
    /// Updates that wait, of all of them.
    postponed: usize,
    /// No channel's deadline is before this time.
    earliest: Option<Mono>,
}

#[derive(Clone, Debug)]
struct Channel<U> {
    sequence: Sequence<Option<U>>,
    fetch: Fetch,
}

/// The channel's request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fetch {
    Idle,
    /// It has failed, and is made again.
    Later(Mono),
    /// The answer is awaited; whether something was lost since.
    Waiting {
        again: bool,
    },
}

impl<U> Channels<U> {
    pub(super) fn new(positions: impl IntoIterator<Item = (i64, i32)>) -> Self {
        let positions = positions.into_iter().take(CHANNELS_MAX);
        let channels = positions.map(|(id, pts)| (id, Channel::new(pts)));
        Self {
            channels: channels.collect(),
            postponed: 0,
            earliest: None,
        }
    }

    pub(super) fn positions(&self) -> impl Iterator<Item = (i64, i32)> {
        self.channels
            .iter()
            .map(|(&id, channel)| (id, channel.sequence.local()))
    }

    pub(super) fn position(&self, id: i64) -> Option<i32> {
        self.channels.get(&id).map(|it| it.sequence.local())
    }

    /// Forgets a channel. What waits for a gap in it to be closed waits no longer.
    pub(super) fn forget(&mut self, id: i64, out: &mut Vec<Effect<U>>) {
        if let Some(channel) = self.channels.remove(&id) {
            self.postponed = self.postponed.saturating_sub(channel.sequence.postponed());
            let left = channel.sequence.into_postponed().flatten();
            out.extend(left.map(Effect::Deliver));
        }
    }

    /// Offers an update to its channel. One that there is no room for is delivered as it comes.
    pub(super) fn offer(&mut self, id: i64, event: Event<Option<U>>, cx: &mut Cx<'_, Effect<U>>) {
        if !self.channels.contains_key(&id) && self.channels.len() >= CHANNELS_MAX {
            cx.out.extend(event.payload.map(Effect::Deliver));
            return;
        }
        let channel = self.channels.entry(id).or_insert_with(|| Channel::new(0));
        if event.count < 0 {
            channel.fetch(id, cx.out);
            return;
        }
        let elsewhere = self.postponed.saturating_sub(channel.sequence.postponed());
        let (is_paused, now, out) = (channel.fetch != Fetch::Idle, cx.now.mono, &mut *cx.out);
        let mut verdict = channel.sequence.offer(event, is_paused, now, &mut |it| {
            out.extend(it.map(Effect::Deliver));
        });
        if elsewhere + channel.sequence.postponed() > POSTPONED_CHANNEL_UPDATES_MAX {
            channel.sequence.give_up_last();
            verdict = Verdict::Full;
        }
        self.postponed = elsewhere + channel.sequence.postponed();
        match verdict {
            Verdict::Gap => cx.out.push(Effect::Gap(Which::Channel(id))),
            Verdict::Full => channel.fetch(id, cx.out),
            Verdict::Settled => {}
        }
        self.expect(id);
    }

    /// `updateChannelTooLong`: without a number, or with a greater one, something was missed.
    pub(super) fn on_too_long(&mut self, id: i64, pts: Option<i32>, cx: &mut Cx<'_, Effect<U>>) {
        if !self.channels.contains_key(&id) && self.channels.len() >= CHANNELS_MAX {
            return;
        }
        let channel = self.channels.entry(id).or_insert_with(|| Channel::new(0));
        if pts.is_none_or(|pts| pts > channel.sequence.local()) {
            channel.fetch(id, cx.out);
        }
    }

    /// Takes a difference. Returns the updates in it that are of other sequences.
    pub(super) fn on_difference(
        &mut self,
        id: i64,
        difference: ChannelDifference<U>,
        cx: &mut Cx<'_, Effect<U>>,
    ) -> Vec<Placed<U>> {
        let Some(channel) = self.channels.get_mut(&id) else {
            return Vec::new();
        };
        let Fetch::Waiting { again } = channel.fetch else {
            return Vec::new();
        };
        if difference.is_too_long {
            cx.out.push(Effect::TooLong(Which::Channel(id)));
        }
        let elsewhere = self.postponed.saturating_sub(channel.sequence.postponed());
        let messages = difference.messages.into_iter();
        cx.out.extend(messages.map(Effect::Deliver));
        let (own, others): (Vec<_>, Vec<_>) = difference
            .updates
            .into_iter()
            .partition(|it| it.place.is_of_channel(id));
        let own = own.into_iter().filter_map(|it| it.update);
        cx.out.extend(own.map(Effect::Deliver));
        channel.sequence.set(difference.pts);
        channel.fetch = Fetch::Idle;
        if difference.is_final && !again {
            let out = &mut *cx.out;
            let apply = &mut |it: Option<U>| out.extend(it.map(Effect::Deliver));
            channel.sequence.settle(cx.now.mono, apply);
        } else {
            channel.fetch(id, cx.out);
        }
        self.postponed = elsewhere + channel.sequence.postponed();
        self.expect(id);
        others
    }

    pub(super) fn on_failed(&mut self, id: i64, again_at: Mono) {
        if let Some(channel) = self.channels.get_mut(&id)
            && matches!(channel.fetch, Fetch::Waiting { .. })
        {
            channel.fetch = Fetch::Later(again_at);
            self.expect(id);
        }
    }

    pub(super) fn handle_deadline(&mut self, cx: &mut Cx<'_, Effect<U>>) {
        if self.earliest.is_none_or(|at| at > cx.now.mono) {
            return;
        }
        for (&id, channel) in &mut self.channels {
            if channel.next_deadline().is_some_and(|at| at <= cx.now.mono) {
                channel.fetch = Fetch::Idle;
                channel.fetch(id, cx.out);
            }
        }
        let deadlines = self.channels.values().filter_map(Channel::next_deadline);
        self.earliest = deadlines.min();
    }

    pub(super) const fn next_deadline(&self) -> Option<Mono> {
        self.earliest
    }

    /// Takes note of a channel's deadline.
    fn expect(&mut self, id: i64) {
        let deadline = self.channels.get(&id).and_then(Channel::next_deadline);
        if let Some(at) = deadline {
            self.earliest = Some(self.earliest.map_or(at, |earliest| earliest.min(at)));
        }
    }
}

impl<U> Channel<U> {
    const fn new(pts: i32) -> Self {
        Self {
            sequence: Sequence::new(pts),
            fetch: Fetch::Idle,
        }
    }

    /// Asks for the difference, unless it is already asked for. A channel of which nothing is known begins at 1.
    fn fetch(&mut self, channel_id: i64, out: &mut Vec<Effect<U>>) {
        match &mut self.fetch {
            Fetch::Waiting { again } => *again = true,
            Fetch::Later(_) => {}
            Fetch::Idle => {
                self.sequence.pause();
                self.fetch = Fetch::Waiting { again: false };
                let pts = self.sequence.local().max(1);
                out.push(Effect::Request(Request::ChannelDifference {
                    channel_id,
                    pts,
                }));
            }
        }
    }

    fn next_deadline(&self) -> Option<Mono> {
        match self.fetch {
            Fetch::Idle => self.sequence.gap_until(),
            Fetch::Later(at) => Some(at),
            Fetch::Waiting { .. } => None,
        }
    }
}
