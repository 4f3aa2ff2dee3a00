//! Keys in another process.

mod nodes;
mod remote;
mod service;

pub use nodes::NodesKeys;
pub use remote::RemoteKeys;
pub use service::{KeyChangesService, KeysService};
