//! Objects of the API, taken apart for the bookkeeping of updates.

use std::sync::Arc;

use grammers_tl_types::{enums, types};
use heliogram_proto::updates::UpdateState;
use heliogram_proto::updates::client::{self, Batch, Input, Place, Placed};

use crate::updates::event::{Peers, Update};
use crate::updates::known::Known;
use crate::updates::place::place;
use crate::updates::short;

/// Takes an `Updates` object apart. `request` is the method that it answers; empty if it answers none.
pub(super) fn updates(
    object: enums::Updates,
    request: &[u8],
    known: &mut Known,
) -> Vec<Input<Update>> {
    match object {
        enums::Updates::TooLong => vec![Input::Lost],
        enums::Updates::UpdateShort(it) => {
            container(0..=0, 0, vec![it.update], &Arc::default(), it.date)
        }
        enums::Updates::Updates(it) => {
            let peers = learned(it.users, it.chats, known);
            container(it.seq..=it.seq, it.date, it.updates, &peers, it.date)
        }
        enums::Updates::Combined(it) => {
            let peers = learned(it.users, it.chats, known);
            container(it.seq_start..=it.seq, it.date, it.updates, &peers, it.date)
        }
        enums::Updates::UpdateShortMessage(it) => {
            let peer = [short::person(it.user_id)];
            if !known.admits(short::named(peer, it.via_bot_id, it.fwd_from.as_ref())) {
                return vec![Input::Lost];
            }
            let (pts, count) = (it.pts, it.pts_count);
            short(pts, count, it.date, Some(short::private(it, known.me)))
        }
        enums::Updates::UpdateShortChatMessage(it) => {
            let chat = types::PeerChat {
                chat_id: it.chat_id,
            };
            let peers = [short::person(it.from_id), chat.into()];
            if !known.admits(short::named(peers, it.via_bot_id, it.fwd_from.as_ref())) {
                return vec![Input::Lost];
            }
            short(it.pts, it.pts_count, it.date, Some(short::in_group(it)))
        }
        enums::Updates::UpdateShortSentMessage(it) => {
            let (pts, count, date) = (it.pts, it.pts_count, it.date);
            short(pts, count, date, short::sent(it, request, known.me))
        }
    }
}

/// Takes a difference apart.
pub(super) fn difference(
    object: enums::updates::Difference,
    known: &mut Known,
) -> Vec<Input<Update>> {
    let (it, is_all) = match object {
        enums::updates::Difference::Empty(it) => {
            let (date, seq) = (it.date, it.seq);
            return vec![Input::Difference(client::Difference::Empty { date, seq })];
        }
        enums::updates::Difference::TooLong(it) => {
            let pts = it.pts;
            return vec![Input::Difference(client::Difference::TooLong { pts })];
        }
        enums::updates::Difference::Difference(it) => (it, true),
        enums::updates::Difference::Slice(it) => (whole(it), false),
    };
    let peers = learned(it.users, it.chats, known);
    let messages = it.new_messages.into_iter().map(|message| {
        types::UpdateNewMessage {
            message,
            pts: 0,
            pts_count: 0,
        }
        .into()
    });
    let encrypted = it.new_encrypted_messages.into_iter();
    let encrypted =
        encrypted.map(|message| types::UpdateNewEncryptedMessage { message, qts: 0 }.into());
    let messages = messages
        .chain(encrypted)
        .map(|it| told(it, &peers))
        .collect();
    let (updates, after) = sorted(it.other_updates, &peers, 0);
    let state = state(&it.state);
    let answer = if is_all {
        client::Difference::Full {
            messages,
            updates,
            state,
        }
    } else {
        client::Difference::Slice {
            messages,
            updates,
            state,
        }
    };
    let mut inputs = vec![Input::Difference(answer)];
    // Word that the numbers begin anew is old here: the answer's own say where they are.
    inputs.extend(after.into_iter().filter(|it| *it != Input::Restart));
    inputs
}

