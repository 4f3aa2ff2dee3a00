//! The backend's end.
//!
//! Nobody waits for a push, so what has no room, or was on its way when a stream broke, becomes `updatesTooLong` for those
//! whom it was to reach: never lost in silence, never sent twice.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use heliogram_ports::{Push, PushRefused, Pushes, Target};
use heliogram_proto::ids::Identity;
use heliogram_proto::limits::PUSH_TARGETS_MAX;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::Channel;

use crate::generated::backend::push_client::PushClient;
use crate::generated::backend::pushes_request::Request;
use crate::generated::backend::{PushesReply, PushesRequest, SetUserRequest};
use crate::limits::{
    MESSAGE_BYTES_MAX, PUSHES_MISSED_MAX, PUSHES_WAITING_BYTES_MAX, USER_PATIENCE,
};
use crate::retry::Pause;
use crate::wire::push_to;

/// The way to the sessions of another process.
pub struct RemotePushes {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    /// Something is to be sent, or the other end of this is gone.
    news: Notify,
    /// How many users the session host knows of.
    users_known: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Item>,
    /// In the order in which they went.
    sent: VecDeque<Item>,
    /// Of the pushes in both.
    bytes: usize,
    missed: BTreeSet<Target>,
    users_told: u64,
    /// Nobody pushes any more.
    is_over: bool,
}

/// A push or a user.
#[derive(Clone)]
enum Item {
    Push(Push),
    User(SetUserRequest),
}

impl Item {
    fn bytes(&self) -> usize {
        match self {
            Self::Push(push) => push.body.len() + push.targets.len() * size_of::<Target>(),
            Self::User(_) => size_of::<Self>(),
        }
    }

    fn to_wire(&self) -> PushesRequest {
        let request = match self.clone() {
            Self::Push(push) => Request::Push(push_to(push)),
            Self::User(user) => Request::SetUser(user),
        };
        PushesRequest {
            request: Some(request),
        }
    }
}

impl RemotePushes {
    /// Pushes to what answers on `channel`, for as long as this lives. Within a tokio runtime.
    #[must_use]
    pub fn new(channel: Channel) -> Self {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            news: Notify::new(),
            users_known: watch::Sender::new(0),
        });
        let client = PushClient::new(channel).max_encoding_message_size(MESSAGE_BYTES_MAX);
        tokio::spawn(keep_open(client, Arc::clone(&shared)));
        Self { shared }
    }

    /// Waits until the session host knows all users of whom it was told before; not for ever.
    pub async fn users_are_known(&self) {
        let told = self.shared.state.lock().users_told;
        let mut known = self.shared.users_known.subscribe();
        if *known.borrow() >= told {
            return;
        }
        let known = known.wait_for(|&known| known >= told);
        if tokio::time::timeout(USER_PATIENCE, known).await.is_err() {
            tracing::warn!("a session node does not take a user");
        }
    }
}

impl std::fmt::Debug for RemotePushes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemotePushes").finish_non_exhaustive()
    }
}

impl Drop for RemotePushes {
    fn drop(&mut self) {
        self.shared.state.lock().is_over = true;
        self.shared.news.notify_one();
    }
}

impl Pushes for RemotePushes {
    fn push(&self, push: Push) -> Result<(), PushRefused> {
        if push.body.is_empty() || !push.body.len().is_multiple_of(4) {
            return Err(PushRefused::NotAnObject);
        }
        if push.targets.len() > PUSH_TARGETS_MAX {
            return Err(PushRefused::TooManyTargets);
        }
        self.shared.state.lock().add(Item::Push(push));
        self.shared.news.notify_one();
        Ok(())
    }

    fn set_user(&self, identity: Identity, user: Option<i64>) {
        let identity = identity.0.0;
        let request = SetUserRequest { identity, user };
        self.shared.state.lock().add(Item::User(request));
        self.shared.news.notify_one();
    }
}

impl State {
    fn add(&mut self, item: Item) {
        if self.bytes + item.bytes() > PUSHES_WAITING_BYTES_MAX {
            return self.miss(item);
        }
        self.bytes += item.bytes();
        self.users_told += u64::from(matches!(item, Item::User(_)));
        self.waiting.push_back(item);
    }

    /// Takes note of those who will have to ask for the difference.
    fn miss(&mut self, item: Item) {
        let Item::Push(push) = item else {
            return tracing::error!("a user is forgotten: no session node has taken any for long");
        };
        for target in push.targets {
            if self.missed.len() >= PUSHES_MISSED_MAX {
                return tracing::error!("updates are lost: no session node has taken any for long");
            }
            self.missed.insert(target);
        }
    }

    /// Takes what is to be sent next.
    fn next(&mut self) -> Option<PushesRequest> {
        if !self.missed.is_empty() {
            let mut targets = Vec::new();
            while targets.len() < PUSH_TARGETS_MAX
                && let Some(target) = self.missed.pop_first()
            {
                targets.push(target);
            }
            let item = Item::Push(Push {
                targets,
                except: None,
                body: Bytes::from_static(&UPDATES_TOO_LONG),
            });
            self.bytes += item.bytes();
            self.waiting.push_front(item);
        }
        let item = self.waiting.pop_front()?;
        let request = item.to_wire();
        self.sent.push_back(item);
        Some(request)
    }

