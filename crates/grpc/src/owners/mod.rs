//! What the owners of one session node have for those of another: one ordered stream from each node to each other one.
//!
//! ```text
//!  LocalPort ──send──> waiting ══ input, push ══> OwnersHere::deliver
//!                        ^  sent <══ taken ═══════════┘
//!                        └───┘ the stream broke: what may come twice is sent again
//! ```
//!
//! An owner knows a frame, an answer, a user and a revoked key when it comes a second time: they are sent again when nobody knows
//! whether they have arrived. Sessions that are handed over, and pushes, it would take twice: the connections of the ones are
//! closed, and `updatesTooLong` stands for the others.
//!
//! A connection is named by its gateway and the gateway's number for it.

mod queue;
mod remote;
mod service;

pub use remote::RemoteOwners;
pub use service::OwnersService;
