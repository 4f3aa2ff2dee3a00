//! Every maximum of the contracts, with its unit. A test stands on each side of each edge.

use std::time::Duration;

use heliogram_proto::limits::{CROSSING_BYTES_MAX, FRAME_BYTES_MAX_CLIENT, UNPACKED_BYTES_MAX};

/// Bytes of one message on the wire: the largest call, answer or frame, and what is around it.
pub const MESSAGE_BYTES_MAX: usize = larger(FRAME_BYTES_MAX_CLIENT, UNPACKED_BYTES_MAX) + (1 << 20);

/// Bytes from which no more is added to a batch; one larger item travels alone.
pub const BATCH_BYTES: usize = 256 << 10;

/// Calls that one backend is asked at the same time, unless it is told otherwise; one more is refused.
pub const CALLS_MAX: usize = 16_384;

/// Calls of one stream that a backend runs at the same time; one more fails.
pub const CALLS_PER_STREAM_MAX: usize = 16_384;

/// How long a backend may take for an answer, unless it is told otherwise.
pub const CALL_PATIENCE: Duration = Duration::from_secs(60);

/// Calls in a row that a backend fails, unless it is told otherwise, before it gets none for a while.
pub const FAILURES_MAX: u32 = 20;

/// For how long it gets none, unless it is told otherwise.
pub const FAILURES_PAUSE: Duration = Duration::from_secs(2);

/// How long a question about a key, or about a user, may take.
pub const QUESTION_PATIENCE: Duration = Duration::from_secs(10);

/// How long a gateway asks one session node after another about a key: longer than frames wait for one.
pub const KEYS_PATIENCE: Duration = Duration::from_secs(6);

/// How long a gateway waits for one session node's answer about a key before it asks the next.
pub const KEYS_ATTEMPT_MAX: Duration = Duration::from_secs(2);

/// How long a session node that could not say anything about a key is asked last.
pub const NODE_AVOIDED: Duration = Duration::from_secs(5);

/// Pause before a connection or a question that has failed is tried again, at first.
pub const RETRY_PAUSE_MIN: Duration = Duration::from_millis(50);

/// Pause before a connection or a question that has failed is tried again, in the end.
pub const RETRY_PAUSE_MAX: Duration = Duration::from_secs(2);

/// Bytes of pushes that wait for a session node, or for its word that they have arrived; what does not fit is replaced
/// by `updatesTooLong`.
pub const PUSHES_WAITING_BYTES_MAX: usize = 64 << 20;

/// Users and sessions that wait for their `updatesTooLong`; of more, the rest hears nothing.
pub const PUSHES_MISSED_MAX: usize = 1 << 20;

/// Bytes of frames that wait for a session node, or for an owner to be there; the connection of one more is closed, so that its
/// client comes again.
pub const FRAMES_WAITING_BYTES_MAX: usize = 64 << 20;

/// Bytes of frames from which no more is read from the connections that have them there.
pub const FRAMES_WELCOME_BYTES_MAX: usize = FRAMES_WAITING_BYTES_MAX / 2;

/// How long frames wait for an owner, and for a stream to it; then their connection is closed.
pub const FRAMES_WAITING_MAX: Duration = Duration::from_secs(5);

/// How long a connection may stay with an owner that is none any more, so that it gets what the owner still has for it.
pub const LEAVING_MAX: Duration = Duration::from_secs(1);

/// Sessions of one connection that can be brought back when a stream has broken. One with more is closed then.
pub const TIES_PER_LINK_MAX: usize = 16;

/// Bytes that a session node sends for one connection before it is told that the connection has taken some of them. What
/// was drained at once is sent at once, in as many messages as it takes.
pub const LINK_WINDOW_BYTES: usize = 256 << 10;

/// Bytes of what waits for the owners at one other session node, or for its word that they have it. Of more, inputs find no way,
/// and pushes become `updatesTooLong`.
pub const OWNERS_WAITING_BYTES_MAX: usize = 64 << 20;

/// News of keys that wait for a gateway; it misses more of them, as it may.
pub const NEWS_WAITING_MAX: usize = 65_536;

/// How long an answer waits until the session node knows who has logged in by it.
pub const USER_PATIENCE: Duration = Duration::from_secs(5);

/// How long a handshake of TLS may take.
pub const TLS_HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// Handshakes of TLS that run at the same time; more connections wait in the listener's queue.
pub const TLS_HANDSHAKES_MAX: usize = 256;

/// Pause between two signs of life on a connection, and how long the answer to one may take.
pub const KEEPALIVE: Duration = Duration::from_secs(10);

/// Requests of one connection that are open at the same time.
pub const REQUESTS_PER_CONNECTION_MAX: u32 = 32_768;

/// Spans that wait for a collector of traces; one more is dropped.
pub const SPANS_WAITING_MAX: usize = 4096;

/// Spans of one message to a collector.
pub const SPANS_PER_BATCH_MAX: usize = 512;

/// How long a span waits for others to go with, at most.
pub const SPAN_PAUSE: Duration = Duration::from_secs(1);

/// How long a collector may take for a message; then the spans in it are given up.
pub const COLLECTOR_PATIENCE: Duration = Duration::from_secs(10);

// What owners have for each other, behind others in one batch and with the names of its connections.
const _: () = assert!(CROSSING_BYTES_MAX + 2 * BATCH_BYTES <= MESSAGE_BYTES_MAX);

/// How short a lease may be: etcd gives none of less than two seconds.
pub const LEASE_MIN: Duration = Duration::from_secs(2);

/// How long one member of etcd may take to answer, before another is asked.
pub const ETCD_ATTEMPT: Duration = Duration::from_secs(2);

/// How long etcd is asked for one thing, all attempts together: the last begins before that.
pub const ETCD_PATIENCE: Duration = Duration::from_secs(5);

const fn larger(a: usize, b: usize) -> usize {
    if a > b { a } else { b }
}
