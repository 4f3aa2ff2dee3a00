//! Keys of another process.

use std::sync::Arc;

use heliogram_grpc::limits::{KEYS_ATTEMPT_MAX, KEYS_PATIENCE};
use heliogram_grpc::{Address, KeyChangesService, KeysService, NodesKeys, RemoteKeys, Server};
use heliogram_ports::memory::MemoryKeys;
use heliogram_ports::{
    AuthKeys, Binding, Bound, BoxFuture, Inserted, KeyKind, KeyRecord, Unavailable, conformance,
};
use heliogram_proto::ids::{AuthKeyId, Term};
use tokio::sync::Notify;

use crate::discovery::Said;
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

#[tokio::test]
async fn a_gateway_asks_another_node_when_one_is_gone_or_says_nothing() {
    let store = Arc::new(MemoryKeys::new());
    let (gone, good) = (
        serve(Arc::<MemoryKeys>::clone(&store)).await,
        serve(Arc::<MemoryKeys>::clone(&store)).await,
    );
    // It takes connections, and says nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = Address::Tcp(silent.local_addr().unwrap().to_string());
    let nodes = Said::new(&[&gone.address, &silent, &good.address]);
    drop(gone);
    let keys = NodesKeys::new(nodes, None);
    for number in 1..=8 {
        let record = conformance::record(number, KeyKind::Permanent);
        let id = record.facts.id;
        assert_eq!(in_time(keys.insert(record)).await, Ok(Inserted::Stored));
        assert!(matches!(in_time(keys.find(id)).await, Ok(Some(found)) if found.facts.id == id));
    }
}

#[tokio::test]
async fn a_gateway_that_reaches_no_node_is_unavailable_in_the_end_and_finds_one_that_comes_before()
{
    assert!(
        KEYS_ATTEMPT_MAX * 2 < KEYS_PATIENCE,
        "there is time for another"
    );
    let nodes = Said::new(&[]);
    let keys = NodesKeys::new(Arc::<Said>::clone(&nodes), None);
    let id = AuthKeyId(1);
    assert!(matches!(in_time(keys.find(id)).await, Err(Unavailable)));

    let process = serve(Arc::new(MemoryKeys::new())).await;
    let (found, ()) = in_time(async {
        tokio::join!(keys.find(id), async {
            nodes.say(&[(&process.address, 0..0, Term(0))]);
        })
    })
    .await;
    assert!(matches!(found, Ok(None)));
}

#[tokio::test]
async fn a_key_whose_first_answer_was_lost_is_no_duplicate_and_one_that_was_there_is() {
    let store = Arc::new(MemoryKeys::new());
    let losing = Arc::new(Losing(Arc::<MemoryKeys>::clone(&store), Notify::new()));
    let (one, two) = (
        serve(Arc::<Losing>::clone(&losing)).await,
        serve(Arc::<MemoryKeys>::clone(&store)).await,
    );
    let nodes = Said::new(&[&one.address]);
    let keys = NodesKeys::new(Arc::<Said>::clone(&nodes), None);
    let record = conformance::record(1, KeyKind::Permanent);
    let (inserted, ()) = in_time(async {
        tokio::join!(keys.insert(record.clone()), async {
            losing.1.notified().await;
            nodes.say(&[(&two.address, 0..0, Term(0))]);
        })
    })
    .await;
    assert_eq!(inserted, Ok(Inserted::Stored));
    assert_eq!(in_time(keys.insert(record)).await, Ok(Inserted::Duplicate));
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

/// Stores keys, and loses every answer to that.
struct Losing(Arc<MemoryKeys>, Notify);

impl AuthKeys for Losing {
    fn find(&self, _: AuthKeyId) -> BoxFuture<'_, Result<Option<Arc<KeyRecord>>, Unavailable>> {
        Box::pin(async { Err(Unavailable) })
    }

    fn insert(&self, record: KeyRecord) -> BoxFuture<'_, Result<Inserted, Unavailable>> {
        Box::pin(async {
            let _ = self.0.insert(record).await;
            self.1.notify_one();
            Err(Unavailable)
        })
    }

    fn bind(&self, _: Binding) -> BoxFuture<'_, Result<Bound, Unavailable>> {
        unreachable!("a gateway binds nothing")
    }

    fn remove(&self, _: AuthKeyId) -> BoxFuture<'_, Result<Vec<AuthKeyId>, Unavailable>> {
        unreachable!("a gateway destroys nothing")
    }

    fn remove_bound(
        &self,
        _: AuthKeyId,
        _: Vec<AuthKeyId>,
    ) -> BoxFuture<'_, Result<Vec<AuthKeyId>, Unavailable>> {
        unreachable!("a gateway destroys nothing")
    }
}
