//! Backends in other processes, as the configuration has them.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use heliogram_grpc::{Bound, Form, PushService, RemoteBackend, Role, Route, Routes, Tls, dial};
use heliogram_ports::metrics::Measured;
use heliogram_ports::trace::SpanSide;
use heliogram_ports::{Backend, Pushes};

use crate::config;
use crate::observed::Observed;

/// The backends, and the certificates for them.
pub(crate) struct Apart {
    /// Answers every call.
    pub(crate) backend: Arc<dyn Backend>,
    /// Who has numbers of it.
    pub(crate) measured: Vec<Arc<dyn Measured>>,
    observed: Observed,
    tls: Option<Tls>,
}

impl Apart {
    /// Ties backends in other processes to the built-in one, which answers some methods, or what no other does.
    ///
    /// # Errors
    ///
    /// If a method is of no layer, or two backends are for one.
    pub(crate) fn new(
        config: &config::Backend,
        built_in: Arc<dyn Backend>,
        tls: Option<Tls>,
        observed: &Observed,
    ) -> anyhow::Result<Self> {
        if !config.is_apart() {
            return Ok(Self {
                backend: built_in,
                measured: Vec::new(),
                observed: observed.clone(),
                tls,
            });
        }
        let lane = |address: &str, route: Option<&config::Route>| {
            Lane::new(config, route).route(address, tls.clone(), observed)
        };
        let mut routes = config
            .routes
            .iter()
            .map(|route| lane(&route.address, Some(route)))
            .collect::<Result<Vec<_>, _>>()?;
        let rest = match &config.address {
            Some(address) => {
                let mut built_in = Route::new(config.built_in.iter().cloned(), built_in);
                "built_in".clone_into(&mut built_in.name);
                routes.push(built_in);
                lane(address, None)?
            }
            None => Route::new(NOTHING, built_in),
        };
        let routes = Routes::with_rest(rest, routes)
            .context("keys `backend.routes` and `backend.built_in`")?;
        let routes = Arc::new(routes);
        Ok(Self {
            measured: vec![Arc::<Routes>::clone(&routes)],
            backend: routes,
            observed: observed.clone(),
            tls,
        })
    }

    /// Listens for updates that the backends push, if it is to.
    ///
    /// # Errors
    ///
    /// If the address can't be bound.
    pub(crate) async fn listen(
        &self,
        config: &config::Backend,
        pushes: Arc<dyn Pushes>,
    ) -> anyhow::Result<Option<Bound>> {
        let Some(address) = &config.push_listen else {
            return Ok(None);
        };
        let server = self.observed.server().push(PushService::new(pushes));
        let bound = server.bind(&address.parse()?, self.tls.clone()).await;
        let bound = bound.with_context(|| format!("can't listen on {address} (pushes)"))?;
        Ok(Some(bound))
    }
}

/// What a backend may take: what its route says, or what holds for all.
struct Lane<'a> {
    methods: &'a [String],
    name: Option<&'a str>,
    form: Form,
    patience: Duration,
    calls_max: usize,
    failures_max: u32,
    pause: Duration,
}

impl<'a> Lane<'a> {
    fn new(all: &config::Backend, route: Option<&'a config::Route>) -> Self {
        let number = |own: fn(&config::Route) -> Option<NonZeroU32>, of_all: NonZeroU32| {
            route.and_then(own).unwrap_or(of_all).get()
        };
        let seconds = |number: u32| Duration::from_secs(number.into());
        let streaming = route.and_then(|route| route.streaming);
        Self {
            methods: route.map(|route| &*route.methods).unwrap_or_default(),
            name: route.and_then(|route| route.name.as_deref()),
            form: if streaming.unwrap_or(all.streaming) {
                Form::Streaming
            } else {
                Form::Unary
            },
            patience: seconds(number(|route| route.patience_s, all.patience_s)),
            calls_max: usize::try_from(number(|route| route.calls_max, all.calls_max))
                .unwrap_or(usize::MAX),
            failures_max: number(|route| route.failures_max, all.failures_max),
            pause: seconds(number(|route| route.pause_s, all.pause_s)),
        }
    }

    fn route(self, address: &str, tls: Option<Tls>, observed: &Observed) -> anyhow::Result<Route> {
        let channel = dial(address.parse()?, Role::Backend, tls);
        // The route holds the limit. A cancelled call takes room here, and none there, until the backend is told.
        let calls_max = self.calls_max.saturating_mul(2);
        let remote = RemoteBackend::with_limits(channel, self.form, self.patience, calls_max);
        let remote = observed.backend(Arc::new(remote), SpanSide::Asks);
        let mut route = Route::new(self.methods.iter().cloned(), remote);
        if let Some(name) = self.name {
            name.clone_into(&mut route.name);
        }
        route.patience = self.patience;
        route.calls_max = self.calls_max;
        route.failures_max = self.failures_max;
        route.pause = self.pause;
        Ok(route)
    }
}

const NOTHING: [&str; 0] = [];
