//! One shard: a host of sessions and the calls that run for it, behind one lock.
//!
//! ```text
//!  nobody's ──own──> owned ──retire──> retiring: takes no frames, answers come ──┐
//!     ^  ^             └──disown──┐                                              │
//!     │  └────────────────────────┘          retired: is drained by its links <──┘
//!     └──────────────────────────────────────── when they are gone
//! ```
//!
//! A shard of a single process is owned from its beginning to its end.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use heliogram_ports::metrics::Times;
use heliogram_ports::{FromHost, Reply, random};
use heliogram_proto::cx::{Cx, Mono, Now};
use heliogram_proto::host::{CallId, Census, Effect, Host, Input, PreparedAnswer, Tally};
use heliogram_proto::ids::{AuthKeyId, LinkId, Term};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::checks::{Check, Seen};

/// A shard. Every method holds the lock for one step and calls nothing foreign.
pub(crate) struct Shard {
    state: Mutex<State>,
    /// Whether it has a host: for whoever does not hold the lock.
    is_owned: AtomicBool,
    /// Told when a retiring host has no calls.
    quiet: Notify,
}

struct State {
    /// Nothing while this process does not own the shard's sessions.
    host: Option<Host>,
    /// The host takes no frames: it is about to be let go of.
    is_retiring: bool,
    /// What an earlier host has left for its links, until they are gone.
    retired: Option<Host>,
    /// The greatest term of any host so far.
    last_term: Option<Term>,
    /// What earlier hosts have counted.
    past: Tally,
    /// The keys that its host has seen, if it is not the only one that they ever have.
    seen: Option<Seen>,
    calls: HashMap<CallId, Running>,
    counts: Counts,
}

/// A call between its effect and its answer.
struct Running {
    since: Mono,
    task: Task,
}

enum Task {
    /// The backend is being asked.
    Asked,
    /// The backend answers later.
    Later(AbortHandle),
}

