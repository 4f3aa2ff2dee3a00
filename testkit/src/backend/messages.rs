//! Messages between people: `messages.sendMessage`, `users.getUsers`.

use grammers_tl_types::{enums, functions::messages, functions::users, types};

use super::Backend;
use super::calls::{Asked, Outcome, refuse};
use super::things::{access_hash, now_unix_s, updates};

impl Backend {
    /// A message stands in two boxes: the receiver's, and the sender's, whose other sessions are told.
    pub(super) fn on_send_message(
        &self,
        asked: &Asked<'_, messages::SendMessage>,
    ) -> Outcome<enums::Updates> {
        let from = asked.user;
        let request = &asked.request;
        if request.message.is_empty() {
            return Err(refuse(400, "MESSAGE_EMPTY"));
        }
        let to = receiver(from, &request.peer).ok_or_else(|| refuse(400, "PEER_ID_INVALID"))?;
        // Held to the end: what is pushed leaves in the order of its numbers.
        let mut news = self.cloud.news();
        if news.user(to).is_none() {
            return Err(refuse(400, "PEER_ID_INVALID"));
        }
        self.ledger.run(request.random_id);
        news.use_random_id(from, request.random_id)?;
        let (sent, message) = news.write_sent(from, to, &request.message)?;
        let except = Some((asked.call.identity, asked.call.session_id));
        let echo = news.with_people(updates(vec![sent.clone()]));
        self.cloud.push(from, &echo, except);
        if to != from {
            let got = news.write(to, from, &request.message)?;
            let got = news.with_people(updates(vec![got]));
            self.cloud.push(to, &got, None);
        }
        let enums::Update::NewMessage(sent) = sent else {
            return Err(refuse(500, "RPC_CALL_FAIL"));
        };
        Ok(types::UpdateShortSentMessage {
            out: true,
            id: message,
            pts: sent.pts,
            pts_count: sent.pts_count,
            date: now_unix_s(),
            media: None,
            entities: None,
            ttl_period: None,
        }
        .into())
    }

    pub(super) fn on_get_users(
        &self,
        asked: &Asked<'_, users::GetUsers>,
    ) -> Outcome<Vec<enums::User>> {
        let news = self.cloud.news();
        let user = |it: &enums::InputUser| match it {
            enums::InputUser::UserSelf => news.user(asked.user),
            enums::InputUser::User(it) => news
                .user(it.user_id)
                .filter(|_| it.access_hash == access_hash(it.user_id)),
            enums::InputUser::Empty | enums::InputUser::FromMessage(_) => None,
        };
        let found = asked.request.id.iter().filter_map(user);
        Ok(found.map(enums::User::User).collect())
    }
}

fn receiver(from: i64, peer: &enums::InputPeer) -> Option<i64> {
    if let enums::InputPeer::User(it) = peer {
        return (it.access_hash == access_hash(it.user_id)).then_some(it.user_id);
    }
    (*peer == enums::InputPeer::PeerSelf).then_some(from)
}
