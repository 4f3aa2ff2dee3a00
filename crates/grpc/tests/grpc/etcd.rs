//! A real etcd: everything that every discovery must do, and what happens when etcd fails.

use std::sync::Arc;
use std::time::Duration;

use heliogram_grpc::{Etcd, EtcdConfig, Role};
use heliogram_ports::Unavailable;
use heliogram_ports::conformance;
use heliogram_ports::discovery::{Discovery, Node, View};
use heliogram_ports::metrics::Readings;
use heliogram_proto::ring::Partition;
use heliogram_testservices as services;

use crate::certificates::Authority;

#[tokio::test]
async fn a_cluster_by_etcd_conforms() {
    let config = shared("conformance");
    conformance::discovery(async || Arc::new(connect(&config)) as Arc<dyn Discovery>).await;
}

#[tokio::test]
async fn clusters_of_different_names_know_nothing_of_each_other() {
    let (one, other) = (shared("apart"), shared("apart-2"));
    let (one, other) = (connect(&one), connect(&other));
    one.join(node("a")).await.unwrap();
    other.join(node("b")).await.unwrap();
    one.claim(partition(1)).await.unwrap().unwrap();
    other.claim(partition(1)).await.unwrap().unwrap();
    assert_eq!(until(&one, |it| !it.nodes.is_empty()).await.nodes.len(), 1);
    assert_eq!(
        until(&other, |it| !it.nodes.is_empty()).await.nodes.len(),
        1
    );
}

#[tokio::test]
async fn a_process_that_is_gone_loses_what_it_has_when_its_lease_ends() {
    let config = shared("gone");
    let (a, b) = (connect(&config), connect(&config));
    a.join(node("a")).await.unwrap();
    b.join(node("b")).await.unwrap();
    let term = a.claim(partition(1)).await.unwrap().unwrap();
    until(&b, |it| it.owner(partition(1)).is_some()).await;
    drop(a);
    let view = until(&b, |it| it.nodes.len() == 1).await;
    assert_eq!(view.owner(partition(1)), None);
    assert!(b.claim(partition(1)).await.unwrap().unwrap() > term);
}

#[tokio::test]
async fn a_node_stays_for_longer_than_its_lease() {
    let config = shared("stays");
    let (a, b) = (connect(&config), connect(&config));
    a.join(node("a")).await.unwrap();
    until(&b, |it| it.nodes.len() == 1).await;
    let gone = until(&b, |it| it.nodes.is_empty());
    let waited = tokio::time::timeout(config.lease * 3, gone).await;
    assert!(waited.is_err(), "the lease was prolonged");
    assert_eq!(Readings::of(&a).0["discovery_leases_lost"], 0);
}

#[tokio::test]
async fn without_etcd_everybody_keeps_the_view_and_what_was_claimed_stays_claimed() {
    let mut etcd = services::Etcd::start().unwrap();
    let mut config = config_of(&etcd, "killed");
    // It may end before it is prolonged again, otherwise.
    config.lease = Duration::from_secs(60);
    let (a, b) = (connect(&config), connect(&config));
    a.join(node("a")).await.unwrap();
    b.join(node("b")).await.unwrap();
    let term = a.claim(partition(1)).await.unwrap().unwrap();
    let seen = until(&b, |it| it.owner(partition(1)).is_some()).await;
    etcd.kill().unwrap();
    assert_eq!(b.claim(partition(2)).await, Err(Unavailable));
    assert_eq!(b.view(), seen);
    assert!(!b.is_up());

    etcd.start_again().unwrap();
    assert!(b.claim(partition(2)).await.unwrap().unwrap() > term);
    // What comes after a loss comes by a new watch.
    let view = until(&a, |it| it.owner(partition(2)).is_some()).await;
    assert_eq!(view.owner(partition(1)).unwrap().term, term);
    assert_eq!(view.nodes.len(), 2);
    assert!(a.is_up());
    assert!(Readings::of(&a).0["discovery_snapshots"] >= 2);
    assert_eq!(b.claim(partition(1)).await, Ok(None));
}

#[tokio::test]
async fn an_etcd_that_stands_still_is_unavailable_and_nothing_is_lost_when_it_goes_on() {
    let etcd = services::Etcd::start().unwrap();
    let mut config = config_of(&etcd, "frozen");
    // It ends while etcd stands still, otherwise.
    config.lease = Duration::from_secs(60);
    let a = connect(&config);
    a.join(node("a")).await.unwrap();
    let term = a.claim(partition(1)).await.unwrap().unwrap();
    until(&a, |it| it.owner(partition(1)).is_some()).await;
    etcd.freeze().unwrap();
    assert_eq!(a.claim(partition(2)).await, Err(Unavailable));
    assert_eq!(a.view().owner(partition(1)).unwrap().term, term);
    etcd.thaw().unwrap();
    // The claim may have arrived, in which case its term was not told yet.
    let later = a.claim(partition(2)).await.unwrap().unwrap();
    let view = until(&a, |it| it.owner(partition(2)).is_some()).await;
    assert_eq!(view.owner(partition(2)).unwrap().term, later);
}

