//! A client's session and a host talk through sealed envelopes, in memory, over virtual time.

use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use heliogram_proto::cx::Cx;
use heliogram_proto::envelope::{self, Header, Message};
use heliogram_proto::host::{CallId, Input};
use heliogram_proto::ids::{LinkId, MsgId, Salt, SeqNo, SessionId};
use heliogram_proto::port::{Call, Frame, FromHost, Reply};
use heliogram_proto::session::client::Event;
use heliogram_proto::session::{Outgoing, Session};
use heliogram_proto::side::{Client, Server};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::support::{FIRST_SALT, METHOD, World, key};

/// Both ends, and what travels between them.
pub(crate) struct Pair {
    pub(crate) world: World,
    pub(crate) client: Session<Client>,
    pub(crate) link: LinkId,
    rng: ChaCha8Rng,
    /// What the client's clock adds to the server's, in nanoseconds.
    pub(crate) skew_ns: i64,
    /// Sealed frames on their way.
    pub(crate) to_server: VecDeque<Vec<u8>>,
    pub(crate) to_client: VecDeque<Vec<u8>>,
    /// Everything that the client ever sent.
    pub(crate) captured: Vec<Vec<u8>>,
    pub(crate) events: Vec<Event>,
    /// How often each token was executed.
    pub(crate) executed: BTreeMap<u64, u32>,
    /// Calls that the backend holds back.
    pub(crate) held: Vec<(CallId, Call)>,
    pub(crate) holds: bool,
    pub(crate) client_rules: ClientRules,
}

impl Pair {
    pub(crate) fn new() -> Self {
        Self::with_world(World::new(), 11)
    }

    pub(crate) fn with_world(world: World, seed: u64) -> Self {
        Self {
            world,
            client: Session::<Client>::new(SessionId(0x0c11), FIRST_SALT, 0),
            link: LinkId(1),
            rng: ChaCha8Rng::seed_from_u64(seed),
            skew_ns: 0,
            to_server: VecDeque::new(),
            to_client: VecDeque::new(),
            captured: Vec::new(),
            events: Vec::new(),
            executed: BTreeMap::new(),
            held: Vec::new(),
            holds: false,
            client_rules: ClientRules::default(),
        }
    }

    /// Calls with a token in the body.
    pub(crate) fn call(&mut self, token: u64) -> u64 {
        let mut body = METHOD.to_vec();
        body.extend_from_slice(&token.to_le_bytes());
        self.client.call(Bytes::from(body)).unwrap()
    }

    /// Seals what the client has to say.
    pub(crate) fn client_sends(&mut self) {
        let mut out: Vec<Outgoing> = Vec::new();
        let now = self.client_now();
        self.client.drain(&mut Cx {
            now,
            rng: &mut self.rng,
            out: &mut out,
        });
        for Outgoing { header, body } in out {
            self.client_rules.check(&header, &body);
            let (message, mut frame) = (
                Message {
                    header,
                    body: &body,
                },
                Vec::new(),
            );
            envelope::seal::<Client>(&key(), &message, &mut frame, &mut self.rng).unwrap();
            self.captured.push(frame.clone());
            self.to_server.push_back(frame);
        }
    }

    /// Gives the server one frame, as if from `link`.
    pub(crate) fn server_receives(&mut self, mut frame: Vec<u8>, link: LinkId) {
        let opened = envelope::open::<Server>(&key(), &mut frame).unwrap();
        let Message { header, body } = opened.message.into_inner();
        self.world.submit(Frame {
            link,
            key: self.world.facts,
            peer: SocketAddr::from((Ipv4Addr::LOCALHOST, 1)),
            salt: header.salt,
            session_id: header.session_id,
            msg_id: header.msg_id,
            seqno: header.seqno,
            body: Bytes::copy_from_slice(body),
            quick_ack: None,
        });
        let calls: Vec<_> = self.world.calls.drain(..).collect();
        for (id, call) in calls {
            let token = u64::from_le_bytes(call.body[4..12].try_into().unwrap());
            *self.executed.entry(token).or_default() += 1;
            if self.holds {
                self.held.push((id, call));
            } else {
                self.reply(id, &call);
            }
        }
    }

    /// The backend answers with what it was asked.
    pub(crate) fn reply(&mut self, id: CallId, call: &Call) {
        self.world.answer(id, Reply::Result(call.body.clone()));
    }

