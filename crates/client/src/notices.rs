//! What a client is told without asking, kept until somebody reads it.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// What a client tells without being asked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// Calls to this data centre go out at once, or wait for a connection.
    Connection {
        /// Which.
        dc: i32,
        /// Whether they go out.
        is_connected: bool,
    },
    /// The server does not know this client's key any more: nobody is signed in.
    KeyLost {
        /// Where.
        dc: i32,
    },
    /// Updates may have been lost: ask for the difference.
    Missed {
        /// Where.
        dc: i32,
    },
    /// One boxed object that nobody asked for: of type `Updates`.
    Update {
        /// From where.
        dc: i32,
        /// Unpacked.
        object: Bytes,
    },
}

impl Notice {
    /// Returns the data centre that it is about.
    #[must_use]
    pub const fn dc(&self) -> i32 {
        match self {
            Self::Connection { dc, .. }
            | Self::KeyLost { dc }
            | Self::Missed { dc }
            | Self::Update { dc, .. } => *dc,
        }
    }
}

/// What comes without being asked for, as it comes. Holds no connection, and has no end: once the last
/// [`Client`](crate::Client) is dropped, or shut down, nothing comes any more. A task that reads it is ended by its owner.
pub struct Notices {
    waiting: Arc<Waiting>,
}

impl Notices {
    pub(crate) const fn new(waiting: Arc<Waiting>) -> Self {
        Self { waiting }
    }

    /// Waits for the next one. May be dropped at any time and asked again: nothing is lost.
    pub async fn next(&mut self) -> Notice {
        loop {
            let news = self.waiting.news.notified();
            if let Some(notice) = self.waiting.queue.lock().pop() {
                return notice;
            }
            news.await;
        }
    }
}

impl fmt::Debug for Notices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Notices(…)")
    }
}

/// Notices that wait for somebody who reads them.
#[derive(Default)]
pub(crate) struct Waiting {
    queue: Mutex<Queue>,
    news: Notify,
}

impl Waiting {
    pub(crate) fn push(&self, notice: Notice) {
        self.queue.lock().push(notice);
        self.news.notify_one();
    }
}

/// A queue that is never longer than it may be. What does not fit is made up for by [`Notice::Missed`].
#[derive(Default)]
struct Queue {
    notices: VecDeque<Notice>,
    /// Of the updates among them.
    bytes: usize,
}

impl Queue {
    fn push(&mut self, notice: Notice) {
        self.bytes += bytes_of(&notice);
        self.notices.push_back(notice);
        if self.notices.len() > NOTICES_MAX || self.bytes > NOTICE_BYTES_MAX {
            self.shrink();
        }
    }

    fn pop(&mut self) -> Option<Notice> {
        let notice = self.notices.pop_front()?;
        self.bytes -= bytes_of(&notice);
        Some(notice)
    }

    /// Nobody listens. The difference will tell all that the updates would have told, and of everything else the last
    /// word for each data centre says enough.
    fn shrink(&mut self) {
        let (mut missed, mut said) = (BTreeSet::new(), BTreeSet::new());
        let mut kept = VecDeque::new();
        for notice in self.notices.drain(..).rev() {
            let kind = match notice {
                Notice::Connection { .. } => 0,
                Notice::KeyLost { .. } => 1,
                Notice::Missed { dc } | Notice::Update { dc, .. } => {
                    missed.insert(dc);
                    continue;
                }
            };
            if said.insert((kind, notice.dc())) {
                kept.push_front(notice);
            }
        }
        kept.extend(missed.into_iter().map(|dc| Notice::Missed { dc }));
        self.notices = kept;
        self.bytes = 0;
    }
}

fn bytes_of(notice: &Notice) -> usize {
    match notice {
        Notice::Update { object, .. } => object.len(),
        Notice::Connection { .. } | Notice::KeyLost { .. } | Notice::Missed { .. } => 0,
    }
}

/// Notices that wait at most.
const NOTICES_MAX: usize = 10_000;

/// Bytes of updates that wait at most.
const NOTICE_BYTES_MAX: usize = 32 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_notices_as_may_wait_and_one_more_turns_the_updates_into_one_word_for_each_dc() {
        let mut waiting = Queue::default();
        waiting.push(Notice::KeyLost { dc: 4 });
        for at in 1..NOTICES_MAX {
            waiting.push(update(if at % 2 == 0 { 2 } else { 4 }, 4));
        }
        assert_eq!(waiting.notices.len(), NOTICES_MAX);
        waiting.push(connection(true));
        assert_eq!(
            read(&mut waiting),
            [
                Notice::KeyLost { dc: 4 },
                connection(true),
                Notice::Missed { dc: 2 },
                Notice::Missed { dc: 4 },
            ]
        );
    }

    #[test]
    fn as_many_bytes_as_may_wait_and_one_more_is_too_much() {
        let mut waiting = Queue::default();
        waiting.push(update(2, NOTICE_BYTES_MAX));
        assert_eq!(waiting.pop(), Some(update(2, NOTICE_BYTES_MAX)));
        waiting.push(update(2, NOTICE_BYTES_MAX));
        waiting.push(update(2, 1));
        assert_eq!(read(&mut waiting), [Notice::Missed { dc: 2 }]);
    }

    #[test]
    fn of_connections_that_nobody_asks_about_the_last_word_remains() {
        let mut waiting = Queue::default();
        for _ in 0..NOTICES_MAX {
            waiting.push(connection(true));
        }
        waiting.push(connection(false));
        assert_eq!(read(&mut waiting), [connection(false)]);
    }

    fn read(waiting: &mut Queue) -> Vec<Notice> {
        std::iter::from_fn(|| waiting.pop()).collect()
    }

    fn update(dc: i32, bytes: usize) -> Notice {
        let object = Bytes::from(vec![0; bytes]);
        Notice::Update { dc, object }
    }

    fn connection(is_connected: bool) -> Notice {
        Notice::Connection {
            dc: 2,
            is_connected,
        }
    }
}
