//! Authorization keys in one local, crash-safe file.
//!
//! ```text
//!  insert, bind, remove ──> bounded queue ──> writer thread: one transaction for all that waits ──fsync──> answers
//!  find ──────────────────> blocking pool: a read transaction, then unseal
//! ```
//!
//! Bodies of keys are sealed with a master key that lies beside the data (or where the operator says); see
//! [`MasterKeyFile`]. The bytes are drawn in `docs/record-format.md`.
//!
//! Does not cache: the gateway does.

mod master;
mod schema;
mod tables;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use heliogram_crypto::SecretBytes;
use heliogram_ports::clock::unix_now;
use heliogram_ports::record::Sealer;
use heliogram_ports::{AuthKeys, Binding, Bound, BoxFuture, Inserted, KeyRecord, Unavailable};
use heliogram_proto::ids::{AuthKeyId, Term};
use redb::{Database, ReadableDatabase};
use tokio::sync::Semaphore;

pub use crate::master::MasterKeyFile;
use crate::writer::{Request, Writer};

/// Where the store lies, and which master key it uses.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The data file; made at first start, mode 0600.
    pub file: PathBuf,
    /// The master key.
    pub master_key: MasterKeyFile,
}

impl Config {
    /// Keeps `keys.redb` and `master.key` in one directory, which must exist.
    #[must_use]
    pub fn in_directory(directory: &Path) -> Self {
        Self {
            file: directory.join("keys.redb"),
            master_key: MasterKeyFile::BesideData(directory.join("master.key")),
        }
    }
}

/// What opening a store gives: the keys, and what the host of sessions derives its salts from.
#[derive(Debug)]
#[non_exhaustive]
pub struct Opened {
    /// The keys.
    pub keys: EmbeddedKeys,
    /// The term of this start: larger than that of every earlier start, and durable before this returns.
    pub term: Term,
    /// The secret that salts are derived from; made at first start.
    pub salt_secret: SecretBytes<32>,
}

/// Why a store could not be opened. Each message says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process has the file.
    #[error("{0} is in use: is another heliogram running on this data directory?")]
    InUse(PathBuf),
    /// The file can't be read or written.
    #[error("cannot open {0}: {1}")]
    Data(PathBuf, #[source] Box<redb::Error>),
    /// The file was written by a newer release.
    #[error("{0} has format {1}, this release reads format {2}: use the release that wrote it")]
    Format(PathBuf, u64, u64),
    /// The master key file can't be used.
    #[error("master key {0}: {1}")]
    MasterKey(PathBuf, String),
    /// The data were sealed with a master key that is not in the file.
    #[error(
        "{0} was sealed with another master key: restore the master key file that belongs to it"
    )]
    WrongMasterKey(PathBuf),
    /// The writer's thread could not be started.
    #[error("cannot start the store's writer thread: {0}")]
    Thread(#[source] std::io::Error),
}

/// The store's [`AuthKeys`]. Cloning shares it; the file is closed with the last clone.
#[derive(Clone)]
pub struct EmbeddedKeys {
    database: Arc<Database>,
    sealer: Arc<Sealer>,
    writer: Arc<Writer>,
    reads: Arc<Semaphore>,
}

impl std::fmt::Debug for EmbeddedKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EmbeddedKeys(…)")
    }
}

/// Opens the store, making it at first start, and begins a new term.
///
/// Blocks on the disk: call it before the runtime serves.
///
/// # Errors
///
/// See [`OpenError`]; no data are changed on error, at most an empty file was made.
pub fn open(config: &Config) -> Result<Opened, OpenError> {
    let file = &config.file;
    // First of all: of two processes that start at once, only the one that has the file may make a master key.
    let database = Arc::new(schema::open_file(file)?);
    let holds_secrets = schema::holds_secrets(&database, file)?;
    let master_keys = config.master_key.load(holds_secrets)?;
    let sealer = Arc::new(Sealer::new(master_keys));
    let (term, salt_secret) = schema::begin_term(&database, &sealer, file)?;
    let writer =
        Writer::start(Arc::clone(&database), Arc::clone(&sealer)).map_err(OpenError::Thread)?;
    let keys = EmbeddedKeys {
        database,
        sealer,
        writer: Arc::new(writer),
        reads: Arc::new(Semaphore::new(READS_MAX)),
    };
    Ok(Opened {
        keys,
        term,
        salt_secret,
    })
}

