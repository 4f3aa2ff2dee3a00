//! Keys of another process.

use std::sync::Arc;

use heliogram_grpc::{KeyChangesService, KeysService, RemoteKeys, Server};
use heliogram_ports::memory::MemoryKeys;
use heliogram_ports::{
    AuthKeys, Binding, Bound, BoxFuture, Inserted, KeyKind, KeyRecord, Unavailable, conformance,
};
use heliogram_proto::ids::AuthKeyId;

use crate::process::{Process, in_time};

#[tokio::test]
async fn remote_keys_conform() {
    let process = serve(Arc::new(MemoryKeys::new())).await;
    in_time(conformance::auth_keys(&RemoteKeys::new(process.channel()))).await;
}

#[tokio::test]
async fn a_store_that_can_not_say_is_unavailable_and_never_sure_that_there_is_no_key() {
    let process = serve(Arc::new(Silent)).await;
    assert_unavailable(&RemoteKeys::new(process.channel())).await;
}

#[tokio::test]
async fn a_process_that_is_gone_is_unavailable_and_its_successor_is_asked_again() {
    let store = Arc::new(MemoryKeys::new());
    let process = serve(Arc::<MemoryKeys>::clone(&store)).await;
    let keys = RemoteKeys::new(process.channel());
    let record = conformance::record(1, KeyKind::Permanent);
    assert_eq!(
        in_time(keys.insert(record.clone())).await,
        Ok(Inserted::Stored)
    );

    let address = process.address.to_string();
    process.stop().await;
    assert_unavailable(&keys).await;

    let _process = Process::start_at(server(store), &address, None).await;
    let found = in_time(keys.find(record.facts.id)).await;
    assert!(matches!(found, Ok(Some(found)) if found.facts == record.facts));
}

#[tokio::test]
async fn a_key_that_comes_bound_already_is_refused() {
    let store = Arc::new(MemoryKeys::new());
    let process = serve(Arc::<MemoryKeys>::clone(&store)).await;
    let keys = RemoteKeys::new(process.channel());
    let temporary = KeyKind::Temporary {
        expires_at_unix_s: u32::MAX,
    };
    let mut record = conformance::record(1, temporary);
    record.facts.perm = Some(AuthKeyId(5));
    assert_eq!(in_time(keys.insert(record.clone())).await, Err(Unavailable));
    assert!(matches!(store.find(record.facts.id).await, Ok(None)));
}

async fn assert_unavailable(keys: &RemoteKeys) {
    let record = conformance::record(1, KeyKind::Permanent);
    let id = record.facts.id;
    let binding = Binding {
        key: id,
        perm: id,
        expires_at_unix_s: 0,
    };
    assert!(matches!(in_time(keys.find(id)).await, Err(Unavailable)));
    assert_eq!(in_time(keys.insert(record)).await, Err(Unavailable));
    assert_eq!(in_time(keys.bind(binding)).await, Err(Unavailable));
    assert_eq!(in_time(keys.remove(id)).await, Err(Unavailable));
    assert_eq!(
        in_time(keys.remove_bound(id, vec![])).await,
        Err(Unavailable)
    );
}

async fn serve(keys: Arc<dyn AuthKeys>) -> Process {
    Process::start(server(keys)).await
}

fn server(keys: Arc<dyn AuthKeys>) -> Server {
    Server::new()
        .keys(KeysService::new(Arc::clone(&keys)))
        .key_changes(KeyChangesService::new(keys))
}

/// A store that can't say.
struct Silent;

impl AuthKeys for Silent {
    fn find(&self, _: AuthKeyId) -> BoxFuture<'_, Result<Option<Arc<KeyRecord>>, Unavailable>> {
        Box::pin(async { Err(Unavailable) })
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
