//! Where keys are kept.

use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};

use super::values::{MySqlUrl, RedisUrl};
use crate::files;

/// Where authorization keys are kept.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Store {
    /// A file in the data directory, memory, or databases that many processes share.
    pub(crate) kind: StoreKind,
    /// The file of the master key that seals keys at rest; made beside the data if it is not given, which a
    /// cluster's can't be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) master_key_file: Option<PathBuf>,
    /// The database of record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mysql: Option<MySqlUrl>,
    /// A file with `mysql`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mysql_file: Option<PathBuf>,
    /// The cache in front of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) redis: Option<RedisUrl>,
    /// A file with `redis`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) redis_file: Option<PathBuf>,
}

/// Kinds of store.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum StoreKind {
    /// MySQL or MariaDB, and Redis in front: for many processes.
    Cluster,
    /// One local file; survives a crash.
    #[default]
    File,
    /// Nothing survives a restart.
    Memory,
}

impl Store {
    /// Returns where the database of record is.
    ///
    /// # Errors
    ///
    /// If it is not given, or its file can't be read or holds something else. No error shows any of it.
    pub(crate) fn mysql(&self) -> anyhow::Result<MySqlUrl> {
        match (&self.mysql, &self.mysql_file) {
            (Some(url), _) => Ok(url.clone()),
            (None, Some(file)) => {
                let url = files::read_line(file).and_then(|line| MySqlUrl::parse(&line));
                url.with_context(|| format!("key `store.mysql_file`: {}", file.display()))
            }
            (None, None) => Err(anyhow::anyhow!(
                "key `store.mysql`: where is the database? Expected {}, or `store.mysql_file`, a file with it",
                MYSQL_EXPECTED
            )),
        }
    }

    /// Returns where the cache is, if there is to be one.
    ///
    /// # Errors
    ///
    /// If its file can't be read or holds something else. No error shows any of it.
    pub(crate) fn redis(&self) -> anyhow::Result<Option<RedisUrl>> {
        match (&self.redis, &self.redis_file) {
            (Some(url), _) => Ok(Some(url.clone())),
            (None, Some(file)) => {
                let url = files::read_line(file).and_then(|line| RedisUrl::parse(&line));
                let url =
                    url.with_context(|| format!("key `store.redis_file`: {}", file.display()))?;
                Ok(Some(url))
            }
            (None, None) => Ok(None),
        }
    }

    /// Checks what no value can know alone.
    ///
    /// # Errors
    ///
    /// If keys contradict each other, or a cluster's store has no database or no master key.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        let both = [
            ("mysql", self.mysql.is_some() && self.mysql_file.is_some()),
            ("redis", self.redis.is_some() && self.redis_file.is_some()),
        ];
        for (key, is_twice) in both {
            ensure!(
                !is_twice,
                "keys `store.{key}` and `store.{key}_file`: expected one of them"
            );
        }
        let is_cluster = self.kind == StoreKind::Cluster;
        let has_mysql = self.mysql.is_some() || self.mysql_file.is_some();
        let has_redis = self.redis.is_some() || self.redis_file.is_some();
        ensure!(
            is_cluster || !(has_mysql || has_redis),
            "key `store.kind`: databases are used only by \"cluster\"; set it, or leave them out"
        );
        ensure!(
            !is_cluster || has_mysql,
            "key `store.mysql`: a store of kind \"cluster\" keeps its keys there; expected {}, or \
             `store.mysql_file`, a file with it",
            MYSQL_EXPECTED
        );
        ensure!(
            !is_cluster || self.master_key_file.is_some(),
            "key `store.master_key_file`: the processes of a cluster share their master key; make it once with \
             `(umask 077; echo \"1 $(openssl rand -hex 32)\" > master.key)`"
        );
        Ok(())
    }
}

const MYSQL_EXPECTED: &str = "\"mysql://user:password@host[:port]/database\"";
