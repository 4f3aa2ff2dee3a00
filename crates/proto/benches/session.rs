//! What a host spends on a message, without opening and sealing.
//!
//! A call finds its link, its identity and its session in three trees, inserts one identifier into a sorted queue, and
//! becomes two effects; its answer is written once into a buffer of its own. Some hundred nanoseconds, one
//! allocation. In a container of 100 the trees are searched once, and what remains is a copy of some 100 bytes each.

use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use divan::Bencher;
use divan::counter::ItemsCount;
use heliogram_crypto::{AuthKeyId, SecretBytes};
use heliogram_proto::cx::{Cx, Mono, Now, Unix};
use heliogram_proto::host::{Config, Effect, Host, Input, PreparedAnswer, PreparedFrame};
use heliogram_proto::ids::{LinkId, MsgId, Salt, SeqNo, SessionId, Term};
use heliogram_proto::port::{FirstSalt, Frame, FromHost, KeyFacts, KeyKind, Reply};
use heliogram_tl::mtproto::{Message, MsgContainer, MsgsAck, Ping};
use heliogram_tl::{Deserialize, Serialize, peek_id};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

fn main() {
    divan::main();
}

#[divan::bench(args = [0, 10_000])]
fn call_and_answer(bencher: Bencher<'_, '_>, other_sessions: i64) {
    let mut host = Driver::new(other_sessions);
    bencher.bench_local(|| {
        host.send(CALL.to_le_bytes().to_vec(), true);
        host.answer_and_drain();
    });
}

#[divan::bench]
fn ping_and_pong(bencher: Bencher<'_, '_>) {
    let mut host = Driver::new(0);
    let ping = Ping { ping_id: 1 }.to_bytes();
    bencher.bench_local(|| {
        host.send(ping.clone(), false);
        host.answer_and_drain();
    });
}

#[divan::bench]
fn container_of_100_calls(bencher: Bencher<'_, '_>) {
    let mut host = Driver::new(0);
    bencher.counter(ItemsCount::new(100_usize)).bench_local(|| {
        let call = CALL.to_le_bytes();
        let messages: Vec<_> = (0..100).map(|_| host.number(true, &call)).collect();
        let container = MsgContainer {
            messages: messages.as_slice().into(),
        };
        host.send(container.to_bytes(), false);
        host.answer_and_drain();
    });
}

/// A host with one client that acknowledges what it gets.
struct Driver {
    host: Host,
    now: Now,
    rng: ChaCha8Rng,
    effects: Vec<Effect>,
    out: Vec<FromHost>,
    sent: i64,
    seqno: i32,
    got: Vec<i64>,
    key: i64,
}

impl Driver {
    fn new(other_sessions: i64) -> Self {
        let mut driver = Self {
            host: Host::new(Config::new(Term(1), SecretBytes::new([7; 32]))),
            now: Now {
                mono: Mono(0),
                unix: Unix::from_seconds(START_S),
            },
            rng: ChaCha8Rng::seed_from_u64(1),
            effects: Vec::new(),
            out: Vec::new(),
            sent: 0,
            seqno: 0,
            got: Vec::new(),
            key: 0,
        };
        for key in 1..=other_sessions {
            driver.key = key;
            driver.send(CALL.to_le_bytes().to_vec(), true);
            driver.answer_and_drain();
        }
        driver.key = 0;
        driver
    }

    /// Gives a message its numbers.
    fn number<'a>(&mut self, content_related: bool, body: &'a [u8]) -> Message<'a> {
        self.sent += 4;
        let seqno = self.seqno | i32::from(content_related);
        self.seqno = self.seqno.wrapping_add(if content_related { 2 } else { 0 });
        Message {
            msg_id: CLIENT_IDS_FROM + self.sent,
            seqno,
            body,
        }
    }

    fn send(&mut self, body: Vec<u8>, content_related: bool) {
        // Time goes on, so that what is remembered stays as it is in real life.
        self.now.mono.0 += 1000;
        let Message { msg_id, seqno, .. } = self.number(content_related, &[]);
        let salt = Salt(1);
        let first_salt = Some(FirstSalt {
            salt,
            term: Term(1),
            since_unix_s: START_S,
        });
        let frame = Frame {
            link: LinkId(self.key.cast_unsigned()),
            key: KeyFacts {
                id: AuthKeyId(self.key),
                kind: KeyKind::Permanent,
                perm: None,
                dc: None,
                first_salt,
            },
            peer: SocketAddr::from((Ipv4Addr::LOCALHOST, 1)),
            salt,
            session_id: SessionId(1),
            msg_id: MsgId(msg_id),
            seqno: SeqNo(seqno),
            body: Bytes::from(body),
            quick_ack: None,
            is_http: false,
            term: None,
            trace: None,
        };
        self.input(Input::Frame(PreparedFrame::new(frame)));
    }

    fn input(&mut self, input: Input) {
        let out = &mut self.effects;
        self.host.handle(
            input,
            &mut Cx {
                now: self.now,
                rng: &mut self.rng,
                out,
            },
        );
    }

    fn answer_and_drain(&mut self) {
        while let Some(effect) = self.effects.pop() {
            if let Effect::Call { id, .. } = effect {
                let reply = Reply::Result(Bytes::from_static(&ANSWER));
                self.input(Input::Answer {
                    call: id,
                    answer: PreparedAnswer::new(reply),
                });
            }
        }
        let (link, out) = (LinkId(self.key.cast_unsigned()), &mut self.out);
        self.host.drain(
            link,
            &mut Cx {
                now: self.now,
                rng: &mut self.rng,
                out,
            },
        );
        for effect in self.out.drain(..) {
            let FromHost::Seal { msg_id, body, .. } = effect else {
                continue;
            };
            if peek_id(&body) == Some(MsgContainer::ID) {
                let container = MsgContainer::from_bytes(&body);
                let ids = container
                    .iter()
                    .flat_map(|it| it.messages)
                    .map(|it| it.msg_id);
                self.got.extend(ids);
            } else {
                self.got.push(msg_id.0);
            }
        }
        if self.got.len() >= 100 {
            let ids = std::mem::take(&mut self.got);
            self.send(
                MsgsAck {
                    msg_ids: ids.as_slice().into(),
                }
                .to_bytes(),
                false,
            );
        }
    }
}

const ANSWER: [u8; 128] = [7; 128];
const CALL: u32 = 0xc4f9_186b;
const CLIENT_IDS_FROM: i64 = 1_700_000_000 << 32;
const START_S: u64 = 1_700_000_000;
