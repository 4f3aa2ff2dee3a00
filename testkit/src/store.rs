//! The key store: answers late, and at times says that it can't.

use std::collections::BTreeMap;
use std::sync::Arc;

use heliogram_proto::edge::keys::KeyOutcome;
use heliogram_proto::ids::AuthKeyId;
use heliogram_proto::port::KeyRecord;

/// Keys, durable like a store's.
#[derive(Debug, Default)]
pub(crate) struct Store {
    pub(crate) records: BTreeMap<AuthKeyId, Arc<KeyRecord>>,
    /// It can't say anything now.
    pub(crate) is_down: bool,
}

impl Store {
    pub(crate) fn find(&self, id: AuthKeyId, unix_s: u64) -> KeyOutcome {
        if self.is_down {
            return KeyOutcome::Unavailable;
        }
        match self.records.get(&id) {
            Some(record) if !record.facts.is_expired(unix_s) => {
                KeyOutcome::Present(Arc::clone(record))
            }
            Some(_) | None => KeyOutcome::Absent,
        }
    }
}
