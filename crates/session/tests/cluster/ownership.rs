//! What becomes of sessions and links when a partition comes, goes, and comes again.

use std::time::Duration;

use heliogram_ports::SessionPort;
use heliogram_ports::metrics::{Measured, Readings};
use heliogram_proto::ids::Term;

use crate::rig::{Client, Cluster, LATER, NOW, PATIENCE, first_salt, part, reply};

#[tokio::test]
async fn a_frame_of_a_partition_that_is_not_owned_closes_its_link_and_no_other() {
    let cluster = Cluster::new(1);
    let node = &cluster.nodes[0];
    cluster.own(0, part(1), Term(9));
    let mut mine = Client::connect(&cluster, 1, 1, Term(9));
    let mut foreign = Client::connect(&cluster, 2, 2, Term(9));

    let call = mine.call(node, NOW);
    foreign.call(node, NOW);

    foreign.until_woken().await;
    assert!(foreign.drain(node).is_closed);
    let drained = mine.drain(node);
    assert_eq!(drained.results(), [(call, reply(NOW))]);
    assert!(!drained.is_closed);
    assert_eq!(cluster.backend.count(), 1);
}

#[tokio::test]
async fn a_link_that_is_to_be_closed_brings_nothing_more_and_is_closed_once() {
    let cluster = Cluster::new(1);
    let node = &cluster.nodes[0];
    cluster.own(0, part(1), Term(9));
    let mut client = Client::connect(&cluster, 1, 2, Term(9));
    client.call(node, NOW);

    client.key.id.0 = 1;
    client.call(node, NOW);
    assert!(client.drain(node).is_closed);
    client.call(node, NOW);

    assert!(!client.drain(node).is_closed);
    assert_eq!(cluster.backend.count(), 0);
}

#[tokio::test]
async fn calls_carry_the_term_of_their_partition() {
    let cluster = Cluster::new(1);
    let node = &cluster.nodes[0];
    for (key, term) in [(1, Term(9)), (2, Term(12))] {
        cluster.own(0, part(key), term);
        let link = u64::try_from(key).unwrap();
        Client::connect(&cluster, link, key, term).call(node, NOW);
    }

    let calls = cluster.backend.calls.lock().unwrap();
    let terms: Vec<_> = calls.iter().map(|it| it.term).collect();
    assert_eq!(terms, [Term(9), Term(12)]);
    assert_eq!(
        node.owned(),
        [(part(1), Term(9)), (part(2), Term(12))],
        "and nothing else"
    );
}

#[tokio::test]
async fn a_frame_for_another_term_closes_its_link_and_one_for_this_term_runs() {
    let cluster = Cluster::new(1);
    let node = &cluster.nodes[0];
    cluster.own(0, part(1), Term(9));
    for (link, term) in [(1, Term(8)), (2, Term(9)), (3, Term(10))] {
        let mut client = Client::connect(&cluster, link, 1, Term(9));
        client.term = Some(term);
        client.call(node, NOW);
        assert_eq!(client.drain(node).is_closed, term != Term(9), "{term:?}");
    }
    assert_eq!(cluster.backend.count(), 1);
}

#[tokio::test]
async fn a_partition_is_never_owned_twice_under_one_term_or_an_earlier_one() {
    let node = Cluster::new(1).nodes.remove(0);

    assert!(node.own(part(1), Term(9)));
    assert!(!node.own(part(1), Term(10)), "it is owned");
    assert!(node.own(part(2), Term(9)), "another partition");
    node.disown(part(1));
    assert_eq!(node.term_of(part(1)), None);
    assert!(!node.own(part(1), Term(9)));
    assert!(!node.own(part(1), Term(8)));
    assert!(node.own(part(1), Term(10)));
    assert_eq!(node.term_of(part(1)), Some(Term(10)));
}

#[tokio::test]
async fn a_partition_that_comes_back_accepts_nothing_that_was_captured_before() {
    let cluster = Cluster::new(1);
    let node = &cluster.nodes[0];
    cluster.own(0, part(1), Term(9));
    let mut client = Client::connect(&cluster, 1, 1, Term(9));
    client.call(node, NOW);

    node.disown(part(1));
    cluster.own(0, part(1), Term(10));
    let mut again = Client::connect(&cluster, 2, 1, Term(9));
    again.call(node, NOW);

    assert!(again.drain(node).salt().is_some());
    assert_eq!(cluster.backend.count(), 1);
}

