//! Guarantees a, b, d and e, by the tokens inside calls and answers.

use std::collections::{BTreeMap, BTreeSet};

use heliogram_proto::cx::Mono;
use heliogram_proto::ids::{Identity, MsgId, SessionId, Term};
use heliogram_proto::port::{Call, Reply};

use super::Failure;
use crate::body::{Answer, Query};
use crate::net::Who;

/// Every wish of every client, and what became of it.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    /// Those that wait.
    open: BTreeMap<u64, Token>,
    closed: BTreeMap<u64, Token>,
    executions: BTreeMap<Execution, Progress>,
    /// Keys whose clients know that they are no more.
    destroyed: BTreeSet<Identity>,
    /// Outer messages that have brought calls to their execution.
    packets: BTreeSet<(SessionId, MsgId)>,
    pub(crate) failures: Vec<Failure>,
    /// Executions of all calls.
    pub(crate) runs: u64,
    /// Runs beyond the first, each after a crash.
    pub(crate) doubles: u64,
    pub(crate) is_calm: bool,
}

/// A call at a host.
type Execution = (Term, Identity, SessionId, MsgId);

/// How far the backend is with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Runs,
    Succeeded,
    Failed,
}

#[derive(Debug)]
struct Token {
    client: usize,
    identity: Identity,
    runs: u32,
    /// Times that it had no answer when something happened after which a call may run again.
    chances: u32,
    /// Of the host that ran it last.
    term: Option<Term>,
    is_over: bool,
}

impl Tokens {
    /// Takes note of a wish.
    pub(crate) fn issued(&mut self, token: u64, client: usize, identity: Identity) {
        let state = Token {
            client,
            identity,
            runs: 0,
            chances: 0,
            term: None,
            is_over: false,
        };
        self.open.insert(token, state);
    }

    /// Takes note that an envelope has brought calls to their execution.
    pub(crate) fn carried(&mut self, packet: (SessionId, MsgId), who: Who, now: Mono) {
        if !self.packets.insert(packet) {
            let detail = format!("{packet:?} brought by {who:?} at {now:?}");
            self.fail("d: a packet is executed once, by whatever host", detail);
        }
    }

    /// Takes note that a client was told of the end of its key.
    pub(crate) fn destroyed(&mut self, identity: Identity) {
        self.destroyed.insert(identity);
    }

    /// Takes note that the backend runs a call for the owner of its key.
    pub(crate) fn executed_by_owner(&mut self, call: &Call) {
        if self.destroyed.contains(&call.identity) {
            let detail = format!("{call:?}");
            self.fail(
                "g: the owner of a destroyed key refuses every frame",
                detail,
            );
        }
    }

    /// Takes note that the backend runs a call.
    pub(crate) fn executed(&mut self, call: &Call, now: Mono) {
        let Some(query) = Query::read(&call.body) else {
            return self.fail("a call's body arrives as it was sent", format!("{call:?}"));
        };
        let execution = (call.term, call.identity, call.session_id, call.msg_id);
        if self.executions.insert(execution, Progress::Runs).is_some() {
            self.fail(
                "a: a host runs a call once for (identity, session, message)",
                format!("{execution:?} at {now:?}"),
            );
        }
        self.check_order(&query, execution);
        let is_calm = self.is_calm;
        let known = self.open.get_mut(&query.token);
        let Some(token) = known.or_else(|| self.closed.get_mut(&query.token)) else {
            return self.fail("no call is invented", format!("{query:?}"));
        };
        token.term = Some(call.term);
        self.runs += 1;
        token.runs += 1;
        let mut broken = Vec::new();
        if token.identity != call.identity {
            broken.push("e: a call stays with its identity");
        }
        if token.runs > 1 {
            self.doubles += 1;
            if token.runs > 1 + token.chances {
                broken.push("b: a call runs again only if it had no answer when its host was lost");
            }
            if is_calm {
                broken.push("without crashes no call runs twice");
            }
        }
        let detail = format!("{query:?} {execution:?} {token:?} at {now:?}");
        for rule in broken {
            self.fail(rule, detail.clone());
        }
    }

