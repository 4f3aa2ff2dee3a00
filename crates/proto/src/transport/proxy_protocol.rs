//! The header that a proxy puts in front of a connection to tell whose it is, versions 1 and 2.
//!
//! Source: <https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::error::Error;
use crate::limits::{PROXY_V1_BYTES_MAX, PROXY_V2_BYTES_MAX};

/// What a `PROXY` header says. Nothing, if the proxy speaks for itself or doesn't know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the header names two addresses")]
pub struct Header {
    /// The client.
    pub source: Option<SocketAddr>,
    /// Where the client connected to.
    pub destination: Option<SocketAddr>,
}

/// A header on its way.
#[derive(Debug, Default)]
pub(super) struct Reader {
    bytes: Vec<u8>,
}

impl Reader {
    /// Takes bytes from the front of `input` until the header is whole, and not one more.
    pub(super) fn take(&mut self, input: &mut &mut [u8]) -> Result<Option<Header>, Error> {
        loop {
            let missing = match parse(&self.bytes)? {
                Parsed::Header(header) => return Ok(Some(header)),
                Parsed::Need(bytes) => bytes.saturating_sub(self.bytes.len()).min(input.len()),
            };
            if missing == 0 {
                return Ok(None);
            }
            let Some((taken, rest)) = core::mem::take(input).split_at_mut_checked(missing) else {
                return Ok(None);
            };
            self.bytes.extend_from_slice(taken);
            *input = rest;
        }
    }

    pub(super) fn buffered_bytes(&self) -> usize {
        self.bytes.capacity()
    }
}

enum Parsed {
    /// So many bytes are needed to go on.
    Need(usize),
    Header(Header),
}

fn parse(bytes: &[u8]) -> Result<Parsed, Error> {
    let Some(first) = bytes.first() else {
        return Ok(Parsed::Need(1));
    };
    if V1_SIGNATURE.first() == Some(first) {
        parse_v1(bytes)
    } else {
        parse_v2(bytes)
    }
}

/// `PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n`
fn parse_v1(bytes: &[u8]) -> Result<Parsed, Error> {
    check_signature(bytes, V1_SIGNATURE)?;
    let Some(line) = bytes.strip_suffix(b"\n") else {
        let needed = bytes.len() + 1;
        return if needed > PROXY_V1_BYTES_MAX {
            Err(Error::BadProxyHeader)
        } else {
            Ok(Parsed::Need(needed))
        };
    };
    let line = line
        .strip_suffix(b"\r")
        .and_then(|line| core::str::from_utf8(line).ok());
    let line = line.ok_or(Error::BadProxyHeader)?;
    let mut words = line.split(' ').skip(1);
    let family = words.next();
    if family == Some("UNKNOWN") {
        return Ok(Parsed::Header(Header::default()));
    }
    let mut next = || words.next().ok_or(Error::BadProxyHeader);
    let (source, destination, source_port, destination_port) = (next()?, next()?, next()?, next()?);
    if words.next().is_some() {
        return Err(Error::BadProxyHeader);
    }
    Ok(Parsed::Header(Header {
        source: Some(SocketAddr::new(
            address(family, source)?,
            port(source_port)?,
        )),
        destination: Some(SocketAddr::new(
            address(family, destination)?,
            port(destination_port)?,
        )),
    }))
}

fn address(family: Option<&str>, text: &str) -> Result<IpAddr, Error> {
    let address = match family {
        Some("TCP4") => text.parse().ok().map(IpAddr::V4),
        Some("TCP6") => text.parse().ok().map(IpAddr::V6),
        _ => None,
    };
    address.ok_or(Error::BadProxyHeader)
}

fn port(text: &str) -> Result<u16, Error> {
    // The library would take a plus sign, too.
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Error::BadProxyHeader);
    }
    text.parse().map_err(|_| Error::BadProxyHeader)
}

/// Signature, version and command, family, length of the rest, addresses and ports, extensions.
fn parse_v2(bytes: &[u8]) -> Result<Parsed, Error> {
    check_signature(bytes, V2_SIGNATURE)?;
    let Some(&[version_command, family, high, low]) = bytes
        .get(V2_SIGNATURE.len()..)
        .and_then(<[u8]>::first_chunk)
    else {
        return Ok(Parsed::Need(V2_SIGNATURE.len() + 4));
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > PROXY_V2_BYTES_MAX || !matches!(version_command, V2_LOCAL | V2_PROXY) {
        return Err(Error::BadProxyHeader);
    }
    let Some(body) = bytes
        .get(V2_SIGNATURE.len() + 4..)
        .filter(|body| body.len() >= length)
    else {
        return Ok(Parsed::Need(V2_SIGNATURE.len() + 4 + length));
    };
    if version_command == V2_LOCAL {
        return Ok(Parsed::Header(Header::default()));
    }
    let header = match family {
        FAMILY_UNSPECIFIED => Some(Header::default()),
        FAMILY_TCP4 => tcp4(body),
        FAMILY_TCP6 => tcp6(body),
        FAMILY_UNIX => (body.len() >= UNIX_BYTES).then(Header::default),
        _ => None,
    };
    header.map(Parsed::Header).ok_or(Error::BadProxyHeader)
}

fn tcp4(body: &[u8]) -> Option<Header> {
    let (&source, rest) = body.split_first_chunk::<4>()?;
    let (&destination, rest) = rest.split_first_chunk::<4>()?;
    ports(
        Ipv4Addr::from(source).into(),
        Ipv4Addr::from(destination).into(),
        rest,
    )
}

fn tcp6(body: &[u8]) -> Option<Header> {
    let (&source, rest) = body.split_first_chunk::<16>()?;
    let (&destination, rest) = rest.split_first_chunk::<16>()?;
    ports(
        Ipv6Addr::from(source).into(),
        Ipv6Addr::from(destination).into(),
        rest,
    )
}

fn ports(source: IpAddr, destination: IpAddr, rest: &[u8]) -> Option<Header> {
    let &[a, b, c, d] = rest.first_chunk()?;
    Some(Header {
        source: Some(SocketAddr::new(source, u16::from_be_bytes([a, b]))),
        destination: Some(SocketAddr::new(destination, u16::from_be_bytes([c, d]))),
    })
}

/// Refuses bytes as soon as they can't become a header any more.
fn check_signature(bytes: &[u8], signature: &[u8]) -> Result<(), Error> {
    let is_right = bytes
        .iter()
        .zip(signature)
        .all(|(found, expected)| found == expected);
    if is_right {
        Ok(())
    } else {
        Err(Error::BadProxyHeader)
    }
}

const V1_SIGNATURE: &[u8] = b"PROXY ";

const V2_SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Version 2, command LOCAL: the proxy speaks for itself.
const V2_LOCAL: u8 = 0x20;

/// Version 2, command PROXY.
const V2_PROXY: u8 = 0x21;

const FAMILY_UNSPECIFIED: u8 = 0x00;
const FAMILY_TCP4: u8 = 0x11;
const FAMILY_TCP6: u8 = 0x21;
const FAMILY_UNIX: u8 = 0x31;

/// Two paths of 108 bytes.
const UNIX_BYTES: usize = 216;
