//! Each rule of the order, then a server that loses, repeats and mixes what it sends.

mod random;

use core::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

use super::*;
use crate::cx::{Now, Unix};

#[test]
fn who_knows_where_it_was_asks_for_the_difference_and_who_does_not_for_the_state() {
    let mut world = World::new(STATE);
    world.deadline();
    assert_eq!(world.took(), [Effect::Request(difference(STATE))]);
    let mut world = World::new(UpdateState::default());
    assert_eq!(world.updates.next_deadline(), Some(Mono(0)));
    world.deadline();
    assert_eq!(world.took(), [Effect::Request(Request::State)]);
    world.handle(Input::State(STATE));
    assert_eq!(world.took(), []);
    assert_eq!(world.updates.state(), STATE);
}

#[test]
fn updates_of_a_box_are_delivered_in_the_order_of_its_numbers() {
    let mut world = World::settled();
    world.handle(batch(&[
        common(13, 1, "c"),
        common(11, 1, "a"),
        common(12, 1, "b"),
    ]));
    // Their order in the container is no gap.
    assert_eq!(world.took(), ["a", "b", "c"].map(Effect::Deliver));
    world.handle(batch(&[common(13, 1, "c")]));
    assert_eq!(world.took(), []);
    assert_eq!(world.updates.state().pts, 13);
}

#[test]
fn a_gap_is_told_and_waited_for_and_then_asked_about() {
    let mut world = World::settled();
    world.handle(batch(&[common(12, 1, "b")]));
    assert_eq!(world.took(), [Effect::Gap(Which::Common)]);
    world.pass(Duration::from_millis(499));
    world.handle(batch(&[common(13, 1, "c")]));
    assert_eq!(world.took(), []);
    world.pass(Duration::from_millis(1));
    assert_eq!(world.took(), [Effect::Request(difference(STATE))]);
    let state = UpdateState { pts: 12, ..STATE };
    world.handle(Input::Difference(Difference::Full {
        messages: vec!["a"],
        updates: vec![common(12, 1, "b")],
        state,
    }));
    assert_eq!(world.delivered(), ["a", "b", "c"]);
    assert_eq!(world.updates.state().pts, 13);
}

#[test]
fn a_gap_that_closes_in_time_is_not_asked_about() {
    let mut world = World::settled();
    world.handle(batch(&[common(12, 1, "b")]));
    world.pass(Duration::from_millis(499));
    world.handle(batch(&[common(11, 1, "a")]));
    world.pass(Duration::from_millis(1));
    assert_eq!(world.delivered(), ["a", "b"]);
}

#[test]
fn boxes_are_delivered_whatever_the_number_of_their_container() {
    let mut world = World::settled();
    let early = Batch {
        seq_start: 5,
        seq: 5,
        date: 9,
        updates: vec![common(11, 1, "box"), nowhere("late")],
    };
    world.handle(Input::Batch(early));
    assert_eq!(world.delivered(), ["box"]);
    let missing = Batch {
        seq_start: 4,
        seq: 4,
        date: 8,
        updates: vec![nowhere("early")],
    };
    world.handle(Input::Batch(missing.clone()));
    assert_eq!(world.delivered(), ["early", "late"]);
    assert_eq!(
        (world.updates.state().seq, world.updates.state().date),
        (5, 9)
    );
    world.handle(Input::Batch(missing));
    assert_eq!(world.took(), [], "a second copy");
}

#[test]
fn a_container_of_several_counts_as_several() {
    let mut world = World::settled();
    let combined = Batch {
        seq_start: 4,
        seq: 7,
        date: 9,
        updates: vec![nowhere("x")],
    };
    world.handle(Input::Batch(combined));
    assert_eq!(world.delivered(), ["x"]);
    assert_eq!(world.updates.state().seq, 7);
}

#[test]
fn what_has_no_number_is_delivered_as_it_comes_and_changes_no_number() {
    let mut world = World::settled();
    world.handle(batch(&[nowhere("typing"), common(0, 0, "zero")]));
    assert_eq!(world.delivered(), ["typing", "zero"]);
    assert_eq!(world.updates.state(), STATE);
}

