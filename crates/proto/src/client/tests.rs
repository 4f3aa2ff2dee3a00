//! The engine against a scripted server, on virtual time: keys that end, bindings that fail, servers that say nothing.

mod disguise;
mod weak_points;

use core::time::Duration;
use std::sync::Arc;

use bytes::Bytes;
use heliogram_crypto::AuthKey;
use rand_chacha::ChaCha8Rng;

use super::{Config, Effect, Engine, Event, Input, Saved};
use crate::cx::{Cx, Mono, Now, Unix};
use crate::envelope::{self, Header, Message};
use crate::exchange::plain;
use crate::exchange::server::{AwaitClientDh, AwaitReqDh, Query, Step};
use crate::exchange::testing::{NOW_S, TERM, random, server_config, server_key};
use crate::ids::{AuthKeyId, MsgId, Salt, SeqNo, SessionId};
use crate::limits::CALLS_RUNNING_MAX;
use crate::session::client;
use crate::side::Server as ServerSide;
use crate::transport::{self, Framing};

#[test]
fn a_key_is_renewed_before_it_ends_and_no_deadline_stays_due_meanwhile() {
    let mut world = World::new();
    world.start();
    let first = world.server.bound[0];
    world.begin_renewal();
    let before_end = (LIFE - world.mono.since(Mono(0))).as_secs() / 60;
    assert!((49..=70).contains(&before_end), "{before_end} minutes");
    assert!(world.engine.is_ready());
    assert!(world.engine.next_deadline().unwrap() > world.mono);
    world.answer_held();
    assert_eq!(world.server.bound.len(), 2);
    assert_ne!(world.server.bound[1], first);
    world.call_is_answered();
    assert_eq!(world.server.last_key, Some(world.server.bound[1]));
    assert_eq!(world.dials, 1);
}

#[test]
fn a_client_that_was_away_until_its_key_had_ended_makes_another() {
    let mut world = World::new();
    world.start();
    world.server.is_gone = true;
    world.hear(Input::Disconnected);
    world.advance(LIFE * 2);
    world.server.is_gone = false;
    let call = world.call(LIFE);
    world.advance(Duration::from_mins(1));
    assert!(world.is_answered(call));
    assert_eq!(world.server.bound.len(), 2);
}

#[test]
fn a_temporary_key_that_the_server_has_lost_is_made_anew_even_while_it_is_renewed() {
    for renewing in [false, true] {
        let mut world = World::new();
        world.start();
        if renewing {
            world.begin_renewal();
        }
        world.server.keys.clear();
        world.server.keys.push(permanent());
        let call = world.call(LIFE);
        world.advance(Duration::from_mins(1));
        assert!(world.is_answered(call), "renewing: {renewing}");
        assert!(!world.told.contains(&Event::KeyLost));
    }
}

#[test]
fn a_renewal_that_the_server_does_not_bind_costs_neither_connection_nor_permanent_key() {
    let mut world = World::new();
    world.start();
    world.server.refuses_bindings = Some(400);
    while world.server.refused == 0 {
        world.advance(Duration::from_secs(5));
    }
    world.advance(Duration::from_mins(5));
    assert!((5..=6).contains(&world.server.refused));
    assert_eq!(world.dials, 1);
    assert!(!world.told.contains(&Event::KeyLost));
    world.call_is_answered();
    world.server.refuses_bindings = None;
    world.advance(Duration::from_mins(2));
    assert_eq!(world.server.bound.len(), 2);
}

#[test]
fn a_new_key_that_is_not_bound_makes_the_permanent_one_doubtful_but_trouble_does_not() {
    for (code, is_lost) in [(400, true), (500, false)] {
        let mut world = World::new();
        world.server.refuses_bindings = Some(code);
        world.start();
        world.advance(Duration::from_secs(20));
        assert_eq!(world.told.contains(&Event::KeyLost), is_lost, "{code}");
    }
}

#[test]
fn a_binding_goes_out_however_many_calls_wait_for_it() {
    let mut world = World::new();
    for _ in 0..CALLS_RUNNING_MAX {
        let due = world.mono + LIFE;
        world.engine.call(Bytes::from_static(&CALL), due).unwrap();
    }
    world.start();
    assert!(world.engine.is_ready());
    world.advance(Duration::from_secs(1));
    assert_eq!(world.engine.calls_waiting(), 0);
}

#[test]
fn a_binding_without_an_answer_is_made_again_on_another_connection() {
    let mut world = World::new();
    world.server.ignores_bindings = true;
    world.start();
    world.advance(Duration::from_secs(14));
    assert_eq!(world.dials, 1);
    world.server.ignores_bindings = false;
    world.advance(Duration::from_secs(4));
    assert_eq!((world.dials, world.server.bound.len()), (2, 1));
}

