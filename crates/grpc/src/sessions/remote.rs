//! The gateway's end.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Weak};

use heliogram_ports::{Edge, FromHost, SessionPort, ToHost, Wake};
use heliogram_proto::ids::{AuthKeyId, LinkId, Term};
use heliogram_proto::limits::FANOUT_LINKS_MIN;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::Channel;

use super::{ITEM_BYTES, cost};
use crate::generated::cluster as wire;
use crate::generated::cluster::down::Item as DownItem;
use crate::generated::cluster::sessions_client::SessionsClient;
use crate::generated::cluster::up::Item as UpItem;
use crate::limits::{BATCH_BYTES, FRAMES_WAITING_BYTES_MAX, MESSAGE_BYTES_MAX};
use crate::retry::Pause;
use crate::wire::{facts_from, frame_to, seal_from};

/// The sessions of another process, as a gateway sees them.
pub struct RemoteSessions {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    edges: Mutex<Vec<Weak<dyn Edge>>>,
    /// Something is to be sent, or nothing ever will be.
    news: Notify,
}

#[derive(Default)]
struct State {
    links: HashMap<LinkId, Entry>,
    waiting: VecDeque<UpItem>,
    /// Of the frames among them.
    bytes: usize,
    is_connected: bool,
    /// Frames that were handed in: what a probe is about.
    frames: u64,
    /// A probe is on its way.
    is_probing: bool,
    /// How many frames there had been when the node was found quiet.
    quiet_at: Option<u64>,
    is_over: bool,
}

/// A connection.
struct Entry {
    wake: Arc<dyn Wake>,
    inbox: Vec<FromHost>,
    /// What is in it counts so much against the link's window.
    owed: usize,
    /// The node has heard, or will hear, of it.
    is_known: bool,
    /// It is being closed: nothing more goes either way.
    is_ended: bool,
}

impl Entry {
    /// Has the connection closed; its owner is to be woken.
    fn end(&mut self, link: LinkId) -> Arc<dyn Wake> {
        self.is_ended = true;
        self.is_known = false;
        self.owed = 0;
        self.inbox = vec![FromHost::Close { link, code: None }];
        Arc::clone(&self.wake)
    }
}

impl RemoteSessions {
    /// Takes messages to what answers on `channel`, for as long as this lives; to no node of another term than `term`, if one
    /// is given. Within a tokio runtime.
    #[must_use]
    pub fn new(channel: Channel, term: Option<Term>) -> Self {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            edges: Mutex::default(),
            news: Notify::new(),
        });
        let client = SessionsClient::new(channel)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        tokio::spawn(keep_open(client, term, Arc::clone(&shared)));
        Self { shared }
    }
}

impl std::fmt::Debug for RemoteSessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemoteSessions").finish_non_exhaustive()
    }
}

impl Drop for RemoteSessions {
    fn drop(&mut self) {
        self.shared.state.lock().is_over = true;
        self.shared.news.notify_one();
    }
}

impl SessionPort for RemoteSessions {
    fn open(&self, edge: Weak<dyn Edge>) {
        let mut edges = self.shared.edges.lock();
        edges.retain(|edge| edge.strong_count() > 0);
        edges.push(edge);
    }

    fn attach(&self, link: LinkId, wake: Arc<dyn Wake>) {
        let entry = Entry {
            wake,
            inbox: Vec::new(),
            owed: 0,
            is_known: false,
            is_ended: false,
        };
        self.shared.state.lock().links.insert(link, entry);
    }

    fn submit(&self, inputs: &mut Vec<ToHost>) {
        let mut ended = Vec::new();
        let mut state = self.shared.state.lock();
        for input in inputs.drain(..) {
            ended.extend(state.add(input));
        }
        drop(state);
        self.shared.news.notify_one();
        for wake in ended {
            wake.wake();
        }
    }

    fn drain(&self, link: LinkId, out: &mut Vec<FromHost>) {
        let mut state = self.shared.state.lock();
        let Some(entry) = state.links.get_mut(&link) else {
            return;
        };
        out.append(&mut entry.inbox);
        let bytes = std::mem::take(&mut entry.owed);
        if bytes == 0 {
            return;
        }
        let credit = wire::Credit {
            link: link.0,
            bytes: u64::try_from(bytes).unwrap_or(u64::MAX),
        };
        state.waiting.push_back(UpItem::Credit(credit));
        drop(state);
        self.shared.news.notify_one();
    }

    fn is_quiet(&self) -> bool {
        let mut state = self.shared.state.lock();
        if !state.is_connected {
            // What has broken brings no answer.
            return state.waiting.is_empty();
        }
        if state.quiet_at == Some(state.frames) {
            return true;
        }
        if !state.is_probing {
            state.is_probing = true;
            let probe = UpItem::Probe(state.frames);
            state.waiting.push_back(probe);
            drop(state);
            self.shared.news.notify_one();
        }
        false
    }
}

impl State {
    /// Adds an input; returns whom to wake if its connection has to be closed for it.
    fn add(&mut self, input: ToHost) -> Option<Arc<dyn Wake>> {
        match input {
            ToHost::Frame(frame) => {
                let entry = self.links.get_mut(&frame.link)?;
                if entry.is_ended {
                    return None;
                }
                let bytes = frame.body.len() + ITEM_BYTES;
                if self.bytes + bytes > FRAMES_WAITING_BYTES_MAX {
                    tracing::warn!("a session node takes no more frames");
                    if entry.is_known {
                        self.waiting.push_back(UpItem::Detach(frame.link.0));
                    }
                    return Some(entry.end(frame.link));
                }
                entry.is_known = true;
                self.bytes += bytes;
                self.frames += 1;
                self.waiting.push_back(UpItem::Frame(frame_to(frame)));
            }
            // Whether the node has taken all that the connection has brought is not known here.
            ToHost::Attach(attach) => {
                let entry = self.links.get_mut(&attach.link)?;
                return Some(entry.end(attach.link));
            }
            ToHost::Detach { link } => {
                if self.links.remove(&link).is_some_and(|it| it.is_known) {
                    self.waiting.push_back(UpItem::Detach(link.0));
                }
            }
        }
        None
    }

