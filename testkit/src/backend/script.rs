//! What is to go wrong, or otherwise than it would.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use grammers_tl_types::{Deserializable, Identifiable, RemoteCall, Serializable};
use heliogram_ports::{BoxFuture, Call, RpcError};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::calls::{Outcome, read, refuse};

/// What is to go wrong. Each rule holds for calls that come after it was made.
#[derive(Default)]
pub struct Script {
    rules: Mutex<Rules>,
}

#[derive(Default)]
struct Rules {
    /// For a method, or for whatever comes; the first is first.
    mishaps: BTreeMap<Option<u32>, VecDeque<Mishap>>,
    held: BTreeMap<u32, watch::Receiver<bool>>,
    answers: BTreeMap<u32, Arc<Answering>>,
}

type Answering = dyn Fn(&Call) -> Outcome<Vec<u8>> + Send + Sync;

struct Mishap {
    left: usize,
    error: Option<RpcError>,
}

/// What becomes of a call.
pub(super) enum Verdict {
    /// It is run.
    Run,
    /// It is refused, and not run.
    Refuse(RpcError),
    /// It is neither run nor ever answered.
    Hang,
    /// It is run after this.
    Wait(BoxFuture<'static, ()>),
}

impl Script {
    /// Refuses the next `times` calls of a method: `fail::<GetFile>(2, 420, "FLOOD_WAIT_1")`. They are not run.
    pub fn fail<M: Identifiable>(&self, times: usize, code: i32, message: &str) {
        self.add(Some(M::CONSTRUCTOR_ID), times, Some(refuse(code, message)));
    }

    /// Refuses the next `times` calls, whatever they are; rules for a method go first.
    pub fn fail_any(&self, times: usize, code: i32, message: &str) {
        self.add(None, times, Some(refuse(code, message)));
    }

    /// Never answers the next `times` calls of a method. They are not run.
    pub fn hang<M: Identifiable>(&self, times: usize) {
        self.add(Some(M::CONSTRUCTOR_ID), times, None);
    }

    /// Has calls of a method wait, before they are run, until what is returned is dropped.
    #[must_use = "calls wait while this is held"]
    pub fn hold<M: Identifiable>(&self) -> Held {
        let (release, released) = watch::channel(false);
        let mut rules = self.rules.lock();
        rules.held.insert(M::CONSTRUCTOR_ID, released);
        Held { _release: release }
    }

    /// Answers a method from now on, in place of what the backend would do.
    pub fn answer<M>(&self, answer: impl Fn(&Call, M) -> Outcome<M::Return> + Send + Sync + 'static)
    where
        M: RemoteCall<Return: Serializable> + Identifiable + Deserializable,
    {
        self.answer_raw(M::CONSTRUCTOR_ID, move |call| {
            answer(call, read(&call.body)?).map(|it| it.to_bytes())
        });
    }

    /// As [`Script::answer`], of any schema: by the method's constructor id, from body to body.
    pub fn answer_raw(
        &self,
        method: u32,
        answer: impl Fn(&Call) -> Outcome<Vec<u8>> + Send + Sync + 'static,
    ) {
        self.rules.lock().answers.insert(method, Arc::new(answer));
    }

    fn add(&self, method: Option<u32>, times: usize, error: Option<RpcError>) {
        let mishap = Mishap { left: times, error };
        let mut rules = self.rules.lock();
        rules.mishaps.entry(method).or_default().push_back(mishap);
    }

    pub(super) fn next(&self, method: u32) -> Verdict {
        let mut rules = self.rules.lock();
        for of in [Some(method), None] {
            match rules.mishap(of) {
                Some(Some(error)) => return Verdict::Refuse(error),
                Some(None) => return Verdict::Hang,
                None => {}
            }
        }
        let Some(mut released) = rules.held.get(&method).cloned() else {
            return Verdict::Run;
        };
        if released.has_changed().is_err() {
            rules.held.remove(&method);
            return Verdict::Run;
        }
        Verdict::Wait(Box::pin(async move {
            // Ends when the sender is dropped.
            while released.changed().await.is_ok() {}
        }))
    }

    /// Answers a call as a test has asked for, if it has.
    pub(super) fn answer_of(&self, method: u32) -> Option<Arc<Answering>> {
        self.rules.lock().answers.get(&method).cloned()
    }

    pub(super) fn answered(&self, method: u32, call: &Call) -> Option<Outcome<Vec<u8>>> {
        // Not under the lock: an answer may change the script.
        self.answer_of(method).map(|answer| answer(call))
    }
}

impl Rules {
    fn mishap(&mut self, of: Option<u32>) -> Option<Option<RpcError>> {
        let queue = self.mishaps.get_mut(&of)?;
        while queue.front().is_some_and(|it| it.left == 0) {
            queue.pop_front();
        }
        let first = queue.front_mut()?;
        first.left -= 1;
        Some(first.error.clone())
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Script(…)")
    }
}

/// Calls wait while this lives.
#[derive(Debug)]
pub struct Held {
    _release: watch::Sender<bool>,
}
