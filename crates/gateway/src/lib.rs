//! Listeners and connection loops: sockets in front of the pure [`Link`](heliogram_proto::link::Link).
//!
//! ```text
//!  TCP, WebSocket ──> admit ──> Connection: one task ──turn──> SessionPort
//!                                  │   ^
//!                     wants a key  │   │ mail
//!                     or exchange  v   │
//!                             Edge: key cache, exchange table, limits ──> AuthKeys, worker threads
//! ```
//!
//! Knows no session: whom a message belongs to, and what it means, is behind
//! [`SessionPort`](heliogram_ports::SessionPort). Decides nothing about the protocol either: that is in
//! `heliogram_proto`, and here are only the clocks, the entropy, the sockets and the threads that it lacks.
//!
//! Logs name no secret; addresses appear at `debug` and below.

mod config;
mod connection;
mod edge;
mod fanout;
mod gateway;
mod handle;
mod listening;
mod metrics;
mod on_drop;
mod pool;
mod steps;
mod traces;

pub use config::{Config, Listener, ListenerKind};
pub use gateway::{Control, Gateway};
pub use heliogram_proto::exchange::server::Config as ExchangeConfig;