impl Shard {
    /// Makes a shard without a host.
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                host: None,
                is_retiring: false,
                retired: None,
                last_term: None,
                past: Tally::default(),
                seen: None,
                calls: HashMap::new(),
                counts: Counts::default(),
            }),
            is_owned: AtomicBool::new(false),
            quiet: Notify::new(),
        }
    }

    /// Tells whether it has a host. It may be another's in the next moment.
    pub(crate) fn is_owned(&self) -> bool {
        self.is_owned.load(Ordering::Acquire)
    }

    /// Returns the term of its host.
    pub(crate) fn term(&self) -> Option<Term> {
        self.state.lock().host.as_ref().map(Host::term)
    }

    /// Gives it a host, unless it has one, or has had one of this term or a later one.
    /// What had another owner before looks up each key that it sees.
    pub(crate) fn own(&self, host: Host, checks_keys: bool) -> bool {
        let state = &mut *self.state.lock();
        let term = host.term();
        if state.host.is_some() || state.last_term.is_some_and(|last| last >= term) {
            return false;
        }
        state.bury();
        state.last_term = Some(term);
        state.host = Some(host);
        state.is_retiring = false;
        state.seen = checks_keys.then(Seen::default);
        self.is_owned.store(true, Ordering::Release);
        true
    }

    /// Forgets that its host has seen a key.
    pub(crate) fn forget_seen(&self, key: AuthKeyId) {
        if let Some(seen) = &mut self.state.lock().seen {
            seen.forget(key);
        }
    }

    /// Takes no more frames.
    pub(crate) fn begin_retiring(&self) {
        self.state.lock().is_retiring = true;
    }

    /// Waits until no call runs. One waits at a time, after [`begin_retiring`](Self::begin_retiring).
    pub(crate) async fn until_quiet(&self) {
        while !self.is_quiet() {
            self.quiet.notified().await;
        }
    }

    /// Takes its host away, with its calls: returns their tasks. If it is retired, its links may drain it to the end.
    pub(crate) fn let_go(
        &self,
        is_retired: bool,
        settle: impl FnOnce(Option<Mono>),
    ) -> Vec<AbortHandle> {
        let state = &mut *self.state.lock();
        self.is_owned.store(false, Ordering::Release);
        state.bury();
        state.retired = state.host.take();
        if !is_retired || !state.retired.as_ref().is_some_and(Host::has_links) {
            state.bury();
        }
        let tasks = std::mem::take(&mut state.calls).into_values();
        let tasks = tasks.filter_map(|running| {
            state.counts.cancelled += 1;
            match running.task {
                Task::Asked => None,
                Task::Later(task) => Some(task),
            }
        });
        let tasks = tasks.collect();
        settle(None);
        self.quiet.notify_one();
        tasks
    }

    /// Takes the first steps, some dozens at most so that others get the lock, and hands their inputs to the host. An
    /// answer to a call that was cancelled meanwhile is dropped.
    pub(crate) fn handle(
        &self,
        steps: &mut VecDeque<Step>,
        now: Now,
        out: &mut Outcome,
        settle: impl FnOnce(Option<Mono>),
    ) {
        let state = &mut *self.state.lock();
        let before = out.effects.len();
        let mut cx = Cx {
            now,
            rng: &mut random::lend(),
            out: &mut out.effects,
        };
        for step in steps.drain(..steps.len().min(STEPS_MAX)) {
            match step {
                Step::Input(input) => state.take(input, &mut cx, &mut out.spare),
                Step::Delivered { term, input } => {
                    if state.host.as_ref().is_some_and(|host| host.term() == term) {
                        state.take(input, &mut cx, &mut out.spare);
                    } else {
                        out.spare.lost.push(input);
                    }
                }
                Step::Answer {
                    call,
                    answer,
                    is_error,
                } => {
                    if let Some(running) = state.calls.remove(&call)
                        && let Some(host) = &mut state.host
                    {
                        state.counts.answer(is_error, now.mono.since(running.since));
                        host.handle(Input::Answer { call, answer }, &mut cx);
                    }
                }
                Step::Deadline => {
                    if let Some(host) = &mut state.host {
                        host.handle_deadline(&mut cx);
                    }
                }
            }
        }
        for effect in out.effects.iter().skip(before) {
            match effect {
                Effect::Call { id, .. } => {
                    state.counts.calls += 1;
                    let running = Running {
                        since: now.mono,
                        task: Task::Asked,
                    };
                    state.calls.insert(*id, running);
                }
                Effect::Cancel { id } => {
                    let running = state.calls.remove(id);
                    state.counts.cancelled += u64::from(running.is_some());
                    if let Some(Task::Later(task)) = running.map(|it| it.task) {
                        out.cancelled.push(task);
                    }
                }
                Effect::Ready { .. }
                | Effect::Fanout { .. }
                | Effect::FindUser { .. }
                | Effect::Bind { .. }
                | Effect::DropKeys { .. }
                | Effect::DestroyKey { .. }
                | Effect::HandOver(_)
                | Effect::TakenOver { .. }
                | Effect::Forward { .. } => {}
            }
        }
        if state.is_retiring && state.calls.is_empty() {
            self.quiet.notify_one();
        }
        settle(state.next_deadline());
    }

    /// Notes which task answers a call; ends it if the call was cancelled meanwhile, or has its answer already.
    pub(crate) fn started(&self, call: CallId, task: AbortHandle) {
        if let Some(running) = self.state.lock().calls.get_mut(&call) {
            running.task = Task::Later(task);
            return;
        }
        task.abort();
    }

    /// Appends what is ready for a link.
    pub(crate) fn drain(
        &self,
        link: LinkId,
        now: Now,
        out: &mut Vec<FromHost>,
        settle: impl FnOnce(Option<Mono>),
    ) {
        let state = &mut *self.state.lock();
        let mut cx = Cx {
            now,
            rng: &mut random::lend(),
            out,
        };
        for host in state.retired.iter_mut().chain(&mut state.host) {
            host.drain(link, &mut cx);
        }
        settle(state.next_deadline());
    }

    /// Counts what its host's sessions hold.
    #[cfg(test)]
    pub(crate) fn census(&self) -> Census {
        let state = self.state.lock();
        state.host.as_ref().map(Host::census).unwrap_or_default()
    }

    /// Returns what there is and what was counted. Takes time with the number of sessions.
    pub(crate) fn measure(&self) -> Measures {
        let state = self.state.lock();
        let mut tally = state.past;
        for host in state.hosts() {
            tally += host.tally();
        }
        let host = state.host.as_ref();
        Measures {
            sessions: host.map_or(0, Host::sessions),
            calls_running: state.calls.len(),
            census: host.map(Host::census).unwrap_or_default(),
            tally,
            counts: state.counts,
        }
    }

    /// Tells whether no call is running.
    pub(crate) fn is_quiet(&self) -> bool {
        self.state.lock().calls.is_empty()
    }
}

