//! The session port of one process.

use std::cell::Cell;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use heliogram_ports::clock::Clock;
use heliogram_ports::{
    Answer, Attach, AuthKeys, Backend, BoxFuture, Call, Edge, Frame, FromHost, KeyFacts, Owners,
    Reply, RpcError, SessionPort, ToHost, Wake,
};
use heliogram_proto::cx::{Mono, Now};
use heliogram_proto::host::{CallId, Config, Effect, Host, Input, PreparedFrame};
use heliogram_proto::ids::{Identity, LinkId};
use heliogram_proto::ring::PARTITIONS;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use crate::alarm::Alarm;
use crate::checks::Checks;
use crate::links::{Links, SHARDS_MAX, Turn};
use crate::pushes::Downwards;
use crate::shard::{Outcome, Shard, Step};
use crate::undelivered::Undelivered;

/// Sessions of this process, sharded by identity. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct LocalPort {
    pub(crate) inner: Arc<Inner>,
}

/// What all clones of a port share.
pub(crate) struct Inner {
    pub(crate) shards: Box<[Shard]>,
    pub(crate) links: Links,
    alarm: Alarm,
    pub(crate) clock: Clock,
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) keys: Arc<dyn AuthKeys>,
    /// What every host of this port is made of; only terms differ.
    pub(crate) config: Config,
    /// The way to those who own what this process does not; nothing if it owns everything.
    pub(crate) owners: Option<Arc<dyn Owners>>,
    /// What found no way to them.
    pub(crate) undelivered: Undelivered,
    /// Keys whose owners here have not seen them before.
    pub(crate) checks: Checks,
    /// The gateways that are told of keys.
    pub(crate) edges: Mutex<Vec<Weak<dyn Edge>>>,
    pub(crate) runtime: Handle,
    /// Answers of which links may not have been told yet.
    pub(crate) answering: AtomicUsize,
}

impl LocalPort {
    /// Makes a port over `shards` hosts of this configuration, at most 64.
    ///
    /// Deadlines pass only while [`run`](Self::run) is polled. Answers that come later run as tasks of `runtime`, and so
    /// do questions to `keys`: where bindings are recorded and keys destroyed.
    #[must_use]
    pub fn new(
        config: &Config,
        shards: usize,
        keys: Arc<dyn AuthKeys>,
        backend: Arc<dyn Backend>,
        runtime: Handle,
    ) -> Self {
        let shards = shards.clamp(1, SHARDS_MAX);
        let inner = Inner::new(config.clone(), shards, keys, backend, runtime);
        for shard in &inner.shards {
            shard.own(Host::new(config.clone()), false);
        }
        Self::start(inner)
    }

    /// Makes a port of one node of a cluster: with a shard for each partition, and none of them its own before
    /// [`own`](Self::own) says so. The term of `config` means nothing. `owners` is the way to all other nodes.
    ///
    /// All else as with [`new`](Self::new).
    #[must_use]
    pub fn of_cluster(
        config: &Config,
        keys: Arc<dyn AuthKeys>,
        backend: Arc<dyn Backend>,
        owners: Arc<dyn Owners>,
        runtime: Handle,
    ) -> Self {
        let shards = usize::from(PARTITIONS);
        let inner = Inner::new(config.clone(), shards, keys, backend, runtime);
        Self::start(Inner {
            owners: Some(owners),
            ..inner
        })
    }

    fn start(inner: Inner) -> Self {
        let inner = Arc::new(inner);
        inner.backend.start(Arc::new(Downwards {
            inner: Arc::downgrade(&inner),
        }));
        Self { inner }
    }

    /// Lets deadlines pass, and offers again what could not go to other nodes, until it is dropped.
    pub async fn run(&self) {
        tokio::join!(self.pass_deadlines(), self.inner.offer_undelivered());
    }

    async fn pass_deadlines(&self) {
        loop {
            for shard in self.inner.alarm.wait(self.inner.clock).await {
                self.inner
                    .run(shard, Step::Deadline, self.inner.clock.now(), None);
            }
        }
    }
}

impl std::fmt::Debug for LocalPort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalPort")
            .field("shards", &self.inner.shards.len())
            .finish_non_exhaustive()
    }
}

impl SessionPort for LocalPort {
    fn open(&self, edge: Weak<dyn Edge>) {
        let mut edges = self.inner.edges.lock();
        edges.retain(|edge| edge.strong_count() > 0);
        edges.push(edge);
    }

    fn attach(&self, link: LinkId, wake: Arc<dyn Wake>) {
        self.inner.links.attach(link, wake);
    }

    fn submit(&self, inputs: &mut Vec<ToHost>) {
        let now = self.inner.clock.now();
        let mut frames = Frames::new(&self.inner, now);
        for input in inputs.drain(..) {
            match input {
                ToHost::Frame(frame) => frames.add(frame),
                ToHost::Attach(attach) => frames.add_attach(attach),
                ToHost::Detach { link } => {
                    frames.end_turn();
                    for shard in self.inner.links.detach(link) {
                        let step = Step::Input(Input::Detach { link });
                        self.inner.run(shard, step, now, None);
                    }
                }
            }
        }
        frames.end_turn();
    }

