//! Both ends of each contract over real sockets.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod backend;
mod certificates;
mod cluster;
mod keys;
mod metrics;
mod process;
mod roles;
mod sessions;
mod traces;
