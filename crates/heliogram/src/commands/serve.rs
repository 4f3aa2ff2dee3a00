//! `heliogram serve`, `heliogram gateway` and `heliogram session`: a process that runs until it is told to stop.

use std::io::{self, Write};
use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::compose::Server;
use crate::config::Config;
use crate::logging;

/// What of a server is in this process.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part {
    /// All of it.
    Everything {
        /// With gRPC between its halves all the same.
        through_grpc: bool,
    },
    /// Clients' connections.
    Gateway,
    /// Sessions, and the way to backends.
    Session,
}

/// Serves until SIGTERM or SIGINT, then shuts down without losing what was acknowledged. A second signal ends it at once.
/// `load` reads the configuration: at the start, and again for each SIGHUP.
///
/// # Errors
///
/// If the configuration is wrong, or anything can't be opened or bound.
pub(crate) fn run(part: Part, load: impl Fn() -> anyhow::Result<Config>) -> anyhow::Result<()> {
    let config = load()?;
    logging::start(&config.log.filter)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("no runtime")?;
    let served = runtime.block_on(serve(part, config, load));
    // Dropping it would wait for ever for a thread that a hanging disk holds.
    runtime.shutdown_timeout(THREADS_GRACE);
    served
}

async fn serve(
    part: Part,
    config: Config,
    load: impl Fn() -> anyhow::Result<Config>,
) -> anyhow::Result<()> {
    // Before anything listens: whoever sees the server also can stop it.
    let mut stop = Stop::new()?;
    let mut hangup = signal(SignalKind::hangup()).context("SIGHUP can't be handled")?;
    let starting = async {
        match part {
            Part::Everything { through_grpc } => Server::serve(config, through_grpc).await,
            Part::Gateway => Server::gateway(config).await,
            Part::Session => Server::session(config).await,
        }
    };
    let mut server = tokio::select! {
        started = starting => started?,
        () = stop.asked() => return Ok(()),
    };
    // First what a person reads: whoever waits for the server to be ready may look for these lines at once.
    if let Err(error) = writeln!(io::stdout(), "{}", server.welcome()) {
        tracing::warn!(%error, "standard output takes nothing");
    }
    server.open();
    let mut is_announced = false;
    loop {
        tokio::select! {
            () = server.ready(), if !is_announced => {
                server.announce()?;
                is_announced = true;
            }
            _ = hangup.recv() => match load() {
                Ok(config) => server.reload(&config),
                Err(error) => tracing::error!("nothing is read anew: {error:#}"),
            },
            () = stop.asked() => break,
        }
    }
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
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).context("SIGTERM can't be handled")?,
            interrupt: signal(SignalKind::interrupt()).context("SIGINT can't be handled")?,
        })
    }

    /// Waits until the process is to end.
    async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
