//! A client of `MTProto` servers: connection, keys, calls, updates, data centres.
//!
//! ```text
//!  Client ──invoke──> one task per data centre ──> Engine (sans-IO) <──> socket
//!     ^                                              │
//!     └──────────── answers, updates ────────────────┘
//! ```
//!
//! ```
//! use heliogram_client::tl::functions::help::GetNearestDc;
//! use heliogram_client::{Client, DataCentre, PublicKey};
//!
//! # use heliogram_testkit::server::{Servers, public_key};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let servers = Servers::start([2])?;
//! # let address = servers.at(2).address();
//! # let pem = public_key().to_pkcs1_pem();
//! let client = Client::builder()
//!     .api_id(4)
//!     .api_hash("014b35b6184100b085b0d0572f9b5103")
//!     .server_key(PublicKey::from_pem(&pem)?)
//!     .data_centre(DataCentre::new(2, [address]))
//!     .connect()
//!     .await?;
//! println!("{:?}", client.invoke(&GetNearestDc {}).await?);
//! client.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! The [manual] goes on from there: transports and proxies, errors, keys that are kept, data centres. The feature
//! `layer-222`, on by default, is the types of the API, [`tl`]; without it calls are [`Method`]s of your own schema.
//!
//! What the protocol is stands in [`heliogram_proto::client`], without a socket; here are the sockets, the clocks, the
//! entropy and the tasks that it lacks, and what a user of an API wants: typed calls, retries, data centres.
//!
//! Never talks to anybody but the servers that its [`Builder`] was given.

mod begun;
mod builder;
mod calls;
mod client;
mod dial;
mod directory;
mod error;
mod exchange;
#[cfg(feature = "layer-222")]
pub mod files;
mod introduction;
mod limits;
mod line;
mod lines;
#[cfg(feature = "layer-222")]
pub mod manual;
mod method;
mod mtproxy;
#[cfg(feature = "layer-222")]
mod nesting;
mod notices;
mod passes;
mod reach;
mod retry;
mod rpc_error;
mod setup;
pub mod storage;
mod telegram;
#[cfg(feature = "layer-222")]
pub mod updates;
mod upkeep;
mod with_reconnect;

pub use begun::Begun;
pub use builder::Builder;
pub use bytes::Bytes;
pub use client::Client;
pub use error::{ConnectError, InvokeError, Lost};
pub use exchange::Exchanged;
/// Methods, types and objects of API layer 222.
#[cfg(feature = "layer-222")]
pub use grammers_tl_types as tl;
pub use heliogram_crypto::rsa::PublicKey;
pub use heliogram_ports::clock::Clock;
pub use heliogram_proto::dc::DcTable;
pub use heliogram_proto::reconnect::Policy as Reconnect;
pub use heliogram_proto::remedy::Remedy;
pub use heliogram_proto::session::client::SavedSession;
pub use heliogram_proto::transport::Framing;
pub use heliogram_proto::transport::client::Obfuscation;
pub use introduction::Device;
pub use limits::SHUTDOWN_MAX;
pub use method::{Method, Raw};
pub use mtproxy::{BadProxy, MtProxy, ProxySecret};
pub use notices::{Notice, Notices};
pub use reach::{DataCentre, IpVersions, Proxy, Transport};
pub use rpc_error::{RpcError, RpcErrorKind};
pub use with_reconnect::{with_reconnect, with_reconnect_if};
