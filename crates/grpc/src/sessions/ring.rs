//! The gateway's end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use heliogram_ports::discovery::Discovery;
use heliogram_ports::metrics::{Measured, Meter};
use heliogram_ports::{Edge, FromHost, SessionPort, ToHost, Wake, random};
use heliogram_proto::ids::{AuthKeyId, Identity, LinkId, Term};
use heliogram_proto::ring::Partition;
use parking_lot::Mutex;
use rand_core::Rng as _;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tonic::transport::Channel;

use super::state::{NewPeer, State, Wakes};
use super::stream;
use crate::net::{Address, Role, Tls, dial};

/// The sessions of all session nodes, as a gateway sees them: each frame goes to the owner of its identity.
pub struct RingSessions {
    shared: Arc<Shared>,
    /// Closes what waits for too long, and follows the view.
    tasks: Vec<JoinHandle<()>>,
}

/// What the streams share.
pub(super) struct Shared {
    pub(super) state: Mutex<State>,
    edges: Mutex<Vec<Weak<dyn Edge>>>,
    /// By what the nodes know this gateway.
    pub(super) gateway: u64,
    /// A deadline may have become earlier.
    earlier: Notify,
    is_over: AtomicBool,
}

impl RingSessions {
    /// Takes messages to the session nodes that `discovery` knows, for as long as this lives. It speaks to all of them from now on:
    /// without certificates to those of this machine only. Within a tokio runtime.
    #[must_use]
    pub fn new(discovery: Arc<dyn Discovery>, tls: Option<Tls>) -> Self {
        let shared = Shared::new(State::new());
        let mut revision = shared.apply(&*discovery, tls.as_ref());
        let follower = Arc::clone(&shared);
        let follow = tokio::spawn(async move {
            loop {
                discovery.newer(revision).await;
                revision = follower.apply(&*discovery, tls.as_ref());
            }
        });
        let tasks = vec![follow, tokio::spawn(Arc::clone(&shared).run())];
        Self { shared, tasks }
    }

    /// Takes messages to the one node that answers on `channel` and owns everything, for as long as this lives. Its frames say
    /// that it has this term; if it is not given they say nothing. Within a tokio runtime.
    #[must_use]
    pub fn of_one(channel: Channel, term: Option<Term>) -> Self {
        let (state, peer) = State::of_one(term);
        let shared = Shared::new(state);
        tokio::spawn(stream::keep_open(channel, peer, Arc::clone(&shared)));
        let tasks = vec![tokio::spawn(Arc::clone(&shared).run())];
        Self { shared, tasks }
    }

    /// Returns the term of the owner of a key, as far as it is known: that of its first salt.
    #[must_use]
    pub fn term_of(&self, key: AuthKeyId) -> Option<Term> {
        self.shared.state.lock().term_of(Identity(key))
    }

    /// Tells whether every partition has an owner, and there is a stream to each of them.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.shared.state.lock().is_whole()
    }
}

impl std::fmt::Debug for RingSessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RingSessions").finish_non_exhaustive()
    }
}

impl Drop for RingSessions {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
        self.shared.is_over.store(true, Ordering::Release);
        self.shared.state.lock().notify_all();
    }
}

impl SessionPort for RingSessions {
    fn open(&self, edge: Weak<dyn Edge>) {
        let mut edges = self.shared.edges.lock();
        edges.retain(|edge| edge.strong_count() > 0);
        edges.push(edge);
    }

    fn attach(&self, link: LinkId, wake: Arc<dyn Wake>) {
        self.shared.state.lock().attach(link, wake);
    }

    fn submit(&self, inputs: &mut Vec<ToHost>) {
        let now = Instant::now();
        self.shared.change(|state, wakes| {
            for input in inputs.drain(..) {
                state.add(input, now, wakes);
            }
        });
    }

    fn drain(&self, link: LinkId, out: &mut Vec<FromHost>) {
        self.shared.state.lock().drain(link, out);
    }

    fn takes_more(&self, link: LinkId) -> bool {
        self.shared.state.lock().takes_more(link)
    }

    fn is_quiet(&self) -> bool {
        self.shared.state.lock().is_quiet()
    }
}

impl Measured for RingSessions {
    fn measure(&self, meter: &mut dyn Meter) {
        self.shared.state.lock().measure(meter);
    }
}

impl Shared {
    fn new(state: State) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(state),
            edges: Mutex::default(),
            gateway: random::lend().next_u64(),
            earlier: Notify::new(),
            is_over: AtomicBool::new(false),
        })
    }

    /// Changes the state, then wakes whom it concerns.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut State, &mut Wakes) -> T) -> T {
        let mut wakes = Wakes::new();
        let mut state = self.state.lock();
        let before = state.next_deadline();
        let changed = change(&mut state, &mut wakes);
        let after = state.next_deadline();
        drop(state);
        if after != before {
            self.earlier.notify_one();
        }
        for wake in wakes {
            wake.wake();
        }
        changed
    }

    /// Takes the last view over; returns its revision.
    fn apply(self: &Arc<Self>, discovery: &dyn Discovery, tls: Option<&Tls>) -> u64 {
        let view = discovery.view();
        let now = Instant::now();
        let (new, owned) = self.change(|state, wakes| state.apply(&view, now, wakes));
        for NewPeer { id, address } in new {
            let Ok(address) = address.parse::<Address>() else {
                tracing::warn!(%address, "a session node has an address that is none");
                continue;
            };
            let channel = dial(address, Role::Session, tls.cloned());
            tokio::spawn(stream::keep_open(channel, id, Arc::clone(self)));
        }
        self.doubt(&owned);
        view.revision
    }

    /// Has what is cached of keys looked up again: a revocation may have been missed.
    pub(super) fn doubt(&self, partitions: &[Partition]) {
        if !partitions.is_empty() {
            let edges = self.edges();
            edges.iter().for_each(|edge| edge.doubt(partitions));
        }
    }

    /// Closes what waits for too long, for as long as it is polled.
    async fn run(self: Arc<Self>) {
        loop {
            let next = self.state.lock().next_deadline();
            let due = async {
                match next {
                    Some(next) => tokio::time::sleep_until(next).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = due => self.change(|state, wakes| state.overdue(Instant::now(), wakes)),
                () = self.earlier.notified() => {}
            }
        }
    }

    pub(super) fn edges(&self) -> Vec<Arc<dyn Edge>> {
        let edges = self.edges.lock();
        edges.iter().filter_map(Weak::upgrade).collect()
    }

    /// Tells whether nothing will ever be handed in again.
    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }
}
