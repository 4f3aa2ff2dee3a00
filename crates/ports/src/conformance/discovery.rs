//! What every place where nodes find each other must do.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use heliogram_proto::ids::Term;
use heliogram_proto::ring::Partition;

use crate::discovery::{Discovery, Node, View};

/// Runs every rule of [`Discovery`].
///
/// `make` returns, each time, another process of the same cluster; it has no nodes at first.
///
/// # Panics
///
/// When a rule is broken.
pub async fn discovery(make: impl AsyncFn() -> Arc<dyn Discovery>) {
    let gateway = make().await;
    shows_nobody_at_first(&*gateway);
    let (a, b) = (make().await, make().await);
    shows_who_has_joined(&*gateway, &*a, &*b).await;
    gives_a_partition_to_one_node(&*gateway, &*a, &*b).await;
    releases_what_was_claimed_under_that_term_only(&*gateway, &*a, &*b).await;
    gives_every_owner_a_greater_term(&*a, &*b).await;
    wakes_who_waits_for_a_change(&*gateway, &*a).await;
    leaves_a_node_that_leaves_what_it_owns(&*gateway, &*a).await;
    gives_way_to_a_successor_of_the_same_name(&*gateway, &*b, &*make().await).await;
    shows_a_newcomer_what_there_is(&*gateway, &*make().await).await;
}

fn shows_nobody_at_first(gateway: &dyn Discovery) {
    let view = gateway.view();
    assert!(view.nodes.is_empty());
    assert_eq!(view.owners.len(), Partition::all().count());
    assert!(view.owners.iter().all(Option::is_none));
}

async fn shows_who_has_joined(gateway: &dyn Discovery, a: &dyn Discovery, b: &dyn Discovery) {
    let nobody = gateway.view();
    let refused = a.claim(partition(0)).await;
    assert_eq!(refused, Ok(None), "only a node may claim");
    assert_eq!(b.join(node("b")).await, Ok(()));
    assert_eq!(a.join(node("a")).await, Ok(()));
    for who in [gateway, a, b] {
        let view = until(who, |view| view.nodes.len() == 2).await;
        assert_eq!(view.nodes, [node("a"), node("b")], "nodes come by name");
        assert!(view.revision > nobody.revision);
    }
}

async fn gives_a_partition_to_one_node(
    gateway: &dyn Discovery,
    a: &dyn Discovery,
    b: &dyn Discovery,
) {
    let term = claimed(a, 1).await;
    assert_eq!(b.claim(partition(1)).await, Ok(None), "it is owned");
    assert_eq!(a.claim(partition(1)).await, Ok(None), "by whoever asks");
    for who in [gateway, a, b] {
        let view = until(who, |view| view.owner(partition(1)).is_some()).await;
        let owner = view.owner(partition(1));
        assert!(owner.is_some_and(|it| *it.node == *"a" && it.address == node("a").address));
        assert!(owner.is_some_and(|it| it.term == term && term.0 <= view.revision));
        assert_eq!(view.owners.iter().flatten().count(), 1);
    }
}

async fn releases_what_was_claimed_under_that_term_only(
    gateway: &dyn Discovery,
    a: &dyn Discovery,
    b: &dyn Discovery,
) {
    let term = claimed(a, 2).await;
    assert_eq!(a.release(partition(2), Term(term.0 + 1)).await, Ok(()));
    assert_eq!(a.release(partition(3), term).await, Ok(()));
    assert_eq!(b.release(partition(2), term).await, Ok(()));
    assert_eq!(b.claim(partition(2)).await, Ok(None), "it is owned on");
    assert_eq!(a.release(partition(2), term).await, Ok(()));
    assert_eq!(a.release(partition(2), term).await, Ok(()), "it is over");
    let view = until(gateway, |view| {
        view.revision > term.0 && view.owner(partition(2)).is_none()
    });
    assert!(view.await.owner(partition(1)).is_some(), "one was released");
    let later = claimed(b, 2).await;
    assert!(later > term);
    assert_eq!(a.release(partition(2), term).await, Ok(()));
    assert_eq!(a.claim(partition(2)).await, Ok(None), "it is owned on");
}

