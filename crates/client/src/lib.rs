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

mod begun;
mod builder;
mod client;
mod dial;
mod error;
mod exchange;
mod introduction;
mod line;
mod method;
mod mtproxy;
mod notices;
mod reach;
mod retry;
mod rpc_error;
mod setup;
pub mod storage;
mod telegram;
mod with_reconnect;

pub use begun::Begun;
pub use builder::Builder;
pub use client::{Client, SHUTDOWN_MAX};
pub use error::{ConnectError, InvokeError, Lost};
pub use exchange::Exchanged;
pub use heliogram_crypto::rsa::PublicKey;
pub use heliogram_proto::dc::DcTable;
pub use heliogram_proto::reconnect::Policy as Reconnect;
pub use heliogram_proto::remedy::Remedy;
pub use heliogram_proto::session::client::SavedSession;
pub use heliogram_proto::transport::Framing;
pub use heliogram_proto::transport::client::Obfuscation;
pub use introduction::Device;
pub use method::{Method, Raw};
pub use mtproxy::{BadProxy, MtProxy, ProxySecret};
pub use notices::{Notice, Notices};
pub use reach::{DataCentre, IpVersions, Proxy, Transport};
pub use rpc_error::{RpcError, RpcErrorKind};
pub use with_reconnect::{with_reconnect, with_reconnect_if};
