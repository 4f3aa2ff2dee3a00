//! Accounts, channels and their updates: `updates.getState`, `getDifference`, `getChannelDifference`.
//!
//! Numbers and logs are [`heliogram_proto::updates::server`]'s. What is recorded and not pushed is a gap for whoever
//! gets the next push.

use std::collections::{BTreeMap, BTreeSet};

use grammers_tl_types::{enums, functions, types};
use heliogram_proto::updates::UpdateState;
use heliogram_proto::updates::server::{
    Account, After, Difference, Exhausted, Log, Missed, Numbers, Request,
};

use super::Backend;
use super::calls::{Asked, Outcome, refuse};
use super::things::{self, access_hash, now_unix_s, person};

/// Accounts, channels and their updates.
#[derive(Debug)]
pub struct News {
    people: BTreeMap<i64, types::User>,
    boxes: BTreeMap<i64, PersonalBox>,
    channels: BTreeMap<i64, Channel>,
    slice_events: i32,
    channel_slice_events: i32,
    poll_after_s: Option<i32>,
}

#[derive(Debug)]
struct PersonalBox {
    account: Account<enums::Update>,
    last_message: i32,
    /// The `random_id`s of what was sent: of each, once.
    sent: BTreeSet<i64>,
}

#[derive(Debug)]
struct Channel {
    about: types::Channel,
    log: Log<enums::Update>,
    last_message: i32,
    is_private: bool,
}

impl Default for News {
    fn default() -> Self {
        Self {
            people: BTreeMap::new(),
            boxes: BTreeMap::new(),
            channels: BTreeMap::new(),
            slice_events: 100,
            channel_slice_events: 100,
            poll_after_s: Some(1),
        }
    }
}

impl News {
    /// Adds a user with an empty box; one that is there stays.
    pub fn add_user(&mut self, id: i64) {
        self.add(things::user(id, &format!("User {id}")));
    }

    /// Adds a bot with an empty box; a user of this number becomes one.
    pub fn add_bot(&mut self, id: i64) {
        self.people.remove(&id);
        self.add(things::bot(id, &format!("Bot {id}")));
    }

    fn add(&mut self, user: types::User) {
        let state = UpdateState {
            date: now_unix_s(),
            ..UpdateState::default()
        };
        self.boxes.entry(user.id).or_insert_with(|| PersonalBox {
            account: Account::new(state, KEPT),
            last_message: 0,
            sent: BTreeSet::new(),
        });
        self.people.entry(user.id).or_insert(user);
    }

    /// Adds a channel that everybody is a member of.
    pub fn add_channel(&mut self, id: i64) {
        self.channels.entry(id).or_insert_with(|| Channel {
            about: things::channel(id, &format!("Channel {id}")),
            log: Log::new(1, KEPT),
            last_message: 0,
            is_private: false,
        });
    }

    /// Returns what is known of a user.
    #[must_use]
    pub fn user(&self, id: i64) -> Option<types::User> {
        self.people.get(&id).cloned()
    }

    /// Returns how far an account has come.
    #[must_use]
    pub fn state(&self, user: i64) -> Option<UpdateState> {
        self.boxes.get(&user).map(|it| it.account.state())
    }

    /// Returns how far a channel has come.
    #[must_use]
    pub fn channel_pts(&self, channel: i64) -> Option<i32> {
        self.channels.get(&channel).map(|it| it.log.last())
    }

    /// Goes on from another state, with an empty log: whoever is behind it is told `differenceTooLong`.
    pub fn reset(&mut self, user: i64, state: UpdateState) {
        if let Some(it) = self.boxes.get_mut(&user) {
            it.account = Account::new(state, KEPT);
        }
    }

    /// Goes on from another number, with an empty log: whoever is behind it is told `channelDifferenceTooLong`.
    pub fn reset_channel(&mut self, channel: i64, pts: i32) {
        if let Some(it) = self.channels.get_mut(&channel) {
            it.log = Log::new(pts, KEPT);
        }
    }

    /// Lets nobody see a channel any more: `CHANNEL_PRIVATE`.
    pub fn close_channel(&mut self, channel: i64) {
        if let Some(it) = self.channels.get_mut(&channel) {
            it.is_private = true;
        }
    }

