//! Where the answers to requests are: waiting, or sent.

use crate::ids::{LinkId, MsgId};
use crate::session::content::Content;
use crate::session::outbox::Outbox;

/// What is known of the answer to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It waits for a link.
    Queued,
    /// It was sent under this identifier, and is not acknowledged.
    Sent(MsgId),
}

impl Outbox {
    /// Returns the answer to a request, if it waits to be sent or acknowledged.
    pub(crate) fn answer_to(&self, request: MsgId) -> Option<Answer> {
        let sent = self
            .unacked()
            .find(|it| it.content.answers() == Some(request));
        if let Some(sent) = sent {
            return Some(Answer::Sent(sent.msg_id));
        }
        let queued = self
            .queue
            .iter()
            .any(|it| it.content.answers() == Some(request));
        queued.then_some(Answer::Queued)
    }

    /// Returns the requests whose answers wait to be sent or acknowledged, in order.
    pub(crate) fn answered(&self) -> Vec<MsgId> {
        let queued = self.queue.iter().map(|it| &it.content);
        let contents = self.unacked().map(|it| &it.content).chain(queued);
        let mut requests: Vec<_> = contents.filter_map(Content::answers).collect();
        requests.sort_unstable();
        requests
    }

    /// Has the answer to a request, if it was not sent yet, sent to another link.
    pub(crate) fn redirect_answer(&mut self, request: MsgId, link: LinkId) {
        let answer = self
            .queue
            .iter_mut()
            .find(|it| it.content.answers() == Some(request));
        if let Some(answer) = answer {
            answer.link = Some(link);
        }
    }

    /// Takes back the answer to a request that was not sent yet.
    pub(crate) fn take_back_answer(&mut self, request: MsgId) -> Option<Content> {
        let at = self
            .queue
            .iter()
            .position(|it| it.content.answers() == Some(request))?;
        let queued = self.queue.remove(at)?;
        self.queued_bytes = self.queued_bytes.saturating_sub(queued.content.len());
        Some(queued.content)
    }
}
