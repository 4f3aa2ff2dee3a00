//! The task of a line.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use heliogram_ports::clock::Clock;
use heliogram_ports::random;
use heliogram_proto::client::{Effect, Engine, Event, Input, Worked};
use heliogram_proto::cx::{Cx, Mono};
use heliogram_proto::ids::SessionId;
use heliogram_proto::port::Reply;
use heliogram_proto::session::client::{self, TooManyCalls};
use rand_core::Rng as _;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::RpcError;
use crate::dial::Route;
use crate::error::{InvokeError, Lost};
use crate::introduction::Introduction;
use crate::limits::METHOD_BYTES_MAX;
use crate::line::socket::{Brought, Socket};
use crate::line::{Call, Command, Listener, Plan, Room, State};

/// The task's state.
pub(super) struct Actor {
    dc: i32,
    engine: Engine,
    clock: Clock,
    route: Route,
    socket: Socket,
    /// The target that the socket was opened to, and the one that is dialled first next time.
    target: usize,
    first_target: usize,
    /// The one piece of work that an exchange has under way, and what stands for its outcome if its worker panics.
    work: Option<(JoinHandle<Worked>, Worked)>,
    state: watch::Sender<State>,
    listener: Arc<dyn Listener>,
    introduction: Arc<Introduction>,
    /// The server knows who this is, under the present key.
    is_introduced: bool,
    calls: HashMap<u64, Waiting>,
    by_ticket: HashMap<u64, u64>,
    effects: Vec<Effect>,
    stop_by: Option<Instant>,
    /// Dropped last: whoever waits for the end finds nothing held any more, a lock on a key file least of all.
    commands: mpsc::UnboundedReceiver<Command>,
}

/// A call that waits for its answer.
struct Waiting {
    ticket: u64,
    answer: tokio::sync::oneshot::Sender<Result<Bytes, InvokeError>>,
    room: Arc<Room>,
    /// It carries the introduction.
    introduces: bool,
    /// The method, which says what its answer is about.
    #[cfg(feature = "layer-222")]
    request: Bytes,
}

impl Actor {
    pub(super) fn new(
        plan: Plan,
        commands: mpsc::UnboundedReceiver<Command>,
        state: watch::Sender<State>,
    ) -> Self {
        // A session's identifier is not zero.
        let session_id = SessionId(random::lend().next_u64().cast_signed() | 1);
        Self {
            dc: plan.dc,
            engine: Engine::new(plan.config, plan.saved, session_id),
            clock: plan.clock,
            route: plan.route,
            socket: Socket::Closed,
            target: 0,
            first_target: 0,
            work: None,
            commands,
            state,
            listener: plan.listener,
            introduction: plan.introduction,
            is_introduced: false,
            calls: HashMap::new(),
            by_ticket: HashMap::new(),
            effects: Vec::new(),
            stop_by: None,
        }
    }

    pub(super) async fn run(mut self) {
        self.step(Engine::start);
        let mut buffer = vec![0; READ_BYTES];
        let mut commands = Vec::new();
        while !self.has_ended() {
            let deadline = self.deadline();
            tokio::select! {
                count = self.commands.recv_many(&mut commands, COMMANDS_AT_ONCE) => {
                    if count == 0 {
                        // Nobody is left to tell.
                        break;
                    }
                    for command in commands.drain(..) {
                        self.on_command(command);
                    }
                    self.step(Engine::flush);
                }
                brought = self.socket.next(&mut buffer) => {
                    let waiting = self.calls.len();
                    self.on_brought(brought, &mut buffer);
                    if (1..waiting).contains(&self.calls.len()) {
                        // Whoever has an answer may want to call again: now, not when the socket has run dry.
                        tokio::task::yield_now().await;
                    }
                }
                worked = done(&mut self.work) => {
                    self.step(|engine, cx| engine.handle(Input::Worked(worked), cx));
                }
                () = tokio::time::sleep_until(deadline) => self.step(Engine::handle_deadline),
            }
        }
        for effect in self.effects_of(Engine::stop) {
            if matches!(effect, Effect::HangUp) {
                self.socket.flush().await;
            }
            self.carry_out(effect);
        }
        self.end(Lost::ShutDown);
    }

