//! Whom a stream has been told of: access hashes, and who may be named by number only.

use std::collections::{BTreeMap, BTreeSet};

use grammers_tl_types::{enums, types};

use crate::limits::KNOWN_MAX;
use crate::updates::event::Peers;

/// Whom a stream has been told of. What there is no room for is not remembered; nothing is forgotten for it.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Access hashes, if any can be used.
    users: BTreeMap<i64, Option<i64>>,
    /// Access hashes.
    channels: BTreeMap<i64, i64>,
    groups: BTreeSet<i64>,
    /// Who is signed in, if anything has said so.
    pub(super) me: Option<i64>,
}

impl Known {
    /// Takes note of everybody in what came.
    pub(super) fn learn(&mut self, peers: &Peers) {
        for user in &peers.users {
            self.learn_user(user);
        }
        for chat in &peers.chats {
            match chat {
                enums::Chat::Channel(it) if !it.min => {
                    self.learn_channel(it.id, it.access_hash.unwrap_or_default());
                }
                enums::Chat::Chat(it) if self.groups.len() < KNOWN_MAX => {
                    self.groups.insert(it.id);
                }
                enums::Chat::Channel(_)
                | enums::Chat::ChannelForbidden(_)
                | enums::Chat::Chat(_)
                | enums::Chat::Empty(_)
                | enums::Chat::Forbidden(_) => {}
            }
        }
    }

    pub(super) fn learn_user(&mut self, user: &enums::User) {
        let enums::User::User(user) = user else {
            return;
        };
        if user.is_self {
            self.me = Some(user.id);
        }
        // What a `min` user is called upon with serves nothing but downloads of photographs.
        let hash = user.access_hash.filter(|_| !user.min);
        if let Some(known) = self.users.get_mut(&user.id) {
            *known = hash.or(*known);
        } else if self.users.len() < KNOWN_MAX {
            self.users.insert(user.id, hash);
        }
    }

    pub(super) fn learn_channel(&mut self, id: i64, access_hash: i64) {
        let has_room = self.channels.len() < KNOWN_MAX || self.channels.contains_key(&id);
        if has_room && access_hash != 0 {
            self.channels.insert(id, access_hash);
        }
    }

    /// Returns what a channel is called upon with; zero, which does for bots, if nobody has said it.
    pub(super) fn channel_hash(&self, id: i64) -> i64 {
        self.channels.get(&id).copied().unwrap_or_default()
    }

    /// Returns how requests name somebody, if that is known.
    pub(super) fn input_peer(&self, peer: &enums::Peer) -> Option<enums::InputPeer> {
        Some(match *peer {
            enums::Peer::User(types::PeerUser { user_id }) => types::InputPeerUser {
                user_id,
                access_hash: self.users.get(&user_id).copied().flatten()?,
            }
            .into(),
            enums::Peer::Chat(types::PeerChat { chat_id }) => {
                types::InputPeerChat { chat_id }.into()
            }
            enums::Peer::Channel(types::PeerChannel { channel_id }) => types::InputPeerChannel {
                channel_id,
                access_hash: self.channels.get(&channel_id).copied()?,
            }
            .into(),
        })
    }

    /// Tells whether everybody in a message has been told of, and takes note of those who have not: one difference
    /// may tell of them, and is not asked for again.
    pub(super) fn admits(&mut self, peers: impl IntoIterator<Item = enums::Peer>) -> bool {
        let mut all = true;
        for peer in peers {
            let is_known = match &peer {
                enums::Peer::User(it) => {
                    let is_full = self.users.len() >= KNOWN_MAX;
                    let is_known = is_full || self.users.contains_key(&it.user_id);
                    if !is_known {
                        self.users.insert(it.user_id, None);
                    }
                    is_known
                }
                enums::Peer::Chat(it) => {
                    let is_full = self.groups.len() >= KNOWN_MAX;
                    is_full || !self.groups.insert(it.chat_id)
                }
                // These only forward: a message is read without them.
                enums::Peer::Channel(_) => true,
            };
            all &= is_known;
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use heliogram_testkit::backend::things;

    use super::*;

    #[test]
    fn whoever_was_named_without_being_told_of_is_unknown_once() {
        let mut known = Known::default();
        known.learn(&people(vec![things::user(7, "Ann").into()], Vec::new()));
        let (ann, bob) = (things::person(7), things::person(8));
        let group = enums::Peer::from(types::PeerChat { chat_id: 3 });
        assert!(known.admits([ann.clone()]));
        assert!(!known.admits([ann, bob.clone()]));
        assert!(known.admits([bob.clone()]), "it was asked about");
        assert!(!known.admits([group.clone()]) && known.admits([group]));
        assert_eq!(known.input_peer(&bob), None);
    }

    #[test]
    fn requests_name_those_whose_hash_was_told_in_full() {
        let mut known = Known::default();
        let min = types::User {
            min: true,
            ..things::user(8, "Bob")
        };
        let club = types::Channel {
            min: true,
            ..things::channel(10, "Club")
        };
        known.learn(&people(
            vec![things::user(7, "Ann").into(), min.into()],
            vec![things::channel(9, "Team").into(), club.into()],
        ));
        let channel = |channel_id| types::PeerChannel { channel_id }.into();
        let ann = Some(things::input_person(7));
        assert_eq!(known.input_peer(&things::person(7)), ann);
        assert_eq!(known.input_peer(&things::person(8)), None);
        assert!(known.input_peer(&channel(9)).is_some());
        assert_eq!(known.input_peer(&channel(10)), None);
        assert_eq!(known.channel_hash(9), things::access_hash(9));
        assert_eq!(known.channel_hash(10), 0);
    }

    #[test]
    fn a_user_seen_in_part_later_keeps_its_hash() {
        let mut known = Known::default();
        let ann = things::user(7, "Ann");
        let min = types::User {
            min: true,
            access_hash: Some(1),
            ..ann.clone()
        };
        known.learn(&people(vec![ann.into(), min.into()], Vec::new()));
        let input = Some(things::input_person(7));
        assert_eq!(known.input_peer(&things::person(7)), input);
    }

    #[test]
    fn as_many_as_may_be_are_known_and_the_next_is_taken_for_known() {
        let mut known = Known::default();
        let last = i64::try_from(KNOWN_MAX).unwrap();
        for id in 1..=last {
            assert!(!known.admits([things::person(id)]));
            known.learn_channel(id, 5);
        }
        assert!(known.admits([things::person(last + 1)]));
        known.learn_user(&things::user(last + 1, "Ann").into());
        known.learn_channel(last + 1, 5);
        known.learn_channel(last, 6);
        assert_eq!(known.users.len(), KNOWN_MAX);
        assert_eq!(known.channel_hash(last + 1), 0);
        assert_eq!(known.channel_hash(last), 6, "it has its room");
    }

    fn people(users: Vec<enums::User>, chats: Vec<enums::Chat>) -> Peers {
        Peers { users, chats }
    }
}
