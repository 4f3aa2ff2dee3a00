//! A server that loses, repeats and mixes what it sends, and a client that must deliver each event once, in order.

use core::time::Duration;
use std::collections::BTreeMap;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use super::*;

/// An event: its sequence, and its number there.
type Token = (Which, i32);

#[test]
fn whatever_is_lost_repeated_or_mixed_each_event_is_delivered_once_and_in_order() {
    for seed in 0..60 {
        let mut play = Play::new(seed);
        for _ in 0..400 {
            play.step();
        }
        play.calm_down();
        for (which, &last) in &play.last {
            let expected: Vec<_> = (play.first[which] + 1..=last).collect();
            assert_eq!(play.delivered[which], expected, "{which:?}, seed {seed}");
        }
    }
}

struct Play {
    updates: Updates<Token>,
    now: Now,
    rng: ChaCha8Rng,
    dice: ChaCha8Rng,
    /// Sent and not arrived.
    on_the_way: Vec<Batch<Token>>,
    requests: Vec<Request>,
    first: BTreeMap<Line, i32>,
    last: BTreeMap<Line, i32>,
    delivered: BTreeMap<Line, Vec<i32>>,
}

/// `Which` in an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Line {
    Common,
    Secondary,
    Channel(i64),
}

impl From<Line> for Which {
    fn from(it: Line) -> Self {
        match it {
            Line::Common => Self::Common,
            Line::Secondary => Self::Secondary,
            Line::Channel(id) => Self::Channel(id),
        }
    }
}

impl Play {
    fn new(seed: u64) -> Self {
        let boxes = [
            (Line::Common, 10),
            (Line::Secondary, 20),
            (Line::Channel(1), 100),
            (Line::Channel(2), 200),
        ];
        let first: BTreeMap<_, _> = boxes.into_iter().collect();
        Self {
            updates: Updates::new(STATE, [(1, 100), (2, 200)]),
            now: Now::default(),
            rng: ChaCha8Rng::seed_from_u64(seed),
            dice: ChaCha8Rng::seed_from_u64(seed ^ 0xd1ce),
            on_the_way: Vec::new(),
            requests: Vec::new(),
            last: first.clone(),
            delivered: first.keys().map(|&it| (it, Vec::new())).collect(),
            first,
        }
    }

    fn below(&mut self, end: u32) -> u32 {
        self.dice.next_u32() % end
    }

    fn step(&mut self) {
        match self.below(8) {
            0..3 => self.happen(),
            3..5 => self.arrive(),
            5 => self.answer(),
            6 => {
                let ms = u64::from(self.below(400));
                self.pass(Duration::from_millis(ms));
            }
            _ if self.below(10) == 0 => self.handle(Input::Lost),
            _ => {}
        }
    }

    /// Something happens at the server; word of it may be lost, or sent twice.
    fn happen(&mut self) {
        let boxes: Vec<_> = self.last.keys().copied().collect();
        let count = 1 + self.below(3);
        let mut updates = Vec::new();
        for _ in 0..count {
            let at = usize::try_from(self.below(4)).unwrap();
            let last = self.last.get_mut(&boxes[at]).unwrap();
            *last += 1;
            updates.push(placed_at(boxes[at], *last));
        }
        let batch = Batch {
            seq_start: 0,
            seq: 0,
            date: 0,
            updates,
        };
        let copies = [0, 1, 1, 1, 1, 2][usize::try_from(self.below(6)).unwrap()];
        for _ in 0..copies {
            self.on_the_way.push(batch.clone());
        }
    }

    /// Something arrives, not always the oldest.
    fn arrive(&mut self) {
        if self.on_the_way.is_empty() {
            return;
        }
        let most = u32::try_from(self.on_the_way.len().min(4)).unwrap();
        let at = usize::try_from(self.below(most)).unwrap();
        let batch = self.on_the_way.remove(at);
        self.handle(Input::Batch(batch));
    }

