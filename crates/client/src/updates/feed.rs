//! What lines bring and a stream of updates has not read yet.
//!
//! There is one stream at a time: whoever begins another ends the one before it.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::limits::{FEED_BYTES_MAX, FEED_OBJECTS_MAX};

/// Something that may hold updates, or change where they stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fed {
    /// Updates were lost on the way.
    Lost,
    /// A boxed object of type `Updates`.
    Object(Bytes),
    /// Everything that waited here was given up.
    Overrun,
    /// A call's answer, and the method.
    Result { request: Bytes, result: Bytes },
}

/// Where lines hand over what they bring.
#[derive(Default)]
pub(crate) struct Outlet(Mutex<Taker>);

#[derive(Default)]
enum Taker {
    #[default]
    Nobody,
    Stream(Arc<Feed>),
    /// The client was shut down.
    Ended,
}

/// The queue of one stream. Never longer than it may be: what does not fit is made up for by the difference.
#[derive(Default)]
pub(super) struct Feed {
    queue: Mutex<Queue>,
    news: Notify,
}

#[derive(Default)]
struct Queue {
    items: VecDeque<Fed>,
    bytes: usize,
    has_ended: bool,
}

impl Outlet {
    /// Begins a stream, and ends the one before it.
    pub(super) fn begin(&self) -> Arc<Feed> {
        let feed = Arc::<Feed>::default();
        let mut taker = self.0.lock();
        match &*taker {
            Taker::Ended => feed.end(),
            Taker::Stream(before) => before.end(),
            Taker::Nobody => {}
        }
        if !matches!(*taker, Taker::Ended) {
            *taker = Taker::Stream(Arc::clone(&feed));
        }
        feed
    }

    /// Ends a stream that nobody will read any more.
    pub(super) fn leave(&self, feed: &Arc<Feed>) {
        let mut taker = self.0.lock();
        if matches!(&*taker, Taker::Stream(it) if Arc::ptr_eq(it, feed)) {
            *taker = Taker::Nobody;
        }
    }

    /// Ends the stream, and those to come.
    pub(crate) fn end(&self) {
        if let Taker::Stream(feed) = std::mem::replace(&mut *self.0.lock(), Taker::Ended) {
            feed.end();
        }
    }

    /// Tells whether there is a stream.
    pub(crate) fn is_taken(&self) -> bool {
        matches!(*self.0.lock(), Taker::Stream(_))
    }

    /// Hands something to the stream, if there is one.
    pub(crate) fn push(&self, fed: Fed) {
        if let Taker::Stream(feed) = &*self.0.lock() {
            feed.push(fed);
        }
    }
}

impl Feed {
    /// Waits for the next one; `None` once the stream has ended. May be dropped at any time: nothing is lost.
    pub(super) async fn next(&self) -> Option<Fed> {
        loop {
            let news = self.news.notified();
            {
                let mut queue = self.queue.lock();
                if let Some(fed) = queue.pop() {
                    return Some(fed);
                }
                if queue.has_ended {
                    return None;
                }
            }
            news.await;
        }
    }

    fn push(&self, fed: Fed) {
        self.queue.lock().push(fed);
        self.news.notify_one();
    }

    fn end(&self) {
        self.queue.lock().has_ended = true;
        self.news.notify_one();
    }
}

impl Queue {
    fn push(&mut self, fed: Fed) {
        self.bytes = self.bytes.saturating_add(fed.bytes());
        self.items.push_back(fed);
        if self.items.len() > FEED_OBJECTS_MAX || self.bytes > FEED_BYTES_MAX {
            self.items.clear();
            self.bytes = 0;
            self.items.push_back(Fed::Overrun);
        }
    }

    fn pop(&mut self) -> Option<Fed> {
        let fed = self.items.pop_front()?;
        self.bytes = self.bytes.saturating_sub(fed.bytes());
        Some(fed)
    }
}

impl Fed {
    const fn bytes(&self) -> usize {
        match self {
            Self::Lost | Self::Overrun => 0,
            Self::Object(object) => object.len(),
            Self::Result { request, result } => request.len().saturating_add(result.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_objects_as_may_wait_and_one_more_gives_all_up_for_the_difference() {
        let mut queue = Queue::default();
        for _ in 0..FEED_OBJECTS_MAX {
            queue.push(object(4));
        }
        assert_eq!(queue.items.len(), FEED_OBJECTS_MAX);
        queue.push(object(4));
        assert_eq!(queue.pop(), Some(Fed::Overrun));
        assert_eq!(queue.pop(), None);
        queue.push(object(4));
        assert_eq!(queue.pop(), Some(object(4)), "what comes later waits again");
    }

    #[test]
    fn as_many_bytes_as_may_wait_and_one_more_gives_all_up_for_the_difference() {
        let mut queue = Queue::default();
        let result = Fed::Result {
            request: Bytes::from(vec![0; FEED_BYTES_MAX - 8]),
            result: Bytes::from(vec![0; 8]),
        };
        queue.push(result.clone());
        assert_eq!(queue.pop(), Some(result.clone()));
        queue.push(result);
        queue.push(object(1));
        assert_eq!(queue.pop(), Some(Fed::Overrun));
    }

    #[tokio::test]
    async fn a_stream_ends_with_the_next_one_and_all_end_with_the_client() {
        let outlet = Outlet::default();
        assert!(!outlet.is_taken());
        let first = outlet.begin();
        outlet.push(object(4));
        let second = outlet.begin();
        outlet.push(object(8));
        assert_eq!(first.next().await, Some(object(4)));
        assert_eq!(first.next().await, None);
        outlet.leave(&first);
        assert!(outlet.is_taken(), "it is another's");
        outlet.end();
        assert_eq!(second.next().await, Some(object(8)));
        assert_eq!(second.next().await, None);
        assert_eq!(outlet.begin().next().await, None);
        assert!(!outlet.is_taken());
    }

    #[test]
    fn whoever_leaves_takes_nothing_any_more() {
        let outlet = Outlet::default();
        let feed = outlet.begin();
        outlet.leave(&feed);
        outlet.push(object(4));
        assert!(!outlet.is_taken());
        assert_eq!(feed.queue.lock().items.len(), 0);
    }

    fn object(bytes: usize) -> Fed {
        Fed::Object(Bytes::from(vec![0; bytes]))
    }
}
