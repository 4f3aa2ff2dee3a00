//! Keys that an owner has not seen in its term.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use heliogram_ports::{AuthKeys, FromHost, SessionPort};
use heliogram_proto::ids::Term;
use heliogram_session::limits::RETRY_PAUSE;

use crate::rig::{Client, Cluster, LATER, NOW, part, until};
use crate::store::Known;

#[tokio::test]
async fn a_key_that_the_store_does_not_have_is_revoked_and_others_are_not() {
    let (cluster, store) = cluster();
    let node = &cluster.nodes[0];
    cluster.own(0, part(1), Term(9));
    cluster.own(0, part(2), Term(9));
    let mut gone = Client::connect(&cluster, 1, 1, Term(9));
    let mut kept = Client::connect(&cluster, 2, 2, Term(9));
    store.absent.lock().unwrap().insert(gone.key.id);

    kept.call(node, LATER);
    gone.call(node, LATER);
    gone.drain(node);

    gone.until_woken().await;
    let mut out = Vec::new();
    node.drain(gone.link, &mut out);
    let code = Some(-404);
    let link = gone.link;
    assert_eq!(out.last(), Some(&FromHost::Close { link, code }));
    cluster.backend.gate.add_permits(2);
    assert!(!kept.until_something(node).await.is_closed);
}

#[tokio::test]
async fn a_key_is_looked_up_once_in_a_term_and_again_in_the_next() {
    let (cluster, store) = cluster();
    let node = &cluster.nodes[0];
    for term in [Term(9), Term(10)] {
        cluster.own(0, part(1), term);
        let before = store.asked();
        let link = term.0;
        let mut client = Client::connect(&cluster, link, 1, term);
        client.call(node, NOW);
        client.call(node, NOW);
        until(|| store.asked() > before).await;
        client.call(node, NOW);
        tokio::task::yield_now().await;
        assert_eq!(store.asked(), before + 1, "{term:?}");
        node.disown(part(1));
    }
}

#[tokio::test]
async fn a_store_that_cannot_say_is_asked_again_and_nothing_is_revoked_meanwhile() {
    let (cluster, store) = cluster();
    let node = &cluster.nodes[0];
    cluster.own(0, part(1), Term(9));
    let mut client = Client::connect(&cluster, 1, 1, Term(9));
    store.absent.lock().unwrap().insert(client.key.id);
    store.is_down.store(true, Ordering::Release);

    client.call(node, NOW);
    until(|| store.asked() == 1).await;
    assert_eq!(client.drain(node).results().len(), 1);
    store.is_down.store(false, Ordering::Release);

    // The store answers after the pause.
    client.until_woken().await;
    assert_eq!(store.asked(), 2);
}

#[tokio::test]
async fn a_look_up_of_a_term_that_is_over_ends_with_it() {
    let (cluster, store) = cluster();
    let node = &cluster.nodes[0];
    cluster.own(0, part(1), Term(9));
    store.is_down.store(true, Ordering::Release);
    Client::connect(&cluster, 1, 1, Term(9)).call(node, NOW);
    until(|| store.asked() == 1).await;

    node.disown(part(1));
    tokio::time::sleep(RETRY_PAUSE + Duration::from_millis(50)).await;

    assert_eq!(store.asked(), 1);
}

fn cluster() -> (Cluster, Arc<Known>) {
    let store = Arc::<Known>::default();
    let keys: Arc<dyn AuthKeys> = Arc::<Known>::clone(&store);
    (Cluster::with(1, &keys), store)
}
