//! Several backends behind one port: which of them answers a call, and what it may take for that.
//!
//! ```text
//!            fails `failures_max` times in a row            `pause` is over
//!  Closed ────────────────────────────────────────> Open ───────────────────> one call tries
//!    ^                                               ^                          │       │
//!    └───────────────────────────────────────────────┼──────── answered ────────┘       │
//!                                                    └───────────── fails ─────────────┘
//! ```

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use heliogram_ports::metrics::{Measured, Meter, Metric, Times};
use heliogram_ports::{Answer, Backend, Call, LoggedIn, Pushes, Reply, RpcError};
use heliogram_proto::ids::Identity;
use heliogram_tl::layer;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::backend::failed;
use crate::limits::{CALL_PATIENCE, CALLS_MAX, FAILURES_MAX, FAILURES_PAUSE};

/// Several backends, each for some methods.
///
/// ```
/// use std::sync::Arc;
/// use heliogram_grpc::{Route, Routes};
/// use heliogram_ports::{Answer, Backend, Call, Reply};
///
/// struct Echo;
/// impl Backend for Echo {
///     fn call(&self, call: Call) -> Answer {
///         Answer::Now(Reply::Result(call.body))
///     }
/// }
///
/// let files = Route::new(["upload.*", "messages.uploadMedia"], Arc::new(Echo));
/// let routes = Routes::new(Arc::new(Echo), [files])?;
/// # Ok::<(), heliogram_grpc::RouteError>(())
/// ```
pub struct Routes {
    /// The first is for what no other is for.
    lanes: Vec<Lane>,
    /// Which lane each method of the layer takes, other than the first.
    by_method: HashMap<u32, usize>,
}

/// What one backend answers, and what it may take for that.
#[non_exhaustive]
pub struct Route {
    /// `namespace.*`, or the name of a method, which goes before its namespace.
    pub methods: Vec<String>,
    /// What it is called where it is counted: the first of its methods, unless told otherwise. No other route is called so.
    pub name: String,
    /// Who answers.
    pub backend: Arc<dyn Backend>,
    /// How long an answer may take.
    pub patience: Duration,
    /// Calls that run at the same time; one more fails.
    pub calls_max: usize,
    /// Calls in a row that fail before no more are made for a while.
    pub failures_max: u32,
    /// For how long none are made.
    pub pause: Duration,
}

impl Route {
    /// Makes a route of these methods, with limits that a backend near by keeps.
    pub fn new<S: Into<String>>(
        methods: impl IntoIterator<Item = S>,
        backend: Arc<dyn Backend>,
    ) -> Self {
        let methods: Vec<_> = methods.into_iter().map(Into::into).collect();
        Self {
            name: methods.first().cloned().unwrap_or_else(|| REST.to_owned()),
            methods,
            backend,
            patience: CALL_PATIENCE,
            calls_max: CALLS_MAX,
            failures_max: FAILURES_MAX,
            pause: FAILURES_PAUSE,
        }
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Route")
            .field("name", &self.name)
            .field("methods", &self.methods)
            .finish_non_exhaustive()
    }
}

/// Routes can't be used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RouteError {
    /// Two routes are for this, or called this.
    Twice(String),
    /// The layer has no such method or namespace.
    Unknown(String),
}

impl fmt::Display for RouteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Twice(name) => write!(f, "two routes are for {name}, or called so"),
            Self::Unknown(name) => write!(
                f,
                "layer {} has no {name}: name a method, or a namespace as in `messages.*`",
                layer::LAYER
            ),
        }
    }
}

impl std::error::Error for RouteError {}

impl Routes {
    /// Has calls answered by the route of their method, and by `rest` where there is none: also those of no method that the
    /// layer has. Who has logged in is asked of the backend that clients sign in with: the one of `auth.signIn`.
    ///
    /// # Errors
    ///
    /// - [`RouteError::Twice`] when two routes are for one method or namespace, or have one name.
    /// - [`RouteError::Unknown`] when a route is for what the layer does not have.
    pub fn new(
        rest: Arc<dyn Backend>,
        routes: impl IntoIterator<Item = Route>,
    ) -> Result<Self, RouteError> {
        let everything: [&str; 0] = [];
        Self::with_rest(Route::new(everything, rest), routes)
    }

