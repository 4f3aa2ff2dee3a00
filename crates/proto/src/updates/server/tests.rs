//! What a backend's bookkeeping says, and that a client's bookkeeping is content with it.

use core::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::*;
use crate::cx::{Cx, Mono, Now};
use crate::limits::UPDATE_EVENTS_KEPT;
use crate::updates::client::{self, Batch, Effect, Input, Place, Placed, Updates};

#[test]
fn an_update_advances_its_box_by_the_events_in_it() {
    let mut account = account();
    let first = account.append(1, 'a', 10).unwrap();
    let second = account.append(3, 'b', 11).unwrap();
    let third = account.append(0, 'c', 12).unwrap();

    assert_eq!((first.pts, first.pts_count), (2, 1));
    assert_eq!((second.pts, second.pts_count), (5, 3));
    assert_eq!((third.pts, third.pts_count), (5, 0));
    assert_eq!(account.append_secondary('s', 9), Ok(1));
    assert_eq!(account.number_container(13), Ok(1));
    let state = UpdateState {
        pts: 5,
        qts: 1,
        seq: 1,
        date: 13,
    };
    assert_eq!(account.state(), state);
}

#[test]
fn a_number_never_shrinks_and_the_last_one_is_the_greatest() {
    let state = UpdateState {
        pts: i32::MAX - 2,
        ..UpdateState::default()
    };
    let mut account = Account::new(state, 10);
    assert_eq!(account.append(2, 'a', 0).map(|it| it.pts), Ok(i32::MAX));
    assert_eq!(account.append(1, 'b', 0), Err(Exhausted));
    assert_eq!(account.state().pts, i32::MAX);
    assert_eq!(account.append(0, 'c', 0).map(|it| it.pts), Ok(i32::MAX));
}

#[test]
fn whoever_has_everything_or_claims_more_has_missed_nothing() {
    let mut account = account();
    account.append(2, 'a', 7).unwrap();
    for pts in [3, 4, i32::MAX] {
        let empty = Difference::Empty { date: 7, seq: 0 };
        assert_eq!(account.difference(&from(pts, 0)), empty, "{pts}");
    }
}

#[test]
fn what_was_missed_comes_in_order_and_leads_to_the_state() {
    let mut account = account();
    for event in ['a', 'b', 'c'] {
        account.append(2, event, 7).unwrap();
    }
    account.append_secondary('s', 8).unwrap();
    let missed = Missed {
        common: vec![&'b', &'c'],
        secondary: vec![&'s'],
        state: account.state(),
    };
    assert_eq!(
        account.difference(&from(3, 0)),
        Difference::Full(missed.clone())
    );
    assert_eq!(
        account.difference(&from(4, 0)),
        Difference::Full(missed),
        "a number within an update brings it whole"
    );
}

#[test]
fn more_than_the_client_wants_at_once_comes_in_slices() {
    let mut account = account();
    for event in ['a', 'b', 'c'] {
        account.append(5, event, 7).unwrap();
    }
    for event in ['x', 'y'] {
        account.append_secondary(event, 8).unwrap();
    }
    let mut request = from(1, 0);
    (request.pts_limit, request.qts_limit) = (Some(2), Some(1));
    let Difference::Slice(slice) = account.difference(&request) else {
        panic!("no slice")
    };
    assert_eq!(slice.common, [&'a', &'b']);
    assert_eq!(slice.secondary, [&'x']);
    assert_eq!((slice.state.pts, slice.state.qts), (11, 1));

    (request.pts, request.qts) = (slice.state.pts, slice.state.qts);
    let Difference::Full(rest) = account.difference(&request) else {
        panic!("no rest")
    };
    assert_eq!((rest.common, rest.secondary), (vec![&'c'], vec![&'y']));
    assert_eq!(rest.state, account.state());
}