#[test]
fn a_query_of_an_exchange_is_repeated_with_the_same_bytes_on_a_new_connection() {
    let mut world = World::new();
    world.server.holds_exchanges = true;
    world.start();
    world.hear(Input::Disconnected);
    world.advance(Duration::from_secs(5));
    let held = &world.server.held;
    assert_eq!(held.len(), 2);
    assert_eq!(held[0], held[1]);
    assert_eq!(world.dials, 2);
}

#[test]
fn a_new_connection_is_used_at_once_though_nobody_calls() {
    let mut world = World::new();
    world.start();
    // What is to be acknowledged is.
    world.advance(Duration::from_secs(10));
    let before = world.server.last_id;
    world.hear(Input::Disconnected);
    world.advance(Duration::from_secs(3));
    assert_eq!(world.dials, 2);
    assert!(world.server.last_id > before);
}

#[test]
fn a_server_that_says_nothing_is_given_up_after_90_s_and_not_before() {
    let mut world = World::new();
    world.start();
    world.server.is_silent = true;
    world.advance(Duration::from_secs(89));
    assert_eq!(world.dials, 1);
    world.advance(Duration::from_secs(1));
    assert!(!world.engine.is_ready());
    world.server.is_silent = false;
    world.advance(Duration::from_secs(5));
    assert_eq!(world.dials, 2);
    world.call_is_answered();
}

#[test]
fn a_clock_that_is_ten_minutes_wrong_is_put_right_by_the_exchange() {
    for skew_s in [-600, 600] {
        let mut world = World::new();
        world.skew_s = skew_s;
        world.start();
        world.call_is_answered();
        let sent_s = world.server.last_id >> 32;
        assert!((sent_s - world.server_s()).abs() <= 2, "{skew_s}: {sent_s}");
    }
}

#[test]
fn a_client_that_is_stopped_stays_so_whatever_it_was_about() {
    let mut world = World::new();
    world.server.holds_exchanges = true;
    world.start();
    world.step(Engine::stop);
    world.advance(LIFE);
    assert_eq!((world.dials, world.engine.next_deadline()), (1, None));
}

#[test]
fn debug_output_of_an_engine_shows_no_call() {
    let mut world = World::new();
    let body = Bytes::from_static(b"secret!!");
    world.engine.call(body, Mono(1)).unwrap();
    let text = format!("{:?}", world.engine);
    assert!(!text.contains("secret"), "{text}");
}

/// A client, a server, and the time between them.
struct World {
    engine: Engine,
    server: Server,
    mono: Mono,
    /// The client's wall clock minus the server's.
    skew_s: i64,
    rng: ChaCha8Rng,
    told: Vec<Event>,
    dials: usize,
    /// Whether the client holds a connection open, and has sent its first bytes.
    is_open: bool,
    has_greeted: bool,
    /// Whoever runs its work panics.
    loses_work: bool,
}

impl World {
    fn new() -> Self {
        let transport = transport::client::Config::new(Framing::Intermediate);
        let mut config = Config::new(transport, vec![server_key().public().clone()]);
        config.dc = Some(2);
        let saved = Saved {
            key: permanent(),
            salt: Salt(1),
            clock_offset_ns: 0,
        };
        Self {
            engine: Engine::new(config, Some(saved), SessionId(5)),
            server: Server {
                keys: vec![permanent()],
                ..Server::default()
            },
            mono: Mono(0),
            skew_s: 0,
            rng: random(7),
            told: Vec::new(),
            dials: 0,
            is_open: false,
            has_greeted: false,
            loses_work: false,
        }
    }

    fn start(&mut self) {
        self.step(Engine::start);
    }

    /// Lets time pass until a renewal has begun, whose first query waits for its answer.
    fn begin_renewal(&mut self) {
        self.server.holds_exchanges = true;
        while self.server.held.is_empty() {
            self.advance(Duration::from_secs(5));
        }
        self.server.holds_exchanges = false;
    }

    fn server_s(&self) -> i64 {
        i64::try_from(NOW_S + self.mono.0 / 1_000_000_000).unwrap()
    }

    fn hear(&mut self, input: Input<'_>) {
        if matches!(input, Input::Disconnected) {
            self.is_open = false;
        }
        self.step(|engine, cx| engine.handle(input, cx));
    }

