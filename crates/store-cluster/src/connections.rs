//! Connections to the database, and what is tried again on them.
//!
//! A connection that has failed, or was left in the middle of something, is dropped: the server then rolls back.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use heliogram_ports::{BoxFuture, Unavailable};
use heliogram_proto::ids::AuthKeyId;
use mysql_async::{Conn, Opts, OptsBuilder};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};

use crate::limits::{
    ATTEMPT_MAX, CONNECTIONS_MAX, IDLE_AGE_MAX, PATIENCE, PAUSE_MAX, PAUSE_MIN, QUESTIONS_MAX,
};
use crate::metrics::Questions;

/// A question to the database.
pub(crate) trait Question: Send {
    type Answer: Send;

    /// Asks it. May be called again, on another connection, after an error: then what the former call has changed may
    /// be committed all the same, and the answer is to be as if it were not.
    fn ask<'a>(&'a mut self, conn: &'a mut Conn) -> BoxFuture<'a, Result<Self::Answer, Failure>>;
}

/// Why a question has no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A record is damaged, or sealed with a master key that this process does not have.
    Sealed(AuthKeyId),
    /// The database does not answer in time.
    Slow,
    /// The database says no, or can't be reached.
    Sql(mysql_async::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sealed(id) => write!(f, "the record of {id:?} does not open"),
            Self::Slow => f.write_str("no answer in time"),
            Self::Sql(error) => error.fmt(f),
        }
    }
}

impl<E: Into<mysql_async::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Sql(error.into())
    }
}

/// Connections to one database.
pub(crate) struct Connections {
    opts: Opts,
    idle: Mutex<Vec<(Instant, Conn)>>,
    places: Semaphore,
    questions: Semaphore,
    is_down: AtomicBool,
    pub(crate) counts: Questions,
}

impl Connections {
    /// Makes none yet.
    pub(crate) fn new(opts: Opts) -> Self {
        let setup = ["SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"];
        let opts = OptsBuilder::from_opts(opts)
            .setup(setup.to_vec())
            .tcp_nodelay(true)
            .prefer_socket(false);
        Self {
            opts: opts.into(),
            idle: Mutex::default(),
            places: Semaphore::new(CONNECTIONS_MAX),
            questions: Semaphore::new(QUESTIONS_MAX),
            is_down: AtomicBool::new(false),
            counts: Questions::default(),
        }
    }

    /// Tells whether the last attempt was answered.
    pub(crate) fn is_up(&self) -> bool {
        !self.is_down.load(Ordering::Relaxed)
    }

    /// Asks until there is an answer, for at most [`PATIENCE`].
    pub(crate) async fn carry_out<Q: Question>(
        &self,
        mut question: Q,
    ) -> Result<Q::Answer, Unavailable> {
        let Ok(_counted) = self.questions.try_acquire() else {
            self.counts.refused.add_one();
            tracing::warn!(
                questions = QUESTIONS_MAX,
                "the database is too slow: refusing a question"
            );
            return Err(Unavailable);
        };
        let start = Instant::now();
        let attempts = self.attempts(&mut question);
        let outcome = timeout(PATIENCE, attempts)
            .await
            .unwrap_or(Err(Unavailable));
        self.counts.times.add(start.elapsed());
        match outcome {
            Ok(_) => self.counts.answered.add_one(),
            Err(Unavailable) => self.counts.unavailable.add_one(),
        }
        outcome
    }

