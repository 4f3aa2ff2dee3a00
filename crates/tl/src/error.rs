//! Why bytes are not the object they should be.

use std::fmt;

/// Why an object can't be read, or can't be written.
///
/// Reading errors are the sender's fault; what they cost is decided by the layer that knows where the object stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The compressed stream is damaged, cut, of an unknown format, or followed by something.
    BadCompression,
    /// A string begins with `0xff`, a form that this format doesn't have.
    BadLengthByte,
    /// An object, a string or a decompressed stream has more bytes than its reader allows or its format can express.
    TooLong,
    /// Objects are nested deeper than [`Limits::depth_max`](crate::Limits::depth_max).
    TooDeep,
    /// Bytes follow a complete object.
    TrailingBytes,
    /// The length of a message body is negative or no multiple of four.
    Unaligned,
    /// The input ends before the object does.
    UnexpectedEnd,
    /// A boxed object of another type stands here.
    UnexpectedId {
        /// The constructor id that was found.
        id: u32,
    },
    /// A vector claims more elements than its reader allows, or a negative number of them.
    VectorTooLong,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadCompression => f.write_str("the compressed stream is damaged"),
            Self::BadLengthByte => f.write_str("a string begins with the byte 0xff"),
            Self::TooLong => f.write_str("more bytes than allowed"),
            Self::TooDeep => f.write_str("objects are nested too deep"),
            Self::TrailingBytes => f.write_str("bytes follow a complete object"),
            Self::Unaligned => f.write_str("the length of a message body is no multiple of four"),
            Self::UnexpectedEnd => f.write_str("the input ends inside an object"),
            Self::UnexpectedId { id } => write!(f, "unexpected constructor #{id:08x}"),
            Self::VectorTooLong => f.write_str("a vector claims too many elements"),
        }
    }
}

impl std::error::Error for Error {}
