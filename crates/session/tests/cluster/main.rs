//! Session nodes of a cluster in one process: who owns what, what goes from one to another, and who decides it.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod checks;
mod owners;
mod ownership;
mod rig;
mod steward;
mod store;
