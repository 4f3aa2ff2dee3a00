//! Keys in another process: a gateway holds no credentials of a store.

mod remote;
mod service;

pub use remote::RemoteKeys;
pub use service::{KeyChangesService, KeysService};