    /// Lets the engine take a step, and carries out what it wants.
    fn step(&mut self, step: impl FnOnce(&mut Engine, &mut Cx<'_, Effect>)) {
        self.engine.set_room(self.socket.room());
        self.take_step(step);
        // What was sent may have left already.
        while self.engine.is_held_back(self.clock.now().mono) && self.socket.room() > 0 {
            self.engine.set_room(self.socket.room());
            self.take_step(Engine::flush);
        }
    }

    fn take_step(&mut self, step: impl FnOnce(&mut Engine, &mut Cx<'_, Effect>)) {
        let mut effects = self.effects_of(step);
        for effect in effects.drain(..) {
            self.carry_out(effect);
        }
        self.effects = effects;
    }

    fn effects_of(&mut self, step: impl FnOnce(&mut Engine, &mut Cx<'_, Effect>)) -> Vec<Effect> {
        let mut effects = std::mem::take(&mut self.effects);
        let mut cx = Cx {
            now: self.clock.now(),
            rng: &mut random::lend(),
            out: &mut effects,
        };
        step(&mut self.engine, &mut cx);
        effects
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Dial => self.socket.dial(&self.route, self.first_target),
            Effect::Send(bytes) => self.socket.send(bytes),
            Effect::HangUp => self.socket.close(),
            Effect::Work(work) => {
                let lost = work.lost();
                let run = || work.run(&mut random::system());
                self.work = Some((tokio::task::spawn_blocking(run), lost));
            }
            Effect::Keep(saved) => self.listener.keep(self.dc, saved),
            Effect::Tell(event) => self.on_event(event),
        }
    }

    fn on_brought(&mut self, brought: Brought, buffer: &mut [u8]) {
        match brought {
            Brought::Connected(target) => {
                // Others may take the next connection, unless this one brings something: who takes connections need not live.
                (self.target, self.first_target) = (target, target + 1);
                self.step(|engine, cx| engine.handle(Input::Connected, cx));
            }
            Brought::Bytes(count) => {
                self.first_target = self.target;
                let bytes = buffer.get_mut(..count).unwrap_or_default();
                self.step(|engine, cx| engine.handle(Input::Bytes(bytes), cx));
            }
            Brought::Disconnected(error) => {
                tracing::debug!(dc = self.dc, %error, "disconnected");
                self.step(|engine, cx| engine.handle(Input::Disconnected, cx));
            }
            Brought::Room => self.step(Engine::flush),
        }
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Call(call) => self.on_call(call),
            Command::Cancel { ticket } => {
                if let Some(call) = self.by_ticket.remove(&ticket) {
                    self.calls.remove(&call);
                    self.engine.cancel(call);
                }
            }
            Command::Introduce => self.is_introduced = false,
            Command::Reroute(route) => {
                self.route = route;
                self.first_target = 0;
            }
            Command::Stop { by } => self.stop_by = Some(by),
        }
    }

    fn on_call(&mut self, call: Call) {
        if self.stop_by.is_some() {
            return self.refuse(call, InvokeError::ConnectionLost(Lost::ShutDown));
        }
        if let State::Ended(lost) = *self.state.borrow() {
            return self.refuse(call, InvokeError::ConnectionLost(lost));
        }
        if !is_sendable(&call.body) {
            let length = call.body.len();
            return self.refuse(call, InvokeError::Unsendable(length));
        }
        let introduces = !self.is_introduced;
        let body = if introduces {
            self.introduction.around(&call.body)
        } else {
            self.introduction.quiet(&call.body)
        };
        let due = self.mono_at(call.due);
        // One that is answered need not be waited for.
        let earlier = call.after.and_then(|it| self.by_ticket.get(&it));
        let made = match earlier {
            Some(&earlier) => self.engine.call_after(body, due, earlier),
            None => self.engine.call(body, due),
        };
        match made {
            Ok(number) => {
                self.by_ticket.insert(call.ticket, number);
                let waiting = Waiting {
                    ticket: call.ticket,
                    answer: call.answer,
                    room: call.room,
                    introduces,
                    #[cfg(feature = "layer-222")]
                    request: call.body,
                };
                self.calls.insert(number, waiting);
            }
            Err(TooManyCalls) => self.refuse(call, InvokeError::TooManyCalls),
        }
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Ready { introduce } => {
                self.is_introduced &= !introduce;
                self.state.send_replace(State::Ready);
                self.listener.connected(self.dc, true);
            }
            Event::Lost { retry_in } => {
                tracing::debug!(dc = self.dc, ?retry_in, "not connected");
                self.listener.connected(self.dc, false);
            }
            Event::Session(event) => self.on_session_event(event),
            Event::KeyLost => {
                tracing::warn!(dc = self.dc, "the server does not know our key any more");
                self.is_introduced = false;
                self.listener.key_lost(self.dc);
            }
            Event::Failed(failure) => {
                tracing::warn!(dc = self.dc, %failure, "gave up connecting");
                self.end(Lost::Failed(failure));
            }
        }
    }

