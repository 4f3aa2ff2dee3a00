//! What a call and an idle session cost in memory: stable where time is not.

// Says to the lints what Cargo knows: all of this is a test.
#![cfg(test)]

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use allocation_counter::measure;
use bytes::Bytes;
use heliogram_crypto::{AuthKeyId, SecretBytes};
use heliogram_proto::cx::{Cx, Mono, Now, Unix};
use heliogram_proto::host::{Config, Effect, Host, Input, PreparedAnswer, PreparedFrame};
use heliogram_proto::ids::{LinkId, MsgId, Salt, SeqNo, SessionId, Term};
use heliogram_proto::port::{FirstSalt, Frame, FromHost, KeyFacts, KeyKind, Reply};
use heliogram_tl::{Serialize, mtproto as tl};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// A frame's body, the backend's result and its buffer in the gateway come on top; all in all at most four.
const PER_CALL_MAX: u64 = 1;

/// Bytes of a session with its identity and its link, when it has been idle for long.
const IDLE_BYTES_MAX: i64 = 700;

/// The same when it was used some seconds ago, and remembers what it received.
const QUIET_BYTES_MAX: i64 = 1000;

#[test]
fn a_call_in_steady_state_costs_one_allocation() {
    let mut bench = Bench::new();
    for _ in 0..100 {
        bench.call(0);
    }
    let frames: Vec<_> = (0..100).map(|_| bench.frame(0)).collect();
    let info = measure(|| {
        for frame in frames {
            bench.run(frame);
        }
    });
    // What is remembered of the calls grows now and then.
    assert!(
        info.count_total <= 100 * PER_CALL_MAX + 4,
        "{} for 100 calls",
        info.count_total
    );
}

#[test]
fn sixteen_calls_in_one_turn_share_one_buffer() {
    let mut bench = Bench::new();
    for _ in 0..100 {
        bench.call(0);
    }
    let frames: Vec<_> = (0..16).map(|_| bench.frame(0)).collect();
    let info = measure(|| bench.run_all(frames));
    assert!(info.count_total <= 16, "{} for 16 calls", info.count_total);
}

#[test]
fn an_idle_session_is_small() {
    let mut bench = Bench::new();
    bench.call(0);
    let sessions = 200;
    let info = measure(|| {
        for key in 1..=sessions {
            bench.call(key);
            bench.acknowledge(key);
        }
        bench.frames = Vec::new();
        bench.effects = Vec::new();
        bench.out = Vec::new();
    });
    let now = info.bytes_current / sessions;
    let change = measure(|| bench.pass(Duration::from_secs(11))).bytes_current;
    let soon = now + change / sessions;
    let change = measure(|| bench.pass(Duration::from_secs(689))).bytes_current;
    let later = soon + change / sessions;
    println!("{now} bytes a session that was just used, {soon} after 11 s, {later} after 700 s");
    assert!(later <= IDLE_BYTES_MAX, "{later} bytes when idle");
    assert!(soon <= QUIET_BYTES_MAX, "{soon} bytes when quiet");
}

#[test]
fn a_small_call_of_a_large_container_does_not_keep_the_container() {
    let mut bench = Bench::new();
    bench.call(0);
    let frame = |len: usize, bench: &mut Bench| {
        let mut frame = bench.frame(0);
        let mut ping = tl::Ping { ping_id: 1 }.to_bytes();
        ping.resize(len, 0);
        let (id, seqno) = (frame.msg_id, frame.seqno.0);
        bench.sent += 8;
        frame.msg_id.0 += 8;
        frame.seqno.0 += 1;
        bench.seqno += 2;
        let message = |msg_id, seqno, body| tl::Message {
            msg_id,
            seqno,
            body,
        };
        let messages = [
            message(id.0, seqno, &CALL[..]),
            message(id.0 + 4, seqno + 1, &ping[..]),
        ];
        let messages = messages.as_slice().into();
        frame.body = Bytes::from(tl::MsgContainer { messages }.to_bytes());
        frame
    };
    let small = frame(12, &mut bench);
    bench.run_unanswered(small);
    bench.effects.clear();
    let mut kept = 0;
    let info = measure(|| {
        let large = frame(1 << 19, &mut bench);
        bench.run_unanswered(large);
        kept = bench.effects.len();
    });
    assert!(kept > 0, "the call is held here");
    assert!(info.bytes_current < 8192, "{} bytes", info.bytes_current);
}

