//! A peer that breaks each rule on purpose.

use heliogram_testkit::{Coverage, break_every_rule};

#[test]
fn each_broken_rule_has_its_reaction_and_nobody_else_suffers() {
    let rows = break_every_rule(1, &mut Coverage::default());
    let wrong: Vec<_> = rows
        .iter()
        .filter_map(|(rule, outcome)| Some((rule, outcome.as_ref().err()?)))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(rows.len() >= 50);
}