    /// Takes note of the answer that a client got.
    pub(crate) fn answered(&mut self, token: u64, reply: &Reply) {
        let said = match reply {
            Reply::Result(body) => Some(Answer::read(body)),
            Reply::Error(error) => Answer::token_of_error(&error.message).map(Some),
        };
        let Some(state) = self.close(token) else {
            return self.fail("a call is answered once", format!("{token}"));
        };
        let mut broken = Vec::new();
        match said {
            Some(said) if said != Some(token) => {
                broken.push("e: an answer reaches its own call and no other");
            }
            Some(_) if state.runs == 0 => {
                broken.push("an answer says that a call ran only if it did");
            }
            // The engine itself has refused the call.
            None if state.runs > 0 && self.is_calm && !is_lost(reply) => {
                broken.push("a call that the engine refused did not run");
            }
            Some(_) | None => {}
        }
        let detail = format!("token {token} {state:?} got {said:?}");
        self.closed.insert(token, state);
        for rule in broken {
            self.fail(rule, detail.clone());
        }
    }

    /// Takes note that a client does not wait any more: nobody can say whether its call ran.
    pub(crate) fn uncertain(&mut self, token: u64) {
        if self.is_calm {
            self.fail(
                "without crashes every call gets its answer",
                format!("{token}"),
            );
        }
        self.given_up(token);
    }

    /// Takes note that a client has lost its patience with a call, or its interest.
    pub(crate) fn given_up(&mut self, token: u64) {
        if let Some(state) = self.close(token) {
            self.closed.insert(token, state);
        }
    }

    /// Takes note of something after which unanswered calls of these identities may run again.
    pub(crate) fn disrupt(&mut self, of: impl Fn(usize, Identity) -> bool) {
        for token in self.open.values_mut() {
            if of(token.client, token.identity) {
                token.chances += 1;
            }
        }
    }

    /// Takes note that a call was run by a host that had been taken over: it may run again.
    pub(crate) fn disrupt_one(&mut self, call: &Call) {
        let token = Query::read(&call.body).and_then(|it| self.open.get_mut(&it.token));
        if let Some(token) = token {
            token.chances += 1;
        }
    }

    /// Tells whether every wish has come to its end.
    pub(crate) fn are_over(&self) -> bool {
        self.open.is_empty()
    }

    pub(crate) fn finish(&mut self, now: Mono) {
        if let Some((number, token)) = self.open.first_key_value() {
            let detail = format!("token {number} {token:?} at {now:?}");
            self.fail("no call is lost", detail);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.open.len() + self.closed.len()
    }

    /// Returns the term in which a call ran last.
    pub(crate) fn term_of(&self, token: u64) -> Option<Term> {
        self.open.get(&token)?.term
    }

    /// Takes note that the backend has answered a call.
    pub(crate) fn replied(&mut self, execution: Execution, reply: &Reply) {
        let progress = match reply {
            Reply::Error(_) => Progress::Failed,
            Reply::Result(_) => Progress::Succeeded,
        };
        if let Some(known) = self.executions.get_mut(&execution) {
            *known = progress;
        }
    }

    /// A call that is to run after another one doesn't overtake it at the same host, nor run after its failure.
    fn check_order(&mut self, query: &Query, (term, identity, session_id, _): Execution) {
        let Some(after) = query.after else {
            return;
        };
        let before = self.executions.get(&(term, identity, session_id, after));
        let rule = match before {
            Some(Progress::Runs) => {
                "invokeAfterMsg: a call does not overtake the one that it names"
            }
            Some(Progress::Failed) => "invokeAfterMsg: a call does not run after one that failed",
            Some(Progress::Succeeded) | None => return,
        };
        self.fail(rule, format!("{query:?} in {term:?} {session_id:?}"));
    }

    fn close(&mut self, token: u64) -> Option<Token> {
        let mut state = self.open.remove(&token)?;
        state.is_over = true;
        Some(state)
    }

    fn fail(&mut self, rule: &'static str, detail: String) {
        self.failures.push(Failure { rule, detail });
    }
}

/// Tells whether an answer was there and had to make room.
fn is_lost(reply: &Reply) -> bool {
    matches!(reply, Reply::Error(error) if error.message == "RPC_ANSWER_LOST")
}
