//! Our client as a program of `cargo xtask bench clients`: connects with a new key, then does what it is asked to.
//!
//! usage: client ADDRESS KEY.pem DC FILE_ID ACCESS_HASH REFERENCE
//!
//! Says `ready` after its first answer. Then reads lines `work count` and says `done` after each. Whoever asks reads the
//! clock, and what the system has counted for this process.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use grammers_tl_types::{functions, types};
use heliogram_client::{Client, DataCentre, PublicKey};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::task::JoinSet;

type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, key, dc, id, access_hash, reference] = &arguments[..] else {
        return Err("usage: client ADDRESS KEY.pem DC FILE_ID ACCESS_HASH REFERENCE".into());
    };
    let client = Client::builder()
        .api_id(4)
        .api_hash("014b35b6184100b085b0d0572f9b5103")
        .server_key(PublicKey::from_pem(&std::fs::read_to_string(key)?)?)
        .data_centre(DataCentre::new(dc.parse()?, [address.parse()?]))
        .without_updates()
        .file_connections(1)
        .connect()
        .await?;
    let file = types::InputDocumentFileLocation {
        id: id.parse()?,
        access_hash: access_hash.parse()?,
        file_reference: bytes(reference)?,
        thumb_size: String::new(),
    };
    client.invoke(&functions::help::GetNearestDc {}).await?;
    println!("ready");
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let (work, count) = line.split_once(' ').ok_or("expected `work count`")?;
        let count = count.parse()?;
        match work {
            "sequential" => together(&client, 1, count).await?,
            "in_flight" => together(&client, 1000, count).await?,
            "download" => download(&client, &file, count).await?,
            _ => return Err(format!("no such work: {work}").into()),
        }
        println!("done");
    }
    client.shutdown().await;
    Ok(())
}

/// Makes `count` calls, `width` at a time.
async fn together(client: &Client, width: usize, count: usize) -> Outcome {
    let next = Arc::new(AtomicUsize::new(0));
    let mut workers = JoinSet::new();
    for _ in 0..width {
        let (client, next) = (client.clone(), Arc::clone(&next));
        workers.spawn(async move {
            while next.fetch_add(1, Ordering::Relaxed) < count {
                client.invoke(&functions::help::GetNearestDc {}).await?;
            }
            Outcome::Ok(())
        });
    }
    while let Some(outcome) = workers.join_next().await {
        outcome??;
    }
    Ok(())
}

/// Reads so many parts of a file, as a user would: four are in flight.
async fn download(
    client: &Client,
    file: &types::InputDocumentFileLocation,
    parts: usize,
) -> Outcome {
    let bytes = u64::try_from(parts * PART_BYTES)?;
    let mut download = client.download(file.clone().into()).size(bytes);
    while download.next().await?.is_some() {}
    if download.position() == bytes {
        Ok(())
    } else {
        Err("another length".into())
    }
}

fn bytes(hex: &str) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
    let byte = |at| u8::from_str_radix(hex.get(at..at + 2).unwrap_or_default(), 16);
    Ok((0..hex.len())
        .step_by(2)
        .map(byte)
        .collect::<Result<_, _>>()?)
}

const PART_BYTES: usize = 512 << 10;
