//! What a client asks of the protocol itself rather than of the API, and how each answer finds its question.

use bytes::Bytes;
use heliogram_tl::{Deserialize, Serialize, mtproto as tl, peek_id};

use crate::cx::Mono;
use crate::ids::{MsgId, SessionId};
use crate::limits::{ASKS_MAX, SALTS_KEPT_MAX};
use crate::session::client::{Event, Fate, KeyDestruction};
use crate::session::content::Content;
use crate::session::{Malformed, Session};
use crate::side::Client;

/// A question that waits for its answer. Kept like a call: a refusal has it sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    DestroyKey,
    DestroySession(SessionId),
    /// This call's answer is not wanted.
    DropAnswer(u64),
    Ping,
    Salts,
    /// What became of these calls; whether they are held back until the answer comes.
    States {
        calls: Vec<MsgId>,
        is_held: bool,
    },
}

impl Ask {
    /// Tells whether the question makes sense on another connection.
    pub(super) const fn outlives_link(&self) -> bool {
        match self {
            Self::DestroyKey | Self::DestroySession(_) | Self::DropAnswer(_) | Self::Salts => true,
            Self::Ping | Self::States { .. } => false,
        }
    }

    /// Tells whether the question makes sense in another session of the same key.
    pub(super) const fn outlives_session(&self) -> bool {
        match self {
            Self::DestroyKey | Self::DestroySession(_) | Self::Salts => true,
            Self::DropAnswer(_) | Self::Ping | Self::States { .. } => false,
        }
    }
}

impl Session<Client> {
    /// Queues a ping. With a delay, in seconds, the server closes the connection after it unless another one comes.
    pub fn ping(&mut self, ping_id: i64, disconnect_delay: Option<i32>) {
        match disconnect_delay {
            Some(disconnect_delay) => {
                self.ask(
                    Ask::Ping,
                    &tl::PingDelayDisconnect {
                        ping_id,
                        disconnect_delay,
                    },
                );
            }
            None => self.ask(Ask::Ping, &tl::Ping { ping_id }),
        }
    }

    /// Queues a request for the salts of the hours to come. A session that sends anything asks by itself in time.
    pub fn ask_for_salts(&mut self, count: i32) {
        self.ask(Ask::Salts, &tl::GetFutureSalts { num: count });
    }

    /// Queues a wish to destroy another session of the key; [`Event::SessionDestroyed`] tells what became of it.
    pub fn destroy_session(&mut self, session: SessionId) {
        let session_id = session.0;
        self.ask(
            Ask::DestroySession(session),
            &tl::DestroySession { session_id },
        );
    }

    /// Queues a wish to destroy the key, with everything under it; [`Event::KeyDestroyed`] tells what became of it.
    pub fn destroy_key(&mut self) {
        self.ask(Ask::DestroyKey, &tl::DestroyAuthKey);
    }

    /// Queues a wish that the server hold its answer over HTTP, in milliseconds: until so long after the first message,
    /// after the last, and at most. On any other transport it does nothing.
    pub fn http_wait(&mut self, max_delay: i32, wait_after: i32, max_wait: i32) {
        self.push_service(&tl::HttpWait {
            max_delay,
            wait_after,
            max_wait,
        });
    }

    /// Queues a question, and forgets the oldest one if too many wait.
    pub(super) fn ask(&mut self, ask: Ask, object: &impl Serialize) {
        let body = Bytes::from(object.to_bytes());
        self.outbox.push(None, Content::Ask { ask, body });
        if self.outbox.asks() > ASKS_MAX {
            self.outbox.forget_oldest_ask();
        }
    }

    /// Asks for more salts if few are left.
    pub(super) fn ask_for_salts_ahead(&mut self, now: Mono) {
        if self.state.salts.asks(now) {
            self.ask_for_salts(i32::try_from(SALTS_KEPT_MAX).unwrap_or(i32::MAX));
        }
    }

    /// Handles the `rpc_result` of a question. Some servers answer `destroy_auth_key` so, and any question with an error.
    pub(in crate::session) fn on_ask_result(
        &mut self,
        ask: Ask,
        result: &[u8],
        out: &mut Vec<Event>,
    ) -> Result<(), Malformed> {
        let Some(kind) = peek_id(result) else {
            return Ok(());
        };
        match ask {
            Ask::DropAnswer(call) => {
                let fate = match kind {
                    tl::RpcAnswerDropped::ID => {
                        tl::RpcAnswerDropped::from_bytes(result)?;
                        Fate::Answered
                    }
                    tl::RpcAnswerDroppedRunning::ID => Fate::Running,
                    _ => Fate::Unknown,
                };
                out.push(Event::Dropped { call, fate });
            }
            Ask::DestroyKey => {
                let outcome = key_destruction(kind).unwrap_or(KeyDestruction::Failed);
                out.push(Event::KeyDestroyed { outcome });
            }
            Ask::States { calls, is_held } if is_held => {
                for id in calls {
                    self.outbox.resend(id, None);
                }
            }
            Ask::DestroySession(_) | Ask::Ping | Ask::Salts | Ask::States { .. } => {}
        }
        Ok(())
    }

    /// `destroy_auth_key_ok`, `_none` and `_fail`, bare. They name no question.
    pub(in crate::session) fn on_key_destroyed(&mut self, kind: u32, out: &mut Vec<Event>) {
        let Some(outcome) = key_destruction(kind) else {
            return;
        };
        if self.outbox.take_ask(|ask| *ask == Ask::DestroyKey) {
            out.push(Event::KeyDestroyed { outcome });
        }
    }

    /// `destroy_session_ok` and `_none`. They name the session and no question.
    pub(in crate::session) fn on_session_destroyed(
        &mut self,
        session_id: i64,
        was_there: bool,
        out: &mut Vec<Event>,
    ) {
        let session_id = SessionId(session_id);
        let asked = Ask::DestroySession(session_id);
        if self.outbox.take_ask(|ask| *ask == asked) {
            out.push(Event::SessionDestroyed {
                session_id,
                was_there,
            });
        }
    }
}

const fn key_destruction(kind: u32) -> Option<KeyDestruction> {
    match kind {
        tl::DestroyAuthKeyOk::ID => Some(KeyDestruction::Destroyed),
        tl::DestroyAuthKeyNone::ID => Some(KeyDestruction::Unknown),
        tl::DestroyAuthKeyFail::ID => Some(KeyDestruction::Failed),
        _ => None,
    }
}
