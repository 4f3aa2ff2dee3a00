//! A store that knows every key, except some, when it can answer.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use heliogram_ports::conformance::record;
use heliogram_ports::{
    AuthKeys, Binding, Bound, BoxFuture, Inserted, KeyKind, KeyRecord, Unavailable,
};
use heliogram_proto::ids::AuthKeyId;

#[derive(Default)]
pub(crate) struct Known {
    pub(crate) absent: Mutex<BTreeSet<AuthKeyId>>,
    pub(crate) is_down: AtomicBool,
    pub(crate) asked: AtomicUsize,
}

impl Known {
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::Acquire)
    }
}

impl AuthKeys for Known {
    fn find(&self, id: AuthKeyId) -> BoxFuture<'_, Result<Option<Arc<KeyRecord>>, Unavailable>> {
        Box::pin(async move {
            self.asked.fetch_add(1, Ordering::AcqRel);
            if self.is_down.load(Ordering::Acquire) {
                return Err(Unavailable);
            }
            if self.absent.lock().unwrap().contains(&id) {
                return Ok(None);
            }
            let mut known = record(1, KeyKind::Permanent);
            known.facts.id = id;
            Ok(Some(Arc::new(known)))
        })
    }

    fn insert(&self, _: KeyRecord) -> BoxFuture<'_, Result<Inserted, Unavailable>> {
        Box::pin(async { Err(Unavailable) })
    }

    fn bind(&self, _: Binding) -> BoxFuture<'_, Result<Bound, Unavailable>> {
        Box::pin(async { Err(Unavailable) })
    }

    fn remove(&self, _: AuthKeyId) -> BoxFuture<'_, Result<Vec<AuthKeyId>, Unavailable>> {
        Box::pin(async { Err(Unavailable) })
    }

    fn remove_bound(
        &self,
        _: AuthKeyId,
        _: Vec<AuthKeyId>,
    ) -> BoxFuture<'_, Result<Vec<AuthKeyId>, Unavailable>> {
        Box::pin(async { Err(Unavailable) })
    }
}
