//! A backend in another process, as the configuration has it.

use std::sync::Arc;

use anyhow::Context as _;
use heliogram_grpc::{
    Bound, Form, PushService, RemoteBackend, Role, Route, Routes, Server, ServerCounts, Tls,
    TlsFiles, dial,
};
use heliogram_ports::metrics::Measured;
use heliogram_ports::{Backend, Pushes};

use crate::config;

/// The backend, and the certificates for it.
pub(crate) struct Apart {
    /// Answers every call.
    pub(crate) backend: Arc<dyn Backend>,
    /// Who has numbers of it.
    pub(crate) measured: Vec<Arc<dyn Measured>>,
    /// What its listener counts.
    counts: Arc<ServerCounts>,
    tls: Option<Tls>,
}

impl Apart {
    /// Ties a backend in another process to the built-in one, which goes on to answer some methods.
    ///
    /// # Errors
    ///
    /// If certificates can't be used, or a method is of no layer.
    pub(crate) fn new(
        config: &config::Backend,
        built_in: Arc<dyn Backend>,
    ) -> anyhow::Result<Self> {
        let Some(address) = &config.address else {
            let backend = built_in;
            return Ok(Self {
                backend,
                measured: Vec::new(),
                counts: Arc::default(),
                tls: None,
            });
        };
        let tls = config.tls.clone().map(|tls| {
            Tls::load(TlsFiles {
                authority: tls.authority,
                certificate: tls.certificate,
                key: tls.key,
            })
        });
        let tls = tls.transpose().context("keys `backend.tls`")?;
        let form = if config.streaming {
            Form::Streaming
        } else {
            Form::Unary
        };
        let channel = dial(address.parse()?, Role::Backend, tls.clone());
        let remote = Arc::new(RemoteBackend::new(channel, form));
        let mut built_in = Route::new(config.built_in.iter().cloned(), built_in);
        "built_in".clone_into(&mut built_in.name);
        let routes = Routes::new(remote, [built_in]).context("key `backend.built_in`")?;
        let (routes, counts) = (Arc::new(routes), Arc::<ServerCounts>::default());
        Ok(Self {
            measured: vec![
                Arc::<Routes>::clone(&routes),
                Arc::<ServerCounts>::clone(&counts),
            ],
            backend: routes,
            counts,
            tls,
        })
    }

    /// Listens for updates that the backend pushes, if it is to.
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
        let server = Server::counted(Arc::clone(&self.counts)).push(PushService::new(pushes));
        let bound = server.bind(&address.parse()?, self.tls.clone()).await;
        let bound = bound.with_context(|| format!("can't listen on {address} (pushes)"))?;
        Ok(Some(bound))
    }
}
