//! Who answers calls.

use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use heliogram_grpc::Address;
use serde::{Deserialize, Serialize};

/// Who answers calls.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Backend {
    /// Calls travel on one stream, not each as a request of its own.
    pub(crate) streaming: bool,
    /// Methods that the built-in backend answers all the same, and namespaces: `help.*`.
    pub(crate) built_in: Vec<String>,
    /// A backend in another process; the built-in one answers everything if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) address: Option<String>,
    /// Where backends push their updates; nowhere if it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) push_listen: Option<String>,
    /// Certificates: without them only this machine is spoken to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tls: Option<Tls>,
}

/// Files with certificates, as PEM.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tls {
    /// Of the authority that all processes have theirs from.
    pub(crate) authority: PathBuf,
    /// Of this process, for the role of a session node.
    pub(crate) certificate: PathBuf,
    /// Its private key.
    pub(crate) key: PathBuf,
}

impl Backend {
    /// Checks what no value can know alone.
    ///
    /// # Errors
    ///
    /// If an address is none, or updates are to come from a backend that is not there.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        for (key, address) in [
            ("address", &self.address),
            ("push_listen", &self.push_listen),
        ] {
            if let Some(address) = address {
                let parsed = address.parse::<Address>();
                parsed.with_context(|| format!("key `backend.{key}`: {address}"))?;
            }
        }
        ensure!(
            self.address.is_some() || self.push_listen.is_none(),
            "key `backend.push_listen`: the built-in backend pushes nothing; set `backend.address`, too"
        );
        Ok(())
    }
}

impl Default for Backend {
    fn default() -> Self {
        let built_in = ["help.getAppConfig", "help.getConfig", "help.getNearestDc"];
        Self {
            streaming: false,
            built_in: built_in.map(str::to_owned).into(),
            address: None,
            push_listen: None,
            tls: None,
        }
    }
}