impl EmbeddedKeys {
    fn find_blocking(&self, id: AuthKeyId) -> Result<Option<Arc<KeyRecord>>, redb::Error> {
        let transaction = self.database.begin_read()?;
        let table = transaction.open_table(schema::KEYS)?;
        let Some(sealed) = table.get(id.0)? else {
            return Ok(None);
        };
        let Some(record) = self.sealer.open(id, sealed.value()) else {
            return Err(redb::Error::Corrupted(format!(
                "the record of {id:?} does not open"
            )));
        };
        Ok((!record.facts.is_expired(unix_now().seconds())).then(|| Arc::new(record)))
    }
}

impl AuthKeys for EmbeddedKeys {
    fn find(&self, id: AuthKeyId) -> BoxFuture<'_, Result<Option<Arc<KeyRecord>>, Unavailable>> {
        let this = self.clone();
        Box::pin(async move {
            // A place is given back by the read itself: one that nobody waits for any more still has its thread.
            let Ok(place) = Arc::clone(&this.reads).acquire_owned().await else {
                return Err(Unavailable);
            };
            let read = move || {
                let found = this.find_blocking(id);
                drop(place);
                found
            };
            let found = tokio::task::spawn_blocking(read).await;
            match found {
                Ok(Ok(record)) => Ok(record),
                Ok(Err(error)) => {
                    tracing::error!(%error, "reading a key failed");
                    Err(Unavailable)
                }
                Err(_) => Err(Unavailable),
            }
        })
    }

    fn insert(&self, record: KeyRecord) -> BoxFuture<'_, Result<Inserted, Unavailable>> {
        // A record under a wrong id would be a lost key: checked on the way in and on the way out.
        assert_eq!(
            record.key.id(),
            record.facts.id,
            "a key record names another key's id"
        );
        self.writer.ask(|answer| Request::Insert {
            record: Box::new(record),
            answer,
        })
    }

    fn bind(&self, binding: Binding) -> BoxFuture<'_, Result<Bound, Unavailable>> {
        self.writer
            .ask(move |answer| Request::Bind { binding, answer })
    }

    fn remove(&self, id: AuthKeyId) -> BoxFuture<'_, Result<Vec<AuthKeyId>, Unavailable>> {
        self.writer
            .ask(move |answer| Request::Remove { id, answer })
    }

    fn remove_bound(
        &self,
        perm: AuthKeyId,
        except: Vec<AuthKeyId>,
    ) -> BoxFuture<'_, Result<Vec<AuthKeyId>, Unavailable>> {
        self.writer.ask(move |answer| Request::RemoveBound {
            perm,
            except,
            answer,
        })
    }
}

/// Reads at a time, each on a thread of its own. While the disk hangs, others wait without a thread.
const READS_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn as_many_reads_run_at_once_as_may_and_one_more_waits() {
        let directory = tempfile::tempdir().unwrap();
        let store = open(&Config::in_directory(directory.path())).unwrap().keys;
        let find = || tokio::time::timeout(Duration::from_millis(50), store.find(AuthKeyId(1)));
        let places = u32::try_from(READS_MAX).unwrap();
        let but_one = Arc::clone(&store.reads).try_acquire_many_owned(places - 1);
        assert!(matches!(find().await, Ok(Ok(None))));

        let last = Arc::clone(&store.reads).try_acquire_owned().unwrap();
        assert!(find().await.is_err());

        drop((but_one, last));
        assert!(matches!(find().await, Ok(Ok(None))));
    }
}
