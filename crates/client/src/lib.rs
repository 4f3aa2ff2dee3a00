//! A client of `MTProto` servers: connection, keys, calls, updates, data centres.
//!
//! ```text
//!  Client ──invoke──> one task per data centre ──> Engine (sans-IO) <──> socket
//!     ^                                              │
//!     └──────────── answers, updates ────────────────┘
//! ```
//!
//! What the protocol is stands in [`heliogram_proto::client`], without a socket; here are the sockets, the clocks, the
//! entropy and the tasks that it lacks, and what a user of an API wants: typed calls, retries, data centres.
//!
//! Never talks to anybody but the servers that its [`Builder`] was given.

mod builder;
mod client;
mod dial;
mod error;
mod introduction;
mod line;
mod method;
mod notices;
mod retry;
pub mod storage;

pub use builder::{Builder, DataCentre, Proxy, Transport};
pub use client::{Client, Notice, SHUTDOWN_MAX, Updates};
pub use error::{ConnectError, InvokeError, Lost, RpcError};
pub use heliogram_crypto::rsa::PublicKey;
pub use heliogram_proto::reconnect::Policy as Reconnect;
pub use heliogram_proto::remedy::Remedy;
pub use introduction::Device;
pub use method::{Method, Raw};
