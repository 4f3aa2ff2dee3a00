//! Calls: making one, waiting for it only so long, and not wanting it any more.

use bytes::Bytes;
use heliogram_tl::mtproto as tl;

use crate::cx::Mono;
use crate::ids::MsgId;
use crate::limits::CALLS_RUNNING_MAX;
use crate::session::Session;
use crate::session::client::{Ask, Cancelled, Event, TooManyCalls};
use crate::session::content::{After, Content};
use crate::side::Client;

impl Session<Client> {
    /// Queues a call: one boxed method, whose length is a multiple of four. Returns the number by which its answer
    /// will be known.
    ///
    /// # Errors
    ///
    /// [`TooManyCalls`] when [`CALLS_RUNNING_MAX`] calls wait for their answers.
    pub fn call(&mut self, body: Bytes) -> Result<u64, TooManyCalls> {
        let call = self.next_call()?;
        self.outbox.push(None, Content::plain_call(call, body));
        Ok(call)
    }

    /// Queues a call as [`Session::call`] does. If it is not answered at `due`, it ends with [`Event::TimedOut`].
    ///
    /// # Errors
    ///
    /// [`TooManyCalls`] when [`CALLS_RUNNING_MAX`] calls wait for their answers.
    pub fn call_until(&mut self, body: Bytes, due: Mono) -> Result<u64, TooManyCalls> {
        self.call_with(body, due, None)
    }

    /// Queues a call as [`Session::call_until`] does, which the server is to run after another (`invokeAfterMsg`). One that
    /// is over by the time this one goes out is not waited for.
    ///
    /// # Errors
    ///
    /// [`TooManyCalls`] when [`CALLS_RUNNING_MAX`] calls wait for their answers.
    pub fn call_after(
        &mut self,
        body: Bytes,
        due: Mono,
        earlier: u64,
    ) -> Result<u64, TooManyCalls> {
        let after = After {
            call: earlier,
            msg_id: MsgId(0),
        };
        self.call_with(body, due, Some(Box::new(after)))
    }

    fn call_with(
        &mut self,
        body: Bytes,
        due: Mono,
        after: Option<Box<After>>,
    ) -> Result<u64, TooManyCalls> {
        let call = self.next_call()?;
        let content = Content::Call {
            call,
            body,
            due: Some(due),
            is_pinned: false,
            after,
        };
        self.outbox.push(None, content);
        let earliest = self.state.earliest_due.map_or(due, |at| at.min(due));
        self.state.earliest_due = Some(earliest);
        Ok(call)
    }

    /// Gives up a call. No event tells of it any more, but [`Event::Dropped`] what the server says of it.
    pub fn cancel(&mut self, call: u64) -> Cancelled {
        let cancelled = self.drop_call(call);
        if cancelled != Cancelled::Unknown {
            self.state.waiting = self.state.waiting.saturating_sub(1);
        }
        cancelled
    }

    /// Ends the calls whose time is over.
    pub(super) fn end_overdue(&mut self, now: Mono, out: &mut Vec<Event>) {
        if self.state.earliest_due.is_none_or(|at| at > now) {
            return;
        }
        for call in self.overdue(now) {
            self.drop_call(call);
            self.end_call(Event::TimedOut { call }, out);
        }
        self.state.earliest_due = self.earliest_due();
    }

    /// Tells the owner how a call has ended.
    pub(in crate::session) fn end_call(&mut self, end: Event, out: &mut Vec<Event>) {
        self.state.waiting = self.state.waiting.saturating_sub(1);
        out.push(end);
    }

    /// Sends a call in another message, if it fits another.
    pub(in crate::session) fn call_anew(&mut self, content: Content, out: &mut Vec<Event>) {
        if let Content::Call {
            call,
            is_pinned: true,
            ..
        } = content
        {
            self.end_call(Event::Refused { call }, out);
        } else {
            self.outbox.push(None, content);
        }
    }

    fn drop_call(&mut self, call: u64) -> Cancelled {
        if self.outbox.take_unsent_call(call).is_some() {
            return Cancelled::NotSent;
        }
        if let Some(id) = self.outbox.sent_call(call) {
            self.outbox.take(id);
            self.ask(
                Ask::DropAnswer(call),
                &tl::RpcDropAnswer { req_msg_id: id.0 },
            );
            return Cancelled::Sent;
        }
        if self.forget_left_call(call) {
            return Cancelled::Sent;
        }
        Cancelled::Unknown
    }

    pub(super) fn next_call(&mut self) -> Result<u64, TooManyCalls> {
        if self.state.waiting >= CALLS_RUNNING_MAX {
            return Err(TooManyCalls);
        }
        Ok(self.number_call())
    }

    pub(super) const fn number_call(&mut self) -> u64 {
        self.state.waiting += 1;
        let call = self.state.next_call;
        self.state.next_call += 1;
        call
    }
}