#[test]
fn word_that_numbers_have_gone_on_closes_a_gap_and_delivers_nothing() {
    let mut world = World::settled();
    world.handle(batch(&[common(13, 1, "c")]));
    world.took();
    let place = Place::Common { pts: 12, count: 2 };
    let affected = Placed {
        place,
        update: None,
    };
    world.handle(batch(&[affected]));
    assert_eq!(world.delivered(), ["c"]);
}

#[test]
fn secret_chats_and_channels_have_sequences_of_their_own() {
    let mut world = World::settled();
    world.handle(batch(&[
        secondary(21, "q"),
        channel(7, 501, "x"),
        channel(8, 901, "y"),
    ]));
    assert_eq!(world.delivered(), ["q", "x", "y"]);
    world.handle(batch(&[channel(7, 503, "x3")]));
    assert_eq!(world.took(), [Effect::Gap(Which::Channel(7))]);
    world.handle(batch(&[common(11, 1, "a"), channel(8, 902, "y2")]));
    assert_eq!(world.delivered(), ["a", "y2"]);
    world.pass(Duration::from_millis(500));
    assert_eq!(world.took(), [channel_request(7, 501)]);
    world.handle(channel_answer(7, 503, true, &["x2", "x3"]));
    assert_eq!(world.delivered(), ["x2", "x3"]);
    let positions: Vec<_> = world.updates.channels().collect();
    assert_eq!(positions, [(7, 503), (8, 902)]);
}

#[test]
fn a_channels_difference_goes_on_until_it_is_all() {
    let mut world = World::settled();
    world.handle(batch(&[channel(7, 501, "a")]));
    world.took();
    let channel_id = 7;
    for (pts, asks) in [(Some(501), false), (Some(502), true)] {
        world.handle(Input::ChannelTooLong { channel_id, pts });
        let expected: Vec<_> = asks.then(|| channel_request(7, 501)).into_iter().collect();
        assert_eq!(world.took(), expected, "{pts:?}");
    }
    world.handle(batch(&[channel(7, 506, "f")]));
    world.handle(channel_answer(7, 503, false, &["b", "c"]));
    let request = channel_request(7, 503);
    let both = [Effect::Deliver("b"), Effect::Deliver("c"), request];
    assert_eq!(world.took(), both);
    world.handle(channel_answer(7, 505, true, &["d", "e"]));
    assert_eq!(world.delivered(), ["d", "e", "f"]);
}

#[test]
fn a_channel_that_was_missed_too_long_is_told_and_one_that_is_gone_is_forgotten() {
    let mut world = World::settled();
    let (channel_id, pts) = (7, None);
    world.handle(Input::ChannelTooLong { channel_id, pts });
    assert_eq!(world.took(), [channel_request(7, 1)]);
    world.handle(Input::ChannelDifference {
        channel_id,
        difference: ChannelDifference {
            is_final: true,
            pts: 800,
            messages: Vec::new(),
            updates: Vec::new(),
            is_too_long: true,
        },
    });
    assert_eq!(world.took(), [Effect::TooLong(Which::Channel(7))]);
    world.handle(batch(&[channel(7, 801, "x")]));
    assert_eq!(world.delivered(), ["x"]);
    world.handle(Input::ChannelGone { channel_id });
    assert_eq!(world.updates.channels().count(), 0);
}

#[test]
fn what_waits_in_a_channel_that_is_gone_is_delivered_and_what_comes_later_begins_anew() {
    let mut world = World::settled();
    world.handle(batch(&[channel(7, 501, "a")]));
    world.handle(batch(&[channel(7, 505, "e"), channel(7, 503, "c")]));
    world.pass(Duration::from_millis(500));
    world.handle(batch(&[channel(7, 501, "a"), channel(7, 504, "d")]));
    world.took();
    assert_eq!(world.updates.channel(7), Some(501));
    let channel_id = 7;
    world.handle(Input::ChannelGone { channel_id });
    assert_eq!(world.delivered(), ["c", "d", "e"]);
    assert_eq!(world.updates.channel(7), None);
    world.handle(batch(&[channel(7, 901, "x")]));
    assert_eq!(world.delivered(), ["x"]);
}