    /// Asks until there is an answer, or it is clear that there is none.
    async fn attempts<Q: Question>(&self, question: &mut Q) -> Result<Q::Answer, Unavailable> {
        let Ok(_place) = self.places.acquire().await else {
            return Err(Unavailable);
        };
        let mut pause = PAUSE_MIN;
        loop {
            match self.attempt(question).await {
                Ok(answer) => return Ok(answer),
                Err(failure @ Failure::Sealed(_)) => {
                    tracing::error!(%failure, "a key can't be read: is its master key missing?");
                    return Err(Unavailable);
                }
                Err(failure) => self.note_down(&failure),
            }
            self.counts.repeated.add_one();
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Counts the questions that are open.
    pub(crate) fn open(&self) -> u64 {
        let free = self.questions.available_permits();
        u64::try_from(QUESTIONS_MAX.saturating_sub(free)).unwrap_or(u64::MAX)
    }

    /// Asks once.
    async fn attempt<Q: Question>(&self, question: &mut Q) -> Result<Q::Answer, Failure> {
        let attempt = async {
            let mut conn = match self.take_idle() {
                Some(conn) => conn,
                None => Conn::new(self.opts.clone()).await?,
            };
            let answer = question.ask(&mut conn).await?;
            Ok((conn, answer))
        };
        let outcome = timeout(ATTEMPT_MAX, attempt).await;
        let (conn, answer) = outcome
            .unwrap_or(Err(Failure::Slow))
            .inspect_err(|failure| {
                if is_lost(failure) {
                    // What has ended one connection has ended them all, as a rule.
                    drop(std::mem::take(&mut *self.idle.lock()));
                }
            })?;
        self.idle.lock().push((Instant::now(), conn));
        if self.is_down.swap(false, Ordering::Relaxed) {
            tracing::info!("the database answers again");
        }
        Ok(answer)
    }

    fn take_idle(&self) -> Option<Conn> {
        let mut idle = self.idle.lock();
        idle.retain(|(since, _)| since.elapsed() < IDLE_AGE_MAX);
        idle.pop().map(|(_, conn)| conn)
    }

    fn note_down(&self, failure: &Failure) {
        if is_lost(failure) && !self.is_down.swap(true, Ordering::Relaxed) {
            tracing::warn!(%failure, "the database is down: known keys go on from caches");
        } else {
            tracing::debug!(%failure, "the database did not carry out a question; it is asked again");
        }
    }
}

/// Tells whether it is the connection that has failed, not what was asked on it.
fn is_lost(failure: &Failure) -> bool {
    match failure {
        Failure::Sealed(_) => false,
        Failure::Slow => true,
        Failure::Sql(error) => error.is_fatal(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answered without a server.
    struct Nothing;

    impl Question for Nothing {
        type Answer = ();

        fn ask<'a>(&'a mut self, _: &'a mut Conn) -> BoxFuture<'a, Result<(), Failure>> {
            Box::pin(async { Ok(()) })
        }
    }

    fn nowhere() -> Connections {
        Connections::new(Opts::from_url("mysql://127.0.0.1:1/x").unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_question_that_may_be_asked_waits_its_five_seconds_and_one_more_is_refused_at_once()
     {
        let connections = nowhere();
        let most = u32::try_from(QUESTIONS_MAX).unwrap();
        let but_one = connections.questions.try_acquire_many(most - 1).unwrap();
        let start = Instant::now();
        assert_eq!(connections.carry_out(Nothing).await, Err(Unavailable));
        assert_eq!(start.elapsed().as_secs(), PATIENCE.as_secs());

        let last = connections.questions.try_acquire().unwrap();
        let start = Instant::now();
        assert_eq!(connections.carry_out(Nothing).await, Err(Unavailable));
        assert!(start.elapsed().is_zero());
        drop((but_one, last));
    }

    #[tokio::test(start_paused = true)]
    async fn with_every_connection_in_use_a_question_waits_and_does_not_make_another() {
        let connections = nowhere();
        let most = u32::try_from(CONNECTIONS_MAX).unwrap();
        let all = connections.places.try_acquire_many(most).unwrap();
        assert_eq!(connections.carry_out(Nothing).await, Err(Unavailable));
        assert!(connections.is_up(), "nothing was tried");

        drop(all);
        assert_eq!(connections.carry_out(Nothing).await, Err(Unavailable));
        assert!(!connections.is_up(), "it was tried, and nobody is there");
    }
}