    /// Has differences hold so many events at most; at first 100.
    pub const fn slices_of(&mut self, events: i32) {
        self.slice_events = events;
    }

    /// Has differences of channels hold so many events at most; at first 100.
    pub const fn channel_slices_of(&mut self, events: i32) {
        self.channel_slice_events = events;
    }

    /// Says after how many seconds channels are to be asked about again; at first one.
    pub const fn poll_after(&mut self, seconds: Option<i32>) {
        self.poll_after_s = seconds;
    }

    /// Records a change that makes up so many events, and pushes nothing. `make` is given its numbers.
    ///
    /// # Errors
    ///
    /// `PEER_ID_INVALID` without such an account.
    pub fn record(
        &mut self,
        user: i64,
        count: u16,
        make: impl FnOnce(Numbers) -> enums::Update,
    ) -> Outcome<enums::Update> {
        let personal = self.personal(user)?;
        let pts_count = i32::from(count);
        let pts = personal.account.state().pts + pts_count;
        let update = make(Numbers { pts, pts_count });
        let appended = personal.account.append(count, update.clone(), now_unix_s());
        appended.map_err(exhausted)?;
        Ok(update)
    }

    /// Records what has a `qts`, and pushes nothing. `make` is given it.
    ///
    /// # Errors
    ///
    /// `PEER_ID_INVALID` without such an account.
    pub fn record_secondary(
        &mut self,
        user: i64,
        make: impl FnOnce(i32) -> enums::Update,
    ) -> Outcome<enums::Update> {
        let account = &mut self.personal(user)?.account;
        let update = make(account.state().qts + 1);
        let appended = account.append_secondary(update.clone(), now_unix_s());
        appended.map_err(exhausted)?;
        Ok(update)
    }

    /// Records a change of a channel, and pushes nothing. `make` is given its numbers.
    ///
    /// # Errors
    ///
    /// `CHANNEL_INVALID` without such a channel.
    pub fn record_in_channel(
        &mut self,
        channel: i64,
        count: u16,
        make: impl FnOnce(Numbers) -> enums::Update,
    ) -> Outcome<enums::Update> {
        let channel = self.channels.get_mut(&channel);
        let channel = channel.ok_or_else(|| refuse(400, "CHANNEL_INVALID"))?;
        let pts_count = i32::from(count);
        let pts = channel.log.last() + pts_count;
        let update = make(Numbers { pts, pts_count });
        let appended = channel.log.append(count, update.clone());
        appended.map_err(exhausted)?;
        Ok(update)
    }

    /// Records a message that a user gets, and pushes nothing.
    ///
    /// # Errors
    ///
    /// `PEER_ID_INVALID` without such an account.
    pub fn write(&mut self, to: i64, from: i64, text: &str) -> Outcome<enums::Update> {
        let id = self.next_message(to)?;
        let message = things::message(id, from, &person(from), text);
        self.record(to, 1, |at| new_message(message, at))
    }

    /// Records a message in its sender's box; returns its number there, too.
    pub(super) fn write_sent(
        &mut self,
        from: i64,
        to: i64,
        text: &str,
    ) -> Outcome<(enums::Update, i32)> {
        let id = self.next_message(from)?;
        let message = types::Message {
            out: true,
            ..things::message(id, from, &person(to), text)
        };
        let update = self.record(from, 1, |at| new_message(message, at))?;
        Ok((update, id))
    }

    /// Takes note of a `random_id`; an error if its sender has used it.
    pub(super) fn use_random_id(&mut self, from: i64, random_id: i64) -> Outcome<()> {
        if self.personal(from)?.sent.insert(random_id) {
            Ok(())
        } else {
            Err(refuse(500, "RANDOM_ID_DUPLICATE"))
        }
    }

    /// Records a message in a channel, and pushes nothing.
    ///
    /// # Errors
    ///
    /// `CHANNEL_INVALID` without such a channel.
    pub fn write_in_channel(
        &mut self,
        channel_id: i64,
        from: i64,
        text: &str,
    ) -> Outcome<enums::Update> {
        let channel = self.channels.get_mut(&channel_id);
        let channel = channel.ok_or_else(|| refuse(400, "CHANNEL_INVALID"))?;
        channel.last_message += 1;
        let peer = enums::Peer::from(types::PeerChannel { channel_id });
        let message = things::message(channel.last_message, from, &peer, text);
        self.record_in_channel(channel_id, 1, |at| {
            types::UpdateNewChannelMessage {
                message: message.into(),
                pts: at.pts,
                pts_count: at.pts_count,
            }
            .into()
        })
    }

