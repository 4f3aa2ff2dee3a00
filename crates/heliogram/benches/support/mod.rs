//! A server in this process, with everything but a store on disk and a backend with something to say.

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;

use heliogram_crypto::SecretBytes;
use heliogram_crypto::rsa::{PrivateKey, PublicKey};
use heliogram_gateway::{Config, ExchangeConfig, Gateway, Listener};
use heliogram_ports::memory::MemoryKeys;
use heliogram_ports::{Answer, Backend, Call, Reply, RpcError};
use heliogram_proto::exchange::server::{Dcs, Keyring};
use heliogram_proto::host;
use heliogram_proto::ids::Term;
use heliogram_session::LocalPort;
use tokio::runtime::Handle;

#[path = "../../tests/support/mod.rs"]
pub(crate) mod client;

/// Where the server listens, and its key.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) key: PublicKey,
}

/// Starts a server on the current runtime; it ends with it.
pub(crate) fn start() -> Server {
    let key = PrivateKey::generate().unwrap();
    let host = host::Config::new(Term(1), SecretBytes::new([7; 32]));
    let sessions = LocalPort::new(
        &host,
        8,
        Arc::new(Silent),
        Handle::current(),
        &mut client::rng(),
    );
    let mut config = Config::default();
    config
        .listeners
        .push(Listener::tcp(SocketAddr::from(([127, 0, 0, 1], 0))));
    let public = key.public().clone();
    let exchange = ExchangeConfig {
        keys: Keyring::new([key]),
        dcs: Dcs::Any,
        legacy_padding: true,
        term: Term(1),
    };
    let gateway = Gateway::bind(
        config,
        Arc::new(MemoryKeys::new()),
        Arc::new(sessions.clone()),
        exchange,
    )
    .unwrap();
    let address = gateway.addresses()[0].address;
    tokio::spawn(gateway.run(pending()));
    tokio::spawn(async move { sessions.run().await });
    Server {
        address,
        key: public,
    }
}

struct Silent;

impl Backend for Silent {
    fn call(&self, _: Call) -> Answer {
        Answer::Now(Reply::Error(RpcError {
            code: 400,
            message: "BENCHMARK".to_owned(),
        }))
    }
}
