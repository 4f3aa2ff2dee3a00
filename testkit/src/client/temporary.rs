//! Temporary keys of a client: made, bound, renewed before or after their end.

use std::sync::Arc;
use std::time::Duration;

use heliogram_crypto::AuthKey;
use heliogram_proto::cx::Mono;
use heliogram_proto::ids::{AuthKeyId, Identity, Salt};
use heliogram_proto::port::{KeyFacts, KeyKind, KeyRecord, Reply};
use heliogram_proto::session::client::{Binding, Event as Told};
use rand_chacha::rand_core::Rng;

use crate::ring::partition_of;
use crate::world::World;

/// The temporary key of a client that has one.
#[derive(Debug)]
pub(crate) struct Temporary {
    /// What it is bound to, or is to be.
    perm: AuthKey,
    /// Unix time in seconds.
    end: u32,
    is_bound: bool,
    /// Not to be asked again before.
    again_at: Mono,
    /// The call that binds it, until that has its outcome or its connection is gone.
    asked: Option<u64>,
}

impl Temporary {
    pub(crate) fn identity(&self) -> Identity {
        Identity(self.perm.id())
    }

    /// Tells whether the key can't be used for calls yet.
    pub(crate) const fn is_binding(&self) -> bool {
        !self.is_bound
    }
}

impl World {
    /// Has a client that waits for nothing make a new temporary key, and bind it on a new connection.
    pub(crate) fn renew_key(&mut self, client: usize) {
        let state = &self.clients[client];
        if !state.is_binding() && state.wishes.is_empty() {
            self.change_key(client);
        }
    }

    fn change_key(&mut self, client: usize) {
        self.coverage.fault("temporary key made");
        let state = &self.clients[client];
        let perm = state.temporary.as_ref().map_or(&state.key, |it| &it.perm);
        let perm = perm.clone();
        let key = self.any_key_beside(&perm);
        let end = self.clock(0).unix.seconds() + self.dice.between(30, 2_500);
        let end = u32::try_from(end).unwrap_or(u32::MAX);
        self.plant_temporary(&key, end);
        let state = &mut self.clients[client];
        state.key = key;
        state.temporary = Some(Temporary {
            perm,
            end,
            is_bound: false,
            again_at: Mono(0),
            asked: None,
        });
        let conns: Vec<_> = state.conns.iter().map(|it| it.id).collect();
        for conn in conns {
            self.client_leaves(client, conn);
        }
    }

    fn plant_temporary(&mut self, key: &AuthKey, end: u32) {
        let kind = KeyKind::Temporary {
            expires_at_unix_s: end,
        };
        let facts = KeyFacts {
            id: key.id(),
            kind,
            perm: None,
            dc: None,
            first_salt: None,
        };
        let record = KeyRecord {
            facts,
            key: key.clone(),
            created_at_unix_s: self.clock(0).unix.seconds(),
        };
        self.store.records.insert(key.id(), Arc::new(record));
    }

    /// Makes a key that another partition owns.
    fn any_key_beside(&mut self, perm: &AuthKey) -> AuthKey {
        let partition = |id: AuthKeyId| partition_of(Identity(id));
        loop {
            let mut secret = [0; 256];
            self.entropy.fill_bytes(&mut secret);
            let key = AuthKey::new(secret);
            if partition(key.id()) != partition(perm.id()) {
                return key;
            }
        }
    }

    /// Has a client ask for its key to be bound, before it says anything else under it.
    pub(crate) fn ask_to_bind(&mut self, client: usize) {
        let now = self.clock(self.clients[client].skew_ns);
        let state = &mut self.clients[client];
        let is_due = |it: &&mut Temporary| it.asked.is_none() && it.again_at <= now.mono;
        let Some(temporary) = state.temporary.as_mut().filter(is_due) else {
            return;
        };
        let binding = Binding {
            perm_key: &temporary.perm,
            temp: state.key.id(),
            salt: Salt(1),
            expires_at_unix_s: temporary.end.cast_signed(),
        };
        let (call, out) = state.session.bind(&binding, now, &mut self.entropy);
        temporary.asked = Some(call);
        self.client_sends(client, vec![out]);
    }

    /// Takes note that a client's connection is gone: it has to ask anew.
    pub(crate) fn forget_binding(&mut self, client: usize) {
        let state = &mut self.clients[client];
        if let Some(call) = state.temporary.as_mut().and_then(|it| it.asked.take()) {
            state.session.unbind(call);
        }
    }

    /// Takes what a client is told of its request to bind a key; `false` if it is told of something else.
    pub(crate) fn is_about_binding(&mut self, client: usize, event: &Told) -> bool {
        let Some(temporary) = &mut self.clients[client].temporary else {
            return false;
        };
        let Some(asked) = temporary.asked else {
            return false;
        };
        let is_about = if let Told::Answer { call, reply } = event {
            let is_true = *reply == Reply::Result(BOOL_TRUE.to_vec().into());
            temporary.is_bound |= *call == asked && is_true;
            *call == asked
        } else {
            [
                Told::Refused { call: asked },
                Told::Uncertain { call: asked },
                Told::TimedOut { call: asked },
            ]
            .contains(event)
        };
        if is_about {
            temporary.asked = None;
        }
        if is_about && !temporary.is_bound {
            temporary.again_at = self.now + PAUSE;
            self.coverage.fault("request to bind made anew");
        }
        is_about
    }

    /// Has a client whose temporary key alone is over make another; `false` if it has none, or its permanent key is
    /// over, too.
    pub(crate) fn outlives_its_key(&mut self, client: usize) -> bool {
        let Some(temporary) = &self.clients[client].temporary else {
            return false;
        };
        let perm = temporary.perm.id();
        if !self.is_good(perm) {
            return false;
        }
        self.coverage.fault("temporary key over");
        self.change_key(client);
        true
    }
}

/// Between a request to bind that has failed and the next.
const PAUSE: Duration = Duration::from_secs(2);
const BOOL_TRUE: [u8; 4] = 0x9972_75b5_u32.to_le_bytes();
