//! Documents on their way down.

use grammers_tl_types::functions::messages::UploadMedia;
use grammers_tl_types::functions::upload::{GetFile, GetFileHashes, SaveFilePart};
use grammers_tl_types::{enums, types};
use sha2::{Digest as _, Sha256};

use super::{ask, backend};
use crate::backend::{Backend, Content};

const KIB: i64 = 1 << 10;
const MIB: i64 = 1 << 20;

#[test]
fn offsets_and_limits_are_whole_blocks_and_cross_no_mebibyte() {
    let (backend, location) = with_file();
    for (precise, offset, limit, outcome) in [
        (false, 0, 4 * KIB, "ok"),
        (false, 0, MIB, "ok"),
        (false, 4 * KIB, 4 * KIB, "ok"),
        (false, KIB, 4 * KIB, "400 OFFSET_INVALID"),
        (false, -4 * KIB, 4 * KIB, "400 OFFSET_INVALID"),
        (false, 0, KIB, "400 LIMIT_INVALID"),
        (false, 0, 0, "400 LIMIT_INVALID"),
        (false, 0, -1, "400 LIMIT_INVALID"),
        (false, 0, 2 * MIB, "400 LIMIT_INVALID"),
        (false, 0, 12 * KIB, "400 LIMIT_INVALID"),
        (false, MIB - 4 * KIB, 8 * KIB, "400 LIMIT_INVALID"),
        (true, KIB, KIB, "ok"),
        (true, 0, 3 * KIB, "ok"),
        (true, 0, MIB, "ok"),
        (true, 512, KIB, "400 OFFSET_INVALID"),
        (true, 0, 512, "400 LIMIT_INVALID"),
        (true, 0, MIB + KIB, "400 LIMIT_INVALID"),
        (true, MIB - KIB, 2 * KIB, "400 LIMIT_INVALID"),
    ] {
        let method = GetFile {
            precise,
            cdn_supported: false,
            location: location.clone(),
            offset,
            limit: limit.try_into().unwrap(),
        };
        let got = ask(&backend, &method).map_or_else(|it| it, |_| "ok".to_owned());
        assert_eq!(got, outcome, "{precise} {offset} {limit}");
    }
}

#[test]
fn behind_the_end_there_is_nothing_and_across_it_what_is_left() {
    let (backend, location) = with_file();
    assert_eq!(read(&backend, &location, 2 * MIB).unwrap().len(), 100);
    assert_eq!(
        read(&backend, &location, 2 * MIB + 4 * KIB).unwrap().len(),
        0
    );
}

#[test]
fn a_location_is_known_by_number_hash_and_the_newest_reference() {
    let (backend, location) = with_file();
    let read = |location: &_| read(&backend, location, 0).map(|_| ());
    let enums::InputFileLocation::InputDocumentFileLocation(it) = location.clone() else {
        panic!("a document")
    };
    let with = |it| enums::InputFileLocation::InputDocumentFileLocation(it);
    let refused = |name: &str| Err(format!("400 {name}"));
    let other = types::InputDocumentFileLocation {
        id: 2,
        ..it.clone()
    };
    assert_eq!(read(&with(other)), refused("FILE_ID_INVALID"));
    let guessed = types::InputDocumentFileLocation {
        access_hash: 1,
        ..it.clone()
    };
    assert_eq!(read(&with(guessed)), refused("FILE_ID_INVALID"));
    let bare = types::InputDocumentFileLocation {
        file_reference: Vec::new(),
        ..it
    };
    assert_eq!(read(&with(bare)), refused("FILE_REFERENCE_EMPTY"));
    assert_eq!(
        read(&enums::InputFileLocation::InputTakeoutFileLocation),
        refused("LOCATION_INVALID")
    );

    let newer = backend.cloud().files().renew(1).unwrap();
    assert_eq!(read(&location), refused("FILE_REFERENCE_EXPIRED"));
    assert_eq!(read(&newer), Ok(()));
}

#[test]
fn a_document_of_another_data_centre_is_read_there() {
    let (backend, location) = with_file();
    backend.cloud().files().move_to(1, 4);
    let elsewhere = read(&backend, &location, 0);
    assert_eq!(elsewhere, Err("303 FILE_MIGRATE_4".to_owned()));
}

#[test]
fn hashes_are_of_128_kib_each_from_where_one_asks_and_of_a_mebibyte_in_one_answer() {
    let (backend, location) = with_file();
    let hashes = |offset| {
        let location = location.clone();
        let all = ask(&backend, &GetFileHashes { location, offset }).unwrap();
        all.into_iter()
            .map(|it| {
                let enums::FileHash::Hash(it) = it;
                it
            })
            .collect::<Vec<_>>()
    };
    let first = hashes(0);
    assert_eq!(first.len(), 8);
    let content = Content::Generated {
        bytes: 128 << 10,
        seed: 3,
    }
    .read(0, usize::MAX);
    assert_eq!(first[0].hash, Sha256::digest(&content).to_vec());
    assert_eq!((first[1].offset, first[1].limit), (128 * KIB, 128 << 10));
    let last = hashes(2 * MIB);
    assert_eq!(
        (last[0].offset, last[0].limit, last.len()),
        (2 * MIB, 100, 1)
    );
    assert_eq!(hashes(3 * MIB), []);
    backend.cloud().files().hide_hashes(1);
    assert_eq!(hashes(0), []);
}

#[test]
fn uploaded_parts_become_a_document() {
    let backend = backend();
    let part = SaveFilePart {
        file_id: 5,
        file_part: 0,
        bytes: b"hello".to_vec(),
    };
    ask(&backend, &part).unwrap();
    let media = types::InputMediaUploadedDocument {
        nosound_video: false,
        force_file: true,
        spoiler: false,
        file: types::InputFile {
            id: 5,
            parts: 1,
            name: "a".to_owned(),
            md5_checksum: String::new(),
        }
        .into(),
        thumb: None,
        mime_type: "text/plain".to_owned(),
        attributes: Vec::new(),
        stickers: None,
        video_cover: None,
        video_timestamp: None,
        ttl_seconds: None,
    };
    let method = UploadMedia {
        business_connection_id: None,
        peer: enums::InputPeer::PeerSelf,
        media: media.into(),
    };
    let enums::MessageMedia::Document(media) = ask(&backend, &method).unwrap() else {
        panic!("a document")
    };
    let Some(enums::Document::Document(it)) = media.document else {
        panic!("a document")
    };
    assert_eq!(
        (it.size, it.dc_id, it.mime_type.as_str()),
        (5, 2, "text/plain")
    );
    let location = types::InputDocumentFileLocation {
        id: it.id,
        access_hash: it.access_hash,
        file_reference: it.file_reference,
        thumb_size: String::new(),
    };
    assert_eq!(read(&backend, &location.into(), 0).unwrap(), b"hello");
}

/// Two mebibytes and a hundred bytes.
fn with_file() -> (std::sync::Arc<Backend>, enums::InputFileLocation) {
    let backend = backend();
    let content = Content::Generated {
        bytes: (2 << 20) + 100,
        seed: 3,
    };
    let location = backend.cloud().files().add(1, 2, content);
    (backend, location)
}

fn read(
    backend: &Backend,
    location: &enums::InputFileLocation,
    offset: i64,
) -> Result<Vec<u8>, String> {
    let method = GetFile {
        precise: false,
        cdn_supported: false,
        location: location.clone(),
        offset,
        limit: 4 << 10,
    };
    match ask(backend, &method)? {
        enums::upload::File::File(it) => Ok(it.bytes),
        enums::upload::File::CdnRedirect(_) => panic!("nothing redirects"),
    }
}
