//! Updates downwards: from the backend to the shards whose sessions they reach.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};

use heliogram_ports::{LoggedIn, Push, PushRefused, Pushes, Target};
use heliogram_proto::cx::Now;
use heliogram_proto::host::{Input, Learned, PreparedPush};
use heliogram_proto::ids::{Identity, LinkId};

use crate::links::Waking;
use crate::local::{Inner, LocalPort};
use crate::shard::Step;

impl Pushes for LocalPort {
    fn push(&self, push: Push) -> Result<(), PushRefused> {
        self.inner.push(push)
    }

    fn set_user(&self, identity: Identity, user: Option<i64>) {
        self.inner.set_user(identity, user);
    }
}

/// What a backend holds of the port. The port holds the backend: this must not hold the port.
pub(crate) struct Downwards {
    pub(crate) inner: Weak<Inner>,
}

impl Pushes for Downwards {
    fn push(&self, push: Push) -> Result<(), PushRefused> {
        // A port that is gone has no sessions.
        self.inner
            .upgrade()
            .map_or(Ok(()), |inner| inner.push(push))
    }

    fn set_user(&self, identity: Identity, user: Option<i64>) {
        if let Some(inner) = self.inner.upgrade() {
            inner.set_user(identity, user);
        }
    }
}

impl Inner {
    fn push(self: &Arc<Self>, push: Push) -> Result<(), PushRefused> {
        let push = PreparedPush::new(push)?;
        let now = self.clock.now();
        for (shard, targets) in self.split(push.targets()).into_iter().enumerate() {
            if !targets.is_empty() {
                let part = push.to(targets);
                self.run(shard, Step::Input(Input::Push(part)), now, None);
            }
        }
        Ok(())
    }

    /// Returns the targets of each shard. A user's keys may lie in all of them.
    fn split(&self, targets: &[Target]) -> Vec<Vec<Target>> {
        let mut split = vec![Vec::new(); self.shards.len()];
        for target in targets {
            match *target {
                Target::User(_) => split.iter_mut().for_each(|part| part.push(*target)),
                Target::Key(identity) | Target::Session { identity, .. } => {
                    if let Some(part) = split.get_mut(self.shard_of(identity)) {
                        part.push(*target);
                    }
                }
            }
        }
        split
    }

    fn set_user(self: &Arc<Self>, identity: Identity, user: Option<i64>) {
        let input = Input::User {
            identity,
            user,
            learned: Learned::Told,
        };
        let shard = self.shard_of(identity);
        self.run(shard, Step::Input(input), self.clock.now(), None);
    }

    /// Asks the backend who has logged in with a key.
    pub(crate) fn find_user(self: &Arc<Self>, shard: usize, identity: Identity, now: Now) {
        // A panic of the backend must not end the connection whose turn this is.
        match catch_unwind(AssertUnwindSafe(|| self.backend.user(identity))) {
            Ok(LoggedIn::Now(None)) => {}
            Ok(LoggedIn::Now(user)) => self.found_user(shard, identity, user, Learned::Found, now),
            Ok(LoggedIn::Later(user)) => {
                let inner = Arc::clone(self);
                self.runtime.spawn(async move {
                    let user = user.await;
                    let now = inner.clock.now();
                    inner.found_user(shard, identity, user, Learned::FoundLate, now);
                });
            }
            Err(_) => tracing::error!("the backend panicked when asked for a user"),
        }
    }

    fn found_user(
        self: &Arc<Self>,
        shard: usize,
        identity: Identity,
        user: Option<i64>,
        learned: Learned,
        now: Now,
    ) {
        let input = Input::User {
            identity,
            user,
            learned,
        };
        self.run(shard, Step::Input(input), now, None);
    }

    /// Wakes all links that one push has reached.
    pub(crate) fn fan_out(&self, shard: usize, links: &[LinkId]) {
        for &link in links {
            self.links.ready(link, shard, Waking::Wake);
        }
    }
}
