//! The line to one data centre: a task that owns an engine and a socket, and the handle by which calls reach it.

mod actor;
mod socket;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use heliogram_ports::clock::Clock;
use heliogram_proto::client::{Config, Saved};
use heliogram_proto::limits::CALLS_RUNNING_MAX;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::dial::Route;
use crate::error::{InvokeError, Lost};
use crate::introduction::Introduction;
use crate::limits::CALLS_KIB_MAX;
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
    /// A method was answered with a result, which its caller is about to get.
    #[cfg(feature = "layer-222")]
    fn result(&self, dc: i32, request: &Bytes, result: &Bytes);
    /// Calls go out now, or don't.
    fn connected(&self, dc: i32, is_connected: bool);
}

/// A handle of a line. The line ends with its last handle, or when it is told to.
#[derive(Clone)]
pub(crate) struct Line {
    commands: mpsc::UnboundedSender<Command>,
    /// As many calls are with the task as a session may have.
    places: Arc<Semaphore>,
    /// And as many bytes of them, in units of a KiB, as a server takes of a session.
    kibs: Arc<Semaphore>,
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
    /// The data centre is somewhere else by now: from the next connection on.
    Reroute(Route),
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
    /// The ticket of a call after which it is to run.
    after: Option<u64>,
    answer: oneshot::Sender<Result<Bytes, InvokeError>>,
    room: Arc<Room>,
}

/// The room that a call takes: until the task is done with it, and whoever has begun it is, too.
type Room = [OwnedSemaphorePermit; 2];

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
    pub(crate) clock: Clock,
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
            kibs: Arc::new(Semaphore::new(CALLS_KIB_MAX)),
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
        let kibs = kibs_of(&body);
        let room = async {
            let place = Arc::clone(&self.places).acquire_owned().await;
            (place, Arc::clone(&self.kibs).acquire_many_owned(kibs).await)
        };
        let room = tokio::time::timeout_at(due, room).await;
        let (Ok(place), Ok(bytes)) = room.map_err(|_| InvokeError::TimedOut)? else {
            // Nobody closes them.
            return Err(InvokeError::TooManyCalls);
        };
        self.begin(body, due, None, [place, bytes])?.answer().await
    }

    /// Makes a call at once, to run after another of this line if there is one to name. Dropping what it returns gives it
    /// up.
    pub(crate) fn call_after(
        &self,
        body: Bytes,
        due: Instant,
        after: Option<u64>,
    ) -> Result<Begun, InvokeError> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        let bytes = Arc::clone(&self.kibs).try_acquire_many_owned(kibs_of(&body));
        let (Ok(place), Ok(bytes)) = (place, bytes) else {
            return Err(InvokeError::TooManyCalls);
        };
        self.begin(body, due, after, [place, bytes])
    }

    fn begin(
        &self,
        body: Bytes,
        due: Instant,
        after: Option<u64>,
        room: Room,
    ) -> Result<Begun, InvokeError> {
        let ticket = TICKETS.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        let room = Arc::new(room);
        let call = Call {
            ticket,
            body,
            due,
            after,
            answer,
            room: Arc::clone(&room),
        };
        if self.commands.send(Command::Call(call)).is_err() {
            return Err(InvokeError::ConnectionLost(self.why_ended()));
        }
        Ok(Begun {
            answered,
            unanswered: Unanswered {
                ticket,
                commands: Some(self.commands.clone()),
            },
            state: self.state.clone(),
            _room: room,
        })
    }

    /// Tells whether the line has given up, and another one may fare better.
    pub(crate) fn has_failed(&self) -> bool {
        matches!(*self.state.borrow(), State::Ended(Lost::Failed(_)))
    }

    /// Has the server told who this is before the next call.
    pub(crate) fn introduce(&self) {
        // A line that has ended needs no introduction.
        let _ = self.commands.send(Command::Introduce);
    }

    /// Tells whether no call is on its way.
    pub(crate) fn is_idle(&self) -> bool {
        self.places.available_permits() == CALLS_RUNNING_MAX
    }

    /// Says where the data centre is from the next connection on.
    pub(crate) fn reroute(&self, route: Route) {
        // As above.
        let _ = self.commands.send(Command::Reroute(route));
    }

    /// Asks the task to end, and waits until it has.
    pub(crate) async fn stop(&self, by: Instant) {
        if self.commands.send(Command::Stop { by }).is_ok() {
            self.commands.closed().await;
        }
    }

    fn why_ended(&self) -> Lost {
        why_ended(&self.state)
    }
}

fn why_ended(state: &watch::Receiver<State>) -> Lost {
    match *state.borrow() {
        State::Ended(lost) => lost,
        State::Connecting | State::Ready => Lost::ShutDown,
    }
}

/// Returns the room that a call takes. What is larger than a message is refused by the task.
fn kibs_of(body: &Bytes) -> u32 {
    let kibs = body.len().div_ceil(1 << 10).min(CALLS_KIB_MAX);
    u32::try_from(kibs).unwrap_or(u32::MAX)
}

/// Numbers all calls of this process: a line that has ended may have a successor.
static TICKETS: AtomicU64 = AtomicU64::new(0);

/// A call that is with the task.
pub(crate) struct Begun {
    answered: oneshot::Receiver<Result<Bytes, InvokeError>>,
    unanswered: Unanswered,
    state: watch::Receiver<State>,
    _room: Arc<Room>,
}

impl Begun {
    /// Returns the name by which a later call of the same line can say that it is to run after this one.
    pub(crate) const fn ticket(&self) -> u64 {
        self.unanswered.ticket
    }

    /// Waits for the answer. Dropping the future gives the call up.
    pub(crate) async fn answer(mut self) -> Result<Bytes, InvokeError> {
        let outcome = (&mut self.answered).await;
        self.unanswered.commands = None;
        outcome.unwrap_or_else(|_| Err(InvokeError::ConnectionLost(why_ended(&self.state))))
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
