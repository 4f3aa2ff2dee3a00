//! Sessions of another process.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, Weak};

use bytes::Bytes;
use heliogram_crypto::SecretBytes;
use heliogram_grpc::limits::{FRAMES_WAITING_BYTES_MAX, LINK_WINDOW_BYTES, MESSAGE_BYTES_MAX};
use heliogram_grpc::{Gateways, RingSessions, Role, Server, SessionsService, dial};
use heliogram_ports::conformance::{self, TERM};
use heliogram_ports::{
    Answer, Attach, Backend, Call, Edge, Frame, FromHost, KeyFacts, KeyKind, Reply, RpcError,
    SessionPort, ToHost, Wake,
};
use heliogram_proto::host::Config;
use heliogram_proto::ids::{AuthKeyId, LinkId, MsgId, Salt, SeqNo, SessionId, Term};
use heliogram_session::LocalPort;
use tokio::runtime::Handle;
use tokio::sync::Notify;

use crate::process::{Process, in_time};

#[tokio::test]
async fn remote_sessions_conform() {
    let processes = Mutex::new(Vec::new());
    in_time(conformance::session_port(async |keys, backend| {
        let config = Config::new(TERM, SecretBytes::new([1; 32]));
        let port = LocalPort::new(&config, 4, keys, backend, Handle::current());
        let service = SessionsService::new(Arc::new(port), Gateways::new());
        let node = Process::start(Server::new().sessions(service)).await;
        let remote = RingSessions::of_one(node.channel(), Some(TERM));
        processes.lock().unwrap().push(node);
        Arc::new(remote) as Arc<_>
    }))
    .await;
}

#[tokio::test]
async fn links_of_two_gateways_are_two_links_whatever_their_numbers() {
    let (node, port) = serve().await;
    let (a, b) = (remote(&node), remote(&node));
    let (of_a, of_b) = (Woken::attach(&a, LINK), Woken::attach(&b, LINK));
    a.submit(&mut vec![frame(LINK, 1)]);
    of_a.until(&a, |got| !got.is_empty()).await;
    b.submit(&mut vec![frame(LINK, 2)]);
    of_b.until(&b, |got| !got.is_empty()).await;

    let seen = port.links();
    assert_eq!(seen.len(), 2, "the node tells them apart: {seen:?}");
    assert_eq!(bodies(&of_a.got()), [words(1)]);
    assert_eq!(bodies(&of_b.got()), [words(2)]);
    assert!(of_a.got().iter().all(|item| item.link() == LINK));
}

#[tokio::test]
async fn a_link_that_takes_nothing_is_sent_a_window_and_holds_nobody_up() {
    let (node, port) = serve().await;
    let gateway = remote(&node);
    let (slow, quick) = (
        Woken::attach(&gateway, LINK),
        Woken::attach(&gateway, OTHER),
    );
    gateway.submit(&mut vec![frame(LINK, ENDLESS)]);
    until(|| gateway.is_quiet()).await;
    let sent = port.drained();
    assert!(sent >= LINK_WINDOW_BYTES, "{sent}");
    assert!(sent < LINK_WINDOW_BYTES + 2 * ENDLESS_BYTES, "{sent}");

    gateway.submit(&mut vec![frame(OTHER, 1)]);
    quick.until(&gateway, |got| !got.is_empty()).await;
    assert_eq!(bodies(&quick.got()), [words(1)]);
    assert!(
        port.drained() < sent + ENDLESS_BYTES,
        "the window stays shut"
    );

    slow.until(&gateway, |got| {
        got.len() * ENDLESS_BYTES > 4 * LINK_WINDOW_BYTES
    })
    .await;
}

#[tokio::test]
async fn what_was_drained_at_once_may_be_larger_than_a_message_and_breaks_no_stream() {
    let (node, port) = serve().await;
    let gateway = remote(&node);
    let link = Woken::attach(&gateway, LINK);
    gateway.submit(&mut vec![frame(LINK, 1)]);
    link.until(&gateway, |got| !got.is_empty()).await;
    let third = Bytes::from(vec![7; MESSAGE_BYTES_MAX / 3]);
    port.say(&vec![third.clone(); 4]);
    port.say(&[words(2)]);
    link.until(&gateway, |got| got.len() >= 6).await;
    let [first, thirds @ .., last] = &bodies(&link.got())[..] else {
        panic!("there are six")
    };
    assert_eq!((first, last), (&words(1), &words(2)));
    assert!(thirds.iter().all(|it| *it == third));
    assert_eq!(port.brought_back(), [], "the stream is the first one");
}

