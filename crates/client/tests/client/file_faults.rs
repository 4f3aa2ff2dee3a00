//! Files when something comes between: calls that fail, transfers that are given up, files that move.

use std::sync::atomic::{AtomicBool, Ordering};

use grammers_tl_types::functions::upload;
use grammers_tl_types::{enums, types};
use heliogram_client::files::{Download, FileError};
use heliogram_testkit::backend::{Content, generated};
use heliogram_testkit::server::Servers;
use sha2::{Digest as _, Sha256};

use crate::files::{BYTES, FILE, SEED, add, client_of};

#[tokio::test]
async fn a_download_whose_hashes_could_not_be_asked_for_misses_nothing_and_still_compares() {
    let servers = Servers::start([2]).unwrap();
    let client = client_of(&servers).await;
    let location = add(&servers, 2, BYTES);
    let script = servers.at(2).backend().script();
    for is_damaged in [false, true] {
        script.fail::<upload::GetFileHashes>(1, 400, "LOCATION_INVALID");
        let mut download = client.download(location.clone()).verified();
        let error = download.next().await.map(drop).unwrap_err();
        assert!(matches!(error, FileError::Invoke(_)), "{error:?}");
        if is_damaged {
            replace(&servers, generated(SEED + 1, 0, whole()));
            let error = rest_of(&mut download).await.unwrap_err();
            assert!(
                matches!(error, FileError::Corrupt { offset: 0 }),
                "{error:?}"
            );
        } else {
            assert!(rest_of(&mut download).await.unwrap() == generated(SEED, 0, whole()));
        }
    }
}

#[tokio::test]
async fn after_hashes_that_leave_something_out_a_download_misses_nothing() {
    let servers = Servers::start([2]).unwrap();
    let client = client_of(&servers).await;
    let location = add(&servers, 2, BYTES);
    let was_asked = AtomicBool::new(false);
    let script = servers.at(2).backend().script();
    script.answer::<upload::GetFileHashes>(move |_, _| {
        if was_asked.swap(true, Ordering::Relaxed) {
            return Ok(Vec::new());
        }
        let hash = types::FileHash {
            offset: 5,
            limit: 1 << 17,
            hash: vec![0; 32],
        };
        Ok(vec![enums::FileHash::Hash(hash)])
    });
    let mut download = client.download(location).verified();
    let error = download.next().await.map(drop).unwrap_err();
    assert!(matches!(error, FileError::Unexpected), "{error:?}");
    assert!(rest_of(&mut download).await.unwrap() == generated(SEED, 0, whole()));
}

#[tokio::test]
async fn a_download_goes_on_once_damage_is_mended() {
    let servers = Servers::start([2]).unwrap();
    let client = client_of(&servers).await;
    let mut download = client.download(add(&servers, 2, BYTES)).verified();
    let mut damaged = generated(SEED, 0, whole());
    // In the second block of the first part.
    damaged[200_000] ^= 1;
    replace(&servers, damaged);
    let error = download.next().await.map(drop).unwrap_err();
    assert!(
        matches!(error, FileError::Corrupt { offset: 131_072 }),
        "{error:?}"
    );
    replace(&servers, generated(SEED, 0, whole()));
    assert!(rest_of(&mut download).await.unwrap() == generated(SEED, 0, whole()));
}

#[tokio::test]
async fn a_damaged_block_of_several_parts_is_not_handed_out_when_it_is_asked_for_again() {
    let servers = Servers::start([2]).unwrap();
    let client = client_of(&servers).await;
    let location = add(&servers, 2, BYTES);
    let script = servers.at(2).backend().script();
    script.answer::<upload::GetFileHashes>(|_, request| {
        let offset = u64::try_from(request.offset).unwrap();
        let hash = types::FileHash {
            offset: request.offset,
            limit: 1 << 20,
            hash: Sha256::digest(generated(SEED, offset, 1 << 20)).to_vec(),
        };
        Ok(vec![enums::FileHash::Hash(hash)])
    });
    let mut damaged = generated(SEED, 0, whole());
    damaged[600_000] ^= 1;
    replace(&servers, damaged);
    let mut download = client.download(location).verified();
    assert!(download.next().await.unwrap().is_some());
    for _ in 0..2 {
        let error = download.next().await.map(drop).unwrap_err();
        assert!(
            matches!(error, FileError::Corrupt { offset: 0 }),
            "{error:?}"
        );
    }
    replace(&servers, generated(SEED, 0, whole()));
    assert!(download.next().await.unwrap().is_some());
    assert_eq!(download.position(), 1 << 20);
}

#[tokio::test]
async fn a_file_that_moves_while_it_is_read_is_read_on_where_it_is() {
    let servers = Servers::start([2, 4]).unwrap();
    let client = client_of(&servers).await;
    let location = add(&servers, 2, BYTES);
    let mut download = client.download(location).verified().parts_in_flight(2);
    let mut file = download.next().await.unwrap().unwrap().to_vec();
    servers.cloud().files().move_to(FILE, 4);
    file.extend(rest_of(&mut download).await.unwrap());
    assert!(file == generated(SEED, 0, whole()));
    let there = servers.at(4).backend().ledger();
    assert!(there.calls::<upload::GetFile>() >= 3);
    assert_eq!(client.home(), 2);
}

#[tokio::test]
async fn no_place_is_too_far_to_go_on_at() {
    let servers = Servers::start([2]).unwrap();
    let client = client_of(&servers).await;
    let location = add(&servers, 2, BYTES);
    for position in [BYTES + 1, u64::MAX - (1 << 20), u64::MAX] {
        let mut download = client.download(location.clone()).resume_from(position);
        download.next().await.map(drop).unwrap_err();
        assert_eq!(download.position(), position);
    }
}

#[tokio::test]
async fn an_upload_is_sent_once() {
    let servers = Servers::start([2]).unwrap();
    let client = client_of(&servers).await;
    let file = generated(SEED, 0, whole());
    let script = servers.at(2).backend().script();
    script.fail::<upload::SaveBigFilePart>(1, 400, "FILE_PART_INVALID");
    let mut upload = client.upload(&file[..], "a").parts_in_flight(1);
    let error = upload.send().await.unwrap_err();
    assert!(matches!(error, FileError::Invoke(_)), "{error:?}");
    // What is left of the source is another file.
    let error = upload.send().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "an upload is sent once: begin another one, and resume this one with it"
    );
}

/// Reads up to the end, or to the first error.
async fn rest_of(download: &mut Download) -> Result<Vec<u8>, FileError> {
    let mut rest = Vec::new();
    while let Some(bytes) = download.next().await? {
        rest.extend_from_slice(&bytes);
    }
    Ok(rest)
}

/// Changes the file's bytes, not its hashes.
fn replace(servers: &Servers, bytes: Vec<u8>) {
    let content = Content::Kept(bytes.into());
    servers.cloud().files().replace(FILE, content);
}

fn whole() -> usize {
    usize::try_from(BYTES).unwrap()
}
