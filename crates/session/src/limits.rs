//! Maxima of this crate; those of sessions are the engine's.

use std::time::Duration;

/// How long the calls of a partition that goes to another node may take to be answered. Its clients' other messages wait
/// meanwhile, so it is short; a call that takes longer ends, and runs again where its client sends it again.
pub const RETIRING_TIME_MAX: Duration = Duration::from_secs(2);

/// Partitions of one node that are let go of at once: so that not all of its clients come again in the same moment.
pub const RETIRING_AT_ONCE_MAX: usize = 4;

/// How long a node that drains waits until everybody is told that it leaves. It goes on without: its partitions are its own
/// until it lets go of them, told or not.
pub const LEAVING_TIME_MAX: Duration = Duration::from_secs(2);

/// How long nobody asks the election again, unless the view changes, or the store, after it could not answer.
pub const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// Things for other owners that wait for a way: answers of calls that were handed over, users, revocations. What does not fit is
/// lost, as what has waited for too long.
pub const UNDELIVERED_MAX: usize = 4_096;

/// How long they wait.
pub const UNDELIVERED_TIME_MAX: Duration = Duration::from_secs(5);

/// How often they are offered again.
pub const OFFER_PAUSE: Duration = Duration::from_millis(100);

/// Keys that are looked up at once because their owner has not seen them in its term.
pub const KEYS_CHECKED_AT_ONCE_MAX: usize = 32;

/// Keys that wait to be looked up. One more is looked up at its next frame, if there is room then.
pub const KEYS_UNCHECKED_MAX: usize = 65_536;

/// Keys that a partition has seen in its term. With one more all of them are forgotten, and looked up again.
pub const KEYS_SEEN_MAX: usize = 65_536;

/// How long the store may take over a key. It is asked again then.
pub const KEY_CHECK_TIME_MAX: Duration = Duration::from_secs(10);
