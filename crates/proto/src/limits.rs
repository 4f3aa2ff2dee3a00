//! Every maximum of the engine, with its unit and source. A test stands on each side of each edge.

use core::time::Duration;

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
// ---- edge: connections, handshakes, keys at hand ----

/// Handshakes that one address may start in a minute, in the long run.
pub const HANDSHAKES_PER_MINUTE: u32 = 120;

/// Handshakes that one address may start at once.
pub const HANDSHAKES_BURST: u32 = 240;

/// Connections that one address may hold: a whole company behind one address stays below it.
pub const CONNECTIONS_PER_ADDRESS_MAX: u32 = 1000;

/// Connections of one gateway process: below the 20,000 files that a process may commonly open.
pub const CONNECTIONS_MAX: u32 = 16_384;

/// Addresses that a gateway keeps account of; some 100 bytes each.
pub const ADDRESSES_MAX: usize = 65_536;

/// Look-ups of keys that a gateway runs at once.
pub const KEY_LOADS_MAX: usize = 1024;

/// Keys, and ids known to be absent, that a gateway holds while nobody uses them.
pub const KEYS_UNUSED_MAX: usize = 65_536;

/// How long a gateway holds a key after its last use.
pub const KEY_UNUSED_MAX: Duration = Duration::from_secs(60);

/// How long a gateway believes that a key is absent.
pub const KEY_ABSENT_MAX: Duration = Duration::from_secs(2);

// ---- link: one connection ----

/// From a connection's start to knowing its transport.
pub const DETECT_MAX: Duration = Duration::from_secs(10);

/// From a frame's first byte to its last.
pub const FRAME_MAX: Duration = Duration::from_secs(30);

/// From a connection's start to its first authentic message or the end of an exchange.
pub const HANDSHAKE_MAX: Duration = Duration::from_secs(60);

/// Between two complete frames of a client, by default.
pub const IDLE_MAX: Duration = Duration::from_secs(120);

/// How long a frame waits for its key.
pub const KEY_WAIT_MAX: Duration = Duration::from_secs(5);

/// Frames of one link that wait for keys.
pub const WAITING_FRAMES_MAX: usize = 1024;

/// Bytes of the frames of one link that wait for keys.
pub const WAITING_BYTES_MAX: usize = 2 << 20;

/// Keys that one link uses.
pub const KEYS_PER_LINK_MAX: usize = 16;

/// Exchange messages of one link that wait for their answers.
pub const EXCHANGE_MESSAGES_MAX: usize = 8;
