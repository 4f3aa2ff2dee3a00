//! Who gets what as nodes come, go, are cut off and are taken for dead.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use heliogram_crypto::SecretBytes;
use heliogram_ports::discovery::{Discovery, Node, View};
use heliogram_ports::memory::MemoryDiscovery;
use heliogram_ports::{BoxFuture, Owners, Push, Unavailable};
use heliogram_proto::host::{Config, Input};
use heliogram_proto::ids::{AuthKeyId, Identity, Term};
use heliogram_proto::ring::{PARTITIONS, Partition};
use heliogram_session::limits::{RETIRING_AT_ONCE_MAX, RETIRING_TIME_MAX};
use heliogram_session::{LocalPort, Steward};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::rig::{Client, LATER, NOW, PATIENCE, Scripted, reply, until};
use crate::store::Known;

#[tokio::test]
async fn a_lone_node_owns_everything_and_is_ready_then_and_not_before() {
    let discovery = MemoryDiscovery::new();
    let node = Member::idle(&discovery, "a");
    assert!(!node.steward.is_ready());

    let node = node.started();
    until(|| node.steward.is_ready()).await;

    assert_eq!(node.owned().len(), usize::from(PARTITIONS));
}

#[tokio::test]
async fn a_node_that_cannot_join_is_not_ready_until_it_can() {
    let discovery = MemoryDiscovery::new();
    let node = Member::idle(&discovery, "a");
    node.discovery.set_reachable(false);
    let node = node.started();
    tokio::task::yield_now().await;
    assert!(!node.steward.is_ready());

    node.discovery.set_reachable(true);

    until(|| node.steward.is_ready()).await;
}

#[tokio::test]
async fn a_node_that_comes_gets_its_share_under_new_terms_and_nothing_else_moves() {
    let discovery = MemoryDiscovery::new();
    let a = Member::start(&discovery, "a").await;
    let before = a.port.owned();

    let b = Member::start(&discovery, "b").await;

    until(|| a.steward.is_ready()).await;
    let (of_a, of_b) = (a.port.owned(), b.port.owned());
    assert!(!of_a.is_empty() && !of_b.is_empty());
    assert!(of_a.iter().all(|it| before.contains(it)));
    for (partition, term) in &of_b {
        let (_, old) = before.iter().find(|(it, _)| it == partition).unwrap();
        assert!(term > old, "{partition:?}");
    }
    assert_eq!(of_a.len() + of_b.len(), usize::from(PARTITIONS));
    let view = discovery.view();
    assert!(of_a.iter().all(|(it, _)| view.desired(*it) == Some("a")));
    assert!(of_b.iter().all(|(it, _)| view.desired(*it) == Some("b")));
}

#[tokio::test]
async fn a_node_that_is_gone_leaves_its_share_to_the_others() {
    let discovery = MemoryDiscovery::new();
    let a = Member::start(&discovery, "a").await;
    let b = Member::start(&discovery, "b").await;

    b.discovery.set_reachable(false);
    b.discovery.lose_lease();

    until(|| a.owned().len() == usize::from(PARTITIONS)).await;
}

#[tokio::test]
async fn a_process_of_the_same_name_takes_over_under_new_terms() {
    let discovery = MemoryDiscovery::new();
    let first = Member::start(&discovery, "a").await;
    let before = first.port.owned();
    first.discovery.set_reachable(false);
    first.task.abort();

    let second = Member::start(&discovery, "a").await;

    for ((partition, old), (same, new)) in before.iter().zip(second.port.owned()) {
        assert!(*partition == same && *old < new);
    }
}

