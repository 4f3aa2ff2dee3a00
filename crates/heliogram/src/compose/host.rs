//! The side of the sessions: their host, the backend behind it, and where backends push.

use std::sync::Arc;

use anyhow::Context as _;
use heliogram_grpc::{Bound, Tls};
use heliogram_ports::metrics::Measured;
use heliogram_ports::trace::SpanSide;
use heliogram_ports::{Backend, Pushes};
use heliogram_proto::host;
use heliogram_proto::ids::Term;
use heliogram_session::LocalPort;
use heliogram_store_cluster::KeptUsers;
use tokio::runtime::Handle;

use super::certificates;
use super::store::Store;
use crate::apart::Apart;
use crate::backend::{BuiltIn, DataCentres};
use crate::config::Config;
use crate::observed::Observed;

/// What answers calls of a host.
pub(super) struct Behind {
    /// All of it.
    pub(super) backend: Arc<dyn Backend>,
    /// Answers where there is no other backend; to be told where clients reach a gateway.
    pub(super) built_in: Arc<BuiltIn>,
    /// The certificates for backends.
    pub(super) tls: Option<Tls>,
    apart: Apart,
}

impl Behind {
    /// Puts together what the configuration asks for. Without certificates of their own for backends those of the cluster
    /// are used.
    ///
    /// # Errors
    ///
    /// If certificates can't be used, or a method is of no layer.
    pub(super) fn new(
        config: &Config,
        store: &Store,
        cluster: Option<Tls>,
        observed: &Observed,
    ) -> anyhow::Result<Self> {
        let built_in = Arc::new(BuiltIn::new(DataCentres::new(
            config.dc,
            config.served_dcs.clone(),
        )));
        let own = certificates(config.backend.tls.as_ref()).context("keys `backend.tls`")?;
        let tls = own.or(cluster);
        let apart = Apart::new(
            &config.backend,
            Arc::<BuiltIn>::clone(&built_in),
            tls.clone(),
            observed,
        )?;
        let answering = observed.backend(Arc::clone(&apart.backend), SpanSide::Answers);
        Ok(Self {
            backend: with_users(answering, store),
            built_in,
            tls,
            apart,
        })
    }

    /// Listens for updates that backends push, if it is to.
    ///
    /// # Errors
    ///
    /// If the address can't be bound.
    pub(super) async fn listen(
        &self,
        config: &Config,
        sessions: &LocalPort,
    ) -> anyhow::Result<Option<Bound>> {
        let pushes: Arc<dyn Pushes> = Arc::new(sessions.clone());
        self.apart.listen(&config.backend, pushes).await
    }

    /// Returns who has numbers.
    pub(super) fn measured(&self) -> Vec<Arc<dyn Measured>> {
        self.apart.measured.clone()
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

/// Returns what hosts are told.
pub(super) fn host_config(config: &Config, store: &Store, term: Term) -> host::Config {
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
