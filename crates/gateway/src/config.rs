//! What a gateway can be told. Every value has a default.

use std::net::SocketAddr;
use std::time::Duration;

use heliogram_ports::trace::Tracer;
use heliogram_proto::edge::network::Network;
use heliogram_proto::edge::{keys, limiter};
use heliogram_proto::limits::EXCHANGE_JOBS_MAX;
use heliogram_proto::{link, transport};

/// Where to listen, and what connections may take. Make it with [`Default`] and change what differs.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Where to listen.
    pub listeners: Vec<Listener>,
    /// Transports that are spoken; WebSocket and `PROXY` headers are each listener's own affair.
    pub transport: transport::server::Config,
    /// Connections and handshakes, by address and in total.
    pub limiter: limiter::Config,
    /// Keys at hand.
    pub keys: keys::Config,
    /// Time limits and sizes of one connection.
    pub link: link::Limits,
    /// Networks that may announce another address by a `PROXY` header; connections of others to such a listener are
    /// closed.
    pub proxies: Vec<Network>,
    /// Threads that do the arithmetic of handshakes.
    pub workers: usize,
    /// Steps of handshakes that wait for a worker or are at one; more are refused with `-429`.
    pub work_queue_max: usize,
    /// Bytes that wait for a slow reader; who has more than these waiting for [`Self::backlog_age_max`] is closed.
    pub backlog_bytes_max: usize,
    /// How long a reader may take nothing at all of what waits for it.
    pub backlog_age_max: Duration,
    /// Over how long a time a shutdown has clients go to another gateway, before anything else: connections of which nothing
    /// is asked are closed one after another. Zero where there is no other gateway.
    pub leave_spread: Duration,
    /// How long a shutdown waits for calls that are running and for what is on its way out.
    pub shutdown_grace: Duration,
    /// Traces a share of the frames, if it is given.
    pub tracer: Option<Tracer>,
}

impl Default for Config {
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            listeners: Vec::new(),
            transport: transport::server::Config::default(),
            limiter: limiter::Config::default(),
            keys: keys::Config::default(),
            link: link::Limits::default(),
            proxies: Network::LOOPBACK.to_vec(),
            workers: threads.div_ceil(2),
            work_queue_max: EXCHANGE_JOBS_MAX,
            backlog_bytes_max: 4 << 20,
            backlog_age_max: Duration::from_secs(30),
            leave_spread: Duration::ZERO,
            shutdown_grace: Duration::from_secs(10),
            tracer: None,
        }
    }
}

/// One address to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Port 0 lets the system choose.
    pub address: SocketAddr,
    /// What is spoken there.
    pub kind: ListenerKind,
    /// Every connection begins with a `PROXY` header, version 1 or 2.
    pub proxy_protocol: bool,
}

impl Listener {
    /// Makes a listener for every framing, plain or obfuscated.
    #[must_use]
    pub const fn tcp(address: SocketAddr) -> Self {
        Self {
            address,
            kind: ListenerKind::Tcp,
            proxy_protocol: false,
        }
    }

    /// Makes a listener for WebSocket at `/apiws`.
    #[must_use]
    pub const fn websocket(address: SocketAddr) -> Self {
        Self {
            address,
            kind: ListenerKind::WebSocket,
            proxy_protocol: false,
        }
    }
}

/// What is spoken on a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new kind must break every driver at compile time"
)]
pub enum ListenerKind {
    /// Every framing, plain or obfuscated.
    Tcp,
    /// WebSocket at `/apiws`, subprotocol `binary`.
    WebSocket,
}
