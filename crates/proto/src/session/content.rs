//! What a session sends: kept small and unwritten until it is drained, so that most messages need no buffer of
//! their own.

use bytes::Bytes;
use heliogram_tl::{api, mtproto as tl};

use crate::cx::Mono;
use crate::ids::{MsgId, Salt};
use crate::limits::MSG_IDS_MAX;
use crate::session::client::Ask;
use crate::session::incoming::RESULT;
use crate::session::role::habits;
use crate::side::Side;

/// One message, without its numbers.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// `msgs_ack`.
    Acks(Vec<MsgId>),
    /// `msg_detailed_info` if it announces the answer to a call, else `msg_new_detailed_info`.
    Announced {
        to: Option<MsgId>,
        answer: MsgId,
        bytes: usize,
    },
    /// A client's question about the protocol itself: a whole object.
    Ask { ask: Ask, body: Bytes },
    /// A client's call, under the number by which its owner knows it.
    Call {
        call: u64,
        body: Bytes,
        /// When its owner does not want the answer any more.
        due: Option<Mono>,
        /// Its body names the message that carries it: it fits no other.
        is_pinned: bool,
        /// It goes within `invokeAfterMsg`: seldom, so that it takes no room in every message.
        after: Option<Box<After>>,
    },
    /// `new_session_created`.
    NewSession {
        first: MsgId,
        unique_id: i64,
        salt: Salt,
    },
    /// A service message that isn't acknowledged: a whole object.
    Object { body: Bytes, is_answer: bool },
    /// `pong`.
    Pong { to: MsgId, ping_id: i64 },
    /// `rpc_result` with a whole object, packed or not.
    Result { to: MsgId, result: Bytes },
    /// `msg_resend_req`.
    Wanted(Vec<MsgId>),
    /// An update that a backend has pushed: a whole object, packed or not.
    Update { body: Bytes },
}

/// What a call is to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct After {
    /// The earlier call.
    pub(crate) call: u64,
    /// The message that carries it, as far as it is known when this one is written.
    pub(crate) msg_id: MsgId,
}

impl Content {
    /// Makes a call that may take as long as it wants, in whichever message.
    pub(crate) const fn plain_call(call: u64, body: Bytes) -> Self {
        Self::Call {
            call,
            body,
            due: None,
            is_pinned: false,
            after: None,
        }
    }

    /// Returns what the call that it makes is to wait for.
    pub(crate) const fn after(&mut self) -> Option<&mut Option<Box<After>>> {
        if let Self::Call { after, .. } = self {
            Some(after)
        } else {
            None
        }
    }

    /// Takes in a message that says the same of other identifiers: an answer to a thousand announcements is one. Gives
    /// back what it can't take in.
    pub(crate) fn absorb(&mut self, next: Self) -> Option<Self> {
        match (self, next) {
            (Self::Wanted(ids), Self::Wanted(more)) if ids.len() + more.len() <= MSG_IDS_MAX => {
                ids.extend(more);
                None
            }
            (_, next) => Some(next),
        }
    }

    /// Returns the bytes of the written object.
    pub(crate) const fn len(&self) -> usize {
        match self {
            Self::Acks(ids) | Self::Wanted(ids) => VECTOR_AT + 8 + 8 * ids.len(),
            Self::Call {
                body,
                after: Some(_),
                ..
            } => AFTER_BYTES + body.len(),
            Self::Ask { body, .. }
            | Self::Call { body, .. }
            | Self::Object { body, .. }
            | Self::Update { body } => body.len(),
            Self::Announced { to: Some(_), .. } | Self::NewSession { .. } => 28,
            Self::Announced { to: None, .. } | Self::Pong { .. } => 20,
            Self::Result { result, .. } => 12 + result.len(),
        }
    }

    /// Tells whether the receiver must acknowledge it.
    pub(crate) const fn is_content_related(&self) -> bool {
        match self {
            Self::Call { .. }
            | Self::NewSession { .. }
            | Self::Result { .. }
            | Self::Update { .. } => true,
            Self::Acks(_)
            | Self::Announced { .. }
            | Self::Ask { .. }
            | Self::Object { .. }
            | Self::Pong { .. }
            | Self::Wanted(_) => false,
        }
    }

