//! The one writer: a thread that commits whatever waits in a single durable transaction.
//!
//! A commit costs an fsync, so the rate of new keys is bounded by the disk; many handshakes share one.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use heliogram_ports::clock::unix_now;
use heliogram_ports::{BoxFuture, Inserted, KeyKind, KeyRecord, Unavailable};
use heliogram_proto::ids::AuthKeyId;
use redb::{Database, ReadableTable, WriteTransaction};
use tokio::sync::oneshot;

use crate::record::Sealer;
use crate::schema::{ENDS, KEYS};

/// Requests that may wait; more are refused, which pushes back on handshakes.
const WAITING_MAX: usize = 1024;

/// Requests in one transaction.
const BATCH_MAX: usize = 256;

/// How often ended temporary keys are purged.
const PURGE_PERIOD: Duration = Duration::from_secs(60);

/// Ended keys removed in one transaction: the writer must not hold up handshakes for long.
const PURGE_MAX: usize = 4096;

type Answer<T> = oneshot::Sender<Result<T, Unavailable>>;

/// What is asked of the writer.
pub(crate) enum Request {
    Insert {
        record: Box<KeyRecord>,
        answer: Answer<Inserted>,
    },
    Remove {
        id: AuthKeyId,
        answer: Answer<bool>,
    },
}

/// A handle to the thread. The thread ends, after committing what waits, when the last handle is dropped.
pub(crate) struct Writer {
    requests: Option<SyncSender<Request>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Writer {
    pub(crate) fn start(database: Arc<Database>, sealer: Arc<Sealer>) -> std::io::Result<Self> {
        let (requests, inbox) = sync_channel(WAITING_MAX);
        let thread = std::thread::Builder::new()
            .name("key-writer".to_owned())
            .spawn(move || run(&database, &sealer, &inbox))?;
        Ok(Self {
            requests: Some(requests),
            thread: Some(thread),
        })
    }

    /// Sends a request at once; the future is its answer.
    pub(crate) fn ask<T: Send + 'static>(
        &self,
        request: impl FnOnce(Answer<T>) -> Request,
    ) -> BoxFuture<'static, Result<T, Unavailable>> {
        let (answer, answered) = oneshot::channel();
        let sent = self
            .requests
            .as_ref()
            .map(|requests| requests.try_send(request(answer)));
        if let Some(Err(TrySendError::Full(_))) = sent {
            tracing::warn!(
                waiting = WAITING_MAX,
                "the key store is too slow: refusing a request"
            );
        }
        // A request that was not taken has dropped its answer.
        Box::pin(async move { answered.await.unwrap_or(Err(Unavailable)) })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.requests.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the store's writer panicked");
        }
    }
}

