//! The file, one line for each thing that happened. What was written is there after a `SIGKILL`.
//!
//! ```text
//! run ENTRY UNIX_MS IDENTITY SESSION MSG_ID TERM KEY
//! user IDENTITY USER KEY
//! push USER NUMBER
//! ```
//!
//! `KEY` carried the call: `IDENTITY` itself, or a temporary key that is bound to it.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use heliogram_ports::Call;
use heliogram_proto::ids::{AuthKeyId, Identity};

/// The file, and what it says of users.
pub(crate) struct Book {
    inner: Mutex<Inner>,
}

struct Inner {
    file: File,
    users: BTreeMap<Identity, i64>,
    pushed: BTreeMap<i64, i64>,
}

impl Book {
    /// Reads `ledger.txt`, or begins it.
    pub(crate) fn open(data: &Path) -> io::Result<Self> {
        let path = data.join("ledger.txt");
        let file = OpenOptions::new().append(true).create(true).open(&path)?;
        let (mut users, mut pushed) = (BTreeMap::new(), BTreeMap::new());
        for line in std::fs::read_to_string(path)?.lines() {
            let mut words = line.split(' ');
            let kind = words.next();
            let mut numbers = words.map_while(|word| word.parse().ok());
            match (kind, numbers.next(), numbers.next()) {
                (Some("user"), Some(id), Some(user)) => {
                    users.insert(Identity(AuthKeyId(id)), user);
                }
                (Some("push"), Some(user), Some(number)) => {
                    pushed.insert(user, number);
                }
                _ => {}
            }
        }
        Ok(Self {
            inner: Mutex::new(Inner {
                file,
                users,
                pushed,
            }),
        })
    }

    /// An entry is made.
    pub(crate) fn ran(&self, entry: i64, call: &Call) -> io::Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let unix_ms = now.unwrap_or_default().as_millis();
        let (identity, session) = (call.identity.0.0, call.session_id.0);
        let (msg_id, term, key) = (call.msg_id.0, call.term.0, call.key.id.0);
        let line = format!("run {entry} {unix_ms} {identity} {session} {msg_id} {term} {key}\n");
        self.lock().file.write_all(line.as_bytes())
    }

    /// Somebody has signed in.
    pub(crate) fn signed_in(&self, call: &Call, user: i64) -> io::Result<()> {
        let mut inner = self.lock();
        inner.users.insert(call.identity, user);
        let line = format!("user {} {user} {}\n", call.identity.0.0, call.key.id.0);
        inner.file.write_all(line.as_bytes())
    }

    /// Gives the user of a key the next number, if anybody has signed in with it.
    pub(crate) fn next_update(&self, identity: Identity) -> io::Result<Option<(i64, i64)>> {
        let mut inner = self.lock();
        let Some(&user) = inner.users.get(&identity) else {
            return Ok(None);
        };
        let pushed = inner.pushed.entry(user).or_default();
        *pushed += 1;
        let number = *pushed;
        let line = format!("push {user} {number}\n");
        inner.file.write_all(line.as_bytes())?;
        Ok(Some((user, number)))
    }

    /// Says how many updates a key's user was pushed.
    pub(crate) fn pushed_to(&self, identity: Identity) -> i64 {
        let inner = self.lock();
        let user = inner.users.get(&identity);
        let pushed = user.and_then(|user| inner.pushed.get(user));
        pushed.copied().unwrap_or_default()
    }

    /// Says who has signed in with a key.
    pub(crate) fn user(&self, identity: Identity) -> Option<i64> {
        self.lock().users.get(&identity).copied()
    }

    /// Returns everybody who has ever signed in.
    pub(crate) fn users(&self) -> Vec<i64> {
        self.lock().users.values().copied().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
