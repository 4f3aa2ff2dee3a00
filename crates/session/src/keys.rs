//! What hosts want done about keys: claims are checked and recorded, keys destroyed, sessions given to another shard; and
//! everybody hears of it whom it concerns.
//!
//! A question to the store runs as a task. Whatever becomes of it, the host that asked gets its one answer.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use heliogram_ports::clock::unix_now;
use heliogram_ports::{AuthKeys, Binding, Bound, KeyFacts, Reply, Unavailable};
use heliogram_proto::cx::Now;
use heliogram_proto::exchange::binding::{self, Claim, Error};
use heliogram_proto::host::{Asked, CallId, Effect, Input, PreparedAnswer};
use heliogram_proto::ids::{AuthKeyId, Identity};

use crate::links::Turn;
use crate::local::{Inner, failed};

impl Inner {
    /// Does what a host wants done about keys.
    pub(crate) fn on_keys(self: &Arc<Self>, effect: Effect, now: Now, turn_of: Option<&Turn>) {
        match effect {
            Effect::Bind { id, claim } => self.bind(id, claim),
            Effect::DropKeys { id, perm, except } => self.drop_keys(id, perm, except),
            Effect::DestroyKey { asked } => self.destroy_key(asked),
            Effect::HandOver(handover) => {
                self.tell_owner(handover.to(), Input::TakeOver(handover), now, turn_of);
            }
            Effect::TakenOver { key } => {
                self.bound(key);
                let (owner, key) = (Identity(key.id), key.id);
                self.tell_owner(owner, Input::TakenOver { key }, now, turn_of);
            }
            Effect::Forward { to, input } => self.forward(to, *input, now, turn_of),
            Effect::Ready { .. }
            | Effect::Call { .. }
            | Effect::Cancel { .. }
            | Effect::Fanout { .. }
            | Effect::FindUser { .. } => {
                debug_assert!(false, "not about keys");
            }
        }
    }

    fn bind(self: &Arc<Self>, call: CallId, claim: Claim) {
        let (keys, perm) = (Arc::clone(&self.keys), Identity(claim.perm()));
        let question = async move { check_and_record(&*keys, &claim).await };
        let unavailable = (Err(Error::Unavailable), Vec::new());
        self.ask(unavailable, question, move |inner, (outcome, removed)| {
            let now = inner.clock.now();
            inner.tell_owner(call.identity, Input::Bound { call, outcome }, now, None);
            inner.revoke(perm, &removed);
        });
    }

    fn drop_keys(self: &Arc<Self>, call: CallId, perm: AuthKeyId, except: Vec<AuthKeyId>) {
        let keys = Arc::clone(&self.keys);
        let question = async move { keys.remove_bound(perm, except).await };
        self.ask(Err(Unavailable), question, move |inner, removed| {
            let reply = match removed {
                Ok(removed) => {
                    inner.revoke(call.identity, &removed);
                    Reply::Result(Bytes::from_static(&BOOL_TRUE))
                }
                Err(Unavailable) => failed(),
            };
            let answer = PreparedAnswer::new(reply);
            let now = inner.clock.now();
            inner.tell_owner(call.identity, Input::Answer { call, answer }, now, None);
        });
    }

    fn destroy_key(self: &Arc<Self>, asked: Asked) {
        let (keys, identity) = (Arc::clone(&self.keys), asked.identity);
        let question = async move { keys.remove(identity.0).await };
        self.ask(Err(Unavailable), question, move |inner, removed| {
            let keys = removed.ok();
            let gone = keys.clone();
            let now = inner.clock.now();
            inner.tell_owner(identity, Input::Destroyed { asked, keys }, now, None);
            inner.revoke_each(identity, &gone.unwrap_or_default());
        });
    }

    /// Tells everybody that keys of an identity are no more.
    pub(crate) fn revoke(self: &Arc<Self>, identity: Identity, keys: &[AuthKeyId]) {
        if keys.is_empty() {
            return;
        }
        let revoked = Input::Revoked {
            identity,
            keys: keys.to_vec(),
        };
        self.tell_owner(identity, revoked, self.clock.now(), None);
        self.revoke_each(identity, keys);
    }

    /// Tells all but the owner of `identity` that keys are no more. Gateways hear of it last: an owner that refuses a frame
    /// says so itself.
    fn revoke_each(self: &Arc<Self>, identity: Identity, keys: &[AuthKeyId]) {
        for &key in keys {
            let own = Identity(key);
            if own != identity {
                let keys = vec![key];
                let revoked = Input::Revoked {
                    identity: own,
                    keys,
                };
                self.tell_owner(own, revoked, self.clock.now(), None);
            }
            for edge in self.edges() {
                edge.revoke(key);
            }
        }
    }

    fn forward(self: &Arc<Self>, to: Identity, input: Input, now: Now, turn_of: Option<&Turn>) {
        if let Input::Frame(frame) = &input {
            self.bound(*frame.key());
            if self.links.turn(frame.link()).is_none() {
                return;
            }
        }
        self.tell_owner(to, input, now, turn_of);
    }

    /// Tells every gateway that a key is bound.
    fn bound(&self, key: KeyFacts) {
        for edge in self.edges() {
            edge.bound(key);
        }
    }

    fn edges(&self) -> Vec<Arc<dyn heliogram_ports::Edge>> {
        let edges = self.edges.lock();
        edges.iter().filter_map(std::sync::Weak::upgrade).collect()
    }

