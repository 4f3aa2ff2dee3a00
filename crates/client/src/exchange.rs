//! A key exchange alone.

use std::sync::Arc;

use bytes::Bytes;
use heliogram_crypto::AuthKey;
use heliogram_proto::client::Saved;
use heliogram_proto::dc::Purpose;
use heliogram_proto::ids::Salt;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::ConnectError;
use crate::error::Lost;
use crate::line::{Line, Listener, Plan};
use crate::setup::Setup;

/// What an exchange has made.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Exchanged {
    /// The authorization key; [`AuthKey::id`] is the name by which the server knows it.
    pub key: AuthKey,
    /// The first salt for it.
    pub salt: Salt,
    /// The server's clock minus ours, in seconds.
    pub clock_offset_s: i64,
}

/// Makes a key over a line that is for nothing else.
pub(crate) async fn run(setup: Setup) -> Result<Exchanged, ConnectError> {
    let dc = setup.home;
    let route = setup.route(dc, Purpose::Main).ok_or(NO_ADDRESS)?;
    let made = Arc::<Kept>::default();
    let line = Line::start(Plan {
        dc,
        config: setup.engine(dc, &route),
        clock: setup.clock,
        route,
        saved: None,
        introduction: Arc::new(setup.introduction),
        listener: Arc::<Kept>::clone(&made),
    });
    let outcome = line.ready().await;
    line.stop(Instant::now()).await;
    outcome?;
    // Whatever can be sealed is sealed with a key that was told of first.
    let saved = made.saved.lock().take().ok_or(Lost::ShutDown)?;
    Ok(Exchanged {
        key: saved.key,
        salt: saved.salt,
        clock_offset_s: saved.clock_offset_ns / 1_000_000_000,
    })
}

const NO_ADDRESS: ConnectError = ConnectError::Misconfigured(
    "the home data centre has no address: add it with Builder::data_centre",
);

/// Hears of the key, and of nothing else.
#[derive(Default)]
struct Kept {
    saved: Mutex<Option<Saved>>,
}

impl Listener for Kept {
    fn keep(&self, _dc: i32, saved: Saved) {
        *self.saved.lock() = Some(saved);
    }

    fn key_lost(&self, _dc: i32) {}

    fn update(&self, _dc: i32, _object: Bytes) {}

    fn missed(&self, _dc: i32) {}

    #[cfg(feature = "layer-222")]
    fn result(&self, _dc: i32, _request: &Bytes, _result: &Bytes) {}

    fn connected(&self, _dc: i32, _is_connected: bool) {}
}
