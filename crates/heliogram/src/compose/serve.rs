//! Everything in one process.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use heliogram_gateway::ListenerKind;
use heliogram_grpc::{
    Address, Bound, Gateways, KeysService, RemoteKeys, RingSessions, Role, SessionsService, dial,
};
use heliogram_ports::metrics::Measured;
use heliogram_ports::{AuthKeys, SessionPort};
use heliogram_proto::ids::Term;
use heliogram_session::LocalPort;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::front::{self, Rest};
use super::host::{Behind, host_config};
use super::store::Store;
use super::{Server, administer, background};
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
        let behind = Behind::new(&config, &store, None, &observed)?;
        let sessions = LocalPort::new(
            &host_config(&config, &store, term),
            shards(),
            Arc::clone(&store.keys),
            Arc::clone(&behind.backend),
            Handle::current(),
        );
        let pushed = behind.listen(&config, &sessions).await?;
        let mut tasks = Vec::new();
        let port: Arc<dyn SessionPort> = Arc::new(sessions.clone());
        let (keys, port) = if through_grpc {
            let store = Arc::clone(&store.keys);
            let (keys, port, served) = apart(&config.data, store, port, term, &observed).await?;
            tasks.push(served);
            (keys, port)
        } else {
            (Arc::clone(&store.keys), port)
        };
        let rest = Rest {
            keys,
            sessions: port,
            term: term.into(),
            has_others: false,
        };
        let front = front::Bound::bind(&config, rest, &observed)?;
        let mut measured = behind.measured();
        measured.extend([
            Arc::new(sessions.clone()) as Arc<dyn Measured>,
            front.measured(),
        ]);
        measured.extend(store.measured);
        measured.extend(observed.measured());
        let push = pushed.as_ref().map(Bound::address).transpose()?;
        let (admin, readiness, answering) = administer(&config, store.checks, measured).await?;
        let endpoints = Endpoints {
            tcp: front.addresses(ListenerKind::Tcp),
            websocket: front.addresses(ListenerKind::WebSocket),
            admin,
            cluster: None,
            push: push.map(|address| address.to_string()),
        };
        behind
            .built_in
            .publish(front::advertised(&config, &endpoints.tcp));
        let welcome = Welcome::new(&front.key, &config, &endpoints).to_string();
        tasks.push(answering);
        tasks.push(tokio::spawn(async move { sessions.run().await }));
        tasks.extend(pushed.map(background));
        Ok(Self {
            welcome,
            endpoints,
            data: config.data,
            readiness,
            front: Some(front.run()),
            node: None,
            observed,
            certificates: behind.tls.into_iter().collect(),
            tasks,
        })
    }
}

/// More than threads, so that two of them seldom want the same lock.
fn shards() -> usize {
    std::thread::available_parallelism().map_or(4, |threads| threads.get() * 4)
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
