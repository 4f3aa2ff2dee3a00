//! Forward secrecy at the whole cluster, with heliogram-client; with mtcute in `javascript.rs`. The other clients of these
//! tests make no temporary keys: not Telethon, not `GramJS`, not grammers.
//!
//! The backend is told which key carried a call, and has written that down.

use std::collections::BTreeSet;

use crate::check::{Run, runs};
use crate::faults::under_fault;
use crate::load::until;
use crate::round::Doubles;

#[test]
fn temporary_keys_stay_bound_and_are_renewed_though_the_owner_of_their_permanent_key_is_killed() {
    under_fault(|whole| {
        let clients = whole.rounds.load().identities();
        let identity = clients.daily[0];
        let before = runs(&whole.ledger());
        let owner = whole.owner_of(identity);
        let (rounds, node) = (&mut whole.rounds, &mut whole.nodes[owner]);
        rounds.run(
            "owner of a permanent key killed",
            Doubles::Unanswered,
            || {
                node.kill();
            },
        );
        whole.learn_keys();
        let ledger = whole.backend.path("ledger.txt");
        let runs = || runs(&std::fs::read_to_string(&ledger).unwrap());
        let is_renewed = |runs: &[Run], identity| carriers(runs, identity).len() > 1;
        let renewed = || {
            let runs = runs();
            let mut brief = clients.brief.iter();
            brief.all(|&identity| is_renewed(&runs, identity))
        };
        let doubles = Doubles::None;
        whole.rounds.run("temporary keys renewed", doubles, || {
            assert!(until(renewed), "some keys were never renewed");
        });
        whole.nodes[owner].start();

        let runs = runs();
        let last_term = |runs: &[Run]| of(runs, identity).map(|it| it.term).max();
        assert!(last_term(&before) < last_term(&runs), "another was killed");
        for &identity in &clients.daily {
            let carriers = carriers(&runs, identity);
            assert_eq!(
                carriers.len(),
                1,
                "{identity} has lost a key that was bound"
            );
            assert!(!carriers.contains(&identity), "{identity} carried a call");
        }
        for &identity in &clients.brief {
            let carriers = carriers(&runs, identity);
            assert!(!carriers.contains(&identity), "{identity} carried a call");
            let sessions: BTreeSet<_> = of(&runs, identity).map(|it| it.key.1).collect();
            assert_eq!(sessions.len(), 1, "{identity} has begun sessions anew");
            println!("temporary keys of {identity}: {}", carriers.len());
        }
    });
}

fn of(runs: &[Run], identity: i64) -> impl Iterator<Item = &Run> {
    runs.iter().filter(move |run| run.key.0 == identity)
}

/// Returns the keys that have carried an identity's calls.
fn carriers(runs: &[Run], identity: i64) -> BTreeSet<i64> {
    of(runs, identity).map(|run| run.carrier).collect()
}
