//! Connections that speak HTTP: each request gets one response, and nothing can be sent in between.
//!
//! ```text
//!  request ──> open ─┬─ something waits ──> held for company ──┬──> response: one message, perhaps a container
//!                    └─ nothing waits ───── until max_wait ────┘    or an empty one
//! ```
//!
//! A client has several such connections: one is parked with `http_wait` and brings what its server has to say, others
//! carry calls. What was meant for a connection that has had its response goes to the one that asks next, or waits.
//!
//! Source: <https://core.telegram.org/mtproto/service_messages#http-wait-long-poll>.

use crate::crossing::crosses;
use crate::cx::{Cx, Mono};
use crate::host::Host;
use crate::ids::{Identity, LinkId, SessionId};
use crate::port::FromHost;
use crate::session::on_http_wait::Hold;

/// What a host keeps of a connection that speaks HTTP.
#[derive(Clone, Copy, Debug)]
pub(super) struct Http {
    /// Requests without a response.
    open: u32,
    /// Whose the last request was.
    session: (Identity, SessionId),
    hold: Hold,
    asked_at: Mono,
    /// When the first and the last of what waits was found.
    waiting: Option<(Mono, Mono)>,
}

impl Http {
    pub(super) fn new(session: (Identity, SessionId), now: Mono) -> Self {
        Self {
            open: 0,
            session,
            hold: Hold::default(),
            asked_at: now,
            waiting: None,
        }
    }

    /// Takes note of a request.
    pub(super) fn ask(&mut self, session: (Identity, SessionId), now: Mono) {
        self.open = self.open.saturating_add(1);
        self.session = session;
        self.hold = Hold::default();
        self.asked_at = now;
        self.waiting = None;
    }

    /// Returns what goes with a session to another host: its request, if the last was its.
    pub(super) fn hand_over(&mut self, session: (Identity, SessionId)) -> Self {
        let handed = *self;
        if self.session == session {
            self.open = 0;
            return handed;
        }
        Self { open: 0, ..handed }
    }

    /// Unites what came with a session, now of `identity`, with what is known of its link.
    pub(super) fn unite(mut self, known: Option<&Self>, identity: Identity) -> Self {
        self.session.0 = identity;
        match known {
            Some(known) if self.is_asked() => {
                self.open = self.open.saturating_add(known.open);
                self
            }
            Some(known) => *known,
            None => self,
        }
    }

    /// Says for how long the response is held.
    pub(super) const fn hold(&mut self, hold: Hold) {
        self.hold = hold;
    }

    /// Tells whether a request has had no response.
    pub(super) const fn is_asked(&self) -> bool {
        self.open > 0
    }

    /// Takes note of a response.
    pub(super) const fn answered(&mut self) {
        self.open = self.open.saturating_sub(1);
    }

    /// Takes note that something waits for the response.
    pub(super) fn waits(&mut self, now: Mono) {
        let (first, _) = self.waiting.unwrap_or((now, now));
        self.waiting = Some((first, now));
    }

    /// Returns when the response is due: `max_wait` comes before `max_delay`, and that before `wait_after`.
    pub(super) fn due_at(&self) -> Option<Mono> {
        let latest = self.asked_at + self.hold.max_wait;
        let due = match self.waiting {
            Some((first, last)) => (first + self.hold.max_delay)
                .min(last + self.hold.wait_after)
                .min(latest),
            None => latest,
        };
        self.is_asked().then_some(due)
    }
}

crosses!(Http {
    open,
    session,
    hold,
    asked_at,
    waiting
} where |it: &Http| it.open <= REQUESTS_OPEN_MAX);

impl Host {
    /// Takes note of a request.
    pub(super) fn ask_http(&mut self, link: LinkId, session: (Identity, SessionId), now: Mono) {
        let http = &mut self.links.entry(link).or_default().http;
        let http = http.get_or_insert_with(|| Box::new(Http::new(session, now)));
        http.ask(session, now);
    }

    /// Appends as many messages as there are requests: what waits, or nothing once that is due.
    pub(super) fn drain_http(&mut self, link: LinkId, cx: &mut Cx<'_, FromHost>) {
        let Some(state) = self.links.get_mut(&link) else {
            return;
        };
        let Some(http) = &mut state.http else {
            return;
        };
        if http.due_at().is_none_or(|at| at > cx.now.mono) {
            return;
        }
        for &(identity, session_id) in &state.sessions {
            let Some(owned) = self.identities.get_mut(&identity) else {
                continue;
            };
            owned.salts.refresh(&self.source, cx.now.unix.seconds());
            let salt = owned.salts.current();
            let Some(entry) = owned.session_mut(session_id) else {
                continue;
            };
            entry.session.raise_ids_to(self.ids.last());
            while http.is_asked() && entry.wants(link, cx.now.mono) {
                let resent = entry.drain(link, 1, salt, cx);
                self.tally.resent += u64::try_from(resent).unwrap_or(0);
                http.answered();
            }
        }
        let (identity, session_id) = http.session;
        if let Some(owned) = self.identities.get_mut(&identity) {
            let salt = owned.salts.current();
            if let Some(entry) = owned.session_mut(session_id) {
                while http.is_asked() {
                    entry.drain_nothing(link, salt, cx);
                    http.answered();
                }
            }
        }
        for &(identity, session_id) in &state.sessions {
            let owned = self.identities.get_mut(&identity);
            if let Some(entry) = owned.and_then(|it| it.session_mut(session_id)) {
                entry.release(link);
            }
        }
    }
}

/// Requests without a response that another owner is believed to have: far more than any client makes at once.
const REQUESTS_OPEN_MAX: u32 = 1 << 16;
