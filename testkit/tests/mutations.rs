//! Bugs planted on purpose: the checkers find each of them, and find nothing where none was planted.

use heliogram_testkit::{Mutation, run};

/// Runs seeds until the planted bug is found; returns the rule that it broke.
fn caught(mutation: Mutation) -> &'static str {
    let mut runs = seeds().map(|seed| run(seed, Some(mutation)));
    let failure = runs.find_map(|report| report.failure);
    failure.map_or("nothing was found", |failure| failure.rule)
}

#[test]
fn a_call_that_is_run_twice_is_found() {
    assert_eq!(
        caught(Mutation::RunTwice),
        "a: a host runs a call once for (identity, session, message)"
    );
}

#[test]
fn answers_that_are_mixed_up_are_found() {
    assert_eq!(
        caught(Mutation::SwapAnswers),
        "e: an answer reaches its own call and no other"
    );
}

#[test]
fn an_answer_that_is_lost_is_found() {
    assert_eq!(caught(Mutation::LoseAnswer), "no call is lost");
}

#[test]
fn a_captured_packet_that_is_executed_after_a_restart_is_found() {
    // In a term that is used again the call itself counts as run before, too.
    let rules = [
        "a: a host runs a call once for (identity, session, message)",
        "d: a packet is executed once, by whatever host",
    ];
    let rule = caught(Mutation::ReuseTerm);
    assert!(rules.contains(&rule), "{rule}");
}

#[test]
fn a_sequence_number_that_is_too_high_is_found() {
    let rule = caught(Mutation::SkipSeqNo);
    assert!(rule.contains("sequence number"), "{rule}");
}

#[test]
fn an_identifier_of_the_wrong_role_is_found() {
    let rule = caught(Mutation::WrongParity);
    assert!(
        rule.contains("low bits") || rule.contains("identifier"),
        "{rule}"
    );
}

#[test]
fn a_key_that_is_said_to_be_absent_and_is_not_is_found() {
    assert_eq!(
        caught(Mutation::SayAbsent),
        "f: -404 is said only of a key that is absent"
    );
}

#[test]
fn a_link_that_stays_with_its_host_for_ever_is_found() {
    assert_eq!(caught(Mutation::KeepLinks), "memory returns to its base");
}

/// Seeds of runs in which hosts fail: most bugs show only then.
fn seeds() -> impl Iterator<Item = u64> {
    (2..202).step_by(4)
}
