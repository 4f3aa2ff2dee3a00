//! The end that asks.

use std::sync::Arc;

use heliogram_ports::{AuthKeys, Binding, Bound, BoxFuture, Inserted, KeyRecord, Unavailable};
use heliogram_proto::ids::AuthKeyId;
use tonic::transport::Channel;
use tonic::{Request, Status};

use crate::generated::cluster as wire;
use crate::generated::cluster::auth_keys_client::AuthKeysClient;
use crate::generated::cluster::key_changes_client::KeyChangesClient;
use crate::limits::QUESTION_PATIENCE;
use crate::wire::{Malformed, bound_from, record_from, record_to};

/// Keys that another process keeps.
///
/// Whatever goes wrong on the way is [`Unavailable`]. A gateway may only [`find`](AuthKeys::find) and
/// [`insert`](AuthKeys::insert): the other questions are for session nodes, and refused to it.
#[derive(Clone, Debug)]
pub struct RemoteKeys {
    keys: AuthKeysClient<Channel>,
    changes: KeyChangesClient<Channel>,
}

impl RemoteKeys {
    /// Asks what answers on `channel`.
    #[must_use]
    pub fn new(channel: Channel) -> Self {
        Self {
            keys: AuthKeysClient::new(channel.clone()),
            changes: KeyChangesClient::new(channel),
        }
    }
}

impl AuthKeys for RemoteKeys {
    fn find(&self, id: AuthKeyId) -> BoxFuture<'_, Result<Option<Arc<KeyRecord>>, Unavailable>> {
        let mut keys = self.keys.clone();
        Box::pin(async move {
            let request = question(wire::FindRequest { id: id.0 });
            let reply = keys.find(request).await.map_err(failed)?.into_inner();
            let Some(record) = reply.record else {
                return Ok(None);
            };
            let record = record_from(&record).map_err(malformed)?;
            if record.facts.id == id {
                Ok(Some(Arc::new(record)))
            } else {
                Err(malformed(Malformed("a key that nobody asked for")))
            }
        })
    }

    fn insert(&self, record: KeyRecord) -> BoxFuture<'_, Result<Inserted, Unavailable>> {
        let mut keys = self.keys.clone();
        Box::pin(async move {
            let record = Some(record_to(&record));
            let request = question(wire::InsertRequest { record });
            let reply = keys.insert(request).await.map_err(failed)?.into_inner();
            match reply.inserted() {
                wire::Inserted::Stored => Ok(Inserted::Stored),
                wire::Inserted::Duplicate => Ok(Inserted::Duplicate),
                wire::Inserted::Unspecified => {
                    Err(malformed(Malformed("a key must be stored or not")))
                }
            }
        })
    }

    fn bind(&self, binding: Binding) -> BoxFuture<'_, Result<Bound, Unavailable>> {
        let mut changes = self.changes.clone();
        Box::pin(async move {
            let request = question(wire::BindRequest {
                key: binding.key.0,
                perm: binding.perm.0,
                expires_at: binding.expires_at_unix_s,
            });
            let reply = changes.bind(request).await.map_err(failed)?;
            bound_from(reply.into_inner()).map_err(malformed)
        })
    }

    fn remove(&self, id: AuthKeyId) -> BoxFuture<'_, Result<Vec<AuthKeyId>, Unavailable>> {
        let mut changes = self.changes.clone();
        Box::pin(async move {
            let request = question(wire::RemoveRequest { id: id.0 });
            let reply = changes.remove(request).await.map_err(failed)?;
            Ok(removed(reply.into_inner()))
        })
    }

    fn remove_bound(
        &self,
        perm: AuthKeyId,
        except: Vec<AuthKeyId>,
    ) -> BoxFuture<'_, Result<Vec<AuthKeyId>, Unavailable>> {
        let mut changes = self.changes.clone();
        Box::pin(async move {
            let request = question(wire::RemoveBoundRequest {
                perm: perm.0,
                except: except.into_iter().map(|id| id.0).collect(),
            });
            let reply = changes.remove_bound(request).await.map_err(failed)?;
            Ok(removed(reply.into_inner()))
        })
    }
}

fn question<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(QUESTION_PATIENCE);
    request
}

fn removed(reply: wire::RemoveReply) -> Vec<AuthKeyId> {
    reply.removed.into_iter().map(AuthKeyId).collect()
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn failed(status: Status) -> Unavailable {
    tracing::debug!(code = ?status.code(), "a question about a key was not answered");
    Unavailable
}

fn malformed(malformed: Malformed) -> Unavailable {
    tracing::warn!(why = malformed.0, "a node breaks the contract");
    Unavailable
}
