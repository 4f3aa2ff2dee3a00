//! Who decides what a session node owns: claims its share, gives up what is another's, drops what it has lost.
//!
//! ```text
//!             nobody's, and to be mine: claim                  not in the view any more: drop at once
//!  not mine ───────────────────────────────────> mine ──────────────────────────────────────────────> not mine
//!     ^                                            │ to be another's: retire
//!     └──────────────── release <──────────────────┘
//! ```
//!
//! It acts upon the view, which is late: a view of before a term says nothing about that term. What can't be reached changes
//! no view, so a cluster without its election goes on as it is.
//!
//! Decided in `docs/adr/0028-owners-and-take-over.md`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use heliogram_ports::Unavailable;
use heliogram_ports::discovery::{Discovery, Node, View};
use heliogram_ports::metrics::{Count, Measured, Meter, Metric};
use heliogram_proto::ids::Term;
use heliogram_proto::ring::Partition;
use tokio::sync::watch;
use tokio::task::{Id, JoinSet};
use tokio::time::Instant;

use crate::LocalPort;
use crate::limits::{LEAVING_TIME_MAX, RETIRING_AT_ONCE_MAX, RETIRING_TIME_MAX, RETRY_PAUSE};

/// Drives what one session node owns.
pub struct Steward {
    port: LocalPort,
    discovery: Arc<dyn Discovery>,
    node: Node,
    phase: watch::Sender<Phase>,
    changes: Changes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Takes its share.
    Serving,
    /// Takes nothing any more, and lets go of what it has.
    Draining,
    /// Has nothing any more, or nobody who would let go of it.
    Over,
}

impl Steward {
    /// Makes the steward of a port, which nobody else gives partitions to; the node is known by `node`.
    #[must_use]
    pub fn new(port: LocalPort, discovery: Arc<dyn Discovery>, node: Node) -> Self {
        Self {
            port,
            discovery,
            node,
            phase: watch::Sender::new(Phase::Serving),
            changes: Changes::default(),
        }
    }

    /// Joins the cluster, and takes its share for as long as it is polled: until it has drained. A node whose steward is dropped
    /// before, or panics, is as good as crashed: its partitions are in no one's care, and it is not ready any more.
    pub async fn run(&self) {
        let _over = Over(&self.phase);
        tokio::select! {
            () = self.join() => self.serve().await,
            () = self.until(|phase| phase != Phase::Serving) => {}
        }
    }

    /// Has the node leave: it is given nothing any more, answers what runs, and lets go of its partitions, some at a time.
    /// Returns when it has none; at once if it has never joined, or if [`run`](Self::run) has ended. That must be polled meanwhile,
    /// and ends then.
    ///
    /// It takes [`RETIRING_TIME_MAX`] per [`RETIRING_AT_ONCE_MAX`] partitions at most, if the election answers.
    pub async fn drain(&self) {
        let left = tokio::time::timeout(LEAVING_TIME_MAX, self.discovery.leave());
        if !matches!(left.await, Ok(Ok(()))) {
            tracing::warn!("nobody can be told that this node leaves");
        }
        self.phase.send_if_modified(|phase| {
            let is_news = *phase == Phase::Serving;
            if is_news {
                *phase = Phase::Draining;
            }
            is_news
        });
        self.until(|phase| phase == Phase::Over).await;
    }

