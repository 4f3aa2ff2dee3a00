//! What a stream of updates tells.

use std::sync::Arc;

use grammers_tl_types::{enums, types};

pub use heliogram_proto::updates::client::Which;

/// What a stream of updates tells: updates, and how it comes by them.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A channel can't be reached any more: it is private now, or the account was removed from it.
    ChannelGone {
        /// Which.
        channel_id: i64,
    },
    /// A number was left out. What is missing has half a second to come by itself.
    Gap(Which),
    /// `updates.getChannelDifference` is asked for.
    NeedChannelDifference {
        /// Of which channel.
        channel_id: i64,
    },
    /// `updates.getDifference` is asked for.
    NeedDifference,
    /// So much was missed that it will not be told: fetch anew what you show of this.
    TooLong(Which),
    /// An update, in its order.
    Update(Box<Update>),
}

/// An update, and whom it is about.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "what the API has")]
pub struct Update {
    /// The update. Short forms of messages are written out as `updateNewMessage`; what comes from a difference has
    /// zero for its numbers, which are checked and done with.
    pub update: enums::Update,
    /// Users and chats that came with it.
    pub peers: Arc<Peers>,
    /// When what it came in was made: Unix time in seconds; zero for a part of a difference.
    pub date: i32,
}

/// Users and chats that came with updates.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "what the API has")]
pub struct Peers {
    /// Users, in no order.
    pub users: Vec<enums::User>,
    /// Groups and channels, in no order.
    pub chats: Vec<enums::Chat>,
}

impl Peers {
    /// Returns a user by its number.
    #[must_use]
    pub fn user(&self, id: i64) -> Option<&types::User> {
        self.users.iter().find_map(|it| match it {
            enums::User::User(user) if user.id == id => Some(user),
            enums::User::User(_) | enums::User::Empty(_) => None,
        })
    }

    /// Returns a group or a channel by its number.
    #[must_use]
    pub fn chat(&self, id: i64) -> Option<&enums::Chat> {
        self.chats.iter().find(|it| it.id() == id)
    }
}

#[cfg(test)]
mod tests {
    use heliogram_testkit::backend::things;

    use super::*;

    #[test]
    fn users_and_chats_are_found_by_their_numbers() {
        let peers = Peers {
            users: vec![
                types::UserEmpty { id: 6 }.into(),
                things::user(7, "Ann").into(),
            ],
            chats: vec![things::channel(9, "Club").into()],
        };
        assert_eq!(peers.user(7).map(|it| it.id), Some(7));
        assert_eq!(peers.user(6), None, "nothing is known of it");
        assert_eq!(peers.user(9), None);
        assert_eq!(peers.chat(9).map(enums::Chat::id), Some(9));
        assert_eq!(peers.chat(7), None);
    }
}
