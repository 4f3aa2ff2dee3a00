//! One fault after another upon the whole cluster. Whatever it is, every call is answered, none runs twice that was answered
//! before or begun after it, and each update comes or is made up for.

use std::time::Duration;

use crate::load::{Load, unix_ms};
use crate::round::Doubles;
use crate::stores::{self, goes_on, unnoticed};
use crate::whole::Whole;

#[test]
fn a_gateway_is_killed_and_its_clients_go_on_with_their_sessions_at_the_other() {
    under_fault(|whole| {
        let (rounds, gateway) = (&mut whole.rounds, &mut whole.gateways[0]);
        let outcome = rounds.run("gateway killed", Doubles::None, || gateway.kill());
        unnoticed(&outcome);
        gateway.start();
    });
}

#[test]
fn a_session_node_is_killed_and_its_share_goes_to_the_others_and_back() {
    under_fault(|whole| {
        let (rounds, node) = (&mut whole.rounds, &mut whole.nodes[0]);
        rounds.run("session node killed", Doubles::Unanswered, || node.kill());
        rounds.run("session node back", Doubles::Unanswered, || node.start());
    });
}

#[test]
fn a_session_node_is_killed_and_back_before_its_lease_has_ended() {
    under_fault(|whole| {
        let (rounds, node) = (&mut whole.rounds, &mut whole.nodes[1]);
        rounds.run("session node restarted", Doubles::Unanswered, || {
            node.kill();
            node.start();
        });
    });
}

#[test]
fn a_session_node_stands_still_for_20_s_and_owns_nothing_when_it_goes_on() {
    under_fault(|whole| {
        let (rounds, node) = (&mut whole.rounds, &whole.nodes[2]);
        let doubles = Doubles::Unanswered;
        rounds.run_with("session node stopped for 20 s", doubles, |load| {
            node.freeze();
            lasts(load, Duration::from_secs(20));
            node.thaw();
        });
    });
}

#[test]
fn a_gateway_stands_still_for_20_s_and_its_clients_find_their_sessions_again() {
    under_fault(|whole| {
        let (rounds, gateway) = (&mut whole.rounds, &whole.gateways[1]);
        let outcome = rounds.run("gateway stopped for 20 s", Doubles::None, || {
            gateway.freeze();
            std::thread::sleep(Duration::from_secs(20));
            gateway.thaw();
        });
        assert_eq!(outcome.errors, 0);
    });
}

#[test]
fn streams_between_gateways_and_a_node_are_cut_and_no_call_is_lost_or_runs_twice() {
    under_fault(|whole| {
        let (rounds, wire) = (&mut whole.rounds, &whole.wires[1]);
        for _ in 0..3 {
            let outcome = rounds.run("streams cut", Doubles::None, || assert!(wire.cut() >= 2));
            unnoticed(&outcome);
        }
    });
}

#[test]
fn the_backend_is_killed_and_only_calls_that_it_had_run_again() {
    under_fault(|whole| {
        let (rounds, backend) = (&mut whole.rounds, &mut whole.backend);
        rounds.run("backend killed", Doubles::Unanswered, || {
            backend.kill();
            backend.start();
        });
    });
}

#[test]
fn the_backend_stands_still_for_20_s_and_only_calls_that_it_had_run_again() {
    under_fault(|whole| {
        let (rounds, backend) = (&mut whole.rounds, &whole.backend);
        rounds.run("backend stopped for 20 s", Doubles::Unanswered, || {
            backend.freeze();
            std::thread::sleep(Duration::from_secs(20));
            backend.thaw();
        });
    });
}

#[test]
fn without_etcd_for_a_minute_and_meanwhile_without_cache_and_database_everybody_goes_on() {
    under_fault(|whole| {
        let begun = unix_ms();
        whole.etcd.kill().unwrap();
        stores::redis_flushed(&mut whole.rounds, &whole.stores);
        stores::redis_down(&mut whole.rounds, &mut whole.stores);
        stores::mysql_down(&mut whole.rounds, &mut whole.stores);
        let (rounds, etcd) = (&mut whole.rounds, &mut whole.etcd);
        let outcome = rounds.run_with("etcd down for 60 s", Doubles::None, |load| {
            let gone = Duration::from_millis(unix_ms() - begun);
            load.welcome(load.newcomer());
            goes_on(load, Duration::from_mins(1).saturating_sub(gone));
            etcd.start_again().unwrap();
        });
        unnoticed(&outcome);
    });
}

#[test]
fn a_session_node_is_added_and_takes_its_share_and_is_removed_and_gives_it_back() {
    under_fault(|whole| {
        let (rounds, node) = (&mut whole.rounds, &mut whole.nodes[3]);
        let added = rounds.run("session node added", Doubles::Unanswered, || node.start());
        assert_eq!(added.errors, 0);
        let removed = rounds.run("session node removed", Doubles::Unanswered, || {
            node.terminate();
        });
        assert_eq!(removed.errors, 0);
    });
}

/// A fault that takes something away goes on for so long: at its end every client has found another way.
fn lasts(load: &Load, time: Duration) {
    let begun = unix_ms();
    std::thread::sleep(time);
    load.recovered(begun).unwrap();
}

/// Brings a fault about; then everything is well again, and nothing is in the logs that may not be.
pub(crate) fn under_fault(fault: impl FnOnce(&mut Whole)) {
    let mut whole = Whole::lock();
    whole.settle();
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        fault(&mut whole);
        whole.settle();
        whole.check_logs();
    }));
    if let Err(panic) = outcome {
        eprintln!("{}", whole.tails());
        std::panic::resume_unwind(panic);
    }
}
