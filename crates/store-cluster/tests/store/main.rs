//! The store as its users see it, with a real MariaDB and a real Redis, and with either of them gone.

#![cfg(test)]

mod cache;
mod faults;
mod metrics;
mod record;
mod rig;
mod stale;
mod users;
