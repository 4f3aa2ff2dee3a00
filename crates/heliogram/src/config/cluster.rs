//! How the processes of a cluster find and reach each other.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use heliogram_grpc::Address;
use serde::{Deserialize, Serialize};

use super::Tls;
use crate::files;

/// How the processes of a cluster find and reach each other.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Cluster {
    /// Tells clusters apart that share an etcd: the first part of all names there.
    pub(crate) name: String,
    /// Where etcd is reached, as `http://host:port` or `https://host:port`.
    pub(crate) etcd: Vec<String>,
    /// Who this process is to etcd, if it asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) etcd_user: Option<String>,
    /// A file with the password of that user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) etcd_password_file: Option<PathBuf>,
    /// A session node's name: the same after a restart, no other's. The machine's name if it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) node: Option<String>,
    /// Where a session node listens for gateways and other nodes.
    pub(crate) listen: String,
    /// Where they reach it, if that is elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) advertise: Option<String>,
    /// Seconds after which a session node that is not heard of gives way to others.
    pub(crate) lease_s: u32,
    /// Certificates: without them only this machine is spoken to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tls: Option<Tls>,
}

impl Cluster {
    /// Returns name and password for etcd, if it asks for them.
    ///
    /// # Errors
    ///
    /// If the password can't be read.
    pub(crate) fn etcd_user(&self) -> anyhow::Result<Option<(String, String)>> {
        let (Some(user), Some(file)) = (&self.etcd_user, &self.etcd_password_file) else {
            return Ok(None);
        };
        let password = files::read_line(file);
        let password = password
            .with_context(|| format!("key `cluster.etcd_password_file`: {}", file.display()))?;
        Ok(Some((user.clone(), password)))
    }

    /// Returns this session node's name.
    ///
    /// # Errors
    ///
    /// If none is given and the machine has none.
    pub(crate) fn node(&self) -> anyhow::Result<String> {
        if let Some(node) = &self.node {
            return Ok(node.clone());
        }
        let machine = std::fs::read_to_string(Path::new(MACHINE_NAME_FILE)).unwrap_or_default();
        let machine = machine.trim();
        ensure!(
            is_name(machine),
            "key `cluster.node`: this machine has no name that could be the node's; choose one"
        );
        Ok(machine.to_owned())
    }

    /// Checks what no value can know alone.
    ///
    /// # Errors
    ///
    /// If a name, an address or a number is none.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        let names = [("name", Some(&self.name)), ("node", self.node.as_ref())];
        for (key, name) in names {
            ensure!(
                name.is_none_or(|name| is_name(name)),
                "key `cluster.{key}`: expected letters, digits, '-', '_' and '.', at most {NAME_BYTES_MAX} of them"
            );
        }
        let addresses = [
            ("listen", Some(&self.listen)),
            ("advertise", self.advertise.as_ref()),
        ];
        for (key, address) in addresses {
            if let Some(address) = address {
                let parsed = address.parse::<Address>();
                parsed.with_context(|| format!("key `cluster.{key}`: {address}"))?;
            }
        }
        ensure!(
            !self.etcd.is_empty() && self.etcd.iter().all(|endpoint| is_endpoint(endpoint)),
            "key `cluster.etcd`: expected addresses such as \"http://127.0.0.1:2379\""
        );
        ensure!(
            self.etcd_user.is_some() == self.etcd_password_file.is_some(),
            "keys `cluster.etcd_user` and `cluster.etcd_password_file`: expected both or neither"
        );
        ensure!(
            (LEASE_S_MIN..=LEASE_S_MAX).contains(&self.lease_s),
            "key `cluster.lease_s`: expected seconds from {LEASE_S_MIN} to {LEASE_S_MAX}"
        );
        Ok(())
    }
}

impl Default for Cluster {
    fn default() -> Self {
        Self {
            name: "heliogram".to_owned(),
            etcd: vec!["http://127.0.0.1:2379".to_owned()],
            etcd_user: None,
            etcd_password_file: None,
            node: None,
            listen: "127.0.0.1:7003".to_owned(),
            advertise: None,
            lease_s: 6,
            tls: None,
        }
    }
}

/// Names become parts of etcd's keys.
fn is_name(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_allowed)
}

fn is_endpoint(endpoint: &str) -> bool {
    let schemes = ["http://", "https://"];
    let address = schemes
        .iter()
        .find_map(|scheme| endpoint.strip_prefix(scheme));
    address.is_some_and(|address| matches!(address.parse(), Ok(Address::Tcp(_))))
}

/// As long as a label of DNS: that is what such names mostly are.
const NAME_BYTES_MAX: usize = 63;

/// Below, a pause of the machine costs a node what it owns.
const LEASE_S_MIN: u32 = 2;

/// Above, a crash is noticed later than people wait.
const LEASE_S_MAX: u32 = 600;

/// Source: <https://docs.kernel.org/admin-guide/sysctl/kernel.html#hostname-domainname>.
const MACHINE_NAME_FILE: &str = "/proc/sys/kernel/hostname";
