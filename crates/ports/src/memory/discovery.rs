//! A cluster within one process.

use std::collections::BTreeMap;
use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use heliogram_proto::ids::Term;
use heliogram_proto::ring::Partition;

use crate::discovery::{Discovery, Node, Owner, View};
use crate::{BoxFuture, Unavailable};

/// One process of a cluster that exists in memory only. The others are made of it by [`another`](Self::another).
///
/// What happens to a cluster can happen to it: a process is cut off, loses its lease, or loses an answer.
pub struct MemoryDiscovery {
    truth: Arc<Mutex<Truth>>,
    /// Its place in [`Truth::processes`].
    at: usize,
}

impl MemoryDiscovery {
    /// Makes the first process of a cluster that has no nodes.
    #[must_use]
    pub fn new() -> Self {
        let truth = Arc::new(Mutex::new(Truth::default()));
        Self::process_of(truth)
    }

    /// Makes another process of the same cluster.
    #[must_use]
    pub fn another(&self) -> Self {
        Self::process_of(Arc::clone(&self.truth))
    }

    /// Cuts the process off, or connects it again. One that is cut off keeps its last view, and can change nothing. What it
    /// has stays its own: others wait for the end of its lease.
    pub fn set_reachable(&self, is_reachable: bool) {
        self.change(|truth, at| truth.process(at).is_cut_off = !is_reachable);
    }

    /// Ends the lease of the process, as after a pause that was too long: nothing that it had is its own. If it can be
    /// reached it comes back as a node at once, as long as nobody has taken its name. For a process that was killed cut it off first.
    pub fn lose_lease(&self) {
        self.change(|truth, at| truth.expel(at));
    }

    /// Lets the next claim be carried out, and its answer be lost.
    pub fn lose_next_answer(&self) {
        self.change(|truth, at| truth.process(at).loses_answer = true);
    }

    fn process_of(truth: Arc<Mutex<Truth>>) -> Self {
        let mut inner = lock(&truth);
        let at = inner.processes.len();
        let view = Arc::new(inner.view());
        inner.processes.push(Process {
            view,
            ..Process::default()
        });
        drop(inner);
        Self { truth, at }
    }

    /// Changes the truth, and tells all who can be reached.
    fn change<T>(&self, change: impl FnOnce(&mut Truth, usize) -> T) -> T {
        let mut truth = lock(&self.truth);
        let result = change(&mut truth, self.at);
        truth.settle();
        let waiting = std::mem::take(&mut truth.waiting);
        drop(truth);
        waiting.into_iter().for_each(Waker::wake);
        result
    }

    /// Changes the truth if it can be reached.
    fn ask<T>(&self, change: impl FnOnce(&mut Truth, usize) -> T) -> Result<T, Unavailable> {
        self.change(|truth, at| {
            if truth.process(at).is_cut_off {
                return Err(Unavailable);
            }
            Ok(change(truth, at))
        })
    }
}

impl Discovery for MemoryDiscovery {
    fn view(&self) -> Arc<View> {
        Arc::clone(&lock(&self.truth).process(self.at).view)
    }

    fn newer(&self, revision: u64) -> BoxFuture<'_, Arc<View>> {
        Box::pin(poll_fn(move |cx| {
            let mut truth = lock(&self.truth);
            let view = Arc::clone(&truth.process(self.at).view);
            if view.revision > revision {
                return Poll::Ready(view);
            }
            if !truth.waiting.iter().any(|it| it.will_wake(cx.waker())) {
                truth.waiting.push(cx.waker().clone());
            }
            Poll::Pending
        }))
    }

    fn join(&self, node: Node) -> BoxFuture<'_, Result<(), Unavailable>> {
        Box::pin(async move { self.ask(|truth, at| truth.join(at, node)) })
    }

    fn claim(&self, partition: Partition) -> BoxFuture<'_, Result<Option<Term>, Unavailable>> {
        Box::pin(async move {
            self.ask(|truth, at| {
                let term = truth.claim(at, partition);
                let process = truth.process(at);
                if std::mem::take(&mut process.loses_answer) {
                    return Err(Unavailable);
                }
                // Told of once.
                let is_news = term.is_some() && process.told.insert(partition, term) != Some(term);
                Ok(term.filter(|_| is_news))
            })?
        })
    }

    fn release(&self, partition: Partition, term: Term) -> BoxFuture<'_, Result<(), Unavailable>> {
        Box::pin(async move {
            self.ask(|truth, at| {
                let is_it =
                    |(owner, process): &(Owner, usize)| owner.term == term && *process == at;
                if truth.owners.get(&partition).is_some_and(is_it) {
                    truth.owners.remove(&partition);
                    truth.revision += 1;
                }
            })
        })
    }

    fn leave(&self) -> BoxFuture<'_, Result<(), Unavailable>> {
        Box::pin(async move {
            self.ask(|truth, at| {
                truth.process(at).node = None;
                let nodes = truth.nodes.len();
                truth.nodes.retain(|_, (_, process)| *process != at);
                truth.revision += u64::from(truth.nodes.len() < nodes);
            })
        })
    }
}

