//! Files in parts: whole, in order, over connections of their own, and on from where they were.

use std::sync::{Arc, Mutex};

use grammers_tl_types::functions::{messages, upload};
use grammers_tl_types::{enums, types};
use heliogram_client::files::{FileError, Progress};
use heliogram_client::{Client, DataCentre, InvokeError};
use heliogram_testkit::backend::{Content, generated};
use heliogram_testkit::server::{GUEST, Servers, public_key};
use sha2::{Digest as _, Sha256};

/// Not a whole number of parts.
pub(crate) const BYTES: u64 = 5 * (512 << 10) + 1234;
pub(crate) const SEED: u64 = 7;
pub(crate) const FILE: i64 = 1;

#[tokio::test]
async fn a_download_is_the_file_in_order_and_its_hash() {
    for size in [None, Some(BYTES)] {
        let servers = Servers::start([2]).unwrap();
        let client = client_of(&servers).await;
        let told = Arc::new(Mutex::new(Vec::new()));
        let hear = Arc::clone(&told);
        let mut download = client
            .download(add(&servers, 2, BYTES))
            .on_progress(move |it| hear.lock().unwrap().push(it));
        if let Some(size) = size {
            download = download.size(size);
        }
        let mut file = Vec::new();
        assert_eq!(download.write_to(&mut file).await.unwrap(), BYTES);
        assert!(file == generated(SEED, 0, file.len()), "another file");
        assert_eq!(download.sha256(), <[u8; 32]>::from(Sha256::digest(&file)));
        assert!(download.next().await.unwrap().is_none());
        let last = *told.lock().unwrap().last().unwrap();
        let (bytes, total) = (BYTES, size);
        assert_eq!(last, Progress { bytes, total });
        assert_eq!(told.lock().unwrap().len(), 6);
    }
}

#[tokio::test]
async fn files_of_no_byte_and_of_whole_parts_end_where_they_end() {
    for bytes in [0, 1, 512 << 10, 2 * (512 << 10)] {
        let servers = Servers::start([2]).unwrap();
        let client = client_of(&servers).await;
        let mut file = Vec::new();
        let mut download = client.download(add(&servers, 2, bytes));
        assert_eq!(download.write_to(&mut file).await.unwrap(), bytes);
        assert!(file == generated(SEED, 0, file.len()), "{bytes}");
    }
}

#[tokio::test]
async fn a_download_goes_on_at_any_byte() {
    let servers = Servers::start([2]).unwrap();
    let client = client_of(&servers).await;
    let location = add(&servers, 2, BYTES);
    for position in [0, 1, 524_287, 524_288, 1_000_001, BYTES - 1, BYTES] {
        let mut rest = Vec::new();
        let mut download = client.download(location.clone()).resume_from(position);
        download.write_to(&mut rest).await.unwrap();
        assert_eq!(download.position(), BYTES, "{position}");
        let expected = generated(SEED, position, usize::try_from(BYTES - position).unwrap());
        assert!(rest == expected, "{position}");
    }
}

