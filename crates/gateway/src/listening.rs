//! The listeners of a gateway: opened, changed while it runs, closed in the end.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use heliogram_proto::transport::server::{self as transport, Transport, WebSocket};
use parking_lot::Mutex;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::config::{Listener, ListenerKind};
use crate::connection::Connection;
use crate::edge::Edge;

/// The listeners.
#[derive(Default)]
pub(crate) struct Listening {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    phase: Phase,
    open: Vec<Open>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Phase {
    /// Connections wait in the queues of their sockets.
    #[default]
    Bound,
    Accepting,
    Closed,
}

/// A listener whose socket is bound.
struct Open {
    /// As it was asked for: its port may be 0.
    asked: Listener,
    address: SocketAddr,
    socket: Arc<TcpListener>,
    task: Option<JoinHandle<()>>,
}

impl Listening {
    /// Has exactly these listeners from now on. Those that are open already stay so, whatever is spoken on them now.
    ///
    /// # Errors
    ///
    /// Those of the system, if one can't be bound; the message names its address. Nothing is changed then.
    pub(crate) fn set(&self, edge: &Arc<Edge>, wanted: &[Listener]) -> io::Result<()> {
        let mut state = self.state.lock();
        let mut bound: Vec<_> = state.open.iter().map(|it| Some(it.asked.address)).collect();
        let mut plan = Vec::with_capacity(wanted.len());
        for &asked in wanted {
            let kept = bound.iter().position(|it| *it == Some(asked.address));
            plan.push(match kept {
                Some(index) => {
                    if let Some(taken) = bound.get_mut(index) {
                        *taken = None;
                    }
                    (asked, Ok(index))
                }
                None => (asked, Err(listen(asked.address)?)),
            });
        }
        let mut before: Vec<_> = std::mem::take(&mut state.open)
            .into_iter()
            .map(Some)
            .collect();
        for (asked, socket) in plan {
            let open = match socket {
                Ok(index) => before.get_mut(index).and_then(Option::take),
                Err((address, socket)) => Some(Open {
                    asked,
                    address,
                    socket: Arc::new(socket),
                    task: None,
                }),
            };
            let Some(mut open) = open else { continue };
            if open.asked != asked {
                open.asked = asked;
                open.stop();
            }
            if state.phase == Phase::Accepting {
                open.start(edge);
            }
            state.open.push(open);
        }
        for mut gone in before.into_iter().flatten() {
            gone.stop();
        }
        Ok(())
    }

    /// Lets connections in.
    pub(crate) fn start(&self, edge: &Arc<Edge>) {
        let mut state = self.state.lock();
        state.phase = Phase::Accepting;
        state.open.iter_mut().for_each(|open| open.start(edge));
    }

    /// Closes all listeners for ever; returns once they are.
    pub(crate) async fn close(&self) {
        let open = {
            let mut state = self.state.lock();
            state.phase = Phase::Closed;
            std::mem::take(&mut state.open)
        };
        for task in open.into_iter().filter_map(|open| open.task) {
            task.abort();
            // It ends by being cancelled.
            let _ = task.await;
        }
    }

    /// Returns the listeners in the order in which they were asked for, with the ports that the system chose.
    pub(crate) fn addresses(&self) -> Vec<Listener> {
        let of = |open: &Open| Listener {
            address: open.address,
            ..open.asked
        };
        self.state.lock().open.iter().map(of).collect()
    }
}

impl Open {
    fn start(&mut self, edge: &Arc<Edge>) {
        if self.task.is_none() {
            let accepting = accept(Arc::clone(edge), self.asked, Arc::clone(&self.socket));
            self.task = Some(edge.start(accepting));
        }
    }

    fn stop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<(SocketAddr, TcpListener)> {
    let bind = || {
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
        let socket = TcpListener::from_std(socket.into())?;
        Ok((socket.local_addr()?, socket))
    };
    bind().map_err(|error: io::Error| {
        io::Error::new(error.kind(), format!("can't listen on {address}: {error}"))
    })
}

/// Accepts connections, each into a task of its own.
async fn accept(edge: Arc<Edge>, listener: Listener, socket: Arc<TcpListener>) {
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

/// Connections that wait to be accepted.
const ACCEPT_QUEUE: i32 = 1024;

const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
