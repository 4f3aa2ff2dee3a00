//! The keys of a client: the permanent one, and temporary ones that come and go.

use heliogram_crypto::AuthKey;

use crate::cx::Mono;
use crate::ids::{AuthKeyId, Salt};

/// What outlives a client: its permanent key, and what it knows of the server.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "what a store keeps")]
pub struct Saved {
    /// The permanent key.
    pub key: AuthKey,
    /// The last salt known for it.
    pub salt: Salt,
    /// The server's clock minus ours, in nanoseconds.
    pub clock_offset_ns: i64,
}

/// A temporary key.
#[derive(Clone, Debug)]
pub(super) struct TempKey {
    pub(super) key: AuthKey,
    /// Unix time in seconds, by the server's clock, at which it ends; as its binding names it.
    pub(super) expires_at_unix_s: i32,
    /// The salt that the exchange made.
    pub(super) first_salt: Salt,
    /// When a new one is to be made.
    pub(super) renew_at: Mono,
    /// When it ends.
    pub(super) ends_at: Mono,
}

/// A temporary key that is being bound.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) temp: TempKey,
    /// The call that binds it, once it was made on this connection.
    pub(super) call: Option<BindingCall>,
}

/// The call that binds a key.
#[derive(Debug)]
pub(super) struct BindingCall {
    pub(super) number: u64,
    pub(super) answer_by: Mono,
}

impl Candidate {
    pub(super) const fn new(temp: TempKey) -> Self {
        Self { temp, call: None }
    }
}

/// All of them.
#[derive(Debug)]
pub(super) struct Keys {
    pub(super) permanent: Option<AuthKey>,
    /// Seals everything while it is there.
    pub(super) bound: Option<TempKey>,
    pub(super) candidate: Option<Candidate>,
    /// Messages under it are still taken: they were on their way.
    previous: Option<AuthKey>,
    uses_temporary: bool,
}

impl Keys {
    pub(super) fn new(saved: Option<Saved>, temp_key_life_s: Option<i32>) -> Self {
        Self {
            permanent: saved.map(|it| it.key),
            bound: None,
            candidate: None,
            previous: None,
            uses_temporary: temp_key_life_s.is_some(),
        }
    }

    /// Tells whether there is a key to seal calls with.
    pub(super) const fn is_ready(&self) -> bool {
        if self.uses_temporary {
            self.bound.is_some()
        } else {
            self.permanent.is_some()
        }
    }

    /// Returns the key that seals calls.
    pub(super) fn sealing(&self) -> Option<&AuthKey> {
        if self.uses_temporary {
            self.bound.as_ref().map(|it| &it.key)
        } else {
            self.permanent.as_ref()
        }
    }

    /// Returns the key that an envelope names, if messages under it are taken.
    pub(super) fn opening(&self, id: AuthKeyId) -> Option<&AuthKey> {
        let candidate = self.candidate.as_ref().map(|it| &it.temp.key);
        let known = [self.sealing(), candidate, self.previous.as_ref()];
        known.into_iter().flatten().find(|key| key.id() == id)
    }

    /// Returns what is to be made next, if anything.
    pub(super) const fn missing(&self) -> Option<Kind> {
        if self.permanent.is_none() {
            return Some(Kind::Permanent);
        }
        if self.uses_temporary && self.bound.is_none() && self.candidate.is_none() {
            return Some(Kind::Temporary);
        }
        None
    }

    /// The candidate is bound: it takes over. Returns its salt if there was a key before it, whose salts are others.
    pub(super) fn take_over(&mut self) -> Option<Salt> {
        let temp = self.candidate.take()?.temp;
        let salt = temp.first_salt;
        self.previous = self.bound.replace(temp).map(|it| it.key);
        self.previous.is_some().then_some(salt)
    }

    /// Tells whether there is a temporary key, bound or not.
    pub(super) const fn has_temporary(&self) -> bool {
        self.bound.is_some() || self.candidate.is_some()
    }

    /// Forgets all temporary keys.
    pub(super) fn drop_temporary(&mut self) {
        self.previous = None;
        self.candidate = None;
        self.bound = None;
    }

    /// Forgets the temporary keys that have ended.
    pub(super) fn drop_ended(&mut self, now: Mono) {
        self.candidate.take_if(|it| it.temp.ends_at <= now);
        if self.bound.take_if(|it| it.ends_at <= now).is_some() {
            self.previous = None;
        }
    }

    /// Returns when a temporary key ends, or a binding is to be answered.
    pub(super) fn deadline(&self) -> Option<Mono> {
        let candidate = self.candidate.as_ref();
        let all = [
            self.bound.as_ref().map(|it| it.ends_at),
            candidate.map(|it| it.temp.ends_at),
            candidate.and_then(|it| Some(it.call.as_ref()?.answer_by)),
        ];
        all.into_iter().flatten().min()
    }

    /// Puts the renewal of the bound key off.
    pub(super) const fn renew_again_at(&mut self, at: Mono) {
        if let Some(bound) = &mut self.bound {
            bound.renew_at = at;
        }
    }

    /// Tells whether this call binds the candidate.
    pub(super) fn is_binding(&self, call: u64) -> bool {
        let candidate = self.candidate.as_ref();
        let binding = candidate.and_then(|it| it.call.as_ref());
        binding.is_some_and(|it| it.number == call)
    }

    /// Returns when the bound key is to be renewed; nothing while its successor is on the way.
    pub(super) fn renew_at(&self) -> Option<Mono> {
        let is_idle = self.candidate.is_none();
        self.bound
            .as_ref()
            .filter(|_| is_idle)
            .map(|it| it.renew_at)
    }
}

/// Which key an exchange makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Permanent,
    Temporary,
}
