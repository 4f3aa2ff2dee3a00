//! The whole cluster: MariaDB, Redis, etcd, three session nodes, two gateways and a backend, each a process.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use heliogram_interop::binary;
use heliogram_proto::ids::{AuthKeyId, Identity};
use heliogram_proto::ring::{Partition, desired};
use heliogram_testservices::{Etcd, free_port};

use crate::certificates::Authority;
use crate::check::{keys, runs};
use crate::cut::Wire;
use crate::keys::Keys;
use crate::load::Load;
use crate::logs::Secrets;
use crate::member::Member;
use crate::round::Rounds;
use crate::stores::Stores;

/// A cluster under load.
pub(crate) struct Whole {
    pub(crate) stores: Stores,
    pub(crate) etcd: Etcd,
    /// One more than there are at first.
    pub(crate) nodes: Vec<Member>,
    /// By which everybody reaches the nodes.
    pub(crate) wires: Vec<Wire>,
    pub(crate) gateways: Vec<Member>,
    pub(crate) backend: Member,
    pub(crate) rounds: Rounds,
    pub(crate) key: String,
    /// Those that clients have used.
    keys: Keys,
    /// Of each log so much was looked at.
    looked_at: Vec<usize>,
}

impl Whole {
    /// Returns the one that all tests share; it is whole.
    pub(crate) fn lock() -> MutexGuard<'static, Self> {
        static WHOLE: LazyLock<Mutex<Whole>> = LazyLock::new(|| Mutex::new(Whole::start()));
        let mut whole = WHOLE.lock().unwrap_or_else(PoisonError::into_inner);
        whole.heal();
        whole
    }

    fn start() -> Self {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cluster");
        // Of an earlier run.
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        let (stores, etcd) = (Stores::start(&dir), Etcd::start().unwrap());
        let plan = Plan::new(&dir, &stores, &etcd);
        let keys = Keys::new(plan.authority.issue("gateway"));
        let wires = plan.listen.iter().map(|node| Wire::to(node));
        let wires: Vec<_> = wires.collect();
        let mut backend = plan.backend();
        backend.start();
        let nodes = wires
            .iter()
            .enumerate()
            .map(|(at, wire)| plan.node(at, wire));
        let mut nodes: Vec<_> = nodes.collect();
        for node in &mut nodes[..NODES] {
            node.launch();
        }
        let mut gateways: Vec<_> = (0..GATEWAYS).map(|at| plan.gateway(at)).collect();
        for gateway in &mut gateways {
            gateway.launch();
        }
        for member in nodes[..NODES].iter().chain(&gateways) {
            member.until_ready();
        }
        let addresses = tcp(&gateways);
        let key = std::fs::read_to_string(&plan.public_key).unwrap();
        let load = Load::connect(CLIENTS, BRIEF, &key, &addresses);
        Self {
            rounds: Rounds::new(load, backend.path("ledger.txt").into()),
            looked_at: vec![0; nodes.len() + gateways.len()],
            key,
            keys,
            stores,
            etcd,
            nodes,
            wires,
            gateways,
            backend,
        }
    }

    /// Makes good what a failed test has left behind.
    pub(crate) fn heal(&mut self) {
        let members = self.nodes[..NODES].iter_mut().chain(&mut self.gateways);
        for member in members.chain([&mut self.backend]) {
            if member.is_there() {
                member.thaw();
            } else {
                member.start();
            }
        }
    }

    /// Returns where clients connect.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        tcp(&self.gateways)
    }

    /// Waits until all are ready: gateways for clients, nodes for their shares.
    pub(crate) fn settle(&self) {
        for member in self.nodes.iter().chain(&self.gateways) {
            if member.is_there() {
                member.until_ready();
            }
        }
    }

    /// Returns all that the backend has written down.
    pub(crate) fn ledger(&self) -> String {
        std::fs::read_to_string(self.backend.path("ledger.txt")).unwrap()
    }

    /// Returns which node has an identity's share while all is settled.
    pub(crate) fn owner_of(&self, identity: i64) -> usize {
        let partition = Partition::of(Identity(AuthKeyId(identity)));
        let there = self.nodes.iter().filter(|it| it.is_there());
        let owner = desired(partition, there.map(Member::name)).unwrap();
        let is_owner = |node: &Member| node.name() == owner;
        self.nodes.iter().position(is_owner).unwrap()
    }

    /// Gets hold of the keys that clients have used since it was last asked, before any of them ends.
    pub(crate) fn learn_keys(&mut self) {
        let ledger = self.ledger();
        let node = self.nodes.iter().position(Member::is_there).unwrap();
        let gone = self.keys.learn(self.wires[node].address(), keys(&ledger));
        let brief = self.rounds.load().identities().brief;
        let of_brief = runs(&ledger)
            .into_iter()
            .filter(|it| brief.contains(&it.key.0));
        let may_be_gone: BTreeSet<_> = of_brief.map(|it| it.carrier).collect();
        assert!(gone.is_subset(&may_be_gone), "{gone:?} are gone");
    }

    /// Looks for what may not be in the logs, in all that came since it was last asked.
    pub(crate) fn check_logs(&mut self) {
        self.learn_keys();
        let mut secrets = Secrets::default();
        self.rounds.load().tell_secrets(&mut secrets);
        self.keys.tell_secrets(&mut secrets);
        let members = self.nodes.iter().chain(&self.gateways);
        for (member, looked_at) in members.zip(&mut self.looked_at) {
            let log = member.log();
            let found = secrets.found_in(&log[*looked_at..]);
            assert!(found.is_empty(), "{found:#?}");
            *looked_at = log.len();
        }
    }

    /// Returns the last lines of all logs.
    pub(crate) fn tails(&self) -> String {
        let members = self.nodes.iter().chain(&self.gateways);
        members.chain([&self.backend]).map(Member::tail).collect()
    }
}