    fn drain(&self, link: LinkId, out: &mut Vec<FromHost>) {
        let (ready, is_end) = self.inner.links.take(link);
        let now = self.inner.clock.now();
        for shard in ready {
            if let Some(host) = self.inner.shards.get(shard) {
                host.drain(link, now, out, self.inner.settle(shard));
            }
        }
        if is_end {
            out.push(FromHost::Close { link, code: None });
        }
    }

    fn is_quiet(&self) -> bool {
        // In this order: an answer counts as being given before its call counts as ended.
        self.inner.shards.iter().all(Shard::is_quiet)
            && self.inner.answering.load(Ordering::Acquire) == 0
    }
}

impl Inner {
    fn new(
        config: Config,
        shards: usize,
        keys: Arc<dyn AuthKeys>,
        backend: Arc<dyn Backend>,
        runtime: Handle,
    ) -> Self {
        Self {
            shards: (0..shards).map(|_| Shard::new()).collect(),
            links: Links::new(),
            alarm: Alarm::new(shards),
            clock: Clock::start(),
            backend,
            keys,
            config,
            owners: None,
            undelivered: Undelivered::default(),
            checks: Checks::default(),
            edges: Mutex::default(),
            runtime,
            answering: AtomicUsize::new(0),
        }
    }

    /// Runs a step and everything that follows from it at once.
    pub(crate) fn run(
        self: &Arc<Self>,
        shard: usize,
        step: Step,
        now: Now,
        turn_of: Option<&Turn>,
    ) {
        let mut scratch = Scratch::borrow();
        scratch.steps.push_back(step);
        self.run_all(shard, &mut scratch, now, turn_of);
        scratch.give_back();
    }

    /// Runs all steps and everything that follows from them at once; none is left.
    ///
    /// `turn_of` is the link whose own task runs this: it drains afterwards, and need not be woken.
    fn run_all(
        self: &Arc<Self>,
        shard: usize,
        Scratch { steps, outcome }: &mut Scratch,
        now: Now,
        turn_of: Option<&Turn>,
    ) {
        let Some(host) = self.shards.get(shard) else {
            return steps.clear();
        };
        while !steps.is_empty() {
            host.handle(steps, now, outcome, self.settle(shard));
            for task in outcome.cancelled.drain(..) {
                task.abort();
            }
            for input in outcome.spare.lost.drain(..) {
                self.lose(&input);
            }
            for check in outcome.spare.unseen.drain(..) {
                self.check_key(check);
            }
            for effect in outcome.effects.drain(..) {
                match effect {
                    Effect::Ready { link } => match turn_of.filter(|turn| turn.is_of(link)) {
                        Some(turn) => turn.ready(shard),
                        None => self.links.ready(link, shard),
                    },
                    Effect::Fanout { links } => self.fan_out(shard, links),
                    Effect::FindUser { identity } => self.find_user(shard, identity, now),
                    Effect::Call { id, call } => {
                        if let Some(reply) = self.call(shard, id, call) {
                            steps.push_back(Step::answer(id, reply));
                        }
                    }
                    // Its task, if there was one, is among the cancelled ones.
                    Effect::Cancel { .. } => {}
                    other @ (Effect::Bind { .. }
                    | Effect::DropKeys { .. }
                    | Effect::DestroyKey { .. }
                    | Effect::HandOver(_)
                    | Effect::TakenOver { .. }
                    | Effect::Forward { .. }) => self.on_keys(other, now, turn_of),
                }
            }
        }
    }

    /// Asks the backend; returns an answer that is there at once.
    fn call(self: &Arc<Self>, shard: usize, id: CallId, call: Call) -> Option<Reply> {
        // A panic of the backend must not end the connection whose turn this is.
        match catch_unwind(AssertUnwindSafe(|| self.backend.call(call))) {
            Ok(Answer::Now(reply)) => Some(reply),
            Ok(Answer::Later(answer)) => {
                // Without the lock: a runtime that is ending drops the task, which is an answer, at once.
                let task = self.spawn(shard, id, answer);
                if let Some(host) = self.shards.get(shard) {
                    host.started(id, task);
                }
                None
            }
            Err(_) => {
                tracing::error!("the backend panicked in a call");
                Some(failed())
            }
        }
    }

    fn spawn(
        self: &Arc<Self>,
        shard: usize,
        call: CallId,
        answer: BoxFuture<'static, Reply>,
    ) -> AbortHandle {
        let mut pending = Pending {
            inner: Arc::clone(self),
            shard,
            call,
            answered: false,
        };
        let task = self.runtime.spawn(async move {
            let reply = answer.await;
            pending.answer(reply);
        });
        task.abort_handle()
    }

