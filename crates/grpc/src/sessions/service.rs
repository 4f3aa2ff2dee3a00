//! The session node's end.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

use heliogram_ports::{Edge, FromHost, KeyFacts, SessionPort, ToHost, Wake};
use heliogram_proto::ids::{AuthKeyId, LinkId, Term};
use parking_lot::Mutex;
use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming};

use super::cost;
use crate::generated::cluster as wire;
use crate::generated::cluster::down::Item as DownItem;
use crate::generated::cluster::sessions_server::Sessions as Contract;
use crate::generated::cluster::up::Item as UpItem;
use crate::limits::{BATCH_BYTES, LINK_WINDOW_BYTES, NEWS_WAITING_MAX};
use crate::wire::{down_to, facts_to, frame_from};

/// Lets gateways of other processes use the sessions of this one. One of them for a port: it gives links their numbers.
pub struct SessionsService {
    port: Arc<dyn SessionPort>,
    term: Term,
    next_link: Arc<AtomicU64>,
}

impl SessionsService {
    /// Serves `port`, whose host has this term.
    #[must_use]
    pub fn new(port: Arc<dyn SessionPort>, term: Term) -> Self {
        Self {
            port,
            term,
            next_link: Arc::new(AtomicU64::new(FIRST_LINK)),
        }
    }
}

impl std::fmt::Debug for SessionsService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionsService")
            .field("term", &self.term)
            .finish_non_exhaustive()
    }
}

#[tonic::async_trait]
impl Contract for SessionsService {
    type ConnectStream = Pin<Box<dyn Stream<Item = Result<wire::ToGateway, Status>> + Send>>;

    async fn connect(
        &self,
        request: Request<Streaming<wire::ToNode>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let mut batches = request.into_inner();
        let hello = batches.message().await?.and_then(|first| first.hello);
        let hello = hello.ok_or_else(|| Status::invalid_argument("a gateway says hello first"))?;
        if hello.term.is_some_and(|term| term != self.term.0) {
            return Err(Status::failed_precondition("this node has another term"));
        }
        let gateway = Arc::new(Gateway {
            port: Arc::clone(&self.port),
            next_link: Arc::clone(&self.next_link),
            state: Mutex::default(),
        });
        let edge: Weak<Gateway> = Arc::downgrade(&gateway);
        self.port.open(edge);
        tokio::spawn(read(Arc::clone(&gateway), batches));
        Ok(Response::new(Box::pin(Downwards {
            gateway,
            hello: Some(wire::NodeHello { term: self.term.0 }),
        })))
    }
}

/// A gateway, as a session node sees it: one stream.
struct Gateway {
    port: Arc<dyn SessionPort>,
    next_link: Arc<AtomicU64>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Its links by its own numbers.
    theirs: HashMap<u64, LinkId>,
    links: HashMap<LinkId, Link>,
    /// Links to be drained.
    ready: VecDeque<LinkId>,
    news: Vec<DownItem>,
    probes: Vec<u64>,
    /// Of the stream downwards, while it has nothing to send.
    waker: Option<Waker>,
    is_over: bool,
}

struct Link {
    theirs: u64,
    /// Sent, and not known to be taken.
    owed: usize,
    /// The port has something for it.
    is_ready: bool,
}

impl State {
    /// Takes note that the port has something for a link.
    fn wake(&mut self, link: LinkId) {
        if let Some(state) = self.links.get_mut(&link)
            && !state.is_ready
        {
            state.is_ready = true;
            if state.owed < LINK_WINDOW_BYTES {
                self.ready.push_back(link);
            }
        }
    }

    fn credit(&mut self, credit: wire::Credit) {
        let Some(&link) = self.theirs.get(&credit.link) else {
            return;
        };
        if let Some(state) = self.links.get_mut(&link) {
            let was_full = state.owed >= LINK_WINDOW_BYTES;
            let bytes = usize::try_from(credit.bytes).unwrap_or(usize::MAX);
            state.owed = state.owed.saturating_sub(bytes);
            if was_full && state.owed < LINK_WINDOW_BYTES && state.is_ready {
                self.ready.push_back(link);
            }
        }
    }

