//! Updates downwards through the port of one process: from a backend to links in all shards.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use heliogram_crypto::SecretBytes;
use heliogram_ports::memory::MemoryKeys;
use heliogram_ports::{
    Answer, Backend, Call, Edge, FirstSalt, Frame, FromHost, KeyFacts, KeyKind, LoggedIn, Push,
    PushRefused, Pushes, Reply, SessionPort, Target, ToHost, Wake,
};
use heliogram_proto::host::Config;
use heliogram_proto::ids::{AuthKeyId, Identity, LinkId, MsgId, Salt, SeqNo, SessionId, Term};
use heliogram_session::LocalPort;
use heliogram_tl::mtproto::MsgContainer;
use heliogram_tl::{Deserialize, peek_id};
use tokio::runtime::Handle;
use tokio::sync::Notify;

#[tokio::test]
async fn a_push_to_a_user_reaches_links_in_all_shards_by_one_fan_out_and_wakes_nobody() {
    let world = World::new(Directory::with(LoggedIn::Now(Some(7))));
    let edge = world.open();
    world.connect_all();

    world.push(Target::User(7), 1);

    let reached = edge.take();
    assert_eq!(reached.len(), 1, "one fan-out");
    let mut links = reached[0].clone();
    links.sort_unstable();
    assert_eq!(links, (1..=LINKS).map(LinkId).collect::<Vec<_>>());
    assert_eq!(world.wake.count.load(Ordering::Relaxed), 0);
    for link in links {
        assert_eq!(world.updates(link), [1]);
    }
}

#[tokio::test]
async fn links_that_were_told_and_have_not_drained_are_not_told_again() {
    let world = World::new(Directory::with(LoggedIn::Now(Some(7))));
    let edge = world.open();
    world.connect_all();

    world.push(Target::User(7), 1);
    edge.take();
    world.push(Target::User(7), 2);

    assert_eq!(edge.take(), [[]; 0]);
    assert_eq!(world.updates(LinkId(1)), [1, 2]);
}

#[tokio::test]
async fn without_a_gateway_that_listens_each_link_is_woken() {
    let world = World::new(Directory::with(LoggedIn::Now(Some(7))));
    drop(world.open());
    world.connect_all();

    world.push(Target::User(7), 1);

    let woken = world.wake.count.load(Ordering::Relaxed);
    assert_eq!(woken, usize::try_from(LINKS).unwrap());
}

#[tokio::test]
async fn a_push_that_reaches_one_link_wakes_it() {
    let world = World::new(Directory::with(LoggedIn::Now(None)));
    let edge = world.open();
    world.connect_all();

    world.push(Target::Key(Identity(AuthKeyId(3))), 1);

    assert_eq!(edge.take(), [[]; 0]);
    assert_eq!(world.wake.count.load(Ordering::Relaxed), 1);
    assert_eq!(world.updates(LinkId(3)), [1]);
}

#[tokio::test]
async fn a_backend_may_push_within_a_call_to_the_session_that_calls() {
    let world = World::new(Directory::with(LoggedIn::Now(None)));
    world.connect(1);
    world.call(1, PUSH_TO_ME);
    assert_eq!(world.updates(LinkId(1)), [5]);
}

#[tokio::test]
async fn who_logs_in_is_reached_as_soon_as_that_was_said_and_not_after_the_log_out() {
    let world = World::new(Directory::with(LoggedIn::Now(None)));
    world.connect(1);
    let identity = Identity(AuthKeyId(1));
    world.push(Target::User(7), 1);
    world.port.set_user(identity, Some(7));
    world.push(Target::User(7), 2);
    world.port.set_user(identity, None);
    world.push(Target::User(7), 3);
    assert_eq!(world.updates(LinkId(1)), [2]);
}

