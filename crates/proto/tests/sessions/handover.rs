//! A client that renews its key again and again while frames, answers and the news between two hosts come late and in any
//! order: no call runs twice, none is left without an answer, and it stays one session.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use heliogram_crypto::{AuthKey, SecretBytes};
use heliogram_proto::cx::{Cx, Mono, Now, Unix};
use heliogram_proto::exchange::binding::{self, Subject};
use heliogram_proto::host::{Config, Effect, Host, Input, PreparedAnswer, PreparedFrame, wire};
use heliogram_proto::ids::{AuthKeyId, Identity, LinkId, MsgId, SeqNo, Term};
use heliogram_proto::port::{Frame, FromHost, KeyFacts, KeyKind, KeyRecord, Reply};
use heliogram_tl::mtproto as tl;
use heliogram_tl::{Deserialize, peek_id};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::support::{FIRST_SALT, METHOD, SESSION, START_S, World, key, ping};

#[test]
fn no_call_runs_twice_or_stays_unanswered_however_keys_are_renewed_and_news_come_late() {
    let (mut runs, mut parked, mut renewals) = (0, 0, 0);
    for seed in 0..60 {
        let mut cluster = Cluster::new(seed);
        for _ in 0..120 {
            cluster.act();
        }
        cluster.settle();
        assert_eq!(cluster.answered, cluster.ran, "seed {seed}");
        assert_eq!(cluster.incarnations.len(), 1, "seed {seed}");
        runs += cluster.ran.len();
        parked += cluster.forwarded;
        renewals += cluster.renewals;
    }
    assert!(
        runs > 1000 && parked > 100 && renewals > 200,
        "the test tests something: {runs} {parked} {renewals}"
    );
}

/// Two hosts, the second of which owns the permanent key, with all that is under way between them and a gateway.
struct Cluster {
    hosts: [Host; 2],
    now: Mono,
    rng: ChaCha8Rng,
    perm: KeyFacts,
    /// What is under way, by the time of its arrival.
    under_way: BTreeMap<(Mono, u64), News>,
    count: u64,
    /// What the gateway knows of keys.
    known: BTreeMap<AuthKeyId, KeyFacts>,
    current: AuthKeyId,
    link: LinkId,
    gone: BTreeSet<LinkId>,
    /// What binds the current key.
    request: Option<Frame>,
    /// Those that have arrived.
    frames: Vec<Frame>,
    /// When the last frame of a connection arrives: none overtakes another.
    last_arrival: BTreeMap<LinkId, Mono>,
    last_id: i64,
    content_count: i32,
    ran: BTreeSet<MsgId>,
    answered: BTreeSet<MsgId>,
    incarnations: BTreeSet<i64>,
    forwarded: usize,
    renewals: usize,
}

enum News {
    Frame(Frame),
    ToHost(usize, Input),
    /// From one host to the other.
    Across(usize, Vec<u8>),
    ToGateway(KeyFacts),
}

impl Cluster {
    fn new(seed: u64) -> Self {
        let host = || Host::new(Config::new(Term(1), SecretBytes::new([7; 32])));
        let perm = World::new().facts;
        let mut cluster = Self {
            hosts: [host(), host()],
            now: Mono(0),
            rng: ChaCha8Rng::seed_from_u64(seed),
            perm,
            under_way: BTreeMap::new(),
            count: 0,
            known: BTreeMap::new(),
            current: perm.id,
            link: LinkId(1),
            gone: BTreeSet::new(),
            request: None,
            frames: Vec::new(),
            last_arrival: BTreeMap::new(),
            last_id: 0,
            content_count: 0,
            ran: BTreeSet::new(),
            answered: BTreeSet::new(),
            incarnations: BTreeSet::new(),
            forwarded: 0,
            renewals: 0,
        };
        cluster.renew();
        cluster
    }

    /// Lets the client do something, and some time pass.
    fn act(&mut self) {
        match self.below(10) {
            0 => self.renew(),
            1 => self.hang_up(),
            2 | 3 => self.repeat(),
            _ => self.send(METHOD.to_vec()),
        }
        let pause = self.below(40);
        self.pass(pause);
    }

