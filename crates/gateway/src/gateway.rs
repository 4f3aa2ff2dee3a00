//! Listening, admitting, and shutting down.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use heliogram_ports::metrics::{Measured, Meter};
use heliogram_ports::{AuthKeys, SessionPort};
use heliogram_proto::exchange::server::Config as ExchangeConfig;
use heliogram_proto::transport::server::{self as transport, Transport, WebSocket};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::config::{Config, Listener, ListenerKind};
use crate::connection::Connection;
use crate::edge::{Edge, Phase};

/// A gateway whose listeners are bound. Connections wait in their queues until [`Self::run`].
pub struct Gateway {
    edge: Arc<Edge>,
    sockets: Vec<(Listener, TcpListener)>,
}

impl Gateway {
    /// Binds all listeners. To be called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// Those of the system, for a listener (the message names its address) or for the worker threads.
    pub fn bind(
        config: Config,
        keys: Arc<dyn AuthKeys>,
        sessions: Arc<dyn SessionPort>,
        exchange: ExchangeConfig,
    ) -> io::Result<Self> {
        let mut sockets = Vec::with_capacity(config.listeners.len());
        for listener in &config.listeners {
            let socket = listen(listener.address).map_err(|error| {
                io::Error::new(
                    error.kind(),
                    format!("can't listen on {}: {error}", listener.address),
                )
            })?;
            let address = socket.local_addr()?;
            sockets.push((
                Listener {
                    address,
                    ..*listener
                },
                socket,
            ));
        }
        let edge = Arc::new(Edge::new(config, keys, sessions, exchange)?);
        edge.open();
        Ok(Self { edge, sockets })
    }

    /// Returns the listeners in the order of the configuration, with the ports that the system chose.
    #[must_use]
    pub fn addresses(&self) -> Vec<Listener> {
        self.sockets.iter().map(|&(listener, _)| listener).collect()
    }

    /// Returns what can be asked for the gateway's numbers, also while it runs.
    #[must_use]
    pub fn measured(&self) -> Arc<dyn Measured> {
        Arc::new(Numbers(Arc::downgrade(&self.edge)))
    }

    /// Serves until `shutdown`, then ends in order: no more is accepted or read; calls that are running have
    /// [`Config::shutdown_grace`] to be answered; what is answered is written.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let mut tasks = JoinSet::new();
        for (listener, socket) in self.sockets {
            tasks.spawn(accept(Arc::clone(&self.edge), listener, socket));
        }
        let tending = tokio::spawn(Arc::clone(&self.edge).tend());
        shutdown.await;
        tracing::info!("shutting down");
        tasks.shutdown().await;
        close(&self.edge).await;
        tending.abort();
    }
}

/// Holds no gateway: one that is gone has no numbers.
struct Numbers(Weak<Edge>);

impl Measured for Numbers {
    fn measure(&self, meter: &mut dyn Meter) {
        if let Some(edge) = self.0.upgrade() {
            edge.measure(meter);
        }
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway")
            .field("listeners", &self.addresses())
            .finish_non_exhaustive()
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // Connections of the process before this one must not keep the port.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(ACCEPT_QUEUE)?;
    TcpListener::from_std(socket.into())
}

/// Accepts connections, each into a task of its own.
async fn accept(edge: Arc<Edge>, listener: Listener, socket: TcpListener) {
    let mut config = edge.config.transport.clone();
    config.proxy_header = listener.proxy_protocol;
    config.websocket = match listener.kind {
        ListenerKind::Tcp => WebSocket::Offered,
        ListenerKind::WebSocket => WebSocket::Required,
    };
    let config = Arc::new(config);
    loop {
        match socket.accept().await {
            Ok((stream, peer)) => admit(&edge, &config, stream, peer),
            Err(error) => {
                // Out of files or memory, most likely: a pause lets connections end.
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Starts a connection, if it is within the limits; else closes it without a word: nobody knows yet what it speaks.
fn admit(edge: &Arc<Edge>, config: &Arc<transport::Config>, stream: TcpStream, peer: SocketAddr) {
    let now = edge.clock.now().mono;
    let admission = if config.proxy_header {
        if !edge
            .config
            .proxies
            .iter()
            .any(|proxy| proxy.contains(peer.ip()))
        {
            tracing::debug!(%peer, "refused: not a proxy");
            edge.counts.refused(None);
            return;
        }
        edge.limiter.lock().connect_unnamed()
    } else {
        edge.limiter.lock().connect(peer.ip(), now)
    };
    let admission = match admission {
        Ok(admission) => admission,
        Err(why) => {
            tracing::debug!(%peer, ?why, "refused");
            edge.counts.refused(Some(why));
            return;
        }
    };
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "no TCP_NODELAY");
    }
    let transport = Transport::new(Arc::clone(config));
    let connection = Connection::new(Arc::clone(edge), stream, peer, transport, admission);
    tokio::spawn(Box::new(connection).run());
}

/// Lets what is under way come to its end, within the grace.
async fn close(edge: &Arc<Edge>) {
    let end = Instant::now() + edge.config.shutdown_grace;
    edge.enter(Phase::Draining);
    // Whatever was read before has reached the host once these turns are over.
    until(end, || edge.links.have_settled(Phase::Draining)).await;
    until(end, || edge.sessions.is_quiet()).await;
    edge.enter(Phase::Closing);
    until(end, || edge.links.is_empty()).await;
    edge.enter(Phase::Ended);
    until(Instant::now() + LAST_WAIT, || edge.links.is_empty()).await;
    if !edge.links.is_empty() {
        tracing::warn!("connections were cut");
    }
}

/// Waits until `is_so`, or `end`.
async fn until(end: Instant, is_so: impl Fn() -> bool) {
    while !is_so() && Instant::now() < end {
        sleep(POLL_PAUSE).await;
    }
}

/// Connections that wait to be accepted.
const ACCEPT_QUEUE: i32 = 1024;

const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Between two looks at what a shutdown waits for.
const POLL_PAUSE: Duration = Duration::from_millis(5);

/// For connections to see that time is up.
const LAST_WAIT: Duration = Duration::from_secs(1);