/// What all members are told.
struct Plan {
    dir: PathBuf,
    store: String,
    cluster: String,
    calls: String,
    /// Where nodes listen, and where they take updates.
    listen: Vec<String>,
    pushes: Vec<String>,
    clients: Vec<String>,
    private_key: PathBuf,
    public_key: PathBuf,
    authority: Authority,
}

impl Plan {
    fn new(dir: &Path, stores: &Stores, etcd: &Etcd) -> Self {
        let keys = dir.join("keys");
        let mut keygen = Command::new(binary());
        let made = keygen.args(["keygen", "--data"]).arg(&keys).output();
        assert!(made.as_ref().unwrap().status.success(), "{made:?}");
        let gateways: Vec<_> = (0..GATEWAYS).map(|_| free_address()).collect();
        Self {
            dir: dir.to_owned(),
            store: stores.section.clone(),
            cluster: format!("[cluster]\netcd = ['{}']\nlease_s = {LEASE_S}", etcd.url()),
            calls: free_address(),
            listen: (0..=NODES).map(|_| free_address()).collect(),
            pushes: (0..=NODES).map(|_| free_address()).collect(),
            clients: gateways,
            private_key: keys.join("server_private.pem"),
            public_key: keys.join("server_public.pem"),
            authority: Authority::new(&dir.join("certificates")),
        }
    }

    fn backend(&self) -> Member {
        let ledger = Path::new(env!("CARGO_BIN_EXE_heliogram-ledger"));
        let backend = Member::new(&self.dir, "backend", ledger);
        let data = backend.path("");
        let mut backend = backend.with(&["--data", &data, "--listen", &self.calls]);
        for node in &self.pushes[..NODES] {
            backend = backend.with(&["--push", node]);
        }
        let tls = self.authority.issue("backend");
        let [authority, certificate, key] = &tls;
        backend.with(&["--tls", authority, certificate, key])
    }

    fn node(&self, at: usize, wire: &Wire) -> Member {
        let tls = tls(&self.authority.issue("session"));
        let (listen, pushes) = (&self.listen[at], &self.pushes[at]);
        let (store, cluster, calls) = (&self.store, &self.cluster, &self.calls);
        let (name, advertise) = (format!("session-{at}"), wire.address());
        let gateways: Vec<_> = self.clients.iter().map(|it| format!("'{it}'")).collect();
        let gateways = gateways.join(", ");
        Member::new(&self.dir, &name, binary())
            .with(&["session"])
            .configured(&format!(
                "listen.admin = '127.0.0.1:0'\nlisten.advertise = [{gateways}]\n{store}\n{cluster}\n\
                 node = '{name}'\nlisten = '{listen}'\nadvertise = '{advertise}'\n{tls}\n\
                 [backend]\naddress = '{calls}'\npush_listen = '{pushes}'\n{tls}"
            ))
    }

    fn gateway(&self, at: usize) -> Member {
        let tls = tls(&self.authority.issue("gateway"));
        let (cluster, clients, key) =
            (&self.cluster, &self.clients[at], self.private_key.display());
        Member::new(&self.dir, &format!("gateway-{at}"), binary())
            .with(&["gateway"])
            .configured(&format!(
                "server_keys = ['{key}']\nlisten.admin = '127.0.0.1:0'\nlisten.tcp = ['{clients}']\n\
                 listen.websocket = ['127.0.0.1:0']\n{cluster}\n{tls}"
            ))
    }
}

fn tcp(gateways: &[Member]) -> Vec<SocketAddr> {
    let addresses = gateways.iter().map(|it| it.endpoint("tcp").unwrap());
    addresses.map(|it| it.parse().unwrap()).collect()
}

fn tls([authority, certificate, key]: &[String; 3]) -> String {
    format!("tls = {{ authority = '{authority}', certificate = '{certificate}', key = '{key}' }}")
}

fn free_address() -> String {
    format!("127.0.0.1:{}", free_port().unwrap())
}

const NODES: usize = 3;
const GATEWAYS: usize = 2;
const CLIENTS: usize = 12;
/// Of them, those whose temporary keys last for a minute.
const BRIEF: usize = 4;
const LEASE_S: u32 = 6;