#[tokio::test]
async fn a_failed_download_goes_on_with_itself() {
    let servers = Servers::start([2]).unwrap();
    let client = client_of(&servers).await;
    let mut download = client.download(add(&servers, 2, BYTES)).parts_in_flight(1);
    let first = download.next().await.unwrap().unwrap();
    let script = servers.at(2).backend().script();
    script.fail::<upload::GetFile>(1, 400, "FILE_REFERENCE_EXPIRED");
    let mut file = first.to_vec();
    let mut failures = 0;
    loop {
        match download.next().await {
            Ok(Some(bytes)) => file.extend_from_slice(&bytes),
            Ok(None) => break,
            Err(FileError::Invoke(InvokeError::Rpc(error))) => {
                assert_eq!(error.name, "FILE_REFERENCE_EXPIRED");
                failures += 1;
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(failures, 1);
    assert!(file == generated(SEED, 0, usize::try_from(BYTES).unwrap()));
}

#[tokio::test]
async fn a_file_that_lives_elsewhere_is_read_there_by_whoever_is_signed_in_at_home() {
    let servers = Servers::start([2, 4]).unwrap();
    let client = client_of(&servers).await;
    let mut file = Vec::new();
    let mut download = client.download(add(&servers, 4, BYTES));
    download.write_to(&mut file).await.unwrap();
    assert!(file == generated(SEED, 0, usize::try_from(BYTES).unwrap()));
    let there = servers.at(4).backend().ledger();
    assert!(there.calls::<upload::GetFile>() >= 6);
    assert_eq!(client.home(), 2);
}

#[tokio::test]
async fn no_more_parts_are_asked_for_than_may_be_in_flight() {
    let servers = Servers::start([2]).unwrap();
    let client = client_of(&servers).await;
    let backend = servers.at(2).backend();
    let held = backend.script().hold::<upload::GetFile>();
    let mut download = client
        .download(add(&servers, 2, 100 * BYTES))
        .parts_in_flight(3);
    let reading = tokio::spawn(async move { download.next().await.map(|it| (it, download)) });
    backend.ledger().wait_for::<upload::GetFile>(3).await;
    drop(held);
    let (first, download) = reading.await.unwrap().unwrap();
    assert!(first.is_some());
    assert_eq!(backend.ledger().calls::<upload::GetFile>(), 3);
    drop(download);
}

#[tokio::test]
async fn what_is_not_as_the_servers_hashes_say_is_not_handed_out() {
    let servers = Servers::start([2]).unwrap();
    let client = client_of(&servers).await;
    let location = add(&servers, 2, BYTES);
    let mut file = Vec::new();
    let mut download = client.download(location.clone()).verified();
    download.write_to(&mut file).await.unwrap();
    assert_eq!(file.len() as u64, BYTES);

    // The hashes stay those of the first content.
    servers.cloud().files().replace(
        FILE,
        Content::Generated {
            bytes: BYTES,
            seed: 8,
        },
    );
    let mut unverified = client.download(location.clone());
    unverified.write_to(&mut Vec::new()).await.unwrap();
    let mut download = client.download(location.clone()).verified();
    let error = download.next().await.map(drop).unwrap_err();
    assert!(
        matches!(error, FileError::Corrupt { offset: 0 }),
        "{error:?}"
    );
    assert_eq!(download.position(), 0);

    servers.cloud().files().hide_hashes(FILE);
    let mut download = client.download(location).verified();
    assert!(
        download.next().await.unwrap().is_some(),
        "there is nothing to compare with"
    );
}

#[tokio::test]
async fn a_file_that_is_shorter_or_longer_than_was_said_is_an_error() {
    let servers = Servers::start([2]).unwrap();
    let client = client_of(&servers).await;
    let location = add(&servers, 2, BYTES);
    for size in [BYTES - 1, BYTES + 1] {
        let mut download = client.download(location.clone()).size(size);
        let error = download.write_to(&mut Vec::new()).await.unwrap_err();
        assert!(matches!(error, FileError::Unexpected), "{error:?}");
    }
}

#[tokio::test]
async fn a_wait_that_is_dropped_loses_no_part_and_compares_all_the_same() {
    let servers = Servers::start([2]).unwrap();
    let client = client_of(&servers).await;
    let backend = servers.at(2).backend();
    let mut download = client.download(add(&servers, 2, BYTES)).verified();
    let held = backend.script().hold::<upload::GetFileHashes>();
    tokio::select! {
        _ = download.next() => panic!("nothing can have come"),
        () = backend.ledger().wait_for::<upload::GetFileHashes>(1) => {}
    }
    drop(held);
    let mut file = Vec::new();
    download.write_to(&mut file).await.unwrap();
    assert!(file == generated(SEED, 0, usize::try_from(BYTES).unwrap()));

    // Whoever goes on after damage is told of it again.
    let damaged = Content::Generated {
        bytes: BYTES,
        seed: SEED + 1,
    };
    servers.cloud().files().replace(FILE, damaged);
    let location = servers.cloud().files().location(FILE).unwrap();
    let mut download = client.download(location.into()).verified();
    for _ in 0..2 {
        let error = download.next().await.map(drop).unwrap_err();
        assert!(
            matches!(error, FileError::Corrupt { offset: 0 }),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn a_small_file_goes_up_with_its_md5_and_a_big_one_in_as_many_parts_as_it_says() {
    for (bytes, is_small) in [(1, true), (10 << 20, true), ((10 << 20) + 1, false)] {
        let servers = Servers::start([2]).unwrap();
        let client = client_of(&servers).await;
        let file = generated(SEED, 0, bytes);
        let mut upload = client.upload(&file[..], "a.bin").size(bytes as u64);
        let uploaded = upload.send().await.unwrap();
        assert_eq!(uploaded.bytes, bytes as u64);
        assert_eq!(uploaded.sha256, <[u8; 32]>::from(Sha256::digest(&file)));
        assert_eq!(matches!(uploaded.file, enums::InputFile::File(_)), is_small);
        let parts = i32::try_from(bytes.div_ceil(512 << 10)).unwrap();
        assert_eq!(upload.parts_done(), parts);
        let content = servers
            .cloud()
            .files()
            .finish(GUEST, &uploaded.file)
            .unwrap();
        assert!(
            matches!(&content, Content::Kept(kept) if *kept == file),
            "{bytes}"
        );
    }
}

#[tokio::test]
async fn the_md5_of_a_small_file_is_that_of_its_bytes() {
    let servers = Servers::start([2]).unwrap();
    let client = client_of(&servers).await;
    let mut upload = client.upload(&b"abc"[..], "abc.txt").size(3);
    let uploaded = upload.send().await.unwrap();
    let enums::InputFile::File(file) = &uploaded.file else {
        panic!("{uploaded:?}")
    };
    // RFC 1321.
    assert_eq!(file.md5_checksum, "900150983cd24fb0d6963f7d28e17f72");
    let media = enums::InputMedia::UploadedDocument(types::InputMediaUploadedDocument {
        nosound_video: false,
        force_file: true,
        spoiler: false,
        file: uploaded.file,
        thumb: None,
        mime_type: "text/plain".to_owned(),
        attributes: Vec::new(),
        stickers: None,
        video_cover: None,
        video_timestamp: None,
        ttl_seconds: None,
    });
    let sent = messages::UploadMedia {
        business_connection_id: None,
        peer: enums::InputPeer::PeerSelf,
        media,
    };
    client.invoke(&sent).await.unwrap();
}

#[tokio::test]
async fn a_source_of_unknown_length_is_a_big_file() {
    let servers = Servers::start([2]).unwrap();
    let client = client_of(&servers).await;
    for bytes in [1, 512 << 10, (512 << 10) + 1] {
        let file = generated(SEED, 0, bytes);
        let uploaded = client.upload(&file[..], "a").send().await.unwrap();
        let content = servers
            .cloud()
            .files()
            .finish(GUEST, &uploaded.file)
            .unwrap();
        assert!(
            matches!(&content, Content::Kept(kept) if *kept == file),
            "{bytes}"
        );
    }
}

#[tokio::test]
async fn an_upload_goes_on_where_it_failed() {
    let servers = Servers::start([2]).unwrap();
    let client = client_of(&servers).await;
    let file = generated(SEED, 0, 12 << 20);
    let script = servers.at(2).backend().script();
    let size = file.len() as u64;
    let mut upload = client.upload(&file[..], "a").size(size).parts_in_flight(1);
    // Some of it is there then.
    let ledger = servers.at(2).backend().ledger();
    let held = script.hold::<upload::SaveBigFilePart>();
    let fails = async {
        ledger.wait_for::<upload::SaveBigFilePart>(1).await;
        script.fail::<upload::SaveBigFilePart>(1, 400, "FILE_PART_TOO_SMALL");
        drop(held);
    };
    let (outcome, ()) = tokio::join!(upload.send(), fails);
    outcome.unwrap_err();
    let (id, done) = (upload.file_id(), upload.parts_done());
    assert_eq!(done, 1);

    let before = ledger.calls::<upload::SaveBigFilePart>();
    let mut again = client.upload(&file[..], "a").size(size).resume(id, done);
    let uploaded = again.send().await.unwrap();
    assert_eq!(ledger.calls::<upload::SaveBigFilePart>() - before, 24 - 1);
    assert_eq!(uploaded.sha256, <[u8; 32]>::from(Sha256::digest(&file)));
    let content = servers
        .cloud()
        .files()
        .finish(GUEST, &uploaded.file)
        .unwrap();
    assert!(matches!(&content, Content::Kept(kept) if *kept == file));
}

#[tokio::test]
async fn sources_that_are_empty_or_not_as_long_as_was_said_are_errors() {
    let servers = Servers::start([2]).unwrap();
    let client = client_of(&servers).await;
    let error = client.upload(&b""[..], "a").send().await.unwrap_err();
    assert!(matches!(error, FileError::Empty), "{error:?}");
    for (said, has) in [(2, 3), (4, 3)] {
        let file = vec![0; has];
        let mut upload = client.upload(&file[..], "a").size(said);
        let error = upload.send().await.unwrap_err();
        assert!(matches!(error, FileError::WrongSize(3)), "{error:?}");
    }
    let most = 4000 * (512 << 10);
    let mut upload = client.upload(&b"a"[..], "a").size(most + 1);
    let error = upload.send().await.unwrap_err();
    assert!(
        matches!(error, FileError::TooLarge(it) if it == most),
        "{error:?}"
    );
    let mut upload = client.upload(&b"a"[..], "a").size(most);
    let error = upload.send().await.unwrap_err();
    assert!(matches!(error, FileError::WrongSize(1)), "{error:?}");
}

pub(crate) fn add(servers: &Servers, dc: i32, bytes: u64) -> enums::InputFileLocation {
    let content = Content::Generated { bytes, seed: SEED };
    servers.cloud().files().add(FILE, dc, content)
}

pub(crate) async fn client_of(servers: &Servers) -> Client {
    let mut builder = Client::builder()
        .api_id(4)
        .api_hash("hash")
        .server_key(public_key());
    for (dc, address) in servers.addresses() {
        builder = builder.data_centre(DataCentre::new(dc, [address]));
    }
    builder.connect().await.unwrap()
}