/// Takes a channel's difference apart. Returns after how many seconds to ask again, too, if it says so.
pub(super) fn channel_difference(
    channel_id: i64,
    object: enums::updates::ChannelDifference,
    known: &mut Known,
) -> (Vec<Input<Update>>, Option<i32>) {
    let mut after = Vec::new();
    let (difference, timeout) = match object {
        enums::updates::ChannelDifference::Empty(it) => {
            (channel_answer(it.r#final, it.pts), it.timeout)
        }
        enums::updates::ChannelDifference::TooLong(it) => {
            learned(it.users, it.chats, known);
            let pts = match it.dialog {
                enums::Dialog::Dialog(it) => it.pts.unwrap_or_default(),
                enums::Dialog::Folder(_) => 0,
            };
            let answer = client::ChannelDifference {
                is_too_long: true,
                ..channel_answer(it.r#final, pts)
            };
            (answer, it.timeout)
        }
        enums::updates::ChannelDifference::Difference(it) => {
            let peers = learned(it.users, it.chats, known);
            let messages = it.new_messages.into_iter().map(|message| {
                let update = types::UpdateNewChannelMessage {
                    message,
                    pts: 0,
                    pts_count: 0,
                };
                told(update.into(), &peers)
            });
            let messages = messages.collect();
            let (updates, others) = sorted(it.other_updates, &peers, 0);
            after = others;
            let answer = client::ChannelDifference {
                messages,
                updates,
                ..channel_answer(it.r#final, it.pts)
            };
            (answer, it.timeout)
        }
    };
    let answer = Input::ChannelDifference {
        channel_id,
        difference,
    };
    after.insert(0, answer);
    (after, timeout)
}

/// Takes note of users and chats, who then travel with updates.
pub(super) fn learned(
    users: Vec<enums::User>,
    chats: Vec<enums::Chat>,
    known: &mut Known,
) -> Arc<Peers> {
    let peers = Peers { users, chats };
    known.learn(&peers);
    peers.into()
}

/// Takes a state apart.
pub(super) const fn state(state: &enums::updates::State) -> UpdateState {
    let enums::updates::State::State(it) = state;
    UpdateState {
        pts: it.pts,
        qts: it.qts,
        seq: it.seq,
        date: it.date,
    }
}

/// Says that a box has gone on by so much, with what has happened or without.
pub(super) fn moved(place: Place, update: Option<Update>) -> Vec<Input<Update>> {
    vec![Input::Batch(Batch {
        seq_start: 0,
        seq: 0,
        date: 0,
        updates: vec![Placed { place, update }],
    })]
}

fn container(
    numbers: std::ops::RangeInclusive<i32>,
    date_kept: i32,
    updates: Vec<enums::Update>,
    peers: &Arc<Peers>,
    date: i32,
) -> Vec<Input<Update>> {
    let (updates, after) = sorted(updates, peers, date);
    let batch = Batch {
        seq_start: *numbers.start(),
        seq: *numbers.end(),
        date: date_kept,
        updates,
    };
    let mut inputs = vec![Input::Batch(batch)];
    inputs.extend(after);
    inputs
}

fn short(pts: i32, count: i32, date: i32, message: Option<types::Message>) -> Vec<Input<Update>> {
    let update = message.map(|message| Update {
        update: short::new_message(message, pts, count),
        peers: Arc::default(),
        date,
    });
    moved(Place::Common { pts, count }, update)
}

/// Parts what stands somewhere, or nowhere, from what is word to the client itself.
fn sorted(
    updates: Vec<enums::Update>,
    peers: &Arc<Peers>,
    date: i32,
) -> (Vec<Placed<Update>>, Vec<Input<Update>>) {
    let (mut placed, mut others) = (Vec::with_capacity(updates.len()), Vec::new());
    for update in updates {
        if let enums::Update::ChannelTooLong(it) = update {
            let (channel_id, pts) = (it.channel_id, it.pts);
            others.push(Input::ChannelTooLong { channel_id, pts });
        } else if update == enums::Update::PtsChanged {
            others.push(Input::Restart);
        } else {
            let place = place(&update);
            let update = Update {
                date,
                ..told(update, peers)
            };
            placed.push(Placed {
                place,
                update: Some(update),
            });
        }
    }
    (placed, others)
}

fn told(update: enums::Update, peers: &Arc<Peers>) -> Update {
    Update {
        update,
        peers: Arc::clone(peers),
        date: 0,
    }
}

/// A slice has the fields of a difference, one by another name.
fn whole(it: types::updates::DifferenceSlice) -> types::updates::Difference {
    types::updates::Difference {
        new_messages: it.new_messages,
        new_encrypted_messages: it.new_encrypted_messages,
        other_updates: it.other_updates,
        chats: it.chats,
        users: it.users,
        state: it.intermediate_state,
    }
}

const fn channel_answer(is_final: bool, pts: i32) -> client::ChannelDifference<Update> {
    client::ChannelDifference {
        is_final,
        pts,
        messages: Vec::new(),
        updates: Vec::new(),
        is_too_long: false,
    }
}
