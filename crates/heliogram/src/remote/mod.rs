//! A server somewhere else, called by a tool: options that say which and how, and what it means when that fails.

mod failure;
mod known;
mod options;

pub(crate) use failure::{EXIT_CODES, Failure};
pub(crate) use known::{Known, SchemaOptions};
pub(crate) use options::ConnectOptions;
