//! The side of the clients: a gateway, its listeners and its RSA keys.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use heliogram_gateway::{Control, ExchangeConfig, Gateway, Listener, ListenerKind};
use heliogram_ports::metrics::Measured;
use heliogram_ports::{AuthKeys, SessionPort};
use heliogram_proto::edge::network::Network;
use heliogram_proto::exchange::server::{Dcs, Keyring, Terms};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::next_step;
use crate::config::{self, Config};
use crate::endpoints::Endpoints;
use crate::observed::Observed;
use crate::server_key::ServerKey;
use crate::welcome;

/// A gateway that runs.
#[derive(Debug)]
pub(super) struct Front {
    control: Control,
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
}

/// What a gateway needs of the rest of a server.
pub(super) struct Rest {
    /// Finds keys, and keeps new ones.
    pub(super) keys: Arc<dyn AuthKeys>,
    /// Takes messages.
    pub(super) sessions: Arc<dyn SessionPort>,
    /// The terms in which first salts are valid.
    pub(super) term: Terms,
    /// There are gateways elsewhere that clients can go to.
    pub(super) has_others: bool,
}

/// A gateway whose listeners are bound.
#[derive(Debug)]
pub(super) struct Bound {
    gateway: Gateway,
    /// The key that new users are told of.
    pub(super) key: ServerKey,
}

impl Bound {
    /// Binds the configured listeners.
    ///
    /// # Errors
    ///
    /// If an RSA key can't be used, or an address can't be bound.
    pub(super) fn bind(config: &Config, rest: Rest, observed: &Observed) -> anyhow::Result<Self> {
        let key = ServerKey::load(&config.data, &config.server_keys)?;
        let exchange = ExchangeConfig {
            keys: Keyring::new(key.all().cloned()),
            dcs: Dcs::Listed(
                config
                    .served_dcs
                    .iter()
                    .map(|dc| dc.get().unsigned_abs())
                    .collect(),
            ),
            legacy_padding: true,
            term: rest.term,
        };
        let mut gateway = gateway_config(config);
        gateway.tracer = observed.tracer();
        if rest.has_others {
            // One half to send clients to them, the other for those that are still waited for.
            gateway.shutdown_grace /= 2;
            gateway.leave_spread = gateway.shutdown_grace;
        }
        let gateway = Gateway::bind(gateway, rest.keys, rest.sessions, exchange)
            .map_err(|error| anyhow!("{error}{}", next_step(error.kind())))?;
        Ok(Self { gateway, key })
    }

    /// Returns the addresses of one kind of listener, in the order of the configuration.
    pub(super) fn addresses(&self, kind: ListenerKind) -> Vec<SocketAddr> {
        of_kind(&self.gateway.addresses(), kind)
    }

    /// Returns who has the gateway's numbers.
    pub(super) fn measured(&self) -> Arc<dyn Measured> {
        self.gateway.measured()
    }

    /// Lets clients in.
    pub(super) fn run(self) -> Front {
        let control = self.gateway.control();
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(self.gateway.run(async {
            // The sender is dropped only with the server: then it is to end, too.
            let _ = stopped.await;
        }));
        Front {
            control,
            stop,
            running,
        }
    }
}

impl Front {
    /// Reads the RSA keys anew, and listens where this configuration says.
    ///
    /// # Errors
    ///
    /// If a key can't be used, or an address can't be bound: nothing is changed then but the keys.
    pub(super) fn reload(&self, data: &Path, config: &Config) -> anyhow::Result<()> {
        let key = ServerKey::load(data, &config.server_keys)?;
        self.control.set_keys(Keyring::new(key.all().cloned()));
        let listened = self.control.listen(&listeners(config));
        listened.map_err(|error| anyhow!("{error}{}", next_step(error.kind())))
    }

    /// Says where it listens now.
    pub(super) fn addresses(&self, endpoints: &mut Endpoints) {
        let addresses = self.control.addresses();
        endpoints.tcp = of_kind(&addresses, ListenerKind::Tcp);
        endpoints.websocket = of_kind(&addresses, ListenerKind::WebSocket);
    }

    /// Lets nobody in any more, and ends once what is running has been answered.
    pub(super) async fn shutdown(self) {
        // The receiver is gone only if the gateway has ended by itself.
        let _ = self.stop.send(());
        if let Err(error) = self.running.await {
            tracing::error!(%error, "the gateway did not end in order");
        }
    }
}

fn of_kind(listeners: &[Listener], kind: ListenerKind) -> Vec<SocketAddr> {
    let of_kind = listeners.iter().filter(|listener| listener.kind == kind);
    of_kind.map(|listener| listener.address).collect()
}

/// Returns what clients are told: the operator knows better than the sockets.
pub(super) fn advertised(config: &Config, bound: &[SocketAddr]) -> Vec<SocketAddr> {
    if !config.listen.advertise.is_empty() {
        return config.listen.advertise.clone();
    }
    if bound.iter().any(|address| address.ip().is_unspecified()) {
        tracing::warn!(
            "clients are told to come to this machine's loopback: set `listen.advertise`"
        );
    }
    bound.iter().copied().map(welcome::reachable).collect()
}

fn gateway_config(config: &Config) -> heliogram_gateway::Config {
    let mut gateway = heliogram_gateway::Config::default();
    gateway.listeners = listeners(config);
    gateway.proxies = networks(&config.listen.proxies);
    gateway.transport.secrets = config
        .transport
        .secrets
        .iter()
        .map(|secret| secret.0.clone())
        .collect();
    gateway.limiter.handshakes_per_minute = config.limits.handshakes_per_minute.get();
    gateway.limiter.handshakes_burst = config.limits.handshakes_burst.get();
    gateway.limiter.connections_per_address_max = config.limits.connections_per_address.get();
    gateway.limiter.connections_max = config.limits.connections_total.get();
    gateway.limiter.trusted = networks(&config.limits.trusted_networks);
    gateway.shutdown_grace = Duration::from_secs(config.limits.shutdown_grace_s.into());
    gateway
}

fn listeners(config: &Config) -> Vec<Listener> {
    let of_kind = |kind| {
        let proxy_protocol = config.listen.proxy_protocol;
        move |&address: &SocketAddr| Listener {
            address,
            kind,
            proxy_protocol,
        }
    };
    let listen = &config.listen;
    let tcp = listen.tcp.iter().map(of_kind(ListenerKind::Tcp));
    let websocket = listen.websocket.iter();
    tcp.chain(websocket.map(of_kind(ListenerKind::WebSocket)))
        .collect()
}

fn networks(configured: &[config::Network]) -> Vec<Network> {
    configured.iter().map(|network| network.0).collect()
}
