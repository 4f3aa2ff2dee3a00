//! A session node of a cluster: sessions, keys and the way to backends here, clients at gateways.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use heliogram_grpc::{
    Address, Bound, Etcd, Gateways, KeysService, OwnersService, RemoteOwners, SessionsService, Tls,
};
use heliogram_ports::SessionPort;
use heliogram_ports::discovery::{self, Discovery};
use heliogram_ports::metrics::Measured;
use heliogram_proto::ids::Term;
use heliogram_session::{LocalPort, Steward};
use tokio::runtime::Handle;

use super::host::{Behind, host_config};
use super::store::Store;
use super::{Node, Server, administer, background, certificates, ring};
use crate::admin::Check;
use crate::config::{self, Config, StoreKind};
use crate::endpoints::Endpoints;
use crate::observed::Observed;
use crate::{files, welcome};

impl Server {
    /// Opens the store, listens for gateways, and joins the cluster.
    ///
    /// # Errors
    ///
    /// If a file can't be read, the store can't be opened, etcd can't be reached, or an address can't be bound.
    pub(crate) async fn session(config: Config) -> anyhow::Result<Self> {
        ensure!(
            config.store.kind == StoreKind::Cluster,
            "key `store.kind`: session nodes share their keys; expected \"cluster\", with `store.mysql`"
        );
        files::ensure_directory(&config.data)?;
        Endpoints::forget(&config.data).context("an old endpoints.json can't be removed")?;
        let store = Store::open(&config).await?;
        let place = Place::find(&config)?;
        let observed = Observed::start(&config, "heliogram-session")?;
        let behind = Behind::new(&config, &store, place.tls.clone(), &observed)?;
        behind.built_in.publish(gateways(&config));
        let Hosted {
            sessions,
            served,
            ways,
        } = place.host(&config, &store, &behind, &observed).await?;
        let pushed = behind.listen(&config, &sessions).await?;
        let listening = served.address()?;
        let push = pushed.as_ref().map(Bound::address).transpose()?;
        let node = discovery::Node {
            name: Arc::clone(&place.name),
            address: reached_at(&config.cluster, &listening)?.into(),
        };
        let steward = Steward::new(sessions.clone(), place.discovery(), node);
        let steward = Arc::new(steward);
        let mut measured = behind.measured();
        measured.extend([
            Arc::new(sessions.clone()) as Arc<dyn Measured>,
            Arc::<Steward>::clone(&steward),
            place.etcd,
        ]);
        measured.extend(ways);
        measured.extend(store.measured);
        measured.extend(observed.measured());
        let mut checks = store.checks;
        let joined = Arc::clone(&steward);
        checks.push(Check::new("this node's share", move || joined.is_ready()));
        let (admin, readiness, answering) = administer(&config, checks, measured).await?;
        let stewarding = Arc::clone(&steward);
        let mut tasks = vec![
            answering,
            background(served),
            tokio::spawn(async move { sessions.run().await }),
            tokio::spawn(async move { stewarding.run().await }),
        ];
        tasks.extend(pushed.map(background));
        let welcome = format!(
            "Heliogram {} is session node {} of cluster {}.\n\n  gateways     {listening}\n  admin        \
             http://{admin}/ready  http://{admin}/live",
            env!("CARGO_PKG_VERSION"),
            place.name,
            config.cluster.name,
        );
        Ok(Self {
            welcome,
            endpoints: Endpoints {
                tcp: Vec::new(),
                websocket: Vec::new(),
                admin,
                cluster: Some(listening.to_string()),
                push: push.map(|address| address.to_string()),
            },
            data: config.data,
            readiness,
            front: None,
            observed,
            node: Some(Node {
                steward,
                grace: Duration::from_secs(config.limits.shutdown_grace_s.into()),
            }),
            certificates: place.tls.into_iter().chain(behind.tls).collect(),
            tasks,
        })
    }
}

/// This node's place in its cluster.
struct Place {
    name: Arc<str>,
    tls: Option<Tls>,
    etcd: Arc<Etcd>,
}

impl Place {
    fn find(config: &Config) -> anyhow::Result<Self> {
        let tls = certificates(config.cluster.tls.as_ref()).context("keys `cluster.tls`")?;
        Ok(Self {
            name: config.cluster.node()?.into(),
            etcd: ring::discover(&config.cluster, tls.as_ref())?,
            tls,
        })
    }

    fn discovery(&self) -> Arc<dyn Discovery> {
        Arc::<Etcd>::clone(&self.etcd)
    }

    /// Makes the host of what is to be this node's, and listens for gateways and other nodes.
    async fn host(
        &self,
        config: &Config,
        store: &Store,
        behind: &Behind,
        observed: &Observed,
    ) -> anyhow::Result<Hosted> {
        let gateways = Gateways::new();
        let owners = RemoteOwners::new(
            self.discovery(),
            Arc::clone(&self.name),
            self.tls.clone(),
            gateways.clone(),
        );
        let owners = Arc::new(owners);
        let ways: Vec<Arc<dyn Measured>> = vec![
            Arc::<RemoteOwners>::clone(&owners),
            Arc::new(gateways.clone()),
        ];
        let sessions = LocalPort::of_cluster(
            // Each partition has a term of its own.
            &host_config(config, store, Term(0)),
            Arc::clone(&store.keys),
            Arc::clone(&behind.backend),
            owners,
            Handle::current(),
        );
        let port: Arc<dyn SessionPort> = Arc::new(sessions.clone());
        let server = observed
            .server()
            .keys(KeysService::new(Arc::clone(&store.keys)))
            .sessions(SessionsService::new(port, gateways.clone()))
            .owners(OwnersService::new(Arc::new(sessions.clone()), gateways));
        let served = listen(server, &config.cluster, self.tls.clone()).await?;
        Ok(Hosted {
            sessions,
            served,
            ways,
        })
    }
}

/// A host that others can reach.
struct Hosted {
    sessions: LocalPort,
    served: Bound,
    /// Numbers of the ways to gateways and other nodes.
    ways: Vec<Arc<dyn Measured>>,
}

async fn listen(
    server: heliogram_grpc::Server,
    config: &config::Cluster,
    tls: Option<Tls>,
) -> anyhow::Result<Bound> {
    let address = &config.listen;
    let bound = server.bind(&address.parse()?, tls).await;
    bound.with_context(|| {
        format!("can't listen on {address} (`cluster.listen`; others than this machine need `cluster.tls`)")
    })
}

/// Returns where others reach this node.
fn reached_at(config: &config::Cluster, listening: &Address) -> anyhow::Result<String> {
    if let Some(advertised) = &config.advertise {
        return Ok(advertised.clone());
    }
    let listening = listening.to_string();
    let is_everywhere = listening
        .parse::<SocketAddr>()
        .is_ok_and(|address| address.ip().is_unspecified());
    ensure!(
        !is_everywhere,
        "key `cluster.advertise`: others can't come to {listening}; expected host:port by which they reach this node"
    );
    Ok(listening)
}

/// Returns where clients reach gateways: this process has none.
fn gateways(config: &Config) -> Vec<SocketAddr> {
    if config.listen.advertise.is_empty() {
        tracing::warn!(
            "help.getConfig names the addresses of `listen.tcp`: set `listen.advertise` to those of your gateways"
        );
    }
    let listed = match &*config.listen.advertise {
        [] => &config.listen.tcp,
        listed => listed,
    };
    listed.iter().copied().map(welcome::reachable).collect()
}
