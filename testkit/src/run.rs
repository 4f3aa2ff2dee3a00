//! One run: a world from a seed, left alone until its clients want nothing, then mended and watched to its end.

use core::time::Duration;

use heliogram_proto::cx::Mono;

use crate::check::Failure;
use crate::coverage::Coverage;
use crate::hostile::break_every_rule;
use crate::mutation::Mutation;
use crate::queue::Heal;
use crate::world::World;

/// What came of a run.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// From which everything follows.
    pub seed: u64,
    /// The first promise that was broken.
    pub failure: Option<Failure>,
    /// How often each thing came about.
    pub coverage: Coverage,
    /// Wishes of clients.
    pub calls: u64,
    /// Calls that ran again after a crash.
    pub doubles: u64,
    /// Virtual time.
    pub lasted: Duration,
    /// Equal for equal runs.
    pub digest: u64,
}

/// Runs a world from a seed, perhaps with a planted bug.
#[must_use]
pub fn run(seed: u64, mutation: Option<Mutation>) -> Report {
    report(seed, World::new(seed, mutation))
}

/// Runs a world from a seed, and prints every message on its way to standard error.
#[must_use]
pub fn run_traced(seed: u64) -> Report {
    let mut world = World::new(seed, None);
    world.is_traced = true;
    report(seed, world)
}

fn report(seed: u64, mut world: World) -> Report {
    let failure = live(&mut world).or_else(|| provoke(seed, &mut world.coverage));
    Report {
        seed,
        failure,
        calls: u64::try_from(world.checks.tokens.len()).unwrap_or(u64::MAX),
        doubles: world.checks.tokens.doubles,
        lasted: world.now.since(Mono(0)),
        digest: world.digest,
        coverage: world.coverage,
    }
}

/// Has a hostile peer break every rule.
fn provoke(seed: u64, coverage: &mut Coverage) -> Option<Failure> {
    let rows = break_every_rule(seed, coverage).into_iter();
    let wrong = rows.filter_map(|(rule, outcome)| {
        let detail = outcome.err()?;
        Some(Failure { rule, detail })
    });
    wrong.into_iter().next()
}

fn live(world: &mut World) -> Option<Failure> {
    while world.step(world.busy_until) {
        if let Some(failure) = world.checks.first_failure() {
            return Some(failure);
        }
    }
    mend(world);
    for _ in 0..ROUNDS {
        let patience = world.now + PATIENCE;
        while !world.checks.are_over() && world.step(patience) {
            if let Some(failure) = world.checks.first_failure() {
                return Some(failure);
            }
        }
        if world.checks.are_over() {
            break;
        }
        // What was asked for on a connection that died is announced anew on the next.
        world.hang_up_all();
    }
    world.checks.finish(world.now);
    if let Some(failure) = world.checks.first_failure() {
        return Some(failure);
    }
    world.retire();
    let end = world.now + AFTERLIFE;
    while world.step(end) {
        if let Some(failure) = world.checks.first_failure() {
            return Some(failure);
        }
    }
    world.check_base();
    world.checks.first_failure()
}

/// Mends everything that is broken.
fn mend(world: &mut World) {
    world.heal(Heal::Store);
    for edge in 0..world.edges.len() {
        world.heal(Heal::Edge(edge));
        for node in 0..world.nodes.len() {
            world.heal(Heal::Route { edge, node });
        }
    }
    for node in 0..world.nodes.len() {
        if !world.nodes[node].is_up {
            world.heal(Heal::Node(node));
        }
        world.heal(Heal::Pause(node));
        world.heal(Heal::Stale(node));
    }
}

/// For so long clients may take to get what they wanted, once nothing breaks any more; then they connect anew.
const PATIENCE: Duration = Duration::from_secs(200);
/// So often, at most.
const ROUNDS: u32 = 6;
/// After so long nothing is left of clients that are gone.
const AFTERLIFE: Duration = Duration::from_secs(3_000);
