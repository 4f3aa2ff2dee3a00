//! Ports of several nodes with roads between them, a backend that does as it is told, and one client at a time.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use heliogram_crypto::SecretBytes;
use heliogram_ports::clock::unix_now;
use heliogram_ports::{
    Answer, AuthKeys, Backend, Call, FirstSalt, Frame, FromHost, KeyFacts, KeyKind, LoggedIn,
    Owners, Push, Reply, SessionPort, ToHost, Wake,
};
use heliogram_proto::host::{Config, Input};
use heliogram_proto::ids::{AuthKeyId, Identity, LinkId, MsgId, Salt, SeqNo, SessionId, Term};
use heliogram_proto::ring::Partition;
use heliogram_session::LocalPort;
use heliogram_tl::mtproto::{BadServerSalt, MsgContainer, RpcResult};
use heliogram_tl::{Deserialize, Serialize, api::InitConnection};
use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore};

use crate::store::Known;

/// The nodes of a cluster.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<LocalPort>,
    pub(crate) roads: Arc<Roads>,
    pub(crate) backend: Arc<Scripted>,
}

impl Cluster {
    /// Makes nodes that own nothing.
    pub(crate) fn new(nodes: usize) -> Self {
        let keys: Arc<dyn AuthKeys> = Arc::<Known>::default();
        Self::with(nodes, &keys)
    }

    pub(crate) fn with(nodes: usize, keys: &Arc<dyn AuthKeys>) -> Self {
        let (roads, backend) = (Arc::<Roads>::default(), Arc::<Scripted>::default());
        let config = Config::new(Term(0), SecretBytes::new([1; 32]));
        let make = |from| {
            let owners = Arc::new(Road {
                from,
                roads: Arc::clone(&roads),
            });
            let (keys, backend) = (Arc::clone(keys), Arc::<Scripted>::clone(&backend));
            LocalPort::of_cluster(&config, keys, backend, owners, Handle::current())
        };
        let nodes: Vec<_> = (0..nodes).map(make).collect();
        roads.nodes.lock().unwrap().clone_from(&nodes);
        Self {
            nodes,
            roads,
            backend,
        }
    }

    /// Gives a partition to a node, and tells everybody.
    pub(crate) fn own(&self, node: usize, partition: Partition, term: Term) {
        assert!(self.nodes[node].own(partition, term));
        let mut owners = self.roads.owners.lock().unwrap();
        owners.insert(partition, (node, term));
    }

    /// Gives all partitions to a node.
    pub(crate) fn own_all(&self, node: usize, term: Term) {
        Partition::all().for_each(|partition| self.own(node, partition, term));
    }
}

/// Brings inputs to the nodes that the others take for owners.
#[derive(Default)]
pub(crate) struct Roads {
    nodes: Mutex<Vec<LocalPort>>,
    pub(crate) owners: Mutex<BTreeMap<Partition, (usize, Term)>>,
    /// How many of the next inputs find no way.
    pub(crate) cut: AtomicUsize,
    pub(crate) sent: AtomicUsize,
    pub(crate) pushes: Mutex<Vec<Push>>,
}

struct Road {
    from: usize,
    roads: Arc<Roads>,
}

impl Owners for Road {
    fn send(&self, to: Identity, input: Input) -> Result<(), Box<Input>> {
        let roads = &self.roads;
        let owner = *roads
            .owners
            .lock()
            .unwrap()
            .get(&Partition::of(to))
            .unwrap();
        let (node, term) = owner;
        assert_ne!(node, self.from, "what is a node's own goes nowhere");
        let cut = |left: usize| left.checked_sub(1);
        let (set, fetch) = (Ordering::AcqRel, Ordering::Acquire);
        if roads.cut.fetch_update(set, fetch, cut).is_ok() {
            return Err(Box::new(input));
        }
        let node = roads.nodes.lock().unwrap()[node].clone();
        node.deliver(to, term, input);
        roads.sent.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }

    fn push(&self, push: Push) {
        self.roads.pushes.lock().unwrap().push(push.clone());
        let nodes = self.roads.nodes.lock().unwrap().clone();
        for (at, node) in nodes.iter().enumerate() {
            if at != self.from {
                node.deliver_push(push.clone()).unwrap();
            }
        }
    }
}

