//! How far was told: the position before what the application has not been given yet.

use std::collections::BTreeMap;

use heliogram_proto::updates::UpdateState;
use heliogram_proto::updates::client::{self, Batch, Difference, Input, Place, Placed};

use crate::updates::event::Update;

/// Where everything stood before it went ahead of what the application was given.
#[derive(Debug, Default)]
pub(super) struct Held {
    state: Option<UpdateState>,
    /// Channels that have moved; `None` for one that nothing was known of.
    channels: BTreeMap<i64, Option<i32>>,
}

impl Held {
    /// Takes note of what an input may move, before it does.
    pub(super) fn note(&mut self, machine: &client::Updates<Update>, input: &Input<Update>) {
        self.state.get_or_insert_with(|| machine.state());
        let mut note = |id| {
            self.channels
                .entry(id)
                .or_insert_with(|| machine.channel(id));
        };
        match input {
            Input::Batch(Batch { updates, .. })
            | Input::Difference(
                Difference::Full { updates, .. } | Difference::Slice { updates, .. },
            ) => channels_in(updates).for_each(note),
            Input::ChannelDifference {
                channel_id,
                difference,
            } => {
                note(*channel_id);
                channels_in(&difference.updates).for_each(note);
            }
            Input::ChannelGone { channel_id } | Input::ChannelTooLong { channel_id, .. } => {
                note(*channel_id);
            }
            Input::Difference(Difference::Empty { .. } | Difference::TooLong { .. })
            | Input::Failed(_)
            | Input::Lost
            | Input::Restart
            | Input::State(_) => {}
        }
    }

    /// All that has moved was told.
    pub(super) fn release(&mut self) {
        self.state = None;
        self.channels.clear();
    }

    /// Returns how far the account was told of.
    pub(super) fn state(&self, machine: &client::Updates<Update>) -> UpdateState {
        self.state.unwrap_or_else(|| machine.state())
    }

    /// Returns how far each channel was told of.
    pub(super) fn channels(
        &self,
        machine: &client::Updates<Update>,
    ) -> impl Iterator<Item = (i64, i32)> {
        let others = machine
            .channels()
            .filter(|(id, _)| !self.channels.contains_key(id));
        let held = self.channels.iter();
        let held = held.filter_map(|(&id, &pts)| Some((id, pts?)));
        others.chain(held).filter(|&(_, pts)| pts > 0)
    }
}

fn channels_in(updates: &[Placed<Update>]) -> impl Iterator<Item = i64> {
    updates.iter().filter_map(|it| match it.place {
        Place::Channel { channel_id, .. } => Some(channel_id),
        Place::Common { .. } | Place::Nowhere | Place::Secondary { .. } => None,
    })
}