    /// Seals what the server has for a link.
    pub(crate) fn server_sends(&mut self, link: LinkId) {
        let (now, mut out) = (self.world.now, Vec::new());
        let rng = &mut self.rng;
        self.world.host.drain(
            link,
            &mut Cx {
                now,
                rng,
                out: &mut out,
            },
        );
        self.world.ready.retain(|&ready| ready != link);
        for effect in out {
            let FromHost::Seal {
                salt,
                session_id,
                msg_id,
                seqno,
                body,
                ..
            } = effect
            else {
                panic!("{effect:?}");
            };
            let header = Header {
                salt,
                session_id,
                msg_id,
                seqno,
            };
            let (message, mut frame) = (
                Message {
                    header,
                    body: &body,
                },
                Vec::new(),
            );
            envelope::seal::<Server>(&key(), &message, &mut frame, &mut self.rng).unwrap();
            self.to_client.push_back(frame);
        }
    }

    pub(crate) fn client_receives(&mut self, mut frame: Vec<u8>) {
        let opened = envelope::open::<Client>(&key(), &mut frame).unwrap();
        let now = self.client_now();
        let mut cx = Cx {
            now,
            rng: &mut self.rng,
            out: &mut self.events,
        };
        // A message of a session that the client has left is not acceptable: that is no failure of the test.
        let _ = self.client.handle(opened.message, &mut cx);
    }

    /// Lets both talk until neither has anything to say.
    pub(crate) fn settle(&mut self) {
        for _ in 0..1000 {
            self.client_sends();
            while let Some(frame) = self.to_server.pop_front() {
                self.server_receives(frame, self.link);
            }
            self.server_sends(self.link);
            let had_any = !self.to_client.is_empty();
            while let Some(frame) = self.to_client.pop_front() {
                self.client_receives(frame);
            }
            if !had_any && !self.client.has_output(self.world.now.mono) {
                return;
            }
        }
        panic!("they talk for ever");
    }

    /// The connection breaks: what is on its way is lost. The next one takes its place.
    pub(crate) fn reconnect(&mut self, server_notices: bool) {
        self.to_server.clear();
        self.to_client.clear();
        if server_notices {
            self.world.input(Input::Detach { link: self.link });
        }
        self.link = LinkId(self.link.0 + 1);
        self.client.reconnected();
    }

    /// The tokens of calls that have no answer.
    fn unanswered(&self, calls: &BTreeMap<u64, u64>) -> Vec<u64> {
        let answered = self.answers();
        let open = calls
            .iter()
            .filter(|(call, _)| !answered.contains_key(call));
        open.map(|(_, &token)| token).collect()
    }

    pub(crate) fn renew(&mut self) {
        let now = self.client_now();
        let out = &mut self.events;
        self.client.renew(&mut Cx {
            now,
            rng: &mut self.rng,
            out,
        });
    }

    /// The answers that have come, by the number of the call.
    pub(crate) fn answers(&self) -> BTreeMap<u64, u64> {
        let mut answers = BTreeMap::new();
        for event in &self.events {
            if let Event::Answer {
                call,
                reply: Reply::Result(body),
            } = event
            {
                let token = u64::from_le_bytes(body[4..12].try_into().unwrap());
                assert_eq!(answers.insert(*call, token), None, "answered twice");
            }
        }
        answers
    }

    fn client_now(&self) -> heliogram_proto::cx::Now {
        let mut now = self.world.now;
        now.unix.0 = now.unix.0.checked_add_signed(self.skew_ns).unwrap();
        now
    }
}

/// What every message of a client must keep to.
#[derive(Default)]
pub(crate) struct ClientRules {
    sessions: BTreeMap<SessionId, BTreeMap<MsgId, i32>>,
}

impl ClientRules {
    fn check(&mut self, header: &Header, body: &[u8]) {
        use heliogram_tl::{Deserialize, mtproto as tl, peek_id};
        let seen = self.sessions.entry(header.session_id).or_default();
        let mut inner = Vec::new();
        let is_container = peek_id(body) == Some(tl::MsgContainer::ID);
        if is_container {
            let container = tl::MsgContainer::from_bytes(body).unwrap();
            for it in container.messages.iter() {
                assert!(it.msg_id < header.msg_id.0 && it.seqno <= header.seqno.0);
                inner.push((MsgId(it.msg_id), it.seqno));
            }
            assert!(!header.seqno.is_content_related());
        }
        inner.push((header.msg_id, header.seqno.0));
        for (id, seqno) in inner {
            assert_eq!(id.0 & 3, 0);
            if let Some(&first) = seen.get(&id) {
                assert_eq!(first, seqno, "sent again with other numbers");
                continue;
            }
            let last = seen.last_key_value();
            assert!(last.is_none_or(|(&last, _)| last < id), "identifiers rise");
            let most = seen.values().max().copied().unwrap_or(0);
            assert!(
                seqno >= most && (seqno & 1 == 0 || seqno > most),
                "{seqno} after {most}"
            );
            seen.insert(id, seqno);
        }
    }
}