    /// The server answers a request, in slices, or it fails.
    fn answer(&mut self) {
        let Some(request) = self.requests.pop() else {
            return;
        };
        if self.below(5) == 0 {
            self.handle(Input::Failed(request));
            return;
        }
        let most = i32::try_from(1 + self.below(6)).unwrap();
        match request {
            Request::State => panic!("it knows where it was"),
            Request::Difference { state } => {
                let pts = self.last[&Line::Common].min(state.pts + most);
                let qts = self.last[&Line::Secondary].min(state.qts + most);
                let is_all = pts == self.last[&Line::Common] && qts == self.last[&Line::Secondary];
                let messages = (state.pts + 1..=pts).map(|it| (Which::Common, it));
                let updates = (state.qts + 1..=qts).map(|it| placed_at(Line::Secondary, it));
                let state = UpdateState { pts, qts, ..state };
                let (messages, updates) = (messages.collect(), updates.collect());
                self.handle(Input::Difference(if is_all {
                    Difference::Full {
                        messages,
                        updates,
                        state,
                    }
                } else {
                    Difference::Slice {
                        messages,
                        updates,
                        state,
                    }
                }));
                // What channels have missed is told beside it.
                let channels = [1, 2].map(|id| (id, self.last[&Line::Channel(id)]));
                for (channel_id, pts) in channels {
                    let pts = Some(pts);
                    self.handle(Input::ChannelTooLong { channel_id, pts });
                }
            }
            Request::ChannelDifference { channel_id, pts } => {
                let last = self.last[&Line::Channel(channel_id)];
                let end = last.min(pts + most);
                let updates = (pts + 1..=end).map(|it| placed_at(Line::Channel(channel_id), it));
                let difference = ChannelDifference {
                    is_final: end == last,
                    pts: end,
                    messages: Vec::new(),
                    updates: updates.collect(),
                    is_too_long: false,
                };
                self.handle(Input::ChannelDifference {
                    channel_id,
                    difference,
                });
            }
        }
    }

    /// Nothing happens any more, and everything arrives in the end.
    fn calm_down(&mut self) {
        while !self.on_the_way.is_empty() {
            self.arrive();
        }
        self.handle(Input::Lost);
        for _ in 0..2000 {
            self.answer();
            self.pass(Duration::from_millis(100));
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now.mono = self.now.mono + time;
        let mut out = Vec::new();
        let (now, rng) = (self.now, &mut self.rng);
        if self
            .updates
            .next_deadline()
            .is_some_and(|at| at <= now.mono)
        {
            let out = &mut out;
            self.updates.handle_deadline(&mut Cx { now, rng, out });
        }
        self.take(out);
    }

    fn handle(&mut self, input: Input<Token>) {
        let mut out = Vec::new();
        let (now, rng) = (self.now, &mut self.rng);
        let cx = &mut Cx {
            now,
            rng,
            out: &mut out,
        };
        self.updates.handle(input, cx);
        self.take(out);
    }

    fn take(&mut self, effects: Vec<Effect<Token>>) {
        for effect in effects {
            match effect {
                Effect::Deliver((which, number)) => {
                    let it = self
                        .delivered
                        .iter_mut()
                        .find(|it| Which::from(*it.0) == which);
                    it.unwrap().1.push(number);
                }
                Effect::Request(request) => self.requests.push(request),
                Effect::Gap(_) => {}
                Effect::TooLong(which) => panic!("{which:?}"),
            }
        }
    }
}

fn placed_at(which: Line, number: i32) -> Placed<Token> {
    let (pts, count) = (number, 1);
    let place = match which {
        Line::Common => Place::Common { pts, count },
        Line::Secondary => Place::Secondary { qts: number },
        Line::Channel(channel_id) => Place::Channel {
            channel_id,
            pts,
            count,
        },
    };
    Placed {
        place,
        update: Some((which.into(), number)),
    }
}
