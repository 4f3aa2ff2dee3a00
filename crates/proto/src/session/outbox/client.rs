//! What a client does with its queues: a call is kept until it is answered, a question until its answer comes.

use bytes::Bytes;
use heliogram_tl::{Serialize, mtproto as tl};

use crate::cx::{Mono, Now};
use crate::ids::{LinkId, MsgId};
use crate::session::client::Ask;
use crate::session::content::Content;
use crate::session::outbox::again::Again;
use crate::session::outbox::{Numbered, Outbox, Sent};
use crate::session::role::habits;
use crate::side::Client;

impl Outbox {
    /// Tells whether a call waits that fits only the message that carries it: a binding.
    pub(crate) fn awaits_binding(&self) -> bool {
        let pinned = |it: &Sent| {
            matches!(
                it.content,
                Content::Call {
                    is_pinned: true,
                    ..
                }
            )
        };
        self.unacked.iter().any(pinned)
    }

    /// Gives a message its numbers now rather than at the drain, because its body must name them. It counts as sent.
    pub(crate) fn send_numbered(
        &mut self,
        now: Now,
        make: impl FnOnce(MsgId) -> Content,
    ) -> Numbered {
        let msg_id = self.ids.next(now.unix, habits::<Client>().low_bits_of_own);
        let content = make(msg_id);
        let seqno = self.seqno(content.is_content_related());
        let mut body = Vec::with_capacity(content.len());
        content.write(&mut body);
        self.unacked_bytes += content.len();
        self.unacked.push_back(Sent {
            msg_id,
            seqno,
            container: MsgId(0),
            copies: 1,
            content,
            sent_at: now.mono,
            link: None,
            again: Again::No,
            is_lost: false,
        });
        Numbered {
            msg_id,
            seqno,
            body: body.into(),
        }
    }

    /// Takes out a call that was sent, and says nothing of it. `false` if there is none.
    pub(crate) fn take_call(&mut self, call: u64) -> bool {
        let sent = self.unacked().find(|it| it.content.call() == Some(call));
        let id = sent.map(|it| it.msg_id);
        id.is_some_and(|id| self.take(id).is_some())
    }

    /// Makes all later sequence numbers greater: the server has seen greater ones.
    pub(crate) const fn skip_seqnos(&mut self, content_messages: u32) {
        self.content_count = self.content_count.wrapping_add(content_messages);
    }

    /// Counts the questions that wait to be sent or answered.
    pub(crate) fn asks(&self) -> usize {
        let queued = self.queue.iter().map(|it| &it.content);
        let contents = self.unacked().map(|it| &it.content).chain(queued);
        contents
            .filter(|it| matches!(it, Content::Ask { .. }))
            .count()
    }

    /// Forgets the question that has waited longest.
    pub(crate) fn forget_oldest_ask(&mut self) {
        if !self.take_ask(|_| true) {
            self.take_waiting(|it| matches!(it, Content::Ask { .. }));
        }
    }

    /// Takes out the first sent question that `which` chooses; `false` if there is none.
    pub(crate) fn take_ask(&mut self, which: impl Fn(&Ask) -> bool) -> bool {
        let chosen = |it: &&Sent| matches!(&it.content, Content::Ask { ask, .. } if which(ask));
        let id = self.unacked().find(chosen).map(|it| it.msg_id);
        id.is_some_and(|id| self.take(id).is_some())
    }

    /// Takes out all sent questions that `which` chooses.
    pub(crate) fn take_asks(&mut self, which: impl Fn(&Ask) -> bool) -> Vec<Content> {
        let chosen = |it: &&Sent| matches!(&it.content, Content::Ask { ask, .. } if which(ask));
        let ids: Vec<_> = self.unacked().filter(chosen).map(|it| it.msg_id).collect();
        ids.into_iter().filter_map(|id| self.take(id)).collect()
    }

    /// Takes out the question that a message has asked, if `is_it` one of the kind that is answered.
    pub(crate) fn take_asked(&mut self, id: MsgId, is_it: impl Fn(&Ask) -> bool) -> Option<Ask> {
        let sent = self.unacked.get(self.find(id)?)?;
        if !matches!(&sent.content, Content::Ask { ask, .. } if is_it(ask)) {
            return None;
        }
        if let Content::Ask { ask, .. } = self.take(id)? {
            Some(ask)
        } else {
            None
        }
    }

    /// Tells whether a message carries a call that is not answered.
    pub(crate) fn carries_call(&self, id: MsgId) -> bool {
        let sent = self.find(id).and_then(|at| self.unacked.get(at));
        sent.is_some_and(|it| it.content.call().is_some())
    }