    /// Wraps updates that stand in no box into a container with the account's next number.
    ///
    /// # Errors
    ///
    /// `PEER_ID_INVALID` without such an account.
    pub fn number(&mut self, user: i64, updates: Vec<enums::Update>) -> Outcome<enums::Updates> {
        let account = &mut self.personal(user)?.account;
        let date = now_unix_s();
        let seq = account.number_container(date).map_err(exhausted)?;
        Ok(types::Updates {
            updates,
            users: Vec::new(),
            chats: Vec::new(),
            date,
            seq,
        }
        .into())
    }

    /// Adds all users and channels to a container.
    #[must_use]
    pub fn with_people(&self, updates: enums::Updates) -> enums::Updates {
        let enums::Updates::Updates(it) = updates else {
            return updates;
        };
        types::Updates {
            users: self.users(),
            chats: self.chats(),
            ..it
        }
        .into()
    }

    fn personal(&mut self, user: i64) -> Outcome<&mut PersonalBox> {
        let found = self.boxes.get_mut(&user);
        found.ok_or_else(|| refuse(400, "PEER_ID_INVALID"))
    }

    fn next_message(&mut self, user: i64) -> Outcome<i32> {
        let personal = self.personal(user)?;
        personal.last_message += 1;
        Ok(personal.last_message)
    }

    fn users(&self) -> Vec<enums::User> {
        self.people
            .values()
            .cloned()
            .map(enums::User::User)
            .collect()
    }

    fn chats(&self) -> Vec<enums::Chat> {
        let about = self.channels.values().map(|it| it.about.clone());
        about.map(enums::Chat::Channel).collect()
    }

    fn missed(&self, missed: Missed<'_, enums::Update>) -> types::updates::Difference {
        let common = missed.common.into_iter().cloned();
        let (new_messages, mut other_updates) = split(common);
        let mut new_encrypted_messages = Vec::new();
        for update in missed.secondary {
            if let enums::Update::NewEncryptedMessage(it) = update {
                new_encrypted_messages.push(it.message.clone());
            } else {
                other_updates.push(update.clone());
            }
        }
        types::updates::Difference {
            new_messages,
            new_encrypted_messages,
            other_updates,
            chats: self.chats(),
            users: self.users(),
            state: wire_state(missed.state),
        }
    }
}

impl Backend {
    pub(super) fn on_get_state(
        &self,
        asked: &Asked<'_, functions::updates::GetState>,
    ) -> Outcome<enums::updates::State> {
        let state = self.cloud.news().state(asked.user);
        Ok(wire_state(state.unwrap_or_default()))
    }

    pub(super) fn on_get_difference(
        &self,
        asked: &Asked<'_, functions::updates::GetDifference>,
    ) -> Outcome<enums::updates::Difference> {
        let it = &asked.request;
        let mut news = self.cloud.news();
        let slice = news.slice_events;
        let limit =
            |asked: Option<i32>| Some(asked.filter(|&it| it > 0).unwrap_or(slice).min(slice));
        if it.pts <= 0 {
            return Err(refuse(400, "PERSISTENT_TIMESTAMP_EMPTY"));
        }
        let request = Request {
            pts: it.pts,
            qts: it.qts,
            pts_limit: limit(it.pts_limit),
            pts_total_limit: it.pts_total_limit,
            qts_limit: limit(it.qts_limit),
        };
        let account = news.personal(asked.user)?.account.clone();
        Ok(match account.difference(&request) {
            Difference::Empty { date, seq } => types::updates::DifferenceEmpty { date, seq }.into(),
            Difference::Full(missed) => news.missed(missed).into(),
            Difference::Slice(missed) => {
                let it = news.missed(missed);
                types::updates::DifferenceSlice {
                    new_messages: it.new_messages,
                    new_encrypted_messages: it.new_encrypted_messages,
                    other_updates: it.other_updates,
                    chats: it.chats,
                    users: it.users,
                    intermediate_state: it.state,
                }
                .into()
            }
            Difference::TooLong { pts } => types::updates::DifferenceTooLong { pts }.into(),
        })
    }

