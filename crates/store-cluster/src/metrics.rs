//! What the store tells its operator.

use heliogram_ports::metrics::{Count, Measured, Meter, Metric, SharedTimes};

use crate::cache::CachedKeys;
use crate::keys::MySqlKeys;

/// What the questions to the database have counted.
#[derive(Debug, Default)]
pub(crate) struct Questions {
    pub(crate) times: SharedTimes,
    pub(crate) answered: Count,
    pub(crate) unavailable: Count,
    pub(crate) refused: Count,
    pub(crate) repeated: Count,
    pub(crate) purged_keys: Count,
}

/// What the look-ups in the cache have counted.
#[derive(Debug, Default)]
pub(crate) struct LookUps {
    pub(crate) present: Count,
    pub(crate) absent: Count,
    pub(crate) missing: Count,
    pub(crate) damaged: Count,
    pub(crate) down: Count,
    pub(crate) untold: Count,
}

impl Measured for MySqlKeys {
    fn measure(&self, meter: &mut dyn Meter) {
        let counts = &self.connections.counts;
        meter.level(DATABASE_UP, u64::from(self.is_up()));
        meter.level(QUESTIONS_OPEN, self.connections.open());
        let outcomes = [
            ("answered", counts.answered.load()),
            ("unavailable", counts.unavailable.load()),
            ("refused", counts.refused.load()),
        ];
        meter.counts(QUESTIONS, "outcome", &outcomes);
        meter.count(REPEATED, counts.repeated.load());
        meter.times(SECONDS, &counts.times.load());
        meter.count(PURGED, counts.purged_keys.load());
    }
}

impl<K: Send + Sync + 'static> Measured for CachedKeys<K> {
    fn measure(&self, meter: &mut dyn Meter) {
        let counts = self.counts();
        meter.level(CACHE_UP, u64::from(self.is_up()));
        let outcomes = [
            ("present", counts.present.load()),
            ("absent", counts.absent.load()),
            ("missing", counts.missing.load()),
            ("damaged", counts.damaged.load()),
            ("down", counts.down.load()),
        ];
        meter.counts(LOOK_UPS, "outcome", &outcomes);
        meter.count(UNTOLD, counts.untold.load());
    }
}

const DATABASE_UP: Metric = Metric {
    name: "store_database_up",
    help: "Whether the database has answered when it was last asked",
};
const QUESTIONS_OPEN: Metric = Metric {
    name: "store_questions_open",
    help: "Questions to the database that wait for a connection or an answer",
};
const QUESTIONS: Metric = Metric {
    name: "store_questions",
    help: "What became of questions to the database",
};
const REPEATED: Metric = Metric {
    name: "store_repeated_attempts",
    help: "Attempts that have failed and were made again",
};
const SECONDS: Metric = Metric {
    name: "store_question_seconds",
    help: "From a question to the database to its answer, all attempts together",
};
const PURGED: Metric = Metric {
    name: "store_purged_keys",
    help: "Temporary keys that were removed because they had ended",
};
const CACHE_UP: Metric = Metric {
    name: "store_cache_up",
    help: "Whether the cache is used",
};
const LOOK_UPS: Metric = Metric {
    name: "store_cache_look_ups",
    help: "What the cache said of keys; the database is asked unless it was present or absent",
};
const UNTOLD: Metric = Metric {
    name: "store_cache_untold_changes",
    help: "Changes that the cache could not be told of at once",
};
