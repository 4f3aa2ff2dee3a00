//! Every maximum of this crate, with its unit. A test stands on each side of those that a caller can meet.

use std::time::Duration;

use heliogram_proto::limits::{KEY_ABSENT_MAX, KEY_WAIT_MAX};

/// How long one question may take, all attempts together: as long as a gateway waits for a key.
pub(crate) const PATIENCE: Duration = KEY_WAIT_MAX;

/// How long one attempt may take: a connection that died silently must leave time for another.
pub(crate) const ATTEMPT_MAX: Duration = Duration::from_secs(2);

/// The pause after a first failed attempt; it doubles up to [`PAUSE_MAX`].
pub(crate) const PAUSE_MIN: Duration = Duration::from_millis(20);

/// The longest pause between attempts.
pub(crate) const PAUSE_MAX: Duration = Duration::from_millis(500);

/// Connections to the database at once.
pub(crate) const CONNECTIONS_MAX: usize = 32;

/// How long a connection may be unused and still be used again: middleboxes forget older ones without a word.
pub(crate) const IDLE_AGE_MAX: Duration = Duration::from_secs(60);

/// Questions at once, those that wait for a connection included: 700 handshakes a second for [`PATIENCE`]. More are
/// refused.
pub(crate) const QUESTIONS_MAX: usize = 4096;

/// How often ended temporary keys are purged.
pub(crate) const PURGE_PERIOD: Duration = Duration::from_secs(60);

/// Ended keys removed in one statement: it locks them.
pub(crate) const PURGE_MAX: usize = 1000;

/// How long a key may stay in the cache. No later change is missed for longer, whatever a cache has lost.
pub(crate) const CACHED_AGE_MAX: Duration = Duration::from_secs(3600);

/// How long it is believed that a key is absent.
pub(crate) const ABSENT_AGE_MAX: Duration = KEY_ABSENT_MAX;

/// How long a look-up may hold the right to fill the cache with what it finds.
pub(crate) const LEASE_AGE_MAX: Duration = Duration::from_secs(10);

/// How long the cache may take: beyond, it is passed over until it answers again.
pub(crate) const CACHE_ANSWER_MAX: Duration = Duration::from_millis(250);

/// How long connecting to the cache may take.
pub(crate) const CACHE_CONNECT_MAX: Duration = Duration::from_secs(2);

/// How often changes are looked for that whoever made them could not tell the cache of.
pub(crate) const CHANGES_PERIOD: Duration = Duration::from_millis(500);

/// Changes younger than this are still being told by whoever made them.
pub(crate) const CHANGE_AGE_MIN: Duration = Duration::from_secs(1);

/// Changes told in one step.
pub(crate) const CHANGES_MAX: usize = 1000;

const _: () = assert!(CHANGES_PERIOD.as_millis() + CHANGE_AGE_MIN.as_millis() < 2000);
const _: () = assert!(LEASE_AGE_MAX.as_millis() > PATIENCE.as_millis());
