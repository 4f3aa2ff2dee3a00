//! What was run, and how often: by method, and by the token in a call's body.

use std::collections::BTreeMap;

use grammers_tl_types::Identifiable;
use tokio::sync::watch;

/// What was run. Tokens are what [`tokens`](super::tokens) carry, the `random_id` of messages, and file parts.
#[derive(Debug)]
pub struct Ledger {
    account: watch::Sender<Account>,
}

#[derive(Debug, Default)]
struct Account {
    arrived: BTreeMap<u32, usize>,
    given_up: BTreeMap<u32, usize>,
    run: BTreeMap<i64, usize>,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            account: watch::Sender::new(Account::default()),
        }
    }
}

impl Ledger {
    /// Returns how many calls of a method have come, those that were refused included.
    #[must_use]
    pub fn calls<M: Identifiable>(&self) -> usize {
        self.calls_of(M::CONSTRUCTOR_ID)
    }

    /// As [`Ledger::calls`], by the method's constructor id.
    #[must_use]
    pub fn calls_of(&self, method: u32) -> usize {
        self.account.borrow().arrived_of(method)
    }

    /// Waits until so many calls of a method have come.
    pub async fn wait_for<M: Identifiable>(&self, calls: usize) {
        self.wait_for_of(M::CONSTRUCTOR_ID, calls).await;
    }

    /// As [`Ledger::wait_for`], by the method's constructor id.
    pub async fn wait_for_of(&self, method: u32, calls: usize) {
        let mut account = self.account.subscribe();
        // The sender lives as long as this does.
        let _ = account.wait_for(|it| it.arrived_of(method) >= calls).await;
    }

    /// Waits until so many calls of a method were given up, by their clients or with their sessions, while they waited
    /// for an answer.
    pub async fn wait_for_given_up<M: Identifiable>(&self, calls: usize) {
        self.wait_for_given_up_of(M::CONSTRUCTOR_ID, calls).await;
    }

    /// As [`Ledger::wait_for_given_up`], by the method's constructor id.
    pub async fn wait_for_given_up_of(&self, method: u32, calls: usize) {
        let mut account = self.account.subscribe();
        let is_so = |it: &Account| it.given_up.get(&method).is_some_and(|it| *it >= calls);
        // As above.
        let _ = account.wait_for(is_so).await;
    }

    /// Returns how often each token was run.
    #[must_use]
    pub fn runs(&self) -> BTreeMap<i64, usize> {
        self.account.borrow().run.clone()
    }

    /// Returns how often a token was run.
    #[must_use]
    pub fn runs_of(&self, token: i64) -> usize {
        self.account.borrow().run.get(&token).copied().unwrap_or(0)
    }

    pub(super) fn arrived(&self, method: u32) {
        self.account
            .send_modify(|it| *it.arrived.entry(method).or_default() += 1);
    }

    pub(super) fn gave_up(&self, method: u32) {
        self.account
            .send_modify(|it| *it.given_up.entry(method).or_default() += 1);
    }

    pub(super) fn run(&self, token: i64) {
        self.account
            .send_modify(|it| *it.run.entry(token).or_default() += 1);
    }
}

impl Account {
    fn arrived_of(&self, method: u32) -> usize {
        self.arrived.get(&method).copied().unwrap_or(0)
    }
}
