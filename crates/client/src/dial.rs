//! Opens connections: directly, or through a SOCKS5 proxy.
//!
//! A name is looked up by whoever opens the connection: this machine, or the proxy.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use tokio::net::TcpStream;
use tokio_socks::IntoTargetAddr;
use tokio_socks::tcp::Socks5Stream;

use crate::limits::DIAL_MAX;
use crate::reach::Proxy;

/// Where a data centre is reached.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    /// Tried one after the other.
    pub(crate) targets: Vec<Target>,
    pub(crate) proxy: Option<Proxy>,
    /// The targets are for files only: connections and keys say so.
    pub(crate) is_media: bool,
}

/// One place that may take a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Address(SocketAddr),
    Name(String, u16),
}

impl Target {
    /// Reads a host: an address, or else a name.
    pub(crate) fn new(host: &str, port: u16) -> Self {
        match host.parse() {
            Ok(ip) => Self::Address(SocketAddr::new(ip, port)),
            Err(_) => Self::Name(host.to_owned(), port),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Name(name, port) => write!(f, "{name}:{port}"),
        }
    }
}

impl Route {
    /// Opens a connection to the first target that takes one, beginning with the one of this number and going round. Returns
    /// the number of the target, too.
    pub(crate) async fn dial(&self, first: usize) -> io::Result<(usize, TcpStream)> {
        let mut last = io::Error::new(io::ErrorKind::AddrNotAvailable, "no address is known");
        let count = self.targets.len();
        let share = DIAL_MAX / u32::try_from(count).unwrap_or(u32::MAX).max(1);
        let first = first.checked_rem(count).unwrap_or(0);
        let round = self.targets.iter().enumerate().cycle();
        for (number, target) in round.skip(first).take(count) {
            // One that swallows everything must leave time for the others.
            let opened = tokio::time::timeout(share, self.open(target)).await;
            match opened.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    return Ok((number, stream));
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn open(&self, target: &Target) -> io::Result<TcpStream> {
        match (&self.proxy, target) {
            (None, Target::Address(address)) => TcpStream::connect(address).await,
            (None, Target::Name(name, port)) => TcpStream::connect((name.as_str(), *port)).await,
            (Some(proxy), Target::Address(address)) => through(proxy, *address).await,
            (Some(proxy), Target::Name(name, port)) => through(proxy, (name.as_str(), *port)).await,
        }
    }
}

async fn through(proxy: &Proxy, target: impl IntoTargetAddr<'_>) -> io::Result<TcpStream> {
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
        let targets = vec![Target::Address(proxy.address); 30];
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
            targets,
            proxy: Some(proxy),
            is_media: false,
        };
        assert_eq!(route.dial(0).await.unwrap().0, 1);
        serving.await.unwrap();
    }

    #[tokio::test]
    async fn every_target_is_tried_once_from_whichever_is_the_first() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let there = Target::Address(listener.local_addr().unwrap());
        let nowhere = Target::Address(([127, 0, 0, 1], 1).into());
        let route = |targets: &[&Target]| Route {
            targets: targets.iter().map(|&it| it.clone()).collect(),
            proxy: None,
            is_media: false,
        };
        let three = route(&[&there, &nowhere, &there]);
        for (first, reached) in [(0, 0), (1, 2), (2, 2), (3, 0), (usize::MAX, 0)] {
            assert_eq!(three.dial(first).await.unwrap().0, reached, "{first}");
        }
        assert!(route(&[&nowhere, &nowhere]).dial(1).await.is_err());
        assert!(route(&[]).dial(1).await.is_err());
    }
}
