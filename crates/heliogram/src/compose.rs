//! The only file that knows the deployment: which store, which session port and which backend stand behind the
//! gateway.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use heliogram_crypto::SecretBytes;
use heliogram_gateway::{ExchangeConfig, Gateway, Listener, ListenerKind};
use heliogram_ports::AuthKeys;
use heliogram_ports::memory::MemoryKeys;
use heliogram_proto::edge::network::Network;
use heliogram_proto::exchange::server::{Dcs, Keyring};
use heliogram_proto::host;
use heliogram_proto::ids::Term;
use heliogram_session::LocalPort;
use heliogram_store_embedded::MasterKeyFile;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::admin::{Access, Admin, Readiness, Shown};
use crate::apart::Apart;
use crate::backend::{BuiltIn, DataCentres};
use crate::config::{self, Config};
use crate::endpoints::Endpoints;
use crate::files;
use crate::server_key::ServerKey;
use crate::welcome::{self, Welcome};

/// A server that listens: gateway, session host, store and backend in one process.
#[derive(Debug)]
pub(crate) struct Server {
    welcome: String,
    endpoints: Endpoints,
    data: PathBuf,
    readiness: Readiness,
    stop: oneshot::Sender<()>,
    gateway: JoinHandle<()>,
    deadlines: JoinHandle<()>,
    admin: JoinHandle<()>,
    pushed: Option<JoinHandle<io::Result<()>>>,
}

impl Server {
    /// Opens everything and listens.
    ///
    /// # Errors
    ///
    /// If a file can't be opened or an address can't be bound.
    pub(crate) async fn start(config: Config) -> anyhow::Result<Self> {
        files::ensure_directory(&config.data)?;
        // First of all: it is refused to a second server, which must not touch the files of the first.
        let store = Store::open(&config)?;
        Endpoints::forget(&config.data).context("an old endpoints.json can't be removed")?;
        let key = ServerKey::ensure(&config.data)?;
        let built_in = Arc::new(BuiltIn::new(DataCentres::new(
            config.dc,
            config.served_dcs.clone(),
        )));
        let apart = Apart::new(&config.backend, Arc::<BuiltIn>::clone(&built_in))?;
        let sessions = LocalPort::new(
            &host_config(&config, &store),
            shards(),
            Arc::clone(&store.keys),
            Arc::clone(&apart.backend),
            Handle::current(),
        );
        let pushed = apart.listen(&config.backend, Arc::new(sessions.clone()));
        let pushed = pushed.await?;
        let exchange = ExchangeConfig {
            keys: Keyring::new([key.private.clone()]),
            dcs: Dcs::Listed(
                config
                    .served_dcs
                    .iter()
                    .map(|dc| dc.get().unsigned_abs())
                    .collect(),
            ),
            legacy_padding: true,
            term: store.term.into(),
        };
        let gateway = Gateway::bind(
            gateway_config(&config),
            store.keys,
            Arc::new(sessions.clone()),
            exchange,
        )
        .map_err(|error| anyhow!("{error}{}", next_step(error.kind())))?;
        let access = Access::load(config.admin.token_file.as_deref())?;
        let admin = Admin::bind(config.listen.admin).await.map_err(|error| {
            let (address, help) = (config.listen.admin, next_step(error.kind()));
            anyhow!("can't listen on {address} (admin): {error}{help}")
        })?;

        let mut measured = apart.measured.clone();
        measured.extend([gateway.measured(), Arc::new(sessions.clone())]);
        let endpoints = endpoints(&gateway, &admin)?;
        built_in.publish(advertised(&config, &endpoints));
        let welcome = Welcome::new(&key, &config, &endpoints).to_string();
        let readiness = Readiness::default();
        let (stop, stopped) = oneshot::channel();
        Ok(Self {
            welcome,
            endpoints,
            data: config.data,
            stop,
            gateway: tokio::spawn(gateway.run(async {
                // The sender is dropped only with the server: then it is to end, too.
                let _ = stopped.await;
            })),
            deadlines: tokio::spawn(async move { sessions.run().await }),
            pushed: pushed.map(|bound| tokio::spawn(bound.serve(std::future::pending()))),
            admin: tokio::spawn(admin.serve(Shown {
                readiness: readiness.clone(),
                access,
                measured,
            })),
            readiness,
        })
    }

    /// Says that clients are welcome: `GET /ready` answers so, and `endpoints.json` is there.
    ///
    /// # Errors
    ///
    /// If the file can't be written.
    pub(crate) fn announce(&self) -> anyhow::Result<()> {
        self.readiness.set(true);
        self.endpoints.write(&self.data)
    }

    /// Returns what a new user is to see.
    pub(crate) fn welcome(&self) -> &str {
        &self.welcome
    }

