//! Why a call has no result.

use heliogram_proto::client::Failure;
use heliogram_proto::port;
use heliogram_proto::remedy::Remedy;

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

/// An `rpc_error`, with the number at the end of its name taken apart.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code} {name}{}", parameter.map(|it| format!("_{it}")).unwrap_or_default())]
#[non_exhaustive]
pub struct RpcError {
    /// Class of the error, as in HTTP.
    pub code: i32,
    /// The name without its number: `FLOOD_WAIT`.
    pub name: String,
    /// The number: 42 in `FLOOD_WAIT_42`.
    pub parameter: Option<u64>,
    remedy: Remedy,
}

impl RpcError {
    /// Returns what helps against it. A client does it by itself, within limits, before its user hears of the error.
    #[must_use]
    pub const fn remedy(&self) -> Remedy {
        self.remedy
    }
}

impl From<port::RpcError> for RpcError {
    fn from(error: port::RpcError) -> Self {
        let (name, parameter) = error.name();
        Self {
            code: error.code,
            name: name.to_owned(),
            parameter,
            remedy: error.remedy(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_number_at_the_end_is_the_parameter() {
        let error = RpcError::from(port::RpcError {
            code: 420,
            message: "FLOOD_WAIT_42".to_owned(),
        });
        assert_eq!(error.name, "FLOOD_WAIT");
        assert_eq!(error.parameter, Some(42));
        assert_eq!(error.remedy(), Remedy::Wait(Duration::from_secs(42)));
        assert_eq!(error.to_string(), "420 FLOOD_WAIT_42");
    }
}
