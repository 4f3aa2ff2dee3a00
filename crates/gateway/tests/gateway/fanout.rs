//! Fan-out: what one push has brought to many links arrives, each under its own key and in the order of its ids.

use std::collections::{BTreeMap, HashSet};
use std::future::pending;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, Weak};

use bytes::Bytes;
use heliogram_crypto::AuthKey;
use heliogram_gateway::{Config, ExchangeConfig, Gateway, Listener};
use heliogram_ports::memory::MemoryKeys;
use heliogram_ports::{
    AuthKeys, Edge, FromHost, KeyFacts, KeyKind, KeyRecord, SessionPort, ToHost, Wake,
};
use heliogram_proto::exchange::server::{Dcs, Keyring};
use heliogram_proto::ids::{AuthKeyId, LinkId, MsgId, Salt, SeqNo, SessionId, Term};

use crate::client::Client;
use crate::server::any_port;

#[tokio::test]
async fn one_push_to_many_sleeping_links_reaches_each_under_its_own_key() {
    let (host, address, keys) = start(LINKS).await;
    let mut clients = connect(address, &keys).await;

    host.push_to_all();

    for (client, key) in clients.iter_mut().zip(&keys) {
        assert_eq!(number(&client.message(key).await), 2);
    }
}

#[tokio::test]
async fn a_push_to_few_links_wakes_each() {
    let (host, address, keys) = start(3).await;
    let mut clients = connect(address, &keys).await;

    host.push_to_all();

    for (client, key) in clients.iter_mut().zip(&keys) {
        assert_eq!(number(&client.message(key).await), 2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ids_rise_by_one_on_every_link_while_pushes_and_turns_race() {
    let (host, address, keys) = start(LINKS).await;
    let clients = connect(address, &keys).await;

    let pushing = tokio::task::spawn_blocking({
        let host = Arc::clone(&host);
        move || (0..PUSHES).for_each(|_| host.push_to_all())
    });
    let talks = clients.into_iter().zip(keys).map(|(mut client, key)| {
        tokio::spawn(async move {
            // The first answer was taken when it connected.
            let mut last = 1;
            for _ in 0..CALLS {
                let sealed = client.seal(&key, &[1; 4]);
                client.send(&sealed).await;
                last += 1;
                assert_eq!(number(&client.message(&key).await), last);
            }
            while last < 1 + CALLS + PUSHES {
                last += 1;
                assert_eq!(number(&client.message(&key).await), last);
            }
        })
    });
    for talk in talks.collect::<Vec<_>>() {
        talk.await.unwrap();
    }
    pushing.await.unwrap();
}

#[tokio::test]
async fn links_are_sealed_together_from_8_on_and_64_at_a_time() {
    for (links, tasks) in [(7, 7), (8, 1), (64, 1), (65, 2)] {
        let (host, address, keys) = start(links).await;
        let mut clients = connect(address, &keys).await;
        host.drained_by.lock().unwrap().clear();

        host.push_to_all();
        for (client, key) in clients.iter_mut().zip(&keys) {
            client.message(key).await;
        }

        assert_eq!(host.drained_by.lock().unwrap().len(), tasks, "{links}");
    }
}

/// Starts a gateway in front of a host that numbers what it says, and a store with so many keys.
async fn start(keys: u8) -> (Arc<Numbering>, SocketAddr, Vec<AuthKey>) {
    let store = MemoryKeys::new();
    let keys: Vec<_> = (1..=keys).map(|seed| AuthKey::new([seed; 256])).collect();
    for key in &keys {
        let facts = KeyFacts {
            id: key.id(),
            kind: KeyKind::Permanent,
            perm: None,
            dc: None,
            first_salt: None,
        };
        let record = KeyRecord {
            facts,
            key: key.clone(),
            created_at_unix_s: 0,
        };
        store.insert(record).await.unwrap();
    }
    let mut config = Config::default();
    config.listeners = vec![Listener::tcp(any_port())];
    let exchange = ExchangeConfig {
        keys: Keyring::new([]),
        dcs: Dcs::Any,
        legacy_padding: true,
        term: Term(1).into(),
    };
    let host = Arc::new(Numbering::default());
    let port: Arc<dyn SessionPort> = Arc::<Numbering>::clone(&host);
    let gateway = Gateway::bind(config, Arc::new(store), port, exchange).unwrap();
    let address = gateway.addresses()[0].address;
    tokio::spawn(gateway.run(pending()));
    (host, address, keys)
}

/// Connects with each key, and makes it known to the host.
async fn connect(address: SocketAddr, keys: &[AuthKey]) -> Vec<Client> {
    let mut clients = Vec::new();
    for key in keys {
        let mut client = Client::connect(address).await;
        assert_eq!(number(&client.echo(key, &[1; 4]).await), 1);
        clients.push(client);
    }
    clients
}

fn number(body: &[u8]) -> i64 {
    i64::from_le_bytes(body.try_into().unwrap())
}

/// Says its next number to a link for each frame and for each push.
#[derive(Default)]
struct Numbering {
    links: Mutex<BTreeMap<LinkId, State>>,
    edge: Mutex<Option<Weak<dyn Edge>>>,
    /// The tasks that have drained anything.
    drained_by: Mutex<HashSet<tokio::task::Id>>,
}

struct State {
    wake: Arc<dyn Wake>,
    key: Option<AuthKeyId>,
    waiting: usize,
    last: i64,
}

impl Numbering {
    fn push_to_all(&self) {
        let mut links = self.links.lock().unwrap();
        let known = links.iter_mut().filter(|(_, state)| state.key.is_some());
        let reached = known
            .map(|(&link, state)| {
                state.waiting += 1;
                link
            })
            .collect();
        drop(links);
        let edge = self.edge.lock().unwrap().as_ref().and_then(Weak::upgrade);
        edge.unwrap().fan_out(reached);
    }
}

impl SessionPort for Numbering {
    fn open(&self, edge: Weak<dyn Edge>) {
        *self.edge.lock().unwrap() = Some(edge);
    }

    fn attach(&self, link: LinkId, wake: Arc<dyn Wake>) {
        let state = State {
            wake,
            key: None,
            waiting: 0,
            last: 0,
        };
        self.links.lock().unwrap().insert(link, state);
    }

    fn submit(&self, inputs: &mut Vec<ToHost>) {
        let mut links = self.links.lock().unwrap();
        for input in inputs.drain(..) {
            match input {
                ToHost::Frame(frame) => {
                    if let Some(state) = links.get_mut(&frame.link) {
                        state.key = Some(frame.key.id);
                        state.waiting += 1;
                        state.wake.wake();
                    }
                }
                ToHost::Attach(_) => unreachable!("no stream breaks here"),
                ToHost::Detach { link } => {
                    links.remove(&link);
                }
            }
        }
    }

    fn drain(&self, link: LinkId, out: &mut Vec<FromHost>) {
        let mut links = self.links.lock().unwrap();
        let Some(state) = links.get_mut(&link) else {
            return;
        };
        let Some(key) = state.key else {
            return;
        };
        if state.waiting > 0 {
            self.drained_by.lock().unwrap().insert(tokio::task::id());
        }
        for _ in 0..std::mem::take(&mut state.waiting) {
            state.last += 1;
            out.push(FromHost::Seal {
                link,
                key,
                salt: Salt(1),
                session_id: SessionId(2),
                msg_id: MsgId(state.last),
                seqno: SeqNo(1),
                body: Bytes::copy_from_slice(&state.last.to_le_bytes()),
            });
        }
    }

    fn is_quiet(&self) -> bool {
        true
    }
}

/// More than are sealed together, so that there are several batches.
const LINKS: u8 = 80;

const PUSHES: i64 = 100;
const CALLS: i64 = 50;
