//! The only room that knows the deployment: which store, which session port and which backend stand behind a gateway, and
//! which of them are in this process.
//!
//! ```text
//!            clients ──> Front ──SessionPort──> Host ──> Backend
//!                          └──AuthKeys──> Store ┘
//!
//!  serve     all of it; with --through-grpc, gRPC on a Unix socket between Front and the rest
//! ```

mod front;
mod host;
mod serve;
mod store;

use std::io;
use std::path::PathBuf;

use tokio::task::JoinHandle;

use self::front::Front;
pub(crate) use self::store::migrate;
use crate::admin::Readiness;
use crate::endpoints::Endpoints;
use crate::observed::Observed;

/// A process that listens.
pub(crate) struct Server {
    welcome: String,
    endpoints: Endpoints,
    data: PathBuf,
    readiness: Readiness,
    front: Option<Front>,
    observed: Observed,
    /// Ends with the process.
    tasks: Vec<JoinHandle<()>>,
}

impl Server {
    /// Says that clients are welcome: `GET /ready` answers so, and `endpoints.json` is there.
    ///
    /// # Errors
    ///
    /// If the file can't be written.
    pub(crate) fn announce(&self) -> anyhow::Result<()> {
        self.readiness.set(true);
        self.endpoints.write(&self.data)
    }

    /// Returns what a new user is to see.
    pub(crate) fn welcome(&self) -> &str {
        &self.welcome
    }

    /// Ends in order: no new clients, answers to calls that are running, then everything closes.
    pub(crate) async fn shutdown(self) {
        self.readiness.set(false);
        if let Some(front) = self.front {
            front.shutdown().await;
        }
        self.observed.flush().await;
        for task in self.tasks {
            task.abort();
        }
    }
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
