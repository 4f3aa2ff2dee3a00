//! The session node's end.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

use heliogram_ports::{Edge, FromHost, KeyFacts, SessionPort, ToHost, Wake};
use heliogram_proto::ids::{AuthKeyId, LinkId};
use parking_lot::Mutex;
use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming};

use super::{Gateways, ITEM_BYTES, cost};
use crate::generated::cluster as wire;
use crate::generated::cluster::down::Item as DownItem;
use crate::generated::cluster::sessions_server::Sessions as Contract;
use crate::generated::cluster::up::Item as UpItem;
use crate::limits::{BATCH_BYTES, LINK_WINDOW_BYTES, NEWS_WAITING_MAX};
use crate::wire::{attach_from, down_to, facts_to, frame_from};

/// Lets gateways of other processes use the sessions of this one.
pub struct SessionsService {
    port: Arc<dyn SessionPort>,
    gateways: Gateways,
}

impl SessionsService {
    /// Serves `port`. What comes from other nodes knows its connections by `gateways`: one for a port.
    #[must_use]
    pub fn new(port: Arc<dyn SessionPort>, gateways: Gateways) -> Self {
        Self { port, gateways }
    }
}

impl std::fmt::Debug for SessionsService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionsService").finish_non_exhaustive()
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
        let gateway = Arc::new(Gateway {
            port: Arc::clone(&self.port),
            gateways: self.gateways.clone(),
            state: Mutex::default(),
        });
        if let Some(before) = self.gateways.add(hello.gateway, &gateway) {
            before.end();
        }
        let edge: Weak<Gateway> = Arc::downgrade(&gateway);
        self.port.open(edge);
        tokio::spawn(read(Arc::clone(&gateway), batches));
        Ok(Response::new(Box::pin(Downwards {
            gateway,
            hello: Some(wire::NodeHello {}),
            batched: VecDeque::new(),
        })))
    }
}

/// A gateway, as a session node sees it: one stream.
pub(super) struct Gateway {
    port: Arc<dyn SessionPort>,
    gateways: Gateways,
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
    /// Frames that the port has taken, and of how many of them the gateway was told.
    taken: u64,
    taken_told: u64,
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
        !self.ready.is_empty()
            || !self.news.is_empty()
            || !self.probes.is_empty()
            || self.taken != self.taken_told
            || self.is_over
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
                    let Some(link) = self.link_of(frame.link) else {
                        return Ok(());
                    };
                    inputs.push(ToHost::Frame(frame_from(frame, link)?));
                    touched.push(link);
                }
                UpItem::Attach(attach) => {
                    let Some(link) = self.link_of(attach.link) else {
                        return Ok(());
                    };
                    inputs.push(ToHost::Attach(attach_from(attach, link)?));
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
        let frames = inputs.iter().filter(|it| matches!(it, ToHost::Frame(_)));
        let frames = u64::try_from(frames.count()).unwrap_or(0);
        self.port.submit(inputs);
        self.change(|state| {
            state.taken += frames;
            touched.drain(..).for_each(|link| state.wake(link));
        });
    }

    /// Returns the number of this process for a link of the gateway; makes the link known if it is new. Nothing once the stream
    /// is over.
    pub(super) fn link_of(self: &Arc<Self>, theirs: u64) -> Option<LinkId> {
        // The port hears of its beginning before anybody else can say something of it, and of its end after that.
        let mut state = self.state.lock();
        if state.is_over {
            return None;
        }
        if let Some(&link) = state.theirs.get(&theirs) {
            return Some(link);
        }
        let link = self.gateways.next_link();
        let gateway = Arc::downgrade(self);
        self.port.attach(link, Arc::new(LinkWake { gateway, link }));
        state.theirs.insert(theirs, link);
        let known = Link {
            theirs,
            owed: 0,
            is_ready: false,
        };
        state.links.insert(link, known);
        Some(link)
    }

    /// Returns the gateway's number for a link, if it is one of this stream.
    pub(super) fn number_of(&self, link: LinkId) -> Option<u64> {
        self.state.lock().links.get(&link).map(|it| it.theirs)
    }

    /// Returns how many links the stream has, and how much news waits.
    pub(super) fn sizes(&self) -> (usize, usize) {
        let state = self.state.lock();
        (state.links.len(), state.news.len())
    }

    /// Has the gateway close a link, if it is one of this stream.
    pub(super) fn close(&self, link: LinkId) {
        if let Some(link) = self.number_of(link) {
            let close = DownItem::Close(wire::Close { link, code: None });
            self.change(|state| state.news.push(close));
        }
    }

    fn forget(&self, theirs: u64) -> Option<LinkId> {
        let mut state = self.state.lock();
        let link = state.theirs.remove(&theirs)?;
        state.links.remove(&link);
        Some(link)
    }

    /// Ends the stream, and with it its links.
    pub(super) fn end(&self) {
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
        let has_room = self.change(|state| {
            let has_room = state.news.len() < NEWS_WAITING_MAX;
            if has_room {
                state.news.push(news);
            }
            has_room
        });
        if !has_room {
            self.gateways.count_lost_news();
        }
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
    /// Drained and not sent: a batch may be more than one message takes.
    batched: VecDeque<DownItem>,
}

