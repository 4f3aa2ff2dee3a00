//! What must be true of every message that is sent: identifiers, sequence numbers, containers.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use heliogram_proto::envelope::Header;
use heliogram_proto::ids::{AuthKeyId, SessionId, Term};
use heliogram_proto::port::FromHost;
use heliogram_tl::{Deserialize, mtproto as tl, peek_id};

use super::Failure;
use crate::coverage::Coverage;
use crate::messages::{describe, walk};

/// All sessions, as both sides of each have spoken.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    servers: BTreeMap<(Term, AuthKeyId, SessionId), Side>,
    /// The term of the host that has handed the sessions of a key over.
    left: BTreeMap<AuthKeyId, Term>,
    /// The permanent key of each that is bound.
    bound: BTreeMap<AuthKeyId, AuthKeyId>,
    clients: BTreeMap<SessionId, Side>,
    pub(crate) failures: Vec<Failure>,
}

/// What one side has sent in one session.
#[derive(Clone, Debug, Default)]
struct Side {
    last: i64,
    content_count: i32,
    /// Two hosts have counted apart: who heard which of it is not known here, so only parity is looked at.
    is_united: bool,
    /// Its last key is bound. A host that has not heard of that may have a session of the key's own, which has the same
    /// name here.
    is_bound: bool,
    /// Names the incarnation of the session at its server.
    unique_id: Option<i64>,
    /// Sequence number and a hash of the contents, by identifier.
    sent: BTreeMap<i64, (i32, u64)>,
}

/// One message as it stands on the wire.
#[derive(Clone, Copy)]
struct Seen<'a> {
    id: i64,
    seqno: i32,
    body: &'a [u8],
}