    /// Tells whether it is kept after it is sent: until it is acknowledged, or answered.
    pub(crate) const fn is_kept(&self) -> bool {
        self.is_content_related() || matches!(self, Self::Ask { .. })
    }

    /// Returns the call that it makes.
    pub(crate) const fn call(&self) -> Option<u64> {
        if let Self::Call { call, .. } = self {
            Some(*call)
        } else {
            None
        }
    }

    /// Returns when the answer to the call that it makes is not wanted any more.
    pub(crate) const fn due(&self) -> Option<Mono> {
        if let Self::Call { due, .. } = self {
            *due
        } else {
            None
        }
    }

    /// Tells whether it is an answer that nobody wants on another connection than the one that asked.
    pub(crate) const fn is_of_its_link(&self) -> bool {
        matches!(
            self,
            Self::Object {
                is_answer: true,
                ..
            } | Self::Pong { .. }
        )
    }

    /// Returns the low two bits that its identifier has when `S` sends it.
    pub(crate) const fn low_bits<S: Side>(&self) -> i64 {
        match self {
            Self::Announced { to: Some(_), .. }
            | Self::NewSession { .. }
            | Self::Object {
                is_answer: true, ..
            }
            | Self::Pong { .. }
            | Self::Result { .. } => habits::<S>().low_bits_of_answer,
            Self::Acks(_)
            | Self::Announced { to: None, .. }
            | Self::Ask { .. }
            | Self::Call { .. }
            | Self::Object {
                is_answer: false, ..
            }
            | Self::Update { .. }
            | Self::Wanted(_) => habits::<S>().low_bits_of_own,
        }
    }

    /// Returns the call that it answers.
    pub(crate) const fn answers(&self) -> Option<MsgId> {
        match self {
            Self::Result { to, .. } => Some(*to),
            Self::Acks(_)
            | Self::Announced { .. }
            | Self::Ask { .. }
            | Self::Call { .. }
            | Self::NewSession { .. }
            | Self::Object { .. }
            | Self::Pong { .. }
            | Self::Update { .. }
            | Self::Wanted(_) => None,
        }
    }

    /// Tells whether a backend has pushed it.
    pub(crate) const fn is_update(&self) -> bool {
        matches!(self, Self::Update { .. })
    }

    /// Appends the object.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Acks(ids) => write_ids(tl::MsgsAck::ID, ids, out),
            &Self::Announced { to, answer, bytes } => {
                if let Some(to) = to {
                    out.extend_from_slice(&tl::MsgDetailedInfo::ID.to_le_bytes());
                    out.extend_from_slice(&to.0.to_le_bytes());
                } else {
                    out.extend_from_slice(&tl::MsgNewDetailedInfo::ID.to_le_bytes());
                }
                out.extend_from_slice(&answer.0.to_le_bytes());
                let bytes = i32::try_from(bytes).unwrap_or(i32::MAX);
                out.extend_from_slice(&bytes.to_le_bytes());
                // The status: none is defined.
                out.extend_from_slice(&0_i32.to_le_bytes());
            }
            Self::Call { body, after, .. } => {
                if let Some(after) = after {
                    out.extend_from_slice(&api::InvokeAfterMsg::ID.to_le_bytes());
                    out.extend_from_slice(&after.msg_id.0.to_le_bytes());
                }
                out.extend_from_slice(body);
            }
            Self::Ask { body, .. } | Self::Object { body, .. } | Self::Update { body } => {
                out.extend_from_slice(body);
            }
            Self::NewSession {
                first,
                unique_id,
                salt,
            } => {
                out.extend_from_slice(&tl::NewSessionCreated::ID.to_le_bytes());
                out.extend_from_slice(&first.0.to_le_bytes());
                out.extend_from_slice(&unique_id.to_le_bytes());
                out.extend_from_slice(&salt.0.to_le_bytes());
            }
            Self::Pong { to, ping_id } => {
                out.extend_from_slice(&tl::Pong::ID.to_le_bytes());
                out.extend_from_slice(&to.0.to_le_bytes());
                out.extend_from_slice(&ping_id.to_le_bytes());
            }
            Self::Result { to, result } => {
                out.extend_from_slice(&RESULT.to_le_bytes());
                out.extend_from_slice(&to.0.to_le_bytes());
                out.extend_from_slice(result);
            }
            Self::Wanted(ids) => write_ids(tl::MsgResendReq::ID, ids, out),
        }
    }
}

