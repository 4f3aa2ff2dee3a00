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

#[cfg(test)]
mod tests {
    use heliogram_testkit::backend::things;

    use super::*;

    #[test]
    fn a_combined_container_has_its_first_number_too_and_a_short_one_none() {
        let combined = types::UpdatesCombined {
            updates: vec![enums::Update::Config],
            users: Vec::new(),
            chats: Vec::new(),
            date: 9,
            seq_start: 3,
            seq: 5,
        };
        let numbers = |object: enums::Updates| {
            let inputs = updates(object, &[], &mut Known::default());
            let [Input::Batch(it)] = &inputs[..] else {
                panic!("{inputs:?}")
            };
            let update = it.updates[0].update.as_ref().unwrap();
            (it.seq_start, it.seq, it.date, update.date)
        };
        assert_eq!(numbers(combined.into()), (3, 5, 9, 9));
        let update = enums::Update::Config;
        let short = types::UpdateShort { update, date: 9 };
        assert_eq!(numbers(short.into()), (0, 0, 0, 9));
    }

    #[test]
    fn word_to_the_client_itself_is_taken_out_of_what_is_told() {
        let too_long = types::UpdateChannelTooLong {
            channel_id: 9,
            pts: Some(5),
        };
        let word = vec![enums::Update::PtsChanged, too_long.into()];
        let inputs = updates(things::updates(word.clone()), &[], &mut Known::default());
        let (channel_id, pts) = (9, Some(5));
        let too_long = Input::ChannelTooLong { channel_id, pts };
        let expected = [Input::Restart, too_long.clone()];
        assert_eq!(&inputs[1..], &expected);
        let Input::Batch(batch) = &inputs[0] else {
            panic!("{inputs:?}")
        };
        assert_eq!(batch.updates, []);

        // In a difference the numbers have begun anew already.
        let answer = types::updates::Difference {
            new_messages: Vec::new(),
            new_encrypted_messages: Vec::new(),
            other_updates: word,
            chats: Vec::new(),
            users: Vec::new(),
            state: wire_state().into(),
        };
        let inputs = difference(answer.into(), &mut Known::default());
        assert_eq!(&inputs[1..], &[too_long]);
    }

    #[test]
    fn messages_of_a_difference_are_updates_without_numbers_secret_ones_last() {
        let secret = types::EncryptedMessageService {
            random_id: 1,
            chat_id: 2,
            date: 3,
            bytes: Vec::new(),
        };
        let answer = types::updates::DifferenceSlice {
            new_messages: vec![things::message(1, 7, &things::person(7), "a").into()],
            new_encrypted_messages: vec![secret.into()],
            other_updates: Vec::new(),
            chats: Vec::new(),
            users: vec![things::user(7, "Ann").into()],
            intermediate_state: wire_state().into(),
        };
        let mut known = Known::default();
        let inputs = difference(answer.into(), &mut known);
        let [
            Input::Difference(client::Difference::Slice {
                messages, state, ..
            }),
        ] = &inputs[..]
        else {
            panic!("{inputs:?}")
        };
        let kinds: Vec<_> = messages.iter().map(|it| &it.update).collect();
        let [
            enums::Update::NewMessage(first),
            enums::Update::NewEncryptedMessage(second),
        ] = kinds[..]
        else {
            panic!("{kinds:?}")
        };
        assert_eq!((first.pts, first.pts_count, second.qts), (0, 0, 0));
        assert_eq!((state.pts, state.qts, state.seq, state.date), (1, 2, 3, 4));
        assert!(messages.iter().all(|it| it.peers.user(7).is_some()));
        assert!(known.input_peer(&things::person(7)).is_some());
    }

    #[test]
    fn a_channels_empty_difference_says_when_to_ask_again() {
        let empty = types::updates::ChannelDifferenceEmpty {
            r#final: true,
            pts: 5,
            timeout: Some(30),
        };
        let (inputs, timeout) = channel_difference(9, empty.into(), &mut Known::default());
        assert_eq!(timeout, Some(30));
        let difference = channel_answer(true, 5);
        let channel_id = 9;
        let expected = Input::ChannelDifference {
            channel_id,
            difference,
        };
        assert_eq!(inputs, [expected]);
    }

    fn wire_state() -> types::updates::State {
        types::updates::State {
            pts: 1,
            qts: 2,
            date: 4,
            seq: 3,
            unread_count: 0,
        }
    }
}
