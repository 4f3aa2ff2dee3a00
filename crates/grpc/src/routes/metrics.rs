//! What an operator is told of routes.

use heliogram_ports::metrics::{Measured, Meter, Metric};

use super::Routes;
use super::lane::Measures;

impl Measured for Routes {
    fn measure(&self, meter: &mut dyn Meter) {
        let lanes = self.lanes.iter();
        let lanes: Vec<_> = lanes.map(|lane| (&*lane.name, lane.measure())).collect();
        let by_route = |number: fn(&Measures) -> u64| -> Vec<_> {
            lanes.iter().map(|(name, it)| (*name, number(it))).collect()
        };
        meter.counts(CALLS, ROUTE, &by_route(|it| it.counts.calls));
        meter.levels(CALLS_RUNNING, ROUTE, &by_route(|it| it.running));
        meter.levels(PAUSED, ROUTE, &by_route(|it| it.is_paused.into()));
        meter.counts(TOO_MANY, ROUTE, &by_route(|it| it.counts.too_many));
        meter.counts(HELD_BACK, ROUTE, &by_route(|it| it.counts.held_back));
        meter.counts(FAILED, ROUTE, &by_route(|it| it.counts.failed));
        meter.counts(LATE, ROUTE, &by_route(|it| it.counts.late));
        meter.counts(CANCELLED, ROUTE, &by_route(|it| it.counts.cancelled));
        let times: Vec<_> = lanes
            .iter()
            .map(|(name, it)| (*name, it.counts.times))
            .collect();
        meter.times_by(CALL_SECONDS, ROUTE, &times);
    }
}

/// The label that tells routes apart.
const ROUTE: &str = "route";

const CALLS: Metric = Metric {
    name: "backend_calls",
    help: "Calls that were handed to a backend",
};
const CALLS_RUNNING: Metric = Metric {
    name: "backend_calls_running",
    help: "Calls that a backend has not answered",
};
const PAUSED: Metric = Metric {
    name: "backend_paused",
    help: "Whether a backend has failed so often that it gets no calls, or one that tries",
};
const TOO_MANY: Metric = Metric {
    name: "backend_excess_calls",
    help: "Calls that failed because too many were running",
};
const HELD_BACK: Metric = Metric {
    name: "backend_held_back_calls",
    help: "Calls that failed because their backend was paused",
};
const FAILED: Metric = Metric {
    name: "backend_failed_calls",
    help: "Calls that a backend has not answered, in time or at all",
};
const LATE: Metric = Metric {
    name: "backend_late_calls",
    help: "Of the failed calls, those whose time ran out",
};
const CANCELLED: Metric = Metric {
    name: "backend_cancelled_calls",
    help: "Calls whose answers nobody wanted any more",
};
const CALL_SECONDS: Metric = Metric {
    name: "backend_call_seconds",
    help: "From handing a call to a backend to its answer, or to its failure",
};
