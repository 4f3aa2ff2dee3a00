//! The sans-IO engine of `MTProto` 2.0, for both roles.
//!
//! Bytes and timestamps go in, bytes and effects come out. Nothing here opens a socket, reads a clock, draws
//! entropy, spawns a thread or logs: all of that is an argument, so that a whole cluster runs on one thread from
//! one seed.
//!
//! ```text
//!           bytes                    frames             messages             bodies
//!  socket ────────> transport::decode ────> envelope::open ────> Session<S> ────> Backend / caller
//!         <──────── transport::encode <──── envelope::seal <──── (outbox)   <────
//!                   exchange::{client,server} until a key exists
//!         └──────────── link: lives with its socket ────────────┘└─ session: outlives it ─┘
//! ```
//!
//! Start reading at [`link`].

pub mod client;
mod crossing;
pub mod cx;
pub mod dc;
pub mod edge;
pub mod envelope;
pub mod exchange;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod host;
pub mod ids;
pub mod limits;
pub mod link;
pub mod port;
pub mod reconnect;
pub mod remedy;
pub mod ring;
pub mod session;
pub mod side;
pub mod transport;
pub mod updates;