    fn on_session_event(&mut self, event: client::Event) {
        match event {
            client::Event::Answer { call, reply } => self.answer(call, reply),
            client::Event::TimedOut { call } => self.settle(call, Err(InvokeError::TimedOut)),
            client::Event::Uncertain { call } | client::Event::Refused { call } => {
                self.settle(call, Err(InvokeError::Uncertain));
            }
            client::Event::Update(object) => self.listener.update(self.dc, object),
            client::Event::NewSession | client::Event::Missed => self.listener.missed(self.dc),
            client::Event::Dropped { .. }
            | client::Event::GaveUp
            | client::Event::KeyDestroyed { .. }
            | client::Event::Pong { .. }
            | client::Event::Restarted { .. }
            | client::Event::SessionDestroyed { .. } => {}
        }
    }

    fn answer(&mut self, call: u64, reply: Reply) {
        let outcome = match reply {
            Reply::Result(result) => Ok(result),
            Reply::Error(error) => Err(InvokeError::Rpc(RpcError::from(error))),
        };
        let waiting = self.calls.get(&call);
        if waiting.is_some_and(|it| it.introduces) && knows_us(&outcome) {
            self.is_introduced = true;
        }
        #[cfg(feature = "layer-222")]
        if let (Some(waiting), Ok(result)) = (waiting, &outcome) {
            self.listener.result(self.dc, &waiting.request, result);
        }
        self.settle(call, outcome);
    }

    /// Gives a call its outcome.
    fn settle(&mut self, call: u64, outcome: Result<Bytes, InvokeError>) {
        if let Some(waiting) = self.calls.remove(&call) {
            self.by_ticket.remove(&waiting.ticket);
            // Whoever hears of it may begin another at once.
            drop(waiting.room);
            // Who asked may have stopped waiting just now.
            let _ = waiting.answer.send(outcome);
        }
    }

    fn refuse(&self, call: Call, error: InvokeError) {
        drop(call.room);
        // As above.
        let _ = call.answer.send(Err(error));
    }

    /// Ends all calls. Those that come later end at once.
    fn end(&mut self, lost: Lost) {
        self.state.send_replace(State::Ended(lost));
        self.listener.connected(self.dc, false);
        let calls: Vec<_> = self.calls.keys().copied().collect();
        for call in calls {
            self.engine.cancel(call);
            self.settle(call, Err(InvokeError::ConnectionLost(lost)));
        }
    }

    fn has_ended(&self) -> bool {
        let is_overdue = self.stop_by.is_some_and(|by| by <= Instant::now());
        is_overdue || (self.stop_by.is_some() && self.calls.is_empty())
    }

    fn deadline(&self) -> Instant {
        let engine = self.engine.next_deadline();
        let engine = engine.map(|at| Instant::from_std(self.clock.instant(at)));
        let all = [engine, self.stop_by];
        let far = Instant::now() + IDLE;
        all.into_iter().flatten().min().unwrap_or(far)
    }

    fn mono_at(&self, at: Instant) -> Mono {
        self.clock.now().mono + at.saturating_duration_since(Instant::now())
    }
}

/// Tells whether a method can be sent at all: tried in vain, it would take others with it.
const fn is_sendable(method: &Bytes) -> bool {
    method.len().is_multiple_of(4) && method.len() <= METHOD_BYTES_MAX
}

/// Tells whether a server that answers so has taken note of the introduction.
fn knows_us(outcome: &Result<Bytes, InvokeError>) -> bool {
    match outcome {
        Err(InvokeError::Rpc(error)) => !error.name.starts_with("CONNECTION_"),
        outcome => outcome.is_ok(),
    }
}

/// Waits for a piece of work; for ever if there is none. May be dropped at any time and asked again.
async fn done(work: &mut Option<(JoinHandle<Worked>, Worked)>) -> Worked {
    let outcome = match work {
        Some((task, _)) => task.await,
        None => std::future::pending().await,
    };
    match (outcome, work.take()) {
        (Ok(worked), _) | (Err(_), Some((_, worked))) => worked,
        (Err(_), None) => std::future::pending().await,
    }
}

const READ_BYTES: usize = 64 << 10;
const COMMANDS_AT_ONCE: usize = 256;

/// How long a task sleeps that waits for nothing.
const IDLE: std::time::Duration = std::time::Duration::from_secs(3600);
