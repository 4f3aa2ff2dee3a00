//! Who has logged in with which key, for backends that do not keep it themselves.
//!
//! ```text
//! backend ──set_user──> session host, at once
//!              └──────> Users, until it is durable ──> then the call's answer goes out
//! session host ──user──> backend; if it does not know: Users
//! ```
//!
//! A log-in that was answered survives every crash: its answer waits for the store. So does a log-out's.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use heliogram_ports::{
    Answer, Backend, BoxFuture, Call, LoggedIn, Push, PushRefused, Pushes, Unavailable, Users,
};
use heliogram_proto::ids::Identity;
use mysql_async::Conn;
use mysql_async::prelude::Queryable as _;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::connections::{Failure, Question};
use crate::limits::PAUSE_MAX;

/// A backend whose users are kept. Cloning shares it.
///
/// Whatever the backend itself knows of a user goes first.
#[derive(Clone)]
pub struct KeptUsers {
    backend: Arc<dyn Backend>,
    kept: Arc<Kept>,
}

impl fmt::Debug for KeptUsers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeptUsers(…)")
    }
}

impl KeptUsers {
    /// Keeps the users of a backend in a store, with tasks of `runtime`.
    #[must_use]
    pub fn new(backend: Arc<dyn Backend>, users: Arc<dyn Users>, runtime: Handle) -> Self {
        let kept = Arc::new(Kept {
            users,
            runtime,
            unsaved: Mutex::default(),
            saved: Notify::new(),
        });
        Self { backend, kept }
    }
}

impl Backend for KeptUsers {
    fn call(&self, call: Call) -> Answer {
        let identity = call.identity;
        let kept = Arc::clone(&self.kept);
        match self.backend.call(call) {
            Answer::Now(reply) if kept.is_saved(identity) => Answer::Now(reply),
            Answer::Now(reply) => Answer::Later(Box::pin(async move {
                kept.until_saved(identity).await;
                reply
            })),
            Answer::Later(reply) => Answer::Later(Box::pin(async move {
                let reply = reply.await;
                kept.until_saved(identity).await;
                reply
            })),
        }
    }

    fn start(&self, pushes: Arc<dyn Pushes>) {
        let kept = Arc::clone(&self.kept);
        self.backend.start(Arc::new(Listening { pushes, kept }));
    }

    fn user(&self, identity: Identity) -> LoggedIn {
        let kept = Arc::clone(&self.kept);
        match self.backend.user(identity) {
            LoggedIn::Now(Some(user)) => LoggedIn::Now(Some(user)),
            LoggedIn::Now(None) => {
                LoggedIn::Later(Box::pin(async move { kept.find(identity).await }))
            }
            LoggedIn::Later(user) => LoggedIn::Later(Box::pin(async move {
                match user.await {
                    Some(user) => Some(user),
                    None => kept.find(identity).await,
                }
            })),
        }
    }
}

/// Hears what the backend says of users, and passes everything on.
struct Listening {
    pushes: Arc<dyn Pushes>,
    kept: Arc<Kept>,
}

impl Pushes for Listening {
    fn push(&self, push: Push) -> Result<(), PushRefused> {
        self.pushes.push(push)
    }

    fn set_user(&self, identity: Identity, user: Option<i64>) {
        Arc::clone(&self.kept).save(identity, user);
        self.pushes.set_user(identity, user);
    }
}

struct Kept {
    users: Arc<dyn Users>,
    runtime: Handle,
    /// What was said last, of those of whom it is not durable yet; each has a task.
    unsaved: Mutex<BTreeMap<Identity, Option<i64>>>,
    saved: Notify,
}

impl Kept {
    fn save(self: Arc<Self>, identity: Identity, user: Option<i64>) {
        let has_task = self.unsaved.lock().insert(identity, user).is_some();
        if !has_task {
            let runtime = self.runtime.clone();
            runtime.spawn(async move {
                while !self.has_saved(identity).await {
                    sleep(PAUSE_MAX).await;
                }
                self.saved.notify_waiters();
            });
        }
    }

    /// Saves what was said last; tells whether it still is the last word.
    async fn has_saved(&self, identity: Identity) -> bool {
        loop {
            let Some(user) = self.unsaved.lock().get(&identity).copied() else {
                return true;
            };
            if let Err(Unavailable) = self.users.keep_user(identity, user).await {
                return false;
            }
            let mut unsaved = self.unsaved.lock();
            if unsaved.get(&identity) == Some(&user) {
                unsaved.remove(&identity);
                return true;
            }
        }
    }

    fn is_saved(&self, identity: Identity) -> bool {
        !self.unsaved.lock().contains_key(&identity)
    }

    async fn until_saved(&self, identity: Identity) {
        loop {
            let mut saved = std::pin::pin!(self.saved.notified());
            // From here on no word is missed.
            saved.as_mut().enable();
            if self.is_saved(identity) {
                return;
            }
            saved.await;
        }
    }

    /// Goes on until there is an answer. What is being saved is newer than what is stored.
    async fn find(&self, identity: Identity) -> Option<i64> {
        loop {
            if let Some(&user) = self.unsaved.lock().get(&identity) {
                return user;
            }
            if let Ok(user) = self.users.find_user(identity).await {
                return user;
            }
            sleep(PAUSE_MAX).await;
        }
    }
}

/// Finds who has logged in with a key.
pub(crate) struct FindUser(pub(crate) Identity);

impl Question for FindUser {
    type Answer = Option<i64>;

    fn ask<'a>(&'a mut self, conn: &'a mut Conn) -> BoxFuture<'a, Result<Self::Answer, Failure>> {
        Box::pin(async move {
            let select = "SELECT user_id FROM heliogram_users WHERE id = ?";
            Ok(conn.exec_first(select, (self.0.0.0,)).await?)
        })
    }
}

/// Keeps who has logged in with a key, as long as the key is there.
pub(crate) struct KeepUser {
    pub(crate) identity: Identity,
    pub(crate) user: Option<i64>,
}

impl Question for KeepUser {
    type Answer = ();

    fn ask<'a>(&'a mut self, conn: &'a mut Conn) -> BoxFuture<'a, Result<Self::Answer, Failure>> {
        Box::pin(async move {
            let id = self.identity.0.0;
            match self.user {
                // Locks the key's row: who destroys the key comes before, or after and takes this along.
                Some(user) => {
                    let insert = "INSERT INTO heliogram_users (id, user_id) \
                                  SELECT id, ? FROM heliogram_keys WHERE id = ? LOCK IN SHARE MODE \
                                  ON DUPLICATE KEY UPDATE user_id = VALUES(user_id)";
                    conn.exec_drop(insert, (user, id)).await?;
                }
                None => {
                    let delete = "DELETE FROM heliogram_users WHERE id = ?";
                    conn.exec_drop(delete, (id,)).await?;
                }
            }
            Ok(())
        })
    }
}
