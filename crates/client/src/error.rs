//! Why a call has no result.

use heliogram_proto::client::Failure;

use crate::RpcError;

/// Why a call has no result.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InvokeError {
    /// The client was shut down, or has given up connecting, before an answer came.
    #[error("the connection ended before an answer came: {0}")]
    ConnectionLost(Lost),
    /// The answer is no object of the schema's type.
    #[error("the answer can't be read as the method's result: {0}")]
    Malformed(String),
    /// The server answered with an error.
    #[error("{0}")]
    Rpc(#[from] RpcError),
    /// No answer came in the time that the call had. The server is told to drop it; whether it was executed is unknown.
    #[error("no answer came in time")]
    TimedOut,
    /// More calls wait for their answers than a session may have.
    #[error("too many calls wait for their answers")]
    TooManyCalls,
    /// Nobody can say whether the call was executed. Make it again only if that does no harm.
    #[error("the server can't tell whether it has executed the call")]
    Uncertain,
    /// A method is a whole number of four-byte words, and fits a message: a mebibyte, less some room for headers.
    #[error("{0} bytes are no method that can be sent")]
    Unsendable(usize),
    /// The server names a data centre that the client was given no address of.
    #[error("data centre {0} is unknown: add its address with Builder::data_centre")]
    UnknownDataCentre(i32),
}

/// Why a connection is gone for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Lost {
    /// There is no way on.
    #[error("{0}")]
    Failed(Failure),
    /// The client was shut down.
    #[error("the client was shut down")]
    ShutDown,
}

/// Why a client can't begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// Something that every client needs was not given.
    #[error("{0} is missing: call Builder::{0}")]
    Missing(&'static str),
    /// What was given doesn't go together.
    #[error("{0}")]
    Misconfigured(&'static str),
    /// The keys that were kept can't be read.
    #[error("the key storage: {0}")]
    Storage(#[source] crate::storage::StorageError),
    /// No connection or no key.
    #[error("{0}")]
    Failed(#[from] Lost),
}
