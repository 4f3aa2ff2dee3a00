//! What waits for one connection from outside of its own turns.
//!
//! A turn takes all of it at once; however much comes in between, the connection is woken once. A mailbox needs no
//! limit of its own: a link waits for at most [`KEYS_PER_LINK_MAX`] keys and [`EXCHANGE_MESSAGES_MAX`] answers, and
//! for what one drain has brought.
//!
//! Who drains a connection's host holds the *claim* to it until what was drained is written or lies here: identifiers
//! are given by the drain, so that wire order is their order. The connection's own turn takes the mail first, then
//! drains; somebody else drains while the connection sleeps and nothing waits for it.
//!
//! ```text
//!  turn:    take_to_drain ── drain ── write              false while somebody has the claim: comes back when woken
//!  fanout:  claim ── drain ── seal ── hand_in, wake      false while anything waits: the turn drains soon
//! ```
//!
//! [`KEYS_PER_LINK_MAX`]: crate::limits::KEYS_PER_LINK_MAX
//! [`EXCHANGE_MESSAGES_MAX`]: crate::limits::EXCHANGE_MESSAGES_MAX

use crate::link::Input;

/// Mail, and whether the host has something to drain.
#[derive(Debug, Default)]
pub struct Mailbox {
    mail: Vec<Input>,
    drain: bool,
    /// Somebody other than the connection drains its host.
    is_claimed: bool,
}

impl Mailbox {
    /// Adds mail; tells whether the connection must be woken.
    #[must_use]
    pub fn post(&mut self, mail: Input) -> bool {
        let wakes = self.is_empty();
        self.mail.push(mail);
        wakes
    }

    /// Notes that the host has something to drain; tells whether the connection must be woken.
    #[must_use]
    pub fn post_drain(&mut self) -> bool {
        let wakes = self.is_empty();
        self.drain = true;
        wakes
    }

    /// Moves all mail to the end of `out`; tells whether the host has something to drain.
    #[must_use]
    pub fn take(&mut self, out: &mut Vec<Input>) -> bool {
        // Not `append`: an idle connection holds no buffer.
        out.extend(core::mem::take(&mut self.mail));
        core::mem::take(&mut self.drain)
    }

    /// Takes all mail before the connection drains its host; `false`, and nothing is taken, while somebody else drains.
    #[must_use]
    pub fn take_to_drain(&mut self, out: &mut Vec<Input>) -> bool {
        if self.is_claimed {
            return false;
        }
        let _ = self.take(out);
        true
    }

    /// Claims the right to drain the host for a connection that sleeps; `false` if anything waits or somebody has it.
    #[must_use]
    pub fn claim(&mut self) -> bool {
        let may = self.is_empty() && !self.is_claimed;
        self.is_claimed |= may;
        may
    }

    /// Ends a claim with what was drained, in order; tells whether the connection must be woken. A turn that the claim
    /// kept from draining finds that there may be something to drain.
    #[must_use]
    pub fn hand_in(&mut self, drained: &mut Vec<Input>) -> bool {
        let wakes = self.is_empty();
        self.mail.append(drained);
        self.drain = true;
        self.is_claimed = false;
        wakes
    }

    /// Tells whether somebody other than the connection drains its host.
    #[must_use]
    pub const fn is_claimed(&self) -> bool {
        self.is_claimed
    }

    /// Tells whether there is nothing to take.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.mail.is_empty() && !self.drain
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waking_twice_is_waking_once() {
        let mut mailbox = Mailbox::default();
        assert!(mailbox.post_drain());
        assert!(!mailbox.post_drain());
        assert!(!mailbox.post(Input::Refuse { code: None }));
    }

    #[test]
    fn what_comes_after_a_turn_took_all_wakes_again() {
        let mut mailbox = Mailbox::default();
        let mut out = Vec::new();
        assert!(mailbox.post(Input::Refuse { code: Some(-404) }));
        assert!(!mailbox.take(&mut out));
        assert_eq!(out.len(), 1);
        assert!(mailbox.post_drain());
        assert!(mailbox.take(&mut out));
        assert!(mailbox.is_empty());
    }

    #[test]
    fn a_turn_drains_only_when_nobody_else_does_and_finds_what_was_handed_in_first() {
        let mut mailbox = Mailbox::default();
        let mut out = Vec::new();
        assert!(mailbox.claim());
        assert!(!mailbox.claim(), "one at a time");
        assert!(mailbox.post(Input::Refuse { code: None }));
        assert!(!mailbox.take_to_drain(&mut out));
        assert_eq!(out.len(), 0);

        let mut drained = vec![Input::Refuse { code: Some(-1) }];
        assert!(!mailbox.hand_in(&mut drained), "it is awake already");
        assert!(!mailbox.claim(), "there is mail");
        assert!(mailbox.take_to_drain(&mut out));
        assert!(matches!(
            out[..],
            [
                Input::Refuse { code: None },
                Input::Refuse { code: Some(-1) }
            ]
        ));
    }

    #[test]
    fn a_claim_that_brings_nothing_wakes_all_the_same() {
        let mut mailbox = Mailbox::default();
        assert!(mailbox.claim());
        assert!(mailbox.hand_in(&mut Vec::new()));
        assert!(mailbox.take(&mut Vec::new()));
        assert!(mailbox.claim());
    }
}
