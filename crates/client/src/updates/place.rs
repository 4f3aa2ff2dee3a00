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
