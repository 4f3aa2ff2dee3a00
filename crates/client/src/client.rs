//! The client: calls, and which data centre they belong to.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use heliogram_ports::random;
use heliogram_proto::client::Saved;
use heliogram_proto::ids::SessionId;
use heliogram_proto::session::client::SavedSession;
use parking_lot::Mutex;
use rand_core::Rng as _;
use tokio::time::Instant;

use crate::ConnectError;
use crate::builder::Builder;
use crate::directory::Directory;
use crate::error::InvokeError;
use crate::introduction::Introduction;
use crate::limits::SHUTDOWN_MAX;
use crate::line::Listener;
use crate::lines::Lines;
use crate::method::Method;
use crate::notices::{Notice, Notices, Waiting};
use crate::passes::Passes;
use crate::setup::Setup;
use crate::storage;
#[cfg(feature = "layer-222")]
use crate::updates::{self, Fed, Outlet, Position, Updates};
use crate::upkeep::Upkeep;

/// A client of one account, or of none yet. Cheap to clone; all clones are one. When the last is dropped, the
/// connections end; [`Client::shutdown`] ends them in order.
#[derive(Clone)]
pub struct Client {
    pub(crate) inner: Arc<Inner>,
    /// Ends with the last clone but the one that it has itself.
    upkeep: Option<Arc<Upkeep>>,
}

pub(crate) struct Inner {
    pub(crate) setup: Setup,
    pub(crate) introduction: Arc<Introduction>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) lines: Mutex<Lines>,
    pub(crate) directory: Directory,
    pub(crate) passes: Passes,
}

/// What lines and the client share. Lines hold it, so it holds no line.
pub(crate) struct Shared {
    pub(crate) kept: Mutex<storage::State>,
    storage: Arc<dyn storage::Storage>,
    notices: Arc<Waiting>,
    /// What a stream of updates is fed with.
    #[cfg(feature = "layer-222")]
    updates: Arc<Outlet>,
}

