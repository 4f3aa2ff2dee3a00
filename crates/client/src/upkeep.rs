//! What a client does from time to time by itself: asks where data centres are, ends connections that carry nothing.

use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::client::Client;
use crate::limits::{CONFIG_LIFE_MIN, FILE_LINE_IDLE_MAX};

/// The task that does it. Ends when this is dropped.
pub(crate) struct Upkeep {
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Upkeep {
    /// Starts it. `client` is not to hold it.
    pub(crate) fn start(client: Client) -> Self {
        let task = tokio::spawn(run(client));
        Self {
            task: Mutex::new(Some(task)),
        }
    }

    /// Ends it, and waits until it holds nothing any more.
    pub(crate) async fn end(&self) {
        let task = self.task.lock().take();
        if let Some(task) = task {
            task.abort();
            // The error says that it was ended.
            let _ = task.await;
        }
    }
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        if let Some(task) = self.task.get_mut() {
            task.abort();
        }
    }
}

async fn run(client: Client) {
    let setup = &client.inner.setup;
    let mut config_due = setup.asks_addresses.then(Instant::now);
    loop {
        let tick = Instant::now() + FILE_LINE_IDLE_MAX / 2;
        tokio::time::sleep_until(config_due.map_or(tick, |it| it.min(tick))).await;
        client.inner.lines.lock().prune();
        if config_due.is_some_and(|it| it <= Instant::now()) {
            let life = client.ask_config().await.unwrap_or_else(|error| {
                tracing::debug!(%error, "the servers don't say where data centres are");
                CONFIG_LIFE_MIN
            });
            config_due = Some(Instant::now() + life);
        }
    }
}