    /// Makes a new temporary key, and binds it on a connection of its own.
    fn renew(&mut self) {
        self.renewals += 1;
        let mut secret = [0; 256];
        self.rng.fill_bytes(&mut secret);
        let facts = KeyFacts {
            id: AuthKey::new(secret).id(),
            kind: KeyKind::Temporary {
                expires_at_unix_s: END_S,
            },
            ..self.perm
        };
        self.known.insert(facts.id, facts);
        self.current = facts.id;
        self.link.0 += 1;
        self.last_id = (self.msg_id().0).max(self.last_id + 4);
        let subject = Subject {
            temp: facts.id,
            session_id: SESSION,
            msg_id: MsgId(self.last_id),
            expires_at_unix_s: i32::try_from(END_S).unwrap(),
        };
        let body = binding::seal(&key(), &subject, &mut self.rng);
        let frame = self.frame(MsgId(self.last_id), body);
        self.request = Some(frame.clone());
        self.under_way(News::Frame(frame));
    }

    /// Ends the connection. On the next one the client begins with its request to bind, unless it was answered.
    fn hang_up(&mut self) {
        self.gone.insert(self.link);
        for host in 0..2 {
            let link = self.link;
            self.step(host, Input::Detach { link });
        }
        self.link.0 += 1;
        if self.known[&self.current].perm.is_none()
            && let Some(request) = self.request.clone()
        {
            let link = self.link;
            self.under_way(News::Frame(Frame { link, ..request }));
        }
    }

    /// Sends an earlier frame once more: on its own connection if that lives, or on the current one.
    fn repeat(&mut self) {
        let count = u64::try_from(self.frames.len()).unwrap();
        let at = usize::try_from(self.below(count.max(1))).unwrap();
        let Some(mut frame) = self.frames.get(at).cloned() else {
            return;
        };
        if self.gone.contains(&frame.link) || self.below(2) == 0 {
            frame.link = self.link;
        }
        self.under_way(News::Frame(frame));
    }

    fn send(&mut self, body: Vec<u8>) {
        self.last_id = (self.msg_id().0).max(self.last_id + 4);
        let frame = self.frame(MsgId(self.last_id), body);
        self.under_way(News::Frame(frame));
    }

    fn frame(&mut self, msg_id: MsgId, body: Vec<u8>) -> Frame {
        let seqno = SeqNo(self.content_count * 2 + 1);
        self.content_count += 1;
        Frame {
            link: self.link,
            key: self.known[&self.current],
            peer: SocketAddr::from((Ipv4Addr::LOCALHOST, 5000)),
            salt: FIRST_SALT,
            session_id: SESSION,
            msg_id,
            seqno,
            body: Bytes::from(body),
            quick_ack: None,
            is_http: false,
            term: None,
            trace: None,
        }
    }

    /// Lets everything arrive, and the client come once more.
    fn settle(&mut self) {
        self.pass(2000);
        self.hang_up();
        self.last_id += 4;
        let bound = self.known.values().find(|it| it.perm.is_some());
        self.current = bound.unwrap().id;
        self.send(METHOD.to_vec());
        self.pass(2000);
        self.send(ping(1));
        self.pass(2000);
        assert!(self.under_way.is_empty());
    }

    fn across(&mut self, to: usize, input: &Input) {
        let bytes = wire::encode(input, self.clock()).unwrap();
        self.under_way(News::Across(to, bytes));
    }

    fn under_way(&mut self, news: News) {
        let mut at = self.now + Duration::from_millis(self.below(60));
        if let News::Frame(frame) = &news {
            let last = self.last_arrival.entry(frame.link).or_default();
            *last = at.max(*last);
            at = *last;
        }
        self.count += 1;
        self.under_way.insert((at, self.count), news);
    }

    fn pass(&mut self, millis: u64) {
        let end = self.now + Duration::from_millis(millis);
        while let Some(first) = self.under_way.first_entry()
            && first.key().0 <= end
        {
            let ((at, _), news) = first.remove_entry();
            self.now = self.now.max(at);
            self.arrive(news);
            self.drain();
        }
        self.now = end;
    }

    fn arrive(&mut self, news: News) {
        match news {
            News::Frame(mut frame) => {
                self.frames.push(frame.clone());
                // The gateway says what it knows by now.
                frame.key = self.known[&frame.key.id];
                if !self.gone.contains(&frame.link) {
                    let owner = self.owner(frame.key.identity());
                    self.step(owner, Input::Frame(PreparedFrame::new(frame)));
                }
            }
            News::Across(host, bytes) => {
                let gone = &self.gone;
                let links = &mut |link| (!gone.contains(&link)).then_some(link);
                match wire::decode(&bytes, self.clock(), links) {
                    Ok(input) => self.step(host, input),
                    Err(error) => assert_eq!(error, wire::Error::LinkGone),
                }
            }
            News::ToHost(host, input) => self.step(host, input),
            News::ToGateway(facts) => {
                self.known.insert(facts.id, facts);
            }
        }
    }

