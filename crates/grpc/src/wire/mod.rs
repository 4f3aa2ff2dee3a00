//! Between the messages of the contracts and the values of the ports.
//!
//! What comes from another process is checked here, once.

mod backend;
mod frames;
mod keys;

pub(crate) use backend::{call_from, call_to, push_from, push_to, reply_from, reply_to};
pub(crate) use frames::{attach_from, attach_to, down_to, frame_from, frame_to, seal_from};
pub(crate) use keys::{bound_from, bound_to, facts_from, facts_to, record_from, record_to};

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

/// What is secret, and salts, are shown to nobody.
macro_rules! redacted {
    ($($name:ident),*) => {
        $(impl std::fmt::Debug for wire::$name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        })*
    };
}

use redacted;
