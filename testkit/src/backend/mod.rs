//! A backend of API layer 222 for tests of clients: real rules, small data, and a script of mishaps.
//!
//! ```text
//!  Backend (one for each data centre)          Cloud (one for all of them)
//!  ├─ Script    errors, held and hung calls    ├─ News      updates, numbered; differences
//!  ├─ Ledger    what was run, and how often    ├─ Files     uploads by part, documents
//!  └─ Logins    who is signed in by which key  └─ Passes    exported authorizations
//! ```
//!
//! Knows a few dozen methods, with the API's checks and under the API's error names; every other method is answered as
//! a test says ([`Script::answer`]) or with `INPUT_METHOD_INVALID`. Not for production: nothing is durable, and
//! whoever comes may be taken for somebody ([`Backend::welcome`]).
//!
//! Sources: <https://core.telegram.org/methods>, <https://core.telegram.org/api/files>,
//! <https://core.telegram.org/api/updates>.

mod auth;
mod calls;
mod cloud;
mod content;
mod files;
mod help;
mod ledger;
mod messages;
mod news;
mod script;
#[cfg(test)]
mod tests;
pub mod things;
pub mod tokens;
mod uploads;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock, Weak};

use heliogram_ports::{
    self as ports, Answer, Call, LoggedIn, Push, PushRefused, Pushes, Reply, RpcError, Target,
};
use heliogram_proto::ids::Identity;
use heliogram_tl::peek_id;
use parking_lot::Mutex;

pub use calls::{Outcome, refuse};
pub use cloud::Cloud;
pub use content::{Content, generated};
pub use files::Files;
pub use ledger::Ledger;
pub use news::News;
pub use script::{Held, Script};

/// One data centre's backend.
pub struct Backend {
    dc: i32,
    cloud: Arc<Cloud>,
    script: Script,
    ledger: Ledger,
    logins: Mutex<Logins>,
    pushes: OnceLock<Arc<dyn Pushes>>,
}

/// Who is signed in at one data centre.
#[derive(Debug, Default)]
struct Logins {
    users: BTreeMap<Identity, i64>,
    /// Whom every other key is taken for.
    guest: Option<i64>,
    /// Keys that signed out: nobody's guests.
    left: Vec<Identity>,
}

impl Backend {
    /// Makes the backend of one data centre. Nobody is signed in.
    #[must_use]
    pub fn new(dc: i32, cloud: &Arc<Cloud>) -> Arc<Self> {
        let backend = Arc::new(Self {
            dc,
            cloud: Arc::clone(cloud),
            script: Script::default(),
            ledger: Ledger::default(),
            logins: Mutex::default(),
            pushes: OnceLock::new(),
        });
        cloud.join(dc, &backend);
        backend
    }

    /// Returns the number of its data centre.
    #[must_use]
    pub const fn dc(&self) -> i32 {
        self.dc
    }

    /// Returns what it shares with the backends of other data centres.
    #[must_use]
    pub fn cloud(&self) -> &Arc<Cloud> {
        &self.cloud
    }

    /// Returns what is to go wrong.
    #[must_use]
    pub const fn script(&self) -> &Script {
        &self.script
    }

    /// Returns what was run.
    #[must_use]
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Takes every key that is not signed in for this user's, who lives here from now on; `None`: for nobody's.
    pub fn welcome(&self, user: Option<i64>) {
        if let Some(user) = user {
            self.cloud.news().add_user(user);
            self.cloud.settle(user, self.dc);
        }
        self.logins.lock().guest = user;
    }

    /// Signs a key in.
    pub fn sign_in(&self, identity: Identity, user: i64) {
        self.cloud.news().add_user(user);
        let mut logins = self.logins.lock();
        logins.left.retain(|it| *it != identity);
        logins.users.insert(identity, user);
        drop(logins);
        if let Some(pushes) = self.pushes.get() {
            pushes.set_user(identity, Some(user));
        }
    }