async fn gives_every_owner_a_greater_term(a: &dyn Discovery, b: &dyn Discovery) {
    let mut terms = BTreeSet::new();
    for partition in Partition::all().skip(10) {
        let mut last = Term(0);
        for who in [a, b, a] {
            let Ok(Some(term)) = who.claim(partition).await else {
                unreachable!("it was released")
            };
            assert!(term > last);
            assert!(terms.insert(term), "no two partitions have one term");
            assert_eq!(who.release(partition, term).await, Ok(()));
            last = term;
        }
    }
}

async fn wakes_who_waits_for_a_change(gateway: &dyn Discovery, a: &dyn Discovery) {
    // All that was changed before has arrived with this.
    let term = claimed(a, 4).await;
    let view = until(gateway, |view| view.owner(partition(4)).is_some()).await;
    assert_eq!(gateway.newer(0).await.revision, view.revision, "at once");
    let mut newer = pin!(gateway.newer(view.revision));
    let poll = poll_fn(|cx| Poll::Ready(newer.as_mut().poll(cx).is_pending()));
    assert!(poll.await, "nothing has changed");
    assert_eq!(a.release(partition(4), term).await, Ok(()));
    let later = newer.await;
    assert!(later.revision > view.revision);
    assert!(later.owner(partition(4)).is_none());
}

async fn leaves_a_node_that_leaves_what_it_owns(gateway: &dyn Discovery, a: &dyn Discovery) {
    let term = claimed(a, 5).await;
    assert_eq!(a.leave().await, Ok(()));
    assert_eq!(a.leave().await, Ok(()), "it has left");
    let view = until(gateway, |view| view.nodes.len() == 1).await;
    assert_eq!(view.nodes, [node("b")]);
    let owner = view.owner(partition(5));
    assert!(owner.is_some_and(|it| it.term == term && it.address == node("a").address));
    let refused = a.claim(partition(6)).await;
    assert_eq!(refused, Ok(None), "who leaves is given nothing");
    assert_eq!(a.release(partition(5), term).await, Ok(()));
    until(gateway, |view| view.owner(partition(5)).is_none()).await;
}

async fn gives_way_to_a_successor_of_the_same_name(
    gateway: &dyn Discovery,
    before: &dyn Discovery,
    after: &dyn Discovery,
) {
    let term = claimed(before, 7).await;
    let successor = Node {
        address: "127.0.0.1:9".into(),
        ..node("b")
    };
    assert_eq!(after.join(successor.clone()).await, Ok(()));
    for who in [gateway, before, after] {
        let view = until(who, |view| view.nodes == [successor.clone()]).await;
        assert!(view.owner(partition(7)).is_none() && view.revision > term.0);
    }
    let refused = before.claim(partition(8)).await;
    assert_eq!(refused, Ok(None), "it is not known any more");
    assert!(claimed(after, 7).await > term);
    assert_eq!(before.release(partition(7), term).await, Ok(()));
    assert_eq!(before.leave().await, Ok(()));
    claimed(after, 8).await;
    let view = until(gateway, |view| view.owner(partition(8)).is_some()).await;
    assert_eq!(view.nodes, std::slice::from_ref(&successor));
    let owner = view.owner(partition(7));
    assert!(owner.is_some_and(|it| it.address == successor.address));
}

async fn shows_a_newcomer_what_there_is(gateway: &dyn Discovery, newcomer: &dyn Discovery) {
    let view = gateway.view();
    let seen = until(newcomer, |seen| seen.revision >= view.revision).await;
    assert_eq!(
        (&seen.nodes, &seen.owners),
        (&gateway.view().nodes, &gateway.view().owners)
    );
}

async fn until(who: &dyn Discovery, is_so: impl Fn(&View) -> bool) -> Arc<View> {
    let mut view = who.view();
    while !is_so(&view) {
        view = who.newer(view.revision).await;
    }
    view
}

async fn claimed(who: &dyn Discovery, number: u8) -> Term {
    let term = who.claim(partition(number)).await;
    let Ok(Some(term)) = term else {
        unreachable!("nobody owns {number}, but the claim gave {term:?}")
    };
    term
}

fn partition(number: u8) -> Partition {
    let partition = Partition::new(number);
    let Some(partition) = partition else {
        unreachable!("there are more partitions than that")
    };
    partition
}

fn node(name: &str) -> Node {
    Node {
        name: name.into(),
        address: format!("{name}.example:7003").into(),
    }
}
