//! Every maximum of the engine, with its unit and source. A test stands on each side of each edge.

/// Bytes of one frame's payload before its sender has shown a key: the largest message of an exchange has some 660.
///
/// Source: `docs/adr/0006-exchange-limits.md`.
pub const FRAME_BYTES_MAX_BEFORE_KEY: usize = 4096;

/// Bytes of one frame's payload from a client that has shown a key.
///
/// Telegram accepts 1,044,480; a power of two is easier to configure everywhere.
pub const FRAME_BYTES_MAX_SERVER: usize = 1 << 20;

/// Bytes of one frame's payload from a server.
pub const FRAME_BYTES_MAX_CLIENT: usize = 16 << 20;

// Transport

/// Bytes that are read and dropped of an obfuscated stream that fits no secret, before the connection is closed.
///
/// As many as a real client might send in its first seconds, so that a prober sees no difference.
pub const SKIPPED_BYTES_MAX: usize = 64 << 10;