#[test]
fn calls_are_answered_each_with_its_own_answer() {
    let mut pair = Pair::new();
    let calls: Vec<_> = (0..300)
        .map(|token| (pair.call(1000 + token), 1000 + token))
        .collect();
    pair.settle();
    assert_eq!(pair.answers(), calls.into_iter().collect());
    assert_eq!(pair.client.calls_waiting(), 0);
    assert!(pair.executed.values().all(|&times| times == 1));
}

#[test]
fn acknowledgements_of_the_client_free_what_the_server_keeps() {
    let mut pair = Pair::new();
    pair.call(1);
    pair.settle();
    pair.world.pass_s(5);
    pair.settle();
    pair.reconnect(true);
    pair.client.ping(7, None);
    pair.client_sends();
    let frame = pair.to_server.pop_front().unwrap();
    pair.server_receives(frame, pair.link);
    pair.server_sends(pair.link);
    assert_eq!(pair.to_client.len(), 1);
    let before = pair.events.len();
    let frame = pair.to_client.pop_front().unwrap();
    pair.client_receives(frame);
    assert_eq!(pair.events[before..], [Event::Pong { ping_id: 7 }]);
}

#[test]
fn a_wrong_salt_is_repaired_and_the_calls_answered() {
    let mut pair = Pair::new();
    pair.client = Session::<Client>::new(SessionId(3), Salt(0), 0);
    for token in 0..5 {
        pair.call(token);
    }
    pair.client.ping(1, None);
    pair.settle();
    assert_eq!(pair.answers().len(), 5);
    assert!(pair.executed.values().all(|&times| times == 1));
    assert_ne!(pair.client.salt(), Salt(0));
}

#[test]
fn salts_rotate_under_a_client_that_calls_for_a_day() {
    let mut pair = Pair::new();
    for token in 0..24 * 4 {
        pair.call(token);
        if token % 8 == 0 {
            pair.client.ask_for_salts(4);
        }
        pair.settle();
        pair.world.pass_s(900);
    }
    assert_eq!(pair.answers().len(), 24 * 4);
    assert!(pair.executed.values().all(|&times| times == 1));
}

#[test]
fn a_client_whose_clock_is_wrong_learns_the_servers() {
    for skew_s in [-3600_i64, -301, 31, 86_400] {
        let mut pair = Pair::new();
        pair.skew_ns = skew_s * 1_000_000_000;
        pair.call(9);
        pair.settle();
        assert_eq!(pair.answers().len(), 1, "{skew_s} s");
        assert_eq!(pair.executed[&9], 1);
        let learned_s = pair.client.clock_offset_ns() / 1_000_000_000;
        assert!(
            (learned_s + skew_s).abs() <= 1,
            "{learned_s} s against {skew_s} s"
        );
    }
}

#[test]
fn an_unanswered_call_is_answered_after_reconnecting_and_runs_once() {
    for server_notices in [true, false] {
        let mut pair = Pair::new();
        pair.call(1);
        pair.settle();
        pair.holds = true;
        let call = pair.call(2);
        pair.client_sends();
        let frame = pair.to_server.pop_front().unwrap();
        pair.server_receives(frame, pair.link);
        pair.reconnect(server_notices);
        let (id, held) = pair.held.pop().unwrap();
        pair.reply(id, &held);
        pair.settle();
        assert_eq!(
            pair.answers().get(&call),
            Some(&2),
            "server notices: {server_notices}"
        );
        assert_eq!(pair.executed[&2], 1);
    }
}

#[test]
fn an_answer_that_was_lost_on_its_way_is_brought_again() {
    for server_notices in [true, false] {
        let mut pair = Pair::new();
        let call = pair.call(2);
        pair.client_sends();
        let frame = pair.to_server.pop_front().unwrap();
        pair.server_receives(frame, pair.link);
        pair.server_sends(pair.link);
        assert!(!pair.to_client.is_empty());
        pair.reconnect(server_notices);
        pair.settle();
        assert_eq!(pair.answers().get(&call), Some(&2));
        assert_eq!(pair.executed[&2], 1);
    }
}

#[test]
fn after_the_host_forgot_everything_the_client_goes_on() {
    let mut pair = Pair::new();
    pair.call(1);
    pair.settle();
    let mut world = World::with_term(2);
    world.now = pair.world.now;
    world.facts = pair.world.facts;
    pair.world = world;
    pair.world.pass_s(1);
    pair.reconnect(false);
    let call = pair.call(2);
    pair.settle();
    assert_eq!(pair.answers().get(&call), Some(&2));
    assert!(pair.events.contains(&Event::NewSession));
}

