//! What a client may ask, and why it is refused.

use heliogram_tl::{mtproto, peek_id};

use crate::exchange::params::{self, Nonce};

/// Why a query is refused, and so the transport error that its sender gets before the connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// More work is under way than this process takes on. The state is kept, and the same query may come again, unless
    /// a job was dropped that had it.
    Busy,
    /// Whatever else is wrong. One variant on purpose: naming the failed check would tell an attacker which guess
    /// was warm. The state is forgotten.
    NotFound,
    /// The exchange is for a data centre that is not served here. The state is forgotten.
    WrongDc,
}

impl Refusal {
    /// Returns the transport error's code.
    #[must_use]
    pub const fn code(self) -> i32 {
        match self {
            Self::Busy => -429,
            Self::NotFound => -404,
            Self::WrongDc => -444,
        }
    }
}

impl core::fmt::Display for Refusal {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "refused with {}", self.code())
    }
}

impl core::error::Error for Refusal {}

/// What a client may say in an unencrypted message.
#[derive(Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the protocol has these and no more"
)]
pub enum Query<'a> {
    /// `msgs_ack`.
    MsgsAck,
    /// `req_pq_multi`, or `req_pq` of old: begins an exchange.
    ReqPq {
        /// The client's nonce.
        nonce: Nonce,
    },
    /// Goes on with an exchange.
    Step(Step<'a>),
}

/// A query that goes on with an exchange.
#[derive(Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the protocol has these and no more"
)]
pub enum Step<'a> {
    /// `req_DH_params`.
    ReqDhParams(mtproto::ReqDhParams<'a>),
    /// `set_client_DH_params`.
    SetClientDhParams(mtproto::SetClientDhParams<'a>),
}

impl<'a> Query<'a> {
    /// Parses the body of an unencrypted message; returns the query with the bytes that it takes, without a tail.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotFound`] when it is anything else, or cut short.
    pub fn parse(body: &'a [u8]) -> Result<(Self, &'a [u8]), Refusal> {
        let id = peek_id(body).ok_or(Refusal::NotFound)?;
        let parsed = match id {
            mtproto::ReqPqMulti::ID => params::read_front::<mtproto::ReqPqMulti>(body)
                .map(|(query, taken)| (Self::ReqPq { nonce: query.nonce }, taken)),
            mtproto::ReqPq::ID => params::read_front::<mtproto::ReqPq>(body)
                .map(|(query, taken)| (Self::ReqPq { nonce: query.nonce }, taken)),
            mtproto::ReqDhParams::ID => params::read_front(body)
                .map(|(query, taken)| (Self::Step(Step::ReqDhParams(query)), taken)),
            mtproto::SetClientDhParams::ID => params::read_front(body)
                .map(|(query, taken)| (Self::Step(Step::SetClientDhParams(query)), taken)),
            mtproto::MsgsAck::ID => params::read_front::<mtproto::MsgsAck<'_>>(body)
                .map(|(_, taken)| (Self::MsgsAck, taken)),
            _ => None,
        };
        parsed.ok_or(Refusal::NotFound)
    }
}

impl Step<'_> {
    /// Returns what the exchange is found by: `nonce` and `server_nonce`.
    #[must_use]
    pub fn nonces(&self) -> (&Nonce, &Nonce) {
        match self {
            Self::ReqDhParams(query) => (&query.nonce, &query.server_nonce),
            Self::SetClientDhParams(query) => (&query.nonce, &query.server_nonce),
        }
    }
}
