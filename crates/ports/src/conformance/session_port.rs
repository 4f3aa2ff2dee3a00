//! What every way to sessions must do.

use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use bytes::Bytes;
use heliogram_proto::ids::{AuthKeyId, LinkId, MsgId, Salt, SeqNo, SessionId, Term};

use super::record;
use super::watched::Watched;
use crate::clock::unix_now;
use crate::{
    Answer, AuthKeys, Backend, Call, Edge, FirstSalt, Frame, FromHost, Inserted, KeyFacts, KeyKind,
    Reply, SessionPort, ToHost, Wake,
};

/// The term of the host that [`session_port`] is given.
pub const TERM: Term = Term(9);

/// Runs every rule of [`SessionPort`].
///
/// `make` returns a port to a host of the term [`TERM`] with these keys and this backend.
///
/// # Panics
///
/// When a rule is broken.
pub async fn session_port(
    make: impl AsyncFn(Arc<dyn AuthKeys>, Arc<dyn Backend>) -> Arc<dyn SessionPort>,
) {
    let keys = Arc::new(crate::memory::MemoryKeys::new());
    for id in KEYS {
        let mut record = record(1, KeyKind::Permanent);
        record.facts.id = AuthKeyId(id);
        assert_eq!(keys.insert(record).await, Ok(Inserted::Stored));
    }
    let backend = Arc::new(Echo::default());
    let port = make(
        Arc::<crate::memory::MemoryKeys>::clone(&keys),
        Arc::<Echo>::clone(&backend),
    )
    .await;
    let gateway = Gateway {
        port,
        backend,
        next_link: AtomicU64::new(1),
        next_message: AtomicU64::new(1),
    };
    gateway.answers_a_call().await;
    gateway.wakes_for_an_answer_that_comes_later().await;
    gateway.sends_in_the_order_of_ids().await;
    gateway.carries_large_bodies().await;
    gateway.keeps_links_apart().await;
    gateway.ends_what_a_link_has_begun_with_the_link().await;
    gateway.takes_nothing_of_a_link_that_is_not_attached().await;
    gateway
        .tells_gateways_of_a_key_that_is_no_more(&*keys)
        .await;
}

struct Gateway {
    port: Arc<dyn SessionPort>,
    backend: Arc<Echo>,
    next_link: AtomicU64,
    next_message: AtomicU64,
}

impl Gateway {
    async fn answers_a_call(&self) {
        let mut link = self.attach(1);
        let body = link.call(NOW, 1);
        link.until_answered(&body).await;
        self.until_quiet().await;
    }

    async fn wakes_for_an_answer_that_comes_later(&self) {
        let mut link = self.attach(2);
        let body = link.call(LATER, 1);
        self.backend.until_running(1).await;
        assert!(!self.port.is_quiet(), "a call is running");
        self.backend.release();
        link.until_answered(&body).await;
        self.until_quiet().await;
    }

    async fn sends_in_the_order_of_ids(&self) {
        let mut link = self.attach(3);
        let bodies: Vec<_> = (0..200).map(|_| link.call(NOW, 1)).collect();
        for body in &bodies {
            link.until_answered(body).await;
        }
        let ids: Vec<_> = link.got.iter().filter_map(msg_id).collect();
        assert!(ids.is_sorted_by(|a, b| a < b), "wire order is id order");
    }

    async fn carries_large_bodies(&self) {
        let mut link = self.attach(4);
        // Together more than a link is owed by any port at once.
        let bodies: Vec<_> = (0..4).map(|_| link.call(NOW, LARGE_WORDS)).collect();
        for body in &bodies {
            link.until_answered(body).await;
        }
    }

    async fn keeps_links_apart(&self) {
        let (mut a, mut b) = (self.attach(5), self.attach(6));
        let (of_a, of_b) = (a.call(NOW, 1), b.call(NOW, 1));
        a.until_answered(&of_a).await;
        b.until_answered(&of_b).await;
        for (link, foreign) in [(&a, &of_b), (&b, &of_a)] {
            assert!(link.got.iter().all(|item| item.link() == link.id));
            assert!(!link.has(foreign), "an answer never reaches another link");
        }
    }

