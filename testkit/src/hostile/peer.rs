//! A peer that holds a good key and says what it likes: one link, one host, no network between.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use heliogram_crypto::{AuthKey, Direction, SecretBytes, message};
use heliogram_proto::cx::{Cx, Mono, Now, Unix};
use heliogram_proto::edge::keys::KeyOutcome;
use heliogram_proto::envelope;
use heliogram_proto::host::{self, Host, PreparedAnswer, PreparedFrame};
use heliogram_proto::ids::{LinkId, MsgId, Salt, SeqNo, SessionId, Term};
use heliogram_proto::link::{Effect, Input, Limits, Link, Scratch};
use heliogram_proto::port::{FirstSalt, KeyFacts, KeyKind, KeyRecord, Reply};
use heliogram_proto::side::Client;
use heliogram_proto::transport::Framing;
use heliogram_proto::transport::client::{Config, Incoming, Transport};
use heliogram_proto::transport::server;
use heliogram_tl::{Serialize, mtproto as tl, peek_id};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::coverage::Coverage;
use crate::messages::walk;

/// A hostile peer and all that it talks to.
#[derive(Debug)]
pub(crate) struct Peer {
    link: Link,
    host: Host,
    transport: Transport,
    hello: Vec<u8>,
    pub(crate) key: AuthKey,
    pub(crate) facts: KeyFacts,
    /// What the store says of the key.
    pub(crate) store: Says,
    pub(crate) now: Now,
    pub(crate) rng: ChaCha8Rng,
    pub(crate) session: SessionId,
    pub(crate) salt: Salt,
    last_id: i64,
    content_count: i32,
    links: u64,
    /// What came back, in order.
    pub(crate) heard: Vec<Heard>,
    /// Calls that the backend was given.
    pub(crate) ran: u32,
    /// What was said by both.
    pub(crate) coverage: Coverage,
    /// The backend gives no answers.
    pub(crate) holds: bool,
}

/// What a store says of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Says {
    Absent,
    Present,
    Unavailable,
}

/// What a peer gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Closed,
    Error(i32),
    Message(Vec<u8>),
}