#[tokio::test]
async fn who_has_lost_its_lease_has_nothing_and_comes_back_as_a_node() {
    let config = shared("lost");
    let (a, b) = (connect(&config), connect(&config));
    a.join(node("a")).await.unwrap();
    let term = a.claim(partition(1)).await.unwrap().unwrap();
    // It gives way to another of its name, which then ends.
    b.join(node("a")).await.unwrap();
    // There may be a view between the two.
    until(&a, |it| {
        it.revision > term.0 && it.owner(partition(1)).is_none() && it.nodes.len() == 1
    })
    .await;
    assert_eq!(a.claim(partition(1)).await, Ok(None));
    drop(b);
    let view = until(&a, |it| it.nodes.is_empty()).await;
    until(&a, |it| it.revision > view.revision && it.nodes.len() == 1).await;
    assert!(a.claim(partition(1)).await.unwrap().unwrap() > term);
    assert_eq!(Readings::of(&a).0["discovery_leases_lost"], 1);
}

#[tokio::test]
async fn one_of_several_addresses_is_enough() {
    let mut config = shared("several");
    // One takes connections and says nothing, at another nobody listens.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    config.endpoints.insert(0, url);
    config.endpoints.insert(1, "http://127.0.0.1:9".into());
    let a = connect(&config);
    a.join(node("a")).await.unwrap();
    until(&a, |it| it.nodes.len() == 1).await;
}

#[tokio::test]
async fn another_etcd_in_the_same_place_is_not_believed() {
    let mut etcd = services::Etcd::start().unwrap();
    let config = config_of(&etcd, "wiped");
    let a = connect(&config);
    a.join(node("a")).await.unwrap();
    let term = a.claim(partition(1)).await.unwrap().unwrap();
    let seen = until(&a, |it| it.owner(partition(1)).is_some()).await;
    etcd.start_anew().unwrap();
    // Somebody else believes it, and makes it older than the one before.
    let stranger = connect(&config);
    stranger.join(node("b")).await.unwrap();
    for number in 0..8 {
        let term = stranger.claim(partition(number)).await.unwrap().unwrap();
        stranger.release(partition(number), term).await.unwrap();
    }
    // Long enough for a lease to end and for a snapshot to be read.
    let waited = tokio::time::timeout(Duration::from_secs(4), a.newer(seen.revision)).await;
    assert!(waited.is_err());
    assert_eq!(a.view().owner(partition(1)).unwrap().term, term);
    assert!(!a.is_up());
    let names: Vec<_> = stranger
        .view()
        .nodes
        .iter()
        .map(|it| it.name.to_string())
        .collect();
    assert_eq!(names, ["b"], "it does not come back there");
}

#[tokio::test]
async fn an_etcd_that_wants_a_password_is_told_it_again_when_it_has_forgotten() {
    let mut etcd = services::Etcd::start().unwrap();
    etcd.require_password("hunter2").unwrap();
    let mut config = config_of(&etcd, "password");
    let nobody = connect(&config);
    assert_eq!(nobody.join(node("b")).await, Err(Unavailable));
    config.user = Some(("root".into(), "wrong".into()));
    let stranger = connect(&config);
    assert_eq!(stranger.join(node("b")).await, Err(Unavailable));

    config.user = Some(("root".into(), "hunter2".into()));
    config.lease = Duration::from_secs(60);
    let a = connect(&config);
    a.join(node("a")).await.unwrap();
    until(&a, |it| it.nodes == [node("a")]).await;
    // What it has given out is in its memory alone.
    etcd.kill().unwrap();
    etcd.start_again().unwrap();
    let term = a.claim(partition(1)).await.unwrap().unwrap();
    let view = until(&a, |it| it.owner(partition(1)).is_some()).await;
    assert_eq!(view.owner(partition(1)).unwrap().term, term);
}

#[tokio::test]
async fn etcd_is_reached_with_certificates_and_not_without() {
    let authority = Authority::new();
    authority.issue_for("etcd", vec!["127.0.0.1".into()]);
    let files = authority.files("etcd");
    let etcd = services::Etcd::start_with(services::EtcdTls {
        authority: files.authority.clone(),
        certificate: files.certificate.clone(),
        key: files.key.clone(),
    })
    .unwrap();
    let mut config = config_of(&etcd, "tls");
    config.tls = Some(authority.tls("a", &[Role::Session]));
    let a = connect(&config);
    a.join(node("a")).await.unwrap();
    until(&a, |it| it.nodes.len() == 1).await;

    config.tls = Some(Authority::new().tls("b", &[Role::Session]));
    let b = connect(&config);
    assert_eq!(b.join(node("b")).await, Err(Unavailable));
    assert_eq!(a.view().nodes.len(), 1);
}

fn shared(cluster: &str) -> EtcdConfig {
    config_of(services::Etcd::shared().unwrap(), cluster)
}

pub(crate) fn config_of(etcd: &services::Etcd, cluster: &str) -> EtcdConfig {
    EtcdConfig {
        endpoints: vec![etcd.url()],
        cluster: cluster.into(),
        lease: Duration::from_secs(2),
        tls: None,
        user: None,
    }
}

pub(crate) fn connect(config: &EtcdConfig) -> Etcd {
    Etcd::connect(config).unwrap()
}

pub(crate) async fn until(who: &Etcd, is_so: impl Fn(&View) -> bool) -> Arc<View> {
    let mut view = who.view();
    while !is_so(&view) {
        view = who.newer(view.revision).await;
    }
    view
}

pub(crate) fn partition(number: u8) -> Partition {
    Partition::new(number).unwrap()
}

pub(crate) fn node(name: &str) -> Node {
    Node {
        name: name.into(),
        address: format!("{name}.example:7003").into(),
    }
}
