//! What every carrier of calls must do between a session host and a backend.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use heliogram_proto::ids::{AuthKeyId, Identity, MsgId, SessionId, Term};
use heliogram_proto::limits::PUSH_TARGETS_MAX;

use super::watched::Watched;
use crate::{
    Answer, Backend, BoxFuture, Call, ClientInfo, KeyFacts, KeyKind, LoggedIn, Proof, Push,
    PushRefused, Pushes, Reply, RpcError, Scope, Target,
};

/// Runs every rule of [`Backend`] and [`Pushes`] on what carries calls to a backend, and its pushes back.
///
/// `make` ties the two ends together: what it returns is asked in place of the backend, and what the backend pushes is to
/// reach the pushes. With nothing in between it starts the backend with the pushes and returns it.
///
/// # Panics
///
/// When a rule is broken.
pub async fn backend(make: impl AsyncFn(Arc<dyn Backend>, Arc<dyn Pushes>) -> Arc<dyn Backend>) {
    let script = Arc::new(Script::default());
    let told = Arc::new(Told::default());
    let carrier = make(Arc::<Script>::clone(&script), Arc::<Told>::clone(&told)).await;
    carries_a_call_whole(&*carrier, &script).await;
    carries_each_answer_to_its_call(&*carrier).await;
    carries_a_large_answer(&*carrier).await;
    cancels_a_call_whose_answer_is_dropped(&*carrier, &script).await;
    answers_a_call_in_which_the_backend_panics(&*carrier).await;
    finds_users(&*carrier).await;
    knows_a_user_before_the_log_in_is_answered(&*carrier, &told).await;
    keeps_pushes_in_order(&script, &told).await;
    refuses_a_push_that_breaks_the_rules(&script, &told).await;
}

async fn carries_a_call_whole(carrier: &dyn Backend, script: &Script) {
    let calls = [full_call(ECHO), call_of(&[ECHO])];
    for call in calls {
        let mut expected = call.clone();
        // Nobody but an owner needs it.
        expected.key.first_salt = None;
        let reply = answer(carrier.call(call)).await;
        assert_eq!(reply, Reply::Result(expected.body.clone()));
        let came = script
            .last
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(mut came) = came else {
            unreachable!("a call that was answered has come")
        };
        came.key.first_salt = None;
        assert_eq!(format!("{came:?}"), format!("{expected:?}"));
    }
}

async fn carries_each_answer_to_its_call(carrier: &dyn Backend) {
    // All are asked before the first is looked at.
    let bodies = (0..64_u32).map(|at| [LATER, at]);
    let answers: Vec<_> = bodies
        .clone()
        .map(|body| carrier.call(call_of(&body)))
        .collect();
    for (body, later) in bodies.zip(answers).rev() {
        assert_eq!(answer(later).await, Reply::Result(words(&body)));
    }
    let error = RpcError {
        code: 420,
        message: "FLOOD_WAIT_7".to_owned(),
    };
    assert_eq!(
        answer(carrier.call(call_of(&[FAIL]))).await,
        Reply::Error(error)
    );
}

async fn carries_a_large_answer(carrier: &dyn Backend) {
    let reply = answer(carrier.call(call_of(&[LARGE]))).await;
    assert!(
        matches!(&reply, Reply::Result(result) if result.len() == LARGE_BYTES),
        "as large as a part of a file with what is around it"
    );
}

async fn cancels_a_call_whose_answer_is_dropped(carrier: &dyn Backend, script: &Script) {
    let mut running = Box::pin(answer(carrier.call(call_of(&[HANG]))));
    poll_fn(|cx| {
        assert!(running.as_mut().poll(cx).is_pending(), "nobody answers it");
        script
            .hanging
            .poll_until(cx.waker(), |&hanging| hanging == 1)
    })
    .await;
    drop(running);
    poll_fn(|cx| {
        script
            .hanging
            .poll_until(cx.waker(), |&hanging| hanging == 0)
    })
    .await;
}

async fn answers_a_call_in_which_the_backend_panics(carrier: &dyn Backend) {
    // What carries nothing has nothing to catch: its host does.
    let call = call_of(&[PANIC]);
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| carrier.call(call)));
    if let Ok(reply) = caught {
        let reply = answer(reply).await;
        assert!(matches!(reply, Reply::Error(error) if error.code == 500));
    }
    let reply = answer(carrier.call(call_of(&[ECHO]))).await;
    assert_eq!(reply, Reply::Result(words(&[ECHO])), "others go on");
}