#[test]
fn a_captured_frame_is_never_executed_again_in_its_term_or_a_later_one() {
    let mut pair = Pair::new();
    for token in 0..5 {
        pair.call(token);
        pair.settle();
        pair.world.pass_s(6);
    }
    let captured = pair.captured.clone();
    let replay = |pair: &mut Pair, link: u64| {
        for frame in &captured {
            pair.server_receives(frame.clone(), LinkId(link));
            pair.server_sends(LinkId(link));
        }
        assert!(
            pair.executed.values().all(|&times| times == 1),
            "executed again"
        );
        pair.to_client.drain(..).collect::<Vec<_>>()
    };
    replay(&mut pair, 50);

    let mut world = World::with_term(2);
    world.now = pair.world.now;
    world.facts = pair.world.facts;
    pair.world = world;
    for mut frame in replay(&mut pair, 51) {
        use heliogram_tl::{mtproto as tl, peek_id};
        let opened = envelope::open::<Client>(&key(), &mut frame).unwrap();
        assert_eq!(peek_id(opened.message.body), Some(tl::BadServerSalt::ID));
    }
    assert_eq!(
        pair.world.host.sessions(),
        0,
        "a captured frame makes no session"
    );
}

#[test]
fn a_captured_frame_does_not_draw_answers_away_from_the_client() {
    let mut pair = Pair::new();
    pair.holds = true;
    let call = pair.call(1);
    pair.client_sends();
    let frame = pair.to_server.pop_front().unwrap();
    pair.server_receives(frame.clone(), pair.link);
    pair.server_receives(frame, LinkId(66));
    let (id, held) = pair.held.pop().unwrap();
    pair.reply(id, &held);
    pair.settle();
    assert_eq!(pair.answers().get(&call), Some(&1));
}

#[test]
fn a_client_gives_up_after_five_refusals_in_a_row() {
    let mut pair = Pair::new();
    pair.call(1);
    // Another server's clock and salts at each step: nothing that the client learns helps.
    for step in 0..20_u64 {
        pair.client_sends();
        let Some(frame) = pair.to_server.pop_front() else {
            break;
        };
        pair.world = World::with_term(100 + step);
        pair.world.pass_s(step);
        pair.world.facts.first_salt = None;
        pair.server_receives(frame, pair.link);
        pair.server_sends(pair.link);
        while let Some(frame) = pair.to_client.pop_front() {
            pair.client_receives(frame);
        }
    }
    assert_eq!(
        pair.events
            .iter()
            .filter(|&it| *it == Event::GaveUp)
            .count(),
        1
    );
}

#[test]
fn a_refusal_of_a_message_that_was_never_sent_is_not_believed() {
    use heliogram_tl::{Serialize, mtproto as tl};
    let mut pair = Pair::new();
    pair.call(1);
    pair.settle();
    let salt = pair.client.salt();
    let body = tl::BadServerSalt {
        bad_msg_id: 4,
        bad_msg_seqno: 0,
        error_code: 48,
        new_server_salt: 666,
    };
    let msg_id = MsgId(crate::support::client_id_at(pair.world.now.unix.seconds() + 1).0 | 1);
    let header = Header {
        salt,
        session_id: pair.client.id(),
        msg_id,
        seqno: SeqNo(0),
    };
    let (body, mut frame) = (body.to_bytes(), Vec::new());
    let message = Message {
        header,
        body: &body,
    };
    envelope::seal::<Server>(&key(), &message, &mut frame, &mut pair.rng).unwrap();
    pair.client_receives(frame);
    assert_eq!(pair.client.salt(), salt);
}

#[test]
fn an_object_that_nobody_asked_for_is_an_update_and_is_acknowledged() {
    let mut pair = Pair::new();
    pair.call(1);
    pair.settle();
    pair.world.pass_s(10);
    pair.settle();
    let msg_id = MsgId(crate::support::client_id_at(pair.world.now.unix.seconds() + 1).0 | 3);
    let seqno = SeqNo(1);
    let header = Header {
        salt: Salt(1),
        session_id: pair.client.id(),
        msg_id,
        seqno,
    };
    let body = 0xe317_af7e_u32.to_le_bytes();
    for _ in 0..2 {
        let (message, mut frame) = (
            Message {
                header,
                body: &body,
            },
            Vec::new(),
        );
        envelope::seal::<Server>(&key(), &message, &mut frame, &mut pair.rng).unwrap();
        pair.client_receives(frame);
    }
    let updates = pair
        .events
        .iter()
        .filter(|it| matches!(it, Event::Update(_)))
        .count();
    assert_eq!(updates, 1, "a second copy is not delivered");
    assert!(pair.client.next_deadline().is_some());
}

