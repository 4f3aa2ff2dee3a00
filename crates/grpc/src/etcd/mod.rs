//! A cluster whose nodes find each other by etcd, version 3.4 or later.
//!
//! ```text
//! /<cluster>/nodes/<name>         where the node is reached
//! /<cluster>/partitions/<00..63>  the owner's name, a space, and where it is reached
//! /<cluster>/birth                which store this is
//! ```
//!
//! Both kinds of keys end with the lease of the process that has written them. The revision that has made a partition's key is
//! its owner's term. A view is a snapshot and what a watch has said since; after any loss there is a snapshot again.
//!
//! Decided in `docs/adr/0026-discovery-by-etcd.md`. Source: <https://etcd.io/docs/v3.4/learning/api/>.

mod client;
mod keys;
mod member;
mod watch;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use heliogram_ports::discovery::{Discovery, Node, View};
use heliogram_ports::metrics::{Count, Measured, Meter, Metric};
use heliogram_ports::{BoxFuture, Unavailable};
use heliogram_proto::ids::Term;
use heliogram_proto::ring::Partition;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use client::{Client, Refused};
use keys::Keys;

use crate::limits::LEASE_MIN;
use crate::net::Tls;

/// How etcd is reached, and what the cluster is called there.
#[derive(Clone)]
#[expect(clippy::exhaustive_structs, reason = "what it takes to use etcd")]
pub struct EtcdConfig {
    /// Its members: `http://host:port` on this machine, `https://host:port` anywhere.
    pub endpoints: Vec<String>,
    /// What all keys begin with. Clusters of different names know nothing of each other.
    pub cluster: String,
    /// How long a node that is gone is still taken for an owner: at least 2 s.
    pub lease: Duration,
    /// For `https`.
    pub tls: Option<Tls>,
    /// Name and password, if etcd wants them.
    pub user: Option<(String, String)>,
}

impl fmt::Debug for EtcdConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdConfig")
            .field("endpoints", &self.endpoints)
            .field("cluster", &self.cluster)
            .field("lease", &self.lease)
            .finish_non_exhaustive()
    }
}

/// etcd can't be used as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EtcdError {
    /// A cluster has no such name: letters, digits, dots, hyphens and underscores, 128 at most.
    BadCluster(String),
    /// It is neither `http://host:port` nor `https://host:port`.
    BadEndpoint(String),
    /// Nodes would be given up for nothing.
    LeaseTooShort(Duration),
    /// There is none.
    NoEndpoint,
    /// `https` needs certificates.
    NoTls(String),
}

impl fmt::Display for EtcdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadCluster(name) => write!(
                f,
                "{name:?} can't be a cluster's name: it may have letters, digits, '.', '-' and '_', 128 at most"
            ),
            Self::BadEndpoint(it) => write!(
                f,
                "{it:?} is no address of etcd: http://host:port or https://host:port"
            ),
            Self::LeaseTooShort(lease) => {
                write!(
                    f,
                    "a lease of {lease:?} is too short: {LEASE_MIN:?} or more"
                )
            }
            Self::NoEndpoint => f.write_str("no address of etcd is given"),
            Self::NoTls(it) => write!(f, "{it} needs certificates, and there are none"),
        }
    }
}

impl std::error::Error for EtcdError {}

/// Tells whether a cluster or a node may have this name: letters, digits, dots, hyphens and underscores, 1 to 128.
fn is_name(name: &str) -> bool {
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_fine)
}

const NAME_BYTES_MAX: usize = 128;

/// What is said of an etcd that is not the one from before.
const ANOTHER_STORE: &str = "it has lost what was in it, or is another one; if that is meant, stop all nodes and gateways, and start them again";

/// A process's place in a cluster, by etcd. What is known of it goes with the last of its lease when this is dropped.
pub struct Etcd {
    inner: Arc<Inner>,
    tasks: [JoinHandle<()>; 2],
}

impl Etcd {
    /// Begins to look; never fails because etcd is not there yet. Must be called within a runtime.
    ///
    /// # Errors
    ///
    /// If the configuration can't be one; each variant of [`EtcdError`] says what is wrong.
    pub fn connect(config: &EtcdConfig) -> Result<Self, EtcdError> {
        if !is_name(&config.cluster) {
            return Err(EtcdError::BadCluster(config.cluster.clone()));
        }
        if config.lease < LEASE_MIN {
            return Err(EtcdError::LeaseTooShort(config.lease));
        }
        let client = Client::new(config)?;
        let inner = Arc::new(Inner {
            client,
            keys: Keys::new(&config.cluster),
            lease: config.lease,
            view: tokio::sync::watch::Sender::default(),
            member: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            birth: Mutex::default(),
            wake: Notify::new(),
            is_watching: AtomicBool::new(false),
            counts: Counts::default(),
        });
        let tasks = [
            tokio::spawn(watch::follow(Arc::clone(&inner))),
            tokio::spawn(member::keep(Arc::clone(&inner))),
        ];
        Ok(Self { inner, tasks })
    }

    /// Tells whether changes are being heard of: if not, the view is the last one from before.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.inner.is_watching.load(Ordering::Relaxed)
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl fmt::Debug for Etcd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Etcd")
            .field("view", &*self.inner.view.borrow())
            .finish_non_exhaustive()
    }
}

