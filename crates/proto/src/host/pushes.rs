//! Updates downwards: whom a push reaches, and who has logged in with which keys.

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::crossing::crosses;
use crate::cx::Cx;
use crate::host::identity::User;
use crate::host::prepare::{is_object, pack};
use crate::host::sessions::tell_links;
use crate::host::{Effect, Host, Learned};
use crate::ids::{AuthKeyId, Identity, SessionId};
use crate::limits::PUSH_TARGETS_MAX;
use crate::port::{Push, PushRefused, Target};

/// A push as it will be sent.
#[derive(Clone, Debug)]
pub struct PreparedPush {
    targets: Vec<Target>,
    except: Option<(Identity, SessionId)>,
    body: Bytes,
}

impl PreparedPush {
    /// Packs a large update if that makes it smaller. Takes time with its size; needs no lock.
    ///
    /// # Errors
    ///
    /// - [`PushRefused::NotAnObject`] when the body is empty or not of whole words.
    /// - [`PushRefused::TooManyTargets`] when there are more than [`PUSH_TARGETS_MAX`].
    pub fn new(push: Push) -> Result<Self, PushRefused> {
        let Push {
            targets,
            except,
            body,
        } = push;
        if !is_object(&body) {
            return Err(PushRefused::NotAnObject);
        }
        if targets.len() > PUSH_TARGETS_MAX {
            return Err(PushRefused::TooManyTargets);
        }
        Ok(Self {
            targets,
            except,
            body: pack(&body).unwrap_or(body),
        })
    }

    /// Returns whom it is to reach.
    #[must_use]
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// Returns the same push to other targets: those that one of several hosts owns. No more of them than before.
    #[must_use]
    pub fn to(&self, targets: Vec<Target>) -> Self {
        debug_assert!(
            targets.len() <= self.targets.len(),
            "a part is no more than the whole"
        );
        Self {
            targets,
            ..self.clone()
        }
    }
}

crosses!(PreparedPush {
    targets,
    except,
    body
} where |it: &PreparedPush| {
    it.targets.len() <= PUSH_TARGETS_MAX && is_object(&it.body)
});

/// Who has logged in with which keys.
#[derive(Debug, Default)]
pub(super) struct Users {
    keys: BTreeSet<(i64, Identity)>,
}

impl Users {
    fn insert(&mut self, identity: Identity, user: Option<i64>) {
        if let Some(user) = user {
            self.keys.insert((user, identity));
        }
    }

    pub(super) fn remove(&mut self, identity: Identity, user: Option<i64>) {
        if let Some(user) = user {
            self.keys.remove(&(user, identity));
        }
    }

    fn keys_of(&self, user: i64) -> impl Iterator<Item = Identity> {
        let (first, last) = (Identity(AuthKeyId(i64::MIN)), Identity(AuthKeyId(i64::MAX)));
        let keys = self.keys.range((user, first)..=(user, last));
        keys.map(|&(_, identity)| identity)
    }
}

impl Host {
    /// Takes note of who has logged in with a key. A word that comes late makes sessions ask for what was pushed to the
    /// user before it.
    pub(super) fn on_user(
        &mut self,
        identity: Identity,
        user: Option<i64>,
        learned: Learned,
        cx: &mut Cx<'_, Effect>,
    ) {
        let Self {
            identities,
            links,
            users,
            timers,
            ..
        } = self;
        let Some(owned) = identities.get_mut(&identity) else {
            return;
        };
        if learned != Learned::Told && owned.user != User::Unknown {
            return;
        }
        let before = core::mem::replace(&mut owned.user, User::Known(user));
        users.remove(identity, before.id());
        users.insert(identity, user);
        if learned != Learned::FoundLate || user.is_none() {
            return;
        }
        for entry in owned.sessions_mut() {
            if entry.session.wants_updates() {
                entry.session.ask_for_difference();
                tell_links(entry, links, timers, identity, cx);
            }
        }
    }

    pub(super) fn on_push(&mut self, push: &PreparedPush, cx: &mut Cx<'_, Effect>) {
        let before = cx.out.len();
        let mut of_whole_key = None;
        for (identity, one) in self.reached(&push.targets) {
            match one {
                None => {
                    of_whole_key = Some(identity);
                    self.push_to_key(identity, push, cx);
                }
                Some(session_id) => {
                    let has_it = of_whole_key == Some(identity);
                    self.push_to_session(identity, session_id, has_it, push, cx);
                }
            }
        }
        bundle(before, cx.out);
    }

    /// Returns the keys and single sessions that are meant, each once; a key stands before its sessions.
    fn reached(&self, targets: &[Target]) -> Vec<(Identity, Option<SessionId>)> {
        let mut reached = Vec::with_capacity(targets.len());
        for target in targets {
            match *target {
                Target::User(user) => {
                    reached.extend(self.users.keys_of(user).map(|key| (key, None)));
                }
                Target::Key(identity) => reached.push((identity, None)),
                Target::Session {
                    identity,
                    session_id,
                } => reached.push((identity, Some(session_id))),
            }
        }
        reached.sort_unstable();
        reached.dedup();
        reached
    }

    fn push_to_key(&mut self, identity: Identity, push: &PreparedPush, cx: &mut Cx<'_, Effect>) {
        let Self {
            identities,
            links,
            timers,
            tally,
            ..
        } = self;
        let Some(owned) = identities.get_mut(&identity) else {
            return;
        };
        for entry in owned.sessions_mut() {
            let is_left_out = push.except == Some((identity, entry.session.id()));
            if entry.session.wants_updates() && !is_left_out {
                tally.update(entry.session.push(push.body.clone()));
                entry.touch(cx.now.mono);
                tell_links(entry, links, timers, identity, cx);
            }
        }
    }

    /// `has_it`: the whole key has got it, and so this session if it wants updates.
    fn push_to_session(
        &mut self,
        identity: Identity,
        session_id: SessionId,
        has_it: bool,
        push: &PreparedPush,
        cx: &mut Cx<'_, Effect>,
    ) {
        let Some(entry) = self.entry(identity, session_id) else {
            return;
        };
        if push.except == Some((identity, session_id)) || (has_it && entry.session.wants_updates())
        {
            return;
        }
        let is_kept = entry.session.push(push.body.clone());
        entry.touch(cx.now.mono);
        self.tally.update(is_kept);
        self.settle(identity, session_id, cx);
    }
}

/// Makes one [`Effect::Fanout`] of all [`Effect::Ready`] from `from` on, if there are several.
fn bundle(from: usize, out: &mut Vec<Effect>) {
    if out.len() - from < 2 {
        return;
    }
    let links = out.drain(from..).filter_map(|effect| match effect {
        Effect::Ready { link } => Some(link),
        Effect::Call { .. }
        | Effect::Cancel { .. }
        | Effect::Fanout { .. }
        | Effect::FindUser { .. }
        | Effect::Bind { .. }
        | Effect::DropKeys { .. }
        | Effect::DestroyKey { .. }
        | Effect::HandOver(_)
        | Effect::TakenOver { .. }
        | Effect::Forward { .. } => None,
    });
    let links = links.collect();
    out.push(Effect::Fanout { links });
}
