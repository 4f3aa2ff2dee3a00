//! Real servers in this process: gateway, session host and keys in memory, on free ports of the loopback.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use heliogram_testkit::server::Servers;
//!
//! // The first is home: whoever comes is user 1000 there.
//! let servers = Servers::start([2, 4])?;
//! let home = servers.at(2);
//! println!("data centre 2 is at {}", home.address());
//! home.backend().script().fail_any(1, 420, "FLOOD_WAIT_1");
//! # Ok(())
//! # }
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};

use heliogram_crypto::SecretBytes;
use heliogram_crypto::rsa::{PrivateKey, PublicKey};
use heliogram_gateway::{Config, ExchangeConfig, Gateway, Listener};
use heliogram_ports::memory::MemoryKeys;
use heliogram_ports::{self as ports, AuthKeys};
use heliogram_proto::exchange::server::{Dcs, Keyring};
use heliogram_proto::host;
use heliogram_proto::ids::Term;
use heliogram_session::LocalPort;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::backend::{Backend, Cloud};

/// Data centres that share a cloud. They end when this is dropped.
#[derive(Debug)]
pub struct Servers {
    cloud: Arc<Cloud>,
    running: BTreeMap<i32, (Arc<Backend>, Server)>,
}

/// One of [`Servers`].
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    backend: &'a Arc<Backend>,
    server: &'a Server,
}

/// Who comes to the first of [`Servers`] and is not signed in.
pub const GUEST: i64 = 1000;

impl Servers {
    /// Starts one for each number, within a tokio runtime. The first is home: whoever comes there is [`GUEST`]; at the
    /// others nobody is signed in.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn start(dcs: impl IntoIterator<Item = i32>) -> io::Result<Self> {
        Self::start_with(dcs, |_, _| {})
    }

    /// As [`Servers::start`], each of them changed before it begins: by its number.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn start_with(
        dcs: impl IntoIterator<Item = i32>,
        change: impl Fn(i32, &mut Setup),
    ) -> io::Result<Self> {
        let cloud = Cloud::new();
        let mut running = BTreeMap::new();
        for dc in dcs {
            let backend = Backend::new(dc, &cloud);
            if running.is_empty() {
                backend.welcome(Some(GUEST));
            }
            let mut setup = Setup::new(Arc::<Backend>::clone(&backend));
            change(dc, &mut setup);
            let server = Server::start(setup)?;
            cloud.place(dc, vec![server.address()]);
            running.insert(dc, (backend, server));
        }
        Ok(Self { cloud, running })
    }

    /// Returns one of them.
    ///
    /// # Panics
    ///
    /// If there is none of this number.
    #[must_use]
    pub fn at(&self, dc: i32) -> Place<'_> {
        let (backend, server) = &self.running[&dc];
        Place { backend, server }
    }

    /// Returns their numbers and addresses.
    #[must_use]
    pub fn addresses(&self) -> Vec<(i32, SocketAddr)> {
        let each = self.running.iter();
        each.map(|(&dc, (_, server))| (dc, server.address()))
            .collect()
    }

    /// Returns what they share.
    #[must_use]
    pub const fn cloud(&self) -> &Arc<Cloud> {
        &self.cloud
    }
}

impl<'a> Place<'a> {
    /// Returns what answers calls there.
    #[must_use]
    pub const fn backend(self) -> &'a Arc<Backend> {
        self.backend
    }

    /// Returns where it speaks every framing on TCP.
    #[must_use]
    pub fn address(self) -> SocketAddr {
        self.server.address()
    }

    /// Returns where it speaks WebSocket.
    #[must_use]
    pub fn websocket(self) -> SocketAddr {
        self.server.websocket()
    }
}

/// How one server is to be. Make it with [`Setup::new`] and change what differs.
pub struct Setup {
    /// Answers calls.
    pub backend: Arc<dyn ports::Backend>,
    /// Keeps keys: in memory, empty, unless told otherwise.
    pub keys: Arc<dyn AuthKeys>,
    /// Listeners: TCP first, then WebSocket. Port 0 is any.
    pub gateway: Config,
    /// Sessions. A server that begins again with the same keys is to have another term.
    pub host: host::Config,
}

impl Setup {
    /// Listens on free ports of the loopback, with room for many handshakes.
    #[must_use]
    pub fn new(backend: Arc<dyn ports::Backend>) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut gateway = Config::default();
        gateway.listeners = vec![Listener::tcp(any), Listener::websocket(any)];
        gateway.limiter.handshakes_burst = 100_000;
        Self {
            backend,
            keys: Arc::new(MemoryKeys::new()),
            gateway,
            host: host::Config::new(Term(1), SecretBytes::new([7; 32])),
        }
    }
}

impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setup").finish_non_exhaustive()
    }
}

/// A server of any backend. It ends at once when it is dropped, as if it had crashed.
#[derive(Debug)]
pub struct Server {
    listeners: Vec<Listener>,
    stop: Option<oneshot::Sender<()>>,
    gateway: JoinHandle<()>,
    deadlines: JoinHandle<()>,
}

impl Server {
    /// Starts one, within a tokio runtime.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn start(setup: Setup) -> io::Result<Self> {
        let term = setup.host.term;
        let keys = Arc::clone(&setup.keys);
        let runtime = Handle::current();
        let port = LocalPort::new(&setup.host, SHARDS, keys, setup.backend, runtime);
        let exchange = ExchangeConfig {
            keys: Keyring::new([RSA_KEY.clone()]),
            dcs: Dcs::Any,
            legacy_padding: true,
            term: term.into(),
        };
        let port = Arc::new(port);
        let sessions = Arc::<LocalPort>::clone(&port);
        let gateway = Gateway::bind(setup.gateway, setup.keys, sessions, exchange)?;
        let listeners = gateway.addresses();
        let (stop, stopped) = oneshot::channel();
        Ok(Self {
            listeners,
            stop: Some(stop),
            gateway: tokio::spawn(gateway.run(async {
                // An error says that the server was dropped.
                let _ = stopped.await;
            })),
            deadlines: tokio::spawn(async move { port.run().await }),
        })
    }

    /// Returns its first address, which speaks every framing on TCP unless its setup has said otherwise.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.listeners[0].address
    }

    /// Returns its second address, which speaks WebSocket unless its setup has said otherwise.
    #[must_use]
    pub fn websocket(&self) -> SocketAddr {
        self.listeners[1].address
    }

    /// Ends in order: calls that are running are answered, what waits is written.
    pub async fn shutdown(mut self) {
        if let Some(stop) = self.stop.take() {
            // The receiver is gone only if the gateway has ended by itself.
            let _ = stop.send(());
        }
        // An error says that it has panicked, which its own log has told.
        let _ = (&mut self.gateway).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.gateway.abort();
        self.deadlines.abort();
    }
}

/// Returns the public half of the key of every server of this process.
#[must_use]
pub fn public_key() -> PublicKey {
    RSA_KEY.public().clone()
}

/// Made once: it takes a while.
#[expect(
    clippy::expect_used,
    reason = "a machine on which no key can be made tests nothing"
)]
static RSA_KEY: LazyLock<PrivateKey> =
    LazyLock::new(|| PrivateKey::generate().expect("an RSA key"));

const SHARDS: usize = 4;
