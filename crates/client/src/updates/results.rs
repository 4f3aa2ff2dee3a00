//! Answers to calls that tell of updates, or of whom they may be about.
//!
//! Without them the account's own doing would look like gaps.

use grammers_tl_types::{
    Cursor, Deserializable, Identifiable, deserialize, enums, functions, types,
};
use heliogram_proto::updates::client::{Input, Place};
use heliogram_tl::peek_id;

use crate::updates::event::{Peers, Update};
use crate::updates::known::Known;
use crate::updates::{place, unpack};

/// What an answer means to a stream of updates.
#[derive(Debug, PartialEq)]
pub(super) enum Meaning {
    Inputs(Vec<Input<Update>>),
    /// Somebody has signed in.
    SignedIn(i64),
}

/// Tells whether an answer is worth a look.
pub(crate) fn is_of_interest(result: &[u8]) -> bool {
    matches!(peek_id(result), Some(id) if kind(id).is_some())
}

/// Reads an answer. `request` is the method.
///
/// # Errors
///
/// If it can't be read.
pub(super) fn read(
    request: &[u8],
    result: &[u8],
    known: &mut Known,
) -> deserialize::Result<Meaning> {
    let nothing = Meaning::Inputs(Vec::new());
    let Some(kind) = peek_id(result).and_then(kind) else {
        return Ok(nothing);
    };
    let request = inner(request);
    let inputs = match kind {
        Kind::Updates => unpack::updates(Deserializable::from_bytes(result)?, request, known),
        Kind::Invited => {
            let enums::messages::InvitedUsers::Users(it) = Deserializable::from_bytes(result)?;
            unpack::updates(it.updates, request, known)
        }
        Kind::Payment => match Deserializable::from_bytes(result)? {
            enums::payments::PaymentResult::Result(it) => {
                unpack::updates(it.updates, request, known)
            }
            enums::payments::PaymentResult::PaymentVerificationNeeded(_) => Vec::new(),
        },
        Kind::Affected => {
            let mut cursor = Cursor::from_slice(result);
            u32::deserialize(&mut cursor)?;
            let pts = i32::deserialize(&mut cursor)?;
            let count = i32::deserialize(&mut cursor)?;
            let place = match channel_of(request).unwrap_or_default() {
                Some(channel_id) => place::in_channel(channel_id, pts, count),
                None => Place::Common { pts, count },
            };
            unpack::moved(place, None)
        }
        Kind::Peers(read) => {
            known.learn(&read(result)?);
            Vec::new()
        }
        Kind::SignIn => {
            let authorization = match peek_id(result) {
                Some(types::auth::LoginTokenSuccess::CONSTRUCTOR_ID) => {
                    match Deserializable::from_bytes(result)? {
                        enums::auth::LoginToken::Success(it) => it.authorization,
                        enums::auth::LoginToken::MigrateTo(_)
                        | enums::auth::LoginToken::Token(_) => {
                            return Ok(nothing);
                        }
                    }
                }
                _ => Deserializable::from_bytes(result)?,
            };
            return Ok(match authorization {
                enums::auth::Authorization::Authorization(it) => Meaning::SignedIn(it.user.id()),
                enums::auth::Authorization::SignUpRequired(_) => nothing,
            });
        }
    };
    Ok(Meaning::Inputs(inputs))
}

/// What an answer is read as.
enum Kind {
    Affected,
    Invited,
    Payment,
    Peers(fn(&[u8]) -> deserialize::Result<Peers>),
    SignIn,
    Updates,
}

