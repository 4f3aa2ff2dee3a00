//! A running exchange, over connections that may break.

use rand_core::CryptoRng;

use crate::client::keys::Kind;
use crate::cx::{Mono, Now};
use crate::exchange::client::{
    AwaitDhGen, AwaitDhParams, AwaitResPq, Config, Error, GroupJob, Made, Outcome, Round, SolveJob,
};
use crate::limits::EXCHANGE_LIFE;

/// An exchange between two of its steps.
#[derive(Debug)]
pub(super) struct Exchange {
    kind: Kind,
    step: Step,
    /// The last query: exactly these bytes are sent again on a new connection.
    query: Vec<u8>,
    ends_at: Mono,
    answer_by: Option<Mono>,
}

#[derive(Debug)]
enum Step {
    ResPq(AwaitResPq),
    DhParams(AwaitDhParams),
    DhGen(AwaitDhGen),
    /// With a worker, under this number.
    Working(u64),
}

/// What an answer leads to.
pub(super) enum Next {
    Work(Rest, Job),
    Made(Kind, Made),
}

impl Exchange {
    pub(super) fn begin(kind: Kind, config: Config, now: Mono, rng: &mut dyn CryptoRng) -> Self {
        let (state, query) = AwaitResPq::begin(config, rng);
        Self {
            kind,
            step: Step::ResPq(state),
            query,
            ends_at: now + EXCHANGE_LIFE,
            answer_by: None,
        }
    }

    /// Returns the query to send, unless it was sent on this connection. It is to be answered by `answer_by`.
    pub(super) fn ask(&mut self, answer_by: Mono) -> Option<&[u8]> {
        if self.answer_by.is_some() || self.is_working() {
            return None;
        }
        self.answer_by = Some(answer_by);
        Some(&self.query)
    }

    /// Takes note that the connection is gone: the query goes out again on the next.
    pub(super) const fn disconnected(&mut self) {
        self.answer_by = None;
    }

    /// Takes an answer to the query that was sent.
    pub(super) fn handle(self, body: &[u8], now: Now) -> Result<Next, Error> {
        let rest = Rest {
            kind: self.kind,
            ends_at: self.ends_at,
        };
        let job = match self.step {
            Step::ResPq(state) => Job::Solve(state.handle(body)?),
            Step::DhParams(state) => Job::Group(Box::new(state.handle(body, now)?)),
            Step::DhGen(state) => match state.handle(body)? {
                Outcome::Again(round) => Job::Round(Box::new(round)),
                Outcome::Made(made) => return Ok(Next::Made(self.kind, made)),
            },
            // It asks nothing.
            Step::Working(_) => return Err(Error::Untrusted),
        };
        Ok(Next::Work(rest, job))
    }

    /// The exchange after a worker has brought its state back.
    pub(super) fn worked(self, state: State, query: Vec<u8>) -> Self {
        let step = match state {
            State::DhParams(state) => Step::DhParams(state),
            State::DhGen(state) => Step::DhGen(*state),
        };
        Self {
            step,
            query,
            answer_by: None,
            ..self
        }
    }

    /// Tells whether an answer is waited for.
    pub(super) const fn is_asking(&self) -> bool {
        self.answer_by.is_some()
    }

    /// Tells whether this is the work that it waits for.
    pub(super) const fn waits_for(&self, number: u64) -> bool {
        matches!(self.step, Step::Working(of) if of == number)
    }

    const fn is_working(&self) -> bool {
        matches!(self.step, Step::Working(_))
    }

    /// Returns when it is too late for an answer, or for the whole.
    pub(super) fn deadline(&self) -> Mono {
        self.answer_by
            .map_or(self.ends_at, |at| at.min(self.ends_at))
    }

    /// Tells whether a server would have forgotten it.
    pub(super) fn is_over(&self, now: Mono) -> bool {
        self.ends_at <= now
    }
}

/// What an exchange keeps while its state is elsewhere.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rest {
    kind: Kind,
    ends_at: Mono,
}

impl Rest {
    /// The exchange while a worker has its state.
    pub(super) const fn working(self, number: u64) -> Exchange {
        Exchange {
            kind: self.kind,
            step: Step::Working(number),
            query: Vec::new(),
            ends_at: self.ends_at,
            answer_by: None,
        }
    }
}

/// A heavy step of an exchange: milliseconds, or longer for a group that nobody has seen before.
#[derive(Debug)]
pub struct Work {
    pub(super) number: u64,
    pub(super) job: Job,
}

#[derive(Debug)]
pub(super) enum Job {
    Solve(SolveJob),
    Group(Box<GroupJob>),
    Round(Box<Round>),
}

/// What a [`Work`] has brought.
#[derive(Debug)]
pub struct Worked {
    pub(super) number: u64,
    pub(super) result: Result<(State, Vec<u8>), Error>,
}

/// What a worker brings back.
#[derive(Debug)]
pub(super) enum State {
    DhParams(AwaitDhParams),
    DhGen(Box<AwaitDhGen>),
}

impl Work {
    /// Returns what stands for the outcome of work that nobody finishes, for one whose worker panics: the exchange begins
    /// anew.
    #[must_use]
    pub const fn lost(&self) -> Worked {
        Worked {
            number: self.number,
            result: Err(Error::Failed),
        }
    }

    /// Does it. Needs no lock, and the generator only for itself.
    #[must_use]
    pub fn run(self, rng: &mut dyn CryptoRng) -> Worked {
        let dh_gen = |(state, query)| (State::DhGen(Box::new(state)), query);
        let result = match self.job {
            Job::Solve(job) => job
                .run(rng)
                .map(|(state, query)| (State::DhParams(state), query)),
            Job::Group(job) => job.run(rng).map(dh_gen),
            Job::Round(job) => job.run(rng).map(dh_gen),
        };
        Worked {
            number: self.number,
            result,
        }
    }
}
