//! The end that answers.

use std::sync::Arc;

use heliogram_ports::{AuthKeys, Binding, Inserted, Unavailable};
use heliogram_proto::ids::AuthKeyId;
use heliogram_proto::limits::EXCEPT_KEYS_MAX;
use tokio::time::Instant;
use tonic::{Request, Response, Status};

use crate::generated::cluster as wire;
use crate::generated::cluster::auth_keys_server::AuthKeys as KeysContract;
use crate::generated::cluster::key_changes_server::KeyChanges as ChangesContract;
use crate::metrics::{KeyAnswer, ServerCounts};
use crate::wire::{bound_to, record_from, record_to};

/// Answers gateways: what is there, and what is new.
pub struct KeysService {
    keys: Arc<dyn AuthKeys>,
    counts: Arc<ServerCounts>,
}

/// Answers session nodes: what changes.
pub struct KeyChangesService {
    keys: Arc<dyn AuthKeys>,
}

impl KeysService {
    /// Answers from `keys`.
    #[must_use]
    pub fn new(keys: Arc<dyn AuthKeys>) -> Self {
        Self {
            keys,
            counts: Arc::default(),
        }
    }

    /// Counts there from now on.
    pub(crate) fn count(&mut self, counts: Arc<ServerCounts>) {
        self.counts = counts;
    }
}

impl KeyChangesService {
    /// Changes `keys`.
    #[must_use]
    pub fn new(keys: Arc<dyn AuthKeys>) -> Self {
        Self { keys }
    }
}

impl std::fmt::Debug for KeysService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeysService").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for KeyChangesService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyChangesService").finish_non_exhaustive()
    }
}

#[tonic::async_trait]
impl KeysContract for KeysService {
    async fn find(
        &self,
        request: Request<wire::FindRequest>,
    ) -> Result<Response<wire::FindReply>, Status> {
        let id = AuthKeyId(request.into_inner().id);
        let since = Instant::now();
        let found = self.keys.find(id).await;
        let answer = match &found {
            Ok(Some(_)) => KeyAnswer::Present,
            Ok(None) => KeyAnswer::Absent,
            Err(Unavailable) => KeyAnswer::Unavailable,
        };
        self.counts.keys.answered(answer, since.elapsed());
        let found = found.map_err(unavailable)?;
        let record = found.map(|record| record_to(&record));
        Ok(Response::new(wire::FindReply { record }))
    }

    async fn insert(
        &self,
        request: Request<wire::InsertRequest>,
    ) -> Result<Response<wire::InsertReply>, Status> {
        let record = request.into_inner().record;
        let record = record.ok_or_else(|| Status::invalid_argument("there must be a key"))?;
        let record = record_from(&record)?;
        // Bindings are made by owners, who verify them: a key comes without one.
        if record.facts.perm.is_some() {
            return Err(Status::invalid_argument("a new key is not bound"));
        }
        let since = Instant::now();
        let inserted = self.keys.insert(record).await;
        let answer = match inserted {
            Ok(Inserted::Stored) => KeyAnswer::Stored,
            Ok(Inserted::Duplicate) => KeyAnswer::Duplicate,
            Err(Unavailable) => KeyAnswer::Unavailable,
        };
        self.counts.keys.answered(answer, since.elapsed());
        let inserted = match inserted.map_err(unavailable)? {
            Inserted::Stored => wire::Inserted::Stored,
            Inserted::Duplicate => wire::Inserted::Duplicate,
        };
        let mut reply = wire::InsertReply::default();
        reply.set_inserted(inserted);
        Ok(Response::new(reply))
    }
}

#[tonic::async_trait]
impl ChangesContract for KeyChangesService {
    async fn bind(
        &self,
        request: Request<wire::BindRequest>,
    ) -> Result<Response<wire::BindReply>, Status> {
        let request = request.into_inner();
        let binding = Binding {
            key: AuthKeyId(request.key),
            perm: AuthKeyId(request.perm),
            expires_at_unix_s: request.expires_at,
        };
        let bound = self.keys.bind(binding).await.map_err(unavailable)?;
        Ok(Response::new(bound_to(bound)))
    }

    async fn remove(
        &self,
        request: Request<wire::RemoveRequest>,
    ) -> Result<Response<wire::RemoveReply>, Status> {
        let id = AuthKeyId(request.into_inner().id);
        let removed = self.keys.remove(id).await.map_err(unavailable)?;
        Ok(Response::new(reply(removed)))
    }

    async fn remove_bound(
        &self,
        request: Request<wire::RemoveBoundRequest>,
    ) -> Result<Response<wire::RemoveReply>, Status> {
        let request = request.into_inner();
        if request.except.len() > EXCEPT_KEYS_MAX {
            return Err(Status::invalid_argument("too many keys are excepted"));
        }
        let except = request.except.into_iter().map(AuthKeyId).collect();
        let removed = self.keys.remove_bound(AuthKeyId(request.perm), except);
        Ok(Response::new(reply(removed.await.map_err(unavailable)?)))
    }
}

fn reply(removed: Vec<AuthKeyId>) -> wire::RemoveReply {
    wire::RemoveReply {
        removed: removed.into_iter().map(|id| id.0).collect(),
    }
}

fn unavailable(_: Unavailable) -> Status {
    Status::unavailable("the store can't say now")
}
