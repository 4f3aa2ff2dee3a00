//! Runs without planted bugs: nothing is broken, and the same seed is the same run.

use heliogram_testkit::run;

#[test]
fn the_first_seeds_break_no_promise() {
    for seed in 0..5 {
        let report = run(seed, None);
        assert_eq!(report.failure, None, "seed {seed}");
        assert!(report.calls > 0, "seed {seed} did nothing");
    }
}

#[test]
fn the_same_seed_is_the_same_run_and_another_is_not() {
    let (first, second, other) = (run(3, None), run(3, None), run(7, None));
    assert_eq!(first.digest, second.digest);
    assert_ne!(first.digest, other.digest);
}
