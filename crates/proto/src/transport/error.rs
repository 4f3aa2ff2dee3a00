//! Why a transport gave up, and what that means for the connection.

/// Why a connection can't go on. The first error of a transport is its last: later calls return it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// `full`: the checksum does not fit the frame.
    BadChecksum,
    /// The request on a WebSocket port, or the server's answer to ours or to a TLS greeting, is not what it has to be.
    BadHandshake,
    /// A length is zero, not a multiple of four, too small for its own header, or written in a longer form than needed.
    BadLength,
    /// The `PROXY` header is malformed, or missing where it is required.
    BadProxyHeader,
    /// A record that the TLS disguise has no use for.
    BadRecord,
    /// An HTTP request is malformed, or asks for something else than to take a message.
    BadRequest,
    /// The peer closed the WebSocket in its own words.
    Closed,
    /// Our caller broke the contract of this module. Never caused by a peer.
    Misuse(&'static str),
    /// Inside a WebSocket, the stream does not begin with an obfuscation header that fits.
    NotObfuscated,
    /// `full`: a frame was lost, repeated or reordered.
    OutOfSequence,
    /// A frame, or a header, is longer than the limit that holds now.
    TooLarge,
    /// The frame is sound, but too short to hold a message.
    TooShort,
    /// The first bytes are of no transport that is served here.
    UnknownTransport,
    /// WebSocket: a frame that RFC 6455 forbids here, or a text message.
    WebSocket,
}

impl Error {
    /// Returns what is owed to the peer.
    #[must_use]
    pub const fn reaction(self) -> Reaction {
        match self {
            Self::BadChecksum
            | Self::BadLength
            | Self::BadProxyHeader
            | Self::BadRecord
            | Self::Misuse(_)
            | Self::NotObfuscated
            | Self::OutOfSequence
            | Self::TooLarge
            | Self::UnknownTransport => Reaction::Close,
            Self::BadHandshake | Self::Closed | Self::WebSocket => Reaction::CloseAfterFlush,
            Self::BadRequest => Reaction::Refuse { code: BAD_REQUEST },
            Self::TooShort => Reaction::Refuse { code: NOT_FOUND },
        }
    }
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::BadChecksum => "the frame's checksum is wrong",
            Self::BadHandshake => "the handshake around the connection is refused",
            Self::BadLength => "the frame's length is malformed",
            Self::BadProxyHeader => "the PROXY header is malformed or missing",
            Self::BadRecord => "the record is none of a disguised connection",
            Self::BadRequest => "the HTTP request is malformed or not served",
            Self::Closed => "the peer closed the WebSocket",
            Self::Misuse(what) => what,
            Self::NotObfuscated => "the WebSocket carries no obfuscated stream",
            Self::OutOfSequence => "the frame is out of sequence",
            Self::TooLarge => "the frame is too large",
            Self::TooShort => "the frame is too short for a message",
            Self::UnknownTransport => "the transport is not served here",
            Self::WebSocket => "the WebSocket frame breaks RFC 6455",
        })
    }
}

impl core::error::Error for Error {}

/// What to do with the connection after an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new reaction must break every driver at compile time"
)]
pub enum Reaction {
    /// Close at once and say nothing: the peer is out of step, or only probes.
    Close,
    /// Write what the transport has appended to the output, then close.
    CloseAfterFlush,
    /// Encode this transport error, write it, then close.
    Refuse {
        /// The code: `-404`.
        code: i32,
    },
}

/// A status of HTTP, which only a client that speaks it is told.
const BAD_REQUEST: i32 = -400;

/// "Auth key not found", which is also the answer to all that can't be read.
const NOT_FOUND: i32 = -404;