fn kind(id: u32) -> Option<Kind> {
    use types::{auth, contacts, messages, payments};
    Some(match id {
        TOO_LONG
        | types::UpdateShort::CONSTRUCTOR_ID
        | types::UpdateShortMessage::CONSTRUCTOR_ID
        | types::UpdateShortChatMessage::CONSTRUCTOR_ID
        | types::UpdateShortSentMessage::CONSTRUCTOR_ID
        | types::Updates::CONSTRUCTOR_ID
        | types::UpdatesCombined::CONSTRUCTOR_ID => Kind::Updates,
        messages::AffectedMessages::CONSTRUCTOR_ID
        | messages::AffectedHistory::CONSTRUCTOR_ID
        | messages::AffectedFoundMessages::CONSTRUCTOR_ID => Kind::Affected,
        messages::InvitedUsers::CONSTRUCTOR_ID => Kind::Invited,
        payments::PaymentResult::CONSTRUCTOR_ID => Kind::Payment,
        auth::Authorization::CONSTRUCTOR_ID | auth::LoginTokenSuccess::CONSTRUCTOR_ID => {
            Kind::SignIn
        }
        messages::Dialogs::CONSTRUCTOR_ID | messages::DialogsSlice::CONSTRUCTOR_ID => {
            Kind::Peers(in_dialogs)
        }
        messages::PeerDialogs::CONSTRUCTOR_ID => Kind::Peers(in_peer_dialogs),
        messages::Messages::CONSTRUCTOR_ID
        | messages::MessagesSlice::CONSTRUCTOR_ID
        | messages::ChannelMessages::CONSTRUCTOR_ID => Kind::Peers(in_messages),
        messages::Chats::CONSTRUCTOR_ID | messages::ChatsSlice::CONSTRUCTOR_ID => {
            Kind::Peers(in_chats)
        }
        messages::ChatFull::CONSTRUCTOR_ID => Kind::Peers(in_chat_full),
        contacts::ResolvedPeer::CONSTRUCTOR_ID => Kind::Peers(in_resolved),
        _ => return None,
    })
}

fn in_dialogs(result: &[u8]) -> deserialize::Result<Peers> {
    Ok(match enums::messages::Dialogs::from_bytes(result)? {
        enums::messages::Dialogs::Dialogs(it) => people(it.users, it.chats),
        enums::messages::Dialogs::Slice(it) => people(it.users, it.chats),
        enums::messages::Dialogs::NotModified(_) => Peers::default(),
    })
}

fn in_peer_dialogs(result: &[u8]) -> deserialize::Result<Peers> {
    let enums::messages::PeerDialogs::Dialogs(it) = Deserializable::from_bytes(result)?;
    Ok(people(it.users, it.chats))
}

fn in_messages(result: &[u8]) -> deserialize::Result<Peers> {
    Ok(match enums::messages::Messages::from_bytes(result)? {
        enums::messages::Messages::Messages(it) => people(it.users, it.chats),
        enums::messages::Messages::Slice(it) => people(it.users, it.chats),
        enums::messages::Messages::ChannelMessages(it) => people(it.users, it.chats),
        enums::messages::Messages::NotModified(_) => Peers::default(),
    })
}

fn in_chats(result: &[u8]) -> deserialize::Result<Peers> {
    let chats = match enums::messages::Chats::from_bytes(result)? {
        enums::messages::Chats::Chats(it) => it.chats,
        enums::messages::Chats::Slice(it) => it.chats,
    };
    Ok(people(Vec::new(), chats))
}

fn in_chat_full(result: &[u8]) -> deserialize::Result<Peers> {
    let enums::messages::ChatFull::Full(it) = Deserializable::from_bytes(result)?;
    Ok(people(it.users, it.chats))
}

fn in_resolved(result: &[u8]) -> deserialize::Result<Peers> {
    let enums::contacts::ResolvedPeer::Peer(it) = Deserializable::from_bytes(result)?;
    Ok(people(it.users, it.chats))
}

const fn people(users: Vec<enums::User>, chats: Vec<enums::Chat>) -> Peers {
    Peers { users, chats }
}

/// Takes the wrappers off that say nothing of what a method is about.
fn inner(mut request: &[u8]) -> &[u8] {
    loop {
        let header = match peek_id(request) {
            Some(INVOKE_AFTER_MSG | INVOKE_WITH_TAKEOUT) => 12,
            Some(INVOKE_WITHOUT_UPDATES) => 4,
            _ => return request,
        };
        let Some(rest) = request.get(header..) else {
            return request;
        };
        request = rest;
    }
}

