//! What one owner has for another: in the same process, or by [`Owners`] in another one.
//!
//! What can't be brought to its owner is lost with what it stands for: the links that wait for it are closed, so that their
//! clients come again. What no link waits for is offered again for a while.
//!
//! [`Owners`]: heliogram_ports::Owners

use std::sync::Arc;

use heliogram_ports::{OwnersHere, Push, PushRefused};
use heliogram_proto::cx::Now;
use heliogram_proto::host::{Input, PreparedPush};
use heliogram_proto::ids::{Identity, Term};

use crate::links::Turn;
use crate::local::{Inner, LocalPort};
use crate::shard::Step;

impl LocalPort {
    /// Takes what another process has for the owner of `to`, whom it takes to have this term. The links that come with it are
    /// attached already: their names are those of this port.
    ///
    /// If this process is not that owner, what came is lost: its links are closed.
    pub fn deliver(&self, to: Identity, term: Term, input: Input) {
        let inner = &self.inner;
        let step = Step::Delivered { term, input };
        inner.take_in(inner.shard_of(to), step, inner.clock.now(), None);
    }

    /// Pushes an update that another process has spread: to the sessions of this process alone.
    ///
    /// # Errors
    ///
    /// As [`Pushes::push`](heliogram_ports::Pushes::push).
    pub fn deliver_push(&self, push: Push) -> Result<(), PushRefused> {
        self.inner.push_here(&PreparedPush::new(push)?);
        Ok(())
    }
}

impl OwnersHere for LocalPort {
    fn deliver(&self, to: Identity, term: Term, input: Input) {
        self.deliver(to, term, input);
    }

    fn deliver_push(&self, push: Push) -> Result<(), PushRefused> {
        self.deliver_push(push)
    }
}

impl Inner {
    /// Brings an input to the owner of an identity.
    pub(crate) fn tell_owner(
        self: &Arc<Self>,
        identity: Identity,
        input: Input,
        now: Now,
        turn_of: Option<&Turn>,
    ) {
        let shard = self.shard_of(identity);
        match &self.owners {
            Some(owners) if !self.owns(shard) => {
                self.send(&**owners, identity, input);
            }
            _ => self.take_in(shard, Step::Input(input), now, turn_of),
        }
    }

    pub(crate) fn owns(&self, shard: usize) -> bool {
        self.shards.get(shard).is_some_and(|it| it.is_owned())
    }

    /// Hands a shard what another owner has said, and sees to it that it hears of the ends of links which it has come to know
    /// by that.
    fn take_in(self: &Arc<Self>, shard: usize, step: Step, now: Now, turn_of: Option<&Turn>) {
        let links = match &step {
            Step::Input(input) | Step::Delivered { input, .. } => input.links(),
            Step::Answer { .. } | Step::Deadline => Vec::new(),
        };
        self.run(shard, step, now, turn_of);
        for link in links {
            // Touched only now: the end never comes first and leaves the shard with a link for ever.
            if !self.links.touch(link, shard) {
                let gone = Step::Input(Input::Detach { link });
                self.run(shard, gone, now, turn_of);
            }
        }
    }

    /// Does what is left to do about something that has no owner to go to.
    pub(crate) fn lose(&self, input: &Input) {
        for link in input.links() {
            self.links.doom(link);
        }
    }
}
