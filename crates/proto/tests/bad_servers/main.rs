//! Servers that break one rule at a time, met by a whole client: the right error, and nothing used of what was bad.
//!
//! The steps alone are tested where they are (`exchange/tests/hostile_server.rs`, `envelope`, `session`). Here the engine
//! goes through its connections, retries and keys on virtual time, as a shell has it do.

#![cfg(test)]

mod envelopes;
mod exchanges;
mod forger;
mod keymaker;
mod world;
