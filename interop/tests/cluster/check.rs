//! What is promised, counted: calls as clients saw them against executions as the backend wrote them down.
//!
//! By a token in the call's body, as `docs/guarantees.md` has it. Nothing lost: each answered call ran. Doubles only among
//! calls that were unanswered at a fault. While a term lasts, an idempotency key runs once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A call as its client saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    /// In its body, and in no other's.
    pub(crate) token: i64,
    /// When it was made, Unix time in milliseconds.
    pub(crate) begun: u64,
    /// When its answer came; `None` if none did.
    pub(crate) answered: Option<u64>,
    /// Errors after which the user made it again.
    pub(crate) errors: Vec<String>,
}

/// An execution as the backend wrote it down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) token: i64,
    /// Identity, session and message: the idempotency key.
    pub(crate) key: (i64, i64, i64),
    /// The owner's.
    pub(crate) term: u64,
    /// The id of the key that carried the call: the identity's own, or a temporary one that is bound to it.
    pub(crate) carrier: i64,
}

/// A time in which calls that were unanswered may have run twice, Unix time in milliseconds, both ends within.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) begun: u64,
    pub(crate) ended: u64,
}

/// What there was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Calls, each of them answered.
    pub(crate) calls: usize,
    /// Of these, those that ran more than once.
    pub(crate) doubles: usize,
    /// Errors that users have seen.
    pub(crate) errors: usize,
}

/// Compares what clients saw with what the backend did.
///
/// # Errors
///
/// Each finding in words.
pub(crate) fn examine(
    calls: &[Call],
    runs: &[Run],
    faults: &[Fault],
) -> Result<Tally, Vec<String>> {
    let mut findings = Vec::new();
    let mut of_token = BTreeMap::<i64, Vec<&Run>>::new();
    for run in runs {
        of_token.entry(run.token).or_default().push(run);
    }
    let mut tally = Tally::default();
    for call in calls {
        let runs = of_token.remove(&call.token).unwrap_or_default();
        tally.calls += 1;
        tally.doubles += usize::from(runs.len() > 1);
        tally.errors += call.errors.len();
        let token = call.token;
        let Some(answered) = call.answered else {
            findings.push(format!("{token} was lost: {call:?}, {runs:?}"));
            continue;
        };
        let at = |fault: &&Fault| call.begun <= fault.ended && fault.begun <= answered;
        let may_run = match faults.iter().filter(at).count() {
            0 => 1,
            faults => 1 + faults + call.errors.len(),
        };
        if runs.is_empty() {
            findings.push(format!("{token} was answered, and never ran"));
        } else if runs.len() > may_run {
            findings.push(format!("{token} ran too often: {call:?}, {runs:?}"));
        }
    }
    for runs in of_token.values() {
        findings.push(format!("nobody has made the call that ran: {runs:?}"));
    }
    let mut of_key = BTreeMap::<_, usize>::new();
    for run in runs {
        *of_key.entry((run.key, run.term)).or_default() += 1;
    }
    for (key, times) in of_key {
        if times > 1 {
            findings.push(format!("{times} times within a term: {key:?}"));
        }
    }
    if findings.is_empty() {
        Ok(tally)
    } else {
        Err(findings)
    }
}

/// Reads the executions from the backend's file.
pub(crate) fn runs(ledger: &str) -> Vec<Run> {
    let run = |line: &str| {
        let words = line.strip_prefix("run ")?.split(' ');
        let numbers: Vec<i64> = words.filter_map(|word| word.parse().ok()).collect();
        let [token, _, identity, session, msg_id, term, carrier] = numbers[..] else {
            panic!("{line}");
        };
        Some(Run {
            token,
            key: (identity, session, msg_id),
            term: u64::try_from(term).unwrap(),
            carrier,
        })
    };
    ledger.lines().filter_map(run).collect()
}

/// Reads from the backend's file which keys it has heard of: of each call's identity, and of what carried it.
pub(crate) fn keys(ledger: &str) -> BTreeSet<i64> {
    let mut keys = BTreeSet::new();
    for line in ledger.lines() {
        let words: Vec<_> = line.split(' ').collect();
        let of_line = match words[..] {
            ["run", _, _, identity, _, _, _, carrier] => [identity, carrier],
            ["user", identity, _, carrier] => [identity, carrier],
            _ => continue,
        };
        keys.extend(of_line.map(|key| key.parse::<i64>().unwrap()));
    }
    keys
}