    /// Lets the engine take a step, and does what follows from that.
    fn step(&mut self, step: impl FnOnce(&mut Engine, &mut Cx<'_, Effect>)) {
        let unix_s = self.server_s() + self.skew_s;
        let mut out = Vec::new();
        step(
            &mut self.engine,
            &mut Cx {
                now: Now {
                    mono: self.mono,
                    unix: Unix::from_seconds(unix_s.try_into().unwrap()),
                },
                rng: &mut self.rng,
                out: &mut out,
            },
        );
        for effect in out {
            match effect {
                Effect::Dial => {
                    self.dials += 1;
                    self.has_greeted = false;
                    self.is_open = !self.server.is_gone;
                    self.hear(if self.server.is_gone {
                        Input::Disconnected
                    } else {
                        Input::Connected
                    });
                }
                Effect::Send(bytes) => self.deliver(&bytes),
                Effect::HangUp => self.is_open = false,
                Effect::Work(work) => {
                    let lost = work.lost();
                    let worked = if self.loses_work {
                        lost
                    } else {
                        work.run(&mut random(11))
                    };
                    self.hear(Input::Worked(worked));
                }
                Effect::Keep(_) => {}
                Effect::Tell(event) => self.told.push(event),
            }
        }
    }

    fn deliver(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        if !self.has_greeted {
            rest = rest.strip_prefix(&[0xee; 4]).unwrap();
            self.has_greeted = true;
        }
        while let Some((length, tail)) = rest.split_first_chunk() {
            let (frame, tail) = tail.split_at(length_of(*length));
            rest = tail;
            for answer in self.server.take(frame.to_vec(), self.server_s()) {
                self.bring(&answer);
            }
        }
    }

    fn bring(&mut self, payload: &[u8]) {
        if self.is_open && !self.server.is_silent {
            let length = u32::try_from(payload.len()).unwrap().to_le_bytes();
            let mut frame = [&length[..], payload].concat();
            self.hear(Input::Bytes(&mut frame));
        }
    }

    fn answer_held(&mut self) {
        for query in core::mem::take(&mut self.server.held) {
            for answer in self.server.on_query(&query, self.server_s()) {
                self.bring(&answer);
            }
        }
    }

    /// Lets time pass. A deadline that is not settled when it is handled is a busy loop.
    fn advance(&mut self, by: Duration) {
        let end = self.mono + by;
        while let Some(at) = self.engine.next_deadline().filter(|at| *at <= end) {
            self.mono = self.mono.max(at);
            self.step(Engine::handle_deadline);
            let next = self.engine.next_deadline();
            assert!(next.is_none_or(|at| at > self.mono), "still due: {next:?}");
        }
        self.mono = end;
    }

    fn call(&mut self, time: Duration) -> u64 {
        let due = self.mono + time;
        let call = self.engine.call(Bytes::from_static(&CALL), due).unwrap();
        self.step(Engine::flush);
        call
    }

    fn call_is_answered(&mut self) {
        let call = self.call(LIFE);
        assert!(self.is_answered(call), "{:?}", self.told);
    }

    fn is_answered(&self, call: u64) -> bool {
        self.told.iter().any(|it| {
            matches!(it, Event::Session(client::Event::Answer { call: of, .. }) if *of == call)
        })
    }
}

/// A server that answers at once whatever it is asked, unless it is told not to.
#[derive(Default)]
struct Server {
    keys: Vec<AuthKey>,
    bound: Vec<AuthKeyId>,
    first: Option<AwaitReqDh>,
    second: Option<AwaitClientDh>,
    /// Queries of exchanges that were not answered yet.
    held: Vec<Vec<u8>>,
    holds_exchanges: bool,
    /// Somebody stands in the way, and offers a key that nobody knows.
    offers_strange_key: bool,
    refuses_bindings: Option<i32>,
    ignores_bindings: bool,
    refused: usize,
    is_silent: bool,
    is_gone: bool,
    /// What the last envelope was sealed with, and its identifier.
    last_key: Option<AuthKeyId>,
    last_id: i64,
    ids: i64,
}

impl Server {
    fn take(&mut self, mut payload: Vec<u8>, now_s: i64) -> Vec<Vec<u8>> {
        if plain::is_plain(&payload) {
            let body = plain::parse(&payload).unwrap().body.to_vec();
            if self.holds_exchanges {
                self.held.push(body);
                return Vec::new();
            }
            return self.on_query(&body, now_s);
        }
        let id = AuthKeyId(i64::from_le_bytes(payload[..8].try_into().unwrap()));
        let Some(key) = self.keys.iter().find(|it| it.id() == id).cloned() else {
            return vec![(-404_i32).to_le_bytes().to_vec()];
        };
        let opened = envelope::open::<ServerSide>(&key, &mut payload).unwrap();
        let Message { header, body } = opened.message.into_inner();
        (self.last_key, self.last_id) = (Some(id), header.msg_id.0);
        let mut messages = Vec::new();
        if body[..4] == CONTAINER {
            let mut rest = &body[8..];
            while !rest.is_empty() {
                let length = length_of(rest[12..16].try_into().unwrap());
                messages.push((rest[..8].to_vec(), rest[16..16 + length].to_vec()));
                rest = &rest[16 + length..];
            }
        } else {
            messages.push((header.msg_id.0.to_le_bytes().to_vec(), body.to_vec()));
        }
        let mut answers = Vec::new();
        for (msg_id, body) in messages {
            let answer = if body[..4] == PING {
                [&PONG[..], &msg_id, &body[4..12]].concat()
            } else if let Some(result) = self.result(id, &body) {
                [&RPC_RESULT[..], &msg_id, &result].concat()
            } else {
                continue;
            };
            answers.push(self.seal(&key, &header, &answer, now_s));
        }
        answers
    }

