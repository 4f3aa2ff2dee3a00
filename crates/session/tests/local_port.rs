//! The port of one process, driven as a gateway drives it, before a backend that does as it is told.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use heliogram_crypto::SecretBytes;
use heliogram_ports::conformance::record;
use heliogram_ports::memory::MemoryKeys;
use heliogram_ports::{
    Answer, Attach, AuthKeys, Backend, Binding, Bound, BoxFuture, Call, Edge, FirstSalt, Frame,
    FromHost, Inserted, KeyFacts, KeyKind, KeyRecord, Reply, SessionPort, ToHost, Unavailable,
    Wake,
};
use heliogram_proto::host::Config;
use heliogram_proto::ids::{AuthKeyId, LinkId, MsgId, Salt, SeqNo, SessionId, Term};
use heliogram_session::LocalPort;
use heliogram_tl::api::InitConnection;
use heliogram_tl::mtproto::{
    DestroyAuthKey, DestroyAuthKeyFail, DestroyAuthKeyOk, DestroySession, HttpWait, MsgContainer,
    NewSessionCreated, PingDelayDisconnect, Pong, RpcResult,
};
use heliogram_tl::{Deserialize, Serialize};
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};

#[tokio::test]
async fn an_answer_that_is_there_at_once_is_drained_in_the_same_turn_and_wakes_nobody() {
    let mut gateway = Gateway::new(Scripted::now());

    let call = gateway.send(KEY, NOW);

    assert_eq!(gateway.results(), [(call, reply_bytes(NOW))]);
    assert_eq!(gateway.woken(), 0);
    assert!(gateway.port.is_quiet());
}

#[tokio::test]
async fn an_answer_that_comes_later_wakes_the_link() {
    let backend = Scripted::now();
    let mut gateway = Gateway::new(Arc::clone(&backend));

    let call = gateway.send(KEY, LATER);
    assert_eq!(gateway.results(), []);
    assert!(!gateway.port.is_quiet());
    backend.release();
    gateway.until_woken().await;

    assert_eq!(gateway.results(), [(call, reply_bytes(LATER))]);
    assert!(gateway.port.is_quiet());
}

#[tokio::test]
async fn a_response_over_http_that_is_due_wakes_its_link() {
    let mut gateway = Gateway::new(Scripted::now());
    let port = gateway.port.clone();
    let deadlines = tokio::spawn(async move { port.run().await });
    gateway.is_http = true;
    gateway.send(KEY, NOW);
    assert_eq!(
        gateway.drain().len(),
        1,
        "one response with the news and the result"
    );

    let hold = HttpWait {
        max_delay: 0,
        wait_after: 0,
        max_wait: 20,
    };
    gateway.send_body(KEY, &hold.to_bytes(), false);
    gateway.until_woken().await;

    let response = gateway.drain();
    assert_eq!((response.len(), bodies(&response).len()), (1, 0));
    deadlines.abort();
}

#[tokio::test]
async fn calls_of_one_link_do_not_wait_for_each_other() {
    let backend = Scripted::now();
    let mut gateway = Gateway::new(Arc::clone(&backend));

    gateway.send(KEY, LATER);
    let second = gateway.send(KEY, NOW);

    assert_eq!(gateway.results(), [(second, reply_bytes(NOW))]);
}

#[tokio::test]
async fn a_call_of_a_destroyed_session_is_dropped_and_ends() {
    let backend = Scripted::now();
    let mut gateway = Gateway::new(Arc::clone(&backend));
    gateway.send(KEY, LATER);
    let destroyed = gateway.session_id;

    gateway.session_id = SessionId(destroyed.0 + 1);
    gateway.send_body(
        KEY,
        &DestroySession {
            session_id: destroyed.0,
        }
        .to_bytes(),
        true,
    );

    backend.until_dropped().await;
    assert!(gateway.port.is_quiet());
}

#[tokio::test]
async fn a_backend_that_panics_at_once_fails_its_call_alone() {
    let mut gateway = Gateway::new(Scripted::now());

    let first = gateway.send(KEY, PANIC_NOW);
    let second = gateway.send(KEY, NOW);

    assert_eq!(
        gateway.results(),
        [(first, failure()), (second, reply_bytes(NOW))]
    );
}

#[tokio::test]
async fn a_backend_that_panics_later_fails_its_call() {
    let mut gateway = Gateway::new(Scripted::now());

    let call = gateway.send(KEY, PANIC_LATER);
    assert_eq!(gateway.results(), []);
    gateway.until_woken().await;

    assert_eq!(gateway.results(), [(call, failure())]);
    assert!(gateway.port.is_quiet());
}

