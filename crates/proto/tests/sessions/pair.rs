//! A client's session and a host talk through sealed envelopes, in memory, over virtual time.

use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use heliogram_proto::cx::Cx;
use heliogram_proto::envelope::{self, Header, Message};
use heliogram_proto::host::{CallId, Input};
use heliogram_proto::ids::{LinkId, MsgId, SessionId};
use heliogram_proto::port::{Call, Frame, FromHost, Reply};
use heliogram_proto::session::client::Event;
use heliogram_proto::session::{Outgoing, Session};
use heliogram_proto::side::{Client, Server};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::support::{FIRST_SALT, METHOD, World, key};

/// Both ends, and what travels between them.
pub(crate) struct Pair {
    pub(crate) world: World,
    pub(crate) client: Session<Client>,
    pub(crate) link: LinkId,
    pub(crate) rng: ChaCha8Rng,
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
    /// How often each kind of message came to the client.
    pub(crate) heard: BTreeMap<u32, u32>,
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
            heard: BTreeMap::new(),
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
        self.send_sealed(out);
    }

    /// Seals messages of the client.
    pub(crate) fn send_sealed(&mut self, out: Vec<Outgoing>) {
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
            is_http: false,
            term: None,
            trace: None,
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
        for kind in kinds(opened.message.body) {
            *self.heard.entry(kind).or_default() += 1;
        }
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
        let now = self.client_now();
        let out = &mut self.events;
        self.client.reconnected(&mut Cx {
            now,
            rng: &mut self.rng,
            out,
        });
    }

    /// The tokens of calls that have no answer.
    pub(crate) fn unanswered(&self, calls: &BTreeMap<u64, u64>) -> Vec<u64> {
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

/// The kinds of the messages in a body.
fn kinds(body: &[u8]) -> Vec<u32> {
    use heliogram_tl::{Deserialize, mtproto as tl, peek_id};
    match tl::MsgContainer::from_bytes(body) {
        Ok(container) => container
            .messages
            .iter()
            .filter_map(|it| peek_id(it.body))
            .collect(),
        Err(_) => peek_id(body).into_iter().collect(),
    }
}

/// What every message of a client must keep to.
#[derive(Default)]
pub(crate) struct ClientRules {
    sessions: BTreeMap<SessionId, BTreeMap<MsgId, i32>>,
}

impl ClientRules {
    pub(crate) fn check(&mut self, header: &Header, body: &[u8]) {
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
