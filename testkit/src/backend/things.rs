//! Makes objects of the API with little in them, to which a test adds what it is about.

use grammers_tl_types::{Cursor, Deserializable, Identifiable, Serializable, enums, types};
use heliogram_ports::clock::unix_now;

/// Makes a user of whom little is known but a name.
#[must_use]
pub fn user(id: i64, name: &str) -> types::User {
    let mut words = Words::new();
    words.put(&(1_u32 | 1 << 1)).put(&0_u32);
    words.put(&id).put(&access_hash(id)).put(&name.to_owned());
    words.read()
}

/// Makes a bot.
#[must_use]
pub fn bot(id: i64, name: &str) -> types::User {
    types::User {
        bot: true,
        bot_info_version: Some(1),
        ..user(id, name)
    }
}

/// Makes a supergroup.
#[must_use]
pub fn channel(id: i64, title: &str) -> types::Channel {
    let mut words = Words::new();
    words.put(&(1_u32 << 8 | 1 << 13)).put(&0_u32);
    words.put(&id).put(&access_hash(id)).put(&title.to_owned());
    words.put(&enums::ChatPhoto::Empty).put(&now_unix_s());
    words.read()
}

/// Makes a message, of now.
#[must_use]
pub fn message(id: i32, from: i64, peer: &enums::Peer, text: &str) -> types::Message {
    let mut words = Words::new();
    words.put(&(1_u32 << 8)).put(&0_u32).put(&id);
    words.put(&person(from)).put(peer).put(&now_unix_s());
    words.put(&text.to_owned());
    words.read()
}

/// Names a user.
#[must_use]
pub fn person(user_id: i64) -> enums::Peer {
    types::PeerUser { user_id }.into()
}

/// Names a user as requests do.
#[must_use]
pub fn input_person(user_id: i64) -> enums::InputPeer {
    types::InputPeerUser {
        user_id,
        access_hash: access_hash(user_id),
    }
    .into()
}

/// Names a channel as requests do.
#[must_use]
pub fn input_channel(channel_id: i64) -> enums::InputChannel {
    types::InputChannel {
        channel_id,
        access_hash: access_hash(channel_id),
    }
    .into()
}

/// Wraps updates that stand in boxes of their own: a container without a number.
#[must_use]
pub fn updates(updates: Vec<enums::Update>) -> enums::Updates {
    types::Updates {
        updates,
        users: Vec::new(),
        chats: Vec::new(),
        date: now_unix_s(),
        seq: 0,
    }
    .into()
}

/// Wraps one update, without those whom it is about.
#[must_use]
pub fn short(update: enums::Update) -> enums::Updates {
    types::UpdateShort {
        update,
        date: now_unix_s(),
    }
    .into()
}

/// Returns by what a user, a channel or a document is called upon.
#[must_use]
pub const fn access_hash(id: i64) -> i64 {
    id.wrapping_mul(0x5851_f42d_4c95_7f2d) ^ 0x1405_7b7e_f767_814f
}

/// Returns the Unix time in seconds, as the wire has it.
#[must_use]
pub fn now_unix_s() -> i32 {
    i32::try_from(unix_now().seconds()).unwrap_or(i32::MAX)
}

/// An object in the making: what has dozens of optional fields is shorter in bytes than in words.
struct Words(Vec<u8>);

impl Words {
    const fn new() -> Self {
        Self(Vec::new())
    }

    fn put(&mut self, field: &impl Serializable) -> &mut Self {
        field.serialize(&mut self.0);
        self
    }

    #[expect(
        clippy::panic,
        reason = "the makers above write what the schema says; tests see that they do"
    )]
    fn read<T: Deserializable + Identifiable>(&self) -> T {
        let mut cursor = Cursor::from_slice(&self.0);
        match T::deserialize(&mut cursor) {
            Ok(thing) if cursor.pos() == self.0.len() => thing,
            Ok(_) | Err(_) => panic!("{:08x} has other fields", T::CONSTRUCTOR_ID),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_have_what_they_were_given_and_nothing_else() {
        let ann = user(7, "Ann");
        assert_eq!((ann.id, ann.access_hash), (7, Some(access_hash(7))));
        assert_eq!(ann.first_name.as_deref(), Some("Ann"));
        assert!(!ann.bot && bot(8, "Bob").bot);
        let club = channel(9, "Club");
        assert_eq!((club.id, club.title.as_str()), (9, "Club"));
        assert!(club.megagroup && !club.broadcast);
        let said = message(3, 7, &person(8), "hello");
        assert_eq!((said.id, said.message.as_str()), (3, "hello"));
        assert_eq!((said.from_id, said.peer_id), (Some(person(7)), person(8)));
        assert_eq!(said.media, None);
        for bytes in [
            enums::User::User(bot(8, "Bob")).to_bytes(),
            enums::User::User(ann).to_bytes(),
        ] {
            enums::User::from_bytes(&bytes).unwrap();
        }
    }
}
