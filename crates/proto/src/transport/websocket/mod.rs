//! WebSocket below a transport: the messages of each direction join to one stream of bytes, their borders mean nothing.
//!
//! Does as little of RFC 6455 as that needs: binary messages, ping, pong, close. No extensions, no compression, no
//! text.
//!
//! Source: RFC 6455, and <https://core.telegram.org/mtproto/transports#websocket>.

mod frames;
mod handshake;
mod head;

pub(super) use frames::{Mask, Reader, wrap};
pub(super) use handshake::{Asking, Upgrading, one};