fn write_ids(kind: u32, ids: &[MsgId], out: &mut Vec<u8>) {
    out.extend_from_slice(&kind.to_le_bytes());
    out.extend_from_slice(&VECTOR.to_le_bytes());
    out.extend_from_slice(&u32::try_from(ids.len()).unwrap_or(0).to_le_bytes());
    for id in ids {
        out.extend_from_slice(&id.0.to_le_bytes());
    }
}

/// Bytes of `invokeAfterMsg` before the method that it holds.
const AFTER_BYTES: usize = 12;

const VECTOR: u32 = 0x1cb5_c415;
const VECTOR_AT: usize = 4;

#[cfg(test)]
mod tests {
    use heliogram_tl::Serialize;

    use super::*;

    #[test]
    fn every_content_is_written_as_the_codec_writes_it_in_the_length_it_says() {
        let result = Bytes::from_static(&[9, 8, 7, 6]);
        let acks = tl::MsgsAck {
            msg_ids: (&[4, 8]).into(),
        }
        .to_bytes();
        let wanted = tl::MsgResendReq {
            msg_ids: (&[4, 8]).into(),
        }
        .to_bytes();
        let new_session = tl::NewSessionCreated {
            first_msg_id: 1,
            unique_id: 2,
            server_salt: 3,
        };
        let pong = tl::Pong {
            msg_id: 5,
            ping_id: 6,
        }
        .to_bytes();
        let rpc_result = tl::RpcResult {
            req_msg_id: 5,
            result: &result,
        }
        .to_bytes();
        for (content, expected) in [
            (Content::Acks(vec![MsgId(4), MsgId(8)]), acks),
            (Content::Wanted(vec![MsgId(4), MsgId(8)]), wanted),
            (
                Content::NewSession {
                    first: MsgId(1),
                    unique_id: 2,
                    salt: Salt(3),
                },
                new_session.to_bytes(),
            ),
            (
                Content::Pong {
                    to: MsgId(5),
                    ping_id: 6,
                },
                pong,
            ),
            (
                Content::Result {
                    to: MsgId(5),
                    result: result.clone(),
                },
                rpc_result,
            ),
            (
                Content::Object {
                    body: result.clone(),
                    is_answer: true,
                },
                result.to_vec(),
            ),
            (Content::plain_call(1, result.clone()), result.to_vec()),
            (
                Content::Ask {
                    ask: Ask::Ping,
                    body: result.clone(),
                },
                result.to_vec(),
            ),
            (
                Content::Update {
                    body: result.clone(),
                },
                result.to_vec(),
            ),
        ] {
            let mut out = vec![0xff];
            content.write(&mut out);
            assert_eq!(out[1..], expected, "{content:?}");
            assert_eq!(content.len(), expected.len(), "{content:?}");
        }
    }

    #[test]
    fn announcements_are_written_as_the_codec_writes_them() {
        let answer = tl::MsgDetailedInfo {
            msg_id: 4,
            answer_msg_id: 9,
            bytes: 2000,
            status: 0,
        }
        .to_bytes();
        let push = tl::MsgNewDetailedInfo {
            answer_msg_id: 9,
            bytes: 2000,
            status: 0,
        }
        .to_bytes();
        let announced = |to| Content::Announced {
            to,
            answer: MsgId(9),
            bytes: 2000,
        };
        for (content, expected) in [(announced(Some(MsgId(4))), answer), (announced(None), push)] {
            let mut out = Vec::new();
            content.write(&mut out);
            assert_eq!((&out, content.len()), (&expected, expected.len()));
        }
    }
}
