//! Runs without planted bugs: no promise is broken, and the same seed is the same run.

use heliogram_testkit::{Report, run};

#[test]
fn when_only_connections_and_edges_fail_no_call_is_lost_and_none_runs_twice() {
    for seed in [0, 1, 4, 5] {
        let report = unbroken(seed);
        assert_eq!(report.doubles, 0, "seed {seed}");
    }
}

#[test]
fn when_hosts_fail_or_are_taken_over_only_calls_without_an_answer_run_again() {
    let reports = [2, 6, 10].map(unbroken);
    let doubles: u64 = reports.iter().map(|it| it.doubles).sum();
    assert!(doubles > 0, "the rule was not put to the test");
    for fault in [
        "connection brought back",
        "frame for an owner of another term",
        "frame forwarded to the owner of a bound key",
        "sessions handed over to a permanent key",
    ] {
        let faults = reports.iter().map(|it| it.coverage.faults.get(fault));
        assert!(faults.flatten().sum::<u64>() > 0, "{fault}");
    }
}

#[test]
fn when_clocks_are_wrong_too_every_call_still_comes_to_its_end() {
    for seed in [3, 7, 11] {
        unbroken(seed);
    }
}

#[test]
fn the_same_seed_is_the_same_run_and_another_is_not() {
    let (first, second, other) = (run(3, None), run(3, None), run(7, None));
    assert_eq!(first.digest, second.digest);
    assert_ne!(first.digest, other.digest);
}

fn unbroken(seed: u64) -> Report {
    let report = run(seed, None);
    assert_eq!(report.failure, None, "seed {seed}");
    assert!(report.calls > 0, "seed {seed} did nothing");
    report
}
