//! How servers are reached: addresses, transports, proxies.

use std::fmt;
use std::net::SocketAddr;

use heliogram_proto::transport::Framing;
use heliogram_proto::transport::client::Obfuscation;

/// Where a data centre is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DataCentre {
    /// Its number, from 1.
    pub id: i32,
    /// Where it is reached, IPv4 or IPv6; tried in this order, but for what [`IpVersions`] says.
    pub addresses: Vec<SocketAddr>,
}

impl DataCentre {
    /// Names a data centre and its addresses.
    #[must_use]
    pub fn new(id: i32, addresses: impl IntoIterator<Item = SocketAddr>) -> Self {
        Self {
            id,
            addresses: addresses.into_iter().collect(),
        }
    }
}

/// What is spoken below messages.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Transport {
    /// Frames on TCP.
    Tcp {
        /// Which frames.
        framing: Framing,
        /// Makes the bytes look random; a secret is for servers and proxies that ask for one.
        obfuscation: Option<Obfuscation>,
    },
    /// Obfuscated frames within a WebSocket.
    WebSocket {
        /// Which frames; not [`Framing::Full`].
        framing: Framing,
        /// Where it is asked for: `/apiws`.
        path: String,
    },
}

impl Default for Transport {
    /// Obfuscated intermediate frames, as most clients speak.
    fn default() -> Self {
        Self::Tcp {
            framing: Framing::Intermediate,
            obfuscation: Some(Obfuscation::default()),
        }
    }
}

/// A SOCKS5 proxy.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    /// User and password, if it asks.
    pub credentials: Option<(String, String)>,
}

impl Proxy {
    /// Names a proxy that asks for nothing.
    #[must_use]
    pub const fn socks5(address: SocketAddr) -> Self {
        Self {
            address,
            credentials: None,
        }
    }

    /// Adds user and password.
    #[must_use]
    pub fn with_password(mut self, user: &str, password: &str) -> Self {
        self.credentials = Some((user.to_owned(), password.to_owned()));
        self
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// Which addresses of a data centre are tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum IpVersions {
    /// IPv4, then IPv6; the other way round if the server's configuration says so.
    #[default]
    Both,
    /// IPv6, then IPv4.
    Ipv6First,
    /// IPv4 only.
    Ipv4,
    /// IPv6 only.
    Ipv6,
}

impl IpVersions {
    /// Puts addresses into the order in which to try them, and leaves out those that are not to be tried.
    pub(crate) fn arrange(self, addresses: &mut Vec<SocketAddr>) {
        match self {
            Self::Both => {}
            Self::Ipv6First => addresses.sort_by_key(SocketAddr::is_ipv4),
            Self::Ipv4 => addresses.retain(SocketAddr::is_ipv4),
            Self::Ipv6 => addresses.retain(SocketAddr::is_ipv6),
        }
    }
}