impl Downwards {
    /// Takes what goes in one message: the item that fills it is its last.
    fn message(&mut self) -> Option<wire::ToGateway> {
        let (mut items, mut bytes) = (Vec::new(), 0);
        while bytes < BATCH_BYTES
            && let Some(item) = self.batched.pop_front()
        {
            bytes += cost_of(&item);
            items.push(wire::Down { item: Some(item) });
        }
        (!items.is_empty()).then_some(wire::ToGateway { hello: None, items })
    }
}

/// Returns what an item counts in a message: at least what is around its body.
fn cost_of(item: &DownItem) -> usize {
    match item {
        DownItem::Seal(seal) => seal.body.len() + ITEM_BYTES,
        DownItem::QuickAck(_)
        | DownItem::Close(_)
        | DownItem::Bound(_)
        | DownItem::Revoked(_)
        | DownItem::Probed(_)
        | DownItem::Taken(_) => ITEM_BYTES,
    }
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
            if let Some(message) = self.message() {
                return Poll::Ready(Some(Ok(message)));
            }
            self.batched = self.gateway.batch().into();
            if !self.batched.is_empty() {
                continue;
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
        let mut items = {
            let mut state = self.state.lock();
            let mut items = std::mem::take(&mut state.news);
            if state.taken != state.taken_told {
                state.taken_told = state.taken;
                items.push(DownItem::Taken(state.taken));
            }
            items
        };
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

#[cfg(test)]
mod tests {
    use heliogram_ports::Attach;
    use heliogram_ports::metrics::Readings;

    use super::*;
    use crate::sessions::gateways::LinkName;

    #[test]
    fn the_connections_of_gateways_are_told_apart_and_found_by_their_names() {
        let (port, gateways) = (Arc::new(Noting::default()), Gateways::new());
        let (a, b) = (gateway(&port, &gateways), gateway(&port, &gateways));
        assert!(gateways.add(7, &a).is_none() && gateways.add(8, &b).is_none());
        let name = |gateway| LinkName { gateway, number: 1 };
        let of_a = a.link_of(1).unwrap();
        assert_eq!(a.link_of(1), Some(of_a));
        assert_eq!(gateways.name(of_a), Some(name(7)));
        // Another node has spoken of it: this one has not heard of it before.
        let of_b = gateways.link(name(8)).unwrap();
        assert_ne!(of_a, of_b);
        assert_eq!(b.link_of(1), Some(of_b));
        assert_eq!(*port.attached.lock(), [of_a, of_b]);
        assert_eq!(gateways.link(name(9)), None, "no such gateway has a stream");
    }

    #[test]
    fn a_gateway_that_comes_again_ends_its_stream_of_before_and_nobody_elses() {
        let (port, gateways) = (Arc::new(Noting::default()), Gateways::new());
        let (a, b, again) = (
            gateway(&port, &gateways),
            gateway(&port, &gateways),
            gateway(&port, &gateways),
        );
        assert!(gateways.add(7, &a).is_none() && gateways.add(8, &b).is_none());
        let (of_a, of_b) = (a.link_of(1).unwrap(), b.link_of(1).unwrap());
        gateways.add(7, &again).unwrap().end();
        assert_eq!(*port.detached.lock(), [of_a]);
        // What the old stream has yet to say is nobody's.
        assert_eq!(a.link_of(2), None);
        assert_ne!(again.link_of(1), Some(of_a));
        assert_eq!((gateways.name(of_a), b.link_of(1)), (None, Some(of_b)));
    }

    #[test]
    fn so_many_news_of_keys_wait_for_a_gateway_and_one_more_is_missed() {
        let (port, gateways) = (Arc::new(Noting::default()), Gateways::new());
        let a = gateway(&port, &gateways);
        let key = |at: usize| AuthKeyId(i64::try_from(at).unwrap());
        for at in 1..=NEWS_WAITING_MAX {
            a.revoke(key(at));
        }
        let last = DownItem::Revoked(key(NEWS_WAITING_MAX).0);
        assert_eq!(a.state.lock().news.last(), Some(&last));
        a.revoke(key(NEWS_WAITING_MAX + 1));
        assert_eq!(a.state.lock().news.last(), Some(&last));
        assert_eq!(a.state.lock().news.len(), NEWS_WAITING_MAX);
    }

    #[test]
    fn a_link_whose_session_is_lost_is_closed_by_its_gateway() {
        let (port, gateways) = (Arc::new(Noting::default()), Gateways::new());
        let (a, b) = (gateway(&port, &gateways), gateway(&port, &gateways));
        assert!(gateways.add(7, &a).is_none() && gateways.add(8, &b).is_none());
        gateways.close(a.link_of(5).unwrap());
        let close = wire::Close {
            link: 5,
            code: None,
        };
        assert_eq!(a.batch(), [DownItem::Close(close)]);
        assert_eq!(b.batch(), []);
    }

    #[test]
    fn so_much_news_waits_for_a_gateway_and_what_is_more_is_counted_as_lost() {
        let (port, gateways) = (Arc::new(Noting::default()), Gateways::new());
        let a = gateway(&port, &gateways);
        assert!(gateways.add(7, &a).is_none());
        a.link_of(5).unwrap();
        let read = || {
            let readings = Readings::of(&gateways).0;
            ["streams", "connections", "waiting_news", "lost_news"]
                .map(|name| readings[&format!("gateways_{name}")])
        };
        (0..NEWS_WAITING_MAX).for_each(|_| a.revoke(AuthKeyId(1)));
        let waiting = u64::try_from(NEWS_WAITING_MAX).unwrap();
        assert_eq!(read(), [1, 1, waiting, 0]);
        a.revoke(AuthKeyId(1));
        assert_eq!(read(), [1, 1, waiting, 1]);
        assert_eq!(a.batch().len(), NEWS_WAITING_MAX);
        assert_eq!(read(), [1, 1, 0, 1]);
        drop(a);
        assert_eq!(read(), [0, 0, 0, 1]);
    }

    fn gateway(port: &Arc<Noting>, gateways: &Gateways) -> Arc<Gateway> {
        Arc::new(Gateway {
            port: Arc::<Noting>::clone(port),
            gateways: gateways.clone(),
            state: Mutex::default(),
        })
    }

    /// Takes note of links.
    #[derive(Default)]
    struct Noting {
        attached: Mutex<Vec<LinkId>>,
        detached: Mutex<Vec<LinkId>>,
    }

    impl SessionPort for Noting {
        fn open(&self, _: Weak<dyn Edge>) {}

        fn attach(&self, link: LinkId, _: Arc<dyn Wake>) {
            self.attached.lock().push(link);
        }

        fn submit(&self, inputs: &mut Vec<ToHost>) {
            for input in inputs.drain(..) {
                match input {
                    ToHost::Detach { link } => self.detached.lock().push(link),
                    ToHost::Frame(_) | ToHost::Attach(Attach { .. }) => {}
                }
            }
        }

        fn drain(&self, _: LinkId, _: &mut Vec<FromHost>) {}

        fn is_quiet(&self) -> bool {
            true
        }
    }
}
