//! A wire between two processes that can be cut.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

/// Carries connections from an address of its own to another, for as long as the test program lives.
pub(crate) struct Wire {
    address: SocketAddr,
    carried: Arc<Mutex<Vec<TcpStream>>>,
}

impl Wire {
    /// Begins to listen.
    pub(crate) fn to(target: &str) -> Self {
        let port = heliogram_testservices::free_port().unwrap();
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let wire = Self {
            address: listener.local_addr().unwrap(),
            carried: Arc::default(),
        };
        let (target, carried) = (target.to_owned(), Arc::clone(&wire.carried));
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                // A target that isn't there hangs up.
                if let Ok(streams) = carry(client, &target) {
                    lock(&carried).extend(streams);
                }
            }
        });
        wire
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends all connections, whatever is on its way; new ones are carried as before. Returns how many there were.
    pub(crate) fn cut(&self) -> usize {
        let streams = std::mem::take(&mut *lock(&self.carried));
        let ended = streams
            .iter()
            .filter(|it| it.shutdown(Shutdown::Both).is_ok());
        ended.count() / 2
    }
}

fn carry(client: TcpStream, target: &str) -> io::Result<[TcpStream; 2]> {
    let server = TcpStream::connect(target)?;
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
    }
    let streams = [client.try_clone()?, server.try_clone()?];
    for (mut from, mut to) in [(client.try_clone()?, server.try_clone()?), (server, client)] {
        std::thread::spawn(move || {
            let _ = io::copy(&mut from, &mut to);
            // Either end hangs up, both do.
            let _ = to.shutdown(Shutdown::Both);
            let _ = from.shutdown(Shutdown::Both);
        });
    }
    Ok(streams)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