    /// Tells whether the node is known, and owns all that is to be its own.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let view = self.discovery.view();
        let is_known = view.nodes.iter().any(|it| it.name == self.node.name);
        let mut share = Partition::all().filter(|&it| self.is_to_be_mine(&view, it));
        is_known && !self.is_draining() && share.all(|it| self.port.term_of(it).is_some())
    }

    async fn until(&self, is_so: impl Fn(Phase) -> bool) {
        let mut phase = self.phase.subscribe();
        // The sender is here: it can't be gone.
        let _ = phase.wait_for(|phase| is_so(*phase)).await;
    }

    async fn join(&self) {
        while let Err(Unavailable) = self.discovery.join(self.node.clone()).await {
            tracing::warn!("the cluster can't be joined now");
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    async fn serve(&self) {
        let (mut work, mut phase) = (Work::default(), self.phase.subscribe());
        loop {
            let view = self.discovery.view();
            self.act(&view, &mut work);
            if self.is_draining() && work.tasks.is_empty() {
                return;
            }
            let is_paused = !work.paused.is_empty();
            let again_at = work.again_at;
            tokio::select! {
                _ = self.discovery.newer(view.revision) => work.paused.clear(),
                Some(done) = work.next() => self.on_done(done, &mut work),
                () = sleep_until(again_at), if is_paused => work.paused.clear(),
                _ = phase.changed() => {}
            }
        }
    }

    /// Does what a view asks for, as far as it is not being done.
    fn act(&self, view: &View, work: &mut Work) {
        let mut lost = 0;
        for partition in Partition::all() {
            let owner = view.owner(partition);
            let seen = owner.filter(|it| it.node == self.node.name);
            let seen = seen.map(|it| it.term);
            let mut mine = self.port.term_of(partition);
            if let Some(term) = mine
                && view.revision >= term.0
                && seen != Some(term)
            {
                self.port.disown(partition);
                lost += 1;
                mine = None;
            }
            if work.is_busy(partition) {
                continue;
            }
            let is_to_be_mine = self.is_to_be_mine(view, partition);
            match (mine, seen) {
                (Some(term), _) => {
                    if self.is_to_go(view, partition) {
                        self.give_up(partition, term, work);
                    }
                }
                // A claim whose answer was lost, or a release: never served under, and never will be.
                (None, Some(term)) => self.release(partition, term, work),
                (None, None) if owner.is_none() && is_to_be_mine => self.claim(partition, work),
                (None, None) => {}
            }
        }
        if lost > 0 {
            tracing::warn!(lost, "partitions are lost: this node was taken for dead");
            self.changes.lost.add(lost);
        }
    }

    fn is_draining(&self) -> bool {
        *self.phase.borrow() != Phase::Serving
    }

    fn is_to_be_mine(&self, view: &View, partition: Partition) -> bool {
        !self.is_draining() && view.desired(partition) == Some(&*self.node.name)
    }

    /// A view without nodes gives nothing to anybody.
    fn is_to_go(&self, view: &View, partition: Partition) -> bool {
        let desired = view.desired(partition);
        self.is_draining() || desired.is_some_and(|name| name != &*self.node.name)
    }

    fn claim(&self, partition: Partition, work: &mut Work) {
        let discovery = Arc::clone(&self.discovery);
        work.begin(partition, false, async move {
            Done::Claimed(discovery.claim(partition).await)
        });
    }

    fn give_up(&self, partition: Partition, term: Term, work: &mut Work) {
        if work.retiring() >= RETIRING_AT_ONCE_MAX {
            return;
        }
        let (port, discovery) = (self.port.clone(), Arc::clone(&self.discovery));
        work.begin(partition, true, async move {
            let is_whole = port.retire(partition, RETIRING_TIME_MAX).await;
            let released = discovery.release(partition, term).await;
            Done::Retired(term, is_whole, released)
        });
    }

    fn release(&self, partition: Partition, term: Term, work: &mut Work) {
        if work.released.get(&partition) == Some(&term) {
            return;
        }
        let discovery = Arc::clone(&self.discovery);
        work.begin(partition, false, async move {
            Done::Released(term, discovery.release(partition, term).await)
        });
    }

    fn on_done(&self, (partition, done): (Partition, Option<Done>), work: &mut Work) {
        match done {
            Some(Done::Claimed(Ok(Some(term)))) => {
                if self.port.own(partition, term) {
                    self.changes.claimed.add_one();
                } else {
                    tracing::error!("a term was given twice");
                }
            }
            // The view is late, or the election can't be reached.
            Some(Done::Claimed(Ok(None) | Err(Unavailable))) => work.pause(partition),
            Some(Done::Retired(term, is_whole, released)) => {
                self.changes.given_up.add_one();
                self.changes.cut_short.add(u64::from(!is_whole));
                work.end_release(partition, term, released);
            }
            Some(Done::Released(term, released)) => work.end_release(partition, term, released),
            None => {
                tracing::error!("a change of ownership has panicked");
                work.pause(partition);
            }
        }
    }
}

impl std::fmt::Debug for Steward {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Steward")
            .field("node", &self.node.name)
            .field("phase", &*self.phase.borrow())
            .finish_non_exhaustive()
    }
}

