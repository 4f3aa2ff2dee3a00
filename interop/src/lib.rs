//! Real clients of other projects against this server.