/// What the process and its two tasks share.
struct Inner {
    client: Client,
    keys: Keys,
    lease: Duration,
    view: tokio::sync::watch::Sender<Arc<View>>,
    member: Mutex<Member>,
    /// One at a time becomes a node, or ceases to be one.
    turn: tokio::sync::Mutex<()>,
    /// The store that is believed, once one is known. Another would give terms anew that were given before.
    birth: Mutex<Option<Bytes>>,
    /// There is something to do for who keeps the lease.
    wake: Notify,
    /// Changes are being heard of.
    is_watching: AtomicBool,
    counts: Counts,
}

/// What this process is in the cluster.
#[derive(Default)]
struct Member {
    /// What it wants to be known as.
    node: Option<Node>,
    /// What it does not want to be known as any more, as long as etcd has not heard of it.
    leaving: Option<Node>,
    lease: Option<i64>,
    /// The last term of each partition of which its owner was told.
    told: BTreeMap<Partition, Term>,
}

#[derive(Default)]
struct Counts {
    snapshots: Count,
    leases_lost: Count,
}

impl Discovery for Etcd {
    fn view(&self) -> Arc<View> {
        Arc::clone(&self.inner.view.borrow())
    }

    fn newer(&self, revision: u64) -> BoxFuture<'_, Arc<View>> {
        let mut views = self.inner.view.subscribe();
        Box::pin(async move {
            let newer = views.wait_for(|view| view.revision > revision).await;
            // The sender lives as long as `self`.
            newer.map_or_else(|_| self.view(), |view| Arc::clone(&view))
        })
    }

    fn join(&self, node: Node) -> BoxFuture<'_, Result<(), Unavailable>> {
        Box::pin(async move { self.inner.join(node).await.map_err(Refused::unavailable) })
    }

    fn claim(&self, partition: Partition) -> BoxFuture<'_, Result<Option<Term>, Unavailable>> {
        Box::pin(async move {
            let claimed = self.inner.claim(partition).await;
            claimed.map_err(Refused::unavailable)
        })
    }

    fn release(&self, partition: Partition, term: Term) -> BoxFuture<'_, Result<(), Unavailable>> {
        Box::pin(async move {
            let released = self.inner.release(partition, term).await;
            released.map_err(Refused::unavailable)
        })
    }

    fn leave(&self) -> BoxFuture<'_, Result<(), Unavailable>> {
        Box::pin(async move { self.inner.leave().await.map_err(Refused::unavailable) })
    }
}

impl Measured for Etcd {
    fn measure(&self, meter: &mut dyn Meter) {
        let (view, counts) = (self.view(), &self.inner.counts);
        let owned = view.owners.iter().flatten().count();
        let level = |many: usize| u64::try_from(many).unwrap_or(u64::MAX);
        meter.level(UP, u64::from(self.is_up()));
        meter.level(NODES, level(view.nodes.len()));
        meter.level(OWNED, level(owned));
        meter.count(SNAPSHOTS, counts.snapshots.load());
        meter.count(LEASES_LOST, counts.leases_lost.load());
        self.inner.client.measure(meter);
    }
}

const UP: Metric = Metric {
    name: "discovery_up",
    help: "1 while changes of the cluster are heard of; 0 while the last view is kept",
};
const NODES: Metric = Metric {
    name: "discovery_nodes",
    help: "Session nodes that may be given partitions, as this process sees it",
};
const OWNED: Metric = Metric {
    name: "discovery_partitions_owned",
    help: "Partitions that have an owner, of 64, as this process sees it",
};
const SNAPSHOTS: Metric = Metric {
    name: "discovery_snapshots",
    help: "Views that were read whole, at the start and after each loss of the watch",
};
const LEASES_LOST: Metric = Metric {
    name: "discovery_leases_lost",
    help: "Leases that had ended when they were to be prolonged",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_of_letters_digits_and_a_few_signs_and_neither_empty_nor_long() {
        for name in ["a", "session-1.eu_west", &"n".repeat(128)] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "a/b", "a b", "ä", "a\n", &"n".repeat(129)] {
            assert!(!is_name(name), "{name}");
        }
    }

    #[tokio::test]
    async fn what_can_not_be_a_configuration_is_refused_at_once() {
        let error = |change: fn(&mut EtcdConfig)| {
            let mut config = EtcdConfig {
                endpoints: vec!["http://127.0.0.1:1".into()],
                cluster: "heliogram".into(),
                lease: LEASE_MIN,
                tls: None,
                user: Some(("root".into(), "hunter2".into())),
            };
            change(&mut config);
            assert!(!format!("{config:?}").contains("hunter2"));
            Etcd::connect(&config).err()
        };
        assert_eq!(error(|_| ()), None);
        let short = LEASE_MIN.saturating_sub(Duration::from_millis(1));
        let too_short = error(|it| it.lease -= Duration::from_millis(1));
        assert_eq!(too_short, Some(EtcdError::LeaseTooShort(short)));
        let nameless = error(|it| it.cluster.clear());
        assert_eq!(nameless, Some(EtcdError::BadCluster(String::new())));
        let nowhere = error(|it| it.endpoints.clear());
        assert_eq!(nowhere, Some(EtcdError::NoEndpoint));
        let unsafe_ = error(|it| it.endpoints = vec!["https://etcd:2379".into()]);
        assert_eq!(unsafe_, Some(EtcdError::NoTls("https://etcd:2379".into())));
        let portless = error(|it| it.endpoints = vec!["http://etcd".into()]);
        assert_eq!(portless, Some(EtcdError::BadEndpoint("http://etcd".into())));
    }
}
