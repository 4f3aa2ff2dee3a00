//! The end that has something for others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use heliogram_ports::clock::Clock;
use heliogram_ports::discovery::{Discovery, View};
use heliogram_ports::metrics::{Count, Measured, Meter, Metric};
use heliogram_ports::{Owners, Push};
use heliogram_proto::host::{Input, wire as crossing};
use heliogram_proto::ids::{Identity, LinkId};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::Channel;

use super::queue::{Item, Queue};
use crate::generated::cluster as wire;
use crate::generated::cluster::owners_client::OwnersClient;
use crate::limits::{FRAMES_WAITING_MAX, MESSAGE_BYTES_MAX};
use crate::net::{Address, Role, Tls, dial};
use crate::retry::Pause;
use crate::sessions::Gateways;

/// The way to the owners at all other session nodes.
pub struct RemoteOwners {
    inner: Arc<Inner>,
    follow: JoinHandle<()>,
}

struct Inner {
    /// The name of this node.
    own: Arc<str>,
    gateways: Gateways,
    clock: Clock,
    tls: Option<Tls>,
    known: Mutex<Known>,
    counts: Counts,
}

/// What did not arrive.
#[derive(Default)]
struct Counts {
    refused: Count,
    lost: Count,
}

#[derive(Default)]
struct Known {
    view: Arc<View>,
    /// By address.
    nodes: BTreeMap<Arc<str>, Node>,
}

struct Node {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    queue: Mutex<Queue>,
    /// Something is to be sent.
    news: Notify,
}

impl RemoteOwners {
    /// Speaks to all session nodes that `discovery` knows but this one, whose name is `own`, for as long as this lives. Connections
    /// are found in `gateways`: those of this node's [`SessionsService`](crate::SessionsService). Within a tokio runtime.
    #[must_use]
    pub fn new(
        discovery: Arc<dyn Discovery>,
        own: Arc<str>,
        tls: Option<Tls>,
        gateways: Gateways,
    ) -> Self {
        let inner = Arc::new(Inner {
            own,
            gateways,
            clock: Clock::start(),
            tls,
            known: Mutex::default(),
            counts: Counts::default(),
        });
        let mut revision = inner.apply(discovery.view());
        let follower = Arc::clone(&inner);
        let follow = tokio::spawn(async move {
            loop {
                revision = follower.apply(discovery.newer(revision).await);
            }
        });
        Self { inner, follow }
    }
}

impl Drop for RemoteOwners {
    fn drop(&mut self) {
        self.follow.abort();
        let nodes = std::mem::take(&mut self.inner.known.lock().nodes);
        nodes.into_values().for_each(|node| node.task.abort());
    }
}

impl std::fmt::Debug for RemoteOwners {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemoteOwners").finish_non_exhaustive()
    }
}

impl Owners for RemoteOwners {
    fn send(&self, to: Identity, input: Input) -> Result<(), Box<Input>> {
        let sent = self.inner.send(to, input);
        if sent.is_err() {
            self.inner.counts.refused.add_one();
        }
        sent
    }

    fn push(&self, push: Push) {
        let known = self.inner.known.lock();
        for node in known.nodes.values() {
            node.shared.queue.lock().add_push(push.clone());
            node.shared.news.notify_one();
        }
    }
}

impl Measured for RemoteOwners {
    fn measure(&self, meter: &mut dyn Meter) {
        let number = |value: usize| u64::try_from(value).unwrap_or(u64::MAX);
        let (mut nodes, mut streams, mut bytes, mut missed) = (0, 0, 0, 0);
        for node in self.inner.known.lock().nodes.values() {
            let queue = node.shared.queue.lock();
            let sizes = queue.sizes();
            nodes += 1;
            streams += u64::from(queue.is_open);
            bytes += number(sizes.0);
            missed += number(sizes.1);
        }
        meter.level(NODES, nodes);
        meter.level(STREAMS, streams);
        meter.level(WAITING, bytes);
        meter.level(MISSED, missed);
        meter.count(REFUSED, self.inner.counts.refused.load());
        meter.count(LOST, self.inner.counts.lost.load());
    }
}

const NODES: Metric = Metric {
    name: "owners_nodes",
    help: "Other session nodes that this one speaks to, or tries to",
};
const STREAMS: Metric = Metric {
    name: "owners_streams",
    help: "Of these, the ones to which a stream is open",
};
const WAITING: Metric = Metric {
    name: "owners_waiting_bytes",
    help: "Bytes for owners at other nodes that wait, or that no node has confirmed",
};
const MISSED: Metric = Metric {
    name: "owners_missed_targets",
    help: "Users and sessions that have missed a push at another node, and are yet to be told so",
};
const REFUSED: Metric = Metric {
    name: "owners_refused_inputs",
    help: "What was for an owner to whom there was no way, or no room on it",
};
const LOST: Metric = Metric {
    name: "owners_lost_connections",
    help: "Connections that were closed because what they waited for may be lost between nodes",
};