#[test]
fn slices_follow_each_other_at_once_and_what_came_meanwhile_comes_last() {
    let mut world = World::settled();
    world.handle(Input::Lost);
    world.took();
    world.handle(batch(&[common(14, 1, "d"), common(12, 1, "b")]));
    assert_eq!(world.took(), [], "the difference is awaited");
    let state = UpdateState { pts: 12, ..STATE };
    world.handle(Input::Difference(Difference::Slice {
        messages: vec!["a"],
        updates: vec![common(12, 1, "b")],
        state,
    }));
    let took = world.took();
    assert_eq!(took[2], Effect::Request(difference(state)));
    let state = UpdateState { pts: 13, ..STATE };
    world.handle(Input::Difference(Difference::Full {
        messages: vec!["c"],
        updates: Vec::new(),
        state,
    }));
    assert_eq!(world.delivered(), ["c", "d"]);
}

#[test]
fn a_difference_that_is_too_long_is_told_and_asked_for_from_there() {
    let mut world = World::settled();
    world.handle(Input::Lost);
    world.took();
    world.handle(Input::Difference(Difference::TooLong { pts: 9000 }));
    let state = UpdateState { pts: 9000, ..STATE };
    let told = Effect::TooLong(Which::Common);
    assert_eq!(world.took(), [told, Effect::Request(difference(state))]);
}

#[test]
fn an_empty_difference_brings_its_date_and_number() {
    let mut world = World::settled();
    world.handle(Input::Lost);
    world.handle(Input::Difference(Difference::Empty { date: 77, seq: 6 }));
    let state = world.updates.state();
    assert_eq!((state.date, state.seq, state.pts), (77, 6, STATE.pts));
}

#[test]
fn one_request_is_on_its_way_and_what_is_lost_meanwhile_is_asked_for_after_it() {
    let mut world = World::settled();
    world.handle(Input::Lost);
    world.handle(Input::Lost);
    assert_eq!(world.took(), [Effect::Request(difference(STATE))]);
    world.handle(Input::Difference(Difference::Empty { date: 1, seq: 3 }));
    let state = UpdateState { date: 1, ..STATE };
    assert_eq!(world.took(), [Effect::Request(difference(state))]);
    world.handle(Input::Difference(Difference::Empty { date: 1, seq: 3 }));
    assert_eq!(world.took(), []);
}

#[test]
fn a_failed_request_is_made_again_after_5_s() {
    let mut world = World::settled();
    world.handle(Input::Lost);
    world.took();
    world.handle(Input::Failed(difference(STATE)));
    world.pass(Duration::from_millis(4999));
    assert_eq!(world.took(), []);
    world.pass(Duration::from_millis(1));
    assert_eq!(world.took(), [Effect::Request(difference(STATE))]);

    world.handle(Input::Difference(Difference::Empty { date: 1, seq: 3 }));
    let (channel_id, pts) = (7, None);
    world.handle(Input::ChannelTooLong { channel_id, pts });
    world.took();
    let request = Request::ChannelDifference { channel_id, pts: 1 };
    world.handle(Input::Failed(request));
    world.pass(Duration::from_millis(4999));
    assert_eq!(world.took(), []);
    world.pass(Duration::from_millis(1));
    assert_eq!(world.took(), [Effect::Request(request)]);
}

#[test]
fn after_15_minutes_of_silence_the_difference_is_asked_for() {
    let mut world = World::settled();
    world.handle(batch(&[]));
    world.pass(Duration::from_millis(899_999));
    assert_eq!(world.took(), []);
    world.pass(Duration::from_millis(1));
    assert_eq!(world.took(), [Effect::Request(difference(STATE))]);
}

#[test]
fn numbers_that_begin_anew_are_asked_for() {
    let mut world = World::settled();
    world.handle(Input::Restart);
    assert_eq!(world.took(), [Effect::Request(Request::State)]);
    let state = UpdateState { pts: 2, ..STATE };
    world.handle(Input::State(state));
    world.handle(batch(&[common(3, 1, "x")]));
    assert_eq!(world.delivered(), ["x"]);
}

