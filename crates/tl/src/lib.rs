//! TL, the serialisation language of MTProto: wire codec with limits, schema parser, service types.
//!
//! Reading borrows from the input and allocates nothing: strings are slices of it, and a [`Vector`] is a checked view
//! whose elements are decoded as they are iterated. What a peer claims (a count, a length, a depth) is compared with
//! what is really there and with [`Limits`] before it is believed.
//!
//! - [`Reader`], [`Writer`], [`Serialize`], [`Deserialize`]: the codec.
//! - [`mtproto`]: the service messages, generated from `schema/mtproto.tl`.
//! - [`api`]: wrappers and the few API types that the protocol layer itself needs, from `schema/api.tl`.
//! - [`dynamic`]: values of any schema, for tools that know no types.
//! - [`gzip`]: what `gzip_packed` holds, read within a bound and written.
//! - [`layer`]: names, ids and fields of every method and constructor of the API layer.
//! - [`schema`]: the parser of TL schemas.
//!
//! ```
//! use heliogram_tl::mtproto::MsgsAck;
//! use heliogram_tl::{Deserialize, Serialize, Vector};
//!
//! let ids = [4, 8];
//! let body = MsgsAck { msg_ids: Vector::from(&ids) }.to_bytes();
//! let read = MsgsAck::from_bytes(&body)?;
//! assert_eq!(read.msg_ids.iter().sum::<i64>(), 12);
//! # Ok::<(), heliogram_tl::Error>(())
//! ```
//!
//! The crate does not decide what a message means or what an error costs its sender, it has no types for the whole
//! API, and it treats `string` as bytes: whether text is UTF-8 is its reader's business.
//!
//! Sources: <https://core.telegram.org/mtproto/TL>, <https://core.telegram.org/mtproto/serialize>.

pub mod dynamic;
mod error;
mod generated;
pub mod gzip;
pub mod layer;
pub mod limits;
mod message;
mod reader;
pub mod schema;
mod traits;
mod vector;
mod writer;

pub use error::Error;
pub use generated::{api, mtproto};
pub use limits::Limits;
pub use reader::Reader;
pub use traits::{Bare, Deserialize, DeserializeBare, Serialize, SerializeBare};
pub use vector::{Iter, Vector};
pub use writer::Writer;

/// Returns the constructor id that a boxed object begins with, if it is long enough to have one.
#[must_use]
pub fn peek_id(object: &[u8]) -> Option<u32> {
    object.first_chunk().copied().map(u32::from_le_bytes)
}
