//! A client's bookkeeping of updates: nothing twice, nothing left out, in the order of each sequence.
//!
//! ```text
//!           next ──────────────────────────────────────────> Deliver
//!  update ──┬─ before ──> left out                              ^
//!           └─ later ───> waits 0.5 s ─┬─ gap closed ───────────┤
//!                                      └─ Request ── answer ────┘
//! ```
//!
//! A channel has a sequence and a difference of its own. The other three sequences share one: while it is awaited, what
//! comes for them waits.
//!
//! Generic over what an update is. Pure: requests are effects out, their answers inputs. What comes before signing in is
//! none of its business.
//!
//! Source: <https://core.telegram.org/api/updates>.

mod channels;
mod input;
mod sequence;
#[cfg(test)]
mod tests;

use core::time::Duration;

pub use input::{
    Batch, ChannelDifference, Difference, Effect, Input, Place, Placed, Request, Which,
};

use crate::cx::{Cx, Mono};
use crate::limits::{DIFFERENCE_RETRY_S, UPDATES_IDLE_S};
use crate::updates::UpdateState;
use crate::updates::client::channels::Channels;
use crate::updates::client::sequence::{Event, Sequence, Verdict};

/// The sequences of one account.
#[derive(Clone, Debug)]
pub struct Updates<U> {
    common: Sequence<Option<U>>,
    secondary: Sequence<Option<U>>,
    containers: Sequence<Container<U>>,
    channels: Channels<U>,
    date: i32,
    fetch: Fetch,
    /// When to ask though nothing came.
    idle_until: Option<Mono>,
}

/// What of an `Updates` object is in no box.
#[derive(Clone, Debug)]
struct Container<U> {
    date: i32,
    updates: Vec<U>,
}

/// The one request for all that is not a channel's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fetch {
    /// None is needed.
    Idle,
    /// This one has failed, and is made again.
    Later(Request, Mono),
    /// An answer is awaited: where everything is, or what has happened. No other is taken.
    Waiting { for_state: bool, then: Then },
}

/// What follows the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Nothing,
    /// Something was lost since it was asked for.
    Difference,
    /// The numbers have begun anew since.
    State,
}

impl<U> Updates<U> {
    /// Goes on where an earlier run has stored that it was. `channels` are those that it knew, with their numbers. Asks for
    /// the difference at its first deadline, which is now.
    #[must_use]
    pub fn new(state: UpdateState, channels: impl IntoIterator<Item = (i64, i32)>) -> Self {
        Self {
            common: Sequence::new(state.pts),
            secondary: Sequence::new(state.qts),
            containers: Sequence::new(state.seq),
            channels: Channels::new(channels),
            date: state.date,
            fetch: Fetch::Later(first_request(state), Mono(0)),
            idle_until: None,
        }
    }

    /// Returns how far everything has come that was delivered. Store it only once the application has stored that.
    #[must_use]
    pub const fn state(&self) -> UpdateState {
        UpdateState {
            pts: self.common.local(),
            qts: self.secondary.local(),
            seq: self.containers.local(),
            date: self.date,
        }
    }

    /// Returns how far each channel has come.
    pub fn channels(&self) -> impl Iterator<Item = (i64, i32)> {
        self.channels.positions()
    }

    /// Returns how far a channel has come, if anything is known of it.
    #[must_use]
    pub fn channel(&self, channel_id: i64) -> Option<i32> {
        self.channels.position(channel_id)
    }

    /// Handles what happened.
    pub fn handle(&mut self, input: Input<U>, cx: &mut Cx<'_, Effect<U>>) {
        self.idle_until = Some(cx.now.mono + Duration::from_secs(UPDATES_IDLE_S));
        match input {
            Input::Batch(batch) => self.on_batch(batch, cx),
            Input::ChannelDifference {
                channel_id,
                difference,
            } => {
                self.on_channel_difference(channel_id, difference, cx);
            }
            Input::ChannelGone { channel_id } => self.channels.forget(channel_id, cx.out),
            Input::ChannelTooLong { channel_id, pts } => {
                self.channels.on_too_long(channel_id, pts, cx);
            }
            Input::Difference(difference) => self.on_difference(difference, cx),
            Input::Failed(request) => self.on_failed(request, cx),
            Input::Lost => self.fetch(cx.out),
            Input::Restart => self.restart(cx.out),
            Input::State(state) => {
                if matches!(
                    self.fetch,
                    Fetch::Waiting {
                        for_state: true,
                        ..
                    }
                ) {
                    self.take_state(state);
                    self.finish(cx);
                }
            }
        }
    }

    /// Asks for what has been missing too long, and makes failed requests again.
    pub fn handle_deadline(&mut self, cx: &mut Cx<'_, Effect<U>>) {
        let now = cx.now.mono;
        self.idle_until
            .get_or_insert(now + Duration::from_secs(UPDATES_IDLE_S));
        self.channels.handle_deadline(cx);
        if let Fetch::Later(request, at) = self.fetch
            && at <= now
        {
            self.request(self.renewed(request), cx.out);
        }
        let gaps = [self.common.gap_until(), self.secondary.gap_until()];
        let gaps = gaps.into_iter().chain([self.containers.gap_until()]);
        if gaps.flatten().chain(self.idle_until).any(|at| at <= now) {
            self.idle_until = Some(now + Duration::from_secs(UPDATES_IDLE_S));
            self.fetch(cx.out);
        }
    }

