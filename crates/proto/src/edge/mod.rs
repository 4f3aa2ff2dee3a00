//! What a gateway is, without sockets: who may connect, which keys are at hand, what waits for a connection.
//!
//! Each part is a machine of its own; a shell (or a simulator) carries their effects between them and the links.

pub mod exchanges;
pub mod fanout;
pub mod keys;
pub mod limiter;
pub mod mailbox;
pub mod network;
