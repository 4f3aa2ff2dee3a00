//! A connection that its gateway brings back: the stream that joined the two has broken and is there again, and nothing that
//! the connection has brought was lost with it.

use crate::cx::Cx;
use crate::host::{Effect, Host};
use crate::port::Attach;

impl Host {
    /// Ties a connection to its session as it was, and has what is unacknowledged sent again. One that can't be tied is
    /// closed: its client comes again, and sends again.
    ///
    /// Nothing is executed, so no salt is asked for. But a connection that has brought captured messages only may come back,
    /// too: it never takes the place of one that has brought a new message since.
    pub(super) fn on_attach(&mut self, attach: &Attach, cx: &mut Cx<'_, Effect>) {
        let &Attach {
            link,
            ref key,
            session_id,
            term,
            is_http,
        } = attach;
        if self.links.entry(link).or_default().is_closed {
            return;
        }
        if let Some(code) = self.refusal(key, term, cx.now) {
            return self.close(link, code, cx);
        }
        let identity = key.identity();
        if self.entry(identity, session_id).is_none() {
            return self.close(link, None, cx);
        }
        if is_http {
            self.ask_http(link, (identity, session_id), cx.now.mono);
        }
        self.tie(identity, session_id, link, key, cx);
        if let Some(entry) = self.entry(identity, session_id) {
            entry.resume(link, cx.now.mono);
            entry.touch(cx.now.mono);
        }
        self.settle(identity, session_id, cx);
    }
}
