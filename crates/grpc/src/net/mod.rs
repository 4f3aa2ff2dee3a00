//! Connections between processes: who may connect, and as what.
//!
//! Plaintext stays on the machine: loopback and Unix sockets. Everything else is TLS 1.3 with certificates on both ends,
//! and a certificate names the roles of its owner.

mod address;
mod dial;
mod io;
mod role;
mod serve;
mod tls;

pub use address::{Address, AddressError};
pub use dial::dial;
pub(crate) use dial::{dial_host, dial_plainly};
pub use role::Role;
pub use serve::{Bound, Server};
pub use tls::{Tls, TlsError, TlsFiles};
