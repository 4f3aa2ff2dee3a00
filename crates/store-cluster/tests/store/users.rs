//! Who has logged in with which key, kept for a backend that keeps nothing.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use heliogram_ports::conformance;
use heliogram_ports::{
    Answer, Backend, Call, KeyFacts, LoggedIn, Push, PushRefused, Pushes, Reply,
};
use heliogram_proto::ids::{Identity, MsgId, SessionId, Term};
use heliogram_store_cluster::{KeptUsers, migrate};
use heliogram_testservices::{MariaDb, Redis};
use parking_lot::Mutex;
use tokio::runtime::Handle;

use crate::rig::{cached, database, permanent, uncached};

#[tokio::test]
async fn kept_users_conform() {
    let opened = cached(&database().await, Redis::shared().unwrap()).await;
    conformance::users(&opened.record, &*opened.keys).await;
}

#[tokio::test]
async fn who_has_logged_in_is_known_to_the_next_process() {
    let database = database().await;
    let opened = uncached(&database).await;
    let key = permanent(&opened.keys, 1).await.facts;
    for (said, known) in [(Some(7), Some(7)), (Some(8), Some(8)), (None, None)] {
        let first = Rig::new(Arc::new(opened.record.clone()), said, None);
        assert!(first.answer(key).await.is_some());
        let heard = first.heard.0.lock().clone();
        assert_eq!(heard, [(key.identity(), said)], "the host hears of it, too");

        let next = uncached(&database).await;
        let second = Rig::new(Arc::new(next.record), None, None);
        assert_eq!(second.user(key).await, known);
    }
}

#[tokio::test]
async fn what_the_backend_knows_goes_first() {
    let opened = uncached(&database().await).await;
    let key = permanent(&opened.keys, 1).await.facts;
    let rig = Rig::new(Arc::new(opened.record.clone()), Some(7), Some(9));
    assert!(rig.answer(key).await.is_some());
    assert_eq!(rig.user(key).await, Some(9));
}

#[tokio::test]
async fn a_log_in_is_answered_only_once_it_is_durable() {
    let mut server = MariaDb::start().unwrap();
    migrate(&server.url()).await.unwrap();
    let opened = uncached(&server.url()).await;
    let key = permanent(&opened.keys, 1).await.facts;
    let rig = Rig::new(Arc::new(opened.record.clone()), Some(7), None);
    server.kill().unwrap();
    let Answer::Later(answer) = rig.backend.call(call(key)) else {
        unreachable!("it is not durable yet")
    };
    let mut answer = tokio::spawn(answer);
    let early = tokio::time::timeout(Duration::from_millis(200), &mut answer).await;
    assert!(early.is_err(), "answered without the database");

    let other = Identity(heliogram_proto::ids::AuthKeyId(1));
    let unconcerned = rig.said_nothing_of(other);
    assert!(matches!(unconcerned, Answer::Now(_)), "others don't wait");
    server.start_again().unwrap();
    assert_eq!(answer.await.unwrap(), reply());
    server.kill().unwrap();
    server.start_again().unwrap();
    let next = uncached(&server.url()).await;
    let second = Rig::new(Arc::new(next.record), None, None);
    assert_eq!(second.user(key).await, Some(7));
}

/// A backend that logs everybody in as the same user, beneath [`KeptUsers`].
struct Rig {
    backend: KeptUsers,
    heard: Arc<Heard>,
}

impl Rig {
    fn new(
        users: Arc<heliogram_store_cluster::MySqlKeys>,
        says: Option<i64>,
        knows: Option<i64>,
    ) -> Self {
        let backend = Arc::new(LogsIn {
            pushes: OnceLock::new(),
            says,
            knows,
        });
        let heard = Arc::new(Heard::default());
        let backend = KeptUsers::new(backend, users, Handle::current());
        backend.start(Arc::<Heard>::clone(&heard));
        Self { backend, heard }
    }

    async fn answer(&self, key: KeyFacts) -> Option<Reply> {
        match self.backend.call(call(key)) {
            Answer::Now(reply) => Some(reply),
            Answer::Later(reply) => Some(reply.await),
        }
    }

    /// Makes a call that logs nobody in.
    fn said_nothing_of(&self, identity: Identity) -> Answer {
        let mut call = call(conformance::record(9, heliogram_ports::KeyKind::Permanent).facts);
        call.identity = identity;
        call.body = Bytes::new();
        self.backend.call(call)
    }

    async fn user(&self, key: KeyFacts) -> Option<i64> {
        match self.backend.user(key.identity()) {
            LoggedIn::Now(user) => user,
            LoggedIn::Later(user) => user.await,
        }
    }
}

struct LogsIn {
    pushes: OnceLock<Arc<dyn Pushes>>,
    says: Option<i64>,
    knows: Option<i64>,
}

impl Backend for LogsIn {
    fn call(&self, call: Call) -> Answer {
        if !call.body.is_empty() {
            self.pushes
                .get()
                .unwrap()
                .set_user(call.identity, self.says);
        }
        Answer::Now(reply())
    }

    fn start(&self, pushes: Arc<dyn Pushes>) {
        assert!(self.pushes.set(pushes).is_ok());
    }

    fn user(&self, _: Identity) -> LoggedIn {
        LoggedIn::Now(self.knows)
    }
}

/// What a session host hears.
#[derive(Default)]
struct Heard(Mutex<Vec<(Identity, Option<i64>)>>);

impl Pushes for Heard {
    fn push(&self, _: Push) -> Result<(), PushRefused> {
        Ok(())
    }

    fn set_user(&self, identity: Identity, user: Option<i64>) {
        self.0.lock().push((identity, user));
    }
}

fn reply() -> Reply {
    Reply::Result(Bytes::from_static(&[1; 4]))
}

fn call(key: KeyFacts) -> Call {
    Call {
        identity: key.identity(),
        key,
        session_id: SessionId(1),
        msg_id: MsgId(4),
        term: Term(1),
        layer: None,
        client: None,
        peer: SocketAddr::from((Ipv4Addr::LOCALHOST, 1)),
        user: None,
        trace: None,
        without_updates: false,
        scope: None,
        body: Bytes::from_static(&[0x11; 4]),
    }
}
