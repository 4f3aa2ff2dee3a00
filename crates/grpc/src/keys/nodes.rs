//! Keys that any session node of a cluster can be asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use heliogram_ports::discovery::{Discovery, View};
use heliogram_ports::{AuthKeys, Binding, Bound, BoxFuture, Inserted, KeyRecord, Unavailable};
use heliogram_proto::ids::AuthKeyId;
use heliogram_proto::ring::PARTITIONS;
use parking_lot::Mutex;
use tokio::time::{Instant, timeout, timeout_at};

use super::remote::RemoteKeys;
use crate::limits::{KEYS_ATTEMPT_MAX, KEYS_PATIENCE, NODE_AVOIDED};
use crate::net::{Address, Role, Tls, dial};
use crate::retry::Pause;

/// The keys of a cluster, for a gateway. Every session node knows all of them: one that does not answer is passed over, until
/// [`KEYS_PATIENCE`] is over.
pub struct NodesKeys {
    discovery: Arc<dyn Discovery>,
    tls: Option<Tls>,
    nodes: Mutex<BTreeMap<Arc<str>, Node>>,
}

struct Node {
    keys: RemoteKeys,
    /// Until then it is asked last: it has failed.
    avoided_until: Option<Instant>,
}

impl NodesKeys {
    /// Asks the session nodes that `discovery` knows: without certificates those of this machine only.
    #[must_use]
    pub fn new(discovery: Arc<dyn Discovery>, tls: Option<Tls>) -> Self {
        Self {
            discovery,
            tls,
            nodes: Mutex::default(),
        }
    }

    /// Returns the nodes in the order in which they are to be asked for a key: not always the same first.
    fn candidates(&self, id: AuthKeyId) -> Vec<(Arc<str>, RemoteKeys)> {
        let view = self.discovery.view();
        let addresses = addresses(&view);
        let mut nodes = self.nodes.lock();
        nodes.retain(|address, _| addresses.contains(address));
        for address in &addresses {
            if !nodes.contains_key(address)
                && let Ok(to) = address.parse::<Address>()
            {
                let channel = dial(to, Role::Session, self.tls.clone());
                let node = Node {
                    keys: RemoteKeys::new(channel),
                    avoided_until: None,
                };
                nodes.insert(Arc::clone(address), node);
            }
        }
        let now = Instant::now();
        let count = u64::try_from(nodes.len()).unwrap_or(1).max(1);
        let first =
            usize::try_from(id.0.cast_unsigned() / u64::from(PARTITIONS) % count).unwrap_or(0);
        let turned = nodes.iter().cycle().skip(first).take(nodes.len());
        let (last, mut asked): (Vec<_>, Vec<_>) =
            turned.partition(|(_, node)| node.avoided_until.is_some_and(|until| until > now));
        asked.extend(last);
        let named = asked.into_iter();
        named
            .map(|(address, node)| (Arc::clone(address), node.keys.clone()))
            .collect()
    }

    fn note(&self, address: &Arc<str>, has_failed: bool) {
        if let Some(node) = self.nodes.lock().get_mut(address) {
            node.avoided_until = has_failed.then(|| Instant::now() + NODE_AVOIDED);
        }
    }

    /// Asks one node after another, until one can say. Returns, too, whether it was the first.
    async fn ask<T, F>(
        &self,
        id: AuthKeyId,
        question: impl Fn(RemoteKeys) -> F,
    ) -> Result<(T, bool), Unavailable>
    where
        F: Future<Output = Result<T, Unavailable>>,
    {
        let end = Instant::now() + KEYS_PATIENCE;
        let (mut pause, mut is_first) = (Pause::default(), true);
        let asked = async {
            loop {
                for (address, keys) in self.candidates(id) {
                    let answer = timeout(KEYS_ATTEMPT_MAX, question(keys)).await;
                    let answer = answer.unwrap_or(Err(Unavailable));
                    self.note(&address, answer.is_err());
                    if let Ok(answer) = answer {
                        return (answer, is_first);
                    }
                    is_first = false;
                }
                pause.wait().await;
            }
        };
        timeout_at(end, asked).await.map_err(|_| Unavailable)
    }
}

/// Returns where the nodes are: those that are leaving, too, while they own something.
fn addresses(view: &View) -> BTreeSet<Arc<str>> {
    let nodes = view.nodes.iter().map(|node| &node.address);
    let owners = view.owners.iter().flatten().map(|owner| &owner.address);
    nodes.chain(owners).cloned().collect()
}