    fn result(&mut self, key: AuthKeyId, body: &[u8]) -> Option<Vec<u8>> {
        if body == CALL {
            return Some(CALL.to_vec());
        }
        if body[..4] != BIND || self.ignores_bindings {
            return None;
        }
        if let Some(code) = self.refuses_bindings {
            self.refused += 1;
            return Some([&RPC_ERROR[..], &code.to_le_bytes(), b"\x03BAD"].concat());
        }
        self.bound.push(key);
        Some(super::on_key::BOOL_TRUE.to_vec())
    }

    fn seal(&mut self, key: &AuthKey, asked: &Header, body: &[u8], now_s: i64) -> Vec<u8> {
        self.ids += 4;
        let header = Header {
            msg_id: MsgId((now_s << 32) + self.ids + 1),
            seqno: SeqNo(i32::try_from(self.ids).unwrap() / 2 + 1),
            ..*asked
        };
        let mut sealed = Vec::new();
        let message = Message { header, body };
        envelope::seal::<ServerSide>(key, &message, &mut sealed, &mut random(3)).unwrap();
        sealed
    }

    fn on_query(&mut self, query: &[u8], now_s: i64) -> Vec<Vec<u8>> {
        let unix = Unix::from_seconds(now_s.try_into().unwrap());
        let now = Now {
            mono: Mono(0),
            unix,
        };
        let mut rng = random(u64::try_from(self.ids).unwrap() + 100);
        let config = Arc::new(server_config());
        let answer = match Query::parse(query).unwrap().0 {
            Query::ReqPq { nonce } => {
                let state = AwaitReqDh::begin(nonce, &mut rng);
                let mut answer = state.res_pq(&config.keys);
                if self.offers_strange_key {
                    *answer.last_mut().unwrap() ^= 1;
                }
                self.first = Some(state);
                answer
            }
            Query::Step(Step::ReqDhParams(query)) => {
                let state = self.first.take().unwrap();
                let agreed = state.handle(&query, &config).unwrap().run(&mut rng);
                let (state, answer) = agreed.unwrap().answer(now, &mut rng).unwrap();
                self.second = Some(state);
                answer
            }
            Query::Step(Step::SetClientDhParams(query)) => {
                let derived = self.second.take().unwrap().handle(&query).unwrap().run();
                self.keys
                    .push(derived.record(now, &TERM.into()).unwrap().key);
                derived.accept()
            }
            Query::MsgsAck => return Vec::new(),
        };
        self.ids += 4;
        let id = plain::answer_id(unix, None);
        vec![plain::build(id, &answer)]
    }
}

fn length_of(bytes: [u8; 4]) -> usize {
    usize::try_from(u32::from_le_bytes(bytes)).unwrap()
}

fn permanent() -> AuthKey {
    AuthKey::new([7; 256])
}

/// How long a temporary key lives.
const LIFE: Duration = Duration::from_hours(24);
const CALL: [u8; 4] = 0x7e57_0001_u32.to_le_bytes();
const CONTAINER: [u8; 4] = 0x73f1_f8dc_u32.to_le_bytes();
const RPC_RESULT: [u8; 4] = 0xf35c_6d01_u32.to_le_bytes();
const RPC_ERROR: [u8; 4] = 0x2144_ca19_u32.to_le_bytes();
const BIND: [u8; 4] = 0xcdd4_2a05_u32.to_le_bytes();
const PING: [u8; 4] = 0xf342_7b8c_u32.to_le_bytes();
const PONG: [u8; 4] = 0x3477_73c5_u32.to_le_bytes();