#[test]
fn numbers_that_begin_anew_while_a_difference_is_awaited_are_asked_for_after_it() {
    let mut world = World::settled();
    world.handle(Input::Lost);
    world.took();
    world.handle(Input::Restart);
    world.handle(Input::Lost);
    assert_eq!(world.took(), [], "one request is on its way");
    let state = UpdateState { pts: 11, ..STATE };
    let (messages, updates) = (vec!["a"], Vec::new());
    world.handle(Input::Difference(Difference::Slice {
        messages,
        updates,
        state,
    }));
    let asked = Effect::Request(Request::State);
    assert_eq!(world.took(), [Effect::Deliver("a"), asked.clone()]);

    world.handle(Input::Restart);
    world.handle(Input::State(UpdateState { pts: 2, ..STATE }));
    assert_eq!(world.took(), std::slice::from_ref(&asked));
    world.handle(Input::State(UpdateState { pts: 3, ..STATE }));
    world.handle(batch(&[common(4, 1, "b")]));
    assert_eq!(world.delivered(), ["b"]);

    world.handle(Input::Lost);
    world.handle(Input::Restart);
    world.took();
    let state = UpdateState { pts: 4, ..STATE };
    world.handle(Input::Failed(Request::Difference { state }));
    world.pass(Duration::from_secs(5));
    assert_eq!(world.took(), [asked]);
}

#[test]
fn a_count_below_zero_is_not_believed() {
    let mut world = World::settled();
    world.handle(batch(&[common(11, -1, "x")]));
    assert_eq!(world.took(), [Effect::Request(difference(STATE))]);
    assert_eq!(world.updates.state(), STATE);
}

#[test]
fn answers_that_nobody_asked_for_change_nothing() {
    let mut world = World::settled();
    let state = UpdateState { pts: 99, ..STATE };
    world.handle(Input::Difference(Difference::Full {
        messages: vec!["x"],
        updates: Vec::new(),
        state,
    }));
    world.handle(channel_answer(7, 99, true, &["y"]));
    world.handle(Input::State(state));
    assert_eq!(world.took(), []);
    assert_eq!(world.updates.state(), STATE);
    world.handle(Input::Lost);
    world.took();
    world.handle(Input::State(state));
    assert_eq!(world.updates.state(), STATE, "the difference is awaited");
}

#[test]
fn as_many_channels_are_kept_in_order_as_may_be_and_the_next_is_delivered_as_it_comes() {
    let channels = (0..CHANNELS).map(|id| (id, 5));
    let mut updates = Updates::new(STATE, channels);
    let mut world = World::settled();
    std::mem::swap(&mut world.updates, &mut updates);
    world.handle(batch(&[channel(CHANNELS - 1, 9, "later")]));
    assert_eq!(world.took(), [Effect::Gap(Which::Channel(CHANNELS - 1))]);
    world.handle(batch(&[
        channel(CHANNELS, 9, "x"),
        channel(CHANNELS, 20, "y"),
    ]));
    assert_eq!(world.delivered(), ["x", "y"]);
}

#[test]
fn as_many_updates_of_all_channels_wait_as_may_and_one_more_is_asked_about_at_once() {
    let mut updates = Updates::new(STATE, (0..12).map(|id| (id, 5)));
    let mut world = World::settled();
    std::mem::swap(&mut world.updates, &mut updates);
    for id in 0..10 {
        let later: Vec<_> = (7..1007).map(|pts| channel(id, pts, "later")).collect();
        world.handle(batch(&later));
        assert_eq!(world.took(), [Effect::Gap(Which::Channel(id))]);
    }
    world.handle(batch(&[channel(10, 7, "later")]));
    assert_eq!(world.took(), [channel_request(10, 5)]);
    world.handle(batch(&[channel(11, 6, "next")]));
    assert_eq!(world.delivered(), ["next"], "it need not wait");

    // Two ways to make room.
    world.handle(batch(&[channel(0, 6, "missing")]));
    assert_eq!(world.delivered().len(), 1001);
    let channel_id = 1;
    world.handle(Input::ChannelGone { channel_id });
    assert_eq!(world.delivered().len(), 1000);
    let later: Vec<_> = (8..1008).map(|pts| channel(11, pts, "later")).collect();
    world.handle(batch(&later));
    assert_eq!(world.took(), [Effect::Gap(Which::Channel(11))]);
    world.handle(channel_answer(10, 7, true, &["a", "b"]));
    assert_eq!(world.delivered(), ["a", "b"]);
    let later: Vec<_> = (9..1009).map(|pts| channel(10, pts, "later")).collect();
    world.handle(batch(&later));
    assert_eq!(world.took(), [Effect::Gap(Which::Channel(10))]);
    world.handle(batch(&[channel(10, 1010, "later")]));
    assert_eq!(world.took(), [channel_request(10, 7)]);
}

