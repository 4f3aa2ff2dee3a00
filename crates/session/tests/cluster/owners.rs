//! What goes from one node to another: sessions of keys that are bound, what comes for them, pushes and users.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use heliogram_crypto::AuthKey;
use heliogram_ports::conformance::record;
use heliogram_ports::memory::MemoryKeys;
use heliogram_ports::{AuthKeys, Inserted, KeyFacts, KeyKind, Push, Pushes, Target};
use heliogram_proto::exchange::binding::{self, Subject};
use heliogram_proto::ids::{Identity, SessionId, Term};
use heliogram_proto::ring::Partition;

use crate::rig::{Client, Cluster, NOW, first_salt, part, reply, until};

#[tokio::test]
async fn a_binding_takes_the_session_to_the_node_of_the_permanent_key() {
    let mut rig = Bound::new().await;

    rig.bind();

    let drained = rig.client.until_something(&rig.cluster.nodes[PERM]).await;
    assert_eq!(drained.results().len(), 1, "boolTrue");
    assert!(!drained.is_closed);
    let temp = rig.client.drain(&rig.cluster.nodes[TEMP]);
    assert!(temp.bodies.is_empty() && !temp.is_closed);
}

#[tokio::test]
async fn what_a_gateway_sends_to_the_temporary_keys_node_is_passed_on() {
    let mut rig = Bound::new().await;
    rig.bind();
    rig.client.until_something(&rig.cluster.nodes[PERM]).await;

    let [temp, perm] = [TEMP, PERM].map(|at| rig.cluster.nodes[at].clone());
    rig.client.call(&temp, NOW);
    let refused = rig.client.until_something(&perm).await;
    rig.client.salt = refused.salt().expect("the first one is another term's");
    let call = rig.client.call(&temp, NOW);

    let drained = rig.client.until_something(&perm).await;
    assert_eq!(drained.results(), [(call, reply(NOW))]);
    let calls = rig.cluster.backend.calls.lock().unwrap();
    assert_eq!(calls[0].identity, Identity(rig.perm.id()));
    assert_eq!(calls[0].term, TERMS[PERM]);
}

#[tokio::test]
async fn sessions_that_find_no_way_to_their_new_owner_end_with_their_links() {
    let mut rig = Bound::new().await;
    rig.cluster.roads.cut.store(1, Ordering::Release);

    rig.bind();

    let drained = rig.client.until_something(&rig.cluster.nodes[TEMP]).await;
    assert!(drained.is_closed);
}

#[tokio::test]
async fn sessions_that_come_under_a_term_that_is_over_end_with_their_links() {
    let mut rig = Bound::new().await;
    let partition = Partition::of(Identity(rig.perm.id()));
    let node = &rig.cluster.nodes[PERM];
    node.disown(partition);
    assert!(node.own(partition, Term(TERMS[PERM].0 + 1)));

    rig.bind();

    let drained = rig.client.until_something(&rig.cluster.nodes[PERM]).await;
    assert!(drained.is_closed);
    assert_eq!(drained.bodies.len(), 0);
}

#[tokio::test]
async fn a_connection_that_ends_ends_at_the_node_that_has_its_session_now() {
    let mut rig = Bound::new().await;
    rig.bind();
    let node = &rig.cluster.nodes[PERM];
    rig.client.until_something(node).await;
    rig.client.detach(node);
    rig.client.detach(&rig.cluster.nodes[TEMP]);

    let body = update();
    let targets = vec![Target::Session {
        identity: Identity(rig.perm.id()),
        session_id: rig.client.session_id,
    }];
    let except = None;
    assert!(
        node.push(Push {
            targets,
            except,
            body
        })
        .is_ok()
    );

    assert!(rig.client.drain(node).bodies.is_empty());
}

