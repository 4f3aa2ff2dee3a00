//! Guarantee h: an update reaches its session, or the session is told to ask for what it missed.

use std::collections::{BTreeMap, BTreeSet};

use heliogram_proto::ids::SessionId;

use super::Failure;

/// What was pushed to sessions that are there, and not yet told by their clients.
#[derive(Debug, Default)]
pub(crate) struct Pushes {
    /// By client: what its session is to get.
    owed: BTreeMap<usize, BTreeSet<u64>>,
    told: BTreeSet<(usize, SessionId, u64)>,
    pub(crate) failures: Vec<Failure>,
}

impl Pushes {
    /// Takes note that a session is to get an update.
    pub(crate) fn owed(&mut self, client: usize, number: u64) {
        self.owed.entry(client).or_default().insert(number);
    }

    /// Takes note that a client was told of an update.
    pub(crate) fn told(&mut self, client: usize, session: SessionId, number: u64) {
        if let Some(owed) = self.owed.get_mut(&client) {
            owed.remove(&number);
        }
        if !self.told.insert((client, session, number)) {
            self.failures.push(Failure {
                rule: "h: an update is told once",
                detail: format!("{number} to client {client} in {session:?}"),
            });
        }
    }

    /// Takes note that a client knows that it may have missed updates: it asks the backend for them.
    pub(crate) fn asks(&mut self, client: usize) {
        self.owed.remove(&client);
    }

    /// Tells whether every update has come to its end.
    pub(crate) fn are_over(&self) -> bool {
        self.owed.values().all(BTreeSet::is_empty)
    }

    pub(crate) fn finish(&mut self) {
        let lost = self.owed.iter().find(|(_, owed)| !owed.is_empty());
        if let Some((client, owed)) = lost {
            let detail = format!("client {client}: {owed:?}");
            let rule = "h: no update is lost in silence";
            self.failures.push(Failure { rule, detail });
        }
    }
}
