//! Updates that a backend pushes to a session, and who wants them.
//!
//! Source: <https://core.telegram.org/api/updates#subscribing-to-updates>.

use bytes::Bytes;
use heliogram_tl::{layer, peek_id};

use crate::session::Session;
use crate::session::request::Request;
use crate::side::Server;

impl Session<Server> {
    /// Takes note of a call: a session wants updates once it has called anything without `invokeWithoutUpdates`. One
    /// that only moves files does not.
    pub(super) fn subscribe(&mut self, request: &Request) {
        if !self.state.wants_updates && !request.without_updates {
            self.state.wants_updates = !moves_files(&request.query);
        }
    }

    /// Tells whether the session gets what is pushed to its user or key.
    pub(crate) const fn wants_updates(&self) -> bool {
        self.state.wants_updates
    }

    /// Queues an update: a whole object, packed or not.
    pub(crate) fn push(&mut self, body: Bytes) -> bool {
        self.outbox.push_update(body)
    }

    /// Has the client ask the backend for what it may have missed.
    pub(crate) fn ask_for_difference(&mut self) {
        self.outbox.give_up_updates();
    }
}

fn moves_files(query: &[u8]) -> bool {
    peek_id(query)
        .and_then(layer::method)
        .is_some_and(|method| method.name().starts_with("upload."))
}
