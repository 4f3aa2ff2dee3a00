//! Both ends of each contract over real sockets.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod backend;
mod certificates;
mod cluster;
mod compaction;
mod discovery;
mod etcd;
mod keys;
mod limits;
mod metrics;
mod nodes;
mod owners;
mod process;
mod ring;
mod roles;
mod sessions;
mod traces;