    pub(super) fn on_get_channel_difference(
        &self,
        asked: &Asked<'_, functions::updates::GetChannelDifference>,
    ) -> Outcome<enums::updates::ChannelDifference> {
        let request = &asked.request;
        let enums::InputChannel::Channel(input) = &request.channel else {
            return Err(refuse(400, "CHANNEL_INVALID"));
        };
        let id = input.channel_id;
        let news = self.cloud.news();
        let channel = news.channels.get(&id);
        let channel = channel.filter(|_| input.access_hash == access_hash(id));
        let channel = channel.ok_or_else(|| refuse(400, "CHANNEL_INVALID"))?;
        if channel.is_private {
            return Err(refuse(400, "CHANNEL_PRIVATE"));
        }
        if request.pts <= 0 {
            return Err(refuse(400, "PERSISTENT_TIMESTAMP_EMPTY"));
        }
        let max = request.limit.clamp(1, news.channel_slice_events.max(1));
        let timeout = news.poll_after_s;
        let part = match channel.log.after(request.pts, max.unsigned_abs() as usize) {
            After::TooLong => return Ok(news.channel_too_long(channel)),
            After::Events(part) => part,
        };
        if part.events.is_empty() {
            return Ok(types::updates::ChannelDifferenceEmpty {
                r#final: true,
                pts: part.pts,
                timeout,
            }
            .into());
        }
        let (new_messages, other_updates) = split(part.events.into_iter().cloned());
        Ok(types::updates::ChannelDifference {
            r#final: part.is_final,
            pts: part.pts,
            timeout,
            new_messages,
            other_updates,
            chats: news.chats(),
            users: news.users(),
        }
        .into())
    }
}

impl News {
    fn channel_too_long(&self, channel: &Channel) -> enums::updates::ChannelDifference {
        let channel_id = channel.about.id;
        let dialog = types::Dialog {
            pinned: false,
            unread_mark: false,
            view_forum_as_messages: false,
            peer: types::PeerChannel { channel_id }.into(),
            top_message: channel.last_message,
            read_inbox_max_id: 0,
            read_outbox_max_id: 0,
            unread_count: channel.last_message,
            unread_mentions_count: 0,
            unread_reactions_count: 0,
            notify_settings: types::PeerNotifySettings {
                show_previews: None,
                silent: None,
                mute_until: None,
                ios_sound: None,
                android_sound: None,
                other_sound: None,
                stories_muted: None,
                stories_hide_sender: None,
                stories_ios_sound: None,
                stories_android_sound: None,
                stories_other_sound: None,
            }
            .into(),
            pts: Some(channel.log.last()),
            draft: None,
            folder_id: None,
            ttl_period: None,
        };
        types::updates::ChannelDifferenceTooLong {
            r#final: true,
            timeout: self.poll_after_s,
            dialog: dialog.into(),
            messages: Vec::new(),
            chats: self.chats(),
            users: self.users(),
        }
        .into()
    }
}

fn new_message(message: types::Message, at: Numbers) -> enums::Update {
    types::UpdateNewMessage {
        message: message.into(),
        pts: at.pts,
        pts_count: at.pts_count,
    }
    .into()
}

/// Parts new messages from everything else.
fn split(events: impl Iterator<Item = enums::Update>) -> (Vec<enums::Message>, Vec<enums::Update>) {
    let (mut messages, mut others) = (Vec::new(), Vec::new());
    for update in events {
        if let enums::Update::NewMessage(it) = update {
            messages.push(it.message);
        } else if let enums::Update::NewChannelMessage(it) = update {
            messages.push(it.message);
        } else {
            others.push(update);
        }
    }
    (messages, others)
}

fn wire_state(state: UpdateState) -> enums::updates::State {
    types::updates::State {
        pts: state.pts,
        qts: state.qts,
        date: state.date,
        seq: state.seq,
        unread_count: 0,
    }
    .into()
}

fn exhausted(_: Exhausted) -> heliogram_ports::RpcError {
    refuse(500, "RPC_CALL_FAIL")
}

/// Events of one box.
const KEPT: usize = 10_000;
