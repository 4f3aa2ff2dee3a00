//! A client whose stream of updates has nothing to catch up with.

use std::time::Duration;

use grammers_tl_types::functions::updates as api;
use grammers_tl_types::{Serializable, enums, types};
use heliogram_client::Client;
use heliogram_client::updates::{Event, Update, Updates};
use heliogram_testkit::backend::{Ledger, News, things};
use heliogram_testkit::server::{GUEST, Servers};
use parking_lot::MutexGuard;

use crate::backend::client_of;

/// A client whose stream has nothing to catch up with.
pub(crate) struct World {
    pub(crate) servers: Servers,
    pub(crate) client: Client,
    pub(crate) updates: Updates,
}

impl World {
    pub(crate) async fn settled() -> Self {
        let servers = Servers::start([2]).unwrap();
        let client = client_of(&servers).await;
        Self::settled_of(servers, client).await
    }

    /// As [`World::settled`], of servers of which the first is home.
    pub(crate) async fn settled_of(servers: Servers, client: Client) -> Self {
        // What is said of the new session is a notice.
        client.invoke(&api::GetState {}).await.unwrap();
        let state = servers.cloud().news().state(GUEST).unwrap();
        let mut world = Self {
            updates: client.updates(Some(state.into())),
            client,
            servers,
        };
        assert_eq!(world.next().await, Event::NeedDifference);
        // The message is in the difference, or comes after it.
        world.push("settled");
        assert_eq!(world.next_text().await, "settled");
        world
    }

    pub(crate) fn news(&self) -> MutexGuard<'_, News> {
        self.servers.cloud().news()
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        self.servers.at(2).backend().ledger()
    }

    /// A message that is recorded, and not pushed.
    pub(crate) fn lose(&self, text: &str) {
        self.news().write(GUEST, GUEST, text).unwrap();
    }

    pub(crate) fn push(&self, text: &str) {
        let message = self.news().write(GUEST, GUEST, text).unwrap();
        self.push_update(message);
    }

    pub(crate) fn push_short(&self, from: i64, text: &str) {
        let message = self.news().write(GUEST, from, text).unwrap();
        let enums::Update::NewMessage(message) = message else {
            panic!("{message:?}")
        };
        let short = types::UpdateShortMessage {
            out: false,
            mentioned: false,
            media_unread: false,
            silent: false,
            id: message.pts,
            user_id: from,
            message: text.to_owned(),
            pts: message.pts,
            pts_count: message.pts_count,
            date: things::now_unix_s(),
            fwd_from: None,
            via_bot_id: None,
            reply_to: None,
            entities: None,
            ttl_period: None,
        };
        self.push_updates(&short.into());
    }

    pub(crate) fn push_update(&self, update: enums::Update) {
        self.push_updates(&things::updates(vec![update]));
    }

    pub(crate) fn push_updates(&self, updates: &enums::Updates) {
        let backend = self.servers.at(2).backend();
        backend.push_to(GUEST, body(updates)).unwrap();
    }

    pub(crate) async fn next(&mut self) -> Event {
        next(&mut self.updates).await
    }

    pub(crate) async fn next_update(&mut self) -> Box<Update> {
        self.updates.next_update().await.unwrap()
    }

    pub(crate) async fn next_text(&mut self) -> String {
        let update = self.next_update().await;
        text(&update)
    }

    pub(crate) async fn texts(&mut self, count: usize) -> Vec<String> {
        let mut texts = Vec::new();
        while texts.len() < count {
            texts.push(self.next_text().await);
        }
        texts
    }
}

/// Waits for an event; a test that would wait for ever fails.
pub(crate) async fn next(updates: &mut Updates) -> Event {
    let event = tokio::time::timeout(Duration::from_secs(60), updates.next());
    event.await.expect("an event").expect("a living stream")
}

pub(crate) fn text(update: &Update) -> String {
    let message = if let enums::Update::NewMessage(it) = &update.update {
        &it.message
    } else if let enums::Update::NewChannelMessage(it) = &update.update {
        &it.message
    } else {
        panic!("{update:?}")
    };
    let enums::Message::Message(message) = message else {
        panic!("{message:?}")
    };
    message.message.clone()
}

pub(crate) fn body(object: &impl Serializable) -> bytes::Bytes {
    object.to_bytes().into()
}
