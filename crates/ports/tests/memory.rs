//! The in-memory versions pass the suites that every other version passes.

use std::sync::Arc;

use heliogram_ports::conformance;
use heliogram_ports::discovery::Discovery;
use heliogram_ports::memory::{MemoryDiscovery, MemoryKeys};

#[tokio::test]
async fn memory_keys_conform() {
    conformance::auth_keys(&MemoryKeys::new()).await;
}

#[tokio::test]
async fn memory_users_conform() {
    let keys = MemoryKeys::new();
    conformance::users(&keys, &keys).await;
}

#[tokio::test]
async fn a_backend_with_nothing_in_between_conforms() {
    conformance::backend(async |backend, pushes| {
        backend.start(pushes);
        backend
    })
    .await;
}

#[tokio::test]
async fn a_cluster_in_memory_conforms() {
    let cluster = MemoryDiscovery::new();
    conformance::discovery(async || Arc::new(cluster.another()) as Arc<dyn Discovery>).await;
}
