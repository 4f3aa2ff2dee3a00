//! Opens connections: directly, or through a SOCKS5 proxy.

use std::io;
use std::net::SocketAddr;

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
        for &address in &self.addresses {
            let opened = match &self.proxy {
                None => TcpStream::connect(address).await,
                Some(proxy) => through(proxy, address).await,
            };
            match opened {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
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