impl State {
    /// Hands an input to the host. What a shard without one can't take is lost.
    fn take(&mut self, input: Input, cx: &mut Cx<'_, Effect>, spare: &mut Spare) {
        if let Input::Detach { link } = input
            && let Some(retired) = &mut self.retired
        {
            let (now, rng, mut out) = (cx.now, &mut *cx.rng, Vec::new());
            let out = &mut out;
            retired.handle(Input::Detach { link }, &mut Cx { now, rng, out });
            if !retired.has_links() {
                self.bury();
            }
        }
        let Some(host) = &mut self.host else {
            return spare.lost.push(input);
        };
        if let Some(seen) = &mut self.seen
            && let Input::Frame(frame) = &input
            && seen.insert(frame.key().id)
        {
            spare.unseen.push(Check {
                key: frame.key().id,
                identity: frame.identity(),
                term: host.term(),
            });
        }
        // Its sender is let go of with the host, and comes again with it at the next owner.
        if !(self.is_retiring && matches!(input, Input::Frame(_))) {
            host.handle(input, cx);
        }
    }

    /// Forgets the retired host, except what it has counted.
    fn bury(&mut self) {
        if let Some(retired) = self.retired.take() {
            self.past += retired.tally();
        }
    }

    fn hosts(&self) -> impl Iterator<Item = &Host> {
        self.retired.iter().chain(&self.host)
    }

    fn next_deadline(&self) -> Option<Mono> {
        self.host.as_ref().and_then(Host::next_deadline)
    }
}

/// What can happen to a shard.
pub(crate) enum Step {
    /// A message, or the end of a link.
    Input(Input),
    /// Another process has said something to the owner of this term.
    Delivered {
        /// Whom it means.
        term: Term,
        /// What it says.
        input: Input,
    },
    /// The backend has answered.
    Answer {
        /// Which call.
        call: CallId,
        /// What it said.
        answer: PreparedAnswer,
        /// It is an `rpc_error`.
        is_error: bool,
    },
    /// A deadline is due.
    Deadline,
}

impl Step {
    /// Prepares a backend's answer. To be called without the lock.
    pub(crate) fn answer(call: CallId, reply: Reply) -> Self {
        Self::Answer {
            call,
            is_error: matches!(reply, Reply::Error(_)),
            answer: PreparedAnswer::new(reply),
        }
    }
}

/// What became of calls.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    /// Handed out to the backend.
    pub(crate) calls: u64,
    pub(crate) results: u64,
    pub(crate) errors: u64,
    /// Nobody wanted the answer any more.
    pub(crate) cancelled: u64,
    /// Of all that were answered.
    pub(crate) times: Times,
}

impl Counts {
    /// Adds what another shard has counted.
    pub(crate) fn add_all(&mut self, other: &Self) {
        self.calls += other.calls;
        self.results += other.results;
        self.errors += other.errors;
        self.cancelled += other.cancelled;
        self.times.add_all(&other.times);
    }

    fn answer(&mut self, is_error: bool, time: Duration) {
        if is_error {
            self.errors += 1;
        } else {
            self.results += 1;
        }
        self.times.add(time);
    }
}

/// What there is in a shard, and what was counted there.
#[derive(Debug)]
pub(crate) struct Measures {
    pub(crate) sessions: usize,
    pub(crate) calls_running: usize,
    pub(crate) census: Census,
    pub(crate) tally: Tally,
    pub(crate) counts: Counts,
}

/// What is to be done once the lock is released.
#[derive(Default)]
pub(crate) struct Outcome {
    /// Effects in order.
    pub(crate) effects: Vec<Effect>,
    /// Tasks whose answer nobody waits for any more.
    pub(crate) cancelled: Vec<AbortHandle>,
    /// What only a cluster knows of.
    pub(crate) spare: Spare,
}

/// What a shard of a cluster has found in what it was told.
#[derive(Default)]
pub(crate) struct Spare {
    /// What no host has taken.
    pub(crate) lost: Vec<Input>,
    /// Keys that the host has not seen before.
    pub(crate) unseen: Vec<Check>,
}

/// Steps of one visit to the lock.
const STEPS_MAX: usize = 64;
