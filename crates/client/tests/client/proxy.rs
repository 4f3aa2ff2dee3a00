//! Stands between client and server, and breaks connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A relay whose connections can be cut.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    relays: Mutex<Vec<JoinHandle<()>>>,
    connections: AtomicUsize,
    /// Where connections go instead, if anywhere else.
    elsewhere: Mutex<Option<SocketAddr>>,
    /// Each connection ends after so many bytes of the server's, if there is a limit.
    bytes_down_max: AtomicUsize,
    /// The next connection ends after so many bytes of either direction; those after it do not.
    next_limits: Mutex<Bytes>,
    /// What has passed on the last connection.
    passed: Mutex<Arc<Passed>>,
}

/// Bytes of either direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bytes {
    pub(crate) up: usize,
    pub(crate) down: usize,
}

impl Bytes {
    /// As many as there are.
    pub(crate) const ALL: Self = Self {
        up: usize::MAX,
        down: usize::MAX,
    };
}

impl Default for Bytes {
    fn default() -> Self {
        Self::ALL
    }
}

#[derive(Default)]
struct Passed {
    up: AtomicUsize,
    down: AtomicUsize,
}

impl Proxy {
    /// Begins to relay to `target`.
    pub(crate) async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            bytes_down_max: AtomicUsize::new(usize::MAX),
            ..Shared::default()
        });
        let relaying = Arc::clone(&shared);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let mut limits = std::mem::take(&mut *relaying.next_limits.lock());
                let down_max = relaying.bytes_down_max.load(Ordering::Relaxed);
                limits.down = limits.down.min(down_max);
                let passed = Arc::<Passed>::default();
                *relaying.passed.lock() = Arc::clone(&passed);
                let target = relaying.elsewhere.lock().unwrap_or(target);
                let relay = tokio::spawn(relay(client, target, limits, passed));
                let mut relays = relaying.relays.lock();
                relays.retain(|it| !it.is_finished());
                relays.push(relay);
                // Under the lock: what is counted can be cut.
                relaying.connections.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self {
            address,
            shared,
            accepting,
        }
    }

    /// Relays connections to somewhere else from now on; those that are open go on.
    pub(crate) fn redirect(&self, target: SocketAddr) {
        *self.shared.elsewhere.lock() = Some(target);
    }

    /// Breaks all connections that are open.
    pub(crate) fn cut(&self) {
        for relay in self.shared.relays.lock().drain(..) {
            relay.abort();
        }
    }

    /// Has connections end from now on after so many bytes of the server's; those that are open go on.
    pub(crate) fn limit(&self, bytes: usize) {
        self.shared.bytes_down_max.store(bytes, Ordering::Relaxed);
    }

    /// Has the next connection end after so many bytes of either direction. Those that are open go on.
    pub(crate) fn limit_next(&self, limits: Bytes) {
        *self.shared.next_limits.lock() = limits;
    }

    /// Returns what has passed on the last connection.
    pub(crate) fn passed(&self) -> Bytes {
        let passed = self.shared.passed.lock();
        Bytes {
            up: passed.up.load(Ordering::Relaxed),
            down: passed.down.load(Ordering::Relaxed),
        }
    }

    /// Returns how many connections are open.
    pub(crate) fn open(&self) -> usize {
        let relays = self.shared.relays.lock();
        relays.iter().filter(|it| !it.is_finished()).count()
    }

    /// Returns how many connections there have been.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

async fn relay(mut client: TcpStream, target: SocketAddr, limits: Bytes, passed: Arc<Passed>) {
    let Ok(mut server) = TcpStream::connect(target).await else {
        return;
    };
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    tokio::select! {
        () = pass(from_client, to_server, limits.up, &passed.up) => {}
        () = pass(from_server, to_client, limits.down, &passed.down) => {}
    }
}

/// Passes bytes on until one end has gone, or as many have passed as may.
async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    bytes_max: usize,
    passed: &AtomicUsize,
) {
    let mut left = bytes_max;
    let mut buffer = vec![0; 16 << 10];
    while left > 0 {
        let room = buffer.len().min(left);
        let Ok(count @ 1..) = from.read(&mut buffer[..room]).await else {
            return;
        };
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
        passed.fetch_add(count, Ordering::Relaxed);
        left -= count;
    }
}