impl Peer {
    /// Makes a peer whose key is good and whose session is new.
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut secret = [0; 256];
        rng.fill_bytes(&mut secret);
        let key = AuthKey::new(secret);
        let salt = Salt(rng.next_u64().cast_signed());
        let term = Term(1);
        let facts = KeyFacts {
            id: key.id(),
            kind: KeyKind::Permanent,
            perm: None,
            dc: None,
            first_salt: Some(FirstSalt {
                salt,
                term,
                since_unix_s: START_UNIX_S,
            }),
        };
        let now = Now {
            mono: Mono(1),
            unix: Unix::from_seconds(START_UNIX_S),
        };
        let session = SessionId(rng.next_u64().cast_signed() | 1);
        let config = host::Config::new(term, SecretBytes::new([7; 32]));
        let (link, transport, hello) = connect(LinkId(1), now.mono, &mut rng);
        Self {
            link,
            host: Host::new(config),
            transport,
            hello,
            key,
            facts,
            store: Says::Present,
            now,
            rng,
            session,
            salt,
            last_id: 0,
            content_count: 0,
            links: 1,
            heard: Vec::new(),
            ran: 0,
            coverage: Coverage::default(),
            holds: false,
        }
    }

    /// Makes a peer whose session is known to its host.
    pub(crate) fn known(seed: u64) -> Self {
        let mut peer = Self::new(seed);
        peer.say(false, &tl::Ping { ping_id: 1 });
        peer.heard.clear();
        peer
    }

    /// Goes on over another connection.
    pub(crate) fn reconnect(&mut self) {
        let link = self.link_id();
        self.tell_host(host::Input::Detach { link });
        self.links += 1;
        let (link, transport, hello) = connect(self.link_id(), self.now.mono, &mut self.rng);
        (self.link, self.transport, self.hello) = (link, transport, hello);
    }

    /// Lets time pass, and does what is due.
    pub(crate) fn pass(&mut self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.now.mono = self.now.mono + time;
        self.now.unix = Unix(self.now.unix.0.saturating_add(nanos));
        let mut effects = Vec::new();
        let mut cx = Cx {
            now: self.now,
            rng: &mut self.rng,
            out: &mut effects,
        };
        self.host.handle_deadline(&mut cx);
        self.on_host_effects(effects);
        self.step(&mut Link::handle_deadline);
    }

    /// Returns the next identifier of an honest client.
    pub(crate) fn next_id(&mut self) -> MsgId {
        let now = i64::try_from(self.now.unix.seconds() << 32).unwrap_or(0);
        self.last_id = (self.last_id + 4).max(now + 4);
        MsgId(self.last_id)
    }

    /// Returns the next sequence number of an honest client.
    pub(crate) fn next_seqno(&mut self, is_content: bool) -> SeqNo {
        let seqno = self.content_count * 2 + i32::from(is_content);
        self.content_count += i32::from(is_content);
        SeqNo(seqno)
    }

    /// Sends an object as an honest client does.
    pub(crate) fn say(&mut self, is_content: bool, object: &impl Serialize) -> MsgId {
        self.say_bytes(is_content, &object.to_bytes())
    }

    /// Sends an object's bytes with good numbers.
    pub(crate) fn say_bytes(&mut self, is_content: bool, body: &[u8]) -> MsgId {
        let (id, seqno) = (self.next_id(), self.next_seqno(is_content));
        self.send(id, seqno, body);
        id
    }

    /// Sends a body with any numbers.
    pub(crate) fn send(&mut self, id: MsgId, seqno: SeqNo, body: &[u8]) {
        let length = i32::try_from(body.len()).unwrap_or(0);
        let least = HEADER_BYTES + body.len() + 12;
        let padding = least.next_multiple_of(16) - least + 12;
        self.send_padded(id, seqno, length, &[body, &vec![0; padding]].concat());
    }

    /// Sends any length before any bytes, of whole blocks with the header.
    pub(crate) fn send_padded(&mut self, id: MsgId, seqno: SeqNo, length: i32, rest: &[u8]) {
        let sealed = self.seal(id, seqno, length, rest);
        self.send_payload(&sealed);
    }

    /// Seals any length before any bytes.
    pub(crate) fn seal(&mut self, id: MsgId, seqno: SeqNo, length: i32, rest: &[u8]) -> Vec<u8> {
        let mut sealed = vec![0; 24];
        for word in [self.salt.0, self.session.0, id.0] {
            sealed.extend_from_slice(&word.to_le_bytes());
        }
        sealed.extend_from_slice(&seqno.0.to_le_bytes());
        sealed.extend_from_slice(&length.to_le_bytes());
        sealed.extend_from_slice(rest);
        let outcome = message::seal(&self.key, Direction::ClientToServer, &mut sealed);
        debug_assert!(outcome.is_ok(), "a row seals whole blocks");
        sealed
    }

    /// Sends a payload as it is.
    pub(crate) fn send_payload(&mut self, payload: &[u8]) {
        let mut bytes = std::mem::take(&mut self.hello);
        let encoded = self
            .transport
            .encode(payload, false, &mut self.rng, &mut bytes);
        debug_assert!(encoded.is_ok(), "a row sends whole words");
        self.send_bytes(&bytes);
    }

    /// Sends bytes as they are.
    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        let mut bytes = [std::mem::take(&mut self.hello).as_slice(), bytes].concat();
        self.step(&mut |link, write, cx| link.receive(&mut bytes, write, cx));
    }

    /// Returns the kinds of the messages that came back.
    pub(crate) fn kinds(&self) -> Vec<u32> {
        let bodies = self.heard.iter().filter_map(|it| match it {
            Heard::Message(body) => peek_id(body),
            Heard::Closed | Heard::Error(_) => None,
        });
        bodies.collect()
    }

    /// Tells whether the connection was closed.
    pub(crate) fn is_closed(&self) -> bool {
        self.heard.contains(&Heard::Closed)
    }

    /// Tells whether its key is still one that an honest client would use.
    pub(crate) const fn may_go_on(&self) -> bool {
        matches!(self.facts.kind, KeyKind::Permanent)
    }

    const fn link_id(&self) -> LinkId {
        LinkId(self.links)
    }

    fn step(&mut self, step: Step<'_>) {
        let (mut write, mut effects) = (Vec::new(), Vec::new());
        let mut cx = Cx {
            now: self.now,
            rng: &mut self.rng,
            out: &mut effects,
        };
        step(&mut self.link, &mut write, &mut cx);
        self.hear(&mut write);
        for effect in effects {
            match effect {
                Effect::Close { .. } => self.heard.push(Heard::Closed),
                Effect::Frame(frame) => {
                    self.coverage.received_by_server(&frame.body);
                    self.tell_host(host::Input::Frame(PreparedFrame::new(frame)));
                }
                Effect::LoadKey { id } => {
                    let outcome = match self.store {
                        Says::Present if id == self.facts.id => KeyOutcome::Present(self.record()),
                        Says::Absent | Says::Present => KeyOutcome::Absent,
                        Says::Unavailable => KeyOutcome::Unavailable,
                    };
                    self.step(&mut |link, write, cx| {
                        let outcome = outcome.clone();
                        link.handle(Input::Key { id, outcome }, write, cx);
                    });
                }
                // Rows begin no exchange.
                Effect::Exchange { .. } | Effect::Peer(_) => {}
            }
        }
    }

    fn record(&self) -> Arc<KeyRecord> {
        Arc::new(KeyRecord {
            facts: self.facts,
            key: self.key.clone(),
            created_at_unix_s: START_UNIX_S,
        })
    }

    fn tell_host(&mut self, input: host::Input) {
        let mut effects = Vec::new();
        let mut cx = Cx {
            now: self.now,
            rng: &mut self.rng,
            out: &mut effects,
        };
        self.host.handle(input, &mut cx);
        self.on_host_effects(effects);
    }

    fn on_host_effects(&mut self, effects: Vec<host::Effect>) {
        let mut is_ready = false;
        for effect in effects {
            if let host::Effect::Call { id, call } = effect {
                self.ran += 1;
                if !self.holds {
                    let answer = PreparedAnswer::new(Reply::Result(call.body));
                    self.tell_host(host::Input::Answer { call: id, answer });
                }
            } else {
                is_ready = true;
            }
        }
        if is_ready {
            self.drain();
        }
    }

    fn drain(&mut self) {
        let (link, mut items) = (self.link_id(), Vec::new());
        let mut cx = Cx {
            now: self.now,
            rng: &mut self.rng,
            out: &mut items,
        };
        self.host.drain(link, &mut cx);
        self.step(&mut |link, write, cx| {
            link.send(&mut items, &mut Scratch::default(), write, cx);
        });
    }

    fn hear(&mut self, bytes: &mut [u8]) {
        let (mut out, mut got) = (Vec::new(), Vec::new());
        let decoded = self
            .transport
            .decode(bytes, &mut self.rng, &mut out, &mut |item| {
                got.push(match item {
                    Incoming::Payload(payload) => Heard::Message(payload.bytes().to_vec()),
                    Incoming::QuickAck { token } => Heard::Error(token.cast_signed()),
                    Incoming::Error { code } => Heard::Error(code),
                });
            });
        debug_assert!(decoded.is_ok(), "a server can be understood");
        for item in got {
            let Heard::Message(mut payload) = item else {
                self.heard.push(item);
                continue;
            };
            let opened = envelope::open::<Client>(&self.key, &mut payload);
            if let Ok(opened) = opened {
                self.coverage.received_by_client(opened.message.body);
                walk(opened.message.body, &mut |inner| {
                    self.heard.push(Heard::Message(inner.body.to_vec()));
                });
            }
        }
    }
}

/// A step of a link.
type Step<'a> = &'a mut dyn FnMut(&mut Link, &mut Vec<u8>, &mut Cx<'_, Effect>);

fn connect(id: LinkId, now: Mono, rng: &mut ChaCha8Rng) -> (Link, Transport, Vec<u8>) {
    let serves = server::Transport::new(Arc::new(server::Config::default()));
    let peer = SocketAddr::from(([192, 0, 2, 2], 5000));
    let link = Link::new(id, peer, serves, Limits::default(), now);
    let mut hello = Vec::new();
    let config = Config::new(Framing::Intermediate);
    let transport = Transport::new(&config, rng, &mut hello);
    #[expect(clippy::expect_used, reason = "a plain framing can always be spoken")]
    let transport = transport.expect("a plain framing");
    (link, transport, hello)
}

const HEADER_BYTES: usize = 32;
pub(crate) const START_UNIX_S: u64 = 1_700_000_000;
