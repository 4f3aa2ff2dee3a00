//! The one writer: a thread that commits whatever waits in a single durable transaction.
//!
//! A commit costs an fsync, so the rate of new keys is bounded by the disk; many handshakes share one.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use heliogram_ports::clock::unix_now;
use heliogram_ports::record::Sealer;
use heliogram_ports::{Binding, Bound, BoxFuture, Inserted, KeyRecord, Unavailable};
use heliogram_proto::ids::AuthKeyId;
use redb::Database;
use tokio::sync::oneshot;

use crate::tables::{PURGE_MAX, Tables};

/// Requests that may wait; more are refused, which pushes back on handshakes.
const WAITING_MAX: usize = 1024;

/// Requests in one transaction.
const BATCH_MAX: usize = 256;

/// How often ended temporary keys are purged.
const PURGE_PERIOD: Duration = Duration::from_secs(60);

type Answer<T> = oneshot::Sender<Result<T, Unavailable>>;

/// What is asked of the writer.
pub(crate) enum Request {
    Insert {
        record: Box<KeyRecord>,
        answer: Answer<Inserted>,
    },
    Bind {
        binding: Binding,
        answer: Answer<Bound>,
    },
    Remove {
        id: AuthKeyId,
        answer: Answer<Vec<AuthKeyId>>,
    },
    RemoveBound {
        perm: AuthKeyId,
        except: Vec<AuthKeyId>,
        answer: Answer<Vec<AuthKeyId>>,
    },
}

/// What a request has changed, to be told once it is durable.
enum Done {
    Inserted(Answer<Inserted>, Inserted),
    Bound(Answer<Bound>, Bound),
    Removed(Answer<Vec<AuthKeyId>>, Vec<AuthKeyId>),
}

impl Request {
    fn carry_out(self, tables: &mut Tables<'_>, now_unix_s: u64) -> Result<Done, redb::Error> {
        Ok(match self {
            Self::Insert { record, answer } => Done::Inserted(answer, tables.insert(&record)?),
            Self::Bind { binding, answer } => {
                Done::Bound(answer, tables.bind(binding, now_unix_s)?)
            }
            Self::Remove { id, answer } => Done::Removed(answer, tables.remove(id, now_unix_s)?),
            Self::RemoveBound {
                perm,
                except,
                answer,
            } => {
                let removed = tables.remove_bound(perm, &except, now_unix_s)?;
                Done::Removed(answer, removed)
            }
        })
    }
}

impl Done {
    /// Whoever asked may be gone: what was changed stays changed.
    fn tell(self) {
        match self {
            Self::Inserted(answer, inserted) => drop(answer.send(Ok(inserted))),
            Self::Bound(answer, bound) => drop(answer.send(Ok(bound))),
            Self::Removed(answer, removed) => drop(answer.send(Ok(removed))),
        }
    }
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
                guarded(|| purge(database, sealer, unix_now().seconds())).unwrap_or_else(|error| {
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

/// Carries out a batch; answers only after it is durable. Of a batch that fails all answers are dropped, which says
/// that the store is unavailable.
fn commit(database: &Database, sealer: &Sealer, batch: Vec<Request>) {
    let (requests, now_unix_s) = (batch.len(), unix_now().seconds());
    let outcome = guarded(|| {
        let transaction = database.begin_write()?;
        let done = {
            let mut tables = Tables::open(&transaction, sealer)?;
            let done = batch
                .into_iter()
                .map(|request| request.carry_out(&mut tables, now_unix_s));
            done.collect::<Result<Vec<_>, _>>()?
        };
        transaction.commit()?;
        Ok(done)
    });
    match outcome {
        Ok(done) => done.into_iter().for_each(Done::tell),
        Err(error) => tracing::error!(%error, requests, "writing keys failed"),
    }
}

/// Removes temporary keys that ended at `now_unix_s` or before; returns how many.
fn purge(database: &Database, sealer: &Sealer, now_unix_s: u64) -> Result<usize, redb::Error> {
    let transaction = database.begin_write()?;
    let ended = Tables::open(&transaction, sealer)?.purge(now_unix_s)?;
    if ended == 0 {
        transaction.abort()?;
    } else {
        transaction.commit()?;
    }
    Ok(ended)
}

#[cfg(test)]
mod tests {
    use redb::ReadableTable;

    use super::*;
    use crate::schema::ENDS;

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
