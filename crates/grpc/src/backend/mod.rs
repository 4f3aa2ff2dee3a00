//! Business logic in another process.
//!
//! ```text
//!  session host ──Call──> RemoteBackend ════ Call, Calls ════> BackendService ──Call──> Backend
//!                              │  └─ effect: set_user ──> Pushes                           │
//!                              └═══════════ Push, SetUser, Pushes <═══ RemotePushes <──────┘
//! ```

mod remote;
mod service;
mod stream;

pub(crate) use remote::failed;
pub use remote::{Form, RemoteBackend};
pub use service::BackendService;