fn run(database: &Database, sealer: &Sealer, inbox: &Receiver<Request>) {
    let mut purge_at = Instant::now();
    loop {
        if Instant::now() >= purge_at {
            let purged =
                guarded(|| purge(database, unix_now().seconds())).unwrap_or_else(|error| {
                    tracing::error!(%error, "purging temporary keys failed");
                    0
                });
            purge_at = Instant::now() + pause_after_purge(purged);
        }
        match inbox.recv_timeout(purge_at.saturating_duration_since(Instant::now())) {
            Ok(first) => {
                let mut batch = vec![first];
                batch.extend(inbox.try_iter().take(BATCH_MAX - 1));
                commit(database, sealer, batch);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Runs a transaction. A panic is an error of it alone: the thread must go on, or no key could ever be stored again.
fn guarded<T>(transaction: impl FnOnce() -> Result<T, redb::Error>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(transaction)) {
        Ok(outcome) => outcome.map_err(|error| error.to_string()),
        Err(_) => Err("panicked".to_owned()),
    }
}

/// As soon as requests allow if there may be more to purge: keys may end faster than one purge a period removes them.
const fn pause_after_purge(purged: usize) -> Duration {
    if purged < PURGE_MAX {
        PURGE_PERIOD
    } else {
        Duration::ZERO
    }
}

/// Carries out a batch; answers only after it is durable.
fn commit(database: &Database, sealer: &Sealer, batch: Vec<Request>) {
    let outcome = guarded(|| {
        let transaction = database.begin_write()?;
        let changes = batch
            .iter()
            .map(|request| match request {
                Request::Insert { record, .. } => insert(&transaction, sealer, record),
                Request::Remove { id, .. } => remove(&transaction, sealer, *id),
            })
            .collect::<Result<Vec<_>, _>>()?;
        transaction.commit()?;
        Ok(changes)
    });
    let changes = match outcome {
        Ok(changes) => changes.into_iter().map(Ok).collect(),
        Err(error) => {
            tracing::error!(%error, requests = batch.len(), "writing keys failed");
            vec![Err(Unavailable); batch.len()]
        }
    };
    for (request, changed) in batch.into_iter().zip(changes) {
        // Whoever asked may be gone: the key is kept all the same.
        match request {
            Request::Insert { answer, .. } => {
                let inserted = |changed| {
                    if changed {
                        Inserted::Stored
                    } else {
                        Inserted::Duplicate
                    }
                };
                let _ = answer.send(changed.map(inserted));
            }
            Request::Remove { answer, .. } => {
                let _ = answer.send(changed);
            }
        }
    }
}

/// Inserts a record; `false` if its id is taken.
fn insert(
    transaction: &WriteTransaction,
    sealer: &Sealer,
    record: &KeyRecord,
) -> Result<bool, redb::Error> {
    let id = record.facts.id;
    let mut keys = transaction.open_table(KEYS)?;
    if keys.get(id.0)?.is_some() {
        return Ok(false);
    }
    keys.insert(id.0, sealer.seal(record).as_slice())?;
    if let KeyKind::Temporary { expires_at_unix_s } = record.facts.kind {
        transaction
            .open_table(ENDS)?
            .insert((expires_at_unix_s, id.0), ())?;
    }
    Ok(true)
}

/// Removes a record; `false` if there was none.
fn remove(
    transaction: &WriteTransaction,
    sealer: &Sealer,
    id: AuthKeyId,
) -> Result<bool, redb::Error> {
    let mut keys = transaction.open_table(KEYS)?;
    let Some(sealed) = keys.remove(id.0)?.map(|sealed| sealed.value().to_vec()) else {
        return Ok(false);
    };
    if let Some(record) = sealer.open(id, &sealed)
        && let KeyKind::Temporary { expires_at_unix_s } = record.facts.kind
    {
        transaction
            .open_table(ENDS)?
            .remove((expires_at_unix_s, id.0))?;
    }
    Ok(true)
}

/// Removes temporary keys that ended at `now_unix_s` or before; returns how many.
pub(crate) fn purge(database: &Database, now_unix_s: u64) -> Result<usize, redb::Error> {
    let now = u32::try_from(now_unix_s).unwrap_or(u32::MAX);
    let transaction = database.begin_write()?;
    let ended = {
        let mut ends = transaction.open_table(ENDS)?;
        let mut keys = transaction.open_table(KEYS)?;
        let ended: Vec<(u32, i64)> = ends
            .range(..=(now, i64::MAX))?
            .take(PURGE_MAX)
            .map(|entry| entry.map(|(end, _)| end.value()))
            .collect::<Result<_, _>>()?;
        for &(end, id) in &ended {
            ends.remove((end, id))?;
            keys.remove(id)?;
        }
        ended.len()
    };
    if ended == 0 {
        transaction.abort()?;
    } else {
        transaction.commit()?;
    }
    Ok(ended)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_that_panics_fails_alone_and_leaves_the_file_writable() {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::create(directory.path().join("x.redb")).unwrap();
        let panics = || -> Result<(), redb::Error> {
            let transaction = database.begin_write()?;
            transaction.open_table(ENDS)?.insert((1, 1), ())?;
            panic!("as the test wants it");
        };
        assert_eq!(guarded(panics), Err("panicked".to_owned()));

        let works = || {
            let transaction = database.begin_write()?;
            let is_empty = transaction.open_table(ENDS)?.first()?.is_none();
            transaction.commit()?;
            Ok(is_empty)
        };
        assert_eq!(guarded(works), Ok(true));
    }

    #[test]
    fn a_full_purge_is_followed_by_another_at_once_and_one_that_is_not_full_is_not() {
        assert_eq!(pause_after_purge(PURGE_MAX - 1), PURGE_PERIOD);
        assert_eq!(pause_after_purge(PURGE_MAX), Duration::ZERO);
    }
}
