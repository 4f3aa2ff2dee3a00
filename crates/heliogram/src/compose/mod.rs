//! The only room that knows the deployment: which store, which session port and which backend stand behind a gateway, and
//! which of them are in this process.
//!
//! ```text
//!            clients ──> Front ──SessionPort──> Host ──> Backend
//!                          └──AuthKeys──> Store ┘
//!
//!  serve     all of it; with --through-grpc, gRPC on a Unix socket between Front and the rest
//!  gateway   Front, with gRPC to the session nodes that etcd knows
//!  session   Host and Store, known to etcd
//! ```

mod front;
mod gateway;
mod host;
mod ring;
mod serve;
mod session;
mod store;

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use heliogram_grpc::Tls;
use heliogram_ports::metrics::Measured;
use heliogram_session::Steward;
use tokio::task::JoinHandle;

use self::front::Front;
pub(crate) use self::store::migrate;
use crate::admin::{Access, Admin, Check, Readiness, Shown};
use crate::config::{self, Config};
use crate::endpoints::Endpoints;
use crate::observed::Observed;

/// A process that listens.
pub(crate) struct Server {
    welcome: String,
    endpoints: Endpoints,
    data: PathBuf,
    readiness: Readiness,
    front: Option<Front>,
    node: Option<Node>,
    observed: Observed,
    /// Certificates that may be read anew.
    certificates: Vec<Tls>,
    /// Ends with the process.
    tasks: Vec<JoinHandle<()>>,
}

/// A session node of a cluster.
struct Node {
    steward: Arc<Steward>,
    /// How long it may take to hand everything over.
    grace: Duration,
}

impl Server {
    /// Says that clients are welcome from now on, as far as there is what the process depends on.
    pub(crate) fn open(&self) {
        self.readiness.set(true);
    }

    /// Waits until all is there that the process depends on.
    pub(crate) fn ready(&self) -> impl Future<Output = ()> + use<> {
        let readiness = self.readiness.clone();
        async move {
            while !readiness.has_all() {
                tokio::time::sleep(READY_PAUSE).await;
            }
        }
    }

    /// Writes `endpoints.json`, by which others see that the process is ready.
    ///
    /// # Errors
    ///
    /// If the file can't be written.
    pub(crate) fn announce(&self) -> anyhow::Result<()> {
        self.endpoints.write(&self.data)
    }

    /// Returns what a new user is to see.
    pub(crate) fn welcome(&self) -> &str {
        &self.welcome
    }

    /// Reads certificates, RSA keys and listeners anew. What can't be used is told in the log, and what was there before
    /// goes on. Everything else in the configuration waits for the next start.
    pub(crate) fn reload(&mut self, config: &Config) {
        for tls in &self.certificates {
            if let Err(error) = tls.reload() {
                tracing::error!(%error, "the certificates are not read anew");
            }
        }
        if let Some(front) = &self.front {
            if let Err(error) = front.reload(&self.data, config) {
                tracing::error!("keys and listeners stay as they are: {error:#}");
            }
            front.addresses(&mut self.endpoints);
            if let Err(error) = self.announce() {
                tracing::error!("{error:#}");
            }
        }
        tracing::info!("read anew");
    }

    /// Ends in order: no new clients, answers to calls that are running, and what is to go on goes on elsewhere.
    pub(crate) async fn shutdown(self) {
        self.readiness.set(false);
        if let Some(front) = self.front {
            front.shutdown().await;
        }
        if let Some(Node { steward, grace }) = self.node
            && tokio::time::timeout(grace, steward.drain()).await.is_err()
        {
            tracing::warn!("not everything was handed over in time");
        }
        self.observed.flush().await;
        for task in self.tasks {
            task.abort();
        }
    }
}

/// Listens on the admin address; returns it with the task that answers there.
///
/// # Errors
///
/// If it can't be bound, or its token can't be read.
async fn administer(
    config: &Config,
    checks: Vec<Check>,
    measured: Vec<Arc<dyn Measured>>,
) -> anyhow::Result<(std::net::SocketAddr, Readiness, JoinHandle<()>)> {
    let access = Access::load(config.admin.token_file.as_deref())?;
    let admin = Admin::bind(config.listen.admin).await.map_err(|error| {
        let (address, help) = (config.listen.admin, next_step(error.kind()));
        anyhow!("can't listen on {address} (admin): {error}{help}")
    })?;
    let (address, readiness) = (admin.address()?, Readiness::new(checks));
    let shown = Shown {
        readiness: readiness.clone(),
        access,
        measured,
    };
    Ok((address, readiness, tokio::spawn(admin.serve(shown))))
}

/// Reads certificates.
///
/// # Errors
///
/// If they can't be used; the message names the file.
fn certificates(tls: Option<&config::Tls>) -> anyhow::Result<Option<Tls>> {
    let files = tls.cloned().map(config::Tls::files);
    Ok(files.map(Tls::load).transpose()?)
}

/// Serves until the process ends.
fn background(bound: heliogram_grpc::Bound) -> JoinHandle<()> {
    tokio::spawn(async move {
        if let Err(error) = bound.serve(std::future::pending()).await {
            tracing::error!(%error, "a gRPC server has ended");
        }
    })
}

/// Says what to do about an address that can't be had.
fn next_step(kind: io::ErrorKind) -> &'static str {
    if kind == io::ErrorKind::AddrInUse {
        "; end what listens there, or choose another with --listen, --ws-listen or --admin (port 0: any free one)"
    } else if kind == io::ErrorKind::AddrNotAvailable {
        "; choose an address of this machine"
    } else if kind == io::ErrorKind::PermissionDenied {
        "; choose a port from 1024 on"
    } else {
        ""
    }
}

/// Between two looks at whether the process is ready.
const READY_PAUSE: Duration = Duration::from_millis(20);