    /// Takes a link that is to be drained, and the gateway's number for it.
    fn next_ready(&mut self) -> Option<(LinkId, u64)> {
        loop {
            let link = self.ready.pop_front()?;
            // It may be gone meanwhile; or it was woken when it had room, and waits for credit now.
            if let Some(state) = self.links.get_mut(&link)
                && state.owed < LINK_WINDOW_BYTES
            {
                state.is_ready = false;
                return Some((link, state.theirs));
            }
        }
    }

    fn has_something(&self) -> bool {
        !self.ready.is_empty() || !self.news.is_empty() || !self.probes.is_empty() || self.is_over
    }
}

impl Gateway {
    /// Changes the state, and has the stream go on if there is something to send now.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.lock();
        let changed = change(&mut state);
        let waker = if state.has_something() {
            state.waker.take()
        } else {
            None
        };
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        changed
    }

    fn take(self: &Arc<Self>, items: Vec<wire::Up>) -> Result<(), Status> {
        let (mut inputs, mut touched) = (Vec::new(), Vec::new());
        for item in items.into_iter().filter_map(|it| it.item) {
            match item {
                UpItem::Frame(frame) => {
                    let link = self.link_of(frame.link);
                    inputs.push(ToHost::Frame(frame_from(frame, link)?));
                    touched.push(link);
                }
                UpItem::Detach(theirs) => {
                    if let Some(link) = self.forget(theirs) {
                        inputs.push(ToHost::Detach { link });
                    }
                }
                UpItem::Credit(credit) => self.change(|state| state.credit(credit)),
                UpItem::Probe(id) => {
                    self.submit(&mut inputs, &mut touched);
                    self.change(|state| state.probes.push(id));
                }
            }
        }
        self.submit(&mut inputs, &mut touched);
        Ok(())
    }

    /// Whoever hands in a link's frames drains it afterwards: it is not woken for what comes of them at once.
    fn submit(&self, inputs: &mut Vec<ToHost>, touched: &mut Vec<LinkId>) {
        self.port.submit(inputs);
        self.change(|state| touched.drain(..).for_each(|link| state.wake(link)));
    }

    /// Returns the number of this process for a link of the gateway; makes the link known if it is new.
    fn link_of(self: &Arc<Self>, theirs: u64) -> LinkId {
        let known = self.state.lock().theirs.get(&theirs).copied();
        known.unwrap_or_else(|| {
            let link = LinkId(self.next_link.fetch_add(1, Ordering::Relaxed));
            let state = Link {
                theirs,
                owed: 0,
                is_ready: false,
            };
            self.change(|all| {
                all.theirs.insert(theirs, link);
                all.links.insert(link, state);
            });
            let gateway = Arc::downgrade(self);
            self.port.attach(link, Arc::new(LinkWake { gateway, link }));
            link
        })
    }

    fn forget(&self, theirs: u64) -> Option<LinkId> {
        let mut state = self.state.lock();
        let link = state.theirs.remove(&theirs)?;
        state.links.remove(&link);
        Some(link)
    }

    /// Ends the stream, and with it its links.
    fn end(&self) {
        let links = self.change(|state| {
            state.is_over = true;
            state.theirs.clear();
            std::mem::take(&mut state.links)
        });
        let mut links: Vec<_> = links.into_keys().collect();
        links.sort_unstable();
        let detach = |link| ToHost::Detach { link };
        self.port
            .submit(&mut links.into_iter().map(detach).collect());
    }

    fn tell(&self, news: DownItem) {
        self.change(|state| {
            if state.news.len() < NEWS_WAITING_MAX {
                state.news.push(news);
            }
        });
    }
}

