//! What a new user sees: fingerprint, addresses, and the lines of Python that connect a real client.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use crate::config::{Config, DcId};
use crate::endpoints::Endpoints;
use crate::server_key::ServerKey;

/// Everything that `serve` says on standard output once it listens.
#[derive(Debug)]
pub(crate) struct Welcome<'a> {
    /// The public key's fingerprint.
    fingerprint: Fingerprint,
    /// The public key's file, absolute.
    public_key: &'a Path,
    /// The configured data centre.
    dc: DcId,
    /// Where it listens.
    endpoints: &'a Endpoints,
    /// The application that the Python lines name.
    api_id: i32,
}

impl fmt::Display for Welcome<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "Heliogram {} serves data centre {}.",
            env!("CARGO_PKG_VERSION"),
            self.dc
        )?;
        writeln!(f)?;
        writeln!(f, "  public key   {}", self.public_key.display())?;
        writeln!(f, "  fingerprint  {}", self.fingerprint)?;
        for address in &self.endpoints.tcp {
            writeln!(f, "  tcp          {address}")?;
        }
        for address in &self.endpoints.websocket {
            writeln!(f, "  websocket    ws://{address}/apiws")?;
        }
        writeln!(
            f,
            "  admin        http://{0}/ready  http://{0}/live",
            self.endpoints.admin
        )?;
        let Some(&address) = self.endpoints.tcp.first() else {
            return Ok(());
        };
        writeln!(f)?;
        writeln!(f, "Connect Telethon (pip install telethon):")?;
        writeln!(f)?;
        self.python(f, reachable(address))
    }
}

impl<'a> Welcome<'a> {
    /// Collects what is to be said.
    pub(crate) fn new(key: &'a ServerKey, config: &Config, endpoints: &'a Endpoints) -> Self {
        let allowed = config.api.allowed.first();
        Self {
            fingerprint: key.fingerprint(),
            public_key: &key.public_path,
            dc: config.dc,
            endpoints,
            api_id: allowed.map_or(EXAMPLE_API_ID, |application| application.api_id),
        }
    }

    fn python(&self, f: &mut fmt::Formatter<'_>, address: SocketAddr) -> fmt::Result {
        let Self {
            public_key,
            dc,
            api_id,
            ..
        } = self;
        let key = python_string(&public_key.display().to_string());
        let host = python_string(&address.ip().to_string());
        let port = address.port();
        write!(
            f,
            "import asyncio
from telethon import TelegramClient, functions
from telethon.crypto import rsa

async def main():
    rsa._server_keys.clear()
    rsa.add_key(open({key}).read(), old=False)
    client = TelegramClient('heliogram', {api_id}, '{EXAMPLE_API_HASH}')
    client.session.set_dc({dc}, {host}, {port})
    await client.connect()
    print((await client(functions.help.GetConfigRequest())).stringify())
    await client.disconnect()

asyncio.run(main())
"
        )
    }
}

/// An RSA key's fingerprint, in the three forms in which clients and tools show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint(pub(crate) i64);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unsigned = self.0.cast_unsigned();
        write!(
            f,
            "0x{unsigned:016x}  signed {}  unsigned {unsigned}",
            self.0
        )
    }
}

/// Nobody can connect to an unspecified address, though many listen on it.
pub(crate) fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        let local = if address.is_ipv4() {
            IpAddr::V4(Ipv4Addr::LOCALHOST)
        } else {
            std::net::Ipv6Addr::LOCALHOST.into()
        };
        address.set_ip(local);
    }
    address
}

/// Quotes as Python reads it, whatever the path contains.
fn python_string(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('\'');
    for character in text.chars() {
        match character {
            '\'' | '\\' => quoted.extend(['\\', character]),
            '\n' => quoted.push_str("\\n"),
            _ => quoted.push(character),
        }
    }
    quoted.push('\'');
    quoted
}

/// The application that clients' own examples use; an allow-list names its own.
const EXAMPLE_API_ID: i32 = 4;

const EXAMPLE_API_HASH: &str = "014b35b6184100b085b0d0572f9b5103";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_shows_in_hexadecimal_signed_and_unsigned() {
        assert_eq!(
            Fingerprint(-1).to_string(),
            "0xffffffffffffffff  signed -1  unsigned 18446744073709551615"
        );
        assert_eq!(
            Fingerprint(1).to_string(),
            "0x0000000000000001  signed 1  unsigned 1"
        );
    }

    #[test]
    fn the_python_lines_name_key_data_centre_and_a_reachable_address() {
        let endpoints = Endpoints {
            tcp: vec!["0.0.0.0:10443".parse().unwrap()],
            websocket: vec!["127.0.0.1:11443".parse().unwrap()],
            admin: "127.0.0.1:8088".parse().unwrap(),
            cluster: None,
            push: None,
        };
        let welcome = Welcome {
            fingerprint: Fingerprint(5),
            public_key: Path::new("/it's/key.pem"),
            dc: DcId::DEFAULT,
            endpoints: &endpoints,
            api_id: EXAMPLE_API_ID,
        };

        let text = welcome.to_string();

        for line in [
            "rsa.add_key(open('/it\\'s/key.pem').read(), old=False)",
            "client.session.set_dc(2, '127.0.0.1', 10443)",
            "ws://127.0.0.1:11443/apiws",
            "http://127.0.0.1:8088/ready",
        ] {
            assert!(text.contains(line), "{line} is not in {text}");
        }
    }
}
