//! Why a file could not be moved.

use std::io;

use crate::InvokeError;

/// Why a file could not be moved. What was moved until then stays moved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The upload was sent already, or has failed on its way, with some of its source read: begin another one, which may
    /// [go on](crate::files::Upload::resume) with it.
    #[error("an upload is sent once: begin another one, and resume this one with it")]
    Begun,
    /// A call failed: with `FILE_REFERENCE_EXPIRED`, ask for the file's message again, and go on with the new location.
    #[error("{0}")]
    Invoke(#[from] InvokeError),
    /// The source can't be read, or the target not be written.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// What came is not what the server's hashes say.
    #[error("the bytes from {offset} on are not those of the file: they were changed on their way")]
    Corrupt {
        /// Where what was compared begins.
        offset: u64,
    },
    /// The server sends a file in parts that leave something out, or elsewhere than it was asked to.
    #[error("the server answered a request for a part with something else")]
    Unexpected,
    /// The source is longer or shorter than was said.
    #[error("the source has {0} bytes, not what was said")]
    WrongSize(u64),
    /// A file has at least a byte.
    #[error("an empty file can't be sent")]
    Empty,
    /// A file has more parts than servers take.
    #[error("a file of more than {0} bytes can't be sent")]
    TooLarge(u64),
}
