//! Maxima of the stream of updates. What the sequences themselves keep is bounded in
//! [`heliogram_proto::limits`].

/// Objects that wait for a stream that is not read. One more, and they give way to the difference.
pub(super) const FEED_OBJECTS_MAX: usize = 10_000;

/// Their bytes, together.
pub(super) const FEED_BYTES_MAX: usize = 32 << 20;

/// Requests for differences of channels that are under way at once; others wait for their turn.
pub(super) const CHANNEL_REQUESTS_MAX: usize = 10;

/// Events that are asked for in one difference of a channel: the most that a user, as against a bot, is given.
///
/// Source: <https://core.telegram.org/api/updates#recovering-gaps>.
pub(super) const CHANNEL_DIFFERENCE_EVENTS: i32 = 100;

/// Channels that are asked about regularly: the most that the API wants.
///
/// Source: <https://core.telegram.org/api/updates#subscribing-to-updates-of-channels-supergroups>.
pub const OPEN_CHANNELS_MAX: usize = 10;

/// After how many seconds an open channel is asked about again if the server says nothing of it.
pub(super) const POLL_S: u64 = 1;

/// Users whom a stream remembers having been told of; as many basic groups, and as many channels.
pub(super) const KNOWN_MAX: usize = 65_536;
