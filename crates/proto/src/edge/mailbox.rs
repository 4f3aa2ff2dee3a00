//! What waits for one connection from outside of its own turns.
//!
//! A turn takes all of it at once; however much comes in between, the connection is woken once. A mailbox needs no
//! limit of its own: a link waits for at most [`KEYS_PER_LINK_MAX`] keys and [`EXCHANGE_MESSAGES_MAX`] answers.
//!
//! [`KEYS_PER_LINK_MAX`]: crate::limits::KEYS_PER_LINK_MAX
//! [`EXCHANGE_MESSAGES_MAX`]: crate::limits::EXCHANGE_MESSAGES_MAX

use crate::link::Input;

/// Mail, and whether the host has something to drain.
#[derive(Debug, Default)]
pub struct Mailbox {
    mail: Vec<Input>,
    drain: bool,
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
}
