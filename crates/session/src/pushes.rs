//! Updates downwards: from the backend to the shards whose sessions they reach.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};

use heliogram_ports::{LoggedIn, Push, PushRefused, Pushes, Target};
use heliogram_proto::cx::Now;
use heliogram_proto::host::{Effect, Input, Learned, PreparedPush};
use heliogram_proto::ids::{Identity, LinkId};

use crate::local::{Inner, LocalPort};
use crate::shard::{Outcome, Shard, Step};

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
        let others = self.owners.as_ref().map(|owners| (owners, push.clone()));
        self.push_here(&PreparedPush::new(push)?);
        if let Some((owners, mut push)) = others {
            push.targets.retain(|target| self.may_be_elsewhere(target));
            if !push.targets.is_empty() {
                owners.push(push);
            }
        }
        Ok(())
    }

    /// Pushes to the sessions of this process.
    pub(crate) fn push_here(&self, push: &PreparedPush) {
        let (now, mut reached) = (self.clock.now(), Vec::new());
        for (shard, targets) in self.split(push.targets()).into_iter().enumerate() {
            if !targets.is_empty() {
                self.push_to_shard(shard, push.to(targets), now, &mut reached);
            }
        }
        self.tell(&reached);
    }

    /// Adds to `reached` the links that have to be told.
    fn push_to_shard(&self, shard: usize, push: PreparedPush, now: Now, reached: &mut Vec<LinkId>) {
        let Some(host) = self.shards.get(shard) else {
            return;
        };
        let mut outcome = Outcome::default();
        let mut steps = VecDeque::from([Step::Input(Input::Push(push))]);
        host.handle(&mut steps, now, &mut outcome, self.settle(shard));
        for effect in outcome.effects {
            match effect {
                Effect::Fanout { links } => reached.extend(self.news(shard, links)),
                Effect::Ready { link } => reached.extend(self.news(shard, vec![link])),
                Effect::Call { .. }
                | Effect::Cancel { .. }
                | Effect::FindUser { .. }
                | Effect::Bind { .. }
                | Effect::DropKeys { .. }
                | Effect::DestroyKey { .. }
                | Effect::HandOver(_)
                | Effect::TakenOver { .. }
                | Effect::Forward { .. } => {}
            }
        }
    }

    fn news(&self, shard: usize, links: Vec<LinkId>) -> impl Iterator<Item = LinkId> + '_ {
        links
            .into_iter()
            .filter(move |&link| self.links.is_news(link, shard))
    }

    /// Tells whether another process may have sessions that are meant.
    fn may_be_elsewhere(&self, target: &Target) -> bool {
        match *target {
            Target::User(_) => !self.shards.iter().all(Shard::is_owned),
            Target::Key(identity) | Target::Session { identity, .. } => {
                !self.owns(self.shard_of(identity))
            }
        }
    }

    /// Returns the targets of each shard that is owned. A user's keys may lie in all of them.
    fn split(&self, targets: &[Target]) -> Vec<Vec<Target>> {
        let mut split = vec![Vec::new(); self.shards.len()];
        for target in targets {
            match *target {
                Target::User(_) => {
                    let owned = split.iter_mut().zip(&self.shards);
                    let owned = owned.filter(|(_, shard)| shard.is_owned());
                    owned.for_each(|(part, _)| part.push(*target));
                }
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
        self.tell_owner(identity, input, self.clock.now(), None);
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

    /// Has all links drained that a shard has something for.
    pub(crate) fn fan_out(&self, shard: usize, links: Vec<LinkId>) {
        self.tell(&self.news(shard, links).collect::<Vec<_>>());
    }

    /// Tells the gateways which links a push has reached: once, however many they are.
    fn tell(&self, reached: &[LinkId]) {
        match *reached {
            [] => return,
            [link] => return self.links.wake(link),
            [_, _, ..] => {}
        }
        let edges: Vec<_> = self.edges.lock().iter().filter_map(Weak::upgrade).collect();
        if edges.is_empty() {
            reached.iter().for_each(|&link| self.links.wake(link));
        }
        for edge in edges {
            edge.fan_out(reached.to_vec());
        }
    }
}
