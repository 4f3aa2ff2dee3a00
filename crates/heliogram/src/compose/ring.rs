//! Where the processes of a cluster find each other.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use heliogram_grpc::{Etcd, EtcdConfig, Tls};

use crate::config;

/// Begins to watch the cluster; etcd need not be there yet.
///
/// # Errors
///
/// If an endpoint can't be used, or the password's file can't be read.
pub(super) fn discover(config: &config::Cluster, tls: Option<&Tls>) -> anyhow::Result<Arc<Etcd>> {
    let etcd = Etcd::connect(&EtcdConfig {
        endpoints: config.etcd.clone(),
        cluster: config.name.clone(),
        lease: Duration::from_secs(config.lease_s.into()),
        tls: tls.cloned(),
        user: config.etcd_user()?,
    });
    Ok(Arc::new(etcd.context("key `cluster.etcd`")?))
}
