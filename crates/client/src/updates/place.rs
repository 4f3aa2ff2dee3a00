//! Where each kind of update stands.
//!
//! `updateReadChannelInbox` has a `pts` and no count: it says up to where a counter holds, and stands in no sequence.
//!
//! Source: the schema of layer 222; <https://core.telegram.org/api/updates>.

use grammers_tl_types::enums;
use heliogram_proto::updates::client::Place;

/// Returns where an update stands.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "a hundred kinds stand nowhere; a test compares those that do with the schema"
)]
pub(super) fn place(update: &enums::Update) -> Place {
    use enums::Update as U;
    match update {
        U::NewMessage(it) => common(it.pts, it.pts_count),
        U::DeleteMessages(it) => common(it.pts, it.pts_count),
        U::EditMessage(it) => common(it.pts, it.pts_count),
        U::ReadHistoryInbox(it) => common(it.pts, it.pts_count),
        U::ReadHistoryOutbox(it) => common(it.pts, it.pts_count),
        U::ReadMessagesContents(it) => common(it.pts, it.pts_count),
        U::PinnedMessages(it) => common(it.pts, it.pts_count),
        U::WebPage(it) => common(it.pts, it.pts_count),
        U::FolderPeers(it) => common(it.pts, it.pts_count),

        U::NewChannelMessage(it) => in_channel_of(&it.message, it.pts, it.pts_count),
        U::EditChannelMessage(it) => in_channel_of(&it.message, it.pts, it.pts_count),
        U::DeleteChannelMessages(it) => in_channel(it.channel_id, it.pts, it.pts_count),
        U::PinnedChannelMessages(it) => in_channel(it.channel_id, it.pts, it.pts_count),
        U::ChannelWebPage(it) => in_channel(it.channel_id, it.pts, it.pts_count),

        U::NewEncryptedMessage(it) => secondary(it.qts),
        U::MessagePollVote(it) => secondary(it.qts),
        U::ChatParticipant(it) => secondary(it.qts),
        U::ChannelParticipant(it) => secondary(it.qts),
        U::BotStopped(it) => secondary(it.qts),
        U::BotChatInviteRequester(it) => secondary(it.qts),
        U::BotChatBoost(it) => secondary(it.qts),
        U::BotMessageReaction(it) => secondary(it.qts),
        U::BotMessageReactions(it) => secondary(it.qts),
        U::BotBusinessConnect(it) => secondary(it.qts),
        U::BotNewBusinessMessage(it) => secondary(it.qts),
        U::BotEditBusinessMessage(it) => secondary(it.qts),
        U::BotDeleteBusinessMessage(it) => secondary(it.qts),
        U::BotPurchasedPaidMedia(it) => secondary(it.qts),

        _ => Place::Nowhere,
    }
}

const fn common(pts: i32, count: i32) -> Place {
    Place::Common { pts, count }
}

const fn secondary(qts: i32) -> Place {
    Place::Secondary { qts }
}

pub(super) const fn in_channel(channel_id: i64, pts: i32, count: i32) -> Place {
    Place::Channel {
        channel_id,
        pts,
        count,
    }
}

fn in_channel_of(message: &enums::Message, pts: i32, count: i32) -> Place {
    let peer = match message {
        enums::Message::Empty(it) => it.peer_id.as_ref(),
        enums::Message::Message(it) => Some(&it.peer_id),
        enums::Message::Service(it) => Some(&it.peer_id),
    };
    match peer {
        Some(enums::Peer::Channel(it)) => in_channel(it.channel_id, pts, count),
        Some(enums::Peer::Chat(_) | enums::Peer::User(_)) | None => Place::Nowhere,
    }
}

#[cfg(test)]
mod tests {
    use grammers_tl_types::{Deserializable as _, enums, types};
    use heliogram_testkit::backend::things;
    use heliogram_tl::Serialize as _;
    use heliogram_tl::dynamic::{Catalog, Object, Shape, Value};
    use heliogram_tl::schema::{Declaration, Type};

    use super::*;

    #[test]
    fn every_update_of_the_schema_that_has_numbers_stands_in_the_box_they_are_of() {
        let catalog = Catalog::of_layer();
        let mut boxes = [0; 3];
        for declaration in catalog.constructors_of("Update") {
            let has = |name| declaration.fields.iter().any(|it| it.name == name);
            let object = filled(&catalog, declaration);
            let update = enums::Update::from_bytes(&object.to_bytes()).unwrap();
            let expected = match (has("pts_count"), has("qts")) {
                (true, false) if declaration.name.contains("Channel") => {
                    boxes[0] += 1;
                    in_channel(ID, NUMBER, NUMBER)
                }
                (true, false) => {
                    boxes[1] += 1;
                    common(NUMBER, NUMBER)
                }
                (false, true) => {
                    boxes[2] += 1;
                    secondary(NUMBER)
                }
                (false, false) => Place::Nowhere,
                (true, true) => panic!("{} stands in two boxes", declaration.name),
            };
            assert_eq!(place(&update), expected, "{}", declaration.name);
        }
        assert_eq!(boxes, [5, 9, 14]);
    }

    #[test]
    fn a_channels_message_without_a_channel_stands_nowhere() {
        let message = things::message(1, 7, &things::person(7), "private");
        let empty = types::MessageEmpty {
            id: 1,
            peer_id: None,
        };
        for message in [enums::Message::from(message), empty.into()] {
            let update = types::UpdateNewChannelMessage {
                message,
                pts: 5,
                pts_count: 1,
            };
            assert_eq!(place(&update.into()), Place::Nowhere);
        }
    }

    /// Makes an object without optional fields, whose numbers are all the same; messages are in a channel.
    fn filled<'c>(catalog: &'c Catalog<'_>, declaration: &'c Declaration<'c>) -> Object<'c> {
        let fields = declaration.fields.iter();
        let fields = fields.filter(|it| it.condition.is_none());
        let fields = fields.map(|it| (it.name, value(catalog, it.ty)));
        let fields = fields.filter(|(_, value)| *value != Value::Flags(0));
        Object::new(declaration, true, fields.collect()).unwrap()
    }

    fn value<'c>(catalog: &'c Catalog<'_>, ty: Type<'c>) -> Value<'c> {
        match Shape::of(ty) {
            Shape::Bool => Value::Bool(true),
            Shape::Bytes => Value::Bytes(Vec::new()),
            Shape::Double => Value::Double(0.0),
            Shape::Flags => Value::Flags(0),
            Shape::Int => Value::Int(NUMBER),
            Shape::Long => Value::Long(ID),
            Shape::String => Value::String(Vec::new()),
            Shape::Vector { boxed, .. } => Value::Vector {
                boxed,
                elements: Vec::new(),
            },
            Shape::Boxed("Peer") => object(catalog, "peerChannel"),
            Shape::Boxed("Message") => object(catalog, "messageService"),
            Shape::Boxed("MessageAction") => object(catalog, "messageActionEmpty"),
            Shape::Boxed(name) => {
                let first = catalog.constructors_of(name).next().unwrap();
                Value::Object(filled(catalog, first))
            }
            shape @ (Shape::Any | Shape::Bare(_) | Shape::Int128 | Shape::Int256 | Shape::True) => {
                panic!("{shape:?}")
            }
        }
    }

    fn object<'c>(catalog: &'c Catalog<'_>, name: &str) -> Value<'c> {
        Value::Object(filled(catalog, catalog.constructor(name).unwrap()))
    }

    const NUMBER: i32 = 77;
    const ID: i64 = 5;
}
