//! A client with two keys, and the hosts of both.

use heliogram_crypto::AuthKey;
use heliogram_proto::cx::Now;
use heliogram_proto::exchange::binding::{self, Claim, Subject};
use heliogram_proto::host::{CallId, Effect, Handover, Input, wire};
use heliogram_proto::ids::{Identity, LinkId, MsgId, SeqNo};
use heliogram_proto::port::{Frame, KeyFacts, KeyKind, KeyRecord};
use heliogram_tl::Deserialize;
use heliogram_tl::mtproto as tl;

use crate::support::{LINK, METHOD, SESSION, START_S, Sent, World, container, key};

/// A client with two keys, the host of both, and a store that knows them.
pub(super) struct Client {
    pub(super) world: World,
    pub(super) perm: KeyFacts,
    pub(super) temp: KeyFacts,
    pub(super) link: LinkId,
    pub(super) is_http: bool,
}

impl std::ops::Deref for Client {
    type Target = World;

    fn deref(&self) -> &World {
        &self.world
    }
}

impl std::ops::DerefMut for Client {
    fn deref_mut(&mut self) -> &mut World {
        &mut self.world
    }
}

impl Client {
    pub(super) fn new() -> Self {
        let world = World::new();
        let perm = world.facts;
        let temp = KeyFacts {
            id: AuthKey::new([9; 256]).id(),
            kind: KeyKind::Temporary {
                expires_at_unix_s: end(),
            },
            ..perm
        };
        Self {
            world,
            perm,
            temp,
            link: LINK,
            is_http: false,
        }
    }

    pub(super) fn on_link(&mut self, link: LinkId) {
        self.link = link;
    }

    /// Sends a call; returns its message.
    pub(super) fn call(&mut self) -> MsgId {
        let msg_id = self.client_id();
        self.send_as(msg_id, METHOD.to_vec());
        self.forward_all();
        msg_id
    }

    pub(super) fn send_as(&mut self, msg_id: MsgId, body: Vec<u8>) {
        let seqno = self.seqno(true);
        let frame = self.frame(msg_id, seqno, body);
        let (link, is_http) = (self.link, self.is_http);
        self.submit(Frame {
            link,
            is_http,
            ..frame
        });
    }

    /// Makes a request to bind the temporary key to `perm`, and the message to send it in.
    pub(super) fn binding(&mut self, perm: &AuthKey) -> (MsgId, Vec<u8>) {
        let msg_id = self.client_id();
        let subject = Subject {
            temp: self.temp.id,
            session_id: SESSION,
            msg_id,
            expires_at_unix_s: i32::try_from(end()).unwrap(),
        };
        (msg_id, binding::seal(perm, &subject, &mut self.world.rng))
    }

    /// Sends a request to bind the temporary key; returns what the host wants checked.
    pub(super) fn bind_unanswered(&mut self) -> (CallId, Claim) {
        self.facts = self.temp;
        let (msg_id, body) = self.binding(&key());
        self.send_as(msg_id, body);
        let effects = &self.about_keys;
        let found = effects.iter().find_map(|it| {
            let Effect::Bind { id, claim } = it else {
                return None;
            };
            Some((*id, claim.clone()))
        });
        found.unwrap()
    }

    /// Sends a request to bind the temporary key in one container with calls that were made before it.
    pub(super) fn bind_with(&mut self, calls: &[(MsgId, Vec<u8>)]) -> CallId {
        self.facts = self.temp;
        let calls = calls.to_vec();
        let items: Vec<_> = calls
            .into_iter()
            .map(|(id, body)| (id, self.seqno(true), body))
            .collect();
        self.bind_after(items)
    }

    /// The same with a call that was sent before, as the first of its session.
    pub(super) fn bind_again_with(&mut self, call: MsgId, body: &[u8]) {
        self.facts = self.temp;
        self.bind_after(vec![(call, SeqNo(1), body.to_vec())]);
    }