    fn step(&mut self, host: usize, input: Input) {
        let (now, mut out) = (self.clock(), Vec::new());
        let mut cx = Cx {
            now,
            rng: &mut self.rng,
            out: &mut out,
        };
        self.hosts[host].handle(input, &mut cx);
        for effect in out {
            self.carry_out(host, effect);
        }
    }

    fn carry_out(&mut self, host: usize, effect: Effect) {
        match effect {
            Effect::Call { id, call } => {
                assert!(self.ran.insert(call.msg_id), "{call:?} runs twice");
                let answer = PreparedAnswer::new(Reply::Result(Bytes::from_static(&METHOD)));
                self.under_way(News::ToHost(host, Input::Answer { call: id, answer }));
            }
            Effect::Bind { id: call, claim } => {
                let perm = KeyRecord {
                    facts: self.perm,
                    key: key(),
                    created_at_unix_s: START_S,
                };
                let end = binding::verify(&claim, &perm, START_S).unwrap();
                let facts = self.known[&claim.key()].bind(perm.facts.id, end).unwrap();
                let outcome = Ok(facts);
                self.under_way(News::ToHost(host, Input::Bound { call, outcome }));
            }
            Effect::HandOver(handover) => {
                let to = self.owner(handover.to());
                self.across(to, &Input::TakeOver(handover));
            }
            Effect::TakenOver { key } => {
                self.under_way(News::ToGateway(key));
                let owner = self.owner(Identity(key.id));
                let key = key.id;
                self.across(owner, &Input::TakenOver { key });
            }
            Effect::Forward { to, input } => {
                self.forwarded += 1;
                let owner = self.owner(to);
                self.across(owner, &input);
            }
            Effect::Ready { .. } | Effect::Fanout { .. } | Effect::FindUser { .. } => {}
            Effect::Cancel { .. } | Effect::DropKeys { .. } | Effect::DestroyKey { .. } => {
                unreachable!("nobody asks for it")
            }
        }
    }

    /// Lets the connections take what is there for them.
    fn drain(&mut self) {
        let now = self.clock();
        for link in (1..=self.link.0).map(LinkId) {
            if self.gone.contains(&link) {
                continue;
            }
            let mut out = Vec::new();
            for host in &mut self.hosts {
                let mut cx = Cx {
                    now,
                    rng: &mut self.rng,
                    out: &mut out,
                };
                host.drain(link, &mut cx);
            }
            for item in out {
                match item {
                    FromHost::Seal { body, .. } => self.read(&body),
                    FromHost::QuickAck { .. } => {}
                    FromHost::Close { .. } => panic!("{link:?} is closed"),
                }
            }
        }
    }

    fn read(&mut self, body: &[u8]) {
        match peek_id(body) {
            Some(tl::MsgContainer::ID) => {
                let container = tl::MsgContainer::from_bytes(body).unwrap();
                for inner in container.messages.iter() {
                    self.read(inner.body);
                }
            }
            Some(tl::RpcResult::ID) => {
                let result = tl::RpcResult::from_bytes(body).unwrap();
                if result.result == METHOD {
                    self.answered.insert(MsgId(result.req_msg_id));
                }
            }
            Some(tl::NewSessionCreated::ID) => {
                let news = tl::NewSessionCreated::from_bytes(body).unwrap();
                self.incarnations.insert(news.unique_id);
            }
            Some(_) | None => {}
        }
    }

    fn owner(&self, identity: Identity) -> usize {
        usize::from(identity.0 == self.perm.id)
    }

    fn clock(&self) -> Now {
        Now {
            mono: self.now,
            unix: Unix(Unix::from_seconds(START_S).0 + self.now.0),
        }
    }

    fn msg_id(&self) -> MsgId {
        let seconds = i64::try_from(START_S + self.now.0 / 1_000_000_000).unwrap();
        MsgId(seconds << 32)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.rng.next_u64() % end
    }
}

const END_S: u32 = 1_700_086_400;
