//! The session host as a shell: [`heliogram_proto::host`] behind locks, with a clock, entropy and a backend.
//!
//! [`LocalPort`] is the port of one process: a connection's own task runs the session's step under its shard's lock,
//! held for microseconds. Nothing here knows sockets, frames or keys' bodies; nothing decides what a message means.
//!
//! ```text
//!  gateway ──submit──> prepare ──> shard: lock { Host::handle } ──> Call ──> Backend ──┐
//!     ^                              ^                          └─> Ready ─> wake      │
//!     └───────────drain──────────────┤<──────────── Answer ────────────────────────────┘
//!                                    └── alarm: the earliest deadline of all shards
//! ```

mod alarm;
mod checks;
mod keys;
pub mod limits;
mod links;
mod local;
mod metrics;
mod owners;
mod ownership;
mod pushes;
mod shard;
mod steward;
mod undelivered;

pub use self::local::LocalPort;
pub use self::steward::Steward;