#[tokio::test]
async fn links_whose_frames_were_taken_are_brought_back_when_the_stream_has_broken() {
    let (node, _) = serve().await;
    let gateway = remote(&node);
    let (known, unknown) = (
        Woken::attach(&gateway, LINK),
        Woken::attach(&gateway, OTHER),
    );
    gateway.submit(&mut vec![frame(LINK, 1)]);
    known.until(&gateway, |got| !got.is_empty()).await;

    let address = node.address.to_string();
    drop(node);
    // Has no way, and waits for one.
    let (service, port) = service();
    let _node = Process::start_at(Server::new().sessions(service), &address, None).await;
    until(|| !port.brought_back().is_empty()).await;
    gateway.submit(&mut vec![frame(OTHER, 3), frame(LINK, 2)]);
    unknown
        .until(&gateway, |got| bodies(got) == [words(3)])
        .await;
    known
        .until(&gateway, |got| bodies(got) == [words(1), words(2)])
        .await;

    let [attach] = port.brought_back()[..] else {
        panic!("only who was known comes back")
    };
    assert_eq!((attach.session_id, attach.term), (SessionId(1), Some(TERM)));
    assert!(port.links().contains(&attach.link));
    assert_eq!(port.links().len(), 2);
}

#[tokio::test]
async fn a_gateway_that_goes_takes_its_links_with_it() {
    let (node, port) = serve().await;
    let gateway = remote(&node);
    let link = Woken::attach(&gateway, LINK);
    gateway.submit(&mut vec![frame(LINK, 1)]);
    link.until(&gateway, |got| !got.is_empty()).await;
    drop(gateway);
    until(|| port.detached() == port.links()).await;
}

#[tokio::test]
async fn a_link_that_goes_is_gone_for_the_node_and_one_that_it_never_knew_is_not_spoken_of() {
    let (node, port) = serve().await;
    let gateway = remote(&node);
    let link = Woken::attach(&gateway, LINK);
    Woken::attach(&gateway, OTHER);
    gateway.submit(&mut vec![ToHost::Detach { link: OTHER }, frame(LINK, 1)]);
    link.until(&gateway, |got| !got.is_empty()).await;
    gateway.submit(&mut vec![ToHost::Detach { link: LINK }]);
    until(|| port.detached() == port.links()).await;
    assert_eq!(port.links().len(), 1);
}

#[tokio::test]
async fn a_host_of_another_term_closes_the_link() {
    for (term, is_closed) in [(TERM, false), (Term(TERM.0 + 1), true)] {
        let keys = Arc::new(heliogram_ports::memory::MemoryKeys::new());
        let config = Config::new(term, SecretBytes::new([1; 32]));
        let port = LocalPort::new(&config, 1, keys, Arc::new(Refusing), Handle::current());
        let service = SessionsService::new(Arc::new(port), Gateways::new());
        let node = Process::start(Server::new().sessions(service)).await;
        let gateway = remote(&node);
        let link = Woken::attach(&gateway, LINK);
        gateway.submit(&mut vec![frame(LINK, 1)]);
        link.until(&gateway, |got| !got.is_empty()).await;
        assert_eq!(link.got() == [close(LINK)], is_closed);
    }
}

#[tokio::test]
async fn what_reaches_many_links_at_once_is_handed_on_as_one() {
    let (node, port) = serve().await;
    let gateway = remote(&node);
    let links: Vec<_> = (1..=64).map(LinkId).collect();
    let woken: Vec<_> = links
        .iter()
        .map(|&link| Woken::attach(&gateway, link))
        .collect();
    for (&link, woken) in links.iter().zip(&woken) {
        gateway.submit(&mut vec![frame(link, 1)]);
        woken.until(&gateway, |got| !got.is_empty()).await;
    }
    let edge = Arc::new(Reached::default());
    let weak: Weak<Reached> = Arc::downgrade(&edge);
    gateway.open(weak);
    port.push();
    until(|| !edge.0.lock().unwrap().is_empty()).await;
    assert_eq!(*edge.0.lock().unwrap(), [links]);
}

#[tokio::test]
async fn what_is_said_of_keys_reaches_every_gateway() {
    let (node, port) = serve().await;
    let gateways = [remote(&node), remote(&node)];
    let edges = [Arc::new(Keys::default()), Arc::new(Keys::default())];
    for (gateway, edge) in gateways.iter().zip(&edges) {
        let weak: Weak<Keys> = Arc::downgrade(edge);
        gateway.open(weak);
        let link = Woken::attach(gateway, LINK);
        gateway.submit(&mut vec![frame(LINK, 1)]);
        link.until(gateway, |got| !got.is_empty()).await;
    }
    let facts = conformance::record(7, KeyKind::Permanent).facts;
    for edge in port.edges() {
        edge.bound(facts);
        edge.revoke(facts.id);
    }
    for edge in &edges {
        until(|| edge.0.lock().unwrap().len() == 2).await;
        let said = edge.0.lock().unwrap().clone();
        assert_eq!(said, [Ok(facts), Err(facts.id)]);
    }
}