/// A client with one connection, which is attached at every node.
pub(crate) struct Client {
    pub(crate) link: LinkId,
    pub(crate) key: KeyFacts,
    pub(crate) session_id: SessionId,
    pub(crate) salt: Salt,
    pub(crate) term: Option<Term>,
    pub(crate) wake: Arc<Woken>,
    last_msg_id: i64,
    content_count: i32,
}

impl Client {
    /// Connects with a permanent key, whose first salt is of this term.
    pub(crate) fn connect(cluster: &Cluster, link: u64, id: i64, term: Term) -> Self {
        Self::connect_to(&cluster.nodes, link, id, term)
    }

    pub(crate) fn connect_to(nodes: &[LocalPort], link: u64, id: i64, term: Term) -> Self {
        let key = KeyFacts {
            id: AuthKeyId(id),
            kind: KeyKind::Permanent,
            perm: None,
            dc: None,
            first_salt: Some(first_salt(term)),
        };
        Self::connect_with(nodes, link, key)
    }

    pub(crate) fn connect_with(nodes: &[LocalPort], link: u64, key: KeyFacts) -> Self {
        let wake = Arc::<Woken>::default();
        for node in nodes {
            node.attach(LinkId(link), Arc::<Woken>::clone(&wake));
        }
        Self {
            link: LinkId(link),
            key,
            session_id: SessionId(77),
            salt: SALT,
            term: None,
            wake,
            last_msg_id: 0,
            content_count: 0,
        }
    }

    /// Calls a method at a node; returns the message's id.
    pub(crate) fn call(&mut self, node: &LocalPort, method: u32) -> i64 {
        let query = method.to_le_bytes();
        let call = InitConnection {
            api_id: 4,
            query: &query,
            ..InitConnection::default()
        };
        let msg_id = self.next_msg_id();
        self.send(node, msg_id, &call.to_bytes());
        msg_id.0
    }

    pub(crate) fn next_msg_id(&mut self) -> MsgId {
        let now = unix_now();
        let now_id = now.seconds().cast_signed() << 32 | now.subsec_nanos().cast_signed() << 2;
        self.last_msg_id = now_id.max(self.last_msg_id + 4);
        MsgId(self.last_msg_id)
    }

    pub(crate) fn send(&mut self, node: &LocalPort, msg_id: MsgId, body: &[u8]) {
        let frame = Frame {
            link: self.link,
            key: self.key,
            peer: SocketAddr::from(([127, 0, 0, 1], 1)),
            salt: self.salt,
            session_id: self.session_id,
            msg_id,
            seqno: SeqNo(self.content_count * 2 + 1),
            body: Bytes::copy_from_slice(body),
            quick_ack: None,
            is_http: false,
            term: self.term,
            trace: None,
        };
        self.content_count += 1;
        node.submit(&mut vec![ToHost::Frame(frame)]);
    }

    /// Drains what a node has.
    pub(crate) fn drain(&self, node: &LocalPort) -> Drained {
        let mut out = Vec::new();
        node.drain(self.link, &mut out);
        Drained {
            is_closed: out.last() == Some(&closed(self.link)),
            bodies: bodies(&out),
        }
    }

    /// Drains what a node has until there is a result, a new salt, or the end.
    pub(crate) async fn until_something(&self, node: &LocalPort) -> Drained {
        loop {
            let drained = self.drain(node);
            let is_over = drained.is_closed || drained.salt().is_some();
            if is_over || !drained.results().is_empty() {
                return drained;
            }
            self.until_woken().await;
        }
    }

    pub(crate) async fn until_woken(&self) {
        tokio::time::timeout(PATIENCE, self.wake.notify.notified())
            .await
            .expect("nobody was woken");
    }

    pub(crate) fn detach(&self, node: &LocalPort) {
        node.submit(&mut vec![ToHost::Detach { link: self.link }]);
    }
}

/// What was drained.
#[derive(Debug)]
pub(crate) struct Drained {
    /// The last of it was the end of the connection, without a code.
    pub(crate) is_closed: bool,
    pub(crate) bodies: Vec<Bytes>,
}

