//! A gateway in front of a host that sends every message back.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock, Mutex, Weak};

use heliogram_crypto::rsa::PrivateKey;
use heliogram_gateway::{Config, Control, ExchangeConfig, Gateway, Listener};
use heliogram_ports::memory::MemoryKeys;
use heliogram_ports::{AuthKeys, Edge, Frame, FromHost, SessionPort, ToHost, Wake};
use heliogram_proto::exchange::server::{Dcs, Keyring};
use heliogram_proto::ids::{LinkId, MsgId, Term};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A running gateway.
pub(crate) struct Server {
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) sessions: Arc<Echo>,
    pub(crate) control: Control,
    stop: Option<oneshot::Sender<()>>,
    run: JoinHandle<()>,
}

impl Server {
    /// Starts a gateway with one TCP listener.
    pub(crate) async fn start() -> Self {
        Self::with(|_| ()).await
    }

    /// Starts a gateway whose configuration differs.
    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::with_keys(Arc::new(MemoryKeys::new()), change).await
    }

    /// Starts a gateway in front of the given store.
    #[expect(clippy::unused_async, reason = "binding needs the test's runtime")]
    pub(crate) async fn with_keys(
        keys: Arc<dyn AuthKeys>,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let mut config = Config::default();
        config.listeners = vec![Listener::tcp(any_port())];
        change(&mut config);
        let sessions = Arc::new(Echo::default());
        let exchange = ExchangeConfig {
            keys: Keyring::new([RSA_KEY.clone()]),
            dcs: Dcs::Any,
            legacy_padding: true,
            term: Term(1).into(),
        };
        let port: Arc<dyn SessionPort> = Arc::<Echo>::clone(&sessions);
        let gateway = Gateway::bind(config, keys, port, exchange).unwrap();
        let addresses = gateway
            .addresses()
            .into_iter()
            .map(|listener| listener.address)
            .collect();
        let control = gateway.control();
        let (stop, stopped) = oneshot::channel();
        let run = tokio::spawn(gateway.run(async {
            let _ = stopped.await;
        }));
        Self {
            addresses,
            sessions,
            control,
            stop: Some(stop),
            run,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// Begins the shutdown.
    pub(crate) fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    /// Waits for the end of the shutdown.
    pub(crate) async fn ended(self) {
        self.run.await.unwrap();
    }
}

/// A loopback address whose port the system chooses.
pub(crate) fn any_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// The server's key, made once: it takes a while.
pub(crate) static RSA_KEY: LazyLock<PrivateKey> = LazyLock::new(|| PrivateKey::generate().unwrap());

/// Sends every message back under its own id plus one, once the message is let go.
#[derive(Default)]
pub(crate) struct Echo {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    links: HashMap<LinkId, (Arc<dyn Wake>, Vec<FromHost>)>,
    held: Option<Vec<Frame>>,
    seen: Vec<Frame>,
    edge: Option<Weak<dyn Edge>>,
    /// A link of which no more is welcome.
    full: Option<LinkId>,
}

impl Echo {
    /// Answers nothing until [`Self::let_go`].
    pub(crate) fn hold(&self) {
        self.inner.lock().unwrap().held = Some(Vec::new());
    }

    /// Answers what was held.
    pub(crate) fn let_go(&self) {
        let mut inner = self.inner.lock().unwrap();
        for frame in inner.held.take().unwrap_or_default() {
            inner.answer(&frame);
        }
    }

    /// Returns the gateway.
    pub(crate) fn edge(&self) -> Arc<dyn Edge> {
        let inner = self.inner.lock().unwrap();
        inner.edge.as_ref().and_then(Weak::upgrade).unwrap()
    }

    /// Welcomes no more of a link, or all of it again.
    pub(crate) fn fill(&self, full: Option<LinkId>) {
        let mut inner = self.inner.lock().unwrap();
        inner.full = full;
        inner.links.values().for_each(|(wake, _)| wake.wake());
    }

    /// Puts something for a link.
    pub(crate) fn push(&self, link: LinkId, item: FromHost) {
        self.inner.lock().unwrap().push(link, item);
    }

    /// Returns the frames that came.
    pub(crate) fn seen(&self) -> Vec<Frame> {
        self.inner.lock().unwrap().seen.clone()
    }

    /// Returns how much waits to be drained.
    pub(crate) fn waiting(&self) -> usize {
        self.inner
            .lock()
            .unwrap()
            .links
            .values()
            .map(|(_, outbox)| outbox.len())
            .sum()
    }

    /// Returns the number of links.
    pub(crate) fn links(&self) -> usize {
        self.inner.lock().unwrap().links.len()
    }
}

impl Inner {
    fn answer(&mut self, frame: &Frame) {
        let link = frame.link;
        if let Some(token) = frame.quick_ack {
            self.push(link, FromHost::QuickAck { link, token });
        }
        let seal = FromHost::Seal {
            link,
            key: frame.key.id,
            salt: frame.salt,
            session_id: frame.session_id,
            msg_id: MsgId(frame.msg_id.0 + 1),
            seqno: frame.seqno,
            body: frame.body.clone(),
        };
        self.push(link, seal);
    }

    fn push(&mut self, link: LinkId, item: FromHost) {
        if let Some((wake, outbox)) = self.links.get_mut(&link) {
            outbox.push(item);
            wake.wake();
        }
    }
}

impl SessionPort for Echo {
    fn open(&self, edge: Weak<dyn Edge>) {
        self.inner.lock().unwrap().edge = Some(edge);
    }

    fn takes_more(&self, link: LinkId) -> bool {
        self.inner.lock().unwrap().full != Some(link)
    }

    fn attach(&self, link: LinkId, wake: Arc<dyn Wake>) {
        self.inner
            .lock()
            .unwrap()
            .links
            .insert(link, (wake, Vec::new()));
    }

    fn submit(&self, inputs: &mut Vec<ToHost>) {
        for input in inputs.drain(..) {
            if let ToHost::Frame(frame) = &input {
                assert_ne!(&frame.body[..], PANIC, "asked to");
            }
            let mut inner = self.inner.lock().unwrap();
            match input {
                ToHost::Attach(_) => unreachable!("no stream breaks here"),
                ToHost::Detach { link } => {
                    inner.links.remove(&link);
                }
                ToHost::Frame(frame) => {
                    inner.seen.push(frame.clone());
                    match &mut inner.held {
                        Some(held) => held.push(frame),
                        None => inner.answer(&frame),
                    }
                }
            }
        }
    }

    fn drain(&self, link: LinkId, out: &mut Vec<FromHost>) {
        if let Some((_, outbox)) = self.inner.lock().unwrap().links.get_mut(&link) {
            out.append(outbox);
        }
    }

    fn is_quiet(&self) -> bool {
        self.inner
            .lock()
            .unwrap()
            .held
            .as_ref()
            .is_none_or(Vec::is_empty)
    }
}

/// A body on which the host panics.
pub(crate) const PANIC: &[u8] = b"panic!!!";
