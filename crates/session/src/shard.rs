//! One shard: a host of sessions and the calls that run for it, behind one lock.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use heliogram_ports::metrics::Times;
use heliogram_ports::{FromHost, Reply, random};
use heliogram_proto::cx::{Cx, Mono, Now};
use heliogram_proto::host::{CallId, Census, Effect, Host, Input, PreparedAnswer, Tally};
use heliogram_proto::ids::LinkId;
use parking_lot::Mutex;
use tokio::task::AbortHandle;

/// A shard. Every method holds the lock for one step and calls nothing foreign.
pub(crate) struct Shard {
    state: Mutex<State>,
}

struct State {
    host: Host,
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
    /// Makes a shard around a host.
    pub(crate) fn new(host: Host) -> Self {
        Self {
            state: Mutex::new(State {
                host,
                calls: HashMap::new(),
                counts: Counts::default(),
            }),
        }
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
                Step::Input(input) => state.host.handle(input, &mut cx),
                Step::Answer {
                    call,
                    answer,
                    is_error,
                } => {
                    if let Some(running) = state.calls.remove(&call) {
                        state.counts.answer(is_error, now.mono.since(running.since));
                        state.host.handle(Input::Answer { call, answer }, &mut cx);
                    }
                }
                Step::Deadline => state.host.handle_deadline(&mut cx),
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
        settle(state.host.next_deadline());
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
        state.host.drain(
            link,
            &mut Cx {
                now,
                rng: &mut random::lend(),
                out,
            },
        );
        settle(state.host.next_deadline());
    }

    /// Counts what its host's sessions hold.
    #[cfg(test)]
    pub(crate) fn census(&self) -> Census {
        self.state.lock().host.census()
    }

    /// Returns what there is and what was counted. Takes time with the number of sessions.
    pub(crate) fn measure(&self) -> Measures {
        let state = self.state.lock();
        Measures {
            sessions: state.host.sessions(),
            calls_running: state.calls.len(),
            census: state.host.census(),
            tally: state.host.tally(),
            counts: state.counts,
        }
    }

    /// Tells whether no call is running.
    pub(crate) fn is_quiet(&self) -> bool {
        self.state.lock().calls.is_empty()
    }
}

/// What can happen to a shard.
pub(crate) enum Step {
    /// A message, or the end of a link.
    Input(Input),
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
}

/// Steps of one visit to the lock.
const STEPS_MAX: usize = 64;