    /// Takes a batch of what waits; nothing if nothing does.
    fn batch(&mut self) -> Option<wire::ToNode> {
        let (mut items, mut bytes) = (Vec::new(), 0);
        while bytes < BATCH_BYTES
            && let Some(item) = self.waiting.pop_front()
        {
            if let UpItem::Frame(frame) = &item {
                self.bytes -= frame.body.len() + ITEM_BYTES;
                bytes += frame.body.len();
            }
            bytes += ITEM_BYTES;
            items.push(wire::Up { item: Some(item) });
        }
        (!items.is_empty()).then_some(wire::ToNode { hello: None, items })
    }

    /// Puts an item into its link's inbox; returns whom to wake.
    fn deliver(&mut self, item: FromHost) -> Option<(LinkId, Arc<dyn Wake>)> {
        let link = item.link();
        // A connection that is gone gets nothing.
        let entry = self.links.get_mut(&link)?;
        if entry.is_ended {
            return None;
        }
        entry.owed += cost(&item);
        entry.inbox.push(item);
        Some((link, Arc::clone(&entry.wake)))
    }

    /// Takes note that the stream is gone, and closes the connections that the node knew, or was to hear of. Returns whom to
    /// wake, and whether nothing will ever be sent again.
    fn broke(&mut self) -> (Vec<Arc<dyn Wake>>, bool) {
        self.is_connected = false;
        self.is_probing = false;
        self.waiting.clear();
        self.bytes = 0;
        let known = self.links.iter_mut().filter(|(_, entry)| entry.is_known);
        let wakes = known.map(|(&link, entry)| entry.end(link)).collect();
        (wakes, self.is_over)
    }
}

async fn keep_open(mut client: SessionsClient<Channel>, term: Option<Term>, shared: Arc<Shared>) {
    let mut pause = Pause::default();
    loop {
        match open(&mut client, term).await {
            Ok((batches, mut items)) => {
                pause = Pause::default();
                shared.state.lock().is_connected = true;
                tokio::select! {
                    () = pump(&shared, batches) => {}
                    () = read(&shared, &mut items) => {}
                }
            }
            Err(status) => tracing::debug!(code = ?status.code(), "no stream of sessions"),
        }
        let (wakes, is_over) = shared.state.lock().broke();
        for wake in wakes {
            wake.wake();
        }
        if is_over {
            return;
        }
        pause.wait().await;
    }
}

type Opened = (mpsc::Sender<wire::ToNode>, Streaming<wire::ToGateway>);

/// Opens the stream and waits for the node's first words.
async fn open(
    client: &mut SessionsClient<Channel>,
    term: Option<Term>,
) -> Result<Opened, tonic::Status> {
    let (batches, sent) = mpsc::channel(BATCHES_AHEAD);
    let hello = wire::ToNode {
        hello: Some(wire::GatewayHello {
            term: term.map(|term| term.0),
        }),
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
async fn pump(shared: &Shared, batches: mpsc::Sender<wire::ToNode>) {
    while let Ok(room) = batches.reserve().await {
        let (batch, is_over) = {
            let mut state = shared.state.lock();
            (state.batch(), state.is_over)
        };
        match batch {
            Some(batch) => room.send(batch),
            None if is_over => return,
            None => shared.news.notified().await,
        }
    }
}

async fn read(shared: &Shared, batches: &mut Streaming<wire::ToGateway>) {
    loop {
        match batches.message().await {
            Ok(Some(batch)) => shared.take(batch.items),
            Ok(None) => return,
            Err(status) => {
                tracing::debug!(code = ?status.code(), "the stream of sessions broke");
                return;
            }
        }
    }
}

impl Shared {
    fn take(&self, items: Vec<wire::Down>) {
        let mut reached = HashMap::new();
        let mut state = self.state.lock();
        // What is said of keys keeps its place before what comes after it.
        for item in items.into_iter().filter_map(|it| it.item) {
            let delivered = match item {
                DownItem::Seal(seal) => state.deliver(seal_from(seal)),
                DownItem::QuickAck(wire::QuickAck { link, token }) => {
                    let link = LinkId(link);
                    state.deliver(FromHost::QuickAck { link, token })
                }
                DownItem::Close(wire::Close { link, code }) => {
                    let link = LinkId(link);
                    state.deliver(FromHost::Close { link, code })
                }
                DownItem::Bound(facts) => {
                    drop(state);
                    let facts = facts_from(facts);
                    self.edges().iter().for_each(|edge| edge.bound(facts));
                    state = self.state.lock();
                    None
                }
                DownItem::Revoked(key) => {
                    drop(state);
                    let key = AuthKeyId(key);
                    self.edges().iter().for_each(|edge| edge.revoke(key));
                    state = self.state.lock();
                    None
                }
                DownItem::Probed(probed) => {
                    state.is_probing = false;
                    if probed.is_quiet {
                        state.quiet_at = Some(probed.id);
                    }
                    None
                }
            };
            reached.extend(delivered);
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

    fn edges(&self) -> Vec<Arc<dyn Edge>> {
        let edges = self.edges.lock();
        edges.iter().filter_map(Weak::upgrade).collect()
    }
}

/// Batches between the queue and the connection.
const BATCHES_AHEAD: usize = 4;
