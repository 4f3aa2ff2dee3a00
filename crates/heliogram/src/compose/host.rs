//! The side of the sessions: their host, the backend behind it, and where backends push.

use std::sync::Arc;

use heliogram_grpc::Bound;
use heliogram_ports::metrics::Measured;
use heliogram_ports::trace::SpanSide;
use heliogram_ports::{Backend, Pushes};
use heliogram_proto::host;
use heliogram_proto::ids::Term;
use heliogram_session::LocalPort;
use heliogram_store_cluster::KeptUsers;
use tokio::runtime::Handle;

use super::store::Store;
use crate::apart::Apart;
use crate::backend::{BuiltIn, DataCentres};
use crate::config::{self, Config};
use crate::observed::Observed;

/// A host of sessions whose backend is there.
pub(super) struct Host {
    /// The sessions.
    pub(super) sessions: LocalPort,
    /// Answers where there is no other backend; to be told where clients reach the gateway.
    pub(super) built_in: Arc<BuiltIn>,
    /// Where backends push, bound.
    pub(super) pushed: Option<Bound>,
    /// Numbers of it all.
    pub(super) measured: Vec<Arc<dyn Measured>>,
}

impl Host {
    /// Puts a host in front of the configured backend, and listens for its updates.
    ///
    /// # Errors
    ///
    /// If certificates can't be used, or an address can't be bound.
    pub(super) async fn start(
        config: &Config,
        store: &Store,
        term: Term,
        observed: &Observed,
    ) -> anyhow::Result<Self> {
        let built_in = Arc::new(BuiltIn::new(DataCentres::new(
            config.dc,
            config.served_dcs.clone(),
        )));
        let backend = backend_config(config);
        let apart = Apart::new(&backend, Arc::<BuiltIn>::clone(&built_in), observed)?;
        let answering = observed.backend(Arc::clone(&apart.backend), SpanSide::Answers);
        let sessions = LocalPort::new(
            &host_config(config, store, term),
            shards(),
            Arc::clone(&store.keys),
            with_users(answering, store),
            Handle::current(),
        );
        let mut measured = apart.measured.clone();
        measured.push(Arc::new(sessions.clone()));
        let pushes: Arc<dyn Pushes> = Arc::new(sessions.clone());
        let pushed = apart.listen(&backend, pushes).await?;
        Ok(Self {
            sessions,
            built_in,
            pushed,
            measured,
        })
    }
}

/// Keeps who has logged in where the store can.
fn with_users(backend: Arc<dyn Backend>, store: &Store) -> Arc<dyn Backend> {
    match &store.users {
        Some(users) => {
            let users = Arc::clone(users);
            Arc::new(KeptUsers::new(backend, users, Handle::current()))
        }
        None => backend,
    }
}

/// One certificate of a process is enough for both.
fn backend_config(config: &Config) -> config::Backend {
    let mut backend = config.backend.clone();
    backend.tls = backend.tls.or_else(|| config.cluster.tls.clone());
    backend
}

fn host_config(config: &Config, store: &Store, term: Term) -> host::Config {
    let mut host = host::Config::new(term, store.salt_secret.clone());
    let allowed = &config.api.allowed;
    host.api_ids = (!allowed.is_empty()).then(|| {
        allowed
            .iter()
            .map(|application| application.api_id)
            .collect()
    });
    host
}

/// More than threads, so that two of them seldom want the same lock.
fn shards() -> usize {
    std::thread::available_parallelism().map_or(4, |threads| threads.get() * 4)
}