impl Measured for Steward {
    fn measure(&self, meter: &mut dyn Meter) {
        let owned = self.port.owned().len();
        meter.level(OWNED, u64::try_from(owned).unwrap_or(u64::MAX));
        let Changes {
            claimed,
            given_up,
            cut_short,
            lost,
        } = &self.changes;
        let changes = [
            ("claimed", claimed.load()),
            ("given_up", given_up.load()),
            ("lost", lost.load()),
        ];
        meter.counts(CHANGES, "change", &changes);
        meter.count(CUT_SHORT, cut_short.load());
    }
}

/// Tells those who wait for the end of [`Steward::run`], however it comes.
struct Over<'a>(&'a watch::Sender<Phase>);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.send_replace(Phase::Over);
    }
}

/// What is being done.
#[derive(Default)]
struct Work {
    tasks: JoinSet<Done>,
    /// What each task is about, and whether it lets a partition retire.
    running: HashMap<Id, (Partition, bool)>,
    /// What has failed: tried again with the next view, or at `again_at`.
    paused: BTreeSet<Partition>,
    again_at: Option<Instant>,
    /// What a view may still say to be this node's.
    released: BTreeMap<Partition, Term>,
}

impl Work {
    fn is_busy(&self, partition: Partition) -> bool {
        let mut running = self.running.values();
        self.paused.contains(&partition) || running.any(|&(it, _)| it == partition)
    }

    fn retiring(&self) -> usize {
        let running = self.running.values();
        running.filter(|(_, retires)| *retires).count()
    }

    fn begin(
        &mut self,
        partition: Partition,
        retires: bool,
        task: impl Future<Output = Done> + Send + 'static,
    ) {
        let task = self.tasks.spawn(task);
        self.running.insert(task.id(), (partition, retires));
    }

    /// Waits for the end of a task; `None` if there are none. One that has panicked has done nothing.
    async fn next(&mut self) -> Option<(Partition, Option<Done>)> {
        let (id, done) = match self.tasks.join_next_with_id().await? {
            Ok((id, done)) => (id, Some(done)),
            Err(panicked) => (panicked.id(), None),
        };
        let (partition, _) = self.running.remove(&id)?;
        Some((partition, done))
    }

    fn end_release(&mut self, partition: Partition, term: Term, released: Result<(), Unavailable>) {
        match released {
            Ok(()) => drop(self.released.insert(partition, term)),
            Err(Unavailable) => self.pause(partition),
        }
    }

    /// Leaves a partition alone for a while.
    fn pause(&mut self, partition: Partition) {
        self.paused.insert(partition);
        self.again_at = Some(Instant::now() + RETRY_PAUSE);
    }
}

/// What a task has done.
enum Done {
    Claimed(Result<Option<Term>, Unavailable>),
    /// With whether all calls were answered.
    Retired(Term, bool, Result<(), Unavailable>),
    Released(Term, Result<(), Unavailable>),
}

async fn sleep_until(at: Option<Instant>) {
    if let Some(at) = at {
        tokio::time::sleep_until(at).await;
    }
}

/// What has become of partitions.
#[derive(Debug, Default)]
struct Changes {
    claimed: Count,
    given_up: Count,
    /// Of those given up: with calls that were not answered in time.
    cut_short: Count,
    lost: Count,
}

const OWNED: Metric = Metric {
    name: "session_partitions",
    help: "Partitions that the node owns",
};
const CHANGES: Metric = Metric {
    name: "session_partition_changes",
    help: "Partitions that the node has claimed, given up, or lost because it was taken for dead",
};
const CUT_SHORT: Metric = Metric {
    name: "session_partitions_cut_short",
    help: "Partitions that were given up before all of their calls were answered",
};
