//! Short forms of messages, written out.
//!
//! Source: <https://core.telegram.org/type/Updates>.

use grammers_tl_types::{Cursor, Deserializable, Identifiable, enums, functions, types};

/// Writes a message from a user out.
pub(super) fn private(it: types::UpdateShortMessage, me: Option<i64>) -> types::Message {
    let peer = person(it.user_id);
    let from = if it.out {
        me.map(person)
    } else {
        Some(peer.clone())
    };
    types::Message {
        out: it.out,
        mentioned: it.mentioned,
        media_unread: it.media_unread,
        silent: it.silent,
        from_id: from,
        fwd_from: it.fwd_from,
        via_bot_id: it.via_bot_id,
        reply_to: it.reply_to,
        entities: it.entities,
        ttl_period: it.ttl_period,
        ..plain(it.id, peer, it.date, it.message)
    }
}

/// Writes a message in a basic group out.
pub(super) fn in_group(it: types::UpdateShortChatMessage) -> types::Message {
    let chat_id = it.chat_id;
    types::Message {
        out: it.out,
        mentioned: it.mentioned,
        media_unread: it.media_unread,
        silent: it.silent,
        from_id: Some(person(it.from_id)),
        fwd_from: it.fwd_from,
        via_bot_id: it.via_bot_id,
        reply_to: it.reply_to,
        entities: it.entities,
        ttl_period: it.ttl_period,
        ..plain(
            it.id,
            types::PeerChat { chat_id }.into(),
            it.date,
            it.message,
        )
    }
}

/// Writes the message out that a request has sent, if the request says all of it: a plain `messages.sendMessage`.
/// Whoever has made another request knows what was in it.
pub(super) fn sent(
    it: types::UpdateShortSentMessage,
    request: &[u8],
    me: Option<i64>,
) -> Option<types::Message> {
    let mut cursor = Cursor::from_slice(request);
    let method = u32::deserialize(&mut cursor).ok()?;
    if method != functions::messages::SendMessage::CONSTRUCTOR_ID {
        return None;
    }
    let flags = u32::deserialize(&mut cursor).ok()?;
    if flags & !PLAIN != 0 {
        return None;
    }
    let peer = match enums::InputPeer::deserialize(&mut cursor).ok()? {
        enums::InputPeer::PeerSelf => person(me?),
        enums::InputPeer::Chat(it) => types::PeerChat {
            chat_id: it.chat_id,
        }
        .into(),
        enums::InputPeer::User(it) => person(it.user_id),
        enums::InputPeer::UserFromMessage(it) => person(it.user_id),
        enums::InputPeer::Empty
        | enums::InputPeer::Channel(_)
        | enums::InputPeer::ChannelFromMessage(_) => return None,
    };
    let text = String::deserialize(&mut cursor).ok()?;
    Some(types::Message {
        out: it.out,
        silent: flags & SILENT != 0,
        noforwards: flags & NOFORWARDS != 0,
        invert_media: flags & INVERT_MEDIA != 0,
        from_id: me.map(person),
        media: it.media,
        entities: it.entities,
        ttl_period: it.ttl_period,
        ..plain(it.id, peer, it.date, text)
    })
}

/// Makes the update that a message comes in.
pub(super) fn new_message(message: types::Message, pts: i32, pts_count: i32) -> enums::Update {
    types::UpdateNewMessage {
        message: message.into(),
        pts,
        pts_count,
    }
    .into()
}

/// Returns everybody who is named by number only.
pub(super) fn named(
    peers: impl IntoIterator<Item = enums::Peer>,
    via_bot_id: Option<i64>,
    forwarded: Option<&enums::MessageFwdHeader>,
) -> Vec<enums::Peer> {
    let mut named: Vec<_> = peers.into_iter().collect();
    named.extend(via_bot_id.map(person));
    if let Some(enums::MessageFwdHeader::Header(it)) = forwarded {
        named.extend(it.from_id.clone());
    }
    named
}

pub(super) fn person(user_id: i64) -> enums::Peer {
    types::PeerUser { user_id }.into()
}

fn plain(id: i32, peer_id: enums::Peer, date: i32, message: String) -> types::Message {
    types::Message {
        out: false,
        mentioned: false,
        media_unread: false,
        silent: false,
        post: false,
        from_scheduled: false,
        legacy: false,
        edit_hide: false,
        pinned: false,
        noforwards: false,
        invert_media: false,
        offline: false,
        video_processing_pending: false,
        paid_suggested_post_stars: false,
        paid_suggested_post_ton: false,
        id,
        from_id: None,
        from_boosts_applied: None,
        peer_id,
        saved_peer_id: None,
        fwd_from: None,
        via_bot_id: None,
        via_business_bot_id: None,
        reply_to: None,
        date,
        message,
        media: None,
        reply_markup: None,
        entities: None,
        views: None,
        forwards: None,
        replies: None,
        edit_date: None,
        post_author: None,
        grouped_id: None,
        reactions: None,
        restriction_reason: None,
        ttl_period: None,
        quick_reply_shortcut_id: None,
        effect: None,
        factcheck: None,
        report_delivery_until_date: None,
        paid_message_stars: None,
        suggested_post: None,
        schedule_repeat_period: None,
        summary_from_language: None,
    }
}