    pub(super) fn bind_after(&mut self, mut items: Vec<(MsgId, SeqNo, Vec<u8>)>) -> CallId {
        let (msg_id, body) = self.binding(&key());
        items.push((msg_id, self.seqno(true), body));
        let (outer, seqno, link) = (self.client_id(), self.seqno(false), self.link);
        let frame = self.frame(outer, seqno, container(&items));
        self.submit(Frame { link, ..frame });
        let [Effect::Bind { id, .. }] = self.about_keys[..] else {
            panic!("{:?}", self.about_keys)
        };
        id
    }

    /// Does what a store and its shell do with the request.
    pub(super) fn record(&mut self) {
        let at = self
            .about_keys
            .iter()
            .position(|it| matches!(it, Effect::Bind { .. }));
        let Effect::Bind { id: call, claim } = self.about_keys.remove(at.unwrap()) else {
            unreachable!()
        };
        let perm = KeyRecord {
            facts: self.perm,
            key: key(),
            created_at_unix_s: START_S,
        };
        let now_s = self.now.unix.seconds();
        let end = binding::verify(&claim, &perm, now_s).unwrap();
        let facts = self.temp.bind(self.perm.id, end).unwrap();
        let outcome = Ok(facts);
        self.input(Input::Bound { call, outcome });
    }

    pub(super) fn take_over(&mut self) {
        let handover = self.take_handover();
        assert_eq!(handover.to(), Identity(self.perm.id));
        let there = across(&Input::TakeOver(handover), self.now);
        self.input(there);
        let told = self.about_keys.remove(0);
        assert!(matches!(told, Effect::TakenOver { key } if key.perm == Some(self.perm.id)));
        let key = self.temp.id;
        self.input(Input::TakenOver { key });
        self.forward_all();
    }

    pub(super) fn take_handover(&mut self) -> Box<Handover> {
        let Effect::HandOver(handover) = self.about_keys.remove(0) else {
            unreachable!()
        };
        handover
    }

    /// Binds the temporary key, from the request to its answer.
    pub(super) fn bind(&mut self) {
        self.bind_unanswered();
        self.record();
        self.take_over();
    }

    /// Gives the host what it forwards, as if it were another.
    pub(super) fn forward_all(&mut self) {
        let effects = std::mem::take(&mut self.about_keys);
        for effect in effects {
            match effect {
                Effect::Forward { input, .. } => {
                    let there = across(&input, self.now);
                    self.input(there);
                }
                other @ (Effect::Ready { .. }
                | Effect::Call { .. }
                | Effect::Cancel { .. }
                | Effect::Fanout { .. }
                | Effect::FindUser { .. }
                | Effect::Bind { .. }
                | Effect::DropKeys { .. }
                | Effect::DestroyKey { .. }
                | Effect::HandOver(_)
                | Effect::TakenOver { .. }) => self.about_keys.push(other),
            }
        }
    }

    /// Drains the link and returns which requests were answered `boolTrue`, or not.
    pub(super) fn results(&mut self) -> Vec<bool> {
        let link = self.link;
        let sent = self.drain(link);
        let results = sent.iter().filter(|it| it.id() == tl::RpcResult::ID);
        results
            .map(|it| it.read::<tl::RpcResult<'_>>().result == 0x9972_75b5_u32.to_le_bytes())
            .collect()
    }
}

/// Brings an input to another process.
pub(super) fn across(input: &Input, now: Now) -> Input {
    let bytes = wire::encode(input, now).unwrap();
    wire::decode(&bytes, now, &mut Some).unwrap()
}

/// A method that an unbound key may not call.
pub(super) const LOGGED_IN: [u8; 4] = 0x0d91_a548_u32.to_le_bytes();

pub(super) fn end() -> u32 {
    u32::try_from(START_S).unwrap() + 3600
}

pub(super) fn error(sent: &Sent) -> (i32, String) {
    let result: tl::RpcResult<'_> = sent.read();
    let error = tl::RpcError::from_bytes(result.result).unwrap();
    (
        error.error_code,
        String::from_utf8(error.error_message.to_vec()).unwrap(),
    )
}
