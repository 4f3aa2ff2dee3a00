//! The links that are attached, and which shards have something for each.
//!
//! A shard is a bit: one connection may carry several keys, and so reach several shards.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use heliogram_ports::Wake;
use heliogram_proto::ids::LinkId;
use parking_lot::Mutex;

/// Shards at most: a set of them is the bits of a `u64`.
pub(crate) const SHARDS_MAX: usize = 64;

/// A set of shards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ShardSet(u64);

impl ShardSet {
    fn bit(shard: usize) -> u64 {
        debug_assert!(
            shard < SHARDS_MAX,
            "a shard's index is made by taking it modulo their count"
        );
        1 << (shard % SHARDS_MAX)
    }
}

impl Iterator for ShardSet {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        if self.0 == 0 {
            return None;
        }
        let shard = self.0.trailing_zeros();
        self.0 &= self.0 - 1;
        usize::try_from(shard).ok()
    }
}

/// Every attached link. Locks are striped: turns of different connections seldom meet.
pub(crate) struct Links {
    stripes: [Mutex<HashMap<LinkId, Arc<Entry>>>; STRIPES],
}

struct Entry {
    wake: Arc<dyn Wake>,
    /// Shards that have had a frame of this link and must hear of its end.
    touched: AtomicU64,
    /// Shards that have something to drain.
    ready: AtomicU64,
    /// [`LIVES`], [`DOOMED`] or [`CLOSED`].
    fate: AtomicU8,
}

impl Entry {
    fn is_news(&self, shard: usize) -> bool {
        self.ready.fetch_or(ShardSet::bit(shard), Ordering::AcqRel) == 0
    }

    fn is_touched_by(&self, shard: usize) -> bool {
        self.touched.load(Ordering::Acquire) & ShardSet::bit(shard) != 0
    }

    fn doom(&self) {
        if self.step(LIVES, DOOMED) {
            self.wake.wake();
        }
    }

    /// Goes from one fate to the next; `false` if it had another.
    fn step(&self, from: u8, to: u8) -> bool {
        let order = Ordering::AcqRel;
        let stepped = self
            .fate
            .compare_exchange(from, to, order, Ordering::Acquire);
        stepped.is_ok()
    }
}

impl Links {
    /// Makes an empty table.
    pub(crate) fn new() -> Self {
        Self {
            stripes: std::array::from_fn(|_| Mutex::default()),
        }
    }

    /// Makes a link known.
    pub(crate) fn attach(&self, link: LinkId, wake: Arc<dyn Wake>) {
        let entry = Entry {
            wake,
            touched: AtomicU64::new(0),
            ready: AtomicU64::new(0),
            fate: AtomicU8::new(LIVES),
        };
        let before = self.stripe(link).lock().insert(link, Arc::new(entry));
        debug_assert!(before.is_none(), "a link's id is never used twice");
    }

    /// Forgets a link; returns the shards that know it.
    pub(crate) fn detach(&self, link: LinkId) -> ShardSet {
        let entry = self.stripe(link).lock().remove(&link);
        ShardSet(entry.map_or(0, |entry| entry.touched.load(Ordering::Acquire)))
    }

    /// Notes that a shard gets a frame of this link; `false` if the link is not attached.
    pub(crate) fn touch(&self, link: LinkId, shard: usize) -> bool {
        self.turn(link).is_some_and(|turn| {
            turn.touch(shard);
            true
        })
    }

    /// Begins a turn of a link: one look at the table for all of it. Nothing if the link is not attached.
    pub(crate) fn turn(&self, link: LinkId) -> Option<Turn> {
        let entry = self.entry(link)?;
        Some(Turn { link, entry })
    }

    /// Notes that a shard has something for this link, and wakes its owner if it has not been told of that yet.
    pub(crate) fn ready(&self, link: LinkId, shard: usize) {
        if let Some(entry) = self.entry(link)
            && entry.is_news(shard)
        {
            entry.wake.wake();
        }
    }

    /// Notes that a shard has something for this link; tells whether its owner has to be told.
    pub(crate) fn is_news(&self, link: LinkId, shard: usize) -> bool {
        self.entry(link).is_some_and(|entry| entry.is_news(shard))
    }

    /// Returns how many there are.
    pub(crate) fn len(&self) -> usize {
        self.stripes.iter().map(|stripe| stripe.lock().len()).sum()
    }

    /// Wakes a link's owner.
    pub(crate) fn wake(&self, link: LinkId) {
        if let Some(entry) = self.entry(link) {
            entry.wake.wake();
        }
    }

    /// Takes the shards that have something for this link, and whether it is to be closed then: said once.
    pub(crate) fn take(&self, link: LinkId) -> (ShardSet, bool) {
        let Some(entry) = self.entry(link) else {
            return (ShardSet::default(), false);
        };
        // The end first: what is drained after it was there before.
        let is_end = entry.step(DOOMED, CLOSED);
        (ShardSet(entry.ready.swap(0, Ordering::AcqRel)), is_end)
    }