#[test]
fn a_call_that_begins_when_its_runtime_has_ended_fails_and_holds_nobody_up() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let guard = runtime.enter();
    let mut gateway = Gateway::new(Scripted::now());
    drop(guard);
    drop(runtime);

    let (done, is_done) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let call = gateway.send(KEY, LATER);
        done.send((call, gateway.results())).unwrap();
    });

    let (call, results) = is_done.recv_timeout(PATIENCE).expect("the port hangs");
    assert_eq!(results, [(call, failure())]);
}

#[tokio::test]
async fn the_port_is_not_quiet_before_the_link_was_told_of_the_last_answer() {
    let backend = Scripted::now();
    let mut gateway = Gateway::new(Arc::clone(&backend));
    let port = gateway.port.clone();
    *gateway.wake.look.lock().unwrap() = Some(Box::new(move || port.is_quiet()));

    gateway.send(KEY, LATER);
    gateway.drain();
    backend.release();
    gateway.until_woken().await;

    assert_eq!(*gateway.wake.was_quiet.lock().unwrap(), Some(false));
    assert!(gateway.port.is_quiet());
}

#[tokio::test]
async fn one_link_may_carry_two_keys() {
    let mut gateway = Gateway::new(Scripted::now());

    let first = gateway.send(KEY, NOW);
    let second = gateway.send(AuthKeyId(KEY.0 + 1), NOW);

    let mut calls = gateway
        .results()
        .into_iter()
        .map(|(call, _)| call)
        .collect::<Vec<_>>();
    calls.sort_unstable();
    assert_eq!(calls, [first, second]);
}

#[tokio::test]
async fn a_link_that_is_gone_gets_nothing_and_brings_nothing() {
    let backend = Scripted::now();
    let mut gateway = Gateway::new(Arc::clone(&backend));
    gateway.send(KEY, LATER);
    gateway
        .port
        .submit(&mut vec![ToHost::Detach { link: LINK }]);

    backend.release();
    let before = backend.calls.load(Ordering::Relaxed);
    gateway.send(KEY, NOW);

    assert_eq!(backend.calls.load(Ordering::Relaxed), before);
    assert_eq!(gateway.results(), []);
}

#[tokio::test]
async fn a_link_that_comes_back_gets_what_its_session_has_and_one_that_is_not_attached_nothing() {
    let backend = Scripted::now();
    let mut gateway = Gateway::new(Arc::clone(&backend));
    let call = gateway.send(KEY, LATER);
    gateway
        .port
        .submit(&mut vec![ToHost::Detach { link: LINK }]);
    let back = Attach {
        link: LINK,
        key: facts(KEY),
        session_id: gateway.session_id,
        term: Some(TERM),
        is_http: false,
    };
    gateway.port.submit(&mut vec![ToHost::Attach(back)]);

    let wake = Arc::<Woken>::clone(&gateway.wake);
    gateway.port.attach(LINK, wake);
    backend.release();
    assert_eq!(gateway.results(), []);

    gateway.port.submit(&mut vec![ToHost::Attach(back)]);
    assert!(!gateway.drain().is_empty(), "the news of the session");
    gateway.until_woken().await;
    assert_eq!(gateway.results(), [(call, reply_bytes(LATER))]);
}

#[tokio::test]
async fn a_deadline_passes_without_any_message() {
    let mut gateway = Gateway::new(Scripted::now());
    let port = gateway.port.clone();
    let running = tokio::spawn(async move { port.run().await });

    gateway.send_body(
        KEY,
        &PingDelayDisconnect {
            ping_id: 1,
            disconnect_delay: 1,
        }
        .to_bytes(),
        false,
    );
    let first = gateway.drain();
    gateway.until_woken().await;
    let second = gateway.drain();
    running.abort();

    assert!(
        bodies(&first)
            .iter()
            .any(|body| Pong::from_bytes(body).is_ok())
    );
    assert_eq!(
        second,
        [FromHost::Close {
            link: LINK,
            code: None
        }]
    );
}

#[tokio::test]
async fn a_store_that_cannot_say_destroys_nothing_and_every_gateway_hears_of_what_is_destroyed() {
    for is_down in [true, false] {
        let (kept, keys) = (record(7, KeyKind::Permanent), MemoryKeys::new());
        let key = kept.facts.id;
        assert_eq!(keys.insert(kept).await, Ok(Inserted::Stored));
        let keys = Arc::new(Store { keys, is_down });
        let mut gateway = Gateway::with(Arc::<Store>::clone(&keys), Scripted::now());
        let edges = [Arc::new(Ear::default()), Arc::new(Ear::default())];
        for edge in &edges {
            let edge = Arc::downgrade(edge);
            gateway.port.open(edge);
        }

        gateway.send_body(key, &DestroyAuthKey.to_bytes(), false);
        assert!(!gateway.port.is_quiet(), "an answer is to come");
        let answer = gateway.until_body_but_news().await;

        let expected = if is_down {
            DestroyAuthKeyFail::ID
        } else {
            DestroyAuthKeyOk::ID
        };
        assert_eq!(heliogram_tl::peek_id(&answer), Some(expected));
        while !gateway.port.is_quiet() {
            tokio::task::yield_now().await;
        }
        let told = if is_down { vec![] } else { vec![key] };
        for edge in &edges {
            assert_eq!(*edge.revoked.lock().unwrap(), told);
        }
        assert_eq!(keys.find(key).await.is_ok_and(|it| it.is_none()), !is_down);
    }
}

