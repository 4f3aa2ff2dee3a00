//! `get_future_salts` is answered by bare `future_salts`.
//!
//! Source: <https://core.telegram.org/mtproto/service_messages#request-for-several-future-salts>.

use heliogram_tl::{Bare, mtproto as tl};

use crate::ids::{MsgId, Salt};
use crate::session::client::{Ask, FutureSalt};
use crate::session::server::Turn;
use crate::session::{Received, Session};
use crate::side::{Client, Server};

impl Session<Server> {
    /// Never fewer than two salts: some clients ask again and again when they get only one. No more than that to a
    /// second request in one frame: a container of a thousand would cost as many as sixty times a thousand hashes.
    pub(super) fn on_get_future_salts(
        &mut self,
        message: &tl::GetFutureSalts,
        it: Received,
        turn: &mut Turn<'_>,
    ) {
        let is_first = !core::mem::replace(&mut turn.salts_given, true);
        let count = if is_first { message.num } else { 0 };
        let salts: Vec<_> = turn
            .salts
            .future(turn.source, count)
            .map(|(since, until, salt)| {
                let (valid_since, valid_until) = (seconds(since), seconds(until));
                Bare(tl::FutureSalt {
                    valid_since,
                    valid_until,
                    salt: salt.0,
                })
            })
            .collect();
        let now = seconds(it.now.unix.seconds());
        let salts = salts.as_slice().into();
        self.answer(
            it,
            &tl::FutureSalts {
                req_msg_id: it.msg_id.0,
                now,
                salts,
            },
        );
    }
}

impl Session<Client> {
    /// Keeps the salts for the time when each begins.
    pub(super) fn on_future_salts(&mut self, message: &tl::FutureSalts<'_>) {
        let id = MsgId(message.req_msg_id);
        let asked = self.outbox.take_asked(id, |ask| *ask == Ask::Salts);
        if asked.is_none() {
            return;
        }
        self.state.refusals = 0;
        let salts = message.salts.iter().filter_map(|Bare(it)| {
            Some(FutureSalt {
                since_unix_s: u64::try_from(it.valid_since).ok()?,
                salt: Salt(it.salt),
            })
        });
        self.state.salts.add(salts);
    }
}

/// Unix time as the protocol has it: 31 bits, which last until 2038.
fn seconds(unix_s: u64) -> i32 {
    i32::try_from(unix_s).unwrap_or(i32::MAX)
}
