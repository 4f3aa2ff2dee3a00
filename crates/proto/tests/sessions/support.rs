//! A host under virtual time, a hand-made client, and a checker of every rule for what a server sends.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use heliogram_crypto::{AuthKey, SecretBytes};
use heliogram_proto::cx::{Cx, Mono, Now, Unix};
use heliogram_proto::host::{CallId, Config, Effect, Host, Input, PreparedAnswer, PreparedFrame};
use heliogram_proto::ids::{Identity, LinkId, MsgId, Salt, SeqNo, SessionId, Term};
use heliogram_proto::port::{Call, FirstSalt, Frame, FromHost, KeyFacts, KeyKind, Reply};
use heliogram_tl::mtproto as tl;
use heliogram_tl::{Deserialize, Serialize, peek_id};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

pub(crate) const START_S: u64 = 1_700_000_000;
pub(crate) const FIRST_SALT: Salt = Salt(0x0102_0304_0506_0708);
pub(crate) const SESSION: SessionId = SessionId(0x5e55);
pub(crate) const LINK: LinkId = LinkId(1);

pub(crate) fn key() -> AuthKey {
    AuthKey::new(std::array::from_fn(|at| u8::try_from(at).unwrap()))
}

/// A host with one client's key, and what it wants done.
pub(crate) struct World {
    pub(crate) host: Host,
    pub(crate) now: Now,
    pub(crate) rng: ChaCha8Rng,
    pub(crate) facts: KeyFacts,
    pub(crate) calls: Vec<(CallId, Call)>,
    pub(crate) cancelled: Vec<CallId>,
    pub(crate) closed: Vec<(LinkId, Option<i32>)>,
    pub(crate) quick_acks: Vec<u32>,
    pub(crate) ready: Vec<LinkId>,
    pub(crate) fanouts: Vec<Vec<LinkId>>,
    /// Identities whose user the host asks for.
    pub(crate) unknown: Vec<Identity>,
    /// What the host wants done about keys.
    pub(crate) about_keys: Vec<Effect>,
    pub(crate) rules: Rules,
    /// How many messages were drained, containers counted as one.
    pub(crate) outers: usize,
    pub(crate) last_client_id: i64,
    pub(crate) next_seqno: i32,
}

/// A message that a server sent, out of its container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) msg_id: MsgId,
    pub(crate) seqno: SeqNo,
    pub(crate) body: Bytes,
}

impl Sent {
    pub(crate) fn id(&self) -> u32 {
        peek_id(&self.body).unwrap()
    }