    /// Signs a key out: its calls are refused with `AUTH_KEY_UNREGISTERED`, whoever is [welcome](Self::welcome).
    pub fn sign_out(&self, identity: Identity) {
        let mut logins = self.logins.lock();
        logins.users.remove(&identity);
        logins.left.push(identity);
        drop(logins);
        if let Some(pushes) = self.pushes.get() {
            pushes.set_user(identity, None);
        }
    }

    /// Signs every key out that has signed in; guests stay.
    pub fn sign_out_all(&self) {
        let users: Vec<_> = self.logins.lock().users.keys().copied().collect();
        for identity in users {
            self.sign_out(identity);
        }
    }

    /// Returns who is signed in with a key.
    #[must_use]
    pub fn user_of(&self, identity: Identity) -> Option<i64> {
        let logins = self.logins.lock();
        let guest = || logins.guest.filter(|_| !logins.left.contains(&identity));
        logins.users.get(&identity).copied().or_else(guest)
    }

    /// Pushes one boxed `Updates` to whom it is for; whoever is away misses it.
    ///
    /// # Errors
    ///
    /// As [`Pushes::push`]. [`PushRefused::NotAnObject`] for an object of no whole words.
    pub fn push(&self, push: Push) -> Result<(), PushRefused> {
        self.pushes.get().map_or(Ok(()), |pushes| pushes.push(push))
    }

    /// As [`Backend::push`], to all sessions of a user.
    ///
    /// # Errors
    ///
    /// As [`Backend::push`].
    pub fn push_to(&self, user: i64, body: bytes::Bytes) -> Result<(), PushRefused> {
        self.push(Push {
            targets: vec![Target::User(user)],
            except: None,
            body,
        })
    }
}

impl ports::Backend for Backend {
    fn call(&self, call: Call) -> Answer {
        let Some(method) = peek_id(&call.body) else {
            return Answer::Now(Reply::Error(refuse(400, "INPUT_FETCH_FAIL")));
        };
        self.ledger.arrived(method);
        let answer = match self.script.next(method) {
            script::Verdict::Run => self.run(method, &call),
            script::Verdict::Refuse(error) => Answer::Now(Reply::Error(error)),
            script::Verdict::Hang => Answer::Later(Box::pin(std::future::pending())),
            script::Verdict::Wait(released) => {
                let this = self.cloud.backend(self.dc);
                Answer::Later(Box::pin(async move {
                    released.await;
                    match this.map(|this| this.run(method, &call)) {
                        Some(Answer::Now(reply)) => reply,
                        Some(Answer::Later(later)) => later.await,
                        None => Reply::Error(refuse(500, "RPC_CALL_FAIL")),
                    }
                }))
            }
        };
        let Answer::Later(answer) = answer else {
            return answer;
        };
        let unanswered = Unanswered {
            backend: self.cloud.backend(self.dc),
            method,
        };
        Answer::Later(Box::pin(async move {
            let reply = answer.await;
            unanswered.answered();
            reply
        }))
    }

    fn start(&self, pushes: Arc<dyn Pushes>) {
        // The first port that starts it is the one that pushes: one host serves one data centre.
        let _ = self.pushes.set(pushes);
    }

    fn user(&self, identity: Identity) -> LoggedIn {
        LoggedIn::Now(self.user_of(identity))
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backend")
            .field("dc", &self.dc)
            .finish_non_exhaustive()
    }
}

/// A call that waits for its answer: whoever drops it has given it up.
struct Unanswered {
    backend: Option<Arc<Backend>>,
    method: u32,
}

impl Unanswered {
    fn answered(mut self) {
        self.backend = None;
    }
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        if let Some(backend) = self.backend.take() {
            backend.ledger.gave_up(self.method);
        }
    }
}

/// A backend as its cloud holds it: servers own backends.
type Neighbour = Weak<Backend>;

/// Says no.
fn unregistered() -> RpcError {
    refuse(401, "AUTH_KEY_UNREGISTERED")
}
