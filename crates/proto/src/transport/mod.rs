//! Bytes of a connection to frames and back: framings, obfuscation, detection, WebSocket and `PROXY` headers.
//!
//! Does not know what a frame's payload means, except for the few bytes that tell its exact end (padding) and
//! whether it names a key (size limits). Has no clock: deadlines are the owner's, who asks [`server::Transport`]
//! whether it [is still detecting](server::Transport::is_detecting) or
//! [has a partial frame](server::Transport::has_partial_frame).
//!
//! ```text
//!            PROXY header? -> WebSocket? -> obfuscation? -> framing -> payload
//!  decode:   skip it          unmask        decrypt         split
//!            └──────────── all in place, in the caller's buffer ────┘
//! ```
//!
//! Both roles stand side by side: [`server`] detects what a client speaks, [`client`] chooses.
//!
//! - *Decoding* works on a buffer that the caller owns and that holds all that one wake-up brought. Complete frames
//!   are handed out as slices of it. Only an incomplete tail is copied, into a buffer that grows with the bytes that
//!   come, never by what a length promises, and that is freed when the frame is complete.
//! - *Encoding* appends to the caller's buffer.
//! - Fed byte by byte or all at once, the result is the same.
//!
//! Source: <https://core.telegram.org/mtproto/mtproto-transports>,
//! <https://core.telegram.org/mtproto/transports>.

mod abridged;
pub mod client;
mod detect;
mod error;
pub mod fake_tls;
mod frame;
mod full;
mod http;
mod intermediate;
mod obfuscated;
mod outgoing;
mod padded;
mod proxy_protocol;
mod secret;
pub mod server;
#[cfg(test)]
mod tests;
mod websocket;

pub use error::{Error, Reaction};
pub use frame::Payload;
pub use proxy_protocol::Header as ProxyHeader;
pub use secret::{BadSecret, Secret};

/// How payloads are laid out in a stream of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the protocol has five")]
pub enum Framing {
    /// Length in words, in one byte or in four.
    Abridged,
    /// Length in four bytes.
    Intermediate,
    /// As intermediate, with up to 15 random bytes after the payload.
    PaddedIntermediate,
    /// Length, sequence number and checksum. Can't be obfuscated, has no quick acks.
    Full,
    /// Requests and responses of HTTP, one payload each. Only a server speaks it.
    Http,
}