    /// Makes routes where the rest has limits of its own; its methods don't matter.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn with_rest(
        rest: Route,
        routes: impl IntoIterator<Item = Route>,
    ) -> Result<Self, RouteError> {
        let mut lanes = vec![Lane::new(rest)];
        let (mut by_namespace, mut by_name) = (HashMap::new(), HashMap::new());
        for route in routes {
            if lanes.iter().any(|lane| *lane.name == *route.name) {
                return Err(RouteError::Twice(route.name));
            }
            for name in &route.methods {
                let names = if name.ends_with(".*") {
                    &mut by_namespace
                } else {
                    &mut by_name
                };
                if names.insert(name.clone(), lanes.len()).is_some() {
                    return Err(RouteError::Twice(name.clone()));
                }
            }
            lanes.push(Lane::new(route));
        }
        let mut by_method = HashMap::new();
        for pattern in by_namespace.keys().chain(by_name.keys()) {
            let is_its = |name: &str| match pattern.strip_suffix(".*") {
                Some(namespace) => name
                    .split_once('.')
                    .is_some_and(|(its, _)| its == namespace),
                None => name == pattern,
            };
            let mut methods = layer::methods().iter();
            if !methods.any(|method| is_its(method.name())) {
                return Err(RouteError::Unknown(pattern.clone()));
            }
        }
        for method in layer::methods() {
            let name = method.name();
            let of_namespace = || {
                let (namespace, _) = name.split_once('.')?;
                by_namespace.get(&format!("{namespace}.*"))
            };
            if let Some(&lane) = by_name.get(name).or_else(of_namespace) {
                by_method.insert(method.id(), lane);
            }
        }
        Ok(Self { lanes, by_method })
    }

    fn lane(&self, method: Option<u32>) -> Option<&Lane> {
        let lane = method.and_then(|id| self.by_method.get(&id));
        self.lanes.get(lane.copied().unwrap_or(0))
    }
}

impl fmt::Debug for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Routes")
            .field("backends", &self.lanes.len())
            .field("methods", &self.by_method.len())
            .finish_non_exhaustive()
    }
}

impl Backend for Routes {
    fn call(&self, call: Call) -> Answer {
        let method = call.body.first_chunk().map(|id| u32::from_le_bytes(*id));
        match self.lane(method) {
            Some(lane) => lane.call(call),
            None => Answer::Now(failed()),
        }
    }

    fn start(&self, pushes: Arc<dyn Pushes>) {
        for lane in &self.lanes {
            lane.backend.start(Arc::clone(&pushes));
        }
    }

    fn user(&self, identity: Identity) -> LoggedIn {
        let sign_in = layer::method_by_name(SIGN_IN).map(|method| method.id());
        match self.lane(sign_in) {
            Some(lane) => lane.backend.user(identity),
            None => LoggedIn::Now(None),
        }
    }
}

