//! The line to one data centre: a task that owns an engine and a socket, and the handle by which calls reach it.

mod actor;
mod socket;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use heliogram_proto::client::{Config, Saved};
use heliogram_proto::limits::CALLS_RUNNING_MAX;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::dial::Route;
use crate::error::{InvokeError, Lost};
use crate::introduction::Introduction;
use crate::line::actor::Actor;

/// What a line tells of itself, beside the answers to calls.
pub(crate) trait Listener: Send + Sync + 'static {
    /// A key was made: it is to be kept.
    fn keep(&self, dc: i32, saved: Saved);
    /// The key is gone, and whoever was signed in with it.
    fn key_lost(&self, dc: i32);
    /// An object came that nobody asked for.
    fn update(&self, dc: i32, object: Bytes);
    /// Updates may have been lost.
    fn missed(&self, dc: i32);
    /// Calls go out now, or don't.
    fn connected(&self, dc: i32, is_connected: bool);
}

/// A handle of a line. The line ends with its last handle, or when it is told to.
#[derive(Clone)]
pub(crate) struct Line {
    commands: mpsc::UnboundedSender<Command>,
    /// As many calls are with the task as a session may have.
    places: Arc<Semaphore>,
    tickets: Arc<AtomicU64>,
    state: watch::Receiver<State>,
}

/// What a line is asked.
pub(crate) enum Command {
    Call(Call),
    /// The answer is not wanted any more.
    Cancel {
        ticket: u64,
    },
    /// The server must be told who this is before the next call.
    Introduce,
    /// End once all calls are answered, or then at the latest.
    Stop {
        by: Instant,
    },
}

/// A call on its way to the task.
pub(crate) struct Call {
    ticket: u64,
    body: Bytes,
    due: Instant,
    answer: oneshot::Sender<Result<Bytes, InvokeError>>,
}

/// Whether calls get anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Connecting,
    Ready,
    Ended(Lost),
}

/// What a line is made of.
pub(crate) struct Plan {
    pub(crate) dc: i32,
    pub(crate) route: Route,
    pub(crate) config: Config,
    pub(crate) saved: Option<Saved>,
    pub(crate) introduction: Arc<Introduction>,
    pub(crate) listener: Arc<dyn Listener>,
}

impl Line {
    /// Starts the task, which begins to connect at once.
    pub(crate) fn start(plan: Plan) -> Self {
        let (commands, receiver) = mpsc::unbounded_channel();
        let (sender, state) = watch::channel(State::Connecting);
        tokio::spawn(Actor::new(plan, receiver, sender).run());
        Self {
            commands,
            places: Arc::new(Semaphore::new(CALLS_RUNNING_MAX)),
            tickets: Arc::default(),
            state,
        }
    }

    /// Waits until calls go out.
    pub(crate) async fn ready(&self) -> Result<(), Lost> {
        let mut state = self.state.clone();
        let settled = state.wait_for(|it| *it != State::Connecting).await;
        match settled.map(|it| *it) {
            Ok(State::Ended(lost)) => Err(lost),
            Ok(State::Ready | State::Connecting) => Ok(()),
            Err(_) => Err(Lost::ShutDown),
        }
    }

    /// Makes a call and waits for its answer until `due`. Dropping the future gives the call up.
    pub(crate) async fn call(&self, body: Bytes, due: Instant) -> Result<Bytes, InvokeError> {
        let place = tokio::time::timeout_at(due, Arc::clone(&self.places).acquire_owned());
        let _place = place.await.map_err(|_| InvokeError::TimedOut)?;
        let ticket = self.tickets.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        let call = Call {
            ticket,
            body,
            due,
            answer,
        };
        if self.commands.send(Command::Call(call)).is_err() {
            return Err(InvokeError::ConnectionLost(self.why_ended()));
        }
        let mut unanswered = Unanswered {
            ticket,
            commands: Some(self.commands.clone()),
        };
        let outcome = answered.await;
        unanswered.commands = None;
        outcome.unwrap_or_else(|_| Err(InvokeError::ConnectionLost(self.why_ended())))
    }

    /// Has the server told who this is before the next call.
    pub(crate) fn introduce(&self) {
        // A line that has ended needs no introduction.
        let _ = self.commands.send(Command::Introduce);
    }

    /// Asks the task to end, and waits until it has.
    pub(crate) async fn stop(&self, by: Instant) {
        if self.commands.send(Command::Stop { by }).is_ok() {
            self.commands.closed().await;
        }
    }

    fn why_ended(&self) -> Lost {
        match *self.state.borrow() {
            State::Ended(lost) => lost,
            State::Connecting | State::Ready => Lost::ShutDown,
        }
    }
}

/// Gives a call up when it is dropped before the answer came.
struct Unanswered {
    ticket: u64,
    commands: Option<mpsc::UnboundedSender<Command>>,
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        if let Some(commands) = self.commands.take() {
            // A line that has ended has given up all calls.
            let _ = commands.send(Command::Cancel {
                ticket: self.ticket,
            });
        }
    }
}