/// Reads the calls of a program that leaves a line for each: token, and Unix time in seconds of its beginning and its answer.
pub(crate) fn calls(text: &str) -> Vec<Call> {
    let call = |line: &str| {
        let words: Vec<_> = line.split(' ').collect();
        let unix_ms = |word: &str| {
            let time = Duration::from_secs_f64(word.parse().unwrap());
            u64::try_from(time.as_millis()).unwrap()
        };
        Call {
            token: words[0].parse().unwrap(),
            begun: unix_ms(words[1]),
            answered: Some(unix_ms(words[2])),
            errors: Vec::new(),
        }
    };
    let calls: Vec<_> = text.lines().map(call).collect();
    assert!(!calls.is_empty(), "no call was answered");
    calls
}

#[test]
fn calls_that_are_answered_and_ran_once_are_as_promised() {
    let (calls, runs) = ([call(1, 10, 20), call(2, 11, 21)], [run(1, 1), run(2, 1)]);
    let tally = examine(&calls, &runs, &[]).unwrap();
    assert_eq!((tally.calls, tally.doubles, tally.errors), (2, 0, 0));
}

#[test]
fn a_double_is_excused_by_a_fault_that_it_was_unanswered_at_and_by_no_other() {
    let calls = [call(1, 10, 20)];
    let runs = [run(1, 1), run(1, 2)];
    let outcome = |begun, ended| examine(&calls, &runs, &[Fault { begun, ended }]);
    assert_eq!(outcome(0, 10).unwrap().doubles, 1);
    assert_eq!(outcome(20, 30).unwrap().doubles, 1);
    outcome(0, 9).unwrap_err();
    outcome(21, 30).unwrap_err();
}

#[test]
fn one_fault_does_not_excuse_three_executions() {
    let runs = [run(1, 1), run(1, 2), run(1, 3)];
    let fault = Fault {
        begun: 10,
        ended: 20,
    };
    examine(&[call(1, 10, 20)], &runs, &[fault]).unwrap_err();
    examine(&[call(1, 10, 20)], &runs, &[fault, fault]).unwrap();
}

#[test]
fn a_call_that_is_not_answered_or_never_ran_or_that_nobody_made_is_found() {
    let mut unanswered = call(1, 10, 20);
    unanswered.answered = None;
    examine(&[unanswered], &[run(1, 1)], &[]).unwrap_err();
    examine(&[call(1, 10, 20)], &[], &[]).unwrap_err();
    examine(&[], &[run(1, 1)], &[]).unwrap_err();
}

#[test]
fn an_idempotency_key_that_ran_twice_within_a_term_is_found_whatever_the_fault() {
    let fault = Fault {
        begun: 0,
        ended: 99,
    };
    let mut second = run(1, 1);
    second.key = run(1, 1).key;
    examine(&[call(1, 10, 20)], &[run(1, 1), second], &[fault]).unwrap_err();
    let mut second = run(1, 2);
    second.key = run(1, 1).key;
    examine(&[call(1, 10, 20)], &[run(1, 1), second], &[fault]).unwrap();
}

#[test]
fn executions_are_read_as_the_backend_writes_them() {
    let text = "user 5 1 9\nrun 7 1700000000000 -5 6 8 3 -9\npush 1 1\n";
    let expected = Run {
        token: 7,
        key: (-5, 6, 8),
        term: 3,
        carrier: -9,
    };
    assert_eq!(runs(text), [expected]);
    assert_eq!(keys(text), BTreeSet::from([5, 9, -5, -9]));
}

fn call(token: i64, begun: u64, answered: u64) -> Call {
    Call {
        token,
        begun,
        answered: Some(answered),
        errors: Vec::new(),
    }
}

fn run(token: i64, term: u64) -> Run {
    Run {
        token,
        key: (1, 1, token),
        term,
        carrier: 2,
    }
}