impl Default for MemoryDiscovery {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryDiscovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryDiscovery")
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

fn lock(truth: &Mutex<Truth>) -> MutexGuard<'_, Truth> {
    // No change can panic half way: one elsewhere has left nothing half done.
    truth.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the election knows, and what each process does.
#[derive(Default)]
struct Truth {
    revision: u64,
    /// By name; with the process that each is.
    nodes: BTreeMap<Arc<str>, (Node, usize)>,
    owners: BTreeMap<Partition, (Owner, usize)>,
    processes: Vec<Process>,
    waiting: Vec<Waker>,
    nobody: Process,
}

#[derive(Default)]
struct Process {
    view: Arc<View>,
    is_cut_off: bool,
    loses_answer: bool,
    /// What it wants to be known as.
    node: Option<Node>,
    /// The last term of each partition of which its owner was told.
    told: BTreeMap<Partition, Option<Term>>,
}

impl Truth {
    fn process(&mut self, at: usize) -> &mut Process {
        self.processes.get_mut(at).unwrap_or(&mut self.nobody)
    }

    fn join(&mut self, at: usize, node: Node) {
        if let Some((_, predecessor)) = self.nodes.get(&node.name) {
            self.expel(*predecessor);
        }
        // A predecessor that is leaving has no name there, but may own something yet.
        let is_of_name = |(owner, _): &(Owner, usize)| owner.node == node.name;
        self.owners.retain(|_, owner| !is_of_name(owner));
        self.process(at).node = Some(node.clone());
        // At once: the predecessor would come back, too.
        self.nodes.insert(Arc::clone(&node.name), (node, at));
        self.revision += 1;
    }

    /// Takes away what a process has.
    fn expel(&mut self, at: usize) {
        self.nodes.retain(|_, (_, process)| *process != at);
        self.owners.retain(|_, (_, process)| *process != at);
        self.revision += 1;
    }

    fn claim(&mut self, at: usize, partition: Partition) -> Option<Term> {
        let mut nodes = self.nodes.values();
        let (node, _) = nodes.find(|(_, process)| *process == at)?;
        if let Some((owner, process)) = self.owners.get(&partition) {
            return (*process == at).then_some(owner.term);
        }
        self.revision += 1;
        let owner = Owner {
            node: Arc::clone(&node.name),
            address: Arc::clone(&node.address),
            term: Term(self.revision),
        };
        let term = owner.term;
        self.owners.insert(partition, (owner, at));
        Some(term)
    }

    /// Lets processes come back as nodes, and gives those that can be reached the view of now.
    fn settle(&mut self) {
        for (at, process) in self.processes.iter().enumerate() {
            let Some(node) = process.node.as_ref().filter(|_| !process.is_cut_off) else {
                continue;
            };
            if !self.nodes.contains_key(&node.name) {
                let name = Arc::clone(&node.name);
                self.nodes.insert(name, (node.clone(), at));
                self.revision += 1;
            }
        }
        let view = Arc::new(self.view());
        for process in &mut self.processes {
            if !process.is_cut_off {
                process.view = Arc::clone(&view);
            }
        }
    }

    fn view(&self) -> View {
        let owner = |partition| Some(self.owners.get(&partition)?.0.clone());
        View {
            revision: self.revision,
            nodes: self.nodes.values().map(|(node, _)| node.clone()).collect(),
            owners: Partition::all().map(owner).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_process_that_is_cut_off_keeps_its_view_and_what_it_has_and_can_change_nothing() {
        let (a, b) = two().await;
        let term = a.claim(partition(1)).await.unwrap().unwrap();
        a.set_reachable(false);
        let before = a.view();
        b.claim(partition(2)).await.unwrap().unwrap();
        assert_eq!(a.view(), before);
        assert_eq!(a.claim(partition(3)).await, Err(Unavailable));
        assert_eq!(a.release(partition(1), term).await, Err(Unavailable));
        assert_eq!(b.claim(partition(1)).await, Ok(None));

        a.set_reachable(true);
        assert_eq!(a.view(), b.view());
        assert_eq!(a.view().owner(partition(1)).unwrap().term, term);
    }

    #[tokio::test]
    async fn who_has_lost_its_lease_has_nothing_and_comes_back_as_a_node() {
        let (a, b) = two().await;
        let term = a.claim(partition(1)).await.unwrap().unwrap();
        a.lose_lease();
        assert_eq!(a.view().owner(partition(1)), None);
        assert!(a.view().revision >= term.0);
        assert_eq!(a.view().nodes.len(), 2);
        let later = b.claim(partition(1)).await.unwrap().unwrap();
        assert!(later > term);
    }

    #[tokio::test]
    async fn who_was_killed_is_gone_once_its_lease_ends() {
        let (a, b) = two().await;
        a.set_reachable(false);
        assert_eq!(b.view().nodes.len(), 2);
        a.lose_lease();
        assert_eq!(b.view().nodes.len(), 1);
        assert_eq!(a.view().nodes.len(), 2);
    }

    #[tokio::test]
    async fn who_has_lost_the_answer_to_a_claim_is_told_of_its_term_once() {
        let (a, _) = two().await;
        a.lose_next_answer();
        assert_eq!(a.claim(partition(1)).await, Err(Unavailable));
        let owned = a.view().owner(partition(1)).unwrap().term;
        assert_eq!(a.claim(partition(1)).await, Ok(Some(owned)));
        assert_eq!(a.claim(partition(1)).await, Ok(None));
    }

    async fn two() -> (MemoryDiscovery, MemoryDiscovery) {
        let a = MemoryDiscovery::new();
        let b = a.another();
        a.join(node("a")).await.unwrap();
        b.join(node("b")).await.unwrap();
        (a, b)
    }

    fn node(name: &str) -> Node {
        Node {
            name: name.into(),
            address: "127.0.0.1:1".into(),
        }
    }

    fn partition(number: u8) -> Partition {
        Partition::new(number).unwrap()
    }
}
