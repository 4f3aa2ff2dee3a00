//! Envelopes, sessions and their host, from outside: over virtual time, without a runtime.

// Says to the lints what Cargo knows: all of this is a test.
#![cfg(test)]

mod apart;
mod attach;
mod binding;
mod calls;
mod client;
mod envelopes;
mod faults;
mod handover;
mod http;
mod kept;
mod keys;
mod limits;
mod order;
mod pair;
mod pushes;
mod refusals;
mod service;
mod support;
mod talk;
mod tally;
mod wrappers;
