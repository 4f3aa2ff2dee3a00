//! A gateway of a cluster: clients' connections here, everything else at the session nodes.

use std::sync::Arc;

use anyhow::Context as _;
use heliogram_gateway::ListenerKind;
use heliogram_grpc::{Etcd, NodesKeys, RingSessions};
use heliogram_ports::discovery::Discovery;
use heliogram_proto::exchange::server::Terms;

use super::front::{self, Rest};
use super::{Server, administer, certificates, ring};
use crate::admin::Check;
use crate::config::Config;
use crate::endpoints::Endpoints;
use crate::files;
use crate::observed::Observed;
use crate::welcome::Welcome;

impl Server {
    /// Finds the session nodes and listens.
    ///
    /// # Errors
    ///
    /// If a file can't be read, etcd can't be reached, or an address can't be bound.
    pub(crate) async fn gateway(config: Config) -> anyhow::Result<Self> {
        files::ensure_directory(&config.data)?;
        Endpoints::forget(&config.data).context("an old endpoints.json can't be removed")?;
        let tls = certificates(config.cluster.tls.as_ref()).context("keys `cluster.tls`")?;
        let etcd = ring::discover(&config.cluster, tls.as_ref())?;
        let discovery: Arc<dyn Discovery> = Arc::<Etcd>::clone(&etcd);
        let keys = NodesKeys::new(Arc::clone(&discovery), tls.clone());
        let sessions = Arc::new(RingSessions::new(discovery, tls.clone()));
        let observed = Observed::start(&config, "heliogram-gateway")?;
        let (owners, ring) = (Arc::clone(&sessions), Arc::clone(&sessions));
        let rest = Rest {
            keys: Arc::new(keys),
            sessions: Arc::<RingSessions>::clone(&sessions),
            term: Terms::of_each(move |key| owners.term_of(key)),
            has_others: true,
        };
        let front = front::Bound::bind(&config, rest, &observed)?;
        let whole = Check::new("a session node for every session", move || {
            sessions.is_whole()
        });
        let mut measured = observed.measured();
        measured.extend([front.measured(), Arc::<RingSessions>::clone(&ring), etcd]);
        let (admin, readiness, answering) = administer(&config, vec![whole], measured).await?;
        let endpoints = Endpoints {
            tcp: front.addresses(ListenerKind::Tcp),
            websocket: front.addresses(ListenerKind::WebSocket),
            admin,
            cluster: None,
            push: None,
        };
        let welcome = Welcome::new(&front.key, &config, &endpoints).to_string();
        if front.key.is_new {
            tracing::warn!(
                "a new RSA key was made: every gateway needs the same, by `server_keys`"
            );
        }
        Ok(Self {
            welcome,
            endpoints,
            data: config.data,
            readiness,
            front: Some(front.run()),
            node: None,
            observed,
            certificates: tls.into_iter().collect(),
            tasks: vec![answering],
        })
    }
}
