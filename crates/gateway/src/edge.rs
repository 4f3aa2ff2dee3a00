//! What the connections of a gateway share: the machines of `proto::edge`, and who carries out their effects.
//!
//! No lock is held while an effect is carried out, nor across an `await`.

use std::future::Future;
use std::io;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use heliogram_ports::clock::Clock;
use heliogram_ports::{
    AuthKeys, Inserted, KeyFacts, KeyRecord, SessionPort, ToHost, Unavailable, random,
};
use heliogram_proto::cx::{Cx, Mono};
use heliogram_proto::edge::exchanges::{self, Exchanges, Job, StoreOutcome, Ticket};
use heliogram_proto::edge::keys::{self, KeyCache, KeyOutcome};
use heliogram_proto::edge::limiter::{Admission, Limiter};
use heliogram_proto::exchange::server::Keyring;
use heliogram_proto::ids::{AuthKeyId, LinkId};
use heliogram_proto::link;
use heliogram_proto::ring::Partition;
use parking_lot::Mutex;
use tokio::runtime;
use tokio::task::JoinHandle;

use crate::config::Config;
use crate::handle::{Handle, Links};
use crate::metrics::Counts;
use crate::on_drop::OnDrop;
use crate::pool::Pool;
use crate::steps::{Step, Steps, Tell};

/// The shared part of a gateway.
pub(crate) struct Edge {
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    pub(crate) sessions: Arc<dyn SessionPort>,
    pub(crate) limiter: Mutex<Limiter>,
    pub(crate) links: Links,
    pub(crate) counts: Counts,
    store: Arc<dyn AuthKeys>,
    pub(crate) cache: Mutex<KeyCache>,
    exchanges: Mutex<Exchanges>,
    pool: Pool<Step>,
    next_link: AtomicU64,
    phase: AtomicU8,
    runtime: runtime::Handle,
}

/// How far a shutdown has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// No shutdown.
    Running,
    /// Connections read no more, and write what comes.
    Draining,
    /// No call is running: connections drain a last time, write what waits, and close.
    Closing,
    /// Time is up.
    Ended,
}

impl From<Phase> for u8 {
    fn from(phase: Phase) -> Self {
        match phase {
            Phase::Running => 0,
            Phase::Draining => 1,
            Phase::Closing => 2,
            Phase::Ended => 3,
        }
    }
}

impl Edge {
    pub(crate) fn new(
        config: Config,
        store: Arc<dyn AuthKeys>,
        sessions: Arc<dyn SessionPort>,
        exchange: heliogram_proto::exchange::server::Config,
    ) -> io::Result<Self> {
        // The table counts the steps that wait and those at work, so it says no before the pool has to: a query that is
        // refused so may come again, one whose step the pool has dropped may not.
        let mut exchange_limits = exchanges::Limits::default();
        exchange_limits.jobs_max = config.work_queue_max;
        Ok(Self {
            clock: Clock::start(),
            sessions,
            limiter: Mutex::new(Limiter::new(config.limiter.clone())),
            links: Links::new(),
            counts: Counts::default(),
            store,
            cache: Mutex::new(KeyCache::new(config.keys)),
            exchanges: Mutex::new(Exchanges::new(exchange, exchange_limits)),
            pool: Pool::start(config.workers, config.work_queue_max, Steps::new)?,
            next_link: AtomicU64::new(1),
            phase: AtomicU8::new(0),
            runtime: runtime::Handle::current(),
            config,
        })
    }

    /// Makes this gateway known to the host.
    pub(crate) fn open(self: &Arc<Self>) {
        let edge: Weak<Self> = Arc::downgrade(self);
        self.sessions.open(edge);
    }

    /// Makes a connection known to the host.
    pub(crate) fn attach(&self) -> (LinkId, Arc<Handle>) {
        self.counts.opened.add_one();
        let link = LinkId(self.next_link.fetch_add(1, Ordering::Relaxed));
        let handle = Arc::new(Handle::default());
        self.links.insert(link, Arc::clone(&handle));
        self.sessions.attach(link, Arc::<Handle>::clone(&handle));
        (link, handle)
    }