    /// Has a link closed, without a code, once it has drained what is there. Its frames are dropped from now on.
    pub(crate) fn doom(&self, link: LinkId) {
        if let Some(entry) = self.entry(link) {
            entry.doom();
        }
    }

    /// Has all links closed that a shard may know.
    pub(crate) fn doom_touched(&self, shard: usize) {
        for stripe in &self.stripes {
            let entries: Vec<_> = {
                let stripe = stripe.lock();
                let touched = stripe.values().filter(|it| it.is_touched_by(shard));
                touched.cloned().collect()
            };
            entries.iter().for_each(|entry| entry.doom());
        }
    }

    fn entry(&self, link: LinkId) -> Option<Arc<Entry>> {
        self.stripe(link).lock().get(&link).cloned()
    }

    #[expect(clippy::indexing_slicing, reason = "a remainder is below its divisor")]
    fn stripe(&self, link: LinkId) -> &Mutex<HashMap<LinkId, Arc<Entry>>> {
        let count = u64::try_from(STRIPES).unwrap_or(1);
        &self.stripes[usize::try_from(link.0 % count).unwrap_or(0)]
    }
}

/// A link whose own task runs: it drains afterwards, and need not be woken.
pub(crate) struct Turn {
    link: LinkId,
    entry: Arc<Entry>,
}

impl Turn {
    /// Tells whether it is the turn of this link.
    pub(crate) fn is_of(&self, link: LinkId) -> bool {
        self.link == link
    }

    /// Notes that a shard gets a frame of this link.
    pub(crate) fn touch(&self, shard: usize) {
        let bit = ShardSet::bit(shard);
        self.entry.touched.fetch_or(bit, Ordering::AcqRel);
    }

    /// Tells whether the link is to be closed.
    pub(crate) fn is_doomed(&self) -> bool {
        self.entry.fate.load(Ordering::Acquire) != LIVES
    }

    /// Notes that a shard has something for this link.
    pub(crate) fn ready(&self, shard: usize) {
        self.entry.is_news(shard);
    }
}

const STRIPES: usize = 64;

/// A link like any other.
const LIVES: u8 = 0;
/// It is to be closed, and its owner has not been told.
const DOOMED: u8 = 1;
/// Its owner was told to close it.
const CLOSED: u8 = 2;

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    const LINK: LinkId = LinkId(7);

    fn attached() -> (Links, Arc<Count>) {
        let links = Links::new();
        let count = Arc::new(Count::default());
        links.attach(LINK, Arc::<Count>::clone(&count));
        (links, count)
    }

    fn woken(count: &Count) -> usize {
        count.0.load(Ordering::Relaxed)
    }

    #[test]
    fn a_link_is_woken_once_until_it_drains() {
        let (links, count) = attached();

        links.ready(LINK, 0);
        links.ready(LINK, 63);
        assert_eq!(woken(&count), 1);

        assert_eq!(links.take(LINK).0.collect::<Vec<_>>(), [0, 63]);
        links.ready(LINK, 0);
        assert_eq!(woken(&count), 2);
    }

    #[test]
    fn a_link_whose_owner_is_awake_is_not_woken() {
        let (links, count) = attached();

        links.turn(LINK).unwrap().ready(5);

        assert_eq!(woken(&count), 0);
        assert_eq!(links.take(LINK).0.collect::<Vec<_>>(), [5]);
        assert_eq!(links.take(LINK).0.count(), 0);
    }

    #[test]
    fn a_doomed_link_is_woken_once_and_told_once_after_what_is_ready() {
        let (links, count) = attached();
        links.ready(LINK, 5);
        assert!(!links.turn(LINK).unwrap().is_doomed());

        links.doom(LINK);
        links.doom(LINK);

        assert!(links.turn(LINK).unwrap().is_doomed());
        assert_eq!(woken(&count), 2);
        let (ready, is_end) = links.take(LINK);
        assert_eq!((ready.collect::<Vec<_>>(), is_end), (vec![5], true));
        links.doom(LINK);
        assert!(!links.take(LINK).1);
        assert!(links.turn(LINK).unwrap().is_doomed());
    }

    #[test]
    fn links_that_a_shard_may_know_are_doomed_and_no_others() {
        let (links, count) = attached();
        links.touch(LINK, 5);

        links.doom_touched(4);
        assert_eq!((woken(&count), links.take(LINK).1), (0, false));
        links.doom_touched(5);
        assert_eq!((woken(&count), links.take(LINK).1), (1, true));
    }

    #[test]
    fn a_detached_link_names_the_shards_that_knew_it_and_takes_nothing_more() {
        let (links, count) = attached();
        assert!(links.touch(LINK, 1) && links.touch(LINK, 4) && links.touch(LINK, 1));

        assert_eq!(links.detach(LINK).collect::<Vec<_>>(), [1, 4]);

        assert!(!links.touch(LINK, 1));
        links.doom(LINK);
        links.ready(LINK, 1);
        assert_eq!(
            (
                woken(&count),
                links.take(LINK).0.count(),
                links.detach(LINK).count()
            ),
            (0, 0, 0)
        );
    }
}