impl Edge for Gateway {
    fn bound(&self, key: KeyFacts) {
        self.tell(DownItem::Bound(facts_to(key)));
    }

    /// What reaches many links goes down in few batches, which the gateway's end tells from others by their size.
    fn fan_out(self: Arc<Self>, links: Vec<LinkId>) {
        self.change(|state| links.into_iter().for_each(|link| state.wake(link)));
    }

    fn revoke(&self, key: AuthKeyId) {
        self.tell(DownItem::Revoked(key.0));
    }
}

struct LinkWake {
    gateway: Weak<Gateway>,
    link: LinkId,
}

impl Wake for LinkWake {
    fn wake(&self) {
        if let Some(gateway) = self.gateway.upgrade() {
            gateway.change(|state| state.wake(self.link));
        }
    }
}

async fn read(gateway: Arc<Gateway>, mut batches: Streaming<wire::ToNode>) {
    loop {
        match batches.message().await {
            Ok(Some(batch)) => {
                if let Err(status) = gateway.take(batch.items) {
                    tracing::warn!(why = status.message(), "a gateway breaks the contract");
                    break;
                }
            }
            Ok(None) => break,
            Err(status) => {
                tracing::debug!(code = ?status.code(), "the stream of a gateway broke");
                break;
            }
        }
    }
    gateway.end();
}

/// What goes down to a gateway: made only when the connection takes it.
struct Downwards {
    gateway: Arc<Gateway>,
    hello: Option<wire::NodeHello>,
}

impl Drop for Downwards {
    fn drop(&mut self) {
        self.gateway.end();
    }
}

impl Stream for Downwards {
    type Item = Result<wire::ToGateway, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let hello = self.hello.take();
        if hello.is_some() {
            let items = Vec::new();
            return Poll::Ready(Some(Ok(wire::ToGateway { hello, items })));
        }
        loop {
            let items = self.gateway.batch();
            if !items.is_empty() {
                let items = items
                    .into_iter()
                    .map(|item| wire::Down { item: Some(item) });
                let batch = wire::ToGateway {
                    hello: None,
                    items: items.collect(),
                };
                return Poll::Ready(Some(Ok(batch)));
            }
            let mut state = self.gateway.state.lock();
            if state.is_over {
                return Poll::Ready(None);
            }
            if !state.has_something() {
                state.waker = Some(cx.waker().clone());
                return Poll::Pending;
            }
        }
    }
}

impl Gateway {
    /// Drains links until a batch is full or none has anything.
    fn batch(&self) -> Vec<DownItem> {
        // Asked first: what the last call has brought is ready before the port is quiet.
        let has_probes = !self.state.lock().probes.is_empty();
        let is_quiet = has_probes && self.port.is_quiet();
        let mut items = std::mem::take(&mut self.state.lock().news);
        let (mut drained, mut bytes) = (Vec::new(), 0);
        while bytes < BATCH_BYTES {
            let next = self.state.lock().next_ready();
            let Some((link, theirs)) = next else {
                break;
            };
            self.port.drain(link, &mut drained);
            let owed: usize = drained.iter().map(cost).sum();
            items.extend(
                drained
                    .drain(..)
                    .map(|item: FromHost| down_to(item, theirs)),
            );
            bytes += owed;
            self.owe(link, owed);
        }
        let mut state = self.state.lock();
        if has_probes && state.ready.is_empty() {
            let probed = |id| DownItem::Probed(wire::Probed { id, is_quiet });
            items.extend(state.probes.drain(..).map(probed));
        }
        items
    }

    /// Takes note of what was sent for a link. One that was woken meanwhile and has no more room waits for credit.
    fn owe(&self, link: LinkId, bytes: usize) {
        if let Some(state) = self.state.lock().links.get_mut(&link) {
            state.owed += bytes;
        }
    }
}

/// Above the numbers that a gateway in this process gives.
const FIRST_LINK: u64 = 1 << 63;
