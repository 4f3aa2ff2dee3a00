//! Everything in one process.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use heliogram_gateway::ListenerKind;
use heliogram_grpc::{
    Address, Gateways, KeysService, RemoteKeys, RingSessions, Role, SessionsService, dial,
};
use heliogram_ports::{AuthKeys, SessionPort};
use heliogram_proto::ids::Term;
use tokio::task::JoinHandle;

use super::host::Host;
use super::store::Store;
use super::{Server, front, next_step};
use crate::admin::{Access, Admin, Readiness, Shown};
use crate::config::Config;
use crate::endpoints::Endpoints;
use crate::files;
use crate::observed::Observed;
use crate::welcome::Welcome;

impl Server {
    /// Opens everything and listens; `through_grpc` puts gRPC between the gateway and the rest, as in a cluster.
    ///
    /// # Errors
    ///
    /// If a file can't be opened or an address can't be bound.
    pub(crate) async fn serve(config: Config, through_grpc: bool) -> anyhow::Result<Self> {
        files::ensure_directory(&config.data)?;
        // First of all: a file is refused to a second server, which must not touch those of the first.
        let store = Store::open(&config).await?;
        Endpoints::forget(&config.data).context("an old endpoints.json can't be removed")?;
        let term = store.begin_term().await?;
        let observed = Observed::start(&config, "heliogram")?;
        let Host {
            sessions,
            built_in,
            pushed,
            mut measured,
        } = Host::start(&config, &store, term, &observed).await?;
        let mut tasks = Vec::new();
        let (keys, port): (Arc<dyn AuthKeys>, Arc<dyn SessionPort>) = if through_grpc {
            let port: Arc<dyn SessionPort> = Arc::new(sessions.clone());
            let (keys, port, served) =
                apart(&config.data, Arc::clone(&store.keys), port, term, &observed).await?;
            tasks.push(served);
            (keys, port)
        } else {
            (Arc::clone(&store.keys), Arc::new(sessions.clone()))
        };
        let front = front::Bound::bind(&config, keys, port, term, &observed)?;
        let access = Access::load(config.admin.token_file.as_deref())?;
        let admin = Admin::bind(config.listen.admin).await.map_err(|error| {
            let (address, help) = (config.listen.admin, next_step(error.kind()));
            anyhow!("can't listen on {address} (admin): {error}{help}")
        })?;
        let endpoints = Endpoints {
            tcp: front.addresses(ListenerKind::Tcp),
            websocket: front.addresses(ListenerKind::WebSocket),
            admin: admin.address()?,
        };
        built_in.publish(front::advertised(&config, &endpoints.tcp));
        let welcome = Welcome::new(&front.key, &config, &endpoints).to_string();
        measured.push(front.measured());
        measured.extend(store.measured);
        measured.extend(observed.measured());
        let readiness = Readiness::new(store.checks);
        tasks.push(tokio::spawn(admin.serve(Shown {
            readiness: readiness.clone(),
            access,
            measured,
        })));
        tasks.push(tokio::spawn(async move { sessions.run().await }));
        tasks.extend(pushed.map(background));
        Ok(Self {
            welcome,
            endpoints,
            data: config.data,
            readiness,
            front: Some(front.run()),
            observed,
            tasks,
        })
    }
}

type Apart = (Arc<dyn AuthKeys>, Arc<dyn SessionPort>, JoinHandle<()>);

/// Serves keys and sessions on a Unix socket of the data directory, which nobody else may enter, and returns the other end.
async fn apart(
    data: &Path,
    keys: Arc<dyn AuthKeys>,
    sessions: Arc<dyn SessionPort>,
    term: Term,
    observed: &Observed,
) -> anyhow::Result<Apart> {
    let address = Address::Unix(data.join("sessions.socket"));
    let server = observed
        .server()
        .keys(KeysService::new(keys))
        .sessions(SessionsService::new(sessions, Gateways::new()));
    let bound = server.bind(&address, None).await;
    let bound = bound.with_context(|| format!("can't listen on {address} (--through-grpc)"))?;
    let channel = dial(address, Role::Session, None);
    Ok((
        Arc::new(RemoteKeys::new(channel.clone())),
        Arc::new(RingSessions::of_one(channel, Some(term))),
        background(bound),
    ))
}

/// Serves until the process ends.
pub(super) fn background(bound: heliogram_grpc::Bound) -> JoinHandle<()> {
    tokio::spawn(async move {
        if let Err(error) = bound.serve(std::future::pending()).await {
            tracing::error!(%error, "a gRPC server has ended");
        }
    })
}
