//! The heavy steps of exchanges as the [pool](crate::pool) does them.

use heliogram_ports::random;
use heliogram_proto::edge::exchanges::{Job, JobKind, Worked};
use heliogram_proto::exchange::server::Worker;
use heliogram_proto::limits::KEY_PAIRS_AHEAD_MAX;

use crate::on_drop::OnDrop;
use crate::pool::{Bench, Kind};

/// A job, and whom to tell of its result. Dropped, it says that there is none.
pub(crate) struct Step {
    pub(crate) job: Job,
    pub(crate) answer: OnDrop<Option<Worked>, Tell>,
}

pub(crate) type Tell = Box<dyn FnOnce(Option<Worked>) + Send>;

/// One thread's. What keys are made of comes straight from the system.
pub(crate) struct Steps {
    worker: Worker,
}

impl Steps {
    pub(crate) fn new() -> Self {
        Self {
            worker: Worker::new(KEY_PAIRS_AHEAD_MAX),
        }
    }
}

impl Bench for Steps {
    type Step = Step;

    fn kind(step: &Step) -> Kind {
        match step.job.kind() {
            JobKind::Agree => Kind::First,
            JobKind::Derive => Kind::Second,
        }
    }

    fn company(&self) -> usize {
        self.worker.steps_at_once()
    }

    fn work(&mut self, steps: Vec<Step>) {
        let (jobs, answers): (Vec<_>, Vec<_>) = steps
            .into_iter()
            .map(|Step { job, answer }| (job, answer))
            .unzip();
        let worked = Job::run_all(jobs, &mut self.worker, &mut random::system());
        for (worked, answer) in worked.into_iter().zip(answers) {
            answer.set(Some(worked));
        }
    }

    fn prepare(&mut self) -> bool {
        self.worker.prepare(&mut random::system())
    }
}
