//! The gateways of a session node, and by which names nodes speak of their connections.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use heliogram_ports::metrics::{Count, Measured, Meter, Metric};
use heliogram_proto::ids::LinkId;
use parking_lot::Mutex;

use super::service::Gateway;

/// The gateways that have a stream to this node. Cheap to clone; all clones are one.
///
/// A node numbers the connections of all its gateways itself. To other nodes a connection has the name that its gateway gives
/// it.
#[derive(Clone)]
pub struct Gateways {
    inner: Arc<Inner>,
}

struct Inner {
    by_id: Mutex<HashMap<u64, Weak<Gateway>>>,
    next_link: AtomicU64,
    lost_news: Count,
}

/// A connection, as its gateway names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LinkName {
    pub(crate) gateway: u64,
    pub(crate) number: u64,
}

impl Gateways {
    /// Makes a table without gateways.
    #[must_use]
    pub fn new() -> Self {
        Self {
            inner: Arc::new(Inner {
                by_id: Mutex::default(),
                next_link: AtomicU64::new(FIRST_LINK),
                lost_news: Count::default(),
            }),
        }
    }

    /// Makes a gateway's new stream known; returns the one that it has had before.
    pub(super) fn add(&self, id: u64, gateway: &Arc<Gateway>) -> Option<Arc<Gateway>> {
        let mut by_id = self.inner.by_id.lock();
        by_id.retain(|_, gateway| gateway.strong_count() > 0);
        by_id.insert(id, Arc::downgrade(gateway))?.upgrade()
    }

    pub(super) fn next_link(&self) -> LinkId {
        LinkId(self.inner.next_link.fetch_add(1, Ordering::Relaxed))
    }

    /// Returns by which name other nodes know a connection; nothing if it is gone.
    pub(crate) fn name(&self, link: LinkId) -> Option<LinkName> {
        let gateways = self.all();
        gateways.iter().find_map(|(gateway, it)| {
            let (gateway, number) = (*gateway, it.number_of(link)?);
            Some(LinkName { gateway, number })
        })
    }

    /// Returns this node's number for a connection, and makes it known here if it was not; nothing if its gateway has no stream
    /// to this node.
    pub(crate) fn link(&self, name: LinkName) -> Option<LinkId> {
        let gateway = self.inner.by_id.lock().get(&name.gateway)?.upgrade()?;
        gateway.link_of(name.number)
    }

    /// Has a connection closed whose session is lost.
    pub(crate) fn close(&self, link: LinkId) {
        for (_, gateway) in self.all() {
            gateway.close(link);
        }
    }

    /// Takes note that a gateway misses something.
    pub(super) fn count_lost_news(&self) {
        self.inner.lost_news.add_one();
    }

    fn all(&self) -> Vec<(u64, Arc<Gateway>)> {
        let by_id = self.inner.by_id.lock();
        let live = |(&id, gateway): (&u64, &Weak<Gateway>)| Some((id, gateway.upgrade()?));
        by_id.iter().filter_map(live).collect()
    }
}

impl Measured for Gateways {
    fn measure(&self, meter: &mut dyn Meter) {
        let number = |value: usize| u64::try_from(value).unwrap_or(u64::MAX);
        let gateways = self.all();
        let sizes: Vec<_> = gateways.iter().map(|(_, it)| it.sizes()).collect();
        meter.level(STREAMS, number(gateways.len()));
        meter.level(CONNECTIONS, number(sizes.iter().map(|it| it.0).sum()));
        meter.level(NEWS, number(sizes.iter().map(|it| it.1).sum()));
        meter.count(LOST_NEWS, self.inner.lost_news.load());
    }
}

const STREAMS: Metric = Metric {
    name: "gateways_streams",
    help: "Streams of gateways to this session node",
};
const CONNECTIONS: Metric = Metric {
    name: "gateways_connections",
    help: "Connections of all gateways that this session node knows",
};
const NEWS: Metric = Metric {
    name: "gateways_waiting_news",
    help: "News of keys that wait for the streams to gateways",
};
const LOST_NEWS: Metric = Metric {
    name: "gateways_lost_news",
    help: "News of keys that a gateway misses because too many waited",
};

impl Default for Gateways {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Gateways {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateways").finish_non_exhaustive()
    }
}

/// Above the numbers that a gateway in this process gives.
const FIRST_LINK: u64 = 1 << 63;