impl Inner {
    fn send(&self, to: Identity, input: Input) -> Result<(), Box<Input>> {
        let way = {
            let known = self.known.lock();
            let owner = known.view.owner_of(to).filter(|it| it.node != self.own);
            owner.and_then(|owner| {
                let node = known.nodes.get(&owner.address)?;
                Some((owner.term, Arc::clone(&node.shared)))
            })
        };
        let (Some((term, node)), Some(encoded)) = (way, crossing::encode(&input, self.clock.now()))
        else {
            return Err(Box::new(input));
        };
        let links = input.links();
        let item = Item::Input {
            input: wire::OwnerInput {
                to: to.0.0,
                term: term.0,
                input: encoded.into(),
                links: links.iter().filter_map(|&it| self.name(it)).collect(),
            },
            links,
            is_repeatable: !matches!(input, Input::TakeOver(_)),
        };
        if node.queue.lock().add(item).is_err() {
            return Err(Box::new(input));
        }
        node.news.notify_one();
        Ok(())
    }

    fn name(&self, link: LinkId) -> Option<wire::NamedLink> {
        let name = self.gateways.name(link)?;
        Some(wire::NamedLink {
            link: link.0,
            gateway: name.gateway,
            number: name.number,
        })
    }

    /// Takes a view over; returns its revision.
    fn apply(self: &Arc<Self>, view: Arc<View>) -> u64 {
        let owners = view.owners.iter().flatten();
        let owners = owners.map(|owner| (&owner.node, &owner.address));
        let nodes = view.nodes.iter().map(|node| (&node.name, &node.address));
        let others = owners.chain(nodes).filter(|(name, _)| **name != self.own);
        let others: BTreeSet<_> = others.map(|(_, address)| Arc::clone(address)).collect();
        let mut known = self.known.lock();
        let gone = known
            .nodes
            .extract_if(.., |address, _| !others.contains(address));
        let gone: Vec<_> = gone.map(|(_, node)| node).collect();
        for address in others {
            known
                .nodes
                .entry(address)
                .or_insert_with_key(|address| self.speak_to(address));
        }
        let revision = view.revision;
        known.view = view;
        drop(known);
        for node in gone {
            node.task.abort();
            let mut queue = node.shared.queue.lock();
            let lost = [queue.broke(), queue.give_up()].concat();
            drop(queue);
            self.lose(&lost);
        }
        revision
    }

    fn speak_to(self: &Arc<Self>, address: &Arc<str>) -> Node {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            news: Notify::new(),
        });
        let (inner, of_task) = (Arc::clone(self), Arc::clone(&shared));
        let to = address.parse::<Address>();
        let task = tokio::spawn(async move {
            match to {
                Ok(to) => {
                    let channel = dial(to, Role::Session, inner.tls.clone());
                    keep_open(channel, &inner, &of_task).await;
                }
                Err(error) => tracing::warn!(%error, "a session node can't be spoken to"),
            }
        });
        Node { shared, task }
    }

    fn lose(&self, links: &[LinkId]) {
        self.counts
            .lost
            .add(u64::try_from(links.len()).unwrap_or(u64::MAX));
        links.iter().for_each(|&link| self.gateways.close(link));
    }
}

async fn keep_open(channel: Channel, inner: &Inner, shared: &Shared) {
    let mut client = OwnersClient::new(channel)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let mut pause = Pause::default();
    let mut broke_at = Instant::now();
    loop {
        let (batches, sent) = mpsc::channel(BATCHES_AHEAD);
        let opened = timeout(
            FRAMES_WAITING_MAX,
            client.connect(ReceiverStream::new(sent)),
        )
        .await;
        match opened {
            Ok(Ok(taken)) => {
                pause = Pause::default();
                shared.queue.lock().is_open = true;
                tokio::select! {
                    () = pump(shared, batches) => {}
                    () = read(shared, taken.into_inner()) => {}
                }
                inner.lose(&shared.queue.lock().broke());
                broke_at = Instant::now();
            }
            Ok(Err(status)) => tracing::debug!(code = ?status.code(), "no stream of owners"),
            Err(_) => tracing::debug!("a session node takes no stream of owners"),
        }
        if broke_at.elapsed() >= FRAMES_WAITING_MAX {
            inner.lose(&shared.queue.lock().give_up());
        }
        pause.wait().await;
    }
}

/// Sends what waits.
async fn pump(shared: &Shared, batches: mpsc::Sender<wire::ToOwners>) {
    while let Ok(room) = batches.reserve().await {
        let batch = shared.queue.lock().batch();
        match batch {
            Some(batch) => room.send(batch),
            None => shared.news.notified().await,
        }
    }
}

async fn read(shared: &Shared, mut confirmed: Streaming<wire::OwnersTaken>) {
    loop {
        match confirmed.message().await {
            Ok(Some(confirmed)) => shared.queue.lock().taken(confirmed.taken),
            Ok(None) => return,
            Err(status) => {
                tracing::debug!(code = ?status.code(), "the stream of owners broke");
                return;
            }
        }
    }
}

/// Batches between the queue and the connection.
const BATCHES_AHEAD: usize = 4;
