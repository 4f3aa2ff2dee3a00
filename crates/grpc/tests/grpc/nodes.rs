//! Several gateways and session nodes with certificates and gRPC between all of them, and real clients.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use heliogram_crypto::SecretBytes;
use heliogram_gateway::{Config, ExchangeConfig, Gateway, Listener};
use heliogram_grpc::{
    Address, Gateways, KeysService, NodesKeys, OwnersService, RemoteOwners, RingSessions, Role,
    Server, SessionsService,
};
use heliogram_ports::memory::MemoryKeys;
use heliogram_ports::{
    Answer, AuthKeys, Backend, Call, LoggedIn, Push, Pushes, Reply, RpcError, Target,
};
use heliogram_proto::exchange::server::{Dcs, Keyring, Terms};
use heliogram_proto::host;
use heliogram_proto::ids::{Identity, Term};
use heliogram_proto::ring::Partition;
use heliogram_session::LocalPort;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::certificates::Authority;
use crate::cluster::{Echo, ID, RSA_KEY, Running, RunningGateway, USER, client, pushed, update_of};
use crate::discovery::Said;
use crate::process::{Process, in_time};
use crate::sessions::until;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_bind_keys_call_and_get_updates_wherever_their_sessions_are() {
    let cluster = Cluster::start().await;
    let gateways = [cluster.gateway().await, cluster.gateway().await];
    let mut clients = Vec::new();
    // Of so many, some have their two keys at different nodes: one in 10 million runs has none.
    for number in 0..16 {
        let gateway: &RunningGateway = &gateways[number % 2];
        clients.push(in_time(client(gateway.address).connect()).await.unwrap());
    }
    for round in 0..4 {
        for (number, client) in (0..).zip(&clients) {
            let token = round * 100 + number;
            assert_eq!(in_time(client.invoke(&Echo(token))).await, Ok(token));
        }
    }
    let mut expected: Vec<_> = (0..4)
        .flat_map(|round| (0..16).map(move |it| round * 100 + it))
        .collect();
    expected.sort_unstable();
    assert_eq!(cluster.backend.runs(), expected, "each has run, and once");
    assert!(
        cluster
            .nodes
            .iter()
            .all(|node| cluster.backend.is_used(node))
    );

    // Each has logged in by its calls, which was said to any node; so is this.
    let mut notices: Vec<_> = clients.iter().map(|it| it.notices()).collect();
    for at in 0..3 {
        let update = update_of(u32::try_from(at).unwrap());
        cluster.backend.push(at, &update);
        for notices in &mut notices {
            assert_eq!(in_time(pushed(notices)).await, update);
        }
    }
    for client in clients {
        client.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_go_on_when_a_node_is_gone_and_others_own_what_it_had() {
    let mut cluster = Cluster::start().await;
    let gateway = cluster.gateway().await;
    let mut clients = Vec::new();
    for _ in 0..8 {
        clients.push(in_time(client(gateway.address).connect()).await.unwrap());
    }
    for (token, client) in (0..).zip(&clients) {
        assert_eq!(in_time(client.invoke(&Echo(token))).await, Ok(token));
    }
    cluster.kill_first();
    for (token, client) in (100..).zip(&clients) {
        assert_eq!(in_time(client.invoke(&Echo(token))).await, Ok(token));
    }
    let runs = cluster.backend.runs();
    assert_eq!(runs, (0..8).chain(100..108).collect::<Vec<_>>());
    for client in clients {
        client.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_streams_are_cut_under_load_every_call_is_answered_and_none_runs_twice() {
    let cluster = Cluster::start().await;
    let mut roads = Vec::new();
    for node in &cluster.nodes {
        roads.push(Road::to(&node.address).await);
    }
    let said = Said::new(&[]);
    let addresses: Vec<_> = roads.iter().map(|it| it.address.clone()).collect();
    cluster.say(&said, &addresses);
    let gateway = cluster.gateway_by(said).await;
    let mut callers = Vec::new();
    for number in 0..8_i64 {
        let client = in_time(client(gateway.address).connect()).await.unwrap();
        callers.push(tokio::spawn(async move {
            for round in 0..CALLS_EACH {
                let token = number * CALLS_EACH + round;
                assert_eq!(in_time(client.invoke(&Echo(token))).await, Ok(token));
            }
            client.shutdown().await;
        }));
    }
    let mut cuts = 0;
    while callers.iter().any(|it| !it.is_finished()) {
        // As soon as something is on its way there.
        let road = &roads[cuts % roads.len()];
        road.until_used().await;
        road.cut();
        cuts += 1;
    }
    for caller in callers {
        caller.await.unwrap();
    }
    assert!(cuts > 3, "{cuts}");
    let expected: Vec<_> = (0..8 * CALLS_EACH).collect();
    assert_eq!(cluster.backend.runs(), expected);
}

/// A way to a node that can be cut while both ends live.
struct Road {
    address: Address,
    uses: watch::Sender<u64>,
    cuts: watch::Sender<u64>,
    _task: Running,
}

impl Road {
    async fn to(node: &Address) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = Address::Tcp(listener.local_addr().unwrap().to_string());
        let (uses, cuts) = (watch::Sender::new(0), watch::Sender::new(0));
        let (node, used, cut) = (node.to_string(), uses.clone(), cuts.clone());
        let task = tokio::spawn(async move {
            loop {
                let (mut near, _) = listener.accept().await.unwrap();
                let Ok(mut far) = TcpStream::connect(&node).await else {
                    continue;
                };
                let (used, mut cut) = (used.clone(), cut.subscribe());
                tokio::spawn(async move {
                    let mut buffer = [0; 4096];
                    let (mut near_read, mut near_write) = near.split();
                    let (mut far_read, mut far_write) = far.split();
                    let up = async {
                        while let Ok(read @ 1..) = near_read.read(&mut buffer).await {
                            if far_write.write_all(&buffer[..read]).await.is_err() {
                                return;
                            }
                            used.send_modify(|uses| *uses += 1);
                        }
                    };
                    tokio::select! {
                        () = up => {}
                        _ = tokio::io::copy(&mut far_read, &mut near_write) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        Self {
            address,
            uses,
            cuts,
            _task: Running(task),
        }
    }

    /// Waits until something has gone up, some times more than a new stream takes; or for a while.
    async fn until_used(&self) {
        let now = *self.uses.borrow();
        let mut uses = self.uses.subscribe();
        let used = uses.wait_for(|&uses| uses > now + 20);
        let _ = tokio::time::timeout(Duration::from_millis(300), used).await;
    }

    fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}

/// Three session nodes, each with a third of the partitions.
struct Cluster {
    authority: Authority,
    said: Arc<Said>,
    backend: Arc<Ledger>,
    nodes: Vec<Node>,
    term: u64,
}

struct Node {
    address: Address,
    port: LocalPort,
    _process: Process,
    _deadlines: Running,
}

impl Cluster {
    async fn start() -> Self {
        let mut cluster = Self {
            authority: Authority::new(),
            said: Said::new(&[]),
            backend: Arc::default(),
            nodes: Vec::new(),
            term: 0,
        };
        let keys: Arc<dyn AuthKeys> = Arc::new(MemoryKeys::new());
        for number in 0..3 {
            let node = cluster.node(number, &keys).await;
            cluster.nodes.push(node);
        }
        cluster.share();
        cluster
    }

    async fn node(&self, number: usize, keys: &Arc<dyn AuthKeys>) -> Node {
        // It is known by its address, before it listens.
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap().to_string();
        drop(free);
        let tls = self
            .authority
            .tls(&format!("session-{number}"), &[Role::Session]);
        let (said, gateways) = (Arc::<Said>::clone(&self.said), Gateways::new());
        let owners = RemoteOwners::new(
            said,
            address.as_str().into(),
            Some(tls.clone()),
            gateways.clone(),
        );
        let backend = Arc::<Ledger>::clone(&self.backend);
        let config = host::Config::new(Term(0), SecretBytes::new([7; 32]));
        let port = LocalPort::of_cluster(
            &config,
            Arc::clone(keys),
            backend,
            Arc::new(owners),
            Handle::current(),
        );
        let deadlines = port.clone();
        let server = Server::new()
            .keys(KeysService::new(Arc::clone(keys)))
            .owners(OwnersService::new(Arc::new(port.clone()), gateways.clone()))
            .sessions(SessionsService::new(Arc::new(port.clone()), gateways));
        let process = Process::start_at(server, &address, Some(tls)).await;
        Node {
            address: process.address.clone(),
            port,
            _process: process,
            _deadlines: Running(tokio::spawn(async move { deadlines.run().await })),
        }
    }

    /// Gives each node its share of all partitions, each under a new term.
    fn share(&mut self) {
        self.term += 1;
        let addresses: Vec<_> = self.nodes.iter().map(|it| it.address.clone()).collect();
        for (node, (_, share, term)) in self.nodes.iter().zip(self.shares(&addresses)) {
            for partition in Partition::all() {
                node.port.disown(partition);
                if share.contains(&partition.number()) {
                    assert!(node.port.own(partition, term));
                }
            }
        }
        self.say(&self.said, &addresses);
    }

    fn shares<'a>(&self, addresses: &'a [Address]) -> Vec<(&'a Address, Range<u8>, Term)> {
        let first = |at: usize| u8::try_from(64 * at / addresses.len()).unwrap();
        let shares = addresses.iter().enumerate();
        shares
            .map(|(at, address)| (address, first(at)..first(at + 1), Term(self.term)))
            .collect()
    }

    /// Says who owns what, with the nodes at these addresses.
    fn say(&self, said: &Said, addresses: &[Address]) {
        said.say(&self.shares(addresses));
    }

    /// Ends the first node as a crash does; the others share what it had.
    fn kill_first(&mut self) {
        let node = self.nodes.remove(0);
        Partition::all().for_each(|it| node.port.disown(it));
        drop(node);
        self.share();
    }

    async fn gateway(&self) -> RunningGateway {
        self.gateway_by(Arc::clone(&self.said)).await
    }

    async fn gateway_by(&self, said: Arc<Said>) -> RunningGateway {
        let tls = self.authority.tls("gateway", &[Role::Gateway]);
        let said = || Arc::<Said>::clone(&said);
        let ring = Arc::new(RingSessions::new(said(), Some(tls.clone())));
        until(|| ring.is_whole()).await;
        let keys = Arc::new(NodesKeys::new(said(), Some(tls)));
        let terms = Arc::<RingSessions>::clone(&ring);
        let mut config = Config::default();
        config.listeners = vec![Listener::tcp(SocketAddr::from(([127, 0, 0, 1], 0)))];
        let exchange = ExchangeConfig {
            keys: Keyring::new([RSA_KEY.clone()]),
            dcs: Dcs::Any,
            legacy_padding: true,
            term: Terms::of_each(move |key| terms.term_of(key)),
        };
        let gateway = Gateway::bind(config, keys, ring, exchange).unwrap();
        RunningGateway {
            address: gateway.addresses().first().unwrap().address,
            _task: Running(tokio::spawn(gateway.run(std::future::pending()))),
        }
    }
}

/// The backend of all nodes: answers each call by itself, and says at some node that its client has logged in as [`USER`].
#[derive(Default)]
struct Ledger {
    pushes: Mutex<Vec<Arc<dyn Pushes>>>,
    runs: Mutex<Vec<(i64, Identity)>>,
}

impl Ledger {
    /// Pushes to all sessions by one of the nodes.
    fn push(&self, node: usize, update: &bytes::Bytes) {
        let push = Push {
            targets: vec![Target::User(USER)],
            except: None,
            body: update.clone(),
        };
        self.pushes.lock().unwrap()[node].push(push).unwrap();
    }

    /// Returns the tokens of the calls that have run, in order.
    fn runs(&self) -> Vec<i64> {
        let mut runs: Vec<_> = self.runs.lock().unwrap().iter().map(|it| it.0).collect();
        runs.sort_unstable();
        runs
    }

    /// Tells whether calls have come from a node.
    fn is_used(&self, node: &Node) -> bool {
        let owned = node.port.owned();
        let runs = self.runs.lock().unwrap();
        let is_its = |identity| owned.iter().any(|it| it.0 == Partition::of(identity));
        runs.iter().any(|&(_, identity)| is_its(identity))
    }
}

impl Backend for Ledger {
    fn call(&self, call: Call) -> Answer {
        let Some((&ID, token)) = call.body.split_first_chunk() else {
            let (code, message) = (400, "INPUT_METHOD_INVALID_0".to_owned());
            return Answer::Now(Reply::Error(RpcError { code, message }));
        };
        let token = i64::from_le_bytes(token.try_into().unwrap());
        self.runs.lock().unwrap().push((token, call.identity));
        let pushes = self.pushes.lock().unwrap().clone();
        let at = usize::try_from(token).unwrap() % pushes.len();
        pushes[at].set_user(call.identity, Some(USER));
        Answer::Now(Reply::Result(call.body))
    }

    fn start(&self, pushes: Arc<dyn Pushes>) {
        self.pushes.lock().unwrap().push(pushes);
    }

    fn user(&self, _: Identity) -> LoggedIn {
        LoggedIn::Now(None)
    }
}

const CALLS_EACH: i64 = 100;