/// Returns the channel that a method has changed, if it was one.
///
/// # Errors
///
/// If the method is not as the schema has it.
fn channel_of(request: &[u8]) -> deserialize::Result<Option<i64>> {
    use functions::{channels, messages};
    let mut cursor = Cursor::from_slice(request);
    match u32::deserialize(&mut cursor)? {
        channels::DeleteMessages::CONSTRUCTOR_ID
        | channels::DeleteParticipantHistory::CONSTRUCTOR_ID => {
            return Ok(match enums::InputChannel::deserialize(&mut cursor)? {
                enums::InputChannel::Channel(it) => Some(it.channel_id),
                enums::InputChannel::FromMessage(it) => Some(it.channel_id),
                enums::InputChannel::Empty => None,
            });
        }
        messages::DeleteTopicHistory::CONSTRUCTOR_ID => {}
        messages::DeleteHistory::CONSTRUCTOR_ID
        | messages::ReadMentions::CONSTRUCTOR_ID
        | messages::ReadReactions::CONSTRUCTOR_ID
        | messages::UnpinAllMessages::CONSTRUCTOR_ID => {
            u32::deserialize(&mut cursor)?;
        }
        // Saved messages are the account's, unless the first bit names the channel whose they are.
        messages::DeleteSavedHistory::CONSTRUCTOR_ID if u32::deserialize(&mut cursor)? & 1 == 1 => {
        }
        _ => return Ok(None),
    }
    Ok(match enums::InputPeer::deserialize(&mut cursor)? {
        enums::InputPeer::Channel(it) => Some(it.channel_id),
        enums::InputPeer::ChannelFromMessage(it) => Some(it.channel_id),
        enums::InputPeer::Chat(_)
        | enums::InputPeer::Empty
        | enums::InputPeer::PeerSelf
        | enums::InputPeer::User(_)
        | enums::InputPeer::UserFromMessage(_) => None,
    })
}

/// `updatesTooLong`, which has no fields and so no type.
const TOO_LONG: u32 = 0xe317_af7e;

/// `invokeAfterMsg`: with a `long`.
const INVOKE_AFTER_MSG: u32 = 0xcb9f_372d;

/// `invokeWithTakeout`: with a `long`.
const INVOKE_WITH_TAKEOUT: u32 = 0xaca9_fd2e;

/// `invokeWithoutUpdates`.
const INVOKE_WITHOUT_UPDATES: u32 = 0xbf94_59b7;

#[cfg(test)]
mod tests {
    use grammers_tl_types::Serializable;
    use heliogram_proto::updates::client::{Batch, Placed};
    use heliogram_testkit::backend::things;
    use heliogram_tl::dynamic::Catalog;

    use super::*;

    #[test]
    fn every_answer_that_holds_updates_or_moves_numbers_is_of_interest() {
        let catalog = Catalog::of_layer();
        let mut looked_at = 0;
        for constructor in catalog.constructors() {
            let holds = |ty| constructor.fields.iter().any(|it| it.ty.text() == ty);
            let is_affected = constructor.name.starts_with("messages.affected");
            let is_updates = constructor.result.text() == "Updates";
            if holds("Updates") || is_affected || is_updates {
                let result = constructor.id.unwrap().to_le_bytes();
                assert!(is_of_interest(&result), "{}", constructor.name);
                looked_at += 1;
            }
        }
        assert_eq!(looked_at, 7 + 2 + 3);
        assert!(!is_of_interest(
            &types::Config::CONSTRUCTOR_ID.to_le_bytes()
        ));
        assert!(!is_of_interest(&[]));
    }

    #[test]
    fn updates_within_an_answer_are_read_as_those_that_come_unasked() {
        let inner = things::updates(vec![enums::Update::Config]);
        let invited = types::messages::InvitedUsers {
            updates: inner.clone(),
            missing_invitees: Vec::new(),
        };
        let paid = types::payments::PaymentResult {
            updates: inner.clone(),
        };
        let expected = read_alone(&[], &inner.to_bytes());
        assert!(matches!(&expected, Meaning::Inputs(it) if it.len() == 1));
        let invited = enums::messages::InvitedUsers::from(invited);
        assert_eq!(read_alone(&[], &invited.to_bytes()), expected);
        let paid = enums::payments::PaymentResult::from(paid);
        assert_eq!(read_alone(&[], &paid.to_bytes()), expected);
    }