#[test]
fn an_answer_holds_1000_events_of_a_sequence_and_not_one_more_whatever_is_asked() {
    for (events, is_full) in [(1000, true), (1001, false)] {
        for pts_limit in [None, Some(5000), Some(0), Some(-1)] {
            let mut account = account();
            for _ in 0..events {
                account.append(1, 'a', 7).unwrap();
            }
            let request = Request {
                pts_limit,
                ..from(1, 0)
            };
            let difference = account.difference(&request);
            assert_eq!(matches!(difference, Difference::Full(_)), is_full);
        }
    }
}

#[test]
fn whoever_is_further_back_than_what_is_kept_is_told_to_fetch_anew() {
    let mut account = Account::new(UpdateState::default(), 2);
    for event in ['a', 'b', 'c'] {
        account.append(2, event, 7).unwrap();
    }
    let Difference::Full(missed) = account.difference(&from(3, 0)) else {
        panic!("all of it is kept")
    };
    assert_eq!(missed.common, [&'b', &'c']);
    let too_long = Difference::TooLong { pts: 7 };
    assert_eq!(account.difference(&from(2, 0)), too_long);
    assert_eq!(account.difference(&from(-5, 0)), too_long);
}

#[test]
fn whoever_has_missed_more_than_it_wants_in_all_is_told_to_fetch_anew() {
    let mut account = account();
    account.append(10, 'a', 7).unwrap();
    for (total, is_too_long) in [(9, true), (10, false), (0, false)] {
        let request = Request {
            pts_total_limit: Some(total),
            ..from(1, 0)
        };
        let difference = account.difference(&request);
        let found = matches!(difference, Difference::TooLong { pts: 11 });
        assert_eq!(found, is_too_long, "{total}");
    }
}

#[test]
fn secret_events_that_are_not_kept_are_left_out_and_the_rest_comes() {
    let mut account = Account::new(UpdateState::default(), 2);
    for event in ['a', 'b', 'c'] {
        account.append_secondary(event, 7).unwrap();
    }
    let Difference::Full(missed) = account.difference(&from(1, 0)) else {
        panic!("nothing of it")
    };
    assert_eq!(missed.secondary, [&'b', &'c']);
    assert_eq!(missed.state.qts, 3);
}

#[test]
fn stored_events_that_are_appended_again_get_their_old_numbers() {
    let mut log = Log::new(40, 3);
    let stored: Vec<_> = [(1, 'a'), (5, 'b'), (1, 'c')]
        .map(|(count, event)| (count, event, log.append(count, event)))
        .into();
    let mut again = Log::new(40, 3);
    for (count, event, numbers) in stored {
        assert_eq!(again.append(count, event), numbers);
    }
    assert_eq!(again.after(41, 10), log.after(41, 10));
}

#[test]
fn a_client_that_misses_half_of_what_is_pushed_delivers_each_event_once_and_in_order() {
    for seed in 0..40 {
        let mut play = Play::new(seed);
        for _ in 0..300 {
            play.change();
        }
        play.calm_down();
        let expected: Vec<_> = (0..play.events).collect();
        let mut common = play.delivered.clone();
        common.retain(|event| event % 4 != 0);
        let mut secondary = play.delivered.clone();
        secondary.retain(|event| event % 4 == 0);
        assert!(common.is_sorted() && secondary.is_sorted(), "seed {seed}");
        play.delivered.sort_unstable();
        assert_eq!(play.delivered, expected, "seed {seed}");
        assert_eq!(play.client.state().pts, play.server.state().pts);
        assert_eq!(play.client.state().qts, play.server.state().qts);
    }
}

/// A backend, a client, and pushes that get lost between them.
struct Play {
    server: Account<u32>,
    client: Updates<u32>,
    now: Now,
    dice: ChaCha8Rng,
    rng: ChaCha8Rng,
    events: u32,
    delivered: Vec<u32>,
}

