//! One stream to one session node.

use std::collections::HashMap;
use std::sync::Arc;

use heliogram_ports::{FromHost, Wake};
use heliogram_proto::ids::{AuthKeyId, LinkId};
use heliogram_proto::limits::FANOUT_LINKS_MIN;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::Channel;

use super::links::PeerId;
use super::ring::Shared;
use crate::generated::cluster as wire;
use crate::generated::cluster::down::Item as DownItem;
use crate::generated::cluster::sessions_client::SessionsClient;
use crate::limits::{FRAMES_WAITING_MAX, MESSAGE_BYTES_MAX};
use crate::retry::Pause;
use crate::wire::{facts_from, seal_from};

/// Keeps a stream open until nobody wants it any more.
pub(super) async fn keep_open(channel: Channel, peer: PeerId, shared: Arc<Shared>) {
    let mut client = SessionsClient::new(channel)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let mut pause = Pause::default();
    loop {
        match open_in_time(&mut client, shared.gateway).await {
            Ok((batches, mut items)) => {
                pause = Pause::default();
                let doubted = shared.change(|state, wakes| state.opened(peer, wakes));
                shared.doubt(&doubted);
                tokio::select! {
                    () = pump(&shared, peer, batches) => {}
                    () = read(&shared, peer, &mut items) => {}
                }
            }
            Err(status) => tracing::debug!(code = ?status.code(), "no stream of sessions"),
        }
        let is_wanted = shared.change(|state, wakes| {
            state.broke(peer, Instant::now(), wakes);
            state.is_spoken_to(peer)
        });
        if !is_wanted || shared.is_over() {
            return;
        }
        pause.wait().await;
    }
}

type Opened = (mpsc::Sender<wire::ToNode>, Streaming<wire::ToGateway>);

/// A node that takes the stream and says nothing is as good as none: what waits for it waits no longer than this.
async fn open_in_time(
    client: &mut SessionsClient<Channel>,
    gateway: u64,
) -> Result<Opened, tonic::Status> {
    let opened = timeout(FRAMES_WAITING_MAX, open(client, gateway)).await;
    opened.unwrap_or_else(|_| Err(tonic::Status::deadline_exceeded("a node says nothing")))
}

/// Opens the stream and waits for the node's first words.
async fn open(client: &mut SessionsClient<Channel>, gateway: u64) -> Result<Opened, tonic::Status> {
    let (batches, sent) = mpsc::channel(BATCHES_AHEAD);
    let hello = wire::ToNode {
        hello: Some(wire::GatewayHello { gateway }),
        items: Vec::new(),
    };
    // There is room in an empty channel.
    let _ = batches.try_send(hello);
    let mut items = client
        .connect(ReceiverStream::new(sent))
        .await?
        .into_inner();
    let first = items.message().await?;
    if first.is_some_and(|first| first.hello.is_some()) {
        Ok((batches, items))
    } else {
        Err(tonic::Status::invalid_argument("a node says hello first"))
    }
}

/// Sends what waits, until nothing ever will.
async fn pump(shared: &Shared, peer: PeerId, batches: mpsc::Sender<wire::ToNode>) {
    while let Ok(room) = batches.reserve().await {
        let (batch, news) =
            shared.change(|state, wakes| (state.batch(peer, wakes), state.news(peer)));
        match (batch, news) {
            (Some(batch), _) => room.send(batch),
            (None, Some(news)) if !shared.is_over() => news.notified().await,
            (None, _) => return,
        }
    }
}

async fn read(shared: &Shared, peer: PeerId, batches: &mut Streaming<wire::ToGateway>) {
    loop {
        match batches.message().await {
            Ok(Some(batch)) => shared.take(peer, batch.items),
            Ok(None) => return,
            Err(status) => {
                tracing::debug!(code = ?status.code(), "the stream of sessions broke");
                return;
            }
        }
    }
}

impl Shared {
    fn take(&self, peer: PeerId, items: Vec<wire::Down>) {
        let mut reached = HashMap::new();
        let mut state = self.state.lock();
        // What is said of keys keeps its place before what comes after it.
        for item in items.into_iter().filter_map(|it| it.item) {
            let item = match item {
                DownItem::Seal(seal) => seal_from(seal),
                DownItem::QuickAck(wire::QuickAck { link, token }) => {
                    let link = LinkId(link);
                    FromHost::QuickAck { link, token }
                }
                DownItem::Close(wire::Close { link, code }) => {
                    let link = LinkId(link);
                    FromHost::Close { link, code }
                }
                DownItem::Bound(facts) => {
                    drop(state);
                    let facts = facts_from(facts);
                    self.edges().iter().for_each(|edge| edge.bound(facts));
                    state = self.state.lock();
                    continue;
                }
                DownItem::Revoked(key) => {
                    drop(state);
                    let key = AuthKeyId(key);
                    self.edges().iter().for_each(|edge| edge.revoke(key));
                    state = self.state.lock();
                    continue;
                }
                DownItem::Probed(probed) => {
                    state.probed(peer, probed);
                    continue;
                }
                DownItem::Taken(taken) => {
                    state.taken(peer, taken);
                    continue;
                }
            };
            reached.extend(state.deliver(peer, item));
        }
        drop(state);
        self.tell(reached);
    }

    /// Has every link drained that has got something: many of them in batches.
    fn tell(&self, reached: HashMap<LinkId, Arc<dyn Wake>>) {
        if reached.len() >= FANOUT_LINKS_MIN
            && let [edge] = self.edges().as_slice()
        {
            let mut links: Vec<_> = reached.into_keys().collect();
            links.sort_unstable();
            return Arc::clone(edge).fan_out(links);
        }
        for wake in reached.into_values() {
            wake.wake();
        }
    }
}

/// Batches between the queue and the connection.
const BATCHES_AHEAD: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{Role, dial};

    #[tokio::test(start_paused = true)]
    async fn a_node_that_takes_connections_and_says_nothing_is_given_up_in_time() {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = silent.local_addr().unwrap().to_string().parse().unwrap();
        let mut client = SessionsClient::new(dial(address, Role::Session, None));
        let begun = Instant::now();
        let opened = open_in_time(&mut client, 7).await;
        assert_eq!(opened.unwrap_err().code(), tonic::Code::DeadlineExceeded);
        assert_eq!(begun.elapsed(), FRAMES_WAITING_MAX);
    }
}
