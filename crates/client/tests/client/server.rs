//! A server in this process, whose backend keeps account of what it ran.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use heliogram_client::{Builder, Client, DataCentre, Method, Reconnect};
use heliogram_crypto::SecretBytes;
use heliogram_crypto::rsa::PrivateKey;
use heliogram_gateway::{Config, ExchangeConfig, Gateway, Listener};
use heliogram_ports::memory::MemoryKeys;
use heliogram_ports::{Answer, Backend, Call, Reply, RpcError};
use heliogram_proto::exchange::server::{Dcs, Keyring};
use heliogram_proto::host;
use heliogram_proto::ids::Term;
use heliogram_session::LocalPort;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// A running server.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) websocket: SocketAddr,
    pub(crate) backend: Arc<Counting>,
    tasks: [JoinHandle<()>; 2],
}

impl Server {
    /// Starts one with an empty store.
    pub(crate) fn start() -> Self {
        let backend = Arc::new(Counting::default());
        let term = Term(1);
        let secret = SecretBytes::new([7; 32]);
        let host = host::Config::new(term, secret);
        let counting = Arc::<Counting>::clone(&backend);
        let store = Arc::new(MemoryKeys::new());
        let owner = Arc::<MemoryKeys>::clone(&store);
        let port = LocalPort::new(&host, 4, owner, counting, Handle::current());
        let mut config = Config::default();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        config.listeners = vec![Listener::tcp(any), Listener::websocket(any)];
        config.limiter.handshakes_burst = 100_000;
        let exchange = ExchangeConfig {
            keys: Keyring::new([RSA_KEY.clone()]),
            dcs: Dcs::Any,
            legacy_padding: true,
            term: term.into(),
        };
        let gateway = Gateway::bind(config, store, Arc::new(port.clone()), exchange).unwrap();
        let addresses = gateway.addresses();
        Self {
            address: addresses[0].address,
            websocket: addresses[1].address,
            backend,
            tasks: [
                tokio::spawn(gateway.run(std::future::pending())),
                tokio::spawn(async move { port.run().await }),
            ],
        }
    }

    /// Begins to set up a client of this server.
    pub(crate) fn client(&self) -> Builder {
        client_of(self.address)
    }
}

/// Begins to set up a client of whatever is at an address.
pub(crate) fn client_of(address: SocketAddr) -> Builder {
    Client::builder()
        .api_id(4)
        .api_hash("hash")
        .server_key(RSA_KEY.public().clone())
        .data_centre(DataCentre::new(2, [address]))
        // Counted are the calls of a test.
        .fixed_addresses()
        .reconnect(Reconnect {
            first: Duration::from_millis(5),
            max: Duration::from_millis(50),
            ..Reconnect::default()
        })
}

impl Drop for Server {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// The server's key, made once: it takes a while.
pub(crate) static RSA_KEY: LazyLock<PrivateKey> = LazyLock::new(|| PrivateKey::generate().unwrap());

/// Answers each token with itself, a little later, and counts how often it has run each.
#[derive(Default)]
pub(crate) struct Counting {
    runs: Arc<Mutex<BTreeMap<i64, usize>>>,
    order: Mutex<Vec<i64>>,
    clients: Mutex<Vec<String>>,
}

impl Counting {
    /// Returns how often each token was run.
    pub(crate) fn runs(&self) -> BTreeMap<i64, usize> {
        self.runs.lock().clone()
    }

    /// Returns the tokens that were counted, in order.
    pub(crate) fn order(&self) -> Vec<i64> {
        self.order.lock().clone()
    }

    /// Returns the application versions of the clients that have made calls, one for each call.
    pub(crate) fn clients(&self) -> Vec<String> {
        self.clients.lock().clone()
    }
}

impl Backend for Counting {
    fn call(&self, call: Call) -> Answer {
        let client = call.client.as_ref().map(|it| it.app_version.clone());
        self.clients.lock().push(client.unwrap_or_default());
        let Some((id, token)) = call.body.split_first_chunk() else {
            return Answer::Now(error(400, "INPUT_FETCH_FAIL"));
        };
        let token = i64::from_le_bytes(token.try_into().unwrap_or_default());
        match u32::from_le_bytes(*id) {
            Count::ID => {
                self.order.lock().push(token);
                *self.runs.lock().entry(token).or_default() += 1;
                let reply = Reply::Result(call.body);
                if token % 3 == 0 {
                    return Answer::Now(reply);
                }
                Answer::Later(Box::pin(async move {
                    tokio::time::sleep(Duration::from_millis(token.unsigned_abs() % 7)).await;
                    reply
                }))
            }
            Never::ID => {
                *self.runs.lock().entry(token).or_default() += 1;
                Answer::Later(Box::pin(std::future::pending()))
            }
            Fail::ID => Answer::Now(error(400, "PEER_ID_INVALID")),
            _ => Answer::Now(error(400, "INPUT_METHOD_INVALID_0")),
        }
    }
}

fn error(code: i32, message: &str) -> Reply {
    Reply::Error(RpcError {
        code,
        message: message.to_owned(),
    })
}

macro_rules! method {
    ($(#[$doc:meta])* $name:ident = $id:literal) => {
        $(#[$doc])*
        pub(crate) struct $name(pub(crate) i64);

        impl $name {
            const ID: u32 = $id;
        }

        impl Method for $name {
            type Return = i64;

            fn to_body(&self) -> Bytes {
                [&Self::ID.to_le_bytes()[..], &self.0.to_le_bytes()].concat().into()
            }

            fn read_result(result: &[u8]) -> Result<i64, String> {
                let (id, token) = result.split_first_chunk().ok_or("short")?;
                if *id != Self::ID.to_le_bytes() {
                    return Err("another object".to_owned());
                }
                Ok(i64::from_le_bytes(token.try_into().map_err(|_| "short")?))
            }
        }
    };
}

method! {
    /// Is counted and answered with its token.
    Count = 0x7e57_0011
}
method! {
    /// Is counted and never answered.
    Never = 0x7e57_0012
}
method! {
    /// Is refused.
    Fail = 0x7e57_0013
}
