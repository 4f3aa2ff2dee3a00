//! A session: what outlives a connection. One generic type for both roles.
//!
//! ```text
//!            incoming::read          Inbox             on_*.rs            Outbox
//!  message ────────────────> items ────────> new ones ────────> answers ────────drain──> message
//!             containers split,     duplicates,                 waiting,      ids and sequence
//!             packed unpacked       order, age                  unacked       numbers are given
//! ```
//!
//! There is one `on_*.rs` per kind of message. What both roles do is in files over `Session<S>`; what differs is in
//! [`client`] and [`server`].
//!
//! Pure: time, randomness and effects are arguments. A session knows no key and no socket; the table of a server's
//! sessions, their terms and timers is [`crate::host`].
//!
//! Source: <https://core.telegram.org/mtproto/description>, <https://core.telegram.org/mtproto/service_messages>,
//! <https://core.telegram.org/mtproto/service_messages_about_messages>.

mod absorb;
mod acks;
pub(crate) mod bad_msg;
pub mod client;
pub(crate) mod content;
mod inbox;
pub(crate) mod incoming;
pub(crate) mod msg_id;
mod on_bad_msg;
pub(crate) mod on_call;
pub(crate) mod on_destroy;
mod on_detailed_info;
mod on_drop_answer;
mod on_future_salts;
pub(crate) mod on_http_wait;
mod on_msgs_ack;
mod on_new_session;
mod on_ping;
mod on_resend;
mod on_rpc_result;
mod on_state_info;
mod on_states;
mod order;
pub(crate) mod outbox;
mod pushes;
pub(crate) mod request;
mod role;
pub mod salts;
pub mod server;
mod tally;
mod wire;

pub use bad_msg::BadMsg;
pub use role::Role;
pub use tally::Tally;

use bytes::Bytes;
use heliogram_tl::mtproto as tl;
use heliogram_tl::{Deserialize, Serialize};

use crate::cx::{Mono, Now};
use crate::envelope::Header;
use crate::ids::{LinkId, MsgId, Salt, SeqNo, SessionId};
use crate::session::acks::Acks;
use crate::session::content::Content;
use crate::session::inbox::Inbox;
use crate::session::outbox::{Numbered, Outbox};

/// One session, as one side sees it.
#[derive(Debug)]
pub struct Session<S: Role> {
    id: SessionId,
    inbox: Inbox,
    outbox: Outbox,
    acks: Acks,
    state: S::State,
}

/// A message that was received, while it is handled.
#[derive(Clone, Copy, Debug)]
struct Received {
    msg_id: MsgId,
    seqno: SeqNo,
    /// Where answers go.
    link: LinkId,
    /// It came in a container that is new: unlike a message alone, it can't be a captured one.
    in_new_container: bool,
    now: Now,
}

/// A service message that is authentic and can't be read. The connection that brought it is closed: its sender is
/// broken, and no code says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

impl From<heliogram_tl::Error> for Malformed {
    fn from(_: heliogram_tl::Error) -> Self {
        Self
    }
}

impl<S: Role> Session<S> {
    fn with_state(id: SessionId, floor: MsgId, state: S::State) -> Self {
        Self {
            id,
            inbox: Inbox::new(floor),
            outbox: Outbox::default(),
            acks: Acks::default(),
            state,
        }
    }

    /// Returns the session's identifier.
    #[must_use]
    pub const fn id(&self) -> SessionId {
        self.id
    }

    /// Handles a service message that means the same to both roles. Returns `false` if it is another one.
    fn on_service(&mut self, kind: u32, body: &[u8], it: Received) -> Result<bool, Malformed> {
        match kind {
            tl::MsgsAck::ID => self.on_msgs_ack(&tl::MsgsAck::from_bytes(body)?),
            tl::MsgsAllInfo::ID => {
                self.on_msgs_all_info(&tl::MsgsAllInfo::from_bytes(body)?, it)?;
            }
            tl::MsgsStateReq::ID => {
                self.on_msgs_state_req(&tl::MsgsStateReq::from_bytes(body)?, it);
            }
            tl::MsgDetailedInfo::ID => {
                self.on_detailed_info(tl::MsgDetailedInfo::from_bytes(body)?.answer_msg_id, it);
            }
            tl::MsgNewDetailedInfo::ID => {
                self.on_detailed_info(tl::MsgNewDetailedInfo::from_bytes(body)?.answer_msg_id, it);
            }
            tl::MsgResendReq::ID => {
                self.on_msg_resend_req(&tl::MsgResendReq::from_bytes(body)?, it);
            }
            tl::MsgResendAnsReq::ID => {
                self.on_msg_resend_ans_req(&tl::MsgResendAnsReq::from_bytes(body)?, it);
            }
            tl::Ping::ID => self.on_ping(&tl::Ping::from_bytes(body)?, it),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Queues a service message for the link that asked.
    fn answer(&mut self, it: Received, object: &impl Serialize) {
        let body = Bytes::from(object.to_bytes());
        self.outbox.push(
            Some(it.link),
            Content::Object {
                body,
                is_answer: true,
            },
        );
    }

    /// Tells whether anything is to be drained to a link now.
    pub(crate) fn wants(&self, link: LinkId, is_current: bool, now: Mono) -> bool {
        self.outbox.wants(link, is_current) || (is_current && self.acks.is_due::<S>(now))
    }

    /// Drains everything that a link can carry, until `emit` returns `false`. Returns how many messages of it were sent
    /// before.
    pub(crate) fn drain_to(
        &mut self,
        link: LinkId,
        is_current: bool,
        salt: Salt,
        now: Now,
        emit: &mut dyn FnMut(Outgoing) -> bool,
    ) -> usize {
        let session_id = self.id;
        self.outbox
            .drain::<S>(link, is_current, &mut self.acks, now, &mut |message| {
                let Numbered {
                    msg_id,
                    seqno,
                    body,
                } = message;
                let header = Header {
                    salt,
                    session_id,
                    msg_id,
                    seqno,
                };
                emit(Outgoing { header, body })
            })
    }
}

/// A message that is ready to be sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "what an envelope holds")]
pub struct Outgoing {
    /// What the envelope says of it.
    pub header: Header,
    /// One object, or a container.
    pub body: Bytes,
}
