//! Updates downwards, from a backend in another process.

mod remote;
mod service;

pub use remote::RemotePushes;
pub use service::PushService;
