//! Opens connections: directly, or through a SOCKS5 proxy.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio_socks::tcp::Socks5Stream;

use crate::builder::Proxy;

/// Where a data centre is reached.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    /// Tried one after the other.
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) proxy: Option<Proxy>,
}

impl Route {
    /// Opens a connection to the first address that takes one.
    pub(crate) async fn dial(&self) -> io::Result<TcpStream> {
        let mut last = io::Error::new(io::ErrorKind::AddrNotAvailable, "no address is known");
        let share = DIAL_MAX
            / u32::try_from(self.addresses.len())
                .unwrap_or(u32::MAX)
                .max(1);
        for &address in &self.addresses {
            // One that swallows everything must leave time for the others.
            let opened = tokio::time::timeout(share, self.open(address)).await;
            match opened.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn open(&self, address: SocketAddr) -> io::Result<TcpStream> {
        match &self.proxy {
            None => TcpStream::connect(address).await,
            Some(proxy) => through(proxy, address).await,
        }
    }
}

async fn through(proxy: &Proxy, target: SocketAddr) -> io::Result<TcpStream> {
    let opened = match &proxy.credentials {
        None => Socks5Stream::connect(proxy.address, target).await,
        Some((user, password)) => {
            Socks5Stream::connect_with_password(proxy.address, target, user, password).await
        }
    };
    opened
        .map(Socks5Stream::into_inner)
        .map_err(io::Error::other)
}

/// How long the addresses may take together: a little less than an engine waits for a connection.
const DIAL_MAX: Duration = Duration::from_secs(9);

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn an_address_that_swallows_everything_leaves_time_for_the_next() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let proxy = Proxy::socks5(listener.local_addr().unwrap());
        // Of so many each has little time.
        let addresses = vec![proxy.address; 30];
        let serving = tokio::spawn(async move {
            let _swallowing = listener.accept().await.unwrap();
            let (mut second, _) = listener.accept().await.unwrap();
            second.read_exact(&mut [0; 3]).await.unwrap();
            second.write_all(&[5, 0]).await.unwrap();
            second.read_exact(&mut [0; 10]).await.unwrap();
            second
                .write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])
                .await
                .unwrap();
            second
        });
        let route = Route {
            addresses,
            proxy: Some(proxy),
        };
        route.dial().await.unwrap();
        serving.await.unwrap();
    }
}