async fn finds_users(carrier: &dyn Backend) {
    for (identity, user) in [(NOBODY, None), (SOMEBODY, Some(-77)), (LATE, Some(78))] {
        let found = match carrier.user(identity) {
            LoggedIn::Now(user) => user,
            LoggedIn::Later(user) => user.await,
        };
        assert_eq!(found, user, "{identity:?}");
    }
}

async fn knows_a_user_before_the_log_in_is_answered(carrier: &dyn Backend, told: &Told) {
    for (word, user) in [(LOG_IN, Some(5)), (LOG_OUT, None)] {
        let reply = answer(carrier.call(call_of(&[word]))).await;
        assert_eq!(reply, Reply::Result(words(&[word])));
        assert_eq!(told.take(), [Said::User(SOMEBODY, user)]);
    }
}

async fn keeps_pushes_in_order(script: &Script, told: &Told) {
    let session = (SOMEBODY, SessionId(-3));
    let push = |at| Push {
        targets: vec![
            Target::User(-7),
            Target::Key(SOMEBODY),
            Target::Session {
                identity: session.0,
                session_id: session.1,
            },
        ],
        except: (at == 0).then_some(session),
        body: words(&[at]),
    };
    for at in 0..100 {
        assert_eq!(script.pushes().push(push(at)), Ok(()));
    }
    script.pushes().set_user(SOMEBODY, Some(9));
    let said = told.wait_for(101).await;
    for (at, said) in (0..100).zip(&said) {
        assert_eq!(*said, Said::Push(format!("{:?}", push(at))));
    }
    assert_eq!(said.last(), Some(&Said::User(SOMEBODY, Some(9))));
}

async fn refuses_a_push_that_breaks_the_rules(script: &Script, told: &Told) {
    let push = |targets, body| Push {
        targets: vec![Target::User(1); targets],
        except: None,
        body,
    };
    let pushes = script.pushes();
    for bytes in [0, 3, 5] {
        let body = Bytes::from(vec![0; bytes]);
        assert_eq!(pushes.push(push(1, body)), Err(PushRefused::NotAnObject));
    }
    let body = words(&[1]);
    let too_many = push(PUSH_TARGETS_MAX + 1, body.clone());
    assert_eq!(pushes.push(too_many), Err(PushRefused::TooManyTargets));
    let most = push(PUSH_TARGETS_MAX, body);
    assert_eq!(pushes.push(most.clone()), Ok(()));
    assert_eq!(told.wait_for(1).await, [Said::Push(format!("{most:?}"))]);
}

/// A backend that does what a call's first word says.
#[derive(Default)]
struct Script {
    last: Mutex<Option<Call>>,
    pushes: OnceLock<Arc<dyn Pushes>>,
    hanging: Arc<Watched<usize>>,
}

impl Script {
    fn pushes(&self) -> &dyn Pushes {
        match self.pushes.get() {
            Some(pushes) => &**pushes,
            None => unreachable!("a backend is started before its first call"),
        }
    }
}

impl Backend for Script {
    fn call(&self, call: Call) -> Answer {
        let body = call.body.clone();
        let word = body.first_chunk().map(|word| u32::from_le_bytes(*word));
        let identity = call.identity;
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(call);
        let echo = Reply::Result(body);
        match word.unwrap_or_default() {
            LATER => later(async { echo }),
            LARGE => Answer::Now(Reply::Result(vec![0; LARGE_BYTES].into())),
            FAIL => Answer::Now(Reply::Error(RpcError {
                code: 420,
                message: "FLOOD_WAIT_7".to_owned(),
            })),
            HANG => {
                self.hanging.change(|hanging| *hanging += 1);
                let guard = Hanging(Arc::clone(&self.hanging));
                later(async move {
                    let _guard = guard;
                    std::future::pending().await
                })
            }
            PANIC => unreachable!("asked to panic"),
            LOG_IN => {
                self.pushes().set_user(identity, Some(5));
                Answer::Now(echo)
            }
            LOG_OUT => {
                self.pushes().set_user(identity, None);
                Answer::Now(echo)
            }
            _ => Answer::Now(echo),
        }
    }

    fn start(&self, pushes: Arc<dyn Pushes>) {
        assert!(self.pushes.set(pushes).is_ok(), "a backend is started once");
    }

    fn user(&self, identity: Identity) -> LoggedIn {
        match identity {
            SOMEBODY => LoggedIn::Now(Some(-77)),
            LATE => LoggedIn::Later(Box::pin(async { Some(78) })),
            _ => LoggedIn::Now(None),
        }
    }
}

