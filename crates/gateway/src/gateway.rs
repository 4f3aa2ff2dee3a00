//! A gateway's life: bound, running, changed while it runs, and shut down.

use std::fmt;
use std::future::Future;
use std::io;
use std::sync::{Arc, Weak};
use std::time::Duration;

use heliogram_ports::metrics::{Measured, Meter};
use heliogram_ports::{AuthKeys, SessionPort};
use heliogram_proto::exchange::server::{Config as ExchangeConfig, Keyring};
use tokio::time::{Instant, sleep};

use crate::config::{Config, Listener};
use crate::edge::{Edge, Phase};
use crate::listening::Listening;

/// A gateway whose listeners are bound. Connections wait in their queues until [`Self::run`].
pub struct Gateway {
    edge: Arc<Edge>,
    listening: Arc<Listening>,
}

impl Gateway {
    /// Binds all listeners. To be called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// Those of the system, for a listener (the message names its address) or for the worker threads.
    pub fn bind(
        config: Config,
        keys: Arc<dyn AuthKeys>,
        sessions: Arc<dyn SessionPort>,
        exchange: ExchangeConfig,
    ) -> io::Result<Self> {
        let listeners = config.listeners.clone();
        let edge = Arc::new(Edge::new(config, keys, sessions, exchange)?);
        let listening = Arc::<Listening>::default();
        listening.set(&edge, &listeners)?;
        edge.open();
        Ok(Self { edge, listening })
    }

    /// Returns the listeners in the order of the configuration, with the ports that the system chose.
    #[must_use]
    pub fn addresses(&self) -> Vec<Listener> {
        self.listening.addresses()
    }

    /// Returns what can be asked for the gateway's numbers, also while it runs.
    #[must_use]
    pub fn measured(&self) -> Arc<dyn Measured> {
        Arc::new(Numbers(Arc::downgrade(&self.edge)))
    }

    /// Returns by what the gateway can be changed, also while it runs.
    #[must_use]
    pub fn control(&self) -> Control {
        Control {
            edge: Arc::downgrade(&self.edge),
            listening: Arc::clone(&self.listening),
        }
    }

    /// Serves until `shutdown`, then ends in order: no more is accepted; connections of which nothing is asked are closed
    /// one after another within [`Config::leave_spread`]; then no more is read, calls that are running have
    /// [`Config::shutdown_grace`] to be answered, and what is answered is written.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        self.listening.start(&self.edge);
        let tending = tokio::spawn(Arc::clone(&self.edge).tend());
        shutdown.await;
        tracing::info!("shutting down");
        self.listening.close().await;
        hand_over(&self.edge).await;
        close(&self.edge).await;
        tending.abort();
    }
}

/// What can be changed of a gateway. Of one that is gone nothing can.
#[derive(Clone)]
pub struct Control {
    edge: Weak<Edge>,
    listening: Arc<Listening>,
}

impl Control {
    /// Listens on exactly these from now on. What is open already stays open, and connections stay, whatever they came by.
    ///
    /// # Errors
    ///
    /// Those of the system, for a listener that can't be bound; the message names its address. Nothing is changed then.
    pub fn listen(&self, listeners: &[Listener]) -> io::Result<()> {
        match self.edge.upgrade() {
            Some(edge) => self.listening.set(&edge, listeners),
            None => Ok(()),
        }
    }

    /// Returns the listeners in the order in which they were asked for, with the ports that the system chose.
    #[must_use]
    pub fn addresses(&self) -> Vec<Listener> {
        self.listening.addresses()
    }

    /// Offers these RSA keys to clients from now on. Who has chosen one that is gone begins anew.
    pub fn set_keys(&self, keys: Keyring) {
        if let Some(edge) = self.edge.upgrade() {
            edge.set_keys(keys);
        }
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control")
            .field("listeners", &self.addresses())
            .finish_non_exhaustive()
    }
}

/// Holds no gateway: one that is gone has no numbers.
struct Numbers(Weak<Edge>);

impl Measured for Numbers {
    fn measure(&self, meter: &mut dyn Meter) {
        if let Some(edge) = self.0.upgrade() {
            edge.measure(meter);
        }
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway")
            .field("listeners", &self.addresses())
            .finish_non_exhaustive()
    }
}

/// Has connections go to another gateway, a few at a time: those of which nothing is asked, and others as soon as that is so.
async fn hand_over(edge: &Edge) {
    let spread = edge.config.leave_spread;
    let end = Instant::now() + spread;
    let handles = edge.links.all();
    let turns = usize::try_from(spread.as_millis() / LEAVE_PAUSE.as_millis()).unwrap_or(usize::MAX);
    if turns == 0 {
        return;
    }
    for some in handles.chunks(handles.len().div_ceil(turns).max(1)) {
        some.iter().for_each(|handle| handle.leave());
        sleep(LEAVE_PAUSE).await;
    }
    until(end, || edge.links.is_empty()).await;
}

/// Lets what is under way come to its end, within the grace.
async fn close(edge: &Arc<Edge>) {
    let end = Instant::now() + edge.config.shutdown_grace;
    edge.enter(Phase::Draining);
    // Whatever was read before has reached the host once these turns are over.
    until(end, || edge.links.have_settled(Phase::Draining)).await;
    until(end, || edge.sessions.is_quiet()).await;
    edge.enter(Phase::Closing);
    until(end, || edge.links.is_empty()).await;
    edge.enter(Phase::Ended);
    until(Instant::now() + LAST_WAIT, || edge.links.is_empty()).await;
    if !edge.links.is_empty() {
        tracing::warn!("connections were cut");
    }
}

/// Waits until `is_so`, or `end`.
async fn until(end: Instant, is_so: impl Fn() -> bool) {
    while !is_so() && Instant::now() < end {
        sleep(POLL_PAUSE).await;
    }
}

/// Between two groups of connections that are told to leave.
const LEAVE_PAUSE: Duration = Duration::from_millis(20);

/// Between two looks at what a shutdown waits for.
const POLL_PAUSE: Duration = Duration::from_millis(5);

/// For connections to see that time is up.
const LAST_WAIT: Duration = Duration::from_secs(1);