#[tokio::test]
async fn a_user_that_is_found_out_later_is_told_to_ask_for_the_difference() {
    let later = LoggedIn::Later(Box::pin(async { Some(7) }));
    let world = World::new(Directory::with(later));
    world.connect(1);

    tokio::time::timeout(PATIENCE, world.wake.notify.notified())
        .await
        .expect("nobody was woken");
    let first = world.drain(LinkId(1));
    world.push(Target::User(7), 1);

    assert!(first.iter().any(|body| peek_id(body) == Some(TOO_LONG)));
    assert_eq!(world.updates(LinkId(1)), [1]);
}

#[tokio::test]
async fn a_backend_that_panics_over_a_user_fails_no_call() {
    let directory = Directory::default();
    *directory.user.lock().unwrap() = None;
    let world = World::new(directory);
    world.connect(1);
    assert_eq!(world.backend.calls.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn what_the_backend_holds_does_not_keep_the_port_alive() {
    let world = World::new(Directory::with(LoggedIn::Now(None)));
    let pushes = Arc::clone(world.backend.pushes.get().unwrap());
    drop(world.port);
    assert_eq!(Arc::strong_count(&world.backend), 1);
    assert_eq!(pushes.push(push(Target::User(7), 1)), Ok(()));
}

#[tokio::test]
async fn what_is_no_object_is_refused() {
    let world = World::new(Directory::with(LoggedIn::Now(None)));
    let mut odd = push(Target::User(7), 1);
    odd.body = Bytes::from_static(&[1, 2, 3]);
    assert_eq!(world.port.push(odd), Err(PushRefused::NotAnObject));
}

/// A port with links, one key each.
struct World {
    port: LocalPort,
    backend: Arc<Directory>,
    wake: Arc<Woken>,
}

impl World {
    fn new(backend: Directory) -> Self {
        let backend = Arc::new(backend);
        let config = Config::new(TERM, SecretBytes::new([1; 32]));
        let held = Arc::<Directory>::clone(&backend);
        Self {
            port: LocalPort::new(
                &config,
                4,
                Arc::new(MemoryKeys::new()),
                held,
                Handle::current(),
            ),
            backend,
            wake: Arc::default(),
        }
    }

    /// Makes a gateway known; it lives as long as what is returned.
    fn open(&self) -> Arc<Recorder> {
        let edge = Arc::new(Recorder::default());
        let weak: Weak<Recorder> = Arc::downgrade(&edge);
        self.port.open(weak);
        edge
    }

    fn connect_all(&self) {
        (1..=LINKS).for_each(|link| self.connect(link));
    }

    /// Attaches a link, calls something with a key of its own and drains the answer.
    fn connect(&self, link: u64) {
        self.port
            .attach(LinkId(link), Arc::<Woken>::clone(&self.wake));
        self.call(link, 0x1111_1111);
        self.drain(LinkId(link));
    }

    fn call(&self, link: u64, method: u32) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let calls = i64::try_from(self.backend.calls.load(Ordering::Relaxed)).unwrap();
        let first_salt = FirstSalt {
            salt: Salt(5),
            term: TERM,
            since_unix_s: now.as_secs(),
        };
        let frame = Frame {
            link: LinkId(link),
            key: KeyFacts {
                id: AuthKeyId(link.cast_signed()),
                kind: KeyKind::Permanent,
                perm: None,
                dc: None,
                first_salt: Some(first_salt),
            },
            peer: SocketAddr::from(([127, 0, 0, 1], 1)),
            salt: Salt(5),
            session_id: SessionId(1),
            msg_id: MsgId((now.as_secs().cast_signed() << 32) + 4 * calls),
            seqno: SeqNo(i32::try_from(calls).unwrap() * 2 + 1),
            body: Bytes::copy_from_slice(&method.to_le_bytes()),
            quick_ack: None,
            is_http: false,
            term: None,
            trace: None,
        };
        self.port.submit(&mut vec![ToHost::Frame(frame)]);
    }

    fn push(&self, target: Target, number: u32) {
        self.port.push(push(target, number)).unwrap();
    }

    /// Drains a link; returns the objects of all messages, taken out of their containers.
    fn drain(&self, link: LinkId) -> Vec<Bytes> {
        let mut out = Vec::new();
        self.port.drain(link, &mut out);
        let bodies = out.iter().filter_map(|effect| match effect {
            FromHost::Seal { body, .. } => Some(body),
            FromHost::Close { .. } | FromHost::QuickAck { .. } => None,
        });
        bodies
            .flat_map(|body| match MsgContainer::from_bytes(body) {
                Ok(container) => {
                    let messages = container.messages.iter();
                    messages.map(|it| Bytes::copy_from_slice(it.body)).collect()
                }
                Err(_) => vec![body.clone()],
            })
            .collect()
    }

    /// Drains a link; returns the numbers of the updates.
    fn updates(&self, link: LinkId) -> Vec<u32> {
        let bodies = self.drain(link);
        let updates = bodies.iter().filter(|it| peek_id(it) == Some(UPDATE));
        updates
            .map(|body| u32::from_le_bytes(body[4..8].try_into().unwrap()))
            .collect()
    }
}

fn push(target: Target, number: u32) -> Push {
    let mut body = UPDATE.to_le_bytes().to_vec();
    body.extend_from_slice(&number.to_le_bytes());
    Push {
        targets: vec![target],
        except: None,
        body: body.into(),
    }
}

/// A gateway that only remembers what it was told.
#[derive(Default)]
struct Recorder {
    fan_outs: Mutex<Vec<Vec<LinkId>>>,
}

impl Recorder {
    fn take(&self) -> Vec<Vec<LinkId>> {
        std::mem::take(&mut *self.fan_outs.lock().unwrap())
    }
}

impl Edge for Recorder {
    fn bound(&self, _: KeyFacts) {}

    fn revoke(&self, _: AuthKeyId) {}

    fn fan_out(self: Arc<Self>, links: Vec<LinkId>) {
        self.fan_outs.lock().unwrap().push(links);
    }
}

#[derive(Default)]
struct Woken {
    count: AtomicUsize,
    notify: Notify,
}

impl Wake for Woken {
    fn wake(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.notify.notify_one();
    }
}

/// Answers every call at once, and says the same of the user of every key.
#[derive(Default)]
struct Directory {
    calls: AtomicUsize,
    user: Mutex<Option<LoggedIn>>,
    pushes: OnceLock<Arc<dyn Pushes>>,
}

impl Directory {
    fn with(user: LoggedIn) -> Self {
        Self {
            user: Mutex::new(Some(user)),
            ..Self::default()
        }
    }
}

impl Backend for Directory {
    fn call(&self, call: Call) -> Answer {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if peek_id(&call.body) == Some(PUSH_TO_ME) {
            let to = Target::Session {
                identity: call.identity,
                session_id: call.session_id,
            };
            self.pushes.get().unwrap().push(push(to, 5)).unwrap();
        }
        Answer::Now(Reply::Result(Bytes::from_static(&[1, 2, 3, 4])))
    }

    fn start(&self, pushes: Arc<dyn Pushes>) {
        assert!(self.pushes.set(pushes).is_ok(), "called once");
    }

    fn user(&self, _: Identity) -> LoggedIn {
        let mut user = self.user.lock().unwrap();
        match user.take().expect("as the test wants it") {
            LoggedIn::Now(found) => {
                *user = Some(LoggedIn::Now(found));
                LoggedIn::Now(found)
            }
            later @ LoggedIn::Later(_) => later,
        }
    }
}

const LINKS: u64 = 20;
const TERM: Term = Term(9);
const UPDATE: u32 = 0x78d4_dec1;
const TOO_LONG: u32 = 0xe317_af7e;
const PUSH_TO_ME: u32 = 0x5555_5555;
const PATIENCE: Duration = Duration::from_secs(10);
