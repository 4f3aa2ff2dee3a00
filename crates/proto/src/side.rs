//! The two roles, as types without values.
//!
//! The roles differ in little: the offset into the auth key, the parity of `msg_id`, and who issues salts.

use heliogram_crypto::Direction;

/// The role of whoever runs this code.
pub trait Side: sealed::Sealed + Send + Sync + 'static {
    /// The other role.
    type Peer: Side;

    /// The direction of what this side sends; chooses the offset into the auth key.
    const SENDS: Direction;

    /// Tells whether the low two bits of a `msg_id` are ones that this side may send.
    fn may_send(low_bits: i64) -> bool;
}

/// Starts the exchange, asks, holds sessions.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_enums, reason = "has no values")]
pub enum Client {}

/// Answers the exchange and the calls, issues salts.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_enums, reason = "has no values")]
pub enum Server {}

impl Side for Client {
    type Peer = Server;

    const SENDS: Direction = Direction::ClientToServer;

    fn may_send(low_bits: i64) -> bool {
        low_bits == 0
    }
}

impl Side for Server {
    type Peer = Client;

    const SENDS: Direction = Direction::ServerToClient;

    fn may_send(low_bits: i64) -> bool {
        matches!(low_bits, 1 | 3)
    }
}

/// Tells whether `S` is the server's role.
pub(crate) const fn is_server<S: Side>() -> bool {
    matches!(S::SENDS, Direction::ServerToClient)
}

mod sealed {
    #[expect(unnameable_types, reason = "that is what seals it")]
    pub trait Sealed {}
    impl Sealed for super::Client {}
    impl Sealed for super::Server {}
}