impl std::fmt::Debug for NodesKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NodesKeys").finish_non_exhaustive()
    }
}

impl AuthKeys for NodesKeys {
    fn find(&self, id: AuthKeyId) -> BoxFuture<'_, Result<Option<Arc<KeyRecord>>, Unavailable>> {
        let found = self.ask(id, move |keys| async move { keys.find(id).await });
        Box::pin(async { Ok(found.await?.0) })
    }

    /// An answer may be lost on its way: what another node calls a duplicate then is this key itself, if it is the same.
    fn insert(&self, record: KeyRecord) -> BoxFuture<'_, Result<Inserted, Unavailable>> {
        Box::pin(async move {
            let (id, own) = (record.facts.id, record.clone());
            let inserted = self.ask(id, move |keys| {
                let record = record.clone();
                async move { keys.insert(record).await }
            });
            let (inserted, is_first) = inserted.await?;
            if inserted == Inserted::Stored || is_first {
                return Ok(inserted);
            }
            let found = self.find(id).await?;
            let is_it = found.is_some_and(|it| it.key == own.key);
            Ok(if is_it { Inserted::Stored } else { inserted })
        })
    }

    fn bind(&self, _: Binding) -> BoxFuture<'_, Result<Bound, Unavailable>> {
        refused()
    }

    fn remove(&self, _: AuthKeyId) -> BoxFuture<'_, Result<Vec<AuthKeyId>, Unavailable>> {
        refused()
    }

    fn remove_bound(
        &self,
        _: AuthKeyId,
        _: Vec<AuthKeyId>,
    ) -> BoxFuture<'_, Result<Vec<AuthKeyId>, Unavailable>> {
        refused()
    }
}

/// Only owners change keys.
fn refused<T: Send + 'static>() -> BoxFuture<'static, Result<T, Unavailable>> {
    debug_assert!(false, "a gateway changes no keys");
    Box::pin(async { Err(Unavailable) })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use heliogram_ports::discovery::Node as Known;
    use heliogram_ports::memory::MemoryDiscovery;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_node_that_has_failed_is_asked_last_for_5_s_and_not_a_moment_longer() {
        let keys = three_nodes().await;
        let order = || -> Vec<_> {
            let candidates = keys.candidates(AuthKeyId(64)).into_iter();
            candidates.map(|(address, _)| address).collect()
        };
        let before = order();
        let [first, second, third] = &before[..] else {
            panic!("there are three")
        };
        let after = [second, third, first].map(Arc::clone);
        keys.note(first, true);
        assert_eq!(order(), after);
        tokio::time::advance(NODE_AVOIDED - Duration::from_millis(1)).await;
        assert_eq!(order(), after);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(order(), before);
        keys.note(first, true);
        keys.note(first, false);
        assert_eq!(order(), before, "it has answered since");
    }

    #[tokio::test(start_paused = true)]
    async fn keys_of_one_partition_are_asked_of_different_nodes_first() {
        let keys = three_nodes().await;
        let first = |id| keys.candidates(AuthKeyId(id)).swap_remove(0).0;
        let firsts: BTreeSet<_> = (0..3).map(|it| first(it * 64)).collect();
        assert_eq!(firsts.len(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_is_given_up_after_its_patience_and_an_attempt_before_that() {
        let keys = three_nodes().await;
        let begun = Instant::now();
        let attempts = AtomicUsize::new(0);
        let silent = keys.ask(AuthKeyId(1), |_| {
            attempts.fetch_add(1, Ordering::Relaxed);
            std::future::pending::<Result<(), Unavailable>>()
        });
        assert_eq!(silent.await, Err(Unavailable));
        assert_eq!(begun.elapsed().as_secs(), KEYS_PATIENCE.as_secs());
        assert_eq!(attempts.into_inner(), 3);
    }

    async fn three_nodes() -> NodesKeys {
        let first = MemoryDiscovery::new();
        let others = [first.another(), first.another()];
        for (number, node) in [&first, &others[0], &others[1]].into_iter().enumerate() {
            let known = Known {
                name: format!("session-{number}").into(),
                address: format!("127.0.0.1:{}", number + 1).into(),
            };
            assert_eq!(node.join(known).await, Ok(()));
        }
        NodesKeys::new(Arc::new(first), None)
    }
}
