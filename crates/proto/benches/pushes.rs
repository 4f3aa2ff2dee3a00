//! What one push to 10,000 sessions costs: in the host, and sealed one by one or in batches.
//!
//! The host walks 10,000 identities, queues a reference to the one body in each session and gives each message its
//! numbers at the drain: some searches in trees and no copy, a few hundred nanoseconds a session. An update of 128
//! bytes is 12 blocks of AES in a row and 6 of SHA-256, some 250 ns alone; 16 lanes beside each other hide all but a
//! third of it.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use heliogram_crypto::{AuthKey, AuthKeyId, SecretBytes};
use heliogram_proto::cx::{Cx, Mono, Now, Unix};
use heliogram_proto::edge::fanout;
use heliogram_proto::envelope::{self, Header, Message};
use heliogram_proto::host::{Config, Effect, Host, Input, PreparedFrame, PreparedPush};
use heliogram_proto::ids::{Identity, LinkId, MsgId, Salt, SeqNo, SessionId, Term};
use heliogram_proto::limits::FANOUT_BATCH_LINKS;
use heliogram_proto::port::{
    FirstSalt, Frame, FromHost, KeyFacts, KeyKind, KeyRecord, Push, Target,
};
use heliogram_proto::side::Server;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

fn main() {
    divan::main();
}

/// The host's part: one push, and a drain of each link.
#[divan::bench(sample_count = 10, sample_size = 1)]
fn numbered(bencher: Bencher<'_, '_>) {
    let mut world = World::new();
    bencher
        .counter(ItemsCount::new(SESSIONS))
        .bench_local(|| world.push_and_drain());
}

/// The same, and each message sealed alone.
#[divan::bench(sample_count = 10, sample_size = 1)]
fn sealed_one_by_one(bencher: Bencher<'_, '_>) {
    let mut world = World::new();
    bencher.counter(ItemsCount::new(SESSIONS)).bench_local(|| {
        world.push_and_drain();
        world.seal_one_by_one();
    });
}

/// The same, sealed in batches as a gateway does.
#[divan::bench(sample_count = 10, sample_size = 1)]
fn sealed_in_batches(bencher: Bencher<'_, '_>) {
    let mut world = World::new();
    bencher.counter(ItemsCount::new(SESSIONS)).bench_local(|| {
        world.push_and_drain();
        world.seal_in_batches();
    });
}

/// A host with 10,000 sessions, each with a link and a key of its own.
struct World {
    host: Host,
    now: Now,
    rng: ChaCha8Rng,
    records: BTreeMap<AuthKeyId, Arc<KeyRecord>>,
    links: Vec<LinkId>,
    drained: Vec<FromHost>,
    sent: i64,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            host: Host::new(Config::new(Term(1), SecretBytes::new([7; 32]))),
            now: Now {
                mono: Mono(0),
                unix: Unix::from_seconds(START_S),
            },
            rng: ChaCha8Rng::seed_from_u64(1),
            records: BTreeMap::new(),
            links: Vec::new(),
            drained: Vec::new(),
            sent: 0,
        };
        for seed in 0..u32::try_from(SESSIONS).unwrap_or(0) {
            let mut bytes = [7; 256];
            bytes[..4].copy_from_slice(&seed.to_le_bytes());
            world.connect(AuthKey::new(bytes));
        }
        world
    }

    fn connect(&mut self, key: AuthKey) {
        let first_salt = FirstSalt {
            salt: Salt(1),
            term: Term(1),
            since_unix_s: START_S,
        };
        let facts = KeyFacts {
            id: key.id(),
            kind: KeyKind::Permanent,
            perm: None,
            dc: None,
            first_salt: Some(first_salt),
        };
        let record = KeyRecord {
            facts,
            key,
            created_at_unix_s: START_S,
        };
        self.records.insert(facts.id, Arc::new(record));
        self.submit(facts);
        self.drain(&[link_of(facts.id)]);
        self.drained.clear();
        self.links.push(link_of(facts.id));
    }

    fn submit(&mut self, key: KeyFacts) {
        self.sent += 4;
        let frame = Frame {
            link: link_of(key.id),
            key,
            peer: SocketAddr::from((Ipv4Addr::LOCALHOST, 1)),
            salt: Salt(1),
            session_id: SessionId(1),
            msg_id: MsgId((START_S.cast_signed() << 32) + self.sent),
            seqno: SeqNo(1),
            body: Bytes::copy_from_slice(&CALL.to_le_bytes()),
            quick_ack: None,
            is_http: false,
            term: None,
            trace: None,
        };
        self.input(Input::Frame(PreparedFrame::new(frame)));
    }

    fn input(&mut self, input: Input) -> Vec<Effect> {
        let mut out = Vec::new();
        self.host.handle(
            input,
            &mut Cx {
                now: self.now,
                rng: &mut self.rng,
                out: &mut out,
            },
        );
        out
    }

    fn push_and_drain(&mut self) {
        self.now.mono.0 += 1_000_000;
        let push = Push {
            targets: self
                .records
                .keys()
                .map(|&id| Target::Key(Identity(id)))
                .collect(),
            except: None,
            body: Bytes::from_static(&UPDATE),
        };
        let push = PreparedPush::new(push);
        let effects = push.map(|push| self.input(Input::Push(push)));
        black_box(effects).ok();
        let links = std::mem::take(&mut self.links);
        self.drain(&links);
        self.links = links;
    }

    fn drain(&mut self, links: &[LinkId]) {
        self.drained.clear();
        for &link in links {
            self.host.drain(
                link,
                &mut Cx {
                    now: self.now,
                    rng: &mut self.rng,
                    out: &mut self.drained,
                },
            );
        }
    }

    fn seal_one_by_one(&mut self) {
        let mut out = Vec::new();
        for item in self.drained.drain(..) {
            let FromHost::Seal {
                key,
                salt,
                session_id,
                msg_id,
                seqno,
                body,
                ..
            } = item
            else {
                continue;
            };
            let header = Header {
                salt,
                session_id,
                msg_id,
                seqno,
            };
            let message = Message {
                header,
                body: &body,
            };
            if let Some(record) = self.records.get(&key) {
                out.clear();
                let sealed =
                    envelope::seal::<Server>(&record.key, &message, &mut out, &mut self.rng);
                black_box(sealed).ok();
            }
        }
    }

    fn seal_in_batches(&mut self) {
        let mut rest = self.drained.drain(..);
        let mut batch = Vec::with_capacity(FANOUT_BATCH_LINKS);
        while rest.len() > 0 {
            batch.extend(rest.by_ref().take(FANOUT_BATCH_LINKS));
            let records = &self.records;
            let find = |id| records.get(&id).cloned();
            fanout::seal(&mut batch, find, &mut self.rng, |link, input| {
                black_box((link, input));
            });
        }
    }
}

fn link_of(key: AuthKeyId) -> LinkId {
    LinkId(key.0.cast_unsigned())
}

const SESSIONS: usize = 10_000;
const UPDATE: [u8; 128] = [7; 128];
const CALL: u32 = 0xc4f9_186b;
const START_S: u64 = 1_700_000_000;