/// As many as the limit says.
const CHANNELS: i64 = 65_536;

const STATE: UpdateState = UpdateState {
    pts: 10,
    qts: 20,
    seq: 3,
    date: 1000,
};

struct World {
    updates: Updates<&'static str>,
    now: Now,
    rng: ChaCha8Rng,
    out: Vec<Effect<&'static str>>,
}

impl World {
    fn new(state: UpdateState) -> Self {
        Self {
            updates: Updates::new(state, []),
            now: Now {
                mono: Mono(0),
                unix: Unix(0),
            },
            rng: ChaCha8Rng::seed_from_u64(0),
            out: Vec::new(),
        }
    }

    /// An account that has asked for the difference at its start, and missed nothing.
    fn settled() -> Self {
        let mut world = Self::new(STATE);
        world.deadline();
        world.handle(Input::Difference(Difference::Empty { date: 1000, seq: 3 }));
        world.took();
        world
    }

    fn handle(&mut self, input: Input<&'static str>) {
        let (now, rng, out) = (self.now, &mut self.rng, &mut self.out);
        self.updates.handle(input, &mut Cx { now, rng, out });
    }

    fn deadline(&mut self) {
        let (now, rng, out) = (self.now, &mut self.rng, &mut self.out);
        self.updates.handle_deadline(&mut Cx { now, rng, out });
        let next = self.updates.next_deadline();
        assert!(next.is_none_or(|at| at > now.mono), "a deadline stays due");
    }

    fn pass(&mut self, time: Duration) {
        self.now.mono = self.now.mono + time;
        if self
            .updates
            .next_deadline()
            .is_some_and(|at| at <= self.now.mono)
        {
            self.deadline();
        }
    }

    fn took(&mut self) -> Vec<Effect<&'static str>> {
        std::mem::take(&mut self.out)
    }

    /// What was delivered; gaps aside, nothing else was wanted.
    fn delivered(&mut self) -> Vec<&'static str> {
        let took = self.took();
        took.into_iter()
            .filter_map(|it| match it {
                Effect::Deliver(update) => Some(update),
                Effect::Gap(_) => None,
                Effect::Request(_) | Effect::TooLong(_) => panic!("{it:?}"),
            })
            .collect()
    }
}

fn batch(updates: &[Placed<&'static str>]) -> Input<&'static str> {
    Input::Batch(Batch {
        seq_start: 0,
        seq: 0,
        date: 0,
        updates: updates.to_vec(),
    })
}

fn common(pts: i32, count: i32, update: &'static str) -> Placed<&'static str> {
    placed(Place::Common { pts, count }, update)
}

fn secondary(qts: i32, update: &'static str) -> Placed<&'static str> {
    placed(Place::Secondary { qts }, update)
}

fn channel(channel_id: i64, pts: i32, update: &'static str) -> Placed<&'static str> {
    let count = 1;
    placed(
        Place::Channel {
            channel_id,
            pts,
            count,
        },
        update,
    )
}

fn nowhere(update: &'static str) -> Placed<&'static str> {
    placed(Place::Nowhere, update)
}

fn placed(place: Place, update: &'static str) -> Placed<&'static str> {
    Placed {
        place,
        update: Some(update),
    }
}

fn difference(state: UpdateState) -> Request {
    Request::Difference { state }
}

fn channel_request(channel_id: i64, pts: i32) -> Effect<&'static str> {
    Effect::Request(Request::ChannelDifference { channel_id, pts })
}

fn channel_answer(
    channel_id: i64,
    pts: i32,
    is_final: bool,
    messages: &[&'static str],
) -> Input<&'static str> {
    let difference = ChannelDifference {
        is_final,
        pts,
        messages: messages.to_vec(),
        updates: Vec::new(),
        is_too_long: false,
    };
    Input::ChannelDifference {
        channel_id,
        difference,
    }
}
