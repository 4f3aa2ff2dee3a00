//! Both roles: against transcripts of others, against each other, against a hostile peer.

mod transcripts;
