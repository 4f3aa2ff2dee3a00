//! A gateway, a session node and a backend with certificates and gRPC between all of them, and real clients.

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock, Mutex, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use heliogram_client::{Client, DataCentre, Method, Notice, Reconnect};
use heliogram_crypto::SecretBytes;
use heliogram_crypto::rsa::PrivateKey;
use heliogram_gateway::{Config, ExchangeConfig, Gateway, Listener};
use heliogram_grpc::{
    Address, BackendService, Form, Gateways, KeysService, PushService, RemoteBackend, RemoteKeys,
    RemotePushes, RingSessions, Role, Server, SessionsService, Tls, dial,
};
use heliogram_ports::memory::MemoryKeys;
use heliogram_ports::{Answer, AuthKeys, Backend, Call, Push, Pushes, Reply, Target};
use heliogram_proto::exchange::server::{Dcs, Keyring};
use heliogram_proto::host;
use heliogram_proto::ids::{Identity, Term};
use heliogram_session::LocalPort;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::certificates::Authority;
use crate::process::{Process, in_time};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_make_keys_call_and_get_updates_as_if_it_were_one_process() {
    for form in [Form::Unary, Form::Streaming] {
        let cluster = Cluster::start(form).await;
        let (a, b) = (cluster.gateway(), cluster.gateway());
        let first = in_time(client(a.address).connect()).await.unwrap();
        let second = in_time(client(b.address).connect()).await.unwrap();
        for token in 0..100 {
            assert_eq!(in_time(first.invoke(&Echo(token))).await, Ok(token));
            assert_eq!(in_time(second.invoke(&Echo(-token))).await, Ok(-token));
        }
        // Both have logged in as one user by their calls: what is pushed to the user reaches both gateways.
        let (mut of_first, mut of_second) = (first.notices(), second.notices());
        let update = update_of(7);
        cluster.backend.push(Target::User(USER), &update);
        assert_eq!(in_time(pushed(&mut of_first)).await, update);
        assert_eq!(in_time(pushed(&mut of_second)).await, update);
        assert_eq!(cluster.backend.runs().len(), 200);
        first.shutdown().await;
        second.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_go_on_when_their_session_node_has_crashed_and_begun_again() {
    let mut cluster = Cluster::start(Form::Streaming).await;
    let gateway = cluster.gateway();
    let client = in_time(client(gateway.address).connect()).await.unwrap();
    assert_eq!(in_time(client.invoke(&Echo(1))).await, Ok(1));

    let mut notices = client.notices();
    cluster.restart_node().await;

    // The keys have survived. Who has logged in is found out, and the client told to ask for what it may have missed.
    assert_eq!(in_time(client.invoke(&Echo(2))).await, Ok(2));
    assert_eq!(
        in_time(pushed(&mut notices)).await,
        UPDATES_TOO_LONG.as_slice()
    );
    let update = update_of(8);
    cluster.backend.push(Target::User(USER), &update);
    assert_eq!(in_time(pushed(&mut notices)).await, update);
    assert_eq!(cluster.backend.runs(), [1, 2]);
    client.shutdown().await;
}

/// What is there but the gateways.
struct Cluster {
    authority: Authority,
    keys: Arc<dyn AuthKeys>,
    backend: Arc<Echoing>,
    form: Form,
    term: u64,
    backend_process: Process,
    node: Option<Process>,
    node_address: Address,
    deadlines: Option<Running>,
}

impl Cluster {
    async fn start(form: Form) -> Self {
        let authority = Authority::new();
        let backend = Arc::new(Echoing::default());
        // The two find each other by their addresses: the node's is settled first.
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let node_address = Address::Tcp(free.local_addr().unwrap().to_string());
        drop(free);
        let tls = authority.tls("backend", &[Role::Backend]);
        let to_node = dial(node_address.clone(), Role::Session, Some(tls.clone()));
        let pushes = Arc::new(RemotePushes::new(to_node));
        let service = BackendService::new(Arc::<Echoing>::clone(&backend), Some(pushes));
        let server = Server::new().backend(service);
        let backend_process = Process::start_at(server, "127.0.0.1:0", Some(tls)).await;
        let mut cluster = Self {
            authority,
            keys: Arc::new(MemoryKeys::new()),
            backend,
            form,
            term: 0,
            backend_process,
            node: None,
            node_address,
            deadlines: None,
        };
        cluster.restart_node().await;
        cluster
    }

    /// Starts the session node; if there is one, after its crash. What is not in its store or its backend is lost.
    async fn restart_node(&mut self) {
        drop(self.node.take());
        self.term += 1;
        let term = Term(self.term);
        let tls = self.authority.tls("session", &[Role::Session]);
        let to_backend = dial(
            self.backend_process.address.clone(),
            Role::Backend,
            Some(tls.clone()),
        );
        let backend = Arc::new(RemoteBackend::new(to_backend, self.form));
        let config = host::Config::new(term, SecretBytes::new([7; 32]));
        let keys = Arc::clone(&self.keys);
        let port = LocalPort::new(&config, 4, keys, backend, Handle::current());
        let deadlines = port.clone();
        self.deadlines = Some(Running(tokio::spawn(async move { deadlines.run().await })));
        let port = Arc::new(port);
        let server = Server::new()
            .keys(KeysService::new(Arc::clone(&self.keys)))
            .push(PushService::new(Arc::<LocalPort>::clone(&port)))
            .sessions(SessionsService::new(port, Gateways::new()));
        let address = self.node_address.to_string();
        self.node = Some(Process::start_at(server, &address, Some(tls)).await);
    }

    /// Starts a gateway, which has no store and no sessions of its own.
    fn gateway(&self) -> RunningGateway {
        let tls: Tls = self.authority.tls("gateway", &[Role::Gateway]);
        let to_node = dial(self.node_address.clone(), Role::Session, Some(tls));
        let keys = Arc::new(RemoteKeys::new(to_node.clone()));
        let sessions = Arc::new(RingSessions::of_one(to_node, None));
        let mut config = Config::default();
        config.listeners = vec![Listener::tcp(SocketAddr::from(([127, 0, 0, 1], 0)))];
        let exchange = ExchangeConfig {
            keys: Keyring::new([RSA_KEY.clone()]),
            dcs: Dcs::Any,
            legacy_padding: true,
            term: Term(self.term).into(),
        };
        let gateway = Gateway::bind(config, keys, sessions, exchange).unwrap();
        RunningGateway {
            address: gateway.addresses().first().unwrap().address,
            _task: Running(tokio::spawn(gateway.run(std::future::pending()))),
        }
    }
}

pub(crate) struct RunningGateway {
    pub(crate) address: SocketAddr,
    pub(crate) _task: Running,
}

/// A task that ends when this is dropped.
pub(crate) struct Running(pub(crate) JoinHandle<()>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Answers each call by itself, and logs its client in as [`USER`].
#[derive(Default)]
struct Echoing {
    pushes: OnceLock<Arc<dyn Pushes>>,
    logged_in: Mutex<Vec<Identity>>,
    runs: Mutex<Vec<i64>>,
}

impl Echoing {
    fn push(&self, target: Target, update: &Bytes) {
        let push = Push {
            targets: vec![target],
            except: None,
            body: update.clone(),
        };
        self.pushes.get().unwrap().push(push).unwrap();
    }

    /// Returns the tokens of the calls that have run, in order.
    fn runs(&self) -> Vec<i64> {
        let mut runs = self.runs.lock().unwrap().clone();
        runs.sort_unstable();
        runs
    }
}

impl Backend for Echoing {
    fn call(&self, call: Call) -> Answer {
        let Some((&ID, token)) = call.body.split_first_chunk() else {
            let message = "INPUT_METHOD_INVALID_0".to_owned();
            let code = 400;
            return Answer::Now(Reply::Error(heliogram_ports::RpcError { code, message }));
        };
        let token = i64::from_le_bytes(token.try_into().unwrap());
        self.runs.lock().unwrap().push(token);
        let mut logged_in = self.logged_in.lock().unwrap();
        if !logged_in.contains(&call.identity) {
            logged_in.push(call.identity);
            self.pushes
                .get()
                .unwrap()
                .set_user(call.identity, Some(USER));
        }
        drop(logged_in);
        Answer::Now(Reply::Result(call.body))
    }

    fn start(&self, pushes: Arc<dyn Pushes>) {
        assert!(self.pushes.set(pushes).is_ok());
    }

    fn user(&self, identity: Identity) -> heliogram_ports::LoggedIn {
        let is_there = self.logged_in.lock().unwrap().contains(&identity);
        heliogram_ports::LoggedIn::Now(is_there.then_some(USER))
    }
}

/// Is answered with its token.
pub(crate) struct Echo(pub(crate) i64);

impl Method for Echo {
    type Return = i64;

    fn to_body(&self) -> Bytes {
        [&ID[..], &self.0.to_le_bytes()].concat().into()
    }

    fn read_result(result: &[u8]) -> Result<i64, String> {
        let (&id, token) = result.split_first_chunk().ok_or("short")?;
        if id != ID {
            return Err("another object".to_owned());
        }
        Ok(i64::from_le_bytes(token.try_into().map_err(|_| "short")?))
    }
}

pub(crate) fn client(address: SocketAddr) -> heliogram_client::Builder {
    Client::builder()
        .api_id(4)
        .api_hash("hash")
        .server_key(RSA_KEY.public().clone())
        .data_centre(DataCentre::new(2, [address]))
        .reconnect(Reconnect {
            first: Duration::from_millis(5),
            max: Duration::from_millis(50),
            ..Reconnect::default()
        })
}

/// Waits for the next update.
pub(crate) async fn pushed(notices: &mut heliogram_client::Notices) -> Bytes {
    loop {
        if let Notice::Update { object, .. } = notices.next().await {
            return object;
        }
    }
}

/// An update of no schema.
pub(crate) fn update_of(number: u32) -> Bytes {
    [0x7e57_0002_u32.to_le_bytes(), number.to_le_bytes()]
        .concat()
        .into()
}

/// The server's key, made once: it takes a while.
pub(crate) static RSA_KEY: LazyLock<PrivateKey> = LazyLock::new(|| PrivateKey::generate().unwrap());

pub(crate) const ID: [u8; 4] = 0x7e57_0011_u32.to_le_bytes();
pub(crate) const USER: i64 = 77;
const UPDATES_TOO_LONG: [u8; 4] = 0xe317_af7e_u32.to_le_bytes();
