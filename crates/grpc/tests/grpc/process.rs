//! A process of the cluster: a server on a free port with a runtime of its own, and the ways to it.

use std::io;
use std::time::Duration;

use heliogram_grpc::{Address, Role, Server, Tls, dial};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::transport::Channel;

/// A server that runs until it is dropped, which ends it as a crash does: connections and all.
pub(crate) struct Process {
    pub(crate) address: Address,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<io::Result<()>>,
    runtime: Option<Runtime>,
}

impl Process {
    /// Serves on a free port of the loopback.
    pub(crate) async fn start(server: Server) -> Self {
        Self::start_at(server, "127.0.0.1:0", None).await
    }

    pub(crate) async fn start_at(server: Server, address: &str, tls: Option<Tls>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let address = address.parse().unwrap();
        let bound = runtime.spawn(async move { server.bind(&address, tls).await });
        let bound = bound.await.unwrap().unwrap();
        let address = bound.address().unwrap();
        let (stop, stopped) = oneshot::channel();
        let serving = runtime.spawn(bound.serve(async {
            let _ = stopped.await;
        }));
        Self {
            address,
            stop: Some(stop),
            serving,
            runtime: Some(runtime),
        }
    }

    /// Returns a way to it without certificates.
    pub(crate) fn channel(&self) -> Channel {
        dial(self.address.clone(), Role::Session, None)
    }

    /// Ends in order; returns when everything is closed.
    pub(crate) async fn stop(mut self) {
        drop(self.stop.take());
        in_time(&mut self.serving).await.unwrap().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Where a runtime runs, none may wait for its end: another thread does.
        let runtime = self.runtime.take();
        std::thread::spawn(|| drop(runtime)).join().unwrap();
    }
}

/// Waits for what must come, not for ever.
pub(crate) async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future)
        .await
        .expect("it takes too long")
}
