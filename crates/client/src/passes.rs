//! Carrying an account from home to other data centres, or to a new home: `auth.exportAuthorization`, `auth.importAuthorization`.
//!
//! Keys never move: each data centre has its own, and is told once who holds it. Done when a call is refused with
//! `AUTH_KEY_UNREGISTERED` there, once for all calls that wait for it.
//!
//! Source: <https://core.telegram.org/api/datacenter#authorization-transfer>.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use heliogram_tl::api::auth;
use heliogram_tl::{Deserialize as _, Serialize as _};
use parking_lot::Mutex;

use crate::calls::Course;
use crate::client::Client;
use crate::error::InvokeError;
use crate::rpc_error::RpcError;

/// How often the account was carried to each data centre.
#[derive(Default)]
pub(crate) struct Passes {
    by_dc: Mutex<BTreeMap<i32, Arc<Pass>>>,
}

#[derive(Default)]
struct Pass {
    /// Held by the one call that carries.
    turn: tokio::sync::Mutex<()>,
    made: AtomicU64,
}

/// From where the account is carried, and where to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    pub(crate) from: i32,
    pub(crate) to: i32,
    /// How often that had been done when the call was made.
    pub(crate) seen: u64,
}

/// Tells whether nobody is signed in with the key.
pub(crate) fn is_unregistered(error: &RpcError) -> bool {
    error.code == 401 && error.name == "AUTH_KEY_UNREGISTERED"
}

impl Passes {
    /// Returns how often the account was carried to a data centre by now.
    pub(crate) fn count(&self, dc: i32) -> u64 {
        self.of(dc).made.load(Ordering::Acquire)
    }

    fn of(&self, dc: i32) -> Arc<Pass> {
        Arc::clone(self.by_dc.lock().entry(dc).or_default())
    }
}

impl Client {
    /// Carries the account to a data centre, unless that was done since it was counted. `refusal` is why: if nobody is
    /// signed in where it is carried from, either, that is what the caller is to know.
    pub(crate) async fn pass(
        &self,
        way: Way,
        refusal: RpcError,
        course: &mut Course,
    ) -> Result<(), InvokeError> {
        let pass = self.inner.passes.of(way.to);
        let turn = tokio::time::timeout_at(course.due, pass.turn.lock()).await;
        let _turn = turn.map_err(|_| InvokeError::TimedOut)?;
        if pass.made.load(Ordering::Acquire) != way.seen {
            return Ok(());
        }
        let carried = match self.carry(way, course).await {
            // It was used by an import whose answer was lost, or is too old.
            Err(InvokeError::Rpc(error)) if error.name == "AUTH_BYTES_INVALID" => {
                self.carry(way, course).await
            }
            outcome => outcome,
        };
        match carried {
            Ok(()) => {
                pass.made.fetch_add(1, Ordering::Release);
                Ok(())
            }
            Err(InvokeError::Rpc(error)) if is_unregistered(&error) => {
                Err(InvokeError::Rpc(refusal))
            }
            Err(error) => Err(error),
        }
    }

    async fn carry(&self, way: Way, course: &mut Course) -> Result<(), InvokeError> {
        let origin = self.line(way.from)?;
        let export = auth::ExportAuthorization { dc_id: way.to }
            .to_bytes()
            .into();
        let exported = self.steady(&origin, &export, course).await?;
        let exported = auth::ExportedAuthorization::from_bytes(&exported)
            .map_err(|error| InvokeError::Malformed(error.to_string()))?;
        let import = auth::ImportAuthorization {
            id: exported.id,
            bytes: exported.bytes,
        };
        let there = self.line(way.to)?;
        // What it answers, the account, is known where it comes from.
        self.steady(&there, &import.to_bytes().into(), course)
            .await
            .map(drop)
    }
}
