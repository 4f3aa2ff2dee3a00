//! Every maximum of the client, with its unit and source. A test stands on each side of each edge.
//!
//! Those of the protocol itself are in [`heliogram_proto::limits`].

use std::time::Duration;

use heliogram_proto::limits::FRAME_BYTES_MAX_SERVER;

// ---- calls ----

/// Bytes of a method: what a server takes, less room for an envelope with its padding and for an introduction.
pub(crate) const METHOD_BYTES_MAX: usize = FRAME_BYTES_MAX_SERVER - (4 << 10);

/// KiB of all calls that wait for their answers: half of what our own server takes of a session.
pub(crate) const CALLS_KIB_MAX: usize = 16 << 10;

/// No call waits longer, whatever it is allowed: timers end somewhere.
pub(crate) const CALL_TIME_MAX: Duration = Duration::from_hours(24 * 365);

/// How long [`Client::shutdown`](crate::Client::shutdown) waits for answers.
pub const SHUTDOWN_MAX: Duration = Duration::from_secs(5);

/// Levels of objects within objects in what a server sends: more than anything has, and little for a stack.
#[cfg(feature = "layer-222")]
pub(crate) const LEVELS_MAX: usize = 64;

// ---- connections ----

/// How long the addresses of a data centre may take together: a little less than an engine waits for a connection.
pub(crate) const DIAL_MAX: Duration = Duration::from_secs(9);

/// Bytes that wait for a peer who does not read, from which on nothing is sent any more: one message may be beyond.
pub(crate) const WAITING_BYTES_MAX: usize = 1 << 20;

/// How long an ending line waits for its last bytes to leave.
pub(crate) const FLUSH_MAX: Duration = Duration::from_secs(1);

/// Bytes of a proxy's name, as long as a name may be.
pub(crate) const HOST_BYTES_MAX: usize = 253;

/// Bytes of a part of a file: the most that servers take, and half of what they give.
#[cfg(feature = "layer-222")]
pub(crate) const FILE_PART_BYTES: usize = 512 << 10;

/// Parts of one transfer that are asked for, or sent, at a time.
#[cfg(feature = "layer-222")]
pub(crate) const FILE_PARTS_IN_FLIGHT_MAX: usize = 64;

/// Parts of a file: as many as servers take of everybody.
#[cfg(feature = "layer-222")]
pub(crate) const FILE_PARTS_MAX: i32 = 4000;

/// Bytes of a file that is sent as a small one, with its MD5.
#[cfg(feature = "layer-222")]
pub(crate) const SMALL_FILE_BYTES_MAX: u64 = 10 << 20;

/// Connections to one data centre that carry files.
pub(crate) const FILE_CONNECTIONS_MAX: usize = 16;

/// How long a connection for files stays when no file moves.
pub(crate) const FILE_LINE_IDLE_MAX: Duration = Duration::from_secs(30);

/// What servers say of their addresses counts for so long at least, and at most: neither does a bad date make a client ask all
/// the time, nor never.
pub(crate) const CONFIG_LIFE_MIN: Duration = Duration::from_secs(60);
/// As above.
pub(crate) const CONFIG_LIFE_MAX: Duration = Duration::from_hours(24);

// ---- key files ----

/// Data centres whose keys are kept: two hundred times as many as Telegram has.
pub(crate) const KEYS_MAX: usize = 1000;

/// KiB of memory that a key file may ask for before its passphrase can be tried: one that somebody else wrote must not take
/// all memory, or all day.
pub(crate) const ARGON_KIB_MAX: u32 = 1 << 20;

/// Passes over it.
pub(crate) const ARGON_PASSES_MAX: u32 = 64;

/// Lanes of it.
pub(crate) const ARGON_LANES_MAX: u32 = 16;

// ---- updates ----

/// Objects that wait for a stream that is not read. One more, and they give way to the difference.
#[cfg(feature = "layer-222")]
pub(crate) const FEED_OBJECTS_MAX: usize = 10_000;

/// Their bytes, together.
#[cfg(feature = "layer-222")]
pub(crate) const FEED_BYTES_MAX: usize = 32 << 20;

/// Requests for differences of channels that are under way at once; others wait for their turn.
#[cfg(feature = "layer-222")]
pub(crate) const CHANNEL_REQUESTS_MAX: usize = 10;

/// Events that are asked for in one difference of a channel: the most that a user, as against a bot, is given.
///
/// Source: <https://core.telegram.org/api/updates#recovering-gaps>.
#[cfg(feature = "layer-222")]
pub(crate) const CHANNEL_DIFFERENCE_EVENTS: i32 = 100;

/// Channels that are asked about regularly: the most that the API wants.
///
/// Source: <https://core.telegram.org/api/updates#subscribing-to-updates-of-channels-supergroups>.
#[cfg(feature = "layer-222")]
pub const OPEN_CHANNELS_MAX: usize = 10;

/// After how many seconds an open channel is asked about again if the server says nothing of it.
#[cfg(feature = "layer-222")]
pub(crate) const POLL_S: u64 = 1;

/// Users whom a stream remembers having been told of; as many basic groups, and as many channels.
#[cfg(feature = "layer-222")]
pub(crate) const KNOWN_MAX: usize = 65_536;