    /// Takes note that nobody knows what became of what was sent. Saying again who a user is changes nothing. Returns `true`
    /// if nobody pushes any more.
    fn broke(&mut self) -> bool {
        for item in std::mem::take(&mut self.sent).into_iter().rev() {
            match item {
                Item::User(_) => self.waiting.push_front(item),
                Item::Push(_) => {
                    self.bytes -= item.bytes();
                    self.miss(item);
                }
            }
        }
        self.is_over
    }

    /// Forgets what the session host has taken; returns how many users were among it.
    fn taken(&mut self, count: u64) -> u64 {
        let mut users = 0;
        for _ in 0..count {
            let Some(item) = self.sent.pop_front() else {
                break;
            };
            self.bytes -= item.bytes();
            users += u64::from(matches!(item, Item::User(_)));
        }
        users
    }
}

async fn keep_open(mut client: PushClient<Channel>, shared: Arc<Shared>) {
    let mut pause = Pause::default();
    loop {
        let (requests, sent) = mpsc::channel(REQUESTS_AHEAD);
        match client.pushes(ReceiverStream::new(sent)).await {
            Ok(replies) => {
                tokio::select! {
                    () = pump(&shared, requests) => {}
                    () = read(&shared, replies.into_inner(), &mut pause) => {}
                }
            }
            Err(status) => tracing::debug!(code = ?status.code(), "no stream of pushes"),
        }
        if shared.state.lock().broke() {
            return;
        }
        pause.wait().await;
    }
}

/// Sends what waits, until nobody pushes any more.
async fn pump(shared: &Shared, requests: mpsc::Sender<PushesRequest>) {
    while let Ok(room) = requests.reserve().await {
        let (next, is_over) = {
            let mut state = shared.state.lock();
            (state.next(), state.is_over)
        };
        match next {
            Some(request) => room.send(request),
            None if is_over => return,
            None => shared.news.notified().await,
        }
    }
}

async fn read(shared: &Shared, mut replies: Streaming<PushesReply>, pause: &mut Pause) {
    let mut done = 0;
    loop {
        let reply = match replies.message().await {
            Ok(Some(reply)) => reply,
            Ok(None) => return,
            Err(status) => {
                tracing::debug!(code = ?status.code(), "the stream of pushes broke");
                return;
            }
        };
        *pause = Pause::default();
        let users = shared.state.lock().taken(reply.done.saturating_sub(done));
        done = reply.done;
        shared.users_known.send_modify(|known| *known += users);
    }
}

/// Requests between the queue and the connection.
const REQUESTS_AHEAD: usize = 16;

/// `updatesTooLong#e317af7e = Updates`.
const UPDATES_TOO_LONG: [u8; 4] = 0xe317_af7e_u32.to_le_bytes();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pushes_wait_up_to_so_many_bytes_and_what_is_beyond_becomes_updates_too_long() {
        let mut state = State::default();
        let part = PUSHES_WAITING_BYTES_MAX / 64;
        let body = Bytes::from(vec![0; part - size_of::<Target>()]);
        for user in 0..64 {
            state.add(Item::Push(push(body.clone(), vec![Target::User(user)])));
        }
        assert_eq!(state.bytes, PUSHES_WAITING_BYTES_MAX);
        assert_eq!((state.waiting.len(), state.missed.len()), (64, 0));
        let word = Bytes::from_static(&[0; 4]);
        state.add(Item::Push(push(
            word,
            vec![Target::User(7), Target::User(99)],
        )));
        assert_eq!((state.waiting.len(), state.missed.len()), (64, 2));

        let first = state.next().unwrap().request;
        let Some(Request::Push(first)) = first else {
            panic!("it is a push")
        };
        assert_eq!(first.body, UPDATES_TOO_LONG.as_slice());
        assert_eq!(first.targets.len(), 2);
        // What has arrived makes room.
        state.next().unwrap();
        state.taken(2);
        state.add(Item::Push(push(body, vec![Target::User(1)])));
        assert!(state.missed.is_empty());
    }

    #[test]
    fn so_many_are_told_that_they_have_missed_something_and_one_more_is_not() {
        let mut state = State {
            bytes: PUSHES_WAITING_BYTES_MAX,
            ..State::default()
        };
        let user = |at: usize| Target::User(i64::try_from(at).unwrap());
        let targets: Vec<_> = (1..PUSHES_MISSED_MAX).map(user).collect();
        let miss = |state: &mut State, targets| {
            state.add(Item::Push(push(Bytes::from_static(&[0; 4]), targets)));
        };
        miss(&mut state, targets);
        assert_eq!(state.missed.len(), PUSHES_MISSED_MAX - 1);
        miss(&mut state, vec![user(PUSHES_MISSED_MAX)]);
        assert_eq!(state.missed.len(), PUSHES_MISSED_MAX);
        miss(&mut state, vec![user(PUSHES_MISSED_MAX + 1)]);
        assert_eq!(state.missed.len(), PUSHES_MISSED_MAX);
        assert!(!state.missed.contains(&user(PUSHES_MISSED_MAX + 1)));
    }

    fn push(body: Bytes, targets: Vec<Target>) -> Push {
        Push {
            targets,
            except: None,
            body,
        }
    }
}