    /// Asks the store, and hands over what it says, or `unavailable` if it says nothing in time.
    fn ask<T: Send + 'static>(
        self: &Arc<Self>,
        unavailable: T,
        question: impl Future<Output = T> + Send + 'static,
        then: impl FnOnce(&Arc<Self>, T) + Send + 'static,
    ) {
        self.answering.fetch_add(1, Ordering::AcqRel);
        let mut asked = Question {
            inner: Arc::clone(self),
            parts: Some((unavailable, then)),
        };
        self.runtime.spawn(async move {
            if let Ok(answer) = tokio::time::timeout(PATIENCE, question).await
                && let Some((outcome, _)) = &mut asked.parts
            {
                *outcome = answer;
            }
        });
    }
}

/// A question to the store. Its end hands over the outcome, also if its task ends early.
struct Question<T, F: FnOnce(&Arc<Inner>, T)> {
    inner: Arc<Inner>,
    parts: Option<(T, F)>,
}

impl<T, F: FnOnce(&Arc<Inner>, T)> Drop for Question<T, F> {
    fn drop(&mut self) {
        if let Some((outcome, then)) = self.parts.take() {
            then(&self.inner, outcome);
        }
        self.inner.answering.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Checks a claim and records the binding; returns the keys that had to make room, too.
async fn check_and_record(
    keys: &dyn AuthKeys,
    claim: &Claim,
) -> (Result<KeyFacts, Error>, Vec<AuthKeyId>) {
    let recorded = async {
        let perm = keys.find(claim.perm()).await.map_err(unavailable)?;
        let perm = perm.ok_or(Error::Invalid)?;
        let binding = Binding {
            key: claim.key(),
            perm: claim.perm(),
            expires_at_unix_s: binding::verify(claim, &perm, unix_now().seconds())?,
        };
        match keys.bind(binding).await.map_err(unavailable)? {
            Bound::Stored { facts, removed } => Ok((facts, removed)),
            Bound::Taken => Err(Error::Taken),
            Bound::Absent => Err(Error::Invalid),
        }
    };
    match recorded.await {
        Ok((facts, removed)) => (Ok(facts), removed),
        Err(error) => (Err(error), Vec::new()),
    }
}

const fn unavailable(_: Unavailable) -> Error {
    Error::Unavailable
}

/// How long the store may take.
const PATIENCE: Duration = Duration::from_secs(10);

const BOOL_TRUE: [u8; 4] = 0x9972_75b5_u32.to_le_bytes();

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};
    use std::sync::OnceLock;

    use heliogram_crypto::SecretBytes;
    use heliogram_ports::memory::MemoryKeys;
    use heliogram_ports::{
        Answer, Backend, Call, FirstSalt, Frame, KeyKind, SessionPort, ToHost, Wake,
    };
    use heliogram_proto::host::{Config, PreparedFrame};
    use heliogram_proto::ids::{LinkId, MsgId, Salt, SeqNo, SessionId, Term};

    use super::*;
    use crate::LocalPort;

    #[tokio::test]
    async fn a_link_that_ends_while_its_frame_is_forwarded_is_gone_for_the_owner_too() {
        let backend = Arc::new(HangsUp::default());
        let config = Config::new(TERM, SecretBytes::new([1; 32]));
        let keys = Arc::new(MemoryKeys::new());
        let runtime = tokio::runtime::Handle::current();
        let port = LocalPort::new(&config, 2, keys, Arc::<HangsUp>::clone(&backend), runtime);
        port.attach(LINK, Arc::new(Asleep));
        assert!(backend.0.set(port.clone()).is_ok());

        let (inner, now) = (&port.inner, port.inner.clock.now());
        let to = Identity(AuthKeyId(2));
        let input = Input::Frame(PreparedFrame::new(frame(now)));
        inner.forward(to, input, now, None);

        let census = inner.shards[inner.shard_of(to)].census();
        assert_eq!((census.sessions, census.links), (1, 0));
    }

    /// Ends the connection of every call before it answers.
    #[derive(Default)]
    struct HangsUp(OnceLock<LocalPort>);

    impl Backend for HangsUp {
        fn call(&self, _: Call) -> Answer {
            let port = self.0.get().unwrap();
            port.submit(&mut vec![ToHost::Detach { link: LINK }]);
            Answer::Now(failed())
        }
    }

    struct Asleep;

    impl Wake for Asleep {
        fn wake(&self) {}
    }

    /// A call under a temporary key that is bound.
    fn frame(now: Now) -> Frame {
        let now_s = now.unix.seconds();
        let first_salt = FirstSalt {
            salt: Salt(5),
            term: TERM,
            since_unix_s: now_s,
        };
        let key = KeyFacts {
            id: AuthKeyId(1),
            kind: KeyKind::Temporary {
                expires_at_unix_s: u32::MAX,
            },
            perm: Some(AuthKeyId(2)),
            dc: None,
            first_salt: Some(first_salt),
        };
        Frame {
            link: LINK,
            key,
            peer: SocketAddr::from((Ipv4Addr::LOCALHOST, 1)),
            salt: Salt(5),
            session_id: SessionId(7),
            msg_id: MsgId(i64::try_from(now_s).unwrap() << 32 | 4),
            seqno: SeqNo(1),
            body: Bytes::from_static(&[0x11; 4]),
            quick_ack: None,
            is_http: false,
            term: None,
            trace: None,
        }
    }

    const LINK: LinkId = LinkId(3);
    const TERM: Term = Term(9);
}
