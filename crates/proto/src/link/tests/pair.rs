//! A link and its client's transport, driven by hand.

use core::net::SocketAddr;
use core::time::Duration;
use std::sync::Arc;

use heliogram_crypto::AuthKey;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::super::*;
use crate::cx::{Now, Unix};
use crate::ids::{Salt, SeqNo, SessionId};
use crate::port::{FromHost, KeyKind};
use crate::side::Client;
use crate::transport::Framing;
use crate::transport::client::{self, Incoming};
use crate::transport::server::Config;

/// A link, its client's transport, and all that the link wanted.
pub(super) struct Pair {
    pub(super) link: Link,
    pub(super) client: client::Transport,
    /// What the client says first; goes with its first frame.
    pub(super) begin: Vec<u8>,
    pub(super) key: AuthKey,
    pub(super) now: Now,
    pub(super) rng: ChaCha20Rng,
    pub(super) write: Vec<u8>,
    pub(super) effects: Vec<Effect>,
}

/// What a client understands.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    Body(Vec<u8>),
    Error(i32),
    Payload(Vec<u8>),
    QuickAck(u32),
}

impl Pair {
    pub(super) fn new(framing: Framing) -> Self {
        Self::with(&client::Config::new(framing))
    }

    pub(super) fn with(config: &client::Config) -> Self {
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        let mut begin = Vec::new();
        let client = client::Transport::new(config, &mut rng, &mut begin).unwrap();
        let now = Now {
            mono: Mono(1),
            unix: Unix::from_seconds(START_S.into()),
        };
        let transport = Transport::new(Arc::new(Config::default()));
        let peer = SocketAddr::from(([192, 0, 2, 1], 5000));
        let link = Link::new(LinkId(1), peer, transport, Limits::default(), now.mono);
        let key = AuthKey::new([1; 256]);
        Self {
            link,
            client,
            begin,
            key,
            now,
            rng,
            write: Vec::new(),
            effects: Vec::new(),
        }
    }

    pub(super) fn seal(&mut self, body: &[u8]) -> Vec<u8> {
        let key = self.key.clone();
        self.seal_with(&key, body)
    }

    pub(super) fn seal_with(&mut self, key: &AuthKey, body: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::new();
        let message = Message {
            header: HEADER,
            body,
        };
        envelope::seal::<Client>(key, &message, &mut sealed, &mut self.rng).unwrap();
        sealed
    }

    pub(super) fn frame(&mut self, payload: &[u8], quick_ack: bool) -> Vec<u8> {
        let mut bytes = core::mem::take(&mut self.begin);
        self.client
            .encode(payload, quick_ack, &mut self.rng, &mut bytes)
            .unwrap();
        bytes
    }

    pub(super) fn send(&mut self, body: &[u8]) {
        let sealed = self.seal(body);
        self.send_payload(&sealed);
    }

    pub(super) fn send_payload(&mut self, payload: &[u8]) {
        let bytes = self.frame(payload, false);
        self.receive(&bytes);
    }

    pub(super) fn receive(&mut self, bytes: &[u8]) {
        self.step(|link, write, cx| link.receive(&mut bytes.to_vec(), write, cx));
    }

    pub(super) fn handle(&mut self, input: Input) {
        self.step(|link, write, cx| link.handle(input, write, cx));
    }

    pub(super) fn send_from_host(&mut self, mut items: Vec<FromHost>) {
        self.step(|link, write, cx| link.send(&mut items, &mut Scratch::default(), write, cx));
        assert!(items.is_empty());
    }

    /// Lets the host answer.
    pub(super) fn reply(&mut self, body: &'static [u8]) {
        let item = self.seal_item(body);
        self.send_from_host(vec![item]);
    }

    pub(super) fn seal_item(&self, body: &'static [u8]) -> FromHost {
        FromHost::Seal {
            link: self.link.id,
            key: self.key.id(),
            salt: HEADER.salt,
            session_id: HEADER.session_id,
            msg_id: MsgId(9),
            seqno: HEADER.seqno,
            body: Bytes::from_static(body),
        }
    }