/// Bits of `messages.sendMessage` of which the server says everything, or nothing stands in the message: `no_webpage`,
/// `silent`, `background`, `clear_draft`, `noforwards`, `update_stickersets_order`, `invert_media`,
/// `allow_paid_floodskip`, `entities`.
const PLAIN: u32 =
    1 << 1 | SILENT | 1 << 6 | 1 << 7 | NOFORWARDS | 1 << 15 | INVERT_MEDIA | 1 << 19 | 1 << 3;
const SILENT: u32 = 1 << 5;
const NOFORWARDS: u32 = 1 << 14;
const INVERT_MEDIA: u32 = 1 << 16;

#[cfg(test)]
mod tests {
    use grammers_tl_types::Serializable as _;
    use heliogram_testkit::backend::things;

    use super::*;

    #[test]
    fn a_private_message_is_from_its_peer_or_to_it() {
        let short = |out| types::UpdateShortMessage {
            out,
            mentioned: false,
            media_unread: true,
            silent: true,
            id: 3,
            user_id: 7,
            message: "hello".to_owned(),
            pts: 5,
            pts_count: 1,
            date: 9,
            fwd_from: None,
            via_bot_id: Some(8),
            reply_to: None,
            entities: None,
            ttl_period: Some(60),
        };
        let got = private(short(false), Some(1));
        assert_eq!((got.from_id, got.peer_id), (Some(person(7)), person(7)));
        assert_eq!((got.id, got.date, got.message.as_str()), (3, 9, "hello"));
        assert!(got.silent && got.media_unread && !got.out && !got.mentioned);
        assert_eq!((got.via_bot_id, got.ttl_period), (Some(8), Some(60)));
        let sent = private(short(true), Some(1));
        assert_eq!((sent.from_id, sent.peer_id), (Some(person(1)), person(7)));
        assert_eq!(private(short(true), None).from_id, None);
    }

    #[test]
    fn a_message_in_a_group_is_from_its_sender_in_its_group() {
        let short = types::UpdateShortChatMessage {
            out: false,
            mentioned: true,
            media_unread: false,
            silent: false,
            id: 3,
            from_id: 7,
            chat_id: 4,
            message: "hello".to_owned(),
            pts: 5,
            pts_count: 1,
            date: 9,
            fwd_from: None,
            via_bot_id: None,
            reply_to: None,
            entities: None,
            ttl_period: None,
        };
        let got = in_group(short);
        assert_eq!(got.from_id, Some(person(7)));
        assert_eq!(got.peer_id, types::PeerChat { chat_id: 4 }.into());
        assert!(got.mentioned && !got.silent);
    }

    #[test]
    fn what_was_sent_is_written_out_if_the_request_says_all_of_it() {
        let plain = request(things::input_person(7));
        let message = sent(answer(), &plain.to_bytes(), Some(1)).unwrap();
        assert!(message.out && message.silent && !message.noforwards);
        assert_eq!(message.peer_id, person(7));
        assert_eq!(message.from_id, Some(person(1)));
        assert_eq!((message.id, message.message.as_str()), (3, "hello"));

        let own = request(enums::InputPeer::PeerSelf).to_bytes();
        let message = sent(answer(), &own, Some(1)).unwrap();
        assert_eq!(message.peer_id, person(1));
        assert_eq!(sent(answer(), &own, None), None, "who that is, nobody said");

        let scheduled = functions::messages::SendMessage {
            schedule_date: Some(1),
            ..plain.clone()
        };
        assert_eq!(sent(answer(), &scheduled.to_bytes(), Some(1)), None);
        let bytes = plain.to_bytes();
        for other in [&bytes[..12], &bytes[4..], &[]] {
            assert_eq!(sent(answer(), other, Some(1)), None);
        }
    }

    fn answer() -> types::UpdateShortSentMessage {
        types::UpdateShortSentMessage {
            out: true,
            id: 3,
            pts: 5,
            pts_count: 1,
            date: 9,
            media: None,
            entities: None,
            ttl_period: None,
        }
    }

    fn request(peer: enums::InputPeer) -> functions::messages::SendMessage {
        functions::messages::SendMessage {
            no_webpage: true,
            silent: true,
            background: false,
            clear_draft: true,
            noforwards: false,
            update_stickersets_order: false,
            invert_media: false,
            allow_paid_floodskip: false,
            peer,
            reply_to: None,
            message: "hello".to_owned(),
            random_id: 1,
            reply_markup: None,
            entities: Some(Vec::new()),
            schedule_date: None,
            schedule_repeat_period: None,
            send_as: None,
            quick_reply_shortcut: None,
            effect: None,
            allow_paid_stars: None,
            suggested_post: None,
        }
    }
}