#[tokio::test]
async fn a_push_reaches_sessions_of_all_nodes_and_goes_where_some_may_be() {
    let cluster = Cluster::new(2);
    *cluster.backend.user.lock().unwrap() = Some(7);
    Partition::all().for_each(|it| cluster.own(usize::from(it.number() % 2), it, Term(9)));
    let mut clients: Vec<_> = [(1, 10), (2, 11)]
        .into_iter()
        .map(|(link, key)| Client::connect(&cluster, link, key, Term(9)))
        .collect();
    for (client, node) in clients.iter_mut().zip(&cluster.nodes) {
        client.call(node, NOW);
        client.drain(node);
    }
    let reached = |cluster: &Cluster| {
        let both = clients.iter().zip(&cluster.nodes);
        both.map(|(it, node)| it.drain(node).has(UPDATE))
            .collect::<Vec<_>>()
    };
    let identity = |at: usize| Identity(clients[at].key.id);
    let session = |at: usize| Target::Session {
        identity: identity(at),
        session_id: SessionId(77),
    };

    for (target, expected, goes) in [
        (Target::User(7), [true, true], true),
        (Target::User(8), [false, false], true),
        (Target::Key(identity(0)), [true, false], false),
        (Target::Key(identity(1)), [false, true], true),
        (session(0), [true, false], false),
        (session(1), [false, true], true),
    ] {
        let (targets, except, body) = (vec![target], None, update());
        let pushed = cluster.nodes[0].push(Push {
            targets,
            except,
            body,
        });
        assert_eq!(pushed, Ok(()));
        assert_eq!(reached(&cluster), expected, "{target:?}");
        let sent = std::mem::take(&mut *cluster.roads.pushes.lock().unwrap());
        assert_eq!(sent.len(), usize::from(goes), "{target:?}");
    }

    let own_and_other = vec![Target::Key(identity(0)), Target::Key(identity(1))];
    let (except, body) = (None, update());
    let push = Push {
        targets: own_and_other,
        except,
        body,
    };
    assert_eq!(cluster.nodes[0].push(push), Ok(()));
    let sent = cluster.roads.pushes.lock().unwrap();
    assert_eq!(sent[0].targets, [Target::Key(identity(1))]);
}

#[tokio::test]
async fn a_node_that_owns_everything_sends_no_push_anywhere() {
    let cluster = Cluster::new(2);
    cluster.own_all(0, Term(9));
    let (targets, except, body) = (vec![Target::User(7)], None, update());
    assert_eq!(
        cluster.nodes[0].push(Push {
            targets,
            except,
            body
        }),
        Ok(())
    );
    assert!(cluster.roads.pushes.lock().unwrap().is_empty());
}

#[tokio::test]
async fn who_has_logged_in_is_told_to_the_owner_of_the_key() {
    let cluster = Cluster::new(2);
    cluster.own_all(1, Term(9));
    let (here, there) = (&cluster.nodes[0], &cluster.nodes[1]);
    let mut client = Client::connect(&cluster, 1, 10, Term(9));
    client.call(there, NOW);
    client.drain(there);

    here.set_user(Identity(client.key.id), Some(7));
    let (targets, except, body) = (vec![Target::User(7)], None, update());
    assert_eq!(
        here.push(Push {
            targets,
            except,
            body
        }),
        Ok(())
    );

    assert!(client.drain(there).has(UPDATE));
}

#[tokio::test]
async fn what_no_link_waits_for_is_offered_again_until_there_is_a_way() {
    let cluster = Cluster::new(2);
    cluster.own_all(1, Term(9));
    let (here, there) = (&cluster.nodes[0], &cluster.nodes[1]);
    let mut client = Client::connect(&cluster, 1, 10, Term(9));
    client.call(there, NOW);
    client.drain(there);
    let running = here.clone();
    let offers = tokio::spawn(async move { running.run().await });
    cluster.roads.cut.store(2, Ordering::Release);

    // The second must not overtake the first.
    here.set_user(Identity(client.key.id), Some(7));
    here.set_user(Identity(client.key.id), Some(8));
    until(|| cluster.roads.sent.load(Ordering::Acquire) == 2).await;
    offers.abort();

    for (user, is_reached) in [(7, false), (8, true)] {
        let (targets, except, body) = (vec![Target::User(user)], None, update());
        let push = Push {
            targets,
            except,
            body,
        };
        assert_eq!(here.push(push), Ok(()));
        assert_eq!(client.drain(there).has(UPDATE), is_reached, "{user}");
    }
}