#[tokio::test]
async fn frames_that_no_node_takes_wait_up_to_a_limit_and_one_more_closes_its_link() {
    // It takes connections, and says nothing.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let channel = dial(address.parse().unwrap(), Role::Session, None);
    let gateway = RingSessions::of_one(channel, None);
    let link = Woken::attach(&gateway, LINK);
    let large = |bytes| {
        let ToHost::Frame(mut frame) = frame(LINK, 0) else {
            panic!("it is a frame")
        };
        frame.body = vec![0; bytes].into();
        ToHost::Frame(frame)
    };
    // A frame counts 64 bytes more than its body.
    let half = FRAMES_WAITING_BYTES_MAX / 2 - 64;
    gateway.submit(&mut vec![large(half), large(half)]);
    let mut got = Vec::new();
    gateway.drain(LINK, &mut got);
    assert_eq!(got, []);

    gateway.submit(&mut vec![large(0)]);
    link.until(&gateway, |got| *got == [close(LINK)]).await;
}

/// A node whose port does as it is told.
async fn serve() -> (Process, Arc<Scripted>) {
    let (service, port) = service();
    (Process::start(Server::new().sessions(service)).await, port)
}

fn service() -> (SessionsService, Arc<Scripted>) {
    let port = Arc::new(Scripted::default());
    (
        SessionsService::new(Arc::<Scripted>::clone(&port), Gateways::new()),
        port,
    )
}

fn remote(node: &Process) -> RingSessions {
    RingSessions::of_one(node.channel(), Some(TERM))
}

/// A port that gives each link its own frames back; one whose frame says so gets more and more.
#[derive(Default)]
pub(crate) struct Scripted(Mutex<Script>);

#[derive(Default)]
struct Script {
    edges: Vec<Weak<dyn Edge>>,
    links: BTreeMap<LinkId, (Arc<dyn Wake>, Vec<Bytes>)>,
    attached: Vec<LinkId>,
    brought_back: Vec<Attach>,
    terms: Vec<Option<Term>>,
    detached: Vec<LinkId>,
    endless_bytes: usize,
}

impl Scripted {
    fn links(&self) -> Vec<LinkId> {
        self.0.lock().unwrap().attached.clone()
    }

    fn detached(&self) -> Vec<LinkId> {
        self.0.lock().unwrap().detached.clone()
    }

    fn brought_back(&self) -> Vec<Attach> {
        self.0.lock().unwrap().brought_back.clone()
    }

    /// Returns the terms of all frames, in order.
    pub(crate) fn terms(&self) -> Vec<Option<Term>> {
        self.0.lock().unwrap().terms.clone()
    }

    /// Returns how much was drained of what has no end.
    fn drained(&self) -> usize {
        self.0.lock().unwrap().endless_bytes
    }

    fn edges(&self) -> Vec<Arc<dyn Edge>> {
        let script = self.0.lock().unwrap();
        script.edges.iter().filter_map(Weak::upgrade).collect()
    }

    /// Has all this for the one link that there is.
    fn say(&self, bodies: &[Bytes]) {
        let mut script = self.0.lock().unwrap();
        let (wake, waiting) = script.links.values_mut().next().unwrap();
        waiting.extend_from_slice(bodies);
        let wake = Arc::clone(wake);
        drop(script);
        wake.wake();
    }

    /// Pushes something to every link.
    fn push(&self) {
        let mut script = self.0.lock().unwrap();
        for (_, waiting) in script.links.values_mut() {
            waiting.push(words(9));
        }
        drop(script);
        for edge in self.edges() {
            edge.fan_out(self.links());
        }
    }
}

impl SessionPort for Scripted {
    fn open(&self, edge: Weak<dyn Edge>) {
        self.0.lock().unwrap().edges.push(edge);
    }

    fn attach(&self, link: LinkId, wake: Arc<dyn Wake>) {
        let mut script = self.0.lock().unwrap();
        script.attached.push(link);
        script.links.insert(link, (wake, Vec::new()));
    }

    fn submit(&self, inputs: &mut Vec<ToHost>) {
        let mut script = self.0.lock().unwrap();
        for input in inputs.drain(..) {
            match input {
                ToHost::Frame(frame) => {
                    script.terms.push(frame.term);
                    let (_, waiting) = script.links.get_mut(&frame.link).unwrap();
                    waiting.push(frame.body);
                }
                ToHost::Attach(attach) => script.brought_back.push(attach),
                ToHost::Detach { link } => script.detached.push(link),
            }
        }
    }

