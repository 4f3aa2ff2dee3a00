//! Sessions in another process: one ordered stream for a gateway and a session node.
//!
//! ```text
//!  connection ──submit──> waiting ══ Frame, Detach, Credit ══> LocalPort::submit
//!      ^                                                            │ wake
//!      └─wake, drain── inbox <══ Seal, QuickAck, Close ════ drain <─┘ while the link is owed less than a window
//! ```
//!
//! The node drains a link only when the stream takes more, so message ids are given as late as can be, and wire order is
//! the order of ids. A slow client gives no credit, and its messages stay in their sessions.
//!
//! A stream that breaks takes its connections with it: which of their frames have arrived nobody knows. Their clients come
//! again, and the sessions send what was not acknowledged.

mod remote;
mod service;

pub use remote::RemoteSessions;
pub use service::SessionsService;

use heliogram_ports::FromHost;

/// Returns what an item counts against a link's window.
fn cost(item: &FromHost) -> usize {
    match item {
        FromHost::Seal { body, .. } => body.len() + ITEM_BYTES,
        FromHost::QuickAck { .. } | FromHost::Close { .. } => ITEM_BYTES,
    }
}

/// What is around a body, about.
const ITEM_BYTES: usize = 64;
