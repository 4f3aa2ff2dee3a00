//! Any bytes, as what another node says: refused, or read as what can be written again, and taken by a host that lives with it.

#![expect(clippy::expect_used, reason = "whoever tries it wants to hear of it")]

use core::convert::Infallible;
use core::time::Duration;

use bytes::Bytes;
use heliogram_crypto::SecretBytes;
use rand_core::{TryCryptoRng, TryRng};

use super::{Error, decode, encode};
use crate::cx::{Cx, Mono, Now, Unix};
use crate::exchange::binding;
use crate::host::{Config, Effect, Host, Input, PreparedAnswer};
use crate::ids::{LinkId, Term};
use crate::port::Reply;

/// Reads the bytes, writes what they are, reads that again, and has a host take it, answer what it asks and let time pass.
///
/// # Panics
///
/// When what was read is written as something else, or the host goes wrong.
pub fn wire(bytes: &[u8]) {
    let alone = decode(bytes, NOW, &mut |_| None).err();
    let Ok(input) = decode(bytes, NOW, &mut Some) else {
        return assert_eq!(alone, Some(Error::Malformed));
    };
    let is_frame = matches!(input, Input::Frame(_));
    assert_eq!(alone, is_frame.then_some(Error::LinkGone));

    let written = encode(&input, NOW).expect("what was read can be written");
    let again = decode(&written, NOW, &mut Some).expect("what was written can be read");
    assert_eq!(format!("{again:?}"), format!("{input:?}"));
    assert_eq!(encode(&again, NOW).as_ref(), Some(&written));

    let links = input.links();
    let mut life = Life::new();
    life.tell(input);
    life.drain(&links);
    life.pass(&links);
    for &link in &links {
        life.tell(Input::Detach { link });
    }
    assert!(!life.host.has_links(), "a connection stays after its end");
    life.pass(&links);
}

/// A host, and whoever carries out what it wants.
struct Life {
    host: Host,
    now: Now,
    rng: Counting,
}

impl Life {
    fn new() -> Self {
        let config = Config::new(Term(1), SecretBytes::new([1; 32]));
        Self {
            host: Host::new(config),
            now: NOW,
            rng: Counting(0),
        }
    }

    /// Tells the host something, and what comes of it, some steps deep.
    fn tell(&mut self, input: Input) {
        let mut next = vec![input];
        for _ in 0..STEPS_MAX {
            let Some(input) = next.pop() else {
                return;
            };
            let effects = self.step(|host, cx| host.handle(input, cx));
            next.extend(effects.into_iter().filter_map(consequence));
        }
    }

    fn drain(&mut self, links: &[LinkId]) {
        let mut out = Vec::new();
        for &link in links {
            let (now, rng) = (self.now, &mut self.rng);
            let out = &mut out;
            self.host.drain(link, &mut Cx { now, rng, out });
        }
    }

    /// Lets some deadlines pass. What is due does not stay due.
    fn pass(&mut self, links: &[LinkId]) {
        for _ in 0..STEPS_MAX {
            let due = self.host.next_deadline().filter(|it| *it < END);
            let Some(at) = due.map(|it| it.max(self.now.mono)) else {
                return;
            };
            let passed = at.since(self.now.mono);
            let unix = Unix::from_seconds(self.now.unix.seconds() + passed.as_secs());
            self.now = Now { mono: at, unix };
            let effects = self.step(Host::handle_deadline);
            let left = self.host.next_deadline();
            assert!(left.is_none_or(|it| it > at), "it is due for ever");
            for input in effects.into_iter().filter_map(consequence) {
                self.tell(input);
            }
            self.drain(links);
        }
    }

    fn step(&mut self, step: impl FnOnce(&mut Host, &mut Cx<'_, Effect>)) -> Vec<Effect> {
        let (now, rng, mut out) = (self.now, &mut self.rng, Vec::new());
        let mut cx = Cx {
            now,
            rng,
            out: &mut out,
        };
        step(&mut self.host, &mut cx);
        out
    }
}

/// Says what follows from an effect: backends answer, stores can't say, and everything for this host's keys is its own.
fn consequence(effect: Effect) -> Option<Input> {
    let answer = |call| {
        let answer = PreparedAnswer::new(Reply::Result(Bytes::from_static(&[1; 4])));
        Input::Answer { call, answer }
    };
    match effect {
        Effect::Call { id, .. } | Effect::DropKeys { id, .. } => Some(answer(id)),
        Effect::Bind { id: call, .. } => Some(Input::Bound {
            call,
            outcome: Err(binding::Error::Unavailable),
        }),
        Effect::DestroyKey { asked } => Some(Input::Destroyed { asked, keys: None }),
        Effect::HandOver(handover) => Some(Input::TakeOver(handover)),
        Effect::TakenOver { key } => Some(Input::TakenOver { key: key.id }),
        Effect::Forward { input, .. } => Some(*input),
        Effect::Ready { .. }
        | Effect::Cancel { .. }
        | Effect::Fanout { .. }
        | Effect::FindUser { .. } => None,
    }
}

/// As random as a test needs, and always the same.
struct Counting(u64);

impl TryRng for Counting {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.0 = self.0.wrapping_add(1);
        Ok(u32::try_from(self.0 & 0xffff_ffff).unwrap_or(0))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.0 = self.0.wrapping_add(1);
        Ok(self.0)
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        self.0 = self.0.wrapping_add(1);
        out.fill(self.0.to_le_bytes()[0]);
        Ok(())
    }
}

impl TryCryptoRng for Counting {}

/// A chain of effects ends long before.
const STEPS_MAX: usize = 64;

/// The time at which the corpus was written.
const NOW: Now = Now {
    mono: Mono(1_000_000_000_000),
    unix: Unix::from_seconds(1_700_000_000),
};

/// A year later: of what is due after that, nobody is there to see it.
const END: Mono = Mono(NOW.mono.0 + Duration::from_hours(365 * 24).as_secs() * 1_000_000_000);

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::{ANSWER, FRAME, PUSH, REVOKED, TAKE_OVER, TAKEN_OVER, USER};
    use super::*;

    /// One of each kind as nodes write them, what the fuzzer has grown from them, and what once made it fail.
    #[test]
    fn whatever_is_in_the_corpus_is_refused_or_taken_and_every_kind_is_there() {
        let corpus = include_str!("../../../../../fuzz/corpora/wire.txt");
        let (mut taken, mut refused) = (BTreeSet::new(), 0);
        for bytes in corpus.lines().map(bytes) {
            wire(&bytes);
            match decode(&bytes, NOW, &mut Some) {
                Ok(_) => drop(taken.insert(bytes[1])),
                Err(_) => refused += 1,
            }
        }
        let kinds = [FRAME, ANSWER, TAKE_OVER, TAKEN_OVER, REVOKED, USER, PUSH];
        assert_eq!(taken, kinds.into());
        assert!(refused > 3);
    }

    fn bytes(hex: &str) -> Vec<u8> {
        let (pairs, []) = hex.as_bytes().as_chunks::<2>() else {
            panic!("{hex}");
        };
        let number = |pair| u8::from_str_radix(core::str::from_utf8(pair).unwrap(), 16).unwrap();
        pairs.iter().map(|pair| number(pair)).collect()
    }
}