    /// Takes out the first that was not sent yet and that `which` chooses.
    pub(crate) fn take_waiting(&mut self, which: impl Fn(&Content) -> bool) -> Option<Content> {
        let at = self.queue.iter().position(|it| which(&it.content))?;
        let queued = self.queue.remove(at)?;
        self.queued_bytes = self.queued_bytes.saturating_sub(queued.content.len());
        Some(queued.content)
    }

    /// Returns the message that carried a call, if it was sent.
    pub(crate) fn sent_call(&self, call: u64) -> Option<MsgId> {
        let sent = self.unacked().find(|it| it.content.call() == Some(call))?;
        // Numbered, and not on its way: the server has never seen it.
        (sent.copies > 0).then_some(sent.msg_id)
    }

    /// Writes a second copy of a call that was sent: a `msg_copy`. It stands in for the container that carried it last.
    pub(crate) fn copy_of(&mut self, call: u64, now: Now) -> Option<Numbered> {
        let is_it = |it: &&mut Sent| it.copies > 0 && it.content.call() == Some(call);
        let sent = self.unacked.iter_mut().find(is_it)?;
        let msg_id = self.ids.next(now.unix, habits::<Client>().low_bits_of_own);
        let mut original = Vec::with_capacity(sent.content.len());
        sent.content.write(&mut original);
        let orig_message = tl::Message {
            msg_id: sent.msg_id.0,
            seqno: sent.seqno.0,
            body: &original,
        };
        let body = Bytes::from(tl::MsgCopy { orig_message }.to_bytes());
        sent.copies = sent.copies.saturating_add(1);
        sent.container = msg_id;
        let seqno = self.seqno(false);
        Some(Numbered {
            msg_id,
            seqno,
            body,
        })
    }

    /// Has a call that is to wait for another name the message that carries that one: it waits for nothing, if the other is
    /// over.
    pub(super) fn name_earlier(&self, content: &mut Content) {
        let Some(after) = content.after() else {
            return;
        };
        if let Some(earlier) = after {
            match self.sent_call(earlier.call) {
                Some(msg_id) => earlier.msg_id = msg_id,
                None => *after = None,
            }
        }
    }

    /// Takes out a call that was never sent.
    pub(crate) fn take_unsent_call(&mut self, call: u64) -> Option<Content> {
        let numbered = self.unacked().find(|it| it.content.call() == Some(call));
        if let Some(sent) = numbered {
            let (id, was_sent) = (sent.msg_id, sent.copies > 0);
            return if was_sent { None } else { self.take(id) };
        }
        self.take_waiting(|it| it.call() == Some(call))
    }

    /// Returns the calls that were sent and are not answered, oldest first. Those that fit only the message that
    /// carried them are left out: they went under another key, and are never sent again.
    pub(crate) fn sent_calls(&self) -> impl Iterator<Item = &Sent> {
        let is_call = |it: &Content| {
            matches!(
                it,
                Content::Call {
                    is_pinned: false,
                    ..
                }
            )
        };
        let is_sent = move |it: &&Sent| it.copies > 0 && is_call(&it.content);
        self.unacked().filter(is_sent)
    }

    /// Returns the time by which the earliest call that has one is to be answered.
    pub(crate) fn earliest_due(&self) -> Option<Mono> {
        let queued = self.queue.iter().map(|it| &it.content);
        let contents = self.unacked().map(|it| &it.content).chain(queued);
        contents.filter_map(Content::due).min()
    }

    /// Returns the calls whose time is over.
    pub(crate) fn overdue(&self, now: Mono) -> Vec<u64> {
        let queued = self.queue.iter().map(|it| &it.content);
        let contents = self.unacked().map(|it| &it.content).chain(queued);
        contents
            .filter(|it| it.due().is_some_and(|due| due <= now))
            .filter_map(Content::call)
            .collect()
    }

    /// Holds back what was to be sent again.
    pub(crate) fn hold(&mut self, link: LinkId) {
        for sent in &mut self.unacked {
            if sent.copies > 0 {
                sent.link = Some(link);
                sent.again = Again::No;
            }
        }
        self.to_resend = self
            .unacked
            .iter()
            .filter(|it| it.again != Again::No)
            .count();
    }

    /// Forgets all numbers. Returns what was sent and is not answered, and what was not sent, oldest first.
    pub(crate) fn begin_anew(&mut self) -> (Vec<Sent>, Vec<Content>) {
        let old = core::mem::take(self);
        let queued = old.queue.into_iter().map(|it| it.content).collect();
        (old.unacked.into(), queued)
    }
}

impl Sent {
    /// Tells when it was sent first.
    pub(crate) const fn sent_at(&self) -> Mono {
        self.sent_at
    }
}