/// A gateway that notes which keys are no more.
#[derive(Default)]
struct Ear {
    revoked: Mutex<Vec<AuthKeyId>>,
}

impl Edge for Ear {
    fn bound(&self, _: KeyFacts) {}

    fn fan_out(self: Arc<Self>, _: Vec<LinkId>) {}

    fn revoke(&self, key: AuthKeyId) {
        self.revoked.lock().unwrap().push(key);
    }
}

/// A store that may not be able to change anything.
struct Store {
    keys: MemoryKeys,
    is_down: bool,
}

impl AuthKeys for Store {
    fn find(&self, id: AuthKeyId) -> BoxFuture<'_, Result<Option<Arc<KeyRecord>>, Unavailable>> {
        self.keys.find(id)
    }

    fn insert(&self, record: KeyRecord) -> BoxFuture<'_, Result<Inserted, Unavailable>> {
        self.keys.insert(record)
    }

    fn bind(&self, binding: Binding) -> BoxFuture<'_, Result<Bound, Unavailable>> {
        self.keys.bind(binding)
    }

    fn remove(&self, id: AuthKeyId) -> BoxFuture<'_, Result<Vec<AuthKeyId>, Unavailable>> {
        Box::pin(async move {
            if self.is_down {
                return Err(Unavailable);
            }
            self.keys.remove(id).await
        })
    }

    fn remove_bound(
        &self,
        perm: AuthKeyId,
        except: Vec<AuthKeyId>,
    ) -> BoxFuture<'_, Result<Vec<AuthKeyId>, Unavailable>> {
        self.keys.remove_bound(perm, except)
    }
}

/// What is known of a key that was made just now.
fn facts(key: AuthKeyId) -> KeyFacts {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let first_salt = FirstSalt {
        salt: Salt(5),
        term: TERM,
        since_unix_s: now.as_secs(),
    };
    KeyFacts {
        id: key,
        kind: KeyKind::Permanent,
        perm: None,
        dc: None,
        first_salt: Some(first_salt),
    }
}

/// What a gateway does, without sockets: one link, some keys.
struct Gateway {
    port: LocalPort,
    wake: Arc<Woken>,
    session_id: SessionId,
    last_msg_id: i64,
    content_count: i32,
    is_http: bool,
}

impl Gateway {
    fn new(backend: Arc<Scripted>) -> Self {
        Self::with(Arc::new(MemoryKeys::new()), backend)
    }

    fn with(keys: Arc<dyn AuthKeys>, backend: Arc<Scripted>) -> Self {
        let config = Config::new(TERM, SecretBytes::new([1; 32]));
        let port = LocalPort::new(&config, 4, keys, backend, Handle::current());
        let wake = Arc::new(Woken::default());
        port.attach(LINK, Arc::<Woken>::clone(&wake));
        Self {
            port,
            wake,
            session_id: SessionId(77),
            last_msg_id: 0,
            content_count: 0,
            is_http: false,
        }
    }

    /// Calls a method; returns the message's id.
    fn send(&mut self, key: AuthKeyId, method: u32) -> i64 {
        let query = method.to_le_bytes();
        let call = InitConnection {
            api_id: 4,
            query: &query,
            ..InitConnection::default()
        };
        self.send_body(key, &call.to_bytes(), true)
    }

