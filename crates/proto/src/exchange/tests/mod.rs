//! Both roles: against transcripts of others, against each other, against a peer that breaks one rule at a time.

mod flips;
mod hostile_client;
mod hostile_server;
mod pair;
mod transcripts;