/// Says that a call has ended, by whatever end.
struct Hanging(Arc<Watched<usize>>);

impl Drop for Hanging {
    fn drop(&mut self) {
        self.0.change(|hanging| *hanging -= 1);
    }
}

/// Pushes that arrived.
#[derive(Default)]
struct Told(Watched<Vec<Said>>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Said {
    Push(String),
    User(Identity, Option<i64>),
}

impl Told {
    fn take(&self) -> Vec<Said> {
        let mut taken = Vec::new();
        self.0.change(|said| taken = std::mem::take(said));
        taken
    }

    async fn wait_for(&self, count: usize) -> Vec<Said> {
        poll_fn(|cx| self.0.poll_until(cx.waker(), |said| said.len() >= count)).await;
        self.take()
    }
}

impl Pushes for Told {
    fn push(&self, push: Push) -> Result<(), PushRefused> {
        if push.body.is_empty() || !push.body.len().is_multiple_of(4) {
            return Err(PushRefused::NotAnObject);
        }
        if push.targets.len() > PUSH_TARGETS_MAX {
            return Err(PushRefused::TooManyTargets);
        }
        self.0
            .change(|said| said.push(Said::Push(format!("{push:?}"))));
        Ok(())
    }

    fn set_user(&self, identity: Identity, user: Option<i64>) {
        self.0.change(|said| said.push(Said::User(identity, user)));
    }
}

async fn answer(answer: Answer) -> Reply {
    match answer {
        Answer::Now(reply) => reply,
        Answer::Later(reply) => reply.await,
    }
}

fn later(reply: impl Future<Output = Reply> + Send + 'static) -> Answer {
    let reply: BoxFuture<'static, Reply> = Box::pin(reply);
    Answer::Later(reply)
}

fn call_of(body: &[u32]) -> Call {
    call(words(body))
}

/// Makes a call of a client that has said nothing of itself.
#[must_use]
pub fn call(body: Bytes) -> Call {
    Call {
        identity: SOMEBODY,
        key: KeyFacts {
            id: AuthKeyId(8),
            kind: KeyKind::Permanent,
            perm: None,
            dc: None,
            first_salt: None,
        },
        session_id: SessionId(1),
        msg_id: MsgId(4),
        term: Term(1),
        layer: None,
        client: None,
        peer: ([192, 0, 2, 1], 443).into(),
        user: None,
        trace: None,
        without_updates: false,
        scope: None,
        body,
    }
}

/// A call with everything that a call may have.
fn full_call(word: u32) -> Call {
    let text = |text: &str| text.to_owned();
    Call {
        key: KeyFacts {
            id: AuthKeyId(-8),
            kind: KeyKind::Temporary {
                expires_at_unix_s: u32::MAX,
            },
            perm: Some(SOMEBODY.0),
            dc: Some(-10_002),
            first_salt: None,
        },
        session_id: SessionId(i64::MIN),
        msg_id: MsgId(i64::MAX - 3),
        term: Term(u64::MAX),
        layer: Some(222),
        client: Some(Arc::new(ClientInfo {
            api_id: 1,
            device_model: text("device"),
            system_version: text("system"),
            app_version: text("app"),
            system_lang_code: text("de-AT"),
            lang_pack: text("pack"),
            lang_code: text("de"),
            proxy: Some((text("proxy"), 443)),
            params: Some([1, 2, 3, 4].into()),
        })),
        peer: ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], 65_535).into(),
        user: None,
        trace: None,
        without_updates: true,
        scope: Some(Box::new(Scope {
            messages: Some((-1, 5)),
            takeout_id: Some(-7),
            business_connection: Some(text("connection")),
            proof: Some(Proof::Apns {
                nonce: [1].into(),
                secret: [2, 3].into(),
            }),
        })),
        ..call_of(&[word])
    }
}

fn words(words: &[u32]) -> Bytes {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

const NOBODY: Identity = Identity(AuthKeyId(1));
const SOMEBODY: Identity = Identity(AuthKeyId(i64::MIN));
const LATE: Identity = Identity(AuthKeyId(3));

const ECHO: u32 = 1;
const LATER: u32 = 2;
const FAIL: u32 = 3;
const LARGE: u32 = 4;
const HANG: u32 = 5;
const PANIC: u32 = 6;
const LOG_IN: u32 = 7;
const LOG_OUT: u32 = 8;

/// Above what gRPC takes if it is not told otherwise.
const LARGE_BYTES: usize = 8 << 20;