    async fn ends_what_a_link_has_begun_with_the_link(&self) {
        let mut link = self.attach(7);
        let body = link.call(LATER, 1);
        self.backend.until_running(1).await;
        let id = link.id;
        self.port.submit(&mut vec![ToHost::Detach { link: id }]);
        self.backend.release();
        self.until_quiet().await;
        let mut got = Vec::new();
        self.port.drain(id, &mut got);
        assert!(
            got.is_empty(),
            "nothing is for a link that is gone: {got:?}"
        );

        // Its session goes on: on the next link the answer comes.
        let mut next = self.attach(7);
        next.call(NOW, 1);
        next.until_answered(&body).await;
    }

    async fn takes_nothing_of_a_link_that_is_not_attached(&self) {
        let ran = self.backend.ran();
        let mut stray = self.attach(8);
        self.port
            .submit(&mut vec![ToHost::Detach { link: stray.id }]);
        stray.call(NOW, 1);
        let mut link = self.attach(9);
        let body = link.call(NOW, 1);
        link.until_answered(&body).await;
        assert_eq!(self.backend.ran(), ran + 1, "the stray call has not run");
    }

    async fn tells_gateways_of_a_key_that_is_no_more(&self, keys: &dyn AuthKeys) {
        let record = record(200, KeyKind::Permanent);
        let id = record.facts.id;
        assert_eq!(keys.insert(record).await, Ok(Inserted::Stored));
        let edge = Arc::new(Told::default());
        let weak: std::sync::Weak<Told> = Arc::downgrade(&edge);
        self.port.open(weak);
        let mut link = self.attach(id.0);
        link.send(Bytes::copy_from_slice(&DESTROY_AUTH_KEY));
        poll_fn(|cx| {
            link.drain();
            edge.0
                .poll_until(cx.waker(), |revoked| revoked.contains(&id))
        })
        .await;
        assert!(matches!(keys.find(id).await, Ok(None)));
    }