#[tokio::test]
async fn a_node_that_drains_answers_what_runs_and_leaves_everything_to_the_others() {
    let discovery = MemoryDiscovery::new();
    let a = Member::start(&discovery, "a").await;
    let mut client = a.client(1, 1);
    let call = client.call(&a.port, LATER);
    let b = Member::idle(&discovery, "b").started();
    until(|| !b.owned().is_empty()).await;

    let ((), ()) = tokio::join!(a.drain(), async {
        until(|| discovery.view().nodes.len() == 1).await;
        a.backend.gate.add_permits(1);
    });

    assert!(a.owned().is_empty() && !a.steward.is_ready());
    let drained = client.drain(&a.port);
    assert_eq!(drained.results(), [(call, reply(LATER))]);
    assert!(drained.is_closed);
    until(|| b.owned().len() == usize::from(PARTITIONS)).await;
    until(|| b.steward.is_ready()).await;
    until(|| a.task.is_finished()).await;
}

#[tokio::test]
async fn the_last_node_drains_too_and_so_does_one_that_has_never_joined() {
    let discovery = MemoryDiscovery::new();
    let a = Member::start(&discovery, "a").await;
    a.drain().await;
    a.drain().await;
    assert!(a.owned().is_empty());
    assert!(discovery.view().owners.iter().all(Option::is_none));

    let b = Member::idle(&discovery, "b");
    b.discovery.set_reachable(false);
    let b = b.started();
    b.drain().await;
    assert!(b.owned().is_empty());
}

#[tokio::test]
async fn a_node_that_drains_lets_go_of_so_many_partitions_at_once_and_no_more() {
    let discovery = MemoryDiscovery::new();
    let a = Member::start(&discovery, "a").await;
    let first = i64::try_from(RETIRING_AT_ONCE_MAX).unwrap();
    let mut clients: Vec<_> = (0..=first).map(|id| a.client(id, id)).collect();
    for client in &mut clients {
        client.call(&a.port, LATER);
        client.drain(&a.port);
    }

    let ((), ()) = tokio::join!(a.drain(), async {
        until(|| discovery.view().nodes.is_empty()).await;
        // The steward's turn, and those of what it has started.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let calls = a.backend.count();
        for client in &mut clients {
            client.call(&a.port, NOW);
        }
        assert_eq!(a.backend.count() - calls, 1, "the last of them still runs");
        a.backend.gate.add_permits(clients.len());
    });

    assert!(a.owned().is_empty());
}

#[tokio::test]
async fn a_call_that_runs_for_too_long_does_not_keep_its_partition() {
    let discovery = MemoryDiscovery::new();
    let a = Member::start(&discovery, "a").await;
    let mut client = a.client(1, 1);
    client.call(&a.port, LATER);
    let before = tokio::time::Instant::now();

    a.drain().await;

    assert!(before.elapsed() >= RETIRING_TIME_MAX);
    assert!(client.drain(&a.port).is_closed);
}

#[tokio::test]
async fn a_node_whose_steward_is_gone_is_not_ready_and_nobody_waits_for_it_to_drain() {
    let discovery = MemoryDiscovery::new();
    let a = Member::start(&discovery, "a").await;

    a.task.abort();

    until(|| !a.steward.is_ready()).await;
    a.drain().await;
    assert_eq!(a.owned().len(), usize::from(PARTITIONS));
}

#[tokio::test]
async fn a_node_that_was_taken_for_dead_drops_what_it_had_and_begins_anew() {
    let discovery = MemoryDiscovery::new();
    let a = Member::start(&discovery, "a").await;
    let before = a.port.owned();
    let mut client = a.client(1, 1);
    client.call(&a.port, NOW);
    client.drain(&a.port);

    a.discovery.lose_lease();

    client.until_woken().await;
    assert!(client.drain(&a.port).is_closed);
    until(|| a.steward.is_ready()).await;
    for ((partition, old), (same, new)) in before.iter().zip(a.port.owned()) {
        assert!(*partition == same && *old < new);
    }
}

