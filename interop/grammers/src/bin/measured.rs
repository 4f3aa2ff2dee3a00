//! grammers as a program of `cargo xtask bench clients`: connects with a new key, then does what it is asked to.
//!
//! usage: measured ADDRESS KEY.pem DC FILE_ID ACCESS_HASH REFERENCE
//!
//! Says `ready` after its first answer. Then reads lines `work count` and says `done` after each. Whoever asks reads the
//! clock, and what the system has counted for this process. The key is the one of the environment.

use std::error::Error;
use std::net::{SocketAddrV4, SocketAddrV6};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use grammers_mtsender::{SenderPool, SenderPoolFatHandle};
use grammers_session::SessionData;
use grammers_session::storages::MemorySession;
use grammers_session::types::DcOption;
use grammers_tl_types::{enums, functions, types};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::task::JoinSet;

type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, _, dc, id, access_hash, reference] = &arguments[..] else {
        return Err("usage: measured ADDRESS KEY.pem DC FILE_ID ACCESS_HASH REFERENCE".into());
    };
    let dc = dc.parse()?;
    let session: Arc<MemorySession> = Arc::new(session_at(dc, address.parse()?));
    let SenderPool { runner, handle, .. } = SenderPool::new(session, 4);
    tokio::spawn(runner.run());
    let file = types::InputDocumentFileLocation {
        id: id.parse()?,
        access_hash: access_hash.parse()?,
        file_reference: bytes(reference)?,
        thumb_size: String::new(),
    };
    let server = Server { handle, dc };
    server.small().await?;
    println!("ready");
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let (work, count) = line.split_once(' ').ok_or("expected `work count`")?;
        let count = count.parse()?;
        match work {
            "sequential" => together(&server, 1, count, None).await?,
            "in_flight" => together(&server, 1000, count, None).await?,
            "download" => together(&server, 4, count, Some(file.clone())).await?,
            _ => return Err(format!("no such work: {work}").into()),
        }
        println!("done");
    }
    Ok(())
}

#[derive(Clone)]
struct Server {
    handle: SenderPoolFatHandle,
    dc: i32,
}

impl Server {
    async fn small(&self) -> Outcome {
        let method = functions::help::GetNearestDc {};
        self.handle.invoke_in_dc(self.dc, &method).await?;
        Ok(())
    }

    async fn part(&self, file: &types::InputDocumentFileLocation, number: usize) -> Outcome {
        let request = functions::upload::GetFile {
            precise: false,
            cdn_supported: false,
            location: file.clone().into(),
            offset: i64::try_from(number * PART_BYTES)?,
            limit: i32::try_from(PART_BYTES)?,
        };
        match self.handle.invoke_in_dc(self.dc, &request).await? {
            enums::upload::File::File(part) if part.bytes.len() == PART_BYTES => Ok(()),
            _ => Err("a part of another kind or length".into()),
        }
    }
}

/// Makes `count` calls, `width` at a time: parts of a file, or the smallest there is.
async fn together(
    server: &Server,
    width: usize,
    count: usize,
    file: Option<types::InputDocumentFileLocation>,
) -> Outcome {
    let next = Arc::new(AtomicUsize::new(0));
    let mut workers = JoinSet::new();
    for _ in 0..width {
        let (server, next, file) = (server.clone(), Arc::clone(&next), file.clone());
        workers.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return Outcome::Ok(());
                }
                match &file {
                    Some(file) => server.part(file, number).await?,
                    None => server.small().await?,
                }
            }
        });
    }
    while let Some(outcome) = workers.join_next().await {
        outcome??;
    }
    Ok(())
}

fn session_at(dc: i32, address: SocketAddrV4) -> MemorySession {
    let mut data = SessionData::default();
    data.home_dc = dc;
    let ipv6 = SocketAddrV6::new(address.ip().to_ipv6_mapped(), address.port(), 0, 0);
    let option = DcOption {
        id: dc,
        ipv4: address,
        ipv6,
        auth_key: None,
    };
    data.dc_options.insert(dc, option);
    data.into()
}

fn bytes(hex: &str) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
    let byte = |at| u8::from_str_radix(hex.get(at..at + 2).unwrap_or_default(), 16);
    Ok((0..hex.len())
        .step_by(2)
        .map(byte)
        .collect::<Result<_, _>>()?)
}

const PART_BYTES: usize = 512 << 10;
