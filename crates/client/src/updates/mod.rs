//! Updates in their order, without gaps.
//!
//! ```text
//!  line ──> Feed ──────────┐                                   ┌──> Event::Update …
//!  (objects, results)      ├──> proto::updates::client ──> next()
//!  Requests ── answers ────┘        │                          └──> Event::Gap, …
//!     ^──────── differences ────────┘
//! ```
//!
//! [`Client::updates`] gives a stream. Nothing runs but while [`Updates::next`] is awaited, apart from requests that are
//! under way: an application that reads slowly is not overrun, and what it could not be kept for it is asked for again.
//!
//! ```no_run
//! use heliogram_client::Client;
//! use heliogram_client::updates::{Event, Position};
//!
//! # async fn example(client: Client, stored: Option<Vec<u8>>) -> Result<(), Box<dyn std::error::Error>> {
//! let from = stored.map(|it| Position::from_bytes(&it)).transpose()?;
//! let mut updates = client.updates(from);
//! while let Some(event) = updates.next().await {
//!     match event {
//!         Event::Update(update) => println!("{:?}", update.update),
//!         Event::TooLong(which) => println!("fetch anew what is shown of {which:?}"),
//!         _ => {}
//!     }
//!     // Once what was told is stored, this is where to go on after a restart.
//!     let bytes = updates.position().to_bytes();
//! #   drop(bytes);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! What comes in answers to the application's own calls is told as well: the numbers in it belong to the same sequences.
//!
//! Source: <https://core.telegram.org/api/updates>. Choices: `docs/deviations.md`.

mod event;
mod feed;
mod held;
mod known;
mod place;
mod position;
mod requests;
mod results;
mod short;
#[cfg(test)]
mod tests;
mod unpack;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use grammers_tl_types::{Deserializable as _, enums};
use heliogram_ports::clock::Clock;
use heliogram_ports::random;
use heliogram_proto::cx::Cx;
use heliogram_proto::updates::client::{self, Effect, Input, Request};
use tokio::time::Instant;

pub use crate::limits::OPEN_CHANNELS_MAX;
pub use event::{Event, Peers, Update, Which};
pub use heliogram_proto::updates::UpdateState;
pub use position::{ChannelPosition, NotAPosition, Position};

pub(crate) use feed::{Fed, Outlet};
pub(crate) use results::is_of_interest;

use crate::Client;
use crate::error::InvokeError;
use crate::limits::POLL_S;
use crate::nesting;
use crate::updates::feed::Feed;
use crate::updates::held::Held;
use crate::updates::known::Known;
use crate::updates::requests::{Answer, Done, Requests};
use crate::updates::results::Meaning;

/// A stream of updates, in the order of their sequences and without gaps. Made by [`Client::updates`].
pub struct Updates {
    client: Client,
    outlet: Arc<Outlet>,
    feed: Arc<Feed>,
    machine: client::Updates<Update>,
    known: Known,
    clock: Clock,
    /// What was not read yet of what came last.
    ready: VecDeque<Event>,
    held: Held,
    requests: Requests,
    /// Refused because nobody is signed in: to be made again when somebody is.
    refused: Option<Request>,
    /// The numbers are an account's that the server has let in since the stream began.
    is_confirmed: bool,
    /// Somebody has signed in, maybe after the next refusal was written.
    has_signed_in: bool,
    /// Channels that are asked about regularly, and when next, unless an answer is awaited.
    open: BTreeMap<i64, Option<Instant>>,
    effects: Vec<Effect<Update>>,
}

/// As many channels are open as may be: [`OPEN_CHANNELS_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{OPEN_CHANNELS_MAX} channels are open, and no more may be: close one")]
pub struct TooManyOpen;

