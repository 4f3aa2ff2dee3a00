//! Restarts under load, and what of it a backend sees: which calls it ran, and how often.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use heliogram_interop::{Program, Server, python};

#[test]
fn after_ten_kills_every_call_is_answered_and_only_unanswered_ones_ran_twice() {
    let Some(python) = python("ten kills under load") else {
        return;
    };
    let report = Report::of(&python, 10);
    println!(
        "{} calls, 10 kills: {} ran twice, each of them unanswered at a kill",
        report.calls, report.doubles
    );
}

#[test]
fn without_a_kill_every_call_runs_exactly_once() {
    let Some(python) = python("calls without a kill") else {
        return;
    };
    let report = Report::of(&python, 0);
    assert_eq!(report.doubles, 0);
}

/// What a client's calls and the server's ledger say of each other.
struct Report {
    calls: usize,
    doubles: usize,
}

impl Report {
    /// Lets a client call without a pause while its server is killed; checks everything but how many calls ran twice.
    fn of(python: &Path, kills: u32) -> Self {
        let mut server = Server::start_ledger();
        let kills_argument = kills.to_string();
        let mut client = Program::start(
            python,
            "calls_without_pause.py",
            [server.data(), &kills_argument],
        );
        let mut killed = Vec::new();
        for kill in 0..kills {
            client.until(&format!("kill {kill}"));
            let before = unix_now();
            server.kill();
            killed.push(before..=unix_now());
            server.restart();
            client.go_on();
        }
        client.finish();

        let calls = calls(Path::new(server.data()));
        let mut executions = BTreeMap::<i64, usize>::new();
        for entry in server.ledger() {
            *executions.entry(entry).or_default() += 1;
        }
        let mut doubles = 0;
        for (entry, call) in &calls {
            let times = executions.remove(entry).unwrap_or_default();
            let kills = killed.iter().filter(|during| call.was_unanswered(during));
            assert!(times >= 1, "call {entry} was answered and never run");
            assert!(
                times <= 1 + kills.count(),
                "call {entry} ran {times} times: {call:?}, kills at {killed:?}"
            );
            doubles += usize::from(times > 1);
        }
        assert!(executions.is_empty(), "run, and never made: {executions:?}");
        Self {
            calls: calls.len(),
            doubles,
        }
    }
}

/// A call as its client saw it, Unix time in seconds.
#[derive(Debug)]
struct Call {
    begun: f64,
    answered: f64,
}

impl Call {
    /// Tells whether the call may have been on its way when the server was killed, at some time in `during`.
    fn was_unanswered(&self, during: &RangeInclusive<f64>) -> bool {
        self.begun <= *during.end() && *during.start() <= self.answered
    }
}

fn calls(data: &Path) -> BTreeMap<i64, Call> {
    let text = std::fs::read_to_string(data.join("calls.txt")).unwrap_or_default();
    let call = |line: &str| {
        let mut words = line.split(' ');
        let entry = words.next()?.parse().ok()?;
        let [begun, answered] = [words.next()?.parse().ok()?, words.next()?.parse().ok()?];
        Some((entry, Call { begun, answered }))
    };
    let calls: BTreeMap<_, _> = text.lines().filter_map(call).collect();
    assert!(!calls.is_empty(), "no call was answered");
    assert_eq!(calls.len(), text.lines().count(), "each line is a call");
    calls
}

fn unix_now() -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_secs_f64()
}
