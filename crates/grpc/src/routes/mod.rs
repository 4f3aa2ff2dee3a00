//! Several backends behind one port: which of them answers a call, and what it may take for that.

mod lane;
mod metrics;
mod table;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use heliogram_ports::{Answer, Backend, Call, LoggedIn, Pushes};
use heliogram_proto::ids::Identity;
use heliogram_tl::layer;

use self::lane::Lane;
use self::table::Table;
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
    /// Which lane a method takes, other than the first.
    by_method: Table,
}

/// What one backend answers, and what it may take for that.
#[non_exhaustive]
pub struct Route {
    /// `namespace.*`, or the name of a method, which goes before its namespace; or `name#id` for a method of another layer,
    /// where only the id, in hexadecimal, counts: it goes before both.
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
    /// What is behind the `#` is no constructor's id.
    BadId(String),
}

impl fmt::Display for RouteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Twice(name) => write!(f, "two routes are for {name}, or called so"),
            Self::Unknown(name) => write!(
                f,
                "layer {} has no {name}: name a method, a namespace as in `messages.*`, or another layer's method with its id \
                 as in `name#1cb5c415`",
                layer::LAYER
            ),
            Self::BadId(name) => write!(
                f,
                "{name} has no id of a constructor behind `#`: expected up to eight hexadecimal digits"
            ),
        }
    }
}

impl std::error::Error for RouteError {}

impl Routes {
    /// Has calls answered by the route of their method, and by `rest` where there is none: also those of no method that the
    /// layer has and no route names by its id. Who has logged in is asked of the backend that clients sign in with: the one of `auth.signIn`.
    ///
    /// # Errors
    ///
    /// - [`RouteError::Twice`] when two routes are for one method or namespace, or have one name.
    /// - [`RouteError::Unknown`] when a route is for what the layer does not have.
    /// - [`RouteError::BadId`] when a route is for an id that is none.
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
        let rest = std::iter::once(rest);
        let routes: Vec<_> = rest.chain(routes).collect();
        let patterns = routes.iter().enumerate().skip(1);
        let patterns = patterns.flat_map(|(at, route)| {
            let methods = route.methods.iter();
            methods.map(move |pattern| (pattern.as_str(), at))
        });
        let by_method = Table::read(patterns)?;
        let mut lanes: Vec<Lane> = Vec::new();
        for route in routes {
            if lanes.iter().any(|lane| lane.name == route.name) {
                return Err(RouteError::Twice(route.name));
            }
            lanes.push(Lane::new(route));
        }
        Ok(Self { lanes, by_method })
    }

    fn lane(&self, method: Option<u32>) -> Option<&Lane> {
        let lane = method.and_then(|id| self.by_method.get(id));
        self.lanes.get(lane.unwrap_or(0))
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

/// Whoever answers this knows who has signed in.
const SIGN_IN: &str = "auth.signIn";

/// What the route is called that answers what no other does.
const REST: &str = "rest";

#[cfg(test)]
mod tests;