#[tokio::test]
async fn a_node_that_is_cut_off_goes_on_with_what_it_has() {
    let discovery = MemoryDiscovery::new();
    let a = Member::start(&discovery, "a").await;
    let before = a.port.owned();
    a.discovery.set_reachable(false);

    let b = Member::idle(&discovery, "b").started();
    until(|| discovery.view().nodes.len() == 2).await;
    let mut client = a.client(1, 1);
    let call = client.call(&a.port, NOW);

    assert_eq!(client.drain(&a.port).results(), [(call, reply(NOW))]);
    assert_eq!(a.port.owned(), before);
    assert!(a.steward.is_ready() && !b.steward.is_ready());
    a.discovery.set_reachable(true);
    until(|| b.steward.is_ready()).await;
}

#[tokio::test]
async fn a_claim_whose_answer_was_lost_is_claimed_again_and_its_term_is_never_served() {
    let discovery = MemoryDiscovery::new();
    let node = Member::idle(&discovery, "a");
    node.discovery.lose_next_answer();

    let node = node.started();
    until(|| node.steward.is_ready()).await;

    let owned = node.port.owned();
    let view = node.discovery.view();
    assert_eq!(owned.len(), usize::from(PARTITIONS));
    assert!(
        owned
            .iter()
            .all(|(partition, term)| { view.owner(*partition).is_some_and(|it| it.term == *term) })
    );
}

#[tokio::test]
async fn a_partition_whose_release_failed_is_released_when_that_can_be_said() {
    let discovery = MemoryDiscovery::new();
    let a = Member::start(&discovery, "a").await;
    // Of every partition some call runs: those that go to another node wait for theirs.
    let ids = 0..i64::from(PARTITIONS);
    let mut clients: Vec<_> = ids.clone().map(|id| a.client(id, id)).collect();
    for client in &mut clients {
        client.call(&a.port, LATER);
    }
    let b = Member::idle(&discovery, "b").started();
    until(|| discovery.view().nodes.len() == 2).await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }

    a.discovery.set_reachable(false);
    a.backend.gate.add_permits(clients.len());
    until(|| a.owned().len() < usize::from(PARTITIONS)).await;
    assert!(b.owned().is_empty(), "they are not free");
    a.discovery.set_reachable(true);

    until(|| b.steward.is_ready() && a.steward.is_ready()).await;
}

#[tokio::test]
async fn a_claim_that_panics_is_made_again() {
    let discovery = Arc::new(Odd::default());
    discovery.is_to_panic.store(true, Ordering::Release);
    let held = Arc::<Odd>::clone(&discovery);
    let node = Member::by(Arc::new(discovery.inner.another()), held, "a").started();

    until(|| node.steward.is_ready()).await;

    assert!(!discovery.is_to_panic.load(Ordering::Acquire));
}

#[tokio::test]
async fn a_view_of_before_a_term_does_not_take_its_partition_away() {
    let discovery = Arc::new(Odd::default());
    let (name, address) = ("a".into(), "127.0.0.1:1".into());
    assert_eq!(discovery.join(Node { name, address }).await, Ok(()));
    *discovery.stopped_at.lock().unwrap() = Some(discovery.inner.view());
    let held = Arc::<Odd>::clone(&discovery);
    let node = Member::by(Arc::new(discovery.inner.another()), held, "a").started();

    until(|| node.steward.is_ready()).await;
    let owned = node.port.owned();
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }

    assert_eq!(owned.len(), usize::from(PARTITIONS));
    assert_eq!(node.port.owned(), owned);
}

/// An election with a bug, or with a view that stands still.
#[derive(Default)]
struct Odd {
    inner: MemoryDiscovery,
    is_to_panic: AtomicBool,
    stopped_at: Mutex<Option<Arc<View>>>,
}

impl Discovery for Odd {
    fn view(&self) -> Arc<View> {
        let stopped_at = self.stopped_at.lock().unwrap().clone();
        stopped_at.unwrap_or_else(|| self.inner.view())
    }

