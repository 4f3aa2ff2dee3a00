//! The side of the clients: a gateway, its listeners and its RSA keys.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use heliogram_gateway::{ExchangeConfig, Gateway, Listener, ListenerKind};
use heliogram_ports::metrics::Measured;
use heliogram_ports::{AuthKeys, SessionPort};
use heliogram_proto::edge::network::Network;
use heliogram_proto::exchange::server::{Dcs, Keyring};
use heliogram_proto::ids::Term;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::next_step;
use crate::config::{self, Config};
use crate::observed::Observed;
use crate::server_key::ServerKey;
use crate::welcome;

/// A gateway that runs.
#[derive(Debug)]
pub(super) struct Front {
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
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
    pub(super) fn bind(
        config: &Config,
        keys: Arc<dyn AuthKeys>,
        sessions: Arc<dyn SessionPort>,
        term: Term,
        observed: &Observed,
    ) -> anyhow::Result<Self> {
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
            term: term.into(),
        };
        let mut gateway = gateway_config(config);
        gateway.tracer = observed.tracer();
        let gateway = Gateway::bind(gateway, keys, sessions, exchange)
            .map_err(|error| anyhow!("{error}{}", next_step(error.kind())))?;
        Ok(Self { gateway, key })
    }

    /// Returns the addresses of one kind of listener, in the order of the configuration.
    pub(super) fn addresses(&self, kind: ListenerKind) -> Vec<SocketAddr> {
        let listeners = self.gateway.addresses().into_iter();
        let of_kind = listeners.filter(|listener| listener.kind == kind);
        of_kind.map(|listener| listener.address).collect()
    }

    /// Returns who has the gateway's numbers.
    pub(super) fn measured(&self) -> Arc<dyn Measured> {
        self.gateway.measured()
    }

    /// Lets clients in.
    pub(super) fn run(self) -> Front {
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(self.gateway.run(async {
            // The sender is dropped only with the server: then it is to end, too.
            let _ = stopped.await;
        }));
        Front { stop, running }
    }
}

impl Front {
    /// Lets nobody in any more, and ends once what is running has been answered.
    pub(super) async fn shutdown(self) {
        // The receiver is gone only if the gateway has ended by itself.
        let _ = self.stop.send(());
        if let Err(error) = self.running.await {
            tracing::error!(%error, "the gateway did not end in order");
        }
    }
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