impl Wire {
    /// Looks at what a host has said, in the order in which it did.
    pub(crate) fn host_said(&mut self, term: Term, item: &FromHost, coverage: &mut Coverage) {
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
            coverage.fault(match item {
                FromHost::QuickAck { .. } => "quick ack",
                FromHost::Close { .. } | FromHost::Seal { .. } => "closed on the host's word",
            });
            return;
        };
        let outer = Seen {
            id: msg_id.0,
            seqno: seqno.0,
            body,
        };
        // A host that has lost the key, and doesn't know it, hears of no binding: it goes on with what is the key's own.
        let own = (term, *key, *session_id);
        let identity = if self.servers.contains_key(&own) {
            *key
        } else {
            self.identity_of(*key)
        };
        let side = self
            .servers
            .entry((term, identity, *session_id))
            .or_default();
        let mut broken = Vec::new();
        side.is_bound = self.bound.contains_key(key);
        side.outer(outer, Role::Server, &mut broken);
        for to in named_by(body) {
            let client = self.clients.get(session_id);
            if client.is_none_or(|it| !it.sent.contains_key(&to)) {
                broken.push("e: an answer or acknowledgement names a message of its session");
            }
        }
        for rule in broken {
            let header = Header {
                salt: *salt,
                session_id: *session_id,
                msg_id: *msg_id,
                seqno: *seqno,
            };
            let detail = format!("{term:?} {key:?} {}", describe(&header, body));
            self.failures.push(Failure { rule, detail });
        }
    }

    /// Takes note that a key is bound: its sessions go on under the permanent one.
    pub(crate) fn bound(&mut self, key: AuthKeyId, perm: AuthKeyId) {
        self.bound.insert(key, perm);
    }

    /// Takes note that a host has handed the sessions of a key over.
    pub(crate) fn handed_over(&mut self, key: AuthKeyId, from: Term) {
        self.left.insert(key, from);
    }

    /// Takes note that a host has taken over a session of a key, and counts on from what both have said.
    pub(crate) fn taken_over(&mut self, key: AuthKeyId, session: SessionId, to: Term) {
        let perm = self.identity_of(key);
        let from = self.left.get(&key).copied().unwrap_or_default();
        let mut came = self.servers.remove(&(from, key, session));
        if came.is_none() && from != to {
            // The store knew of the binding, and its host did not. Or that host has a session of the permanent key, too, and goes
            // on with it, as it does not know that it was taken over.
            came = self.servers.get(&(from, perm, session)).cloned();
        }
        // Two hosts may have handed over what they had of it, one of them without knowing of the other.
        let all = self.servers.iter();
        let said = all.filter(|((_, of, in_session), _)| (*of, *in_session) == (key, session));
        let said: Vec<_> = said.flat_map(|(_, side)| side.sent.clone()).collect();
        let own = self.servers.entry((to, perm, session)).or_default();
        own.is_united = true;
        own.sent.extend(said);
        if let Some(came) = came {
            own.content_count += came.content_count;
            own.last = own.last.max(came.last);
            own.unique_id = own.unique_id.or(came.unique_id);
            own.sent.extend(came.sent);
        }
    }

    fn identity_of(&self, key: AuthKeyId) -> AuthKeyId {
        self.bound.get(&key).copied().unwrap_or(key)
    }

    /// Looks at what a client has said, in the order in which it did.
    pub(crate) fn client_said(&mut self, header: &Header, body: &[u8]) {
        let side = self.clients.entry(header.session_id).or_default();
        let outer = Seen {
            id: header.msg_id.0,
            seqno: header.seqno.0,
            body,
        };
        let mut broken = Vec::new();
        side.outer(outer, Role::Client, &mut broken);
        for rule in broken {
            let detail = describe(header, body);
            self.failures.push(Failure { rule, detail });
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Client,
    Server,
}

impl Side {
    fn outer(&mut self, outer: Seen<'_>, role: Role, broken: &mut Vec<&'static str>) {
        let is_container = matches!(
            peek_id(outer.body),
            Some(tl::MsgContainer::ID | tl::MsgCopy::ID)
        );
        let mut count = 0;
        walk(outer.body, &mut |inner| {
            count += 1;
            let message = match inner.numbers {
                Some((id, seqno)) => Seen {
                    id,
                    seqno,
                    body: inner.body,
                },
                None => outer,
            };
            if is_container && message.id >= outer.id {
                broken.push("a container's identifier is above those of its contents");
            }
            if is_container && message.seqno > outer.seqno {
                broken.push("a container's sequence number is not below those of its contents");
            }
            if !message.body.len().is_multiple_of(4) {
                broken.push("a message has whole words");
            }
            self.message(message, is_container, role, broken);
        });
        if is_container {
            self.container(outer, count, role, broken);
        }
    }

    fn container(
        &mut self,
        outer: Seen<'_>,
        count: usize,
        role: Role,
        broken: &mut Vec<&'static str>,
    ) {
        if count == 0 || count > 1020 {
            broken.push("a container holds 1 to 1020 messages");
        }
        if outer.id & 3 != if role == Role::Client { 0 } else { 3 } {
            broken.push("a container has the low bits of its sender");
        }
        if outer.seqno != self.content_count * 2 && !self.is_united {
            broken.push("a container's sequence number is twice the count");
        }
        if outer.id <= self.last {
            broken.push("identifiers rise");
        }
        self.last = self.last.max(outer.id);
        self.sent.insert(outer.id, (outer.seqno, 0));
    }

    fn message(
        &mut self,
        it: Seen<'_>,
        in_container: bool,
        role: Role,
        broken: &mut Vec<&'static str>,
    ) {
        let contents = hash(it.body);
        if let Some(&(seqno, before)) = self.sent.get(&it.id) {
            if !in_container {
                broken.push("what is sent again goes in a container");
            }
            if (seqno, before) != (it.seqno, contents) {
                broken.push("what is sent again is what it was");
            }
            return;
        }
        let kind = peek_id(it.body).unwrap_or(0);
        if kind == tl::NewSessionCreated::ID
            && let Ok(news) = tl::NewSessionCreated::from_bytes(it.body)
            && let Some(before) = self.unique_id.replace(news.unique_id)
            && before != news.unique_id
        {
            self.content_count = 0;
            self.is_united |= self.is_bound;
        }
        if it.id <= self.last {
            broken.push("identifiers rise");
        }
        let (low_bits, is_content) = match role {
            Role::Client => (0, !is_service(kind)),
            Role::Server => servers_habits(kind),
        };
        if it.id & 3 != low_bits {
            broken.push("the low bits of an identifier say who sends and why");
        }
        let expected = self.content_count * 2 + i32::from(is_content);
        // A refusal of a message whose session does not exist belongs to none.
        let is_outside = role == Role::Server && is_refusal(kind) && it.seqno == 0;
        let is_wrong = if self.is_united {
            it.seqno & 1 != i32::from(is_content)
        } else {
            it.seqno != expected
        };
        if is_wrong && !is_outside {
            broken.push("sequence numbers count what is content-related");
        }
        self.content_count += i32::from(is_content);
        self.last = self.last.max(it.id);
        self.sent.insert(it.id, (it.seqno, contents));
    }
}

/// Returns the low bits of a server's message and whether it is content-related.
const fn servers_habits(kind: u32) -> (i64, bool) {
    match kind {
        tl::NewSessionCreated::ID | tl::RpcResult::ID => (1, true),
        tl::MsgsAck::ID
        | tl::MsgResendReq::ID
        | tl::MsgsStateReq::ID
        | tl::MsgNewDetailedInfo::ID
        | tl::Ping::ID => (3, false),
        kind if is_service(kind) => (1, false),
        _ => (3, true),
    }
}

const fn is_refusal(kind: u32) -> bool {
    matches!(kind, tl::BadMsgNotification::ID | tl::BadServerSalt::ID)
}

/// Tells whether a message is the protocol's own, and none that asks for an acknowledgement.
const fn is_service(kind: u32) -> bool {
    matches!(
        kind,
        tl::MsgsAck::ID
            | tl::BadMsgNotification::ID
            | tl::BadServerSalt::ID
            | tl::MsgsStateReq::ID
            | tl::MsgsStateInfo::ID
            | tl::MsgsAllInfo::ID
            | tl::MsgDetailedInfo::ID
            | tl::MsgNewDetailedInfo::ID
            | tl::MsgResendReq::ID
            | tl::MsgResendAnsReq::ID
            | tl::RpcDropAnswer::ID
            | tl::GetFutureSalts::ID
            | tl::FutureSalts::ID
            | tl::Ping::ID
            | tl::PingDelayDisconnect::ID
            | tl::Pong::ID
            | tl::DestroySession::ID
            | tl::DestroySessionOk::ID
            | tl::DestroySessionNone::ID
            | tl::HttpWait::ID
            | tl::DestroyAuthKey::ID
            | tl::DestroyAuthKeyOk::ID
            | tl::DestroyAuthKeyNone::ID
            | tl::DestroyAuthKeyFail::ID
    )
}

/// Returns the client's messages that a server's message names as its reason.
fn named_by(body: &[u8]) -> Vec<i64> {
    let mut named = Vec::new();
    walk(body, &mut |inner| match peek_id(inner.body) {
        Some(tl::MsgsAck::ID) => {
            if let Ok(it) = tl::MsgsAck::from_bytes(inner.body) {
                named.extend(it.msg_ids.iter());
            }
        }
        Some(tl::RpcResult::ID) => {
            if let Ok(it) = tl::RpcResult::from_bytes(inner.body) {
                named.push(it.req_msg_id);
            }
        }
        Some(tl::Pong::ID) => {
            if let Ok(it) = tl::Pong::from_bytes(inner.body) {
                named.push(it.msg_id);
            }
        }
        _ => {}
    });
    named
}

fn hash(body: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    hasher.finish()
}
