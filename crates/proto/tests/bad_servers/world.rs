//! A client, whatever answers it, and the time between them.

use std::time::Duration;

use bytes::Bytes;
use heliogram_proto::client::{Config, Effect, Engine, Event, Input, Saved};
use heliogram_proto::cx::{Cx, Mono, Now, Unix};
use heliogram_proto::ids::SessionId;
use heliogram_proto::session::client;
use heliogram_proto::transport::{self, Framing};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;

use crate::keymaker::server_key;

/// What is at the other end of a connection.
pub(crate) trait Peer {
    /// Takes what a frame held, and returns what is answered: one frame each.
    fn take(&mut self, payload: Vec<u8>, now_unix_s: u64) -> Vec<Vec<u8>>;
}

pub(crate) struct World<P> {
    pub(crate) engine: Engine,
    pub(crate) peer: P,
    pub(crate) told: Vec<Event>,
    pub(crate) kept: Vec<Saved>,
    pub(crate) dials: usize,
    pub(crate) hang_ups: usize,
    mono: Mono,
    rng: ChaCha8Rng,
    is_open: bool,
    has_greeted: bool,
}

impl<P: Peer> World<P> {
    /// Connects a client that has this key, or none, and does without temporary ones.
    pub(crate) fn start(peer: P, saved: Option<Saved>) -> Self {
        let transport = transport::client::Config::new(Framing::Intermediate);
        let mut config = Config::new(transport, vec![server_key().public().clone()]);
        config.dc = Some(2);
        config.temp_key_life_s = None;
        let mut world = Self {
            engine: Engine::new(config, saved, SESSION),
            peer,
            told: Vec::new(),
            kept: Vec::new(),
            dials: 0,
            hang_ups: 0,
            mono: Mono(0),
            rng: ChaCha8Rng::seed_from_u64(7),
            is_open: false,
            has_greeted: false,
        };
        world.step(Engine::start);
        world
    }

    pub(crate) fn now_unix_s(&self) -> u64 {
        START_S + self.mono.0 / 1_000_000_000
    }

    /// Lets the engine take a step, and does what follows from that.
    fn step(&mut self, step: impl FnOnce(&mut Engine, &mut Cx<'_, Effect>)) {
        let mut out = Vec::new();
        let now = Now {
            mono: self.mono,
            unix: Unix::from_seconds(self.now_unix_s()),
        };
        let rng = &mut self.rng;
        step(
            &mut self.engine,
            &mut Cx {
                now,
                rng,
                out: &mut out,
            },
        );
        for effect in out {
            match effect {
                Effect::Dial => {
                    self.dials += 1;
                    (self.is_open, self.has_greeted) = (true, false);
                    self.hear(Input::Connected);
                }
                Effect::Send(bytes) => self.deliver(&bytes),
                Effect::HangUp => {
                    self.is_open = false;
                    self.hang_ups += 1;
                }
                Effect::Work(work) => {
                    let worked = work.run(&mut ChaCha8Rng::seed_from_u64(self.mono.0));
                    self.hear(Input::Worked(worked));
                }
                Effect::Keep(saved) => self.kept.push(saved),
                Effect::Tell(event) => self.told.push(event),
            }
        }
    }

    fn hear(&mut self, input: Input<'_>) {
        self.step(|engine, cx| engine.handle(input, cx));
    }

    fn deliver(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        if !self.has_greeted {
            rest = rest.strip_prefix(&[0xee; 4]).unwrap();
            self.has_greeted = true;
        }
        while let Some((length, tail)) = rest.split_first_chunk() {
            let length = usize::try_from(u32::from_le_bytes(*length)).unwrap();
            let (payload, tail) = tail.split_at(length);
            rest = tail;
            for answer in self.peer.take(payload.to_vec(), self.now_unix_s()) {
                self.bring(&answer);
            }
        }
    }

    /// Brings the client a frame, if it is still connected.
    pub(crate) fn bring(&mut self, payload: &[u8]) {
        if self.is_open {
            let length = u32::try_from(payload.len()).unwrap().to_le_bytes();
            let mut frame = [&length[..], payload].concat();
            self.hear(Input::Bytes(&mut frame));
        }
    }

    pub(crate) fn advance(&mut self, by: Duration) {
        let end = self.mono + by;
        while let Some(at) = self.engine.next_deadline().filter(|at| *at <= end) {
            self.mono = self.mono.max(at);
            self.step(Engine::handle_deadline);
        }
        self.mono = end;
    }

    /// Makes a call, and returns its number.
    pub(crate) fn call(&mut self) -> u64 {
        let due = self.mono + Duration::from_mins(10);
        let call = self.engine.call(Bytes::from_static(&CALL), due).unwrap();
        self.step(Engine::flush);
        call
    }

    pub(crate) fn is_answered(&self, call: u64) -> bool {
        self.told.iter().any(|it| {
            matches!(it, Event::Session(client::Event::Answer { call: of, .. }) if *of == call)
        })
    }
}

pub(crate) const START_S: u64 = 1_700_000_000;
pub(crate) const SESSION: SessionId = SessionId(5);

/// A method that a peer answers with itself.
pub(crate) const CALL: [u8; 4] = 0x7e57_0001_u32.to_le_bytes();
