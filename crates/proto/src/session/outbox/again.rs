//! What was sent and goes out again, and what becomes of it when too much is kept.
//!
//! ```text
//!  asked for by msg_resend_req ──────────────────> the whole message, under its first identifier
//!  a new connection, a second copy of a call ─┬─ small ─> the same
//!                                             ├─ large ─> msg_detailed_info, msg_new_detailed_info
//!                                             └─ lost ──> rpc_error
//! ```
//!
//! A client announces nothing: its calls go out whole.

use crate::cx::Mono;
use crate::ids::{LinkId, MsgId};
use crate::limits::{RESEND_AGE_S, UNACKED_BYTES_MAX, UNACKED_MESSAGES_MAX};
use crate::session::content::Content;
use crate::session::outbox::{Outbox, Sent, is_for};
use crate::session::role::habits;
use crate::session::server::rpc_error;
use crate::side::Side;

/// How a message that was sent goes out again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Again {
    /// It does not.
    No,
    /// By a new message, which announces it or takes its place.
    Anew,
    /// As it was.
    Whole,
}

impl Sent {
    /// Returns how it is brought to a peer that may have it already.
    fn again<S: Side>(&self) -> Again {
        if self.is_lost || self.content.len() > habits::<S>().whole_bytes_max {
            Again::Anew
        } else {
            Again::Whole
        }
    }

    /// Returns the bytes of what goes out again.
    pub(super) fn len_again(&self) -> usize {
        match self.again {
            Again::Anew if !self.is_lost => self.announcement().len(),
            Again::Anew | Again::No | Again::Whole => self.content.len(),
        }
    }

    const fn announcement(&self) -> Content {
        Content::Announced {
            to: self.content.answers(),
            answer: self.msg_id,
            bytes: self.content.len(),
        }
    }
}

impl Outbox {
    /// Asks for a message to be sent again as it was. Returns `false` if it is not kept.
    pub(crate) fn resend(&mut self, id: MsgId, link: Option<LinkId>) -> bool {
        let Some(at) = self.find(id) else {
            return false;
        };
        self.mark(at, link, Again::Whole)
    }

    /// Asks for everything unacknowledged that `which` chooses to be sent again as it was.
    pub(crate) fn resend_where(&mut self, link: Option<LinkId>, which: impl Fn(&Sent) -> bool) {
        for at in 0..self.unacked.len() {
            if self.unacked.get(at).is_some_and(&which) {
                self.mark(at, link, Again::Whole);
            }
        }
    }

    /// Has a message brought to a peer that may have it already.
    pub(crate) fn bring<S: Side>(&mut self, id: MsgId, link: LinkId) {
        if let Some(at) = self.find(id) {
            self.bring_at::<S>(at, Some(link));
        }
    }

    /// Gives back what was meant for a link that is gone, or was sent there. Answers about the protocol itself go with
    /// it: a refusal that a captured message has drawn must not reach the client.
    pub(crate) fn detach<S: Side>(&mut self, link: LinkId) {
        let bytes = &mut self.queued_bytes;
        self.queue.retain(|it| {
            let is_over = it.link == Some(link) && it.content.is_of_its_link();
            if is_over {
                *bytes = bytes.saturating_sub(it.content.len());
            }
            !is_over
        });
        self.release(link);
        for at in 0..self.unacked.len() {
            if self.unacked.get(at).is_some_and(|it| it.link == Some(link)) {
                self.bring_at::<S>(at, None);
            }
        }
        self.make_up_for_forgotten_updates();
    }

    /// Takes note of a link that is new to the session: what has waited long for its acknowledgement goes there again.
    pub(crate) fn attach<S: Side>(&mut self, now: Mono) {
        let is_old = |it: &Sent| now.since(it.sent_at).as_secs() >= RESEND_AGE_S;
        for at in 0..self.unacked.len() {
            if self.unacked.get(at).is_some_and(is_old) {
                self.bring_at::<S>(at, None);
            }
        }
        self.make_up_for_forgotten_updates();
    }

    fn bring_at<S: Side>(&mut self, at: usize, link: Option<LinkId>) {
        if let Some(how) = self.unacked.get(at).map(Sent::again::<S>) {
            self.mark(at, link, how);
        }
    }

    /// Returns `false` if the message is there no more. One that was asked for is not announced instead.
    fn mark(&mut self, at: usize, link: Option<LinkId>, how: Again) -> bool {
        let Some(sent) = self.unacked.get_mut(at) else {
            return false;
        };
        sent.link = link;
        if sent.again == Again::No {
            self.to_resend += 1;
        }
        if sent.is_lost {
            sent.again = Again::Anew;
        } else if sent.again != Again::Whole {
            sent.again = how;
        }
        !sent.is_lost
    }

    /// Takes out the next of what goes out again by a new message.
    pub(super) fn take_anew(&mut self, link: LinkId, is_current: bool) -> Option<Content> {
        let chosen = |it: &Sent| it.again == Again::Anew && is_for(it.link, link, is_current);
        let at = self.unacked.iter().position(chosen)?;
        let sent = self.unacked.get_mut(at)?;
        if !sent.is_lost {
            sent.again = Again::No;
            sent.link = Some(link);
            self.to_resend = self.to_resend.saturating_sub(1);
            return Some(sent.announcement());
        }
        let sent = self.unacked.remove(at)?;
        self.forget(&sent);
        Some(sent.content)
    }

    /// Gives up what is over the limits, oldest first, and never the newest. Updates have limits of their own.
    pub(super) fn enforce_limits(&mut self) {
        while self.unacked_others() > UNACKED_MESSAGES_MAX {
            let oldest = self.unacked.iter().position(|it| !it.content.is_update());
            let Some(oldest) = oldest.and_then(|at| self.unacked.remove(at)) else {
                break;
            };
            self.forget(&oldest);
        }
        let older = self.unacked.len().saturating_sub(1);
        for sent in self.unacked.iter_mut().take(older) {
            if self.unacked_bytes <= UNACKED_BYTES_MAX {
                return;
            }
            self.unacked_bytes -= sent.lose();
        }
    }
}

impl Sent {
    /// Puts an error into the place of an answer. Returns the bytes that it frees.
    ///
    /// An acknowledgement shows that the client had the answer. If it never comes, the call can't be run again: to say
    /// so is better than silence.
    fn lose(&mut self) -> usize {
        let Content::Result { result, .. } = &mut self.content else {
            return 0;
        };
        let before = result.len();
        if before > LOST_BYTES_MIN {
            *result = rpc_error(500, "RPC_ANSWER_LOST");
            self.is_lost = true;
            if self.again != Again::No {
                self.again = Again::Anew;
            }
        }
        before - result.len()
    }
}

/// A smaller answer costs no more than the error in its place.
const LOST_BYTES_MIN: usize = 64;
