//! The store that the configuration asks for.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use heliogram_crypto::SecretBytes;
use heliogram_ports::memory::MemoryKeys;
use heliogram_ports::metrics::Measured;
use heliogram_ports::{AuthKeys, Users};
use heliogram_proto::ids::Term;
use heliogram_store_cluster::{MySqlKeys, Opened};
use heliogram_store_embedded::MasterKeyFile;

use crate::admin::Check;
use crate::config::{self, Config, StoreKind};

/// An open store.
pub(super) struct Store {
    /// The keys.
    pub(super) keys: Arc<dyn AuthKeys>,
    /// What salts are derived from.
    pub(super) salt_secret: SecretBytes<32>,
    /// Who has logged in, if the store keeps it.
    pub(super) users: Option<Arc<dyn Users>>,
    /// Its numbers.
    pub(super) measured: Vec<Arc<dyn Measured>>,
    /// What has to be so for the process to be ready.
    pub(super) checks: Vec<Check>,
    /// The term that this start has begun, or where to begin one.
    terms: Terms,
}

enum Terms {
    Begun(Term),
    InDatabase(MySqlKeys),
}

impl Store {
    /// Opens the store.
    ///
    /// # Errors
    ///
    /// If it can't be opened; the message says what to do, and shows no URL.
    pub(super) async fn open(config: &Config) -> anyhow::Result<Self> {
        match config.store.kind {
            StoreKind::Cluster => open_cluster(&config.store).await,
            StoreKind::File => open_file(&config.data, config.store.master_key_file.as_deref()),
            StoreKind::Memory => open_memory(),
        }
    }

    /// Returns a term that is greater than that of every start before, for a process that owns all keys of its store.
    ///
    /// # Errors
    ///
    /// If the database does not answer.
    pub(super) async fn begin_term(&self) -> anyhow::Result<Term> {
        match &self.terms {
            Terms::Begun(term) => Ok(*term),
            Terms::InDatabase(record) => record.begin_term().await.context("no term was begun"),
        }
    }
}

/// Brings the tables of the configured database up to date.
///
/// # Errors
///
/// If there is no database, or it refuses.
pub(crate) async fn migrate(
    config: &config::Store,
) -> anyhow::Result<heliogram_store_cluster::Migrated> {
    let mysql = config.mysql()?;
    Ok(heliogram_store_cluster::migrate(mysql.as_str()).await?)
}

fn open_file(data: &Path, master_key: Option<&Path>) -> anyhow::Result<Store> {
    let mut config = heliogram_store_embedded::Config::in_directory(data);
    if let Some(path) = master_key {
        config.master_key = MasterKeyFile::Given(path.to_owned());
    }
    let opened = heliogram_store_embedded::open(&config)?;
    Ok(Store {
        keys: Arc::new(opened.keys),
        salt_secret: opened.salt_secret,
        users: None,
        measured: Vec::new(),
        checks: Vec::new(),
        terms: Terms::Begun(opened.term),
    })
}

/// Every start is a term of its own by its secret: no salt of an earlier one is valid.
fn open_memory() -> anyhow::Result<Store> {
    Ok(Store {
        keys: Arc::new(MemoryKeys::new()),
        salt_secret: SecretBytes::new(entropy()?),
        users: None,
        measured: Vec::new(),
        checks: Vec::new(),
        terms: Terms::Begun(Term(1)),
    })
}

async fn open_cluster(config: &config::Store) -> anyhow::Result<Store> {
    let master_key = config.master_key_file.as_deref();
    let master_key = master_key.context("key `store.master_key_file` is missing")?;
    let master_keys = MasterKeyFile::Given(master_key.to_owned()).read()?;
    let mysql = config.mysql()?;
    let mut cluster = heliogram_store_cluster::Config::new(mysql.as_str(), master_keys);
    cluster.redis = config.redis()?.map(|url| url.as_str().to_owned());
    let Opened {
        keys,
        record,
        cache,
        salt_secret,
        ..
    } = heliogram_store_cluster::open(&cluster).await?;
    let mut measured: Vec<Arc<dyn Measured>> = vec![Arc::new(record.clone())];
    if let Some(cache) = cache {
        measured.push(Arc::new(cache));
    }
    let database = record.clone();
    Ok(Store {
        keys,
        salt_secret,
        users: Some(Arc::new(record.clone())),
        measured,
        checks: vec![Check::new("the database", move || database.is_up())],
        terms: Terms::InDatabase(record),
    })
}

fn entropy() -> anyhow::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| anyhow::anyhow!("the system gives no entropy: {error}"))?;
    Ok(bytes)
}