#[tokio::test]
async fn what_finds_no_way_is_taken_here_once_this_node_is_the_owner() {
    let cluster = Cluster::new(2);
    cluster.own_all(1, Term(9));
    let here = &cluster.nodes[0];
    let running = here.clone();
    let offers = tokio::spawn(async move { running.run().await });
    cluster.roads.cut.store(usize::MAX, Ordering::Release);
    let identity = Identity(heliogram_proto::ids::AuthKeyId(10));
    let before = cluster.roads.cut.load(Ordering::Acquire);
    here.set_user(identity, Some(7));
    assert_eq!(cluster.roads.cut.load(Ordering::Acquire), before - 1);

    cluster.nodes[1].disown(part(10));
    cluster.own(0, part(10), Term(10));
    let mut client = Client::connect(&cluster, 1, 10, Term(10));
    client.call(here, NOW);
    client.drain(here);

    let is_reached = || {
        let (targets, except, body) = (vec![Target::User(7)], None, update());
        let push = Push {
            targets,
            except,
            body,
        };
        assert_eq!(here.push(push), Ok(()));
        client.drain(here).has(UPDATE)
    };
    until(is_reached).await;
    offers.abort();
}

/// A client whose temporary key is of one node, and its permanent one of another.
struct Bound {
    cluster: Cluster,
    client: Client,
    perm: AuthKey,
}

impl Bound {
    async fn new() -> Self {
        let end = u32::MAX;
        let perm = record(1, KeyKind::Permanent);
        let temporary = KeyKind::Temporary {
            expires_at_unix_s: end,
        };
        let temp = record(2, temporary);
        let keys = MemoryKeys::new();
        for key in [&perm, &temp] {
            assert_eq!(keys.insert(key.clone()).await, Ok(Inserted::Stored));
        }
        let keys: Arc<dyn AuthKeys> = Arc::new(keys);
        let cluster = Cluster::with(2, &keys);
        let (of_perm, of_temp) = (part(perm.facts.id.0), part(temp.facts.id.0));
        assert_ne!(of_perm, of_temp, "otherwise nothing goes anywhere");
        for partition in Partition::all() {
            let node = if partition == of_perm { PERM } else { TEMP };
            cluster.own(node, partition, TERMS[node]);
        }
        let facts = KeyFacts {
            first_salt: Some(first_salt(TERMS[TEMP])),
            ..temp.facts
        };
        Self {
            client: Client::connect_with(&cluster.nodes, 1, facts),
            cluster,
            perm: perm.key,
        }
    }

    /// Sends a request to bind the temporary key.
    fn bind(&mut self) {
        let msg_id = self.client.next_msg_id();
        let subject = Subject {
            temp: self.client.key.id,
            session_id: self.client.session_id,
            msg_id,
            expires_at_unix_s: i32::MAX,
        };
        let request = binding::seal(&self.perm, &subject, &mut heliogram_ports::random::lend());
        let node = self.cluster.nodes[TEMP].clone();
        self.client.send(&node, msg_id, &request);
    }
}

fn update() -> bytes::Bytes {
    bytes::Bytes::copy_from_slice(&UPDATE.to_le_bytes())
}

/// The nodes of the two keys.
const TEMP: usize = 0;
const PERM: usize = 1;
const TERMS: [Term; 2] = [Term(9), Term(12)];

const UPDATE: u32 = 0x7777_7777;