    #[test]
    fn what_a_method_has_affected_is_counted_where_the_method_was_about() {
        let peer = |channel_id| types::InputPeerChannel {
            channel_id,
            access_hash: 1,
        };
        let unpin = |peer: enums::InputPeer| functions::messages::UnpinAllMessages {
            peer,
            top_msg_id: None,
            saved_peer_id: None,
        };
        let topic = functions::messages::DeleteTopicHistory {
            peer: peer(9).into(),
            top_msg_id: 3,
        };
        let member = functions::channels::DeleteParticipantHistory {
            channel: things::input_channel(9),
            participant: things::input_person(7),
        };
        let saved = |parent_peer| functions::messages::DeleteSavedHistory {
            parent_peer,
            peer: things::input_person(7),
            max_id: 1,
            min_date: None,
            max_date: None,
        };
        let deleted = functions::messages::DeleteMessages {
            revoke: true,
            id: vec![1],
        };
        let of_channel = [
            unpin(peer(9).into()).to_bytes(),
            topic.to_bytes(),
            member.to_bytes(),
            saved(Some(peer(9).into())).to_bytes(),
        ];
        for request in of_channel {
            let place = place::in_channel(9, 5, 2);
            assert_eq!(affected(&request), place);
            for (id, header) in [
                (INVOKE_AFTER_MSG, 8),
                (INVOKE_WITH_TAKEOUT, 8),
                (INVOKE_WITHOUT_UPDATES, 0),
            ] {
                let wrapped = [&id.to_le_bytes()[..], &vec![7; header], &request].concat();
                assert_eq!(affected(&wrapped), place);
            }
        }
        let of_account = [
            unpin(things::input_person(7)).to_bytes(),
            saved(None).to_bytes(),
            deleted.to_bytes(),
            INVOKE_AFTER_MSG.to_bytes(),
            Vec::new(),
        ];
        for request in of_account {
            assert_eq!(affected(&request), Place::Common { pts: 5, count: 2 });
        }
    }

    #[test]
    fn answers_tell_of_channels_and_users() {
        let mut known = Known::default();
        let (users, chats) = (Vec::new(), vec![things::channel(9, "Team").into()]);
        let resolved = types::contacts::ResolvedPeer {
            peer: things::person(7),
            chats,
            users,
        };
        let result = enums::contacts::ResolvedPeer::from(resolved).to_bytes();
        assert!(is_of_interest(&result));
        read(&[], &result, &mut known).unwrap();
        assert_eq!(known.channel_hash(9), things::access_hash(9));
        let chats = types::messages::Chats {
            chats: vec![things::channel(10, "Club").into()],
        };
        let result = enums::messages::Chats::from(chats).to_bytes();
        read(&[], &result, &mut known).unwrap();
        assert_eq!(known.channel_hash(10), things::access_hash(10));
    }

    #[test]
    fn who_signs_in_is_told_and_what_is_cut_short_is_an_error() {
        let authorization = types::auth::Authorization {
            setup_password_required: false,
            otherwise_relogin_days: None,
            tmp_sessions: None,
            future_auth_token: None,
            user: things::user(7, "Ann").into(),
        };
        let signed_in = enums::auth::Authorization::from(authorization);
        let result = signed_in.to_bytes();
        assert_eq!(read_alone(&[], &result), Meaning::SignedIn(7));
        let token = types::auth::LoginTokenSuccess {
            authorization: signed_in,
        };
        let token = enums::auth::LoginToken::from(token).to_bytes();
        assert_eq!(read_alone(&[], &token), Meaning::SignedIn(7));
        let cut = &result[..result.len() - 4];
        read(&[], cut, &mut Known::default()).unwrap_err();
    }

    fn read_alone(request: &[u8], result: &[u8]) -> Meaning {
        read(request, result, &mut Known::default()).unwrap()
    }

    /// Returns what two events of which the last is the fifth are counted as.
    fn affected(request: &[u8]) -> Place {
        let result = types::messages::AffectedMessages {
            pts: 5,
            pts_count: 2,
        };
        let result = enums::messages::AffectedMessages::from(result).to_bytes();
        let Meaning::Inputs(inputs) = read_alone(request, &result) else {
            panic!("something else")
        };
        let [Input::Batch(Batch { updates, .. })] = &inputs[..] else {
            panic!("{inputs:?}")
        };
        let [
            Placed {
                place,
                update: None,
            },
        ] = updates[..]
        else {
            panic!("{updates:?}")
        };
        place
    }
}
