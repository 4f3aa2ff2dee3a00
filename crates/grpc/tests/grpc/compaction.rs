//! A real etcd that has forgotten the changes which a watch asks for.
//!
//! ```text
//!  watcher ──snapshot?──> way ──> etcd
//!          <──snapshot───     <──
//!          ───watch?────> held       meanwhile: changes, then compaction beyond them
//!                         ───────> etcd: compacted
//! ```

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use heliogram_grpc::EtcdConfig;
use heliogram_ports::discovery::Discovery as _;
use heliogram_ports::metrics::Readings;
use heliogram_testservices as services;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::etcd::{config_of, connect, node, partition, until};

#[tokio::test]
async fn a_watch_for_changes_that_etcd_has_forgotten_is_replaced_by_a_view_read_whole() {
    let etcd = services::Etcd::start().unwrap();
    let config = config_of(&etcd, "compacted");
    let a = connect(&config);
    a.join(node("a")).await.unwrap();
    let gone = a.claim(partition(1)).await.unwrap().unwrap();
    let way = Way::until(&etcd, "/compacted/partitions/01").await;
    let watcher = connect(&EtcdConfig {
        endpoints: vec![way.url.clone()],
        ..config
    });
    until(&watcher, |it| it.owner(partition(1)).is_some()).await;

    a.release(partition(1), gone).await.unwrap();
    a.claim(partition(2)).await.unwrap().unwrap();
    let last = a.claim(partition(3)).await.unwrap().unwrap();
    etcd.compact(last.0).unwrap();
    way.go_on();

    let seen = until(&watcher, |it| it.owner(partition(3)).is_some());
    let seen = timeout(PATIENCE, seen).await.expect("the view stays old");
    assert_eq!(seen.owner(partition(1)), None);
    assert!(seen.owner(partition(2)).is_some());
    assert_eq!(seen.owner(partition(3)).unwrap().term, last);
    assert_eq!(Readings::of(&watcher).0["discovery_snapshots"], 2);

    // From there on it is watched again.
    a.claim(partition(4)).await.unwrap().unwrap();
    let seen = until(&watcher, |it| it.owner(partition(4)).is_some());
    timeout(PATIENCE, seen).await.expect("nothing is watched");
    assert!(watcher.is_up());
    assert_eq!(Readings::of(&watcher).0["discovery_snapshots"], 2);
}

/// A way to etcd, on which questions are held once etcd has said some word, until they may go on. Answers always pass.
struct Way {
    url: String,
    phase: Arc<watch::Sender<Phase>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Listens,
    Holds,
    Over,
}

impl Way {
    async fn until(etcd: &services::Etcd, word: &'static str) -> Self {
        let to: SocketAddr = etcd.url().strip_prefix("http://").unwrap().parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let phase = Arc::new(watch::Sender::new(Phase::Listens));
        let shared = Arc::clone(&phase);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (from_client, to_client) = client.into_split();
                let (from_etcd, to_etcd) = TcpStream::connect(to).await.unwrap().into_split();
                tokio::spawn(ask(from_client, to_etcd, shared.subscribe()));
                tokio::spawn(answer(from_etcd, to_client, word, Arc::clone(&shared)));
            }
        });
        Self { url, phase }
    }

    fn go_on(&self) {
        let before = self.phase.send_replace(Phase::Over);
        assert_eq!(before, Phase::Holds, "nothing was held");
    }
}

async fn ask(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut phase: watch::Receiver<Phase>) {
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let is_open = phase.wait_for(|it| *it != Phase::Holds).await.is_ok();
        if !is_open || to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

async fn answer(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    word: &str,
    phase: Arc<watch::Sender<Phase>>,
) {
    let (mut buffer, mut said) = ([0; 4096], Vec::new());
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        said.extend_from_slice(&buffer[..read]);
        // Before the answer passes: what is asked because of it comes too late.
        if said.windows(word.len()).any(|it| it == word.as_bytes()) {
            phase.send_if_modified(|it| {
                let is_first = *it == Phase::Listens;
                if is_first {
                    *it = Phase::Holds;
                }
                is_first
            });
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

const PATIENCE: Duration = Duration::from_secs(20);
