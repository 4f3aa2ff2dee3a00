//! What measurements share: a server in this process, and a client of a few lines.
//!
//! The server is the product's: gateway, session host and a store behind a real socket. Only the backend is of a few
//! lines, so that it costs nothing.

pub(crate) mod client;

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use heliogram_crypto::SecretBytes;
use heliogram_crypto::rsa::{PrivateKey, PublicKey};
use heliogram_gateway::{Config, ExchangeConfig, Gateway, Listener};
use heliogram_ports::memory::MemoryKeys;
use heliogram_ports::{Answer, AuthKeys, Backend, Call, Reply};
use heliogram_proto::exchange::server::{Dcs, Keyring};
use heliogram_proto::host;
use heliogram_proto::ids::Term;
use heliogram_session::LocalPort;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use tokio::runtime::{Handle, Runtime};

/// Names the server's threads, apart from those that do the arithmetic of handshakes and write files.
pub(crate) const SERVER_THREAD: &str = "bench-server";

/// A server on threads of its own; it ends when it is dropped.
pub(crate) struct Server {
    pub(crate) listening: Listening,
    _runtime: Runtime,
}

/// What clients need to know of a server.
pub(crate) struct Listening {
    pub(crate) address: SocketAddr,
    pub(crate) key: PublicKey,
}

/// What a server remembers things by.
pub(crate) struct Store {
    pub(crate) keys: Arc<dyn AuthKeys>,
    pub(crate) term: Term,
    pub(crate) salt_secret: SecretBytes<32>,
}

impl Store {
    /// Makes a store that forgets everything.
    pub(crate) fn in_memory() -> Self {
        Self::with(Arc::new(MemoryKeys::new()))
    }

    /// Makes a store around keys.
    pub(crate) fn with(keys: Arc<dyn AuthKeys>) -> Self {
        Self {
            keys,
            term: Term(1),
            salt_secret: SecretBytes::new([7; 32]),
        }
    }
}

impl Server {
    /// Starts a server with so many threads for its connections.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub(crate) fn start(threads: usize, store: Store) -> anyhow::Result<Self> {
        let runtime = runtime(threads, SERVER_THREAD)?;
        let listening = serve_on(runtime.handle(), store)?;
        Ok(Self {
            listening,
            _runtime: runtime,
        })
    }
}

/// Starts a server on a runtime, for as long as that lives.
///
/// # Errors
///
/// Those of the system.
pub(crate) fn serve_on(runtime: &Handle, store: Store) -> anyhow::Result<Listening> {
    let _entered = runtime.enter();
    let private = PrivateKey::generate().context("no RSA key could be made")?;
    let key = private.public().clone();
    let sessions = LocalPort::new(
        &host::Config::new(store.term, store.salt_secret),
        SHARDS,
        Arc::clone(&store.keys),
        Arc::new(Answering),
        runtime.clone(),
    );
    let mut config = Config::default();
    let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
    config.listeners.push(Listener::tcp(any_port));
    let exchange = ExchangeConfig {
        keys: Keyring::new([private]),
        dcs: Dcs::Any,
        legacy_padding: true,
        term: store.term.into(),
    };
    let gateway = Gateway::bind(config, store.keys, Arc::new(sessions.clone()), exchange)?;
    let bound = gateway.addresses();
    let address = bound.first().context("no listener")?.address;
    runtime.spawn(gateway.run(pending()));
    runtime.spawn(async move { sessions.run().await });
    Ok(Listening { address, key })
}

/// Makes a runtime whose threads can be told by name.
pub(crate) fn runtime(threads: usize, name: &str) -> anyhow::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name(name)
        .enable_all()
        .build()
        .context("no runtime")
}

/// Makes a generator that the system has seeded.
pub(crate) fn rng() -> anyhow::Result<ChaCha20Rng> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| anyhow::anyhow!("no entropy: {error}"))?;
    Ok(ChaCha20Rng::from_seed(seed))
}

/// Answers every call at once with the same 40 bytes.
struct Answering;

impl Backend for Answering {
    fn call(&self, _: Call) -> Answer {
        Answer::Now(Reply::Result(Bytes::from_static(&ANSWER)))
    }
}

/// An object that no layer has.
const ANSWER: [u8; 40] = [0x11; 40];

const SHARDS: usize = 8;
