//! Where data centres are, as the servers say: `help.getConfig`.
//!
//! Addresses only: the keys by which servers are known are the builder's, and no address leads to a server that has none of
//! them.
//!
//! Source: <https://core.telegram.org/api/datacenter>.

use std::time::Duration;

use heliogram_proto::dc::Purpose;
use heliogram_tl::api::{Config, help};
use heliogram_tl::{Deserialize as _, Serialize as _};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::client::Client;
use crate::error::InvokeError;
use crate::limits::{CONFIG_LIFE_MAX, CONFIG_LIFE_MIN};
use crate::line::Line;

/// When the servers were asked.
#[derive(Default)]
pub(crate) struct Directory {
    /// Held by the one that asks.
    asked: Mutex<Option<Instant>>,
}

impl Client {
    /// Asks where data centres are, and goes there from the next connections on. A client does so by itself, unless it
    /// was [told not to](crate::Builder::fixed_addresses); ask when an `updateConfig` or an `updateDcOptions` comes.
    ///
    /// # Errors
    ///
    /// See [`InvokeError`].
    pub async fn refresh_data_centres(&self) -> Result<(), InvokeError> {
        self.ask_config().await.map(drop)
    }

    /// As above. Returns for how long the answer is good.
    pub(crate) async fn ask_config(&self) -> Result<Duration, InvokeError> {
        let mut asked = self.inner.directory.asked.lock().await;
        // Even a failure is not to be repeated at once.
        *asked = Some(Instant::now());
        // The home of kept keys may be what is not known.
        let line = self
            .line(self.home())
            .or_else(|_| self.line(self.inner.setup.home))?;
        let mut course = self.course();
        let body = help::GetConfig.to_bytes().into();
        let answer = self.steady(&line, &body, &mut course).await?;
        let config = Config::from_bytes(&answer)
            .map_err(|error| InvokeError::Malformed(error.to_string()))?;
        let setup = &self.inner.setup;
        setup.table.lock().refresh(&config);
        let lines = self.inner.lines.lock();
        lines.reroute(|dc, purpose: Purpose| setup.route(dc, purpose));
        Ok(life(&config))
    }

    /// Returns the main line to a data centre; asks for its address if it is not known.
    pub(crate) async fn reach(&self, dc: i32, due: Instant) -> Result<Line, InvokeError> {
        let unknown = match self.line(dc) {
            Err(error @ InvokeError::UnknownDataCentre(_)) => error,
            outcome => return outcome,
        };
        let asked = tokio::time::timeout_at(due, self.inner.directory.asked.lock()).await;
        let last = *asked.map_err(|_| InvokeError::TimedOut)?;
        let is_recent = last.is_some_and(|it| it.elapsed() < CONFIG_LIFE_MIN);
        // Whoever asked just now may have found it.
        if let Ok(line) = self.line(dc) {
            return Ok(line);
        }
        if is_recent || !self.inner.setup.asks_addresses {
            return Err(unknown);
        }
        match tokio::time::timeout_at(due, self.ask_config()).await {
            Ok(Ok(_)) => self.line(dc),
            Ok(Err(_)) | Err(_) => Err(unknown),
        }
    }
}

/// Returns for how long a configuration is good, by the server's clock alone: ours may be wrong.
fn life(config: &Config<'_>) -> Duration {
    let seconds = i64::from(config.expires) - i64::from(config.date);
    let life = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    life.clamp(CONFIG_LIFE_MIN, CONFIG_LIFE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_is_good_for_a_minute_at_least_and_a_day_at_most() {
        for (expires, seconds) in [
            (i32::MIN, 60),
            (1059, 60),
            (1061, 61),
            (1000 + 86_399, 86_399),
            (1000 + 86_401, 86_400),
            (i32::MAX, 86_400),
        ] {
            let config = Config {
                date: 1000,
                expires,
                ..Config::default()
            };
            assert_eq!(life(&config), Duration::from_secs(seconds), "{expires}");
        }
    }
}
