//! Where traces go.

use anyhow::ensure;
use serde::{Deserialize, Serialize};

/// Where traces go.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Traces {
    /// The share of clients' messages that a gateway traces, from 0 to 1; other processes follow it.
    pub(crate) sample: f64,
    /// A collector that takes OTLP over gRPC; nothing is traced if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) endpoint: Option<String>,
}

impl Traces {
    /// Checks what no value can know alone.
    ///
    /// # Errors
    ///
    /// If the share is none, or the collector is not named by a URL of plain HTTP.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        ensure!(
            (0.0..=1.0).contains(&self.sample),
            "key `traces.sample`: expected a share from 0 for nothing to 1 for everything, such as 0.01"
        );
        let is_url = |endpoint: &String| endpoint.starts_with("http://");
        ensure!(
            self.endpoint.as_ref().is_none_or(is_url),
            "key `traces.endpoint`: expected a collector's address such as \"http://127.0.0.1:4317\""
        );
        Ok(())
    }
}

impl Default for Traces {
    fn default() -> Self {
        Self {
            sample: 0.01,
            endpoint: None,
        }
    }
}