#[test]
fn a_thousand_random_faults_lose_and_double_nothing() {
    for seed in 0..20 {
        let mut pair = Pair::with_world(World::new(), seed);
        let mut dice = ChaCha8Rng::seed_from_u64(seed ^ 0xd1ce);
        let mut calls = BTreeMap::new();
        for step in 0..400_u64 {
            match dice.next_u32() % 10 {
                0..4 => {
                    calls.insert(pair.call(step), step);
                }
                4 => pair.client_sends(),
                5 => {
                    while let Some(frame) = pair.to_server.pop_front() {
                        pair.server_receives(frame, pair.link);
                    }
                }
                6 => pair.server_sends(pair.link),
                7 => {
                    while let Some(frame) = pair.to_client.pop_front() {
                        pair.client_receives(frame);
                    }
                }
                8 => pair
                    .world
                    .pass(Duration::from_millis(u64::from(dice.next_u32() % 3000))),
                _ => match dice.next_u32() % 4 {
                    0 => pair.reconnect(dice.next_u32() % 2 == 0),
                    1 => {
                        pair.holds = !pair.holds;
                        for (id, call) in std::mem::take(&mut pair.held) {
                            pair.reply(id, &call);
                        }
                    }
                    2 if !pair.captured.is_empty() => {
                        let at = usize::try_from(dice.next_u32()).unwrap() % pair.captured.len();
                        pair.server_receives(pair.captured[at].clone(), LinkId(9999));
                        pair.server_sends(LinkId(9999));
                        pair.to_client.clear();
                        pair.reconnect(true);
                    }
                    _ => {}
                },
            }
        }
        pair.holds = false;
        for (id, call) in std::mem::take(&mut pair.held) {
            pair.reply(id, &call);
        }
        pair.reconnect(true);
        pair.settle();
        assert_eq!(pair.answers(), calls, "seed {seed}");
        assert!(
            pair.executed.values().all(|&times| times == 1),
            "seed {seed}"
        );
        assert_eq!(pair.world.host.calls_running(), 0);
        assert!(
            !pair
                .events
                .iter()
                .any(|it| matches!(it, Event::Restarted { .. }))
        );
    }
}

#[test]
fn when_the_host_crashes_every_call_is_answered_and_only_unanswered_ones_run_twice() {
    for seed in 0..20 {
        let mut pair = Pair::with_world(World::new(), seed);
        let mut dice = ChaCha8Rng::seed_from_u64(seed ^ 0xc4a5);
        let mut calls = BTreeMap::new();
        let mut may_double = std::collections::BTreeSet::new();
        for step in 0..300_u64 {
            pair.world
                .pass(Duration::from_millis(u64::from(dice.next_u32() % 500)));
            match dice.next_u32() % 8 {
                0..3 => {
                    calls.insert(pair.call(step), step);
                }
                3 => pair.client_sends(),
                4 => {
                    while let Some(frame) = pair.to_server.pop_front() {
                        pair.server_receives(frame, pair.link);
                    }
                }
                5 => pair.server_sends(pair.link),
                6 => {
                    while let Some(frame) = pair.to_client.pop_front() {
                        pair.client_receives(frame);
                    }
                }
                _ if dice.next_u32() % 4 == 0 => {
                    may_double.extend(pair.unanswered(&calls));
                    let mut world = World::with_term(pair.world.host.term().0 + 1);
                    world.now = pair.world.now;
                    world.facts = pair.world.facts;
                    pair.world = world;
                    pair.world.pass_s(1);
                    pair.reconnect(false);
                }
                _ if pair.events.contains(&Event::GaveUp) => {
                    pair.events.retain(|it| *it != Event::GaveUp);
                    // New calls, by what is promised.
                    may_double.extend(pair.unanswered(&calls));
                    pair.renew();
                }
                _ => {}
            }
        }
        pair.reconnect(true);
        pair.world.pass_s(1);
        pair.settle();
        if pair.events.contains(&Event::GaveUp) {
            may_double.extend(pair.unanswered(&calls));
            pair.renew();
            pair.settle();
        }
        assert_eq!(pair.answers(), calls, "seed {seed}");
        for (token, &times) in &pair.executed {
            assert!(
                times == 1 || may_double.contains(token),
                "{token} ran {times} times"
            );
        }
    }
}
