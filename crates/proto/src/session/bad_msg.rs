//! Why an authentic message was refused: the codes of `bad_msg_notification`.
//!
//! Source: <https://core.telegram.org/mtproto/service_messages_about_messages#notice-of-ignored-error-message>.

/// Why an authentic message was refused. Variants are in the order in which a server looks for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadMsg {
    /// The low two bits of the id are not ones that this role sends.
    IdLowBits,
    /// The id is too far in the future.
    IdTooHigh,
    /// The id is too old.
    IdTooLow,
    /// The salt is not valid now. Answered by `bad_server_salt`, which names one that is.
    Salt,
    /// A container has the id of an earlier message.
    ContainerIdSeen,
    /// The id is below all that are remembered, so nobody can say whether it was received before.
    IdForgotten,
    /// A container that can't be read, or breaks a rule of containers.
    Container,
    /// An earlier message has a greater sequence number.
    SeqNoTooLow,
    /// A later message has a smaller sequence number.
    SeqNoTooHigh,
    /// Odd sequence number on a message that is never acknowledged.
    SeqNoOdd,
    /// Even sequence number on a message that is always acknowledged.
    SeqNoEven,
}

impl BadMsg {
    /// All of them, in the order in which a server looks for them.
    pub const ALL: [Self; 11] = [
        Self::IdLowBits,
        Self::IdTooHigh,
        Self::IdTooLow,
        Self::Salt,
        Self::ContainerIdSeen,
        Self::IdForgotten,
        Self::Container,
        Self::SeqNoTooLow,
        Self::SeqNoTooHigh,
        Self::SeqNoOdd,
        Self::SeqNoEven,
    ];

    /// Returns the code on the wire.
    #[must_use]
    pub const fn code(self) -> i32 {
        match self {
            Self::IdLowBits => 18,
            Self::IdTooHigh => 17,
            Self::IdTooLow => 16,
            Self::Salt => 48,
            Self::ContainerIdSeen => 19,
            Self::IdForgotten => 20,
            Self::Container => 64,
            Self::SeqNoTooLow => 32,
            Self::SeqNoTooHigh => 33,
            Self::SeqNoOdd => 34,
            Self::SeqNoEven => 35,
        }
    }

    /// Reads a code from the wire.
    pub(crate) const fn from_code(code: i32) -> Option<Self> {
        Some(match code {
            18 => Self::IdLowBits,
            17 => Self::IdTooHigh,
            16 => Self::IdTooLow,
            48 => Self::Salt,
            19 => Self::ContainerIdSeen,
            20 => Self::IdForgotten,
            64 => Self::Container,
            32 => Self::SeqNoTooLow,
            33 => Self::SeqNoTooHigh,
            34 => Self::SeqNoOdd,
            35 => Self::SeqNoEven,
            _ => return None,
        })
    }
}
