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