    /// Ends in order: no new clients, answers to calls that are running, then everything closes.
    pub(crate) async fn shutdown(self) {
        self.readiness.set(false);
        // The receiver is gone only if the gateway has ended by itself.
        let _ = self.stop.send(());
        if let Err(error) = self.gateway.await {
            tracing::error!(%error, "the gateway did not end in order");
        }
        self.deadlines.abort();
        self.admin.abort();
        if let Some(pushed) = self.pushed {
            pushed.abort();
        }
    }
}

/// An open store.
struct Store {
    keys: Arc<dyn AuthKeys>,
    term: Term,
    salt_secret: SecretBytes<32>,
}

impl Store {
    fn open(config: &Config) -> anyhow::Result<Self> {
        match config.store.kind {
            config::StoreKind::File => {
                Self::open_file(&config.data, config.store.master_key_file.as_deref())
            }
            config::StoreKind::Memory => Self::open_memory(),
        }
    }

    fn open_file(data: &Path, master_key: Option<&Path>) -> anyhow::Result<Self> {
        let mut config = heliogram_store_embedded::Config::in_directory(data);
        if let Some(path) = master_key {
            config.master_key = MasterKeyFile::Given(path.to_owned());
        }
        let opened = heliogram_store_embedded::open(&config)?;
        Ok(Self {
            keys: Arc::new(opened.keys),
            term: opened.term,
            salt_secret: opened.salt_secret,
        })
    }

    /// Every start is a term of its own by its secret: no salt of an earlier one is valid.
    fn open_memory() -> anyhow::Result<Self> {
        let salt_secret = SecretBytes::new(entropy()?);
        Ok(Self {
            keys: Arc::new(MemoryKeys::new()),
            term: Term(1),
            salt_secret,
        })
    }
}

fn host_config(config: &Config, store: &Store) -> host::Config {
    let mut host = host::Config::new(store.term, store.salt_secret.clone());
    let allowed = &config.api.allowed;
    host.api_ids = (!allowed.is_empty()).then(|| {
        allowed
            .iter()
            .map(|application| application.api_id)
            .collect()
    });
    host
}

fn gateway_config(config: &Config) -> heliogram_gateway::Config {
    let mut gateway = heliogram_gateway::Config::default();
    let listener = |kind| {
        let proxy_protocol = config.listen.proxy_protocol;
        move |&address: &SocketAddr| Listener {
            address,
            kind,
            proxy_protocol,
        }
    };
    gateway
        .listeners
        .extend(config.listen.tcp.iter().map(listener(ListenerKind::Tcp)));
    gateway.listeners.extend(
        config
            .listen
            .websocket
            .iter()
            .map(listener(ListenerKind::WebSocket)),
    );
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

fn networks(configured: &[config::Network]) -> Vec<Network> {
    configured.iter().map(|network| network.0).collect()
}

fn endpoints(gateway: &Gateway, admin: &Admin) -> anyhow::Result<Endpoints> {
    let of_kind = |kind| {
        let listeners = gateway
            .addresses()
            .into_iter()
            .filter(move |listener| listener.kind == kind);
        listeners.map(|listener| listener.address).collect()
    };
    Ok(Endpoints {
        tcp: of_kind(ListenerKind::Tcp),
        websocket: of_kind(ListenerKind::WebSocket),
        admin: admin.address()?,
    })
}

/// What clients are told: the operator knows better than the sockets.
fn advertised(config: &Config, endpoints: &Endpoints) -> Vec<SocketAddr> {
    if !config.listen.advertise.is_empty() {
        return config.listen.advertise.clone();
    }
    if endpoints
        .tcp
        .iter()
        .any(|address| address.ip().is_unspecified())
    {
        tracing::warn!(
            "clients are told to come to this machine's loopback: set `listen.advertise`"
        );
    }
    endpoints
        .tcp
        .iter()
        .copied()
        .map(welcome::reachable)
        .collect()
}

/// Says what to do about an address that can't be had.
fn next_step(kind: io::ErrorKind) -> &'static str {
    if kind == io::ErrorKind::AddrInUse {
        "; end what listens there, or choose another with --listen, --ws-listen or --admin (port 0: any free one)"
    } else if kind == io::ErrorKind::AddrNotAvailable {
        "; choose an address of this machine"
    } else if kind == io::ErrorKind::PermissionDenied {
        "; choose a port from 1024 on"
    } else {
        ""
    }
}

/// More than threads, so that two of them seldom want the same lock.
fn shards() -> usize {
    std::thread::available_parallelism().map_or(4, |threads| threads.get() * 4)
}

fn entropy() -> anyhow::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| anyhow::anyhow!("the system gives no entropy: {error}"))?;
    Ok(bytes)
}