impl Updates {
    pub(crate) fn new(client: Client, outlet: Arc<Outlet>, from: Option<Position>) -> Self {
        let from = from.unwrap_or_default();
        let mut known = Known::default();
        for channel in &from.channels {
            known.learn_channel(channel.channel_id, channel.access_hash);
        }
        let channels = from.channels.iter().map(|it| (it.channel_id, it.pts));
        Self {
            client,
            feed: outlet.begin(),
            outlet,
            machine: client::Updates::new(from.state, channels),
            known,
            clock: Clock::start(),
            ready: VecDeque::new(),
            held: Held::default(),
            requests: Requests::default(),
            refused: None,
            is_confirmed: false,
            has_signed_in: false,
            open: BTreeMap::new(),
            effects: Vec::new(),
        }
    }

    /// Waits for the next event; `None` once the client is shut down, or another stream was begun. May be dropped at
    /// any time and asked again: nothing is lost.
    ///
    /// The first thing it does is to ask what was missed since the position that it began with; without one, where the
    /// account is.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            self.held.release();
            let deadline = self.deadline();
            tokio::select! {
                fed = self.feed.next() => self.on_fed(fed?),
                done = self.requests.next() => self.on_done(done),
                () = tokio::time::sleep_until(deadline) => self.on_deadline(),
            }
            self.make_requests();
        }
    }

    /// As [`Updates::next`], and passes over all that is no update. Whoever shows histories wants the other, which says
    /// when too much was missed.
    pub async fn next_update(&mut self) -> Option<Box<Update>> {
        loop {
            if let Event::Update(update) = self.next().await? {
                return Some(update);
            }
        }
    }

    /// Returns where a stream goes on that is to tell what this one has not told yet. Store it only once what was told
    /// is stored.
    ///
    /// While several events come together, it stays where it was before the first until the last is read: after a
    /// restart some may come twice, and none is left out.
    #[must_use]
    pub fn position(&self) -> Position {
        let nothing = Held::default();
        let is_untold = |it: &Event| matches!(it, Event::TooLong(_) | Event::Update(_));
        let held = if self.ready.iter().any(is_untold) {
            &self.held
        } else {
            &nothing
        };
        let channels = held.channels(&self.machine);
        let channels = channels.map(|(channel_id, pts)| ChannelPosition {
            channel_id,
            access_hash: self.known.channel_hash(channel_id),
            pts,
        });
        Position {
            state: held.state(&self.machine),
            channels: channels.collect(),
        }
    }

    /// Returns how requests name somebody of whom anything was told since the stream began.
    #[must_use]
    pub fn input_peer(&self, peer: &enums::Peer) -> Option<enums::InputPeer> {
        self.known.input_peer(peer)
    }

    /// Asks about a channel regularly from now on, as long as somebody looks at it: the server pushes what happens in
    /// large channels late, or not at all.
    ///
    /// The server says how often; it takes a channel that something was told of.
    ///
    /// # Errors
    ///
    /// [`TooManyOpen`] if this would be one more than [`OPEN_CHANNELS_MAX`].
    pub fn open_channel(&mut self, channel_id: i64) -> Result<(), TooManyOpen> {
        if self.open.len() >= OPEN_CHANNELS_MAX && !self.open.contains_key(&channel_id) {
            return Err(TooManyOpen);
        }
        self.open.insert(channel_id, Some(Instant::now()));
        Ok(())
    }

    /// Asks about a channel no longer.
    pub fn close_channel(&mut self, channel_id: i64) {
        self.open.remove(&channel_id);
    }

    fn on_fed(&mut self, fed: Fed) {
        let is_readable = match &fed {
            Fed::Lost | Fed::Overrun => true,
            Fed::Object(object) | Fed::Result { result: object, .. } => nesting::is_shallow(object),
        };
        let read = match fed {
            _ if !is_readable => Ok(Meaning::Inputs(vec![Input::Lost])),
            Fed::Lost => Ok(Meaning::Inputs(vec![Input::Lost])),
            Fed::Overrun => {
                // That somebody has signed in may be among what was given up.
                self.ask_again();
                Ok(Meaning::Inputs(vec![Input::Lost]))
            }
            Fed::Object(object) => self.read_object(&object),
            Fed::Result { request, result } => results::read(&request, &result, &mut self.known),
        };
        match read {
            Ok(Meaning::Inputs(inputs)) => self.handle_all(inputs),
            Ok(Meaning::SignedIn(user)) => self.on_signed_in(user),
            Err(error) => {
                tracing::debug!(%error, "unreadable updates");
                self.handle(Input::Lost);
            }
        }
    }

    fn read_object(&mut self, object: &Bytes) -> grammers_tl_types::deserialize::Result<Meaning> {
        let object = enums::Updates::from_bytes(object)?;
        Ok(Meaning::Inputs(unpack::updates(
            object,
            &[],
            &mut self.known,
        )))
    }

    /// Somebody who has signed in again goes on, and so does whoever a position was stored for; another begins anew, and
    /// must not be mistaken for the one before.
    fn on_signed_in(&mut self, user: i64) {
        let before = self.known.me.replace(user);
        let is_confirmed = std::mem::take(&mut self.is_confirmed);
        if before.map_or(is_confirmed, |it| it != user) {
            self.requests = Requests::default();
            self.machine = client::Updates::new(UpdateState::default(), []);
            self.known = Known::default();
            self.known.me = Some(user);
            self.open.clear();
            self.refused = None;
            self.has_signed_in = false;
            self.held.release();
            self.handle(Input::Restart);
        } else if !self.ask_again() {
            self.has_signed_in = true;
            self.handle(Input::Lost);
        }
    }

    /// Makes a request again that was refused; `false` if there is none.
    fn ask_again(&mut self) -> bool {
        let refused = self.refused.take();
        let was_refused = refused.is_some();
        refused.into_iter().for_each(|it| self.requests.add(it));
        was_refused
    }

    fn on_done(&mut self, (request, outcome): Done) {
        match outcome {
            Some(Ok(answer)) => self.on_answer(request, answer),
            Some(Err(error)) => self.on_refusal(request, &error),
            None => self.handle(Input::Failed(request)),
        }
    }

    fn on_answer(&mut self, request: Request, answer: Answer) {
        let inputs = match answer {
            Answer::State(state) => {
                self.is_confirmed = true;
                vec![Input::State(unpack::state(&state))]
            }
            Answer::Difference(answer) => {
                self.is_confirmed = true;
                unpack::difference(answer, &mut self.known)
            }
            Answer::Channel(answer) => {
                let Request::ChannelDifference { channel_id, .. } = request else {
                    return;
                };
                let (inputs, wait_s) =
                    unpack::channel_difference(channel_id, *answer, &mut self.known);
                let wait_s = wait_s.and_then(|it| u64::try_from(it).ok());
                let wait_s = wait_s.unwrap_or(POLL_S).max(POLL_S);
                self.poll_after(channel_id, Duration::from_secs(wait_s));
                inputs
            }
        };
        self.handle_all(inputs);
    }

    fn on_refusal(&mut self, request: Request, error: &InvokeError) {
        tracing::debug!(?request, %error, "no difference");
        let (code, name) = if let InvokeError::Rpc(error) = error {
            (error.code, error.name.as_str())
        } else {
            (0, "")
        };
        let is_senseless = matches!(error, InvokeError::Malformed(_))
            || matches!(
                name,
                "PERSISTENT_TIMESTAMP_EMPTY" | "PERSISTENT_TIMESTAMP_INVALID"
            );
        match request {
            Request::ChannelDifference { channel_id, .. } if is_senseless => {
                self.handle(Input::ChannelGone { channel_id });
                self.tell(Event::TooLong(Which::Channel(channel_id)));
                self.poll_after(channel_id, Duration::from_secs(POLL_S));
            }
            Request::ChannelDifference { channel_id, .. } if matches!(code, 400 | 403 | 406) => {
                self.open.remove(&channel_id);
                self.handle(Input::ChannelGone { channel_id });
                self.tell(Event::ChannelGone { channel_id });
            }
            // What can't be told from there will not be told: go on from where the account is.
            Request::Difference { .. } if is_senseless => {
                self.tell(Event::TooLong(Which::Common));
                self.handle(Input::Failed(request));
                self.handle(Input::Restart);
            }
            Request::Difference { .. } | Request::State if code == 401 => {
                self.refused = Some(request);
                if std::mem::take(&mut self.has_signed_in) {
                    self.ask_again();
                }
            }
            Request::ChannelDifference { .. } | Request::Difference { .. } | Request::State => {
                self.handle(Input::Failed(request));
            }
        }
    }

    fn on_deadline(&mut self) {
        let now = Instant::now();
        let due: Vec<_> = self
            .open
            .iter_mut()
            .filter_map(|(&id, next)| next.take_if(|at| *at <= now).map(|_| id))
            .collect();
        for channel_id in due {
            let pts = None;
            self.handle(Input::ChannelTooLong { channel_id, pts });
        }
        self.step(client::Updates::handle_deadline);
    }

    /// Asks about a channel again after a while, if it is open.
    fn poll_after(&mut self, channel_id: i64, wait: Duration) {
        if let Some(next) = self.open.get_mut(&channel_id) {
            *next = Some(Instant::now() + wait);
        }
    }

    fn handle_all(&mut self, inputs: Vec<Input<Update>>) {
        for input in inputs {
            self.handle(input);
        }
    }

    fn handle(&mut self, input: Input<Update>) {
        self.held.note(&self.machine, &input);
        self.step(|machine, cx| machine.handle(input, cx));
    }

    /// Lets the bookkeeping take a step, and carries out what it wants.
    fn step(
        &mut self,
        step: impl FnOnce(&mut client::Updates<Update>, &mut Cx<'_, Effect<Update>>),
    ) {
        let mut effects = std::mem::take(&mut self.effects);
        let mut cx = Cx {
            now: self.clock.now(),
            rng: &mut random::lend(),
            out: &mut effects,
        };
        step(&mut self.machine, &mut cx);
        for effect in effects.drain(..) {
            match effect {
                Effect::Deliver(update) => self.tell(Event::Update(Box::new(update))),
                Effect::Gap(which) => self.tell(Event::Gap(which)),
                Effect::TooLong(which) => self.tell(Event::TooLong(which)),
                Effect::Request(request) => self.on_request(request),
            }
        }
        self.effects = effects;
    }

    fn on_request(&mut self, request: Request) {
        match request {
            Request::ChannelDifference { channel_id, .. } => {
                self.tell(Event::NeedChannelDifference { channel_id });
            }
            Request::Difference { .. } => self.tell(Event::NeedDifference),
            Request::State => {}
        }
        self.requests.add(request);
    }

    fn make_requests(&mut self) {
        while let Some(request) = self.requests.turn() {
            let hash = match request {
                Request::ChannelDifference { channel_id, .. } => {
                    self.known.channel_hash(channel_id)
                }
                Request::Difference { .. } | Request::State => 0,
            };
            self.requests.start(self.client.clone(), request, hash);
        }
    }

    fn tell(&mut self, event: Event) {
        self.ready.push_back(event);
    }

    fn deadline(&self) -> Instant {
        let machine = self.machine.next_deadline();
        let machine = machine.map(|at| Instant::from_std(self.clock.instant(at)));
        let polls = self.open.values().flatten().copied().min();
        let all = [machine, polls];
        let far = Instant::now() + IDLE;
        all.into_iter().flatten().min().unwrap_or(far)
    }
}

impl Drop for Updates {
    fn drop(&mut self) {
        self.outlet.leave(&self.feed);
    }
}

impl fmt::Debug for Updates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Updates")
            .field("state", &self.machine.state())
            .finish_non_exhaustive()
    }
}

/// How long nothing is done if there is nothing to do.
const IDLE: Duration = Duration::from_hours(1);
