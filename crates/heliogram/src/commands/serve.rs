//! `heliogram serve`: everything in one process, until it is told to stop.

use std::io::{self, Write};
use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

use crate::compose::Server;
use crate::config::Config;
use crate::logging;

/// Serves until SIGTERM or SIGINT, then shuts down without losing what was acknowledged. A second signal ends it at once.
///
/// # Errors
///
/// If anything can't be opened or bound.
pub(crate) fn run(config: Config, through_grpc: bool) -> anyhow::Result<()> {
    logging::start(&config.log.filter)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("no runtime")?;
    let served = runtime.block_on(serve(config, through_grpc));
    // Dropping it would wait for ever for a thread that a hanging disk holds.
    runtime.shutdown_timeout(THREADS_GRACE);
    served
}

async fn serve(config: Config, through_grpc: bool) -> anyhow::Result<()> {
    // Before anything listens: whoever sees the server also can stop it.
    let mut stop = Stop::new()?;
    let server = Server::serve(config, through_grpc).await?;
    // First what a person reads: whoever waits for the server to be ready may look for these lines at once.
    if let Err(error) = writeln!(io::stdout(), "{}", server.welcome()) {
        tracing::warn!(%error, "standard output takes nothing");
    }
    server.announce()?;
    stop.asked().await;
    tokio::select! {
        () = server.shutdown() => tracing::info!("shut down"),
        () = stop.asked() => tracing::warn!("stopped before the shutdown was over"),
    }
    Ok(())
}

/// How long threads that wait for the disk are waited for.
const THREADS_GRACE: Duration = Duration::from_secs(5);

/// Signals that ask the process to end.
struct Stop {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Stop {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).context("SIGTERM can't be handled")?,
            interrupt: signal(SignalKind::interrupt()).context("SIGINT can't be handled")?,
        })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
