//! The way to one backend: how long its answers may take, how many calls may run, and when it is left alone.
//!
//! ```text
//!            fails `failures_max` times in a row            `pause` is over
//!  Closed ────────────────────────────────────────> Open ───────────────────> one call tries
//!    ^                                               ^                          │       │
//!    └───────────────────────────────────────────────┼──────── answered ────────┘       │
//!                                                    └───────────── fails ─────────────┘
//! ```

use std::sync::Arc;
use std::time::Duration;

use heliogram_ports::metrics::Times;
use heliogram_ports::{Answer, Backend, Call, Reply, RpcError};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::Route;
use crate::backend::failed;

/// A backend and how it fares.
pub(super) struct Lane {
    pub(super) name: String,
    pub(super) backend: Arc<dyn Backend>,
    patience: Duration,
    fares: Arc<Fares>,
}

/// How a backend fares.
struct Fares {
    patience: Duration,
    calls_max: usize,
    failures_max: u32,
    pause: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    running: usize,
    /// In a row.
    failures: u32,
    /// No call is made before; after it, one.
    closed_until: Option<Instant>,
    is_trying: bool,
    counts: Counts,
}

/// What became of calls.
#[derive(Clone, Copy, Default)]
pub(super) struct Counts {
    /// Handed to the backend.
    pub(super) calls: u64,
    /// Not handed to it: too many were running.
    pub(super) too_many: u64,
    /// Not handed to it: it had failed too often.
    pub(super) held_back: u64,
    /// Not answered, in time or at all.
    pub(super) failed: u64,
    /// Of the failed: those whose time ran out.
    pub(super) late: u64,
    /// Nobody wanted the answer any more.
    pub(super) cancelled: u64,
    /// Of all that have ended by themselves.
    pub(super) times: Times,
}

/// How it has fared until now.
pub(super) struct Measures {
    pub(super) running: u64,
    pub(super) is_paused: bool,
    pub(super) counts: Counts,
}

impl Fares {
    fn measure(&self) -> Measures {
        let state = self.state.lock();
        Measures {
            running: u64::try_from(state.running).unwrap_or(u64::MAX),
            is_paused: state.closed_until.is_some(),
            counts: state.counts,
        }
    }
}

impl Lane {
    pub(super) fn new(route: Route) -> Self {
        Self {
            name: route.name,
            backend: route.backend,
            patience: route.patience,
            fares: Arc::new(Fares {
                patience: route.patience,
                calls_max: route.calls_max,
                failures_max: route.failures_max,
                pause: route.pause,
                state: Mutex::default(),
            }),
        }
    }

    pub(super) fn measure(&self) -> Measures {
        self.fares.measure()
    }

    pub(super) fn call(&self, call: Call) -> Answer {
        let Some(running) = Running::begin(&self.fares) else {
            return Answer::Now(failed());
        };
        match self.backend.call(call) {
            Answer::Now(reply) => {
                running.end(&reply);
                Answer::Now(reply)
            }
            Answer::Later(reply) => {
                let patience = self.patience;
                Answer::Later(Box::pin(async move {
                    let reply = tokio::time::timeout(patience, reply).await;
                    let reply = reply.unwrap_or_else(|_| failed());
                    running.end(&reply);
                    reply
                }))
            }
        }
    }
}

/// A call that runs. Dropped without an answer, it says nothing of its backend: a client has lost interest.
struct Running {
    fares: Arc<Fares>,
    since: Instant,
    is_trying: bool,
    has_ended: bool,
}

impl Running {
    /// Begins a call if the backend may have one more.
    fn begin(fares: &Arc<Fares>) -> Option<Self> {
        let mut state = fares.state.lock();
        if state.running >= fares.calls_max {
            state.counts.too_many += 1;
            return None;
        }
        let since = Instant::now();
        let is_trying = match state.closed_until {
            None => false,
            Some(until) if since < until || state.is_trying => {
                state.counts.held_back += 1;
                return None;
            }
            Some(_) => true,
        };
        state.is_trying |= is_trying;
        state.running += 1;
        state.counts.calls += 1;
        Some(Self {
            fares: Arc::clone(fares),
            since,
            is_trying,
            has_ended: false,
        })
    }

    /// Takes note of the answer.
    fn end(mut self, reply: &Reply) {
        self.has_ended = true;
        let mut state = self.fares.state.lock();
        let time = self.since.elapsed();
        state.counts.times.add(time);
        if !is_failure(reply) {
            state.failures = 0;
            state.closed_until = None;
            return;
        }
        state.counts.failed += 1;
        // Whichever of the clocks on the way has rung first.
        state.counts.late += u64::from(time >= self.fares.patience);
        state.failures = state.failures.saturating_add(1);
        if state.failures >= self.fares.failures_max {
            if state.closed_until.is_none() {
                tracing::warn!("a backend fails: it gets no calls for a while");
            }
            state.closed_until = Some(Instant::now() + self.fares.pause);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut state = self.fares.state.lock();
        state.running -= 1;
        state.counts.cancelled += u64::from(!self.has_ended);
        state.is_trying &= !self.is_trying;
    }
}

/// Tells whether a backend has not answered: what it says by itself, however wrong, is an answer.
pub(super) fn is_failure(reply: &Reply) -> bool {
    matches!(
        reply,
        Reply::Error(RpcError { code: 500, message }) if message == "RPC_CALL_FAIL"
    )
}
