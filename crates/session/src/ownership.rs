//! Which partitions are this process's own. Whoever drives it says so: see [`Steward`](crate::Steward).

use std::time::Duration;

use heliogram_proto::host::{Config, Host};
use heliogram_proto::ids::Term;
use heliogram_proto::ring::Partition;

use crate::local::LocalPort;

impl LocalPort {
    /// Makes a partition this process's own, under a term that nobody else has had: with a host that knows nothing.
    ///
    /// Returns `false`, and changes nothing, if it owns the partition already, or has owned it under this term or a later one:
    /// a second host of one term would accept again what the first has accepted.
    #[must_use]
    pub fn own(&self, partition: Partition, term: Term) -> bool {
        let mut config: Config = self.inner.config.clone();
        config.term = term;
        let shard = self.inner.shards.get(usize::from(partition.number()));
        shard.is_some_and(|shard| shard.own(Host::new(config), true))
    }

    /// Drops a partition at once, with its sessions and calls: another process may own it already. Its links are closed.
    pub fn disown(&self, partition: Partition) {
        self.let_go(partition, false);
    }

    /// Lets go of a partition: takes no more frames of it, waits until its calls are answered, for so long at most, then drops
    /// it. Its links get what is there, and are closed. Returns whether all calls were answered.
    ///
    /// To be polled to its end: the partition takes no frames meanwhile.
    pub async fn retire(&self, partition: Partition, patience: Duration) -> bool {
        let Some(shard) = self.inner.shards.get(usize::from(partition.number())) else {
            return true;
        };
        shard.begin_retiring();
        let is_quiet = tokio::time::timeout(patience, shard.until_quiet()).await;
        self.let_go(partition, true);
        is_quiet.is_ok()
    }

    /// Returns the term under which this process owns a partition.
    #[must_use]
    pub fn term_of(&self, partition: Partition) -> Option<Term> {
        let shard = self.inner.shards.get(usize::from(partition.number()))?;
        shard.term()
    }

    /// Returns what this process owns.
    #[must_use]
    pub fn owned(&self) -> Vec<(Partition, Term)> {
        let owned = |partition| Some((partition, self.term_of(partition)?));
        Partition::all().filter_map(owned).collect()
    }

    fn let_go(&self, partition: Partition, is_retired: bool) {
        let number = usize::from(partition.number());
        let Some(shard) = self.inner.shards.get(number) else {
            return;
        };
        if !shard.is_owned() {
            return;
        }
        for task in shard.let_go(is_retired, self.inner.settle(number)) {
            task.abort();
        }
        self.inner.links.doom_touched(number);
    }
}
