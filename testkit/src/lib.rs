//! A simulated cluster under faults, on one thread from one seed, and checkers of what is promised.
//!
//! Real links, key caches, hosts and client sessions; a network, clocks, a store, a ring and a backend that are made
//! up. Virtual time, so that hours take seconds. Everything is decided by the seed: a failure names it, and the same
//! seed fails the same way.
//!
//! ```text
//! clients ─┬─ network ─> 2 edges ─┬─ streams ─> 3 nodes: a Host per partition ──> backend
//! stranger ┘  (bytes)    (Links)  │                                                  │
//!                                 └─ ring: who owns what, learnt late                v
//!                        store: keys, late or unavailable                     tokens are counted
//! ```
//!
//! The checkers in [`check`](self) see what crosses the borders between these parts, and know nothing of what the
//! workload wants. [`Mutation`]s are bugs planted on purpose, to see that the checkers find them.
//!
//! Beside it, with the feature `server`: real servers in this process and a scripted backend of API layer 222, for tests
//! of clients.

#![expect(
    clippy::indexing_slicing,
    reason = "a simulator that is wrong about its own parts may stop"
)]

#[cfg(feature = "server")]
pub mod backend;
mod body;
mod business;
mod check;
mod client;
mod coverage;
mod dice;
mod edge;
mod faults;
mod hostile;
mod keys;
mod messages;
mod mutation;
mod net;
mod node;
mod plan;
mod push;
mod queue;
mod ring;
mod run;
#[cfg(feature = "server")]
pub mod server;
mod store;
mod stranger;
mod world;

pub use check::Failure;
pub use coverage::Coverage;
pub use hostile::break_every_rule;
pub use mutation::Mutation;
pub use run::{Report, run, run_traced};