    /// Returns what a shard does with its next deadline while it still holds its lock.
    pub(crate) fn settle(&self, shard: usize) -> impl FnOnce(Option<Mono>) + '_ {
        move |deadline| self.alarm.set(shard, deadline)
    }

    pub(crate) fn shard_of(&self, identity: Identity) -> usize {
        // The id is the tail of a hash already.
        let count = u64::try_from(self.shards.len()).unwrap_or(1);
        usize::try_from(identity.0.0.cast_unsigned() % count).unwrap_or(0)
    }
}

/// The frames of a turn, handed to each shard together: one visit to the shard's lock for many of them.
struct Frames<'a> {
    inner: &'a Arc<Inner>,
    now: Now,
    turn: Option<Turn>,
    shard: usize,
    scratch: Scratch,
}

impl<'a> Frames<'a> {
    fn new(inner: &'a Arc<Inner>, now: Now) -> Self {
        Self {
            inner,
            now,
            turn: None,
            shard: 0,
            scratch: Scratch::borrow(),
        }
    }

    /// Adds a frame. One of a link that is not attached, or is to be closed, is dropped.
    fn add(&mut self, frame: Frame) {
        if self.visits(frame.link, &frame.key) {
            let frame = Input::Frame(PreparedFrame::new(frame));
            self.scratch.steps.push_back(Step::Input(frame));
        }
    }

    /// Adds a connection that comes back.
    fn add_attach(&mut self, attach: Attach) {
        if self.visits(attach.link, &attach.key) {
            let attach = Input::Attach(attach);
            self.scratch.steps.push_back(Step::Input(attach));
        }
    }

    /// Goes on to the link and the shard of an input; `false` if the link is not attached, or is to be
    /// closed.
    fn visits(&mut self, link: LinkId, key: &KeyFacts) -> bool {
        if !self.turn.as_ref().is_some_and(|it| it.is_of(link)) {
            self.end_turn();
            self.turn = self.inner.links.turn(link);
        }
        let shard = self.inner.shard_of(key.identity());
        if shard != self.shard {
            self.run();
            self.shard = shard;
        }
        let Some(turn) = self.turn.as_ref().filter(|it| !it.is_doomed()) else {
            return false;
        };
        if self.scratch.steps.is_empty() {
            turn.touch(shard);
        }
        true
    }

    /// Runs what was added; what comes next may be of another link.
    fn end_turn(&mut self) {
        self.run();
        self.turn = None;
    }

    fn run(&mut self) {
        let (scratch, turn) = (&mut self.scratch, self.turn.as_ref());
        self.inner.run_all(self.shard, scratch, self.now, turn);
    }
}

impl Drop for Frames<'_> {
    fn drop(&mut self) {
        let scratch = std::mem::take(&mut self.scratch);
        // What a panic has left is nobody's.
        if scratch.steps.is_empty() && scratch.outcome.effects.is_empty() {
            scratch.give_back();
        }
    }
}

/// Buffers of a thread, empty between runs: most runs make none of their own.
#[derive(Default)]
struct Scratch {
    steps: VecDeque<Step>,
    outcome: Outcome,
}

impl Scratch {
    /// Takes this thread's buffers; fresh ones if a run of this thread has them, or the thread is ending.
    fn borrow() -> Self {
        SCRATCH.try_with(Cell::take).unwrap_or_default()
    }

    /// Leaves them to the next run, without the room that one great run has made.
    fn give_back(mut self) {
        self.steps.shrink_to(ITEMS_KEPT_MAX);
        self.outcome.effects.shrink_to(ITEMS_KEPT_MAX);
        self.outcome.cancelled.shrink_to(ITEMS_KEPT_MAX);
        self.outcome.spare.lost.shrink_to(ITEMS_KEPT_MAX);
        self.outcome.spare.unseen.shrink_to(ITEMS_KEPT_MAX);
        // A thread that is ending needs none.
        let _ = SCRATCH.try_with(|scratch| scratch.set(self));
    }
}

thread_local! {
    static SCRATCH: Cell<Scratch> = Cell::default();
}

/// Items for which a thread's buffer keeps room.
const ITEMS_KEPT_MAX: usize = 64;

/// A call that a task answers. If the task ends without an answer, by a panic, the caller is told.
struct Pending {
    inner: Arc<Inner>,
    shard: usize,
    call: CallId,
    answered: bool,
}

impl Pending {
    fn answer(&mut self, reply: Reply) {
        self.answered = true;
        let now = self.inner.clock.now();
        self.inner.answering.fetch_add(1, Ordering::AcqRel);
        self.inner
            .run(self.shard, Step::answer(self.call, reply), now, None);
        self.inner.answering.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        // The answer to a call that was cancelled finds no call, and is dropped.
        if !self.answered {
            self.answer(failed());
        }
    }
}

pub(crate) fn failed() -> Reply {
    Reply::Error(RpcError {
        code: 500,
        message: "RPC_CALL_FAIL".to_owned(),
    })
}