#[tokio::test]
async fn a_partition_that_is_dropped_ends_its_calls_and_closes_the_links_that_used_it() {
    let cluster = Cluster::new(1);
    let node = &cluster.nodes[0];
    cluster.own(0, part(1), Term(9));
    cluster.own(0, part(2), Term(9));
    let mut mine = Client::connect(&cluster, 1, 1, Term(9));
    let mut other = Client::connect(&cluster, 2, 2, Term(9));
    mine.call(node, LATER);
    other.call(node, NOW);
    other.drain(node);

    node.disown(part(1));

    tokio::time::timeout(PATIENCE, cluster.backend.dropped.notified())
        .await
        .expect("the call goes on");
    let drained = mine.drain(node);
    assert!(drained.is_closed);
    assert_eq!(drained.bodies.len(), 0, "nothing is said for another owner");
    assert!(!other.drain(node).is_closed);
    assert!(node.is_quiet());
}

#[tokio::test]
async fn a_retired_partition_answers_its_calls_before_its_links_are_closed() {
    let cluster = Cluster::new(1);
    let node = &cluster.nodes[0];
    cluster.own(0, part(1), Term(9));
    let mut client = Client::connect(&cluster, 1, 1, Term(9));
    let call = client.call(node, LATER);

    let (all, ()) = tokio::join!(node.retire(part(1), PATIENCE), async {
        assert_eq!(node.term_of(part(1)), Some(Term(9)));
        cluster.backend.gate.add_permits(1);
    });

    assert!(all, "all calls were answered");
    assert_eq!(node.term_of(part(1)), None);
    let drained = client.drain(node);
    assert_eq!(drained.results(), [(call, reply(LATER))]);
    assert!(drained.is_closed);
}

#[tokio::test]
async fn a_call_that_outlasts_the_patience_ends_with_its_partition() {
    let cluster = Cluster::new(1);
    let node = &cluster.nodes[0];
    cluster.own(0, part(1), Term(9));
    let mut client = Client::connect(&cluster, 1, 1, Term(9));
    client.call(node, LATER);

    assert!(!node.retire(part(1), Duration::from_millis(5)).await);

    tokio::time::timeout(PATIENCE, cluster.backend.dropped.notified())
        .await
        .expect("the call goes on");
    let drained = client.drain(node);
    assert_eq!(drained.results(), []);
    assert!(drained.is_closed);
}

#[tokio::test]
async fn what_comes_to_a_retiring_partition_does_not_run_and_its_link_is_closed_with_it() {
    let cluster = Cluster::new(1);
    let node = &cluster.nodes[0];
    cluster.own(0, part(1), Term(9));
    let mut early = Client::connect(&cluster, 1, 1, Term(9));
    let mut late = Client::connect(&cluster, 2, 1, Term(9));
    early.call(node, LATER);

    tokio::join!(node.retire(part(1), PATIENCE), async {
        late.session_id.0 += 1;
        late.call(node, NOW);
        assert!(!late.drain(node).is_closed, "there is no other owner yet");
        cluster.backend.gate.add_permits(1);
    });

    assert_eq!(cluster.backend.count(), 1);
    assert!(late.drain(node).is_closed && early.drain(node).is_closed);
}

#[tokio::test]
async fn a_partition_that_comes_back_at_once_leaves_the_old_links_to_their_end() {
    let cluster = Cluster::new(1);
    let node = &cluster.nodes[0];
    cluster.own(0, part(1), Term(9));
    let mut old = Client::connect(&cluster, 1, 1, Term(9));
    old.call(node, NOW);
    node.retire(part(1), PATIENCE).await;

    cluster.own(0, part(1), Term(10));
    let mut new = Client::connect(&cluster, 2, 1, Term(10));
    let call = new.call(node, NOW);

    assert_eq!(new.drain(node).results(), [(call, reply(NOW))]);
    assert!(old.drain(node).is_closed);
    old.key.first_salt = Some(first_salt(Term(10)));
    old.call(node, NOW);
    assert_eq!(cluster.backend.count(), 2);
}

#[tokio::test]
async fn what_a_host_has_counted_stays_counted_when_it_is_gone() {
    let cluster = Cluster::new(1);
    let node = &cluster.nodes[0];
    cluster.own(0, part(1), Term(9));
    let mut client = Client::connect(&cluster, 1, 1, Term(9));
    client.call(node, NOW);
    node.retire(part(1), PATIENCE).await;
    assert_eq!(
        count(node, "session_frames"),
        1,
        "before its links are gone"
    );

    client.drain(node);
    client.detach(node);

    assert_eq!(count(node, "session_frames"), 1, "and after");
    assert_eq!(count(node, "session_sent_messages"), 1);
}

/// Returns what a port has counted.
fn count(port: &dyn Measured, name: &str) -> u64 {
    Readings::of(port).0[name]
}
