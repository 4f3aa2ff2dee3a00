//! A new key: what its exchange has found, and the call that binds it if it is a temporary one.

use bytes::Bytes;
use heliogram_crypto::AuthKey;

use crate::cx::Now;
use crate::envelope::Header;
use crate::exchange::binding::{self, Subject};
use crate::ids::{AuthKeyId, Salt};
use crate::session::client::clock::ServerClock;
use crate::session::client::salts::KnownSalts;
use crate::session::content::Content;
use crate::session::{Outgoing, Session};
use crate::side::Client;
use rand_core::CryptoRng;

/// What is to be bound to what.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "what a binding names")]
pub struct Binding<'a> {
    /// The permanent key.
    pub perm_key: &'a AuthKey,
    /// The temporary key, which must seal the message.
    pub temp: AuthKeyId,
    /// The salt of the temporary key's exchange.
    pub salt: Salt,
    /// The end of the temporary key by the server's clock, in Unix seconds.
    pub expires_at_unix_s: i32,
}

impl Session<Client> {
    /// Takes over what an exchange has found: the key's first salt, and the server's clock minus ours in nanoseconds.
    pub fn begin_under(&mut self, salt: Salt, clock_offset_ns: i64) {
        self.state.salts = KnownSalts::new(salt);
        self.state.clock = ServerClock::new(clock_offset_ns);
    }

    /// Makes the call that binds a temporary key, as a message of its own: unlike all others it is sealed with the key
    /// that it binds, and goes out at once. It ends as a call does, or with
    /// [`Event::Refused`](super::Event::Refused). It is not sent again: [`Session::unbind`] it when its connection is
    /// gone, and bind anew.
    ///
    /// It is made however many calls wait for their answers: they may be waiting for the key.
    pub fn bind(
        &mut self,
        binding: &Binding<'_>,
        now: Now,
        rng: &mut dyn CryptoRng,
    ) -> (u64, Outgoing) {
        let call = self.number_call();
        let (session_id, now) = (self.id, self.state.clock.now(now));
        let make = |msg_id| {
            let subject = Subject {
                temp: binding.temp,
                session_id,
                msg_id,
                expires_at_unix_s: binding.expires_at_unix_s,
            };
            Content::Call {
                call,
                body: Bytes::from(binding::seal(binding.perm_key, &subject, rng)),
                due: None,
                is_pinned: true,
                after: None,
            }
        };
        let numbered = self.outbox.send_numbered(now, make);
        self.note_sent(numbered.msg_id);
        let header = Header {
            salt: binding.salt,
            session_id,
            msg_id: numbered.msg_id,
            seqno: numbered.seqno,
        };
        let body = numbered.body;
        (call, Outgoing { header, body })
    }

    /// Forgets a call of [`Session::bind`] without a word to the server.
    pub fn unbind(&mut self, call: u64) {
        if self.outbox.take_call(call) {
            self.state.waiting = self.state.waiting.saturating_sub(1);
        }
    }
}
