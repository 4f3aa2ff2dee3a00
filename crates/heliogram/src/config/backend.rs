//! Who answers calls.

use std::num::NonZeroU32;
use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use heliogram_grpc::{Address, TlsFiles, limits};
use serde::{Deserialize, Serialize};

/// Who answers calls.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Backend {
    /// Calls travel on one stream, not each as a request of its own.
    pub(crate) streaming: bool,
    /// Methods that the built-in backend answers all the same, and namespaces: `help.*`.
    pub(crate) built_in: Vec<String>,
    /// Seconds that an answer may take.
    pub(crate) patience_s: NonZeroU32,
    /// Calls that run at the same time.
    pub(crate) calls_max: NonZeroU32,
    /// Calls in a row that fail before no more are made for a while.
    pub(crate) failures_max: NonZeroU32,
    /// Seconds for which none are made.
    pub(crate) pause_s: NonZeroU32,
    /// A backend in another process for what no route is for; the built-in one answers that if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) address: Option<String>,
    /// Where backends push their updates; nowhere if it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) push_listen: Option<String>,
    /// Certificates: without them only this machine is spoken to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tls: Option<Tls>,
    /// Backends for some methods each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) routes: Vec<Route>,
}

/// A backend in another process for some methods. What is not given is as in [`Backend`].
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Route {
    /// Methods, and namespaces: `messages.*`. A method goes before its namespace.
    pub(crate) methods: Vec<String>,
    /// Where it listens.
    pub(crate) address: String,
    /// What it is called where it is counted; the first of its methods if that is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// Calls travel on one stream, not each as a request of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) streaming: Option<bool>,
    /// Seconds that an answer may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) patience_s: Option<NonZeroU32>,
    /// Calls that run at the same time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) calls_max: Option<NonZeroU32>,
    /// Calls in a row that fail before no more are made for a while.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) failures_max: Option<NonZeroU32>,
    /// Seconds for which none are made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pause_s: Option<NonZeroU32>,
}

/// Files with certificates, as PEM.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tls {
    /// Of the authority that all processes have theirs from.
    pub(crate) authority: PathBuf,
    /// Of this process, for its role.
    pub(crate) certificate: PathBuf,
    /// Its private key.
    pub(crate) key: PathBuf,
}

impl Tls {
    /// Returns the files as they are read.
    pub(crate) fn files(self) -> TlsFiles {
        TlsFiles {
            authority: self.authority,
            certificate: self.certificate,
            key: self.key,
        }
    }
}

impl Backend {
    /// Checks what no value can know alone.
    ///
    /// # Errors
    ///
    /// If an address is none, a route is for nothing, or updates are to come from a backend that is not there.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        for (key, address) in [
            ("address", &self.address),
            ("push_listen", &self.push_listen),
        ] {
            if let Some(address) = address {
                check_address(key, address)?;
            }
        }
        for (at, route) in self.routes.iter().enumerate() {
            check_address(&format!("routes[{at}].address"), &route.address)?;
            ensure!(
                !route.methods.is_empty(),
                "key `backend.routes[{at}].methods`: expected a method, or a namespace as in \"messages.*\""
            );
        }
        ensure!(
            self.push_listen.is_none() || self.is_apart(),
            "key `backend.push_listen`: the built-in backend pushes nothing; set `backend.address`, too"
        );
        Ok(())
    }

    /// Tells whether some calls are answered in another process.
    pub(crate) const fn is_apart(&self) -> bool {
        self.address.is_some() || !self.routes.is_empty()
    }
}

fn check_address(key: &str, address: &str) -> anyhow::Result<()> {
    let parsed = address.parse::<Address>();
    parsed.with_context(|| format!("key `backend.{key}`: {address}"))?;
    Ok(())
}

impl Default for Backend {
    fn default() -> Self {
        let built_in = ["help.getAppConfig", "help.getConfig", "help.getNearestDc"];
        let seconds = |limit: std::time::Duration| at_least_one(limit.as_secs());
        Self {
            streaming: false,
            built_in: built_in.map(str::to_owned).into(),
            patience_s: seconds(limits::CALL_PATIENCE),
            calls_max: at_least_one(u64::try_from(limits::CALLS_MAX).unwrap_or(u64::MAX)),
            failures_max: at_least_one(limits::FAILURES_MAX.into()),
            pause_s: seconds(limits::FAILURES_PAUSE),
            address: None,
            push_listen: None,
            tls: None,
            routes: Vec::new(),
        }
    }
}

/// A default that is not zero: zero would mean no calls.
fn at_least_one(number: u64) -> NonZeroU32 {
    let number = u32::try_from(number).unwrap_or(u32::MAX);
    NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN)
}
