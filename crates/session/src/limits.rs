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

/// How long a [`Steward`](crate::Steward) waits before it tries again what has failed, unless the view changes.
pub const RETRY_PAUSE: Duration = Duration::from_millis(500);