    pub(super) fn advance(&mut self, by: Duration) {
        self.now.mono = self.now.mono + by;
        self.now.unix = Unix(self.now.unix.0 + u64::try_from(by.as_nanos()).unwrap());
        self.step(Link::handle_deadline);
        if let Some(next) = self.link.next_deadline() {
            assert!(next > self.now.mono, "what was due is done");
        }
    }

    pub(super) fn step(&mut self, step: impl FnOnce(&mut Link, &mut Vec<u8>, &mut Cx<'_, Effect>)) {
        let mut cx = Cx {
            now: self.now,
            rng: &mut self.rng,
            out: &mut self.effects,
        };
        step(&mut self.link, &mut self.write, &mut cx);
    }

    /// Tells whether a look-up is the last thing that was wanted.
    pub(super) fn asks_for_key(&mut self) -> bool {
        let asks = matches!(self.effects.last(), Some(Effect::LoadKey { .. }));
        self.effects
            .retain(|effect| !matches!(effect, Effect::LoadKey { .. }));
        asks
    }

    pub(super) fn find_key(&mut self) {
        let key = self.key.clone();
        let outcome = self.present(&key);
        self.handle(Input::Key {
            id: key.id(),
            outcome,
        });
    }

    /// Sends a message and finds its key.
    pub(super) fn find_key_of(&mut self, body: &[u8]) {
        self.send(body);
        self.find_key();
    }

    pub(super) fn present(&self, key: &AuthKey) -> KeyOutcome {
        KeyOutcome::Present(Arc::new(record(key, facts(key))))
    }

    pub(super) fn bodies(&self) -> Vec<Vec<u8>> {
        let bodies = self.effects.iter().filter_map(|effect| match effect {
            Effect::Frame(frame) => Some(frame.body.to_vec()),
            Effect::Close { .. }
            | Effect::Exchange { .. }
            | Effect::LoadKey { .. }
            | Effect::Peer(_) => None,
        });
        bodies.collect()
    }

    pub(super) fn closed(&self) -> Option<Cause> {
        match self.effects.last() {
            Some(&Effect::Close { cause, .. }) => Some(cause),
            _ => None,
        }
    }

    /// Returns what the client understands of what was written since.
    pub(super) fn said(&mut self) -> Vec<Said> {
        let mut bytes = core::mem::take(&mut self.write);
        let mut said = Vec::new();
        let key = self.key.clone();
        let mut sink = |incoming: Incoming<'_>| {
            said.push(match incoming {
                Incoming::QuickAck { token } => Said::QuickAck(token),
                Incoming::Error { code } => Said::Error(code),
                Incoming::Payload(mut payload) if plain::is_plain(payload.bytes()) => {
                    Said::Payload(payload.bytes_mut().to_vec())
                }
                Incoming::Payload(mut payload) => {
                    let opened = envelope::open::<Client>(&key, payload.bytes_mut()).unwrap();
                    Said::Body(opened.message.body.to_vec())
                }
            });
        };
        self.client
            .decode(&mut bytes, &mut self.rng, &mut Vec::new(), &mut sink)
            .unwrap();
        said
    }
}

pub(super) fn facts(key: &AuthKey) -> KeyFacts {
    KeyFacts {
        id: key.id(),
        kind: KeyKind::Permanent,
        perm: None,
        dc: None,
        first_salt: None,
    }
}

pub(super) fn record(key: &AuthKey, facts: KeyFacts) -> KeyRecord {
    KeyRecord {
        facts,
        key: key.clone(),
        created_at_unix_s: START_S.into(),
    }
}

pub(super) const PREFIXES: &[&[u8]] = &[
    b"",
    b"\xef",
    b"\xee\xee\xee\xee",
    b"\xdd\xdd\xdd\xdd",
    b"GET ",
];

pub(super) const FRAMINGS: [Framing; 4] = [
    Framing::Abridged,
    Framing::Intermediate,
    Framing::PaddedIntermediate,
    Framing::Full,
];

pub(super) const HEADER: Header = Header {
    salt: Salt(1),
    session_id: SessionId(2),
    msg_id: MsgId(4),
    seqno: SeqNo(1),
};

pub(super) const NANOSECOND: Duration = Duration::from_nanos(1);
pub(super) const START_S: u32 = 1_700_000_000;