    fn drain(&self, link: LinkId, out: &mut Vec<FromHost>) {
        let mut script = self.0.lock().unwrap();
        let Some((wake, waiting)) = script.links.get_mut(&link) else {
            return;
        };
        let seal = |body| FromHost::Seal {
            link,
            key: AuthKeyId(1),
            salt: Salt(2),
            session_id: SessionId(3),
            msg_id: MsgId(4),
            seqno: SeqNo(5),
            body,
        };
        if waiting.first() == Some(&words(ENDLESS)) {
            let wake = Arc::clone(wake);
            script.endless_bytes += ENDLESS_BYTES;
            drop(script);
            out.push(seal(vec![0; ENDLESS_BYTES].into()));
            return wake.wake();
        }
        out.extend(waiting.drain(..).map(seal));
    }

    fn is_quiet(&self) -> bool {
        true
    }
}

/// A backend that nobody has to ask.
struct Refusing;

impl Backend for Refusing {
    fn call(&self, _: Call) -> Answer {
        let (code, message) = (400, "METHOD_INVALID".to_owned());
        Answer::Now(Reply::Error(RpcError { code, message }))
    }
}

/// A connection, and what it got.
pub(crate) struct Woken {
    link: LinkId,
    news: Arc<Bell>,
    got: Mutex<Vec<FromHost>>,
}

#[derive(Default)]
struct Bell(Notify);

impl Wake for Bell {
    fn wake(&self) {
        self.0.notify_one();
    }
}

impl Woken {
    pub(crate) fn attach(gateway: &RingSessions, link: LinkId) -> Self {
        let news = Arc::new(Bell::default());
        gateway.attach(link, Arc::<Bell>::clone(&news));
        Self {
            link,
            news,
            got: Mutex::default(),
        }
    }

    pub(crate) async fn until(
        &self,
        gateway: &RingSessions,
        is_so: impl Fn(&Vec<FromHost>) -> bool,
    ) {
        in_time(async {
            loop {
                gateway.drain(self.link, &mut self.got.lock().unwrap());
                if is_so(&self.got.lock().unwrap()) {
                    return;
                }
                self.news.0.notified().await;
            }
        })
        .await;
    }

    fn got(&self) -> Vec<FromHost> {
        self.got.lock().unwrap().clone()
    }
}

/// Takes note of what reached many links.
#[derive(Default)]
struct Reached(Mutex<Vec<Vec<LinkId>>>);

impl Edge for Reached {
    fn bound(&self, _: KeyFacts) {}

    fn fan_out(self: Arc<Self>, links: Vec<LinkId>) {
        self.0.lock().unwrap().push(links);
    }

    fn revoke(&self, _: AuthKeyId) {}
}

/// Takes note of keys that are bound, and of those that are no more.
#[derive(Default)]
struct Keys(Mutex<Vec<Result<KeyFacts, AuthKeyId>>>);

impl Edge for Keys {
    fn bound(&self, key: KeyFacts) {
        self.0.lock().unwrap().push(Ok(key));
    }

    fn fan_out(self: Arc<Self>, _: Vec<LinkId>) {}

    fn revoke(&self, key: AuthKeyId) {
        self.0.lock().unwrap().push(Err(key));
    }
}

pub(crate) async fn until(is_so: impl Fn() -> bool) {
    in_time(async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

pub(crate) fn bodies(got: &[FromHost]) -> Vec<Bytes> {
    let body = |item: &FromHost| match item {
        FromHost::Seal { body, .. } => Some(body.clone()),
        FromHost::QuickAck { .. } | FromHost::Close { .. } => None,
    };
    got.iter().filter_map(body).collect()
}

pub(crate) fn close(link: LinkId) -> FromHost {
    FromHost::Close { link, code: None }
}

fn frame(link: LinkId, word: u32) -> ToHost {
    frame_of(1, link, word)
}

/// A frame under a key whose partition has this number.
pub(crate) fn frame_of(key: u8, link: LinkId, word: u32) -> ToHost {
    let mut facts = conformance::record(1, KeyKind::Permanent).facts;
    facts.id = AuthKeyId(key.into());
    ToHost::Frame(Frame {
        link,
        key: facts,
        peer: ([192, 0, 2, 1], 443).into(),
        salt: Salt(1),
        session_id: SessionId(1),
        msg_id: MsgId(4),
        seqno: SeqNo(1),
        body: words(word),
        quick_ack: None,
        is_http: false,
        term: None,
        trace: None,
    })
}

pub(crate) fn words(word: u32) -> Bytes {
    word.to_le_bytes().to_vec().into()
}

pub(crate) const LINK: LinkId = LinkId(1);
pub(crate) const OTHER: LinkId = LinkId(2);
const ENDLESS: u32 = 77;
const ENDLESS_BYTES: usize = 50_000;