    fn send_body(&mut self, key: AuthKeyId, body: &[u8], is_content: bool) -> i64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let now_id =
            i64::try_from(now.as_secs()).unwrap() << 32 | i64::from(now.subsec_nanos()) << 2;
        self.last_msg_id = now_id.max(self.last_msg_id + 4);
        let seqno = SeqNo(self.content_count * 2 + i32::from(is_content));
        self.content_count += i32::from(is_content);
        let frame = Frame {
            link: LINK,
            key: facts(key),
            peer: SocketAddr::from(([127, 0, 0, 1], 1)),
            salt: Salt(5),
            session_id: self.session_id,
            msg_id: MsgId(self.last_msg_id),
            seqno,
            body: Bytes::copy_from_slice(body),
            quick_ack: None,
            is_http: self.is_http,
            term: None,
            trace: None,
        };
        self.port.submit(&mut vec![ToHost::Frame(frame)]);
        self.last_msg_id
    }

    fn drain(&self) -> Vec<FromHost> {
        let mut out = Vec::new();
        self.port.drain(LINK, &mut out);
        out
    }

    /// Drains; returns the results of calls, in order.
    fn results(&self) -> Vec<(i64, Vec<u8>)> {
        let bodies = bodies(&self.drain());
        let results = bodies
            .iter()
            .filter_map(|body| RpcResult::from_bytes(body).ok());
        results
            .map(|result| (result.req_msg_id, result.result.to_vec()))
            .collect()
    }

    /// Waits for a message other than that of a new session.
    async fn until_body_but_news(&self) -> Bytes {
        loop {
            let mut bodies = bodies(&self.drain());
            bodies.retain(|it| heliogram_tl::peek_id(it) != Some(NewSessionCreated::ID));
            if let Some(body) = bodies.pop() {
                return body;
            }
            self.until_woken().await;
        }
    }

    fn woken(&self) -> usize {
        self.wake.count.load(Ordering::Relaxed)
    }

    async fn until_woken(&self) {
        tokio::time::timeout(PATIENCE, self.wake.notify.notified())
            .await
            .expect("nobody was woken");
    }
}

/// The objects of all messages, taken out of their containers.
fn bodies(out: &[FromHost]) -> Vec<Bytes> {
    let messages = out.iter().filter_map(|effect| match effect {
        FromHost::Seal { body, .. } => Some(body),
        FromHost::QuickAck { .. } | FromHost::Close { .. } => None,
    });
    messages
        .flat_map(|body| match MsgContainer::from_bytes(body) {
            Ok(container) => container
                .messages
                .iter()
                .map(|it| Bytes::copy_from_slice(it.body))
                .collect(),
            Err(_) => vec![body.clone()],
        })
        .collect()
}

#[derive(Default)]
struct Woken {
    count: AtomicUsize,
    notify: Notify,
    /// What to look at when it is woken, and what was seen.
    look: Mutex<Option<Box<dyn Fn() -> bool + Send>>>,
    was_quiet: Mutex<Option<bool>>,
}

impl Wake for Woken {
    fn wake(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
        if let Some(look) = &*self.look.lock().unwrap() {
            *self.was_quiet.lock().unwrap() = Some(look());
        }
        self.notify.notify_one();
    }
}

/// Answers as the method's id says.
struct Scripted {
    calls: AtomicUsize,
    release: Mutex<Option<oneshot::Sender<()>>>,
    released: Mutex<Option<oneshot::Receiver<()>>>,
    dropped: Arc<Notify>,
}

impl Scripted {
    fn now() -> Arc<Self> {
        let (release, released) = oneshot::channel();
        Arc::new(Self {
            calls: AtomicUsize::new(0),
            release: Mutex::new(Some(release)),
            released: Mutex::new(Some(released)),
            dropped: Arc::default(),
        })
    }

    /// Lets the call that waits be answered.
    fn release(&self) {
        self.release.lock().unwrap().take().unwrap().send(()).ok();
    }

    /// Waits until the call that waits is dropped, whether it was answered or not.
    async fn until_dropped(&self) {
        tokio::time::timeout(PATIENCE, self.dropped.notified())
            .await
            .expect("the call was not dropped");
    }
}

impl Backend for Scripted {
    fn call(&self, call: Call) -> Answer {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let method = u32::from_le_bytes(call.body[..4].try_into().unwrap());
        match method {
            NOW => Answer::Now(Reply::Result(reply_bytes(method).into())),
            PANIC_NOW => panic!("as the test wants it"),
            PANIC_LATER => Answer::Later(Box::pin(async { panic!("as the test wants it") })),
            LATER => {
                let released = self.released.lock().unwrap().take().unwrap();
                let dropped = NotifyOnDrop(Arc::clone(&self.dropped));
                Answer::Later(Box::pin(async move {
                    let _dropped = dropped;
                    released.await.ok();
                    Reply::Result(reply_bytes(method).into())
                }))
            }
            other => panic!("no such method: {other:#x}"),
        }
    }
}

struct NotifyOnDrop(Arc<Notify>);

impl Drop for NotifyOnDrop {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

fn reply_bytes(method: u32) -> Vec<u8> {
    (!method).to_le_bytes().to_vec()
}

fn failure() -> Vec<u8> {
    heliogram_tl::mtproto::RpcError {
        error_code: 500,
        error_message: b"RPC_CALL_FAIL",
    }
    .to_bytes()
}

const LINK: LinkId = LinkId(3);
const KEY: AuthKeyId = AuthKeyId(0x1234_5678_9abc_def0);
const TERM: Term = Term(9);

const NOW: u32 = 0x1111_1111;
const LATER: u32 = 0x2222_2222;
const PANIC_NOW: u32 = 0x3333_3333;
const PANIC_LATER: u32 = 0x4444_4444;

const PATIENCE: Duration = Duration::from_secs(10);
