//! What the data centres of one test share.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use grammers_tl_types::{Serializable as _, enums};
use heliogram_ports::{Push, Target};
use heliogram_proto::ids::{Identity, SessionId};
use parking_lot::{Mutex, MutexGuard};

use super::auth::Passes;
use super::files::Files;
use super::news::News;
use super::{Backend, Neighbour};

/// What the data centres of one test share: accounts and their updates, files, and where everything is.
#[derive(Default)]
pub struct Cloud {
    news: Mutex<News>,
    files: Mutex<Files>,
    pub(super) passes: Mutex<Passes>,
    places: Mutex<Places>,
}

#[derive(Default)]
struct Places {
    backends: BTreeMap<i32, Neighbour>,
    addresses: BTreeMap<i32, Vec<SocketAddr>>,
    /// Where each user lives: updates are pushed there.
    homes: BTreeMap<i64, i32>,
}

impl Cloud {
    /// Makes an empty one.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Returns accounts and their updates, locked.
    pub fn news(&self) -> MutexGuard<'_, News> {
        self.news.lock()
    }

    /// Returns uploads and documents, locked.
    pub fn files(&self) -> MutexGuard<'_, Files> {
        self.files.lock()
    }

    /// Says where a data centre is: `help.getConfig` answers so, anywhere.
    pub fn place(&self, dc: i32, addresses: Vec<SocketAddr>) {
        self.places.lock().addresses.insert(dc, addresses);
    }

    /// Returns where the data centres are.
    #[must_use]
    pub fn addresses(&self) -> BTreeMap<i32, Vec<SocketAddr>> {
        self.places.lock().addresses.clone()
    }

    /// Pushes `updates` to the sessions that a user has at home, except the one whose answer they are in.
    ///
    /// To push what was recorded in the order of its numbers, record and push from one task.
    pub fn push(&self, user: i64, updates: &enums::Updates, except: Option<(Identity, SessionId)>) {
        let home = self.places.lock().homes.get(&user).copied();
        if let Some(backend) = home.and_then(|dc| self.backend(dc)) {
            let push = Push {
                targets: vec![Target::User(user)],
                except,
                body: Bytes::from(updates.to_bytes()),
            };
            // One target, whole words: it is taken.
            let _ = backend.push(push);
        }
    }

    /// Says where a user lives from now on.
    pub fn settle(&self, user: i64, dc: i32) {
        self.places.lock().homes.insert(user, dc);
    }

    /// Returns the backend of a data centre, if it is there.
    #[must_use]
    pub fn backend(&self, dc: i32) -> Option<Arc<Backend>> {
        self.places.lock().backends.get(&dc)?.upgrade()
    }

    pub(super) fn join(&self, dc: i32, backend: &Arc<Backend>) {
        let backend = Arc::downgrade(backend);
        self.places.lock().backends.insert(dc, backend);
    }
}

impl fmt::Debug for Cloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cloud(…)")
    }
}