impl Play {
    fn new(seed: u64) -> Self {
        // The client's first state is known: else it would take over whatever comes first.
        let state = UpdateState {
            pts: 1,
            qts: 1,
            ..UpdateState::default()
        };
        Self {
            server: Account::new(state, UPDATE_EVENTS_KEPT),
            client: Updates::new(state, []),
            now: Now::default(),
            dice: ChaCha8Rng::seed_from_u64(seed),
            rng: ChaCha8Rng::seed_from_u64(seed + 1000),
            events: 0,
            delivered: Vec::new(),
        }
    }

    fn change(&mut self) {
        let event = self.events;
        self.events += 1;
        let place = if event.is_multiple_of(4) {
            let qts = self.server.append_secondary(event, 7).unwrap();
            Place::Secondary { qts }
        } else {
            let count = 1 + u16::try_from(event % 3).unwrap();
            let numbers = self.server.append(count, event, 7).unwrap();
            Place::Common {
                pts: numbers.pts,
                count: numbers.pts_count,
            }
        };
        if self.dice.next_u32().is_multiple_of(2) {
            self.arrive(place, event);
        }
        if self.dice.next_u32().is_multiple_of(8) {
            self.pass(Duration::from_millis(600));
        }
    }

    fn arrive(&mut self, place: Place, event: u32) {
        let batch = Batch {
            seq_start: 0,
            seq: 0,
            date: 0,
            updates: vec![Placed {
                place,
                update: Some(event),
            }],
        };
        self.tell(Input::Batch(batch));
    }

    fn calm_down(&mut self) {
        self.tell(Input::Lost);
        self.pass(Duration::from_secs(20));
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now.mono + time;
        while let Some(at) = self.client.next_deadline().filter(|&at| at <= end) {
            self.now.mono = self.now.mono.max(at);
            let mut out = Vec::new();
            self.client.handle_deadline(&mut Cx {
                now: self.now,
                rng: &mut self.rng,
                out: &mut out,
            });
            self.take(out);
        }
        self.now.mono = Mono(end.0);
    }

    fn tell(&mut self, input: Input<u32>) {
        let mut out = Vec::new();
        self.client.handle(
            input,
            &mut Cx {
                now: self.now,
                rng: &mut self.rng,
                out: &mut out,
            },
        );
        self.take(out);
    }

    fn take(&mut self, effects: Vec<Effect<u32>>) {
        for effect in effects {
            match effect {
                Effect::Deliver(event) => self.delivered.push(event),
                Effect::Gap(_) => {}
                Effect::Request(client::Request::Difference { state }) => self.answer(state),
                Effect::Request(request) => panic!("{request:?}"),
                Effect::TooLong(which) => panic!("{which:?}"),
            }
        }
    }

    /// Answers at once, in small slices.
    fn answer(&mut self, state: UpdateState) {
        let request = Request {
            pts_limit: Some(3),
            qts_limit: Some(2),
            ..from(state.pts, state.qts)
        };
        let copied = |missed: Missed<'_, u32>| {
            let all = missed.common.into_iter().chain(missed.secondary);
            (all.copied().collect::<Vec<_>>(), missed.state)
        };
        let difference = match self.server.difference(&request) {
            Difference::Empty { date, seq } => client::Difference::Empty { date, seq },
            Difference::Full(missed) => {
                let (messages, state) = copied(missed);
                let updates = Vec::new();
                client::Difference::Full {
                    messages,
                    updates,
                    state,
                }
            }
            Difference::Slice(missed) => {
                let (messages, state) = copied(missed);
                let updates = Vec::new();
                client::Difference::Slice {
                    messages,
                    updates,
                    state,
                }
            }
            Difference::TooLong { pts } => client::Difference::TooLong { pts },
        };
        self.tell(Input::Difference(difference));
    }
}

fn account() -> Account<char> {
    Account::new(UpdateState::default(), UPDATE_EVENTS_KEPT)
}

fn from(pts: i32, qts: i32) -> Request {
    Request {
        pts,
        qts,
        ..Request::default()
    }
}
