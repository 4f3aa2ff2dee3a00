//! Starts servers with the scripted backend, for programs that are no tests of ours: peers in other languages,
//! benchmarks, a person with a client.
//!
//! ```text
//! heliogram-testbed [--dcs 2,4] [--port PORT] [--file ID:BYTES:SEED]…
//! ```
//!
//! Prints one line of JSON when it listens, and ends with its standard input, so that it never outlives whoever has
//! started it:
//!
//! ```text
//! {"guest":1000,"public_key":"-----BEGIN RSA PUBLIC KEY-----…","modulus":"…","fingerprint":"…",
//!  "dcs":[{"id":2,"tcp":"127.0.0.1:40001","websocket":"127.0.0.1:40002"}],
//!  "files":[{"id":1,"access_hash":"…","file_reference":"0100","bytes":268435456}]}
//! ```
//!
//! The first data centre is home: whoever comes there is user `guest`, unless they sign in as a bot. A file's content
//! follows from its seed: `heliogram_testkit::backend::generated`.

use std::io::Read as _;
use std::net::SocketAddr;

use anyhow::{Context as _, Result, bail};
use heliogram_gateway::Listener;
use heliogram_testkit::backend::Content;
use heliogram_testkit::server::{GUEST, Servers, public_key};
use serde_json::{Value, json};

fn main() -> Result<()> {
    let wishes = Wishes::read(std::env::args().skip(1))?;
    let runtime = tokio::runtime::Runtime::new()?;
    // Servers are started by tasks of the runtime.
    let _within = runtime.enter();
    let servers = wishes.start()?;
    println!("{}", wishes.describe(&servers));
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
struct Wishes {
    dcs: Vec<i32>,
    /// Of the first data centre's TCP; the others take any.
    port: u16,
    files: Vec<File>,
}

#[derive(Debug, PartialEq, Eq)]
struct File {
    id: i64,
    bytes: u64,
    seed: u64,
}

impl Wishes {
    fn read(arguments: impl IntoIterator<Item = String>) -> Result<Self> {
        let mut wishes = Self {
            dcs: vec![2],
            port: 0,
            files: Vec::new(),
        };
        let mut arguments = arguments.into_iter();
        while let Some(option) = arguments.next() {
            let value = arguments.next();
            let value = value.with_context(|| format!("{option} wants a value"))?;
            let invalid = || format!("{option} {value}: not of the form that the option wants");
            match option.as_str() {
                "--dcs" => {
                    let numbers = value.split(',').map(str::parse);
                    wishes.dcs = numbers.collect::<Result<_, _>>().with_context(invalid)?;
                }
                "--port" => wishes.port = value.parse().with_context(invalid)?,
                "--file" => wishes.files.push(File::read(&value).with_context(invalid)?),
                _ => bail!(
                    "usage: heliogram-testbed [--dcs 2,4] [--port PORT] [--file ID:BYTES:SEED]…"
                ),
            }
        }
        Ok(wishes)
    }

    fn start(&self) -> Result<Servers> {
        let home = self.dcs.first().copied();
        let servers = Servers::start_with(self.dcs.iter().copied(), |dc, setup| {
            if Some(dc) == home
                && let Some(first) = setup.gateway.listeners.first_mut()
            {
                let address = SocketAddr::from(([127, 0, 0, 1], self.port));
                *first = Listener::tcp(address);
            }
        })?;
        for file in &self.files {
            let content = Content::Generated {
                bytes: file.bytes,
                seed: file.seed,
            };
            let dc = home.unwrap_or_default();
            servers.cloud().files().add(file.id, dc, content);
        }
        Ok(servers)
    }

    fn describe(&self, servers: &Servers) -> Value {
        let place = |&dc: &i32| {
            let it = servers.at(dc);
            let (tcp, websocket) = (it.address().to_string(), it.websocket().to_string());
            json!({"id": dc, "tcp": tcp, "websocket": websocket})
        };
        let files = servers.cloud().files();
        let file = |it: &File| {
            let location = files.location(it.id);
            let reference = location.as_ref().map(|it| hex(&it.file_reference));
            json!({
                "id": it.id,
                // More than JSON's readers hold in a number.
                "access_hash": location.map(|it| it.access_hash.to_string()),
                "file_reference": reference,
                "bytes": it.bytes,
            })
        };
        let key = public_key();
        json!({
            "guest": GUEST,
            "public_key": key.to_pkcs1_pem(),
            "modulus": hex(key.n()),
            "fingerprint": format!("{:016x}", key.fingerprint().cast_unsigned()),
            "dcs": self.dcs.iter().map(place).collect::<Vec<_>>(),
            "files": self.files.iter().map(file).collect::<Vec<_>>(),
        })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|it| format!("{it:02x}")).collect()
}

impl File {
    fn read(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let file = Self {
            id: parts.next()?.parse().ok()?,
            bytes: parts.next()?.parse().ok()?,
            seed: parts.next()?.parse().ok()?,
        };
        parts.next().is_none().then_some(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Wishes> {
        Wishes::read(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn options_say_which_data_centres_and_files_there_are() {
        let wishes = read("--dcs 2,4 --file 1:268435456:7 --port 9").unwrap();
        assert_eq!(wishes.dcs, [2, 4]);
        assert_eq!(wishes.port, 9);
        let file = File {
            id: 1,
            bytes: 256 << 20,
            seed: 7,
        };
        assert_eq!(wishes.files, [file]);
        assert_eq!(read("").unwrap().dcs, [2]);
    }

    #[test]
    fn what_is_no_option_or_no_value_is_refused() {
        for line in [
            "--dcs",
            "--dcs x",
            "--file 1:2",
            "--file 1:2:3:4",
            "--help 1",
        ] {
            assert!(read(line).is_err(), "{line}");
        }
    }

    #[tokio::test]
    async fn what_is_printed_names_every_place_and_the_key() {
        let wishes = read("--dcs 2,4 --file 5:100:7").unwrap();
        let servers = wishes.start().unwrap();
        let said = wishes.describe(&servers);
        assert_eq!(said["dcs"][1]["id"], 4);
        let tcp = servers.at(4).address().to_string();
        assert_eq!(said["dcs"][1]["tcp"], tcp);
        assert_eq!(said["files"][0]["bytes"], 100);
        assert_eq!(said["files"][0]["file_reference"], "0100");
        let pem = said["public_key"].as_str().unwrap();
        let key = heliogram_crypto::rsa::PublicKey::from_pem(pem).unwrap();
        let fingerprint = format!("{:016x}", key.fingerprint().cast_unsigned());
        assert_eq!(said["fingerprint"], fingerprint);
    }
}