    fn newer(&self, revision: u64) -> BoxFuture<'_, Arc<View>> {
        if self.stopped_at.lock().unwrap().is_some() {
            return Box::pin(std::future::pending());
        }
        self.inner.newer(revision)
    }

    fn join(&self, node: Node) -> BoxFuture<'_, Result<(), Unavailable>> {
        self.inner.join(node)
    }

    fn claim(&self, partition: Partition) -> BoxFuture<'_, Result<Option<Term>, Unavailable>> {
        let is_to_panic = self.is_to_panic.swap(false, Ordering::AcqRel);
        assert!(!is_to_panic, "as the test wants it");
        self.inner.claim(partition)
    }

    fn release(&self, partition: Partition, term: Term) -> BoxFuture<'_, Result<(), Unavailable>> {
        self.inner.release(partition, term)
    }

    fn leave(&self) -> BoxFuture<'_, Result<(), Unavailable>> {
        self.inner.leave()
    }
}

/// A node with its steward.
struct Member<T = JoinHandle<()>> {
    port: LocalPort,
    steward: Arc<Steward>,
    discovery: Arc<MemoryDiscovery>,
    backend: Arc<Scripted>,
    task: T,
}

impl Member<()> {
    fn idle(cluster: &MemoryDiscovery, name: &str) -> Self {
        let discovery = Arc::new(cluster.another());
        let held = Arc::<MemoryDiscovery>::clone(&discovery);
        Self::by(discovery, held, name)
    }

    /// Makes a node whose steward asks `asked`.
    fn by(discovery: Arc<MemoryDiscovery>, asked: Arc<dyn Discovery>, name: &str) -> Self {
        let backend = Arc::<Scripted>::default();
        let config = Config::new(Term(0), SecretBytes::new([1; 32]));
        let keys = Arc::<Known>::default();
        let held = Arc::<Scripted>::clone(&backend);
        let port = LocalPort::of_cluster(&config, keys, held, Arc::new(NoWay), Handle::current());
        let node = Node {
            name: name.into(),
            address: "127.0.0.1:1".into(),
        };
        Self {
            steward: Arc::new(Steward::new(port.clone(), asked, node)),
            port,
            discovery,
            backend,
            task: (),
        }
    }

    fn started(self) -> Member {
        let Self {
            port,
            steward,
            discovery,
            backend,
            task: (),
        } = self;
        let running = Arc::clone(&steward);
        Member {
            port,
            steward,
            discovery,
            backend,
            task: tokio::spawn(async move { running.run().await }),
        }
    }
}

impl Member {
    /// Starts a node, and waits until it has its share.
    async fn start(cluster: &MemoryDiscovery, name: &str) -> Self {
        let node = Member::idle(cluster, name).started();
        until(|| node.steward.is_ready()).await;
        node
    }

    /// Has it drain. Who waits for ever hears what for.
    async fn drain(&self) {
        let drained = tokio::time::timeout(PATIENCE, self.steward.drain()).await;
        let is_over = self.task.is_finished();
        assert!(
            drained.is_ok(),
            "{:?}, over: {is_over}, has {:?}",
            self.steward,
            self.owned()
        );
    }
}

impl<T> Member<T> {
    fn owned(&self) -> Vec<Partition> {
        let owned = self.port.owned();
        owned.into_iter().map(|(partition, _)| partition).collect()
    }

    /// Connects a client whose key has this id, under the term that the node has now.
    fn client(&self, link: i64, id: i64) -> Client {
        let partition = Partition::of(Identity(AuthKeyId(id)));
        let term = self.port.term_of(partition).unwrap();
        let nodes = std::slice::from_ref(&self.port);
        Client::connect_to(nodes, link.cast_unsigned(), id, term)
    }
}

/// No other node can be reached.
struct NoWay;

impl Owners for NoWay {
    fn send(&self, _: Identity, input: Input) -> Result<(), Box<Input>> {
        Err(Box::new(input))
    }

    fn push(&self, _: Push) {}
}