const CALL: [u8; 4] = 0xc4f9_186b_u32.to_le_bytes();

struct Bench {
    host: Host,
    now: Now,
    rng: ChaCha8Rng,
    effects: Vec<Effect>,
    out: Vec<FromHost>,
    frames: Vec<Frame>,
    sent: i64,
    seqno: i32,
}

impl Bench {
    fn new() -> Self {
        Self {
            host: Host::new(Config::new(Term(1), SecretBytes::new([7; 32]))),
            now: Now {
                mono: Mono(0),
                unix: Unix::from_seconds(1_700_000_000),
            },
            rng: ChaCha8Rng::seed_from_u64(1),
            effects: Vec::with_capacity(64),
            out: Vec::with_capacity(64),
            frames: Vec::new(),
            sent: 0,
            seqno: 1,
        }
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now.mono + time;
        while let Some(at) = self.host.next_deadline().filter(|&at| at <= end) {
            self.now.unix.0 += at.0 - self.now.mono.0;
            self.now.mono = at;
            let mut out = Vec::new();
            self.host.handle_deadline(&mut Cx {
                now: self.now,
                rng: &mut self.rng,
                out: &mut out,
            });
        }
    }

    fn frame(&mut self, key: i64) -> Frame {
        self.frame_of(key, CALL.to_vec(), true)
    }

    fn frame_of(&mut self, key: i64, body: Vec<u8>, content_related: bool) -> Frame {
        self.sent += 4;
        if content_related {
            self.seqno += 2;
        }
        let salt = Salt(5);
        let first_salt = Some(FirstSalt {
            salt,
            term: Term(1),
            since_unix_s: self.now.unix.seconds(),
        });
        Frame {
            link: LinkId(key.cast_unsigned()),
            key: KeyFacts {
                id: AuthKeyId(key),
                kind: KeyKind::Permanent,
                perm: None,
                dc: None,
                first_salt,
            },
            peer: SocketAddr::from((Ipv4Addr::LOCALHOST, 1)),
            salt,
            session_id: SessionId(1),
            msg_id: MsgId((1_700_000_000 << 32) + self.sent),
            seqno: SeqNo(self.seqno - i32::from(!content_related)),
            body: Bytes::from(body),
            quick_ack: None,
            is_http: false,
            term: None,
            trace: None,
        }
    }

    fn call(&mut self, key: i64) {
        let frame = self.frame(key);
        self.run(frame);
    }

    fn acknowledge(&mut self, key: i64) {
        let sent: Vec<i64> = (0..8)
            .map(|at| (1_700_000_000 << 32) + at * 4 + 1)
            .collect();
        let body = tl::MsgsAck {
            msg_ids: sent.as_slice().into(),
        }
        .to_bytes();
        let frame = self.frame_of(key, body, false);
        self.run(frame);
    }

    fn run(&mut self, frame: Frame) {
        let link = frame.link;
        self.input(Input::Frame(PreparedFrame::new(frame)));
        self.answer_all();
        self.drain(link);
    }

    fn run_unanswered(&mut self, frame: Frame) {
        self.input(Input::Frame(PreparedFrame::new(frame)));
    }

    fn run_all(&mut self, frames: Vec<Frame>) {
        for frame in frames {
            self.input(Input::Frame(PreparedFrame::new(frame)));
        }
        self.answer_all();
        self.drain(LinkId(0));
        assert_eq!(self.out.len(), 0);
    }

    fn answer_all(&mut self) {
        // The effects of the answers stay behind the calls: nobody looks at them.
        while let Some(effect) = self.effects.pop() {
            if let Effect::Call { id, .. } = effect {
                let reply = Reply::Result(Bytes::from_static(&[1, 2, 3, 4]));
                self.input(Input::Answer {
                    call: id,
                    answer: PreparedAnswer::new(reply),
                });
            }
        }
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

    fn drain(&mut self, link: LinkId) {
        let out = &mut self.out;
        self.host.drain(
            link,
            &mut Cx {
                now: self.now,
                rng: &mut self.rng,
                out,
            },
        );
        assert!(!self.out.is_empty() || link != LinkId(0));
        self.out.clear();
        self.effects.clear();
    }
}
