//! What a gateway does, without sockets, and a backend and a store that do as they are told.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use heliogram_crypto::SecretBytes;
use heliogram_ports::memory::MemoryKeys;
use heliogram_ports::{
    Answer, AuthKeys, Backend, Binding, Bound, BoxFuture, Call, Edge, FirstSalt, Frame, FromHost,
    Inserted, KeyFacts, KeyKind, KeyRecord, Reply, SessionPort, ToHost, Unavailable, Wake,
};
use heliogram_proto::host::Config;
use heliogram_proto::ids::{AuthKeyId, LinkId, MsgId, Salt, SeqNo, SessionId, Term};
use heliogram_session::LocalPort;
use heliogram_tl::api::InitConnection;
use heliogram_tl::mtproto::{MsgContainer, NewSessionCreated, RpcResult};
use heliogram_tl::{Deserialize, Serialize};
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};

/// A gateway that notes which keys are no more.
#[derive(Default)]
pub(crate) struct Ear {
    pub(crate) revoked: Mutex<Vec<AuthKeyId>>,
}

impl Edge for Ear {
    fn bound(&self, _: KeyFacts) {}

    fn fan_out(self: Arc<Self>, _: Vec<LinkId>) {}

    fn revoke(&self, key: AuthKeyId) {
        self.revoked.lock().unwrap().push(key);
    }
}

/// A store that may not be able to change anything.
pub(crate) struct Store {
    pub(crate) keys: MemoryKeys,
    pub(crate) is_down: bool,
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
pub(crate) fn facts(key: AuthKeyId) -> KeyFacts {
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
pub(crate) struct Gateway {
    pub(crate) port: LocalPort,
    pub(crate) wake: Arc<Woken>,
    pub(crate) session_id: SessionId,
    last_msg_id: i64,
    content_count: i32,
    pub(crate) is_http: bool,
}

impl Gateway {
    pub(crate) fn new(backend: Arc<Scripted>) -> Self {
        Self::with(Arc::new(MemoryKeys::new()), backend)
    }

    pub(crate) fn with(keys: Arc<dyn AuthKeys>, backend: Arc<Scripted>) -> Self {
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
    pub(crate) fn send(&mut self, key: AuthKeyId, method: u32) -> i64 {
        let query = method.to_le_bytes();
        let call = InitConnection {
            api_id: 4,
            query: &query,
            ..InitConnection::default()
        };
        self.send_body(key, &call.to_bytes(), true)
    }

    pub(crate) fn send_body(&mut self, key: AuthKeyId, body: &[u8], is_content: bool) -> i64 {
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

    pub(crate) fn drain(&self) -> Vec<FromHost> {
        let mut out = Vec::new();
        self.port.drain(LINK, &mut out);
        out
    }

    /// Drains; returns the results of calls, in order.
    pub(crate) fn results(&self) -> Vec<(i64, Vec<u8>)> {
        let bodies = bodies(&self.drain());
        let results = bodies
            .iter()
            .filter_map(|body| RpcResult::from_bytes(body).ok());
        results
            .map(|result| (result.req_msg_id, result.result.to_vec()))
            .collect()
    }

    /// Waits for a message other than that of a new session.
    pub(crate) async fn until_body_but_news(&self) -> Bytes {
        loop {
            let mut bodies = bodies(&self.drain());
            bodies.retain(|it| heliogram_tl::peek_id(it) != Some(NewSessionCreated::ID));
            if let Some(body) = bodies.pop() {
                return body;
            }
            self.until_woken().await;
        }
    }

    pub(crate) fn woken(&self) -> usize {
        self.wake.count.load(Ordering::Relaxed)
    }

    pub(crate) async fn until_woken(&self) {
        tokio::time::timeout(PATIENCE, self.wake.notify.notified())
            .await
            .expect("nobody was woken");
    }
}

/// The objects of all messages, taken out of their containers.
pub(crate) fn bodies(out: &[FromHost]) -> Vec<Bytes> {
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
pub(crate) struct Woken {
    count: AtomicUsize,
    notify: Notify,
    /// What to look at when it is woken, and what was seen.
    pub(crate) look: Mutex<Option<Box<dyn Fn() -> bool + Send>>>,
    pub(crate) was_quiet: Mutex<Option<bool>>,
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
pub(crate) struct Scripted {
    pub(crate) calls: AtomicUsize,
    release: Mutex<Option<oneshot::Sender<()>>>,
    released: Mutex<Option<oneshot::Receiver<()>>>,
    dropped: Arc<Notify>,
}

impl Scripted {
    pub(crate) fn now() -> Arc<Self> {
        let (release, released) = oneshot::channel();
        Arc::new(Self {
            calls: AtomicUsize::new(0),
            release: Mutex::new(Some(release)),
            released: Mutex::new(Some(released)),
            dropped: Arc::default(),
        })
    }

    /// Lets the call that waits be answered.
    pub(crate) fn release(&self) {
        self.release.lock().unwrap().take().unwrap().send(()).ok();
    }

    /// Waits until the call that waits is dropped, whether it was answered or not.
    pub(crate) async fn until_dropped(&self) {
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

pub(crate) fn reply_bytes(method: u32) -> Vec<u8> {
    (!method).to_le_bytes().to_vec()
}

pub(crate) fn failure() -> Vec<u8> {
    heliogram_tl::mtproto::RpcError {
        error_code: 500,
        error_message: b"RPC_CALL_FAIL",
    }
    .to_bytes()
}

pub(crate) const LINK: LinkId = LinkId(3);
pub(crate) const KEY: AuthKeyId = AuthKeyId(0x1234_5678_9abc_def0);
pub(crate) const TERM: Term = Term(9);

pub(crate) const NOW: u32 = 0x1111_1111;
pub(crate) const LATER: u32 = 0x2222_2222;
pub(crate) const PANIC_NOW: u32 = 0x3333_3333;
pub(crate) const PANIC_LATER: u32 = 0x4444_4444;

pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