impl Drained {
    pub(crate) fn has(&self, constructor: u32) -> bool {
        let ids = self.bodies.iter().map(|it| heliogram_tl::peek_id(it));
        ids.into_iter().any(|id| id == Some(constructor))
    }

    /// Returns the salt that is to be used, if there was another.
    pub(crate) fn salt(&self) -> Option<Salt> {
        let mut refusals = self.bodies.iter();
        let refusal = refusals.find_map(|body| BadServerSalt::from_bytes(body).ok());
        refusal.map(|it| Salt(it.new_server_salt))
    }

    /// Returns the results of calls, in order.
    pub(crate) fn results(&self) -> Vec<(i64, Vec<u8>)> {
        let results = self.bodies.iter();
        let results = results.filter_map(|body| RpcResult::from_bytes(body).ok());
        results
            .map(|result| (result.req_msg_id, result.result.to_vec()))
            .collect()
    }
}

/// The objects of all messages, taken out of their containers.
fn bodies(out: &[FromHost]) -> Vec<Bytes> {
    let messages = out.iter().filter_map(|effect| match effect {
        FromHost::Seal { body, .. } => Some(body),
        FromHost::QuickAck { .. } | FromHost::Close { .. } => None,
    });
    messages
        .flat_map(|body| match MsgContainer::from_bytes(body) {
            Ok(container) => {
                let messages = container.messages.iter();
                messages.map(|it| Bytes::copy_from_slice(it.body)).collect()
            }
            Err(_) => vec![body.clone()],
        })
        .collect()
}

const fn closed(link: LinkId) -> FromHost {
    FromHost::Close { link, code: None }
}

#[derive(Default)]
pub(crate) struct Woken {
    notify: Notify,
}

impl Wake for Woken {
    fn wake(&self) {
        self.notify.notify_one();
    }
}

/// Answers as the method's id says.
pub(crate) struct Scripted {
    pub(crate) calls: Mutex<Vec<Call>>,
    /// Whom it takes to have logged in with any key.
    pub(crate) user: Mutex<Option<i64>>,
    /// Lets calls be answered that wait.
    pub(crate) gate: Arc<Semaphore>,
    /// Told when a call that waited is no more.
    pub(crate) dropped: Arc<Notify>,
}

impl Default for Scripted {
    fn default() -> Self {
        Self {
            calls: Mutex::default(),
            user: Mutex::default(),
            gate: Arc::new(Semaphore::new(0)),
            dropped: Arc::default(),
        }
    }
}

impl Scripted {
    pub(crate) fn count(&self) -> usize {
        self.calls.lock().unwrap().len()
    }
}

impl Backend for Scripted {
    fn call(&self, call: Call) -> Answer {
        let method = u32::from_le_bytes(call.body[..4].try_into().unwrap());
        self.calls.lock().unwrap().push(call);
        match method {
            NOW => Answer::Now(Reply::Result(reply(method).into())),
            LATER => {
                let dropped = NotifyOnDrop(Arc::clone(&self.dropped));
                let gate = Arc::clone(&self.gate);
                Answer::Later(Box::pin(async move {
                    let _dropped = dropped;
                    gate.acquire().await.unwrap().forget();
                    Reply::Result(reply(method).into())
                }))
            }
            other => panic!("no such method: {other:#x}"),
        }
    }

    fn user(&self, _: Identity) -> LoggedIn {
        LoggedIn::Now(*self.user.lock().unwrap())
    }
}

struct NotifyOnDrop(Arc<Notify>);

impl Drop for NotifyOnDrop {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

/// Waits until something is so. What makes it so has to run on this thread.
pub(crate) async fn until(is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, waiting).await;
    waited.expect("it is not so, and will not be");
}

pub(crate) fn reply(method: u32) -> Vec<u8> {
    (!method).to_le_bytes().to_vec()
}

pub(crate) fn first_salt(term: Term) -> FirstSalt {
    FirstSalt {
        salt: SALT,
        term,
        since_unix_s: unix_now().seconds(),
    }
}

/// Returns the partition of a key.
pub(crate) fn part(id: i64) -> Partition {
    Partition::of(Identity(AuthKeyId(id)))
}

pub(crate) const SALT: Salt = Salt(5);
pub(crate) const NOW: u32 = 0x1111_1111;
pub(crate) const LATER: u32 = 0x2222_2222;
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