    /// Forgets a connection, and gives back what it held.
    pub(crate) fn detach(
        self: &Arc<Self>,
        link: LinkId,
        held: Vec<AuthKeyId>,
        awaited: Vec<AuthKeyId>,
    ) {
        self.links.remove(link);
        self.sessions.submit(&mut vec![ToHost::Detach { link }]);
        for id in held {
            self.handle_key(keys::Input::Release { link, id });
        }
        for id in awaited {
            self.handle_key(keys::Input::Forget { link, id });
        }
        self.handle_exchange(exchanges::Input::Detach { link });
    }

    pub(crate) fn disconnect(&self, admission: Admission) {
        self.limiter
            .lock()
            .disconnect(admission, self.clock.now().mono);
    }

    /// Looks for a key; the outcome comes by mail.
    pub(crate) fn want_key(self: &Arc<Self>, link: LinkId, id: AuthKeyId) {
        self.handle_key(keys::Input::Want { link, id });
    }

    /// Hands a message to the exchange; the answer comes by mail.
    pub(crate) fn request(self: &Arc<Self>, link: LinkId, body: &[u8]) {
        self.handle_exchange(exchanges::Input::Request { link, body });
    }

    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Running,
            1 => Phase::Draining,
            2 => Phase::Closing,
            _ => Phase::Ended,
        }
    }

    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.store(phase.into(), Ordering::Release);
        self.links.wake_all();
    }

    /// Lets go of what has ended, for as long as it is polled.
    pub(crate) async fn tend(self: Arc<Self>) {
        loop {
            let now = self.clock.now();
            self.cache.lock().handle_deadline(now.mono);
            self.with_exchanges(|table, cx| table.handle_deadline(cx));
            let next = self.cache.lock().next_deadline().unwrap_or(Mono(u64::MAX));
            let pause = next.since(now.mono).clamp(TEND_MIN, TEND_MAX);
            tokio::time::sleep(pause).await;
        }
    }

    fn handle_key(self: &Arc<Self>, input: keys::Input) {
        for id in self.tell_keys(input) {
            self.load(id);
        }
    }

    /// Hands the cache an input; returns the keys that it wants loaded.
    fn tell_keys(&self, input: keys::Input) -> Vec<AuthKeyId> {
        let mut loads = Vec::new();
        let mut effects = Vec::new();
        let now = self.clock.now();
        self.cache.lock().handle(
            input,
            &mut Cx {
                now,
                rng: &mut random::lend(),
                out: &mut effects,
            },
        );
        for effect in effects {
            match effect {
                keys::Effect::Load { id } => loads.push(id),
                keys::Effect::Outcome { link, id, outcome } => {
                    self.links.post(link, link::Input::Key { id, outcome });
                }
                keys::Effect::Doubted { link, id } => {
                    self.links.post(link, link::Input::Doubted { id });
                }
                keys::Effect::Revoked { link, id } => {
                    self.links.post(link, link::Input::Revoked { id });
                }
            }
        }
        loads
    }

    /// Asks the store for a key. Whatever happens to the question, the cache gets its one answer.
    fn load(self: &Arc<Self>, id: AuthKeyId) {
        let answer = OnDrop::new(KeyOutcome::Unavailable, {
            let edge = Arc::clone(self);
            move |outcome| edge.handle_key(keys::Input::Loaded { id, outcome })
        });
        let edge = Arc::clone(self);
        self.spawn(async move {
            let patience = edge.config.link.key_wait_max;
            let begun = edge.clock.now().mono;
            let found = tokio::time::timeout(patience, edge.store.find(id)).await;
            let outcome = match found {
                Ok(Ok(Some(record))) => KeyOutcome::Present(record),
                Ok(Ok(None)) => KeyOutcome::Absent,
                Ok(Err(Unavailable)) | Err(_) => KeyOutcome::Unavailable,
            };
            let time = edge.clock.now().mono.since(begun);
            edge.counts.look_up_seconds.add(time);
            edge.counts.looked_up(&outcome);
            answer.set(outcome);
        });
    }

    fn handle_exchange(self: &Arc<Self>, input: exchanges::Input<'_>) {
        self.with_exchanges(|table, cx| table.handle(input, cx));
    }

    fn with_exchanges(
        self: &Arc<Self>,
        step: impl FnOnce(&mut Exchanges, &mut Cx<'_, exchanges::Effect>),
    ) {
        let mut effects = Vec::new();
        let now = self.clock.now();
        step(
            &mut self.exchanges.lock(),
            &mut Cx {
                now,
                rng: &mut random::lend(),
                out: &mut effects,
            },
        );
        for effect in effects {
            match effect {
                exchanges::Effect::Answer { link, body } => {
                    self.links.post(link, link::Input::Answer(body));
                }
                exchanges::Effect::Close { link } => {
                    self.links.post(link, link::Input::Refuse { code: None });
                }
                exchanges::Effect::Refuse { link, code } => {
                    self.links
                        .post(link, link::Input::Refuse { code: Some(code) });
                }
                exchanges::Effect::Store { ticket, record } => self.store(ticket, *record),
                exchanges::Effect::Work(job) => self.work(job),
            }
        }
    }

    /// Keeps a new key, then tells the exchange, which answers `dh_gen_ok` to that only.
    fn store(self: &Arc<Self>, ticket: Ticket, record: KeyRecord) {
        let answer = OnDrop::new(StoreOutcome::Unavailable, {
            let edge = Arc::clone(self);
            move |outcome| edge.handle_exchange(exchanges::Input::Stored { ticket, outcome })
        });
        let edge = Arc::clone(self);
        self.spawn(async move {
            let begun = edge.clock.now().mono;
            let inserted = edge.store.insert(record.clone()).await;
            let time = edge.clock.now().mono.since(begun);
            edge.counts.store_seconds.add(time);
            let outcome = match inserted {
                Ok(Inserted::Duplicate) => StoreOutcome::Duplicate,
                Ok(Inserted::Stored) => {
                    edge.handle_key(keys::Input::Made(Arc::new(record)));
                    StoreOutcome::Stored
                }
                Err(Unavailable) => StoreOutcome::Unavailable,
            };
            edge.counts.stored(outcome);
            answer.set(outcome);
        });
    }

    /// Moves heavy arithmetic to the pool. Whatever happens to it, the table hears of it.
    fn work(self: &Arc<Self>, job: Job) {
        let ticket = job.ticket();
        let edge = Arc::clone(self);
        let tell = Box::new(move |worked| {
            edge.handle_exchange(match worked {
                Some(worked) => exchanges::Input::Worked(worked),
                None => exchanges::Input::Dropped { ticket },
            });
        });
        let answer = OnDrop::new(None, tell as Tell);
        // A step that is handed back is dropped, and so answers for itself.
        if self.pool.submit(Step { job, answer }).is_err() {
            tracing::warn!("handshakes come faster than they are worked off");
        }
    }

    /// Offers other RSA keys to clients.
    pub(crate) fn set_keys(&self, keys: Keyring) {
        self.exchanges.lock().set_keys(keys);
    }

    /// Returns how many exchanges are under way or remembered.
    pub(crate) fn exchanges_len(&self) -> usize {
        self.exchanges.lock().len()
    }

    /// Returns how many steps of exchanges wait for a thread.
    pub(crate) fn steps_waiting(&self) -> usize {
        self.pool.waiting()
    }

    /// Runs a task of which the caller keeps hold.
    pub(crate) fn start(&self, task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        self.runtime.spawn(task)
    }

    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(task);
    }
}

/// No input of these makes the cache ask the store.
impl heliogram_ports::Edge for Edge {
    fn fan_out(self: Arc<Self>, links: Vec<LinkId>) {
        self.fan_out_to(&links);
    }

    fn bound(&self, facts: KeyFacts) {
        self.tell_keys(keys::Input::Bound { facts });
    }

    fn revoke(&self, key: AuthKeyId) {
        self.tell_keys(keys::Input::Revoked { id: key });
    }

    fn doubt(&self, partitions: &[Partition]) {
        let partitions = partitions.to_vec();
        self.tell_keys(keys::Input::Doubted { partitions });
    }
}

/// Bounds of the pause between two looks at what has ended.
const TEND_MIN: Duration = Duration::from_millis(10);
const TEND_MAX: Duration = Duration::from_secs(1);
