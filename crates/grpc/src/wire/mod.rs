//! Between the messages of the contracts and the values of the ports.
//!
//! What comes from another process is checked here, once.

mod backend;
mod keys;

pub(crate) use backend::{call_from, call_to, push_from, push_to, reply_from, reply_to};
pub(crate) use keys::{bound_from, bound_to, record_from, record_to};

/// A message of the other side breaks its contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(
    /// What is wrong.
    pub(crate) &'static str,
);

impl From<Malformed> for tonic::Status {
    fn from(malformed: Malformed) -> Self {
        Self::invalid_argument(malformed.0)
    }
}
