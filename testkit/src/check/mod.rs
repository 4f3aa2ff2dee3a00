//! Checkers. They look at what crosses the borders of the parts, and know nothing of what the workload wants.

mod base;
mod limits;
pub(crate) mod pushes;
pub(crate) mod tokens;
pub(crate) mod wire;

use heliogram_proto::cx::Mono;

use pushes::Pushes;
use tokens::Tokens;
use wire::Wire;

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// What should have been.
    pub rule: &'static str,
    /// What was.
    pub detail: String,
}

/// All checkers.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    pub(crate) pushes: Pushes,
    pub(crate) tokens: Tokens,
    pub(crate) wire: Wire,
    failures: Vec<Failure>,
    /// In this run nothing happened that may make a client begin anew.
    pub(crate) is_calm: bool,
}

impl Checks {
    pub(crate) fn fail(&mut self, rule: &'static str, detail: impl Into<String>) {
        let detail = detail.into();
        self.failures.push(Failure { rule, detail });
    }

    /// Returns the first failure, of whichever checker.
    pub(crate) fn first_failure(&mut self) -> Option<Failure> {
        self.failures.append(&mut self.pushes.failures);
        self.failures.append(&mut self.tokens.failures);
        self.failures.append(&mut self.wire.failures);
        self.failures.first().cloned()
    }

    /// Tells whether nobody waits for anything.
    pub(crate) fn are_over(&self) -> bool {
        self.tokens.are_over() && self.pushes.are_over()
    }

    /// Looks at what may be said only once all is over.
    pub(crate) fn finish(&mut self, now: Mono) {
        self.pushes.finish();
        self.tokens.finish(now);
    }
}
