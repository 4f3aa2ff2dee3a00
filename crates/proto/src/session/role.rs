//! What differs between the roles of a session, apart from the messages that only one of them handles.

use core::fmt::Debug;
use core::time::Duration;

use heliogram_crypto::Direction;

use crate::ids::MsgId;
use crate::limits::{ACK_DELAY_MS_CLIENT, ACK_DELAY_MS_SERVER, WHOLE_BYTES_MAX};
use crate::session::{client, server};
use crate::side::{Client, Server, Side};

/// A side that holds sessions.
pub trait Role: Side + Sized {
    /// What only this role keeps of a session.
    type State: Debug;

    /// Returns the bits that say of a received call, in a `msgs_state_info`, that it runs.
    fn state_of_call(state: &Self::State, id: MsgId) -> Option<u8>;
}

impl Role for Client {
    type State = client::State;

    /// A server makes no calls.
    fn state_of_call(_: &client::State, _: MsgId) -> Option<u8> {
        None
    }
}

impl Role for Server {
    type State = server::State;

    fn state_of_call(state: &server::State, id: MsgId) -> Option<u8> {
        state.state_of_call(id)
    }
}

/// How a role sends.
#[derive(Debug)]
pub(crate) struct Habits {
    /// Low two bits of the id of an answer.
    pub(crate) low_bits_of_answer: i64,
    /// Low two bits of the id of any other message.
    pub(crate) low_bits_of_own: i64,
    /// For how long an acknowledgement waits for company.
    pub(crate) ack_delay: Duration,
    /// Whether what was sent is dropped once it is acknowledged, or kept until it is answered.
    pub(crate) ack_frees: bool,
    /// Bytes up to which a message is sent again unasked; a larger one is announced.
    pub(crate) whole_bytes_max: usize,
}

/// Returns how `S` sends.
pub(crate) const fn habits<S: Side>() -> &'static Habits {
    match S::SENDS {
        Direction::ClientToServer => &CLIENT,
        Direction::ServerToClient => &SERVER,
    }
}

const CLIENT: Habits = Habits {
    low_bits_of_answer: 0,
    low_bits_of_own: 0,
    ack_delay: Duration::from_millis(ACK_DELAY_MS_CLIENT),
    ack_frees: false,
    whole_bytes_max: usize::MAX,
};

const SERVER: Habits = Habits {
    low_bits_of_answer: 1,
    low_bits_of_own: 3,
    ack_delay: Duration::from_millis(ACK_DELAY_MS_SERVER),
    ack_frees: true,
    whole_bytes_max: WHOLE_BYTES_MAX,
};
