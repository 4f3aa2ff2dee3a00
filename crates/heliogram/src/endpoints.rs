//! `endpoints.json`: where the server really listens, for whoever started it with port 0.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::files::{self, Readers};

/// Every bound address.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Endpoints {
    /// TCP listeners, in the order of the configuration.
    pub(crate) tcp: Vec<SocketAddr>,
    /// WebSocket listeners, in the order of the configuration.
    pub(crate) websocket: Vec<SocketAddr>,
    /// The admin listener.
    pub(crate) admin: SocketAddr,
    /// Where a session node listens for gateways and other nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cluster: Option<String>,
    /// Where backends push.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) push: Option<String>,
}

impl Endpoints {
    /// Writes the file: whole, and only once everything listens.
    ///
    /// # Errors
    ///
    /// If it can't be written.
    pub(crate) fn write(&self, data: &Path) -> anyhow::Result<()> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        files::write_atomically(&data.join(FILE_NAME), Readers::Everyone, &text)
    }

    /// Reads the file of a process that is running.
    ///
    /// # Errors
    ///
    /// If it is not there, or no such file.
    pub(crate) fn read(data: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read(data.join(FILE_NAME))?;
        serde_json::from_slice(&text).context("it can't be understood")
    }

    /// Removes the file of an earlier run: whoever finds the file finds this run's.
    ///
    /// # Errors
    ///
    /// If it is there and can't be removed.
    pub(crate) fn forget(data: &Path) -> anyhow::Result<()> {
        match std::fs::remove_file(data.join(FILE_NAME)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

const FILE_NAME: &str = "endpoints.json";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_has_the_three_keys_and_goes_away_at_the_next_start() {
        let directory = tempfile::tempdir().unwrap();
        let endpoints = Endpoints {
            tcp: vec![
                "127.0.0.1:10443".parse().unwrap(),
                "[::1]:5222".parse().unwrap(),
            ],
            websocket: Vec::new(),
            admin: "127.0.0.1:8088".parse().unwrap(),
            cluster: None,
            push: None,
        };

        endpoints.write(directory.path()).unwrap();

        let text = std::fs::read_to_string(directory.path().join("endpoints.json")).unwrap();
        let value = serde_json::from_str::<serde_json::Value>(&text).unwrap();
        let expected = serde_json::json!({
            "tcp": ["127.0.0.1:10443", "[::1]:5222"],
            "websocket": [],
            "admin": "127.0.0.1:8088",
        });
        assert_eq!(value, expected);

        Endpoints::forget(directory.path()).unwrap();
        Endpoints::forget(directory.path()).unwrap();
        assert!(!directory.path().join("endpoints.json").exists());
    }
}
