//! Perfect forward secrecy: a client whose permanent key is never used on the wire, and whose temporary ones are renewed.

use std::sync::Arc;
use std::time::Duration;

use heliogram_crypto::AuthKey;
use heliogram_proto::cx::Mono;
use heliogram_proto::ids::{Identity, Salt, Term};
use heliogram_proto::port::{FirstSalt, KeyFacts, KeyKind, KeyRecord, Reply};
use heliogram_proto::session::{self, Session};
use rand_chacha::rand_core::Rng;

use crate::queue::Event;
use crate::world::World;

/// What a client with a permanent key behind its temporary one knows.
#[derive(Debug)]
pub(crate) struct Pfs {
    pub(crate) perm: AuthKey,
    expires_at_unix_s: u32,
    /// Of the temporary key's exchange.
    salt: Salt,
    pub(crate) state: Binding,
}

/// How far the binding of the temporary key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Binding {
    /// Nothing was asked for on this connection.
    Unbound,
    /// The call that asks for it.
    Asked(u64),
    Bound,
    /// It is asked for again from this time on.
    Refused(Mono),
}

impl World {
    /// Keeps the key that a client was made with for a permanent one, and gives it a temporary one.
    pub(crate) fn hide_key(&mut self, client: usize) {
        let perm = self.clients[client].key.clone();
        self.clients[client].pfs = Some(Pfs {
            perm,
            expires_at_unix_s: 0,
            salt: Salt(0),
            state: Binding::Unbound,
        });
        self.renew_key(client);
    }

    /// Gives a client a new temporary key. Its session goes on under it once it is bound.
    pub(crate) fn renew_key(&mut self, client: usize) {
        self.forget_binding(client);
        let mut secret = [0; 256];
        self.entropy.fill_bytes(&mut secret);
        let key = AuthKey::new(secret);
        let now_s = u32::try_from(self.clock(0).unix.seconds()).unwrap_or(0);
        let life_s = u32::try_from(self.dice.between(60, 900)).unwrap_or(60);
        let expires_at_unix_s = now_s + life_s;
        let salt = Salt(self.entropy.next_u64().cast_signed());
        let state = &mut self.clients[client];
        let facts = KeyFacts {
            id: key.id(),
            kind: KeyKind::Temporary { expires_at_unix_s },
            perm: None,
            dc: None,
            first_salt: Some(FirstSalt {
                salt,
                term: Term(0),
                since_unix_s: u64::from(now_s),
            }),
        };
        let record = KeyRecord {
            facts,
            key: key.clone(),
            created_at_unix_s: u64::from(now_s),
        };
        self.store.records.insert(key.id(), Arc::new(record));
        state.key = key;
        if let Some(pfs) = &mut state.pfs {
            (pfs.expires_at_unix_s, pfs.salt) = (expires_at_unix_s, salt);
            pfs.state = Binding::Unbound;
        }
        self.coverage.fault("temporary key made");
    }

    /// Asks for the binding of a client's key, if it is to be asked for.
    pub(crate) fn bind_key(&mut self, client: usize) {
        let now = self.clock(self.clients[client].skew_ns);
        let state = &mut self.clients[client];
        if !state.is_online() {
            return;
        }
        let Some(pfs) = &mut state.pfs else {
            return;
        };
        match pfs.state {
            Binding::Unbound => {}
            Binding::Refused(until) if until <= self.now => {}
            Binding::Asked(_) | Binding::Bound | Binding::Refused(_) => return,
        }
        let what = session::client::Binding {
            perm_key: &pfs.perm,
            temp: state.key.id(),
            salt: pfs.salt,
            expires_at_unix_s: i32::try_from(pfs.expires_at_unix_s).unwrap_or(i32::MAX),
        };
        let (call, message) = state.session.bind(&what, now, &mut self.entropy);
        pfs.state = Binding::Asked(call);
        self.client_sends(client, vec![message]);
    }

    /// Takes the answer to a binding; `false` if the call is another one.
    pub(crate) fn on_bind_answer(&mut self, client: usize, call: u64, reply: &Reply) -> bool {
        if !self.clients[client].is_binding(call) {
            return false;
        }
        let is_bound = matches!(reply, Reply::Result(_));
        let again_at = self.now + PAUSE;
        self.set_binding(
            client,
            if is_bound {
                Binding::Bound
            } else {
                Binding::Refused(again_at)
            },
        );
        if is_bound {
            self.coverage.fault("client's key bound");
            // What was sent before waits no longer.
            self.step_client(client, Session::reconnected);
        } else {
            self.coverage.fault("binding refused");
            self.queue.push(again_at, Event::ClientTick { client });
            let Identity(perm) = self.clients[client].identity();
            if !self.is_good(perm) {
                self.take_new_key(client);
            }
        }
        true
    }

    /// Takes note that a binding was not answered; `false` if the call is another one.
    pub(crate) fn on_bind_lost(&mut self, client: usize, call: u64) -> bool {
        let is_it = self.clients[client].is_binding(call);
        if is_it {
            self.set_binding(client, Binding::Unbound);
            // A key that is bound already, whose first answer was lost, needs the salt that the refusal has named.
            let salt = self.clients[client].session.salt();
            if let Some(pfs) = &mut self.clients[client].pfs {
                pfs.salt = salt;
            }
        }
        is_it
    }

    /// Takes note that a connection is gone: a binding that was asked for is to be asked for again.
    pub(crate) fn forget_binding(&mut self, client: usize) {
        let state = &mut self.clients[client];
        if let Some(Pfs {
            state: binding @ Binding::Asked(_),
            ..
        }) = &mut state.pfs
            && let Binding::Asked(call) = std::mem::replace(binding, Binding::Unbound)
        {
            state.session.unbind(call);
        }
    }

    fn set_binding(&mut self, client: usize, to: Binding) {
        if let Some(pfs) = &mut self.clients[client].pfs {
            pfs.state = to;
        }
    }

    /// Renews the keys that end soon, and some before.
    pub(crate) fn look_after_key(&mut self, client: usize) {
        let now_s = self.clock(0).unix.seconds();
        let Some(pfs) = &self.clients[client].pfs else {
            return;
        };
        let left_s = u64::from(pfs.expires_at_unix_s).saturating_sub(now_s);
        if pfs.state == Binding::Bound && (left_s < 20 || self.dice.chance(30)) {
            self.coverage.fault("temporary key renewed");
            self.renew_key(client);
            self.hang_up_for_new_key(client);
        }
    }

    fn hang_up_for_new_key(&mut self, client: usize) {
        let conns: Vec<_> = self.clients[client].conns.iter().map(|it| it.id).collect();
        for conn in conns {
            self.client_leaves(client, conn);
        }
    }
}

/// Between a refusal and the next request. A host remembers only so many calls that have failed.
const PAUSE: Duration = Duration::from_millis(200);