    fn attach(&self, key: i64) -> Link<'_> {
        let id = LinkId(self.next_link.fetch_add(1, Ordering::Relaxed));
        let woken = Arc::new(Woken::default());
        self.port.attach(id, Arc::<Woken>::clone(&woken));
        Link {
            gateway: self,
            id,
            key: AuthKeyId(key),
            woken,
            got: Vec::new(),
        }
    }

    /// Asks again and again, as a gateway does that shuts down.
    async fn until_quiet(&self) {
        poll_fn(|cx| {
            if self.port.is_quiet() {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
}

/// A connection with one session.
struct Link<'a> {
    gateway: &'a Gateway,
    id: LinkId,
    key: AuthKeyId,
    woken: Arc<Woken>,
    got: Vec<FromHost>,
}

impl Link<'_> {
    /// Makes a call of so many words; returns what its answer holds.
    fn call(&mut self, method: u32, words: u32) -> Bytes {
        let number = self.gateway.next_message.load(Ordering::Relaxed);
        let number = u32::try_from(number).unwrap_or(0);
        // Like nothing else, and nothing that can be packed.
        let word = |at: u32| number.wrapping_mul(0x9e37_79b9) ^ at.wrapping_mul(0x85eb_ca6b);
        let body: Vec<_> = std::iter::once(method)
            .chain((0..words + 3).map(word))
            .flat_map(u32::to_le_bytes)
            .collect();
        let body = Bytes::from(body);
        self.send(body.clone());
        body
    }

    fn send(&mut self, body: Bytes) {
        let number = self.gateway.next_message.fetch_add(1, Ordering::Relaxed);
        let number = i64::try_from(number).unwrap_or(0);
        let now_s = unix_now().seconds();
        let frame = Frame {
            link: self.id,
            key: KeyFacts {
                id: self.key,
                kind: KeyKind::Permanent,
                perm: None,
                dc: None,
                first_salt: Some(FirstSalt {
                    salt: SALT,
                    term: TERM,
                    since_unix_s: now_s,
                }),
            },
            peer: ([192, 0, 2, 1], 443).into(),
            salt: SALT,
            session_id: SessionId(1),
            msg_id: MsgId((i64::try_from(now_s).unwrap_or(0) << 32) + 4 * number),
            seqno: SeqNo(i32::try_from(2 * number + 1).unwrap_or(1)),
            body,
            quick_ack: None,
            is_http: false,
            term: None,
            trace: None,
        };
        self.gateway.port.submit(&mut vec![ToHost::Frame(frame)]);
    }

    async fn until_answered(&mut self, body: &[u8]) {
        let woken = Arc::clone(&self.woken);
        poll_fn(|cx| {
            self.drain();
            if self.has(body) {
                return Poll::Ready(());
            }
            // What has come since the drain wakes again.
            if woken.0.poll_until(cx.waker(), |&woken| woken).is_ready() {
                woken.0.change(|woken| *woken = false);
                cx.waker().wake_by_ref();
            }
            Poll::Pending
        })
        .await;
    }

    fn drain(&mut self) {
        self.gateway.port.drain(self.id, &mut self.got);
    }

    fn has(&self, body: &[u8]) -> bool {
        self.got.iter().any(|item| match item {
            FromHost::Seal { body: sealed, .. } => {
                sealed.windows(body.len()).any(|window| window == body)
            }
            FromHost::QuickAck { .. } | FromHost::Close { .. } => false,
        })
    }
}

fn msg_id(item: &FromHost) -> Option<MsgId> {
    match item {
        FromHost::Seal { msg_id, .. } => Some(*msg_id),
        FromHost::QuickAck { .. } | FromHost::Close { .. } => None,
    }
}

/// Answers a call by its body: at once, or when it is released.
#[derive(Default)]
struct Echo {
    running: Watched<Vec<(Arc<Watched<bool>>, Bytes)>>,
    ran: Mutex<u64>,
}

impl Echo {
    async fn until_running(&self, count: usize) {
        poll_fn(|cx| self.running.poll_until(cx.waker(), |it| it.len() >= count)).await;
    }

    fn release(&self) {
        self.running.change(|running| {
            for (is_released, _) in running.drain(..) {
                is_released.change(|is_released| *is_released = true);
            }
        });
    }

    fn ran(&self) -> u64 {
        *self.ran.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Backend for Echo {
    fn call(&self, call: Call) -> Answer {
        *self.ran.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        let body = call.body;
        if !body.starts_with(&LATER.to_le_bytes()) {
            return Answer::Now(Reply::Result(body));
        }
        let is_released = Arc::new(Watched::default());
        let running = (Arc::clone(&is_released), body.clone());
        self.running.change(|all| all.push(running));
        Answer::Later(Box::pin(async move {
            poll_fn(|cx| is_released.poll_until(cx.waker(), |&it: &bool| it)).await;
            Reply::Result(body)
        }))
    }
}

#[derive(Default)]
struct Woken(Watched<bool>);

impl Wake for Woken {
    fn wake(&self) {
        self.0.change(|woken| *woken = true);
    }
}

/// Takes note of keys that are no more.
#[derive(Default)]
struct Told(Watched<Vec<AuthKeyId>>);

impl Edge for Told {
    fn bound(&self, _: KeyFacts) {}

    fn fan_out(self: Arc<Self>, _: Vec<LinkId>) {}

    fn revoke(&self, key: AuthKeyId) {
        self.0.change(|revoked| revoked.push(key));
    }
}

const SALT: Salt = Salt(5);

/// The keys that links carry, one each.
const KEYS: std::ops::RangeInclusive<i64> = 1..=9;

/// Methods of no schema.
const NOW: u32 = 0x1111_1111;
const LATER: u32 = 0x2222_2222;

/// `destroy_auth_key#d1435160 = DestroyAuthKeyRes`.
const DESTROY_AUTH_KEY: [u8; 4] = 0xd143_5160_u32.to_le_bytes();

/// Some 800 KB: nearly what a client's frame holds.
const LARGE_WORDS: u32 = 200_000;