    /// Returns when [`Updates::handle_deadline`] wants to be called.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Mono> {
        let retry = match self.fetch {
            Fetch::Later(_, at) => Some(at),
            Fetch::Idle | Fetch::Waiting { .. } => None,
        };
        let times = [
            self.common.gap_until(),
            self.secondary.gap_until(),
            self.containers.gap_until(),
            self.channels.next_deadline(),
            self.idle_until,
            retry,
        ];
        times.into_iter().flatten().min()
    }

    /// Boxes come first, whatever the container's number says; then what is in no box.
    fn on_batch(&mut self, batch: Batch<U>, cx: &mut Cx<'_, Effect<U>>) {
        let mut nowhere = Vec::new();
        let mut boxed = Vec::with_capacity(batch.updates.len());
        for placed in batch.updates {
            if placed.place.is_in_box() {
                boxed.push(placed);
            } else {
                nowhere.extend(placed.update);
            }
        }
        boxed.sort_by_key(|placed| placed.place.before());
        for placed in boxed {
            self.place(placed, cx);
        }
        if batch.seq_start <= 0 || batch.seq < batch.seq_start {
            cx.out.extend(nowhere.into_iter().map(Effect::Deliver));
            return;
        }
        let count = batch.seq.saturating_sub(batch.seq_start).saturating_add(1);
        let payload = Container {
            date: batch.date,
            updates: nowhere,
        };
        let event = Event {
            last: batch.seq,
            count,
            payload,
        };
        let (is_paused, date) = (self.is_paused(), &mut self.date);
        let (now, out) = (cx.now.mono, &mut *cx.out);
        let verdict = self.containers.offer(event, is_paused, now, &mut |it| {
            apply_container(it, date, out);
        });
        self.on_verdict(verdict, Which::Containers, cx.out);
    }

    /// Offers an update to its sequence.
    fn place(&mut self, placed: Placed<U>, cx: &mut Cx<'_, Effect<U>>) {
        let (is_paused, now) = (self.is_paused(), cx.now.mono);
        let Placed { place, update } = placed;
        let (sequence, which, last, count) = match place {
            Place::Channel {
                channel_id,
                pts,
                count,
            } => {
                let event = Event {
                    last: pts,
                    count,
                    payload: update,
                };
                self.channels.offer(channel_id, event, cx);
                return;
            }
            Place::Common { pts, count } => (&mut self.common, Which::Common, pts, count),
            Place::Secondary { qts } => (&mut self.secondary, Which::Secondary, qts, 1),
            Place::Nowhere => {
                cx.out.extend(update.map(Effect::Deliver));
                return;
            }
        };
        if count < 0 {
            // No sound server counts so: what it means is in the difference.
            self.fetch(cx.out);
            return;
        }
        let event = Event {
            last,
            count,
            payload: update,
        };
        let out = &mut *cx.out;
        let verdict = sequence.offer(event, is_paused, now, &mut |it| {
            out.extend(it.map(Effect::Deliver));
        });
        self.on_verdict(verdict, which, cx.out);
    }

    fn on_verdict(&mut self, verdict: Verdict, which: Which, out: &mut Vec<Effect<U>>) {
        match verdict {
            Verdict::Gap => out.push(Effect::Gap(which)),
            Verdict::Full => self.fetch(out),
            Verdict::Settled => {}
        }
    }

    fn on_difference(&mut self, difference: Difference<U>, cx: &mut Cx<'_, Effect<U>>) {
        let Fetch::Waiting {
            for_state: false,
            then,
        } = self.fetch
        else {
            return;
        };
        match difference {
            Difference::Empty { date, seq } => {
                self.date = date;
                self.containers.set(seq);
                self.finish(cx);
            }
            Difference::Full {
                messages,
                updates,
                state,
            } => {
                self.take_difference(messages, updates, state, cx);
                self.finish(cx);
            }
            Difference::Slice {
                messages,
                updates,
                state,
            } => {
                self.take_difference(messages, updates, state, cx);
                self.go_on(then, cx.out);
            }
            Difference::TooLong { pts } => {
                self.common.set(pts);
                cx.out.push(Effect::TooLong(Which::Common));
                self.go_on(then, cx.out);
            }
        }
    }

    fn on_channel_difference(
        &mut self,
        channel_id: i64,
        difference: ChannelDifference<U>,
        cx: &mut Cx<'_, Effect<U>>,
    ) {
        let others = self.channels.on_difference(channel_id, difference, cx);
        for placed in others {
            self.place(placed, cx);
        }
    }

    fn on_failed(&mut self, request: Request, cx: &mut Cx<'_, Effect<U>>) {
        let at = cx.now.mono + Duration::from_secs(DIFFERENCE_RETRY_S);
        if let Request::ChannelDifference { channel_id, .. } = request {
            self.channels.on_failed(channel_id, at);
        } else if let Fetch::Waiting { then, .. } = self.fetch {
            let request = match then {
                Then::State => Request::State,
                Then::Difference | Then::Nothing => request,
            };
            self.fetch = Fetch::Later(request, at);
        }
    }

    /// What a difference holds is not checked, except for channels: their numbers are not part of it.
    fn take_difference(
        &mut self,
        messages: Vec<U>,
        updates: Vec<Placed<U>>,
        state: UpdateState,
        cx: &mut Cx<'_, Effect<U>>,
    ) {
        cx.out.extend(messages.into_iter().map(Effect::Deliver));
        for placed in updates {
            if matches!(placed.place, Place::Channel { .. }) {
                self.place(placed, cx);
            } else {
                cx.out.extend(placed.update.map(Effect::Deliver));
            }
        }
        self.take_state(state);
    }

    const fn take_state(&mut self, state: UpdateState) {
        self.common.set(state.pts);
        self.secondary.set(state.qts);
        self.containers.set(state.seq);
        self.date = state.date;
    }

    /// The difference is here: what came meanwhile is looked at.
    fn finish(&mut self, cx: &mut Cx<'_, Effect<U>>) {
        let fetch = core::mem::replace(&mut self.fetch, Fetch::Idle);
        if let Fetch::Waiting {
            then: then @ (Then::Difference | Then::State),
            ..
        } = fetch
        {
            return self.go_on(then, cx.out);
        }
        let (now, out, date) = (cx.now.mono, &mut *cx.out, &mut self.date);
        let mut deliver = |it: Option<U>| out.extend(it.map(Effect::Deliver));
        self.common.settle(now, &mut deliver);
        self.secondary.settle(now, &mut deliver);
        self.containers
            .settle(now, &mut |it| apply_container(it, date, out));
    }

    /// Asks for the difference, unless it is already asked for.
    fn fetch(&mut self, out: &mut Vec<Effect<U>>) {
        if self.is_paused() {
            self.mark_lost();
        } else {
            self.ask_on(out);
        }
    }

    fn ask_on(&mut self, out: &mut Vec<Effect<U>>) {
        self.request(first_request(self.state()), out);
    }

    /// Asks for the next answer, of another kind if the numbers have begun anew.
    fn go_on(&mut self, then: Then, out: &mut Vec<Effect<U>>) {
        match then {
            Then::Difference | Then::Nothing => self.ask_on(out),
            Then::State => self.request(Request::State, out),
        }
    }

    /// Asks where everything is, once an answer that is awaited is here: two under way would undo each other.
    fn restart(&mut self, out: &mut Vec<Effect<U>>) {
        match &mut self.fetch {
            Fetch::Waiting { then, .. } => *then = Then::State,
            Fetch::Idle | Fetch::Later(..) => self.request(Request::State, out),
        }
    }

    fn request(&mut self, request: Request, out: &mut Vec<Effect<U>>) {
        self.common.pause();
        self.secondary.pause();
        self.containers.pause();
        self.fetch = Fetch::Waiting {
            for_state: request == Request::State,
            then: Then::Nothing,
        };
        out.push(Effect::Request(request));
    }

    const fn mark_lost(&mut self) {
        if let Fetch::Waiting {
            then: then @ Then::Nothing,
            ..
        } = &mut self.fetch
        {
            *then = Then::Difference;
        }
    }

    /// What was learned since a request failed goes into the next.
    const fn renewed(&self, request: Request) -> Request {
        match request {
            Request::Difference { .. } => first_request(self.state()),
            Request::ChannelDifference { .. } | Request::State => request,
        }
    }

    const fn is_paused(&self) -> bool {
        !matches!(self.fetch, Fetch::Idle)
    }
}

impl Place {
    const fn is_in_box(&self) -> bool {
        match self {
            Self::Channel { pts, .. } | Self::Common { pts, .. } => *pts > 0,
            Self::Secondary { qts } => *qts > 0,
            Self::Nowhere => false,
        }
    }

    const fn is_of_channel(&self, id: i64) -> bool {
        matches!(self, Self::Channel { channel_id, .. } if *channel_id == id)
    }

    /// The number before the update.
    const fn before(&self) -> i32 {
        match self {
            Self::Channel { pts, count, .. } | Self::Common { pts, count } => {
                pts.saturating_sub(*count)
            }
            Self::Secondary { qts } => qts.saturating_sub(1),
            Self::Nowhere => 0,
        }
    }
}

/// Who knows no number has nothing to be told the difference from.
const fn first_request(state: UpdateState) -> Request {
    if state.pts == 0 {
        Request::State
    } else {
        Request::Difference { state }
    }
}

fn apply_container<U>(container: Container<U>, date: &mut i32, out: &mut Vec<Effect<U>>) {
    if container.date > 0 {
        *date = container.date;
    }
    out.extend(container.updates.into_iter().map(Effect::Deliver));
}
