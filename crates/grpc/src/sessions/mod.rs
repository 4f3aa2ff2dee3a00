//! Sessions in other processes: one ordered stream for each pair of a gateway and a session node.
//!
//! ```text
//!  connection ──submit──> parked ──> waiting ══ Frame, Attach, Detach, Credit ══> LocalPort::submit
//!      ^          no way to the owner: 5 s                                            │ wake
//!      └─wake, drain── inbox <══ Seal, QuickAck, Close, taken ══════════════ drain <──┘ while the link is owed less than a window
//! ```
//!
//! A frame goes to the node that owns its identity, under the term that the gateway takes the owner to have: a host of
//! another refuses it. The node drains a link only when the stream takes more, so message ids are given as late as can be,
//! and wire order is the order of ids. A slow client gives no credit, and its messages stay in their sessions.
//!
//! Nothing is sent twice. When a stream breaks, connections with frames of which nobody knows whether a host has taken them
//! are closed: their clients come again. The others are brought back on the next stream, and their sessions send what was not
//! acknowledged. When a partition gets another owner the connections that used it are closed.

mod gateways;
mod links;
mod ring;
mod service;
mod state;
mod stream;

pub use gateways::Gateways;
pub(crate) use gateways::LinkName;
pub use ring::RingSessions;
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