impl Client {
    /// Begins to set up a client.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) async fn start(setup: Setup) -> Result<Self, ConnectError> {
        let mut kept = setup.storage.load().map_err(ConnectError::Storage)?;
        let imported = setup
            .sessions
            .iter()
            .filter(|(dc, session)| kept.import(*dc, session))
            .count();
        let home = *kept.home.get_or_insert(setup.home);
        if imported > 0 {
            setup.storage.store(&kept).map_err(ConnectError::Storage)?;
        }
        let shared = Shared {
            kept: Mutex::new(kept),
            storage: Arc::clone(&setup.storage),
            notices: Arc::default(),
            #[cfg(feature = "layer-222")]
            updates: Arc::default(),
        };
        let client = Self {
            inner: Arc::new(Inner {
                introduction: Arc::new(setup.introduction.clone()),
                shared: Arc::new(shared),
                lines: Mutex::default(),
                directory: Directory::default(),
                passes: Passes::default(),
                setup,
            }),
            upkeep: None,
        };
        let Ok(line) = client.reach(home, client.due()).await else {
            return Err(ConnectError::Misconfigured(
                "the home data centre of the kept keys has no address: add it with Builder::data_centre",
            ));
        };
        line.ready().await?;
        Ok(client.with_upkeep())
    }

    /// Has what is due done from now on, for as long as somebody holds the client.
    fn with_upkeep(self) -> Self {
        let upkeep = Upkeep::start(self.clone());
        Self {
            upkeep: Some(Arc::new(upkeep)),
            ..self
        }
    }

    /// Calls a method at home, and waits for its result. Calls that are made while others wait travel with them.
    ///
    /// Waits by itself for a `FLOOD_WAIT` that is short enough, and goes to another data centre if it is told to.
    /// Dropping the future gives the call up: the server is told to drop its answer.
    ///
    /// # Errors
    ///
    /// See [`InvokeError`].
    pub async fn invoke<M: Method>(&self, method: &M) -> Result<M::Return, InvokeError> {
        let result = self.invoke_body(None, method.to_body()).await?;
        M::read_result(&result).map_err(InvokeError::Malformed)
    }

    /// Calls a method at a given data centre, as [`Client::invoke`] does at home. If nobody is signed in there, the
    /// account is carried over from home first.
    ///
    /// # Errors
    ///
    /// See [`InvokeError`].
    pub async fn invoke_at<M: Method>(
        &self,
        dc: i32,
        method: &M,
    ) -> Result<M::Return, InvokeError> {
        let result = self.invoke_body(Some(dc), method.to_body()).await?;
        M::read_result(&result).map_err(InvokeError::Malformed)
    }

    /// Returns the data centre that calls go to.
    #[must_use]
    pub fn home(&self) -> i32 {
        self.inner
            .shared
            .kept
            .lock()
            .home
            .unwrap_or(self.inner.setup.home)
    }

    /// Returns what another program needs to go on with this client's permanent key at a data centre, in the form of
    /// `@mtproto2/mtproto` ([`SavedSession::to_bytes`]); `None` while there is no key. It names a session that nobody has used:
    /// this client's own can't be shared.
    #[must_use]
    pub fn export_session(&self, dc: i32) -> Option<SavedSession> {
        let session_id = SessionId(random::lend().next_u64().cast_signed() | 1);
        self.inner.shared.kept.lock().export(dc, session_id)
    }

    /// Returns the application's number and hash, which signing in asks for.
    #[must_use]
    pub fn application(&self) -> (i32, &str) {
        let setup = &self.inner.setup;
        (setup.introduction.api_id, &setup.api_hash)
    }

    /// Begins a stream of updates, which are in order and without gaps. It goes on where an earlier one has been
    /// ([`Updates::position`]); without a position, from now on.
    ///
    /// There is one at a time: beginning another ends it. While it lives, updates go to it and not to
    /// [`Client::notices`]. It is a client itself: connections last as long as it does.
    #[cfg(feature = "layer-222")]
    #[must_use]
    pub fn updates(&self, from: Option<Position>) -> Updates {
        Updates::new(self.clone(), Arc::clone(&self.inner.shared.updates), from)
    }

    /// Returns what comes without being asked for, as it comes: whoever reads last gets the next.
    #[must_use]
    pub fn notices(&self) -> Notices {
        Notices::new(Arc::clone(&self.inner.shared.notices))
    }

    /// Ends in order: waits for answers to the calls that are under way, sends what is to be acknowledged, hangs up.
    /// Calls that come later, or are not answered within [`SHUTDOWN_MAX`], end with
    /// [`InvokeError::ConnectionLost`].
    pub async fn shutdown(&self) {
        let lines = self.inner.lines.lock().close();
        if let Some(upkeep) = &self.upkeep {
            upkeep.end().await;
        }
        let by = Instant::now() + SHUTDOWN_MAX;
        for line in lines {
            line.stop(by).await;
        }
        #[cfg(feature = "layer-222")]
        self.inner.shared.updates.end();
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("home", &self.home())
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// Tells whether updates from a data centre go to the stream: there is one, and it is the account's home.
    #[cfg(feature = "layer-222")]
    fn is_for_stream(&self, dc: i32) -> bool {
        self.updates.is_taken() && self.kept.lock().home == Some(dc)
    }

    /// Changes what is kept, and keeps it.
    pub(crate) fn keep_with(&self, change: impl FnOnce(&mut storage::State)) {
        let mut kept = self.kept.lock();
        change(&mut kept);
        if let Err(error) = self.storage.store(&kept) {
            tracing::error!(%error, "keys can't be kept: the next start will have to make new ones");
        }
    }
}

impl Listener for Shared {
    fn keep(&self, dc: i32, saved: Saved) {
        self.keep_with(|kept| {
            kept.keys.insert(dc, saved);
        });
    }

    fn key_lost(&self, dc: i32) {
        self.keep_with(|kept| {
            kept.keys.remove(&dc);
        });
        self.notices.push(Notice::KeyLost { dc });
    }

    fn update(&self, dc: i32, object: Bytes) {
        #[cfg(feature = "layer-222")]
        if self.is_for_stream(dc) {
            return self.updates.push(Fed::Object(object));
        }
        self.notices.push(Notice::Update { dc, object });
    }

    fn missed(&self, dc: i32) {
        #[cfg(feature = "layer-222")]
        if self.is_for_stream(dc) {
            return self.updates.push(Fed::Lost);
        }
        self.notices.push(Notice::Missed { dc });
    }

    #[cfg(feature = "layer-222")]
    fn result(&self, dc: i32, request: &Bytes, result: &Bytes) {
        if updates::is_of_interest(result) && self.is_for_stream(dc) {
            self.updates.push(Fed::Result {
                request: request.clone(),
                result: result.clone(),
            });
        }
    }

    fn connected(&self, dc: i32, is_connected: bool) {
        self.notices.push(Notice::Connection { dc, is_connected });
    }
}
