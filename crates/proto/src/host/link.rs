//! A connection at a gateway, as its host sees it.

use std::collections::VecDeque;

use core::time::Duration;

use bytes::Bytes;

use crate::cx::{Cx, Mono};
use crate::envelope::Header;
use crate::host::http::Http;
use crate::ids::{AuthKeyId, Identity, LinkId, Salt, SeqNo, SessionId};
use crate::limits::QUEUED_MESSAGES_MAX;
use crate::port::FromHost;
use crate::session::BadMsg;
use crate::session::msg_id::Generator;
use crate::session::server::refusal;

/// What a host keeps of a connection.
#[derive(Debug, Default)]
pub(super) struct Link {
    /// The sessions that it carries.
    pub(super) sessions: Vec<(Identity, SessionId)>,
    /// Its owner was told that there is something to drain.
    pub(super) is_ready: bool,
    /// Nothing is sent any more.
    pub(super) is_closed: bool,
    /// It speaks HTTP.
    pub(super) http: Option<Box<Http>>,
    own: VecDeque<Own>,
    close: Option<Option<i32>>,
    disconnect_at: Option<Mono>,
    pub(super) armed: Option<Mono>,
}

/// What is sent to a connection outside of its sessions.
#[derive(Debug)]
enum Own {
    QuickAck(u32),
    Refusal(Refusal),
    Last(Box<Last>),
}

/// An answer that its session does not outlive.
#[derive(Debug)]
pub(super) struct Last {
    pub(super) key: AuthKeyId,
    pub(super) salt: Salt,
    pub(super) session_id: SessionId,
    pub(super) seqno: SeqNo,
    pub(super) body: Bytes,
}

/// A refusal of a message whose session does not exist. It makes no session: a captured message could else fill
/// the table.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) key: AuthKeyId,
    pub(super) refused: Header,
    pub(super) error: BadMsg,
    /// The current one.
    pub(super) salt: Salt,
}

impl Link {
    pub(super) fn quick_ack(&mut self, token: u32) {
        self.push(Own::QuickAck(token));
    }

    pub(super) fn refuse(&mut self, refusal: Refusal) {
        self.push(Own::Refusal(refusal));
    }

    /// Queues an answer that its session does not outlive.
    pub(super) fn say_last(&mut self, last: Last) {
        self.push(Own::Last(Box::new(last)));
    }

    /// A link whose owner doesn't drain it is closed, like one whose session floods it.
    fn push(&mut self, own: Own) {
        if self.own.len() >= QUEUED_MESSAGES_MAX {
            return self.close(None);
        }
        self.own.push_back(own);
    }

    pub(super) const fn close(&mut self, code: Option<i32>) {
        if self.close.is_none() && !self.is_closed {
            self.close = Some(code);
        }
    }

    /// Sets anew when the link is closed unless its client asks again.
    pub(super) fn disconnect_after(&mut self, delay: Duration, now: Mono) -> Mono {
        let at = now + delay;
        self.disconnect_at = Some(at);
        at
    }

    /// Takes out when the link is closed unless its client asks again.
    pub(super) const fn take_disconnect(&mut self) -> Option<Mono> {
        self.disconnect_at.take()
    }

    /// Sets when the link is closed unless its client asks again.
    pub(super) const fn set_disconnect(&mut self, at: Mono) {
        self.disconnect_at = Some(at);
    }

    /// Tells whether its client has not asked again in time.
    pub(super) fn is_overdue(&self, now: Mono) -> bool {
        self.disconnect_at.is_some_and(|at| at <= now)
    }

    /// Returns when it is closed unless its client asks again, or when the response over HTTP is due.
    pub(super) fn due_at(&self) -> Option<Mono> {
        let response = self.http.as_ref().and_then(|http| http.due_at());
        [self.disconnect_at, response].into_iter().flatten().min()
    }

    /// Appends what belongs to the link rather than to a session: all of it, or one after the other over HTTP.
    pub(super) fn drain_own(
        &mut self,
        link: LinkId,
        ids: &mut Generator,
        cx: &mut Cx<'_, FromHost>,
    ) {
        while self.http.as_ref().is_none_or(|http| http.is_asked())
            && let Some(own) = self.own.pop_front()
        {
            if let Some(http) = &mut self.http {
                http.answered();
            }
            cx.out.push(match own {
                Own::QuickAck(token) => FromHost::QuickAck { link, token },
                Own::Refusal(it) => FromHost::Seal {
                    link,
                    key: it.key,
                    salt: it.salt,
                    session_id: it.refused.session_id,
                    msg_id: ids.next(cx.now.unix, ANSWER),
                    seqno: SeqNo(0),
                    body: refusal(it.error, it.refused.msg_id, it.refused.seqno, it.salt),
                },
                Own::Last(it) => FromHost::Seal {
                    link,
                    key: it.key,
                    salt: it.salt,
                    session_id: it.session_id,
                    msg_id: ids.next(cx.now.unix, ANSWER),
                    seqno: it.seqno,
                    body: it.body,
                },
            });
        }
        if let Some(code) = self.close.take() {
            self.is_closed = true;
            cx.out.push(FromHost::Close { link, code });
        }
    }
}

/// Low two bits of an answer's id.
const ANSWER: i64 = 1;