impl Measured for Routes {
    fn measure(&self, meter: &mut dyn Meter) {
        let lanes = self
            .lanes
            .iter()
            .map(|lane| (&*lane.name, lane.fares.measure()));
        let lanes: Vec<_> = lanes.collect();
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

/// A backend and how it fares.
struct Lane {
    name: String,
    backend: Arc<dyn Backend>,
    patience: Duration,
    fares: Arc<Fares>,
}

/// How a backend fares.
struct Fares {
    patience: Duration,
    calls_max: usize,
    failures_max: u32,
    pause: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    running: usize,
    /// In a row.
    failures: u32,
    /// No call is made before; after it, one.
    closed_until: Option<Instant>,
    is_trying: bool,
    counts: Counts,
}

/// What became of calls.
#[derive(Clone, Copy, Default)]
struct Counts {
    /// Handed to the backend.
    calls: u64,
    /// Not handed to it: too many were running.
    too_many: u64,
    /// Not handed to it: it had failed too often.
    held_back: u64,
    /// Not answered, in time or at all.
    failed: u64,
    /// Of the failed: those whose time ran out.
    late: u64,
    /// Nobody wanted the answer any more.
    cancelled: u64,
    /// Of all that have ended by themselves.
    times: Times,
}

struct Measures {
    running: u64,
    is_paused: bool,
    counts: Counts,
}

impl Fares {
    fn measure(&self) -> Measures {
        let state = self.state.lock();
        Measures {
            running: u64::try_from(state.running).unwrap_or(u64::MAX),
            is_paused: state.closed_until.is_some(),
            counts: state.counts,
        }
    }
}

impl Lane {
    fn new(route: Route) -> Self {
        Self {
            name: route.name,
            backend: route.backend,
            patience: route.patience,
            fares: Arc::new(Fares {
                patience: route.patience,
                calls_max: route.calls_max,
                failures_max: route.failures_max,
                pause: route.pause,
                state: Mutex::default(),
            }),
        }
    }

    fn call(&self, call: Call) -> Answer {
        let Some(running) = Running::begin(&self.fares) else {
            return Answer::Now(failed());
        };
        match self.backend.call(call) {
            Answer::Now(reply) => {
                running.end(&reply);
                Answer::Now(reply)
            }
            Answer::Later(reply) => {
                let patience = self.patience;
                Answer::Later(Box::pin(async move {
                    let reply = tokio::time::timeout(patience, reply).await;
                    let reply = reply.unwrap_or_else(|_| failed());
                    running.end(&reply);
                    reply
                }))
            }
        }
    }
}

/// A call that runs. Dropped without an answer, it says nothing of its backend: a client has lost interest.
struct Running {
    fares: Arc<Fares>,
    since: Instant,
    is_trying: bool,
    has_ended: bool,
}

impl Running {
    /// Begins a call if the backend may have one more.
    fn begin(fares: &Arc<Fares>) -> Option<Self> {
        let mut state = fares.state.lock();
        if state.running >= fares.calls_max {
            state.counts.too_many += 1;
            return None;
        }
        let since = Instant::now();
        let is_trying = match state.closed_until {
            None => false,
            Some(until) if since < until || state.is_trying => {
                state.counts.held_back += 1;
                return None;
            }
            Some(_) => true,
        };
        state.is_trying |= is_trying;
        state.running += 1;
        state.counts.calls += 1;
        Some(Self {
            fares: Arc::clone(fares),
            since,
            is_trying,
            has_ended: false,
        })
    }

    /// Takes note of the answer.
    fn end(mut self, reply: &Reply) {
        self.has_ended = true;
        let mut state = self.fares.state.lock();
        let time = self.since.elapsed();
        state.counts.times.add(time);
        if !is_failure(reply) {
            state.failures = 0;
            state.closed_until = None;
            return;
        }
        state.counts.failed += 1;
        // Whichever of the clocks on the way has rung first.
        state.counts.late += u64::from(time >= self.fares.patience);
        state.failures = state.failures.saturating_add(1);
        if state.failures >= self.fares.failures_max {
            if state.closed_until.is_none() {
                tracing::warn!("a backend fails: it gets no calls for a while");
            }
            state.closed_until = Some(Instant::now() + self.fares.pause);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut state = self.fares.state.lock();
        state.running -= 1;
        state.counts.cancelled += u64::from(!self.has_ended);
        state.is_trying &= !self.is_trying;
    }
}

/// Tells whether a backend has not answered: what it says by itself, however wrong, is an answer.
fn is_failure(reply: &Reply) -> bool {
    matches!(
        reply,
        Reply::Error(RpcError { code: 500, message }) if message == "RPC_CALL_FAIL"
    )
}

/// Whoever answers this knows who has signed in.
const SIGN_IN: &str = "auth.signIn";

/// What the route is called that answers what no other does.
const REST: &str = "rest";

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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use heliogram_ports::metrics::Readings;
    use heliogram_ports::{KeyFacts, KeyKind};
    use heliogram_proto::ids::{AuthKeyId, MsgId, SessionId, Term};

    use super::*;

    #[test]
    fn a_method_goes_before_its_namespace_and_both_before_the_rest() {
        let [rest, messages, send] = [(); 3].map(|()| Arc::new(Backed::default()));
        let routes = [
            Route::new(["messages.*"], Arc::<Backed>::clone(&messages) as Arc<_>),
            Route::new(
                ["messages.sendMessage"],
                Arc::<Backed>::clone(&send) as Arc<_>,
            ),
        ];
        let routes = Routes::new(Arc::<Backed>::clone(&rest) as Arc<_>, routes).unwrap();
        for (name, calls) in [
            ("help.getConfig", [1, 0, 0]),
            ("messages.getHistory", [1, 1, 0]),
            ("messages.sendMessage", [1, 1, 1]),
            ("upload.getFile", [2, 1, 1]),
        ] {
            routes.call(call(layer::method_by_name(name).unwrap().id()));
            let made = [&rest, &messages, &send].map(|it| it.calls());
            assert_eq!(made, calls, "{name}");
        }
        // A method of no layer, and what is no method at all.
        routes.call(call(0x1111_1111));
        let mut nothing = call(0);
        nothing.body.clear();
        routes.call(nothing);
        assert_eq!(rest.calls(), 4);
    }

    #[test]
    fn users_are_asked_of_the_backend_that_they_sign_in_with() {
        let user = |user| Arc::new(Knows(user)) as Arc<dyn Backend>;
        for (methods, expected) in [("auth.*", 2), ("auth.signIn", 2), ("auth.logOut", 1)] {
            let routes = Routes::new(user(1), [Route::new([methods], user(2))]).unwrap();
            let LoggedIn::Now(user) = routes.user(Identity(AuthKeyId(1))) else {
                panic!("they know at once")
            };
            assert_eq!(user, Some(expected), "{methods}");
        }
    }

    #[test]
    fn a_route_to_what_does_not_exist_or_is_taken_is_refused() {
        let routes = |names: [&str; 2]| {
            let route = |name| Route::new([name], Arc::new(Backed::default()) as Arc<_>);
            Routes::new(Arc::new(Backed::default()), names.map(route)).err()
        };
        assert_eq!(routes(["help.getConfig", "help.*"]), None);
        for name in ["help.getConfg", "hlp.*", "help", "*"] {
            let unknown = RouteError::Unknown(name.to_owned());
            assert_eq!(routes(["help.getConfig", name]), Some(unknown));
        }
        let twice = RouteError::Twice("help.*".to_owned());
        assert_eq!(routes(["help.*", "help.*"]), Some(twice));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_takes_too_long_is_not_waited_for() {
        let backed = Arc::new(Backed::default());
        backed.says(Says::Never);
        let mut rest = limited(&backed);
        rest.patience = Duration::from_secs(5);
        let routes = Routes::with_rest(rest, []).unwrap();
        let begun = Instant::now();
        assert!(is_failure(&ask(&routes).await));
        assert_eq!(begun.elapsed(), Duration::from_secs(5));
    }

    #[tokio::test]
    async fn one_call_more_than_may_run_fails_until_one_has_ended() {
        let backed = Arc::new(Backed::default());
        backed.says(Says::Never);
        let mut rest = limited(&backed);
        rest.calls_max = 2;
        let routes = Routes::with_rest(rest, []).unwrap();
        let running = [routes.call(call(1)), routes.call(call(1))];
        assert!(is_failure(&ask(&routes).await));
        assert_eq!(backed.calls(), 2);
        drop(running);
        backed.says(Says::Result);
        assert!(!is_failure(&ask(&routes).await));
    }

    #[tokio::test(start_paused = true)]
    async fn a_backend_that_fails_so_often_gets_no_calls_then_one_and_then_all() {
        let backed = Arc::new(Backed::default());
        backed.says(Says::Fails);
        let routes = Routes::with_rest(limited(&backed), []).unwrap();
        for _ in 0..3 {
            assert!(is_failure(&ask(&routes).await));
        }
        assert_eq!(backed.calls(), 3);
        backed.says(Says::Result);
        tokio::time::advance(Duration::from_millis(999)).await;
        assert!(is_failure(&ask(&routes).await));
        assert_eq!(backed.calls(), 3, "it is left alone");

        tokio::time::advance(Duration::from_millis(1)).await;
        backed.says(Says::Never);
        let trying = routes.call(call(1));
        assert!(is_failure(&ask(&routes).await));
        assert_eq!(backed.calls(), 4, "one call tries");
        drop(trying);

        backed.says(Says::Fails);
        assert!(is_failure(&ask(&routes).await));
        assert_eq!(backed.calls(), 5);
        backed.says(Says::Result);
        assert!(is_failure(&ask(&routes).await));
        assert_eq!(backed.calls(), 5, "its failure begins a new pause");

        tokio::time::advance(Duration::from_secs(1)).await;
        for _ in 0..2 {
            assert!(!is_failure(&ask(&routes).await));
        }
        assert_eq!(backed.calls(), 7);
    }

    #[tokio::test]
    async fn failures_that_are_not_in_a_row_and_errors_of_the_backend_itself_count_for_nothing() {
        let backed = Arc::new(Backed::default());
        let routes = Routes::with_rest(limited(&backed), []).unwrap();
        for says in [
            Says::Fails,
            Says::Fails,
            Says::Result,
            Says::Fails,
            Says::Fails,
        ] {
            backed.says(says);
            ask(&routes).await;
        }
        backed.says(Says::Refuses);
        for _ in 0..10 {
            ask(&routes).await;
        }
        assert_eq!(backed.calls(), 15);
    }

    #[tokio::test(start_paused = true)]
    async fn what_became_of_each_call_is_counted_under_its_route() {
        let backed = Arc::new(Backed::default());
        let mut rest = limited(&backed);
        rest.calls_max = 1;
        rest.patience = Duration::from_secs(1);
        let mut files = Route::new(["upload.*"], Arc::new(Backed::default()) as Arc<_>);
        files.name = "files".to_owned();
        let routes = Routes::with_rest(rest, [files]).unwrap();
        ask(&routes).await;
        backed.says(Says::Never);
        let running = routes.call(call(1));
        ask(&routes).await;
        assert_eq!(read(&routes, "calls_running"), [0, 1]);
        drop(running);
        ask(&routes).await;
        backed.says(Says::Fails);
        ask(&routes).await;
        assert_eq!(read(&routes, "paused"), [0, 0]);
        ask(&routes).await;
        assert_eq!(read(&routes, "paused"), [0, 1]);
        ask(&routes).await;

        for (name, count) in [
            ("calls", 5),
            ("calls_running", 0),
            ("excess_calls", 1),
            ("cancelled_calls", 1),
            ("late_calls", 1),
            ("failed_calls", 3),
            ("held_back_calls", 1),
            ("call_seconds", 4),
        ] {
            assert_eq!(read(&routes, name), [0, count], "{name}");
        }
    }

    /// Of the routes `files` and `rest`.
    fn read(routes: &Routes, name: &str) -> [u64; 2] {
        let readings = Readings::of(routes).0;
        ["files", "rest"].map(|route| readings[&format!("backend_{name}{{route=\"{route}\"}}")])
    }

    #[test]
    fn two_routes_of_one_name_are_refused() {
        let backed = || Arc::new(Backed::default()) as Arc<_>;
        let mut route = Route::new(["help.*"], backed());
        assert_eq!(route.name, "help.*");
        route.name = "rest".to_owned();
        let refused = Routes::new(backed(), [route]).err();
        assert_eq!(refused, Some(RouteError::Twice("rest".to_owned())));
    }

    /// Fails three times before a pause of a second.
    fn limited(backed: &Arc<Backed>) -> Route {
        let everything: [&str; 0] = [];
        let mut route = Route::new(everything, Arc::<Backed>::clone(backed) as Arc<_>);
        route.failures_max = 3;
        route.pause = Duration::from_secs(1);
        route
    }

    /// A backend that says what it is told to.
    #[derive(Default)]
    struct Backed {
        calls: AtomicUsize,
        says: Mutex<Says>,
    }

    #[derive(Clone, Copy, Default)]
    enum Says {
        #[default]
        Result,
        Fails,
        Refuses,
        Never,
    }

    impl Backed {
        fn calls(&self) -> usize {
            self.calls.load(Ordering::SeqCst)
        }

        fn says(&self, says: Says) {
            *self.says.lock() = says;
        }
    }

    impl Backend for Backed {
        fn call(&self, call: Call) -> Answer {
            self.calls.fetch_add(1, Ordering::SeqCst);
            match *self.says.lock() {
                Says::Result => Answer::Now(Reply::Result(call.body)),
                Says::Fails => Answer::Later(Box::pin(async { failed() })),
                Says::Refuses => Answer::Now(Reply::Error(RpcError {
                    code: 500,
                    message: "BACKEND_ERROR".to_owned(),
                })),
                Says::Never => Answer::Later(Box::pin(std::future::pending())),
            }
        }
    }

    struct Knows(i64);

    impl Backend for Knows {
        fn call(&self, call: Call) -> Answer {
            Answer::Now(Reply::Result(call.body))
        }

        fn user(&self, _: Identity) -> LoggedIn {
            LoggedIn::Now(Some(self.0))
        }
    }

    async fn ask(routes: &Routes) -> Reply {
        match routes.call(call(1)) {
            Answer::Now(reply) => reply,
            Answer::Later(reply) => reply.await,
        }
    }

    fn call(method: u32) -> Call {
        Call {
            identity: Identity(AuthKeyId(1)),
            key: KeyFacts {
                id: AuthKeyId(1),
                kind: KeyKind::Permanent,
                perm: None,
                dc: None,
                first_salt: None,
            },
            session_id: SessionId(1),
            msg_id: MsgId(4),
            term: Term(1),
            layer: None,
            client: None,
            peer: ([192, 0, 2, 1], 443).into(),
            user: None,
            trace: None,
            without_updates: false,
            scope: None,
            body: method.to_le_bytes().to_vec().into(),
        }
    }
}