    /// Reads the object; panics if it is another one.
    pub(crate) fn read<'a, T: Deserialize<'a>>(&'a self) -> T {
        T::from_bytes(&self.body).unwrap()
    }
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with_term(1)
    }

    pub(crate) fn with_term(term: u64) -> Self {
        let config = Config::new(Term(term), SecretBytes::new([7; 32]));
        Self::with_config(config)
    }

    pub(crate) fn with_config(config: Config) -> Self {
        let term = config.term.0;
        let first_salt = FirstSalt {
            salt: FIRST_SALT,
            term: config.term,
            since_unix_s: START_S,
        };
        let facts = KeyFacts {
            id: key().id(),
            kind: KeyKind::Permanent,
            perm: None,
            dc: None,
            first_salt: Some(first_salt),
        };
        Self {
            host: Host::new(config),
            now: Now {
                mono: Mono(0),
                unix: Unix::from_seconds(START_S),
            },
            rng: ChaCha8Rng::seed_from_u64(term),
            facts,
            calls: Vec::new(),
            cancelled: Vec::new(),
            closed: Vec::new(),
            quick_acks: Vec::new(),
            ready: Vec::new(),
            fanouts: Vec::new(),
            unknown: Vec::new(),
            about_keys: Vec::new(),
            rules: Rules::default(),
            outers: 0,
            last_client_id: 0,
            next_seqno: 0,
        }
    }

    /// Makes time pass, and does what becomes due on the way.
    pub(crate) fn pass(&mut self, time: Duration) {
        let (end, unix_at_zero) = (self.now.mono + time, self.now.unix.0 - self.now.mono.0);
        while let Some(at) = self.host.next_deadline().filter(|&at| at <= end) {
            assert!(
                at >= self.now.mono || at <= end,
                "a deadline lies in the past for ever"
            );
            self.now.mono = self.now.mono.max(at);
            self.now.unix = Unix(unix_at_zero + self.now.mono.0);
            let mut out = Vec::new();
            self.host.handle_deadline(&mut Cx {
                now: self.now,
                rng: &mut self.rng,
                out: &mut out,
            });
            let next = self.host.next_deadline();
            assert!(
                next.is_none_or(|next| next > self.now.mono),
                "a due deadline stays due"
            );
            self.take(out);
        }
        self.now.mono = end;
        self.now.unix = Unix(unix_at_zero + end.0);
    }

    pub(crate) fn pass_s(&mut self, seconds: u64) {
        self.pass(Duration::from_secs(seconds));
    }

    pub(crate) fn input(&mut self, input: Input) {
        let mut out = Vec::new();
        self.host.handle(
            input,
            &mut Cx {
                now: self.now,
                rng: &mut self.rng,
                out: &mut out,
            },
        );
        self.take(out);
    }

    fn take(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Call { id, call } => self.calls.push((id, call)),
                Effect::Cancel { id } => self.cancelled.push(id),
                Effect::Ready { link } => self.ready.push(link),
                Effect::Fanout { links } => {
                    self.ready.extend(&links);
                    self.fanouts.push(links);
                }
                Effect::FindUser { identity } => self.unknown.push(identity),
                other @ (Effect::Bind { .. }
                | Effect::DropKeys { .. }
                | Effect::DestroyKey { .. }
                | Effect::HandOver(_)
                | Effect::TakenOver { .. }
                | Effect::Forward { .. }) => self.about_keys.push(other),
            }
        }
    }

    /// Returns a fresh client's msg_id of this moment.
    pub(crate) fn client_id(&mut self) -> MsgId {
        let id = client_id_at(self.now.unix.seconds())
            .0
            .max(self.last_client_id + 4);
        self.last_client_id = id;
        MsgId(id)
    }

    /// Returns the next sequence number.
    pub(crate) fn seqno(&mut self, content_related: bool) -> SeqNo {
        let seqno = self.next_seqno | i32::from(content_related);
        self.next_seqno += if content_related { 2 } else { 0 };
        SeqNo(seqno)
    }

    pub(crate) fn frame(&self, msg_id: MsgId, seqno: SeqNo, body: Vec<u8>) -> Frame {
        Frame {
            link: LINK,
            key: self.facts,
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

    pub(crate) fn submit(&mut self, frame: Frame) {
        self.input(Input::Frame(PreparedFrame::new(frame)));
    }

    /// Sends an object with the right numbers; returns its msg_id.
    pub(crate) fn send(&mut self, content_related: bool, object: &impl Serialize) -> MsgId {
        self.send_bytes(content_related, object.to_bytes())
    }

    pub(crate) fn send_bytes(&mut self, content_related: bool, body: Vec<u8>) -> MsgId {
        let (msg_id, seqno) = (self.client_id(), self.seqno(content_related));
        let frame = self.frame(msg_id, seqno, body);
        self.submit(frame);
        msg_id
    }

    /// Answers a call that was handed out.
    pub(crate) fn answer(&mut self, call: CallId, reply: Reply) {
        self.input(Input::Answer {
            call,
            answer: PreparedAnswer::new(reply),
        });
    }

    /// Acknowledges messages.
    pub(crate) fn acknowledge_all(&mut self, sent: &[Sent]) {
        let ids: Vec<_> = sent.iter().map(|it| it.msg_id.0).collect();
        let msg_ids = ids.as_slice().into();
        self.send(false, &tl::MsgsAck { msg_ids });
    }

    /// Takes the oldest call that was handed out and answers it.
    pub(crate) fn answer_next(&mut self, result: &'static [u8]) -> Call {
        let (id, call) = self.calls.remove(0);
        self.answer(id, Reply::Result(Bytes::from_static(result)));
        call
    }

    /// Drains a link and returns its messages out of their containers. Every rule is checked on the way.
    pub(crate) fn drain(&mut self, link: LinkId) -> Vec<Sent> {
        self.ready.retain(|&ready| ready != link);
        let mut out = Vec::new();
        self.host.drain(
            link,
            &mut Cx {
                now: self.now,
                rng: &mut self.rng,
                out: &mut out,
            },
        );
        let mut sent = Vec::new();
        for effect in out {
            match effect {
                FromHost::Seal {
                    link: to,
                    session_id,
                    msg_id,
                    seqno,
                    body,
                    ..
                } => {
                    assert_eq!(to, link);
                    self.outers += 1;
                    sent.extend(self.rules.check(
                        session_id,
                        &Sent {
                            msg_id,
                            seqno,
                            body,
                        },
                    ));
                }
                FromHost::QuickAck { token, .. } => self.quick_acks.push(token),
                FromHost::Close { link, code } => self.closed.push((link, code)),
            }
        }
        sent
    }

    /// Drains the usual link.
    pub(crate) fn received(&mut self) -> Vec<Sent> {
        self.drain(LINK)
    }

    /// Drains the usual link and leaves out the news of a new session.
    pub(crate) fn answers(&mut self) -> Vec<Sent> {
        let mut sent = self.received();
        sent.retain(|it| it.id() != tl::NewSessionCreated::ID);
        sent
    }
}

/// The code of the only message, a `bad_msg_notification` or `bad_server_salt`, and whose it is.
pub(crate) fn refusal(sent: &[Sent]) -> (MsgId, i32) {
    let [sent] = sent else {
        panic!("not one message: {sent:?}")
    };
    if sent.id() == tl::BadServerSalt::ID {
        let it: tl::BadServerSalt = sent.read();
        return (MsgId(it.bad_msg_id), it.error_code);
    }
    let it: tl::BadMsgNotification = sent.read();
    (MsgId(it.bad_msg_id), it.error_code)
}

/// What every message of a server must keep to, per session.
#[derive(Default)]
pub(crate) struct Rules {
    sessions: BTreeMap<SessionId, Seen>,
}

#[derive(Default)]
struct Seen {
    last: i64,
    content_count: i32,
    sent: BTreeMap<MsgId, Sent>,
}

impl Rules {
    /// Checks an outer message; returns what it holds.
    fn check(&mut self, session: SessionId, outer: &Sent) -> Vec<Sent> {
        let seen = self.sessions.entry(session).or_default();
        let is_container = peek_id(&outer.body) == Some(tl::MsgContainer::ID);
        let inner = if is_container {
            let container = tl::MsgContainer::from_bytes(&outer.body).unwrap();
            let inner = container.messages.iter().map(|it| Sent {
                msg_id: MsgId(it.msg_id),
                seqno: SeqNo(it.seqno),
                body: outer.body.slice_ref(it.body),
            });
            let inner = inner.collect::<Vec<_>>();
            assert!(
                inner.len() <= 1020,
                "a container of {} messages",
                inner.len()
            );
            inner
        } else {
            vec![outer.clone()]
        };
        for it in &inner {
            seen.check_message(it);
        }
        if is_container {
            assert!(
                outer.msg_id.0 > seen.last,
                "a container's id is above its contents'"
            );
            assert_eq!(outer.msg_id.0 & 3, 3);
            assert_eq!(outer.seqno, SeqNo(seen.content_count * 2));
            seen.last = outer.msg_id.0;
        }
        inner
    }
}

impl Seen {
    fn check_message(&mut self, it: &Sent) {
        if let Some(first) = self.sent.get(&it.msg_id) {
            assert_eq!(first, it, "a message is sent again as it was");
            return;
        }
        let (low_bits, content_related) = match it.id() {
            tl::NewSessionCreated::ID | tl::RpcResult::ID => (1, true),
            tl::MsgsAck::ID | tl::MsgResendReq::ID | tl::MsgNewDetailedInfo::ID => (3, false),
            UPDATE | UPDATES_TOO_LONG | PACKED => (3, true),
            _ => (1, false),
        };
        assert_eq!(it.msg_id.0 & 3, low_bits, "low bits of {:08x}", it.id());
        assert!(it.msg_id.0 > self.last, "identifiers rise");
        self.last = it.msg_id.0;
        let seqno = self.content_count * 2 + i32::from(content_related);
        assert_eq!(it.seqno, SeqNo(seqno), "sequence number of {:08x}", it.id());
        self.content_count += i32::from(content_related);
        self.sent.insert(it.msg_id, it.clone());
    }
}

pub(crate) fn client_id_at(unix_s: u64) -> MsgId {
    MsgId(i64::try_from(unix_s << 32).unwrap())
}

/// Writes a container.
pub(crate) fn container(messages: &[(MsgId, SeqNo, Vec<u8>)]) -> Vec<u8> {
    let messages: Vec<_> = messages
        .iter()
        .map(|(id, seqno, body)| tl::Message {
            msg_id: id.0,
            seqno: seqno.0,
            body,
        })
        .collect();
    tl::MsgContainer {
        messages: messages.as_slice().into(),
    }
    .to_bytes()
}

/// Any method: what a host hands out unread.
pub(crate) const METHOD: [u8; 4] = 0xc4f9_186b_u32.to_le_bytes();

/// `updateShort`: what stands for any update.
pub(crate) const UPDATE: u32 = 0x78d4_dec1;
pub(crate) const UPDATES_TOO_LONG: u32 = 0xe317_af7e;
/// `gzip_packed`: only updates are packed whole.
pub(crate) const PACKED: u32 = 0x3072_cfa1;

pub(crate) fn ping(ping_id: i64) -> Vec<u8> {
    tl::Ping { ping_id }.to_bytes()
}

pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text.chars().map(|it| it.to_digit(16).unwrap()).collect();
    digits
        .chunks(2)
        .map(|it| u8::try_from(it[0] << 4 | it[1]).unwrap())
        .collect()
}

pub(crate) fn vectors(name: &str) -> serde_json::Value {
    let path = format!(
        "{}/../../testdata/vectors/{name}.json",
        env!("CARGO_MANIFEST_DIR")
    );
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}
