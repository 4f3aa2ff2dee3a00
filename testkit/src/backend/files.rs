//! Files: `upload.getFile`, `upload.getFileHashes`, and what becomes of uploaded parts.
//!
//! Source: <https://core.telegram.org/api/files#downloading-files>.

use std::collections::BTreeMap;

use grammers_tl_types::{enums, functions::messages, functions::upload, types};
use md5::Md5;
use sha2::{Digest as _, Sha256};

use super::Backend;
use super::calls::{Asked, Outcome, refuse};
use super::content::Content;
use super::things::{access_hash, now_unix_s};
use super::uploads::{Arrival, Uploads};

/// Documents of all data centres, and parts on their way up.
#[derive(Debug, Default)]
pub struct Files {
    uploads: Uploads,
    documents: BTreeMap<i64, Document>,
}

#[derive(Clone, Debug)]
struct Document {
    content: Content,
    /// What its hashes are of.
    hashed: Content,
    dc: i32,
    /// How often its reference was renewed: older ones are refused.
    edition: u8,
    has_hashes: bool,
}

impl Files {
    /// Adds a document that is kept at a data centre; returns where it is read.
    pub fn add(&mut self, id: i64, dc: i32, content: Content) -> enums::InputFileLocation {
        let document = Document {
            hashed: content.clone(),
            content,
            dc,
            edition: 0,
            has_hashes: true,
        };
        let location = document.location(id);
        self.documents.insert(id, document);
        location.into()
    }

    /// Renews a document's reference: who reads by the old one is told `FILE_REFERENCE_EXPIRED`.
    pub fn renew(&mut self, id: i64) -> Option<enums::InputFileLocation> {
        let document = self.documents.get_mut(&id)?;
        document.edition = document.edition.wrapping_add(1);
        Some(document.location(id).into())
    }

    /// Changes what is in a document, not what it says of itself: damage on the way.
    pub fn replace(&mut self, id: i64, content: Content) {
        if let Some(document) = self.documents.get_mut(&id) {
            document.content = content;
        }
    }

    /// Answers no more for a document's hashes.
    pub fn hide_hashes(&mut self, id: i64) {
        if let Some(document) = self.documents.get_mut(&id) {
            document.has_hashes = false;
        }
    }

    /// Moves a document: who reads it elsewhere is told `FILE_MIGRATE_X`.
    pub fn move_to(&mut self, id: i64, dc: i32) {
        if let Some(document) = self.documents.get_mut(&id) {
            document.dc = dc;
        }
    }

    /// Compares uploaded parts with the [generated](super::generated) file of a seed, in place of keeping them: what
    /// differs is refused with `FILE_PART_INVALID`.
    pub const fn expect_uploads_of(&mut self, seed: u64) {
        self.uploads.expect(seed);
    }

    /// Returns where a document is read.
    #[must_use]
    pub fn location(&self, id: i64) -> Option<types::InputDocumentFileLocation> {
        self.documents.get(&id).map(|it| it.location(id))
    }

    /// Returns what is in a document.
    #[must_use]
    pub fn content(&self, id: i64) -> Option<&Content> {
        self.documents.get(&id).map(|it| &it.content)
    }

    /// Takes the parts together that a user has sent of a file.
    ///
    /// # Errors
    ///
    /// As the API says it: `FILE_PARTS_INVALID`, `FILE_PART_X_MISSING`, `MD5_CHECKSUM_INVALID`.
    pub fn finish(&mut self, user: i64, file: &enums::InputFile) -> Outcome<Content> {
        match file {
            enums::InputFile::File(it) => {
                let content = self.uploads.finish(user, it.id, it.parts, false)?;
                if !it.md5_checksum.is_empty() && it.md5_checksum != md5_of(&content) {
                    return Err(refuse(400, "MD5_CHECKSUM_INVALID"));
                }
                Ok(content)
            }
            enums::InputFile::Big(it) => self.uploads.finish(user, it.id, it.parts, true),
            enums::InputFile::StoryDocument(_) => Err(refuse(400, "FILE_ID_INVALID")),
        }
    }

    /// Finds what is to be read at a data centre.
    fn find(&self, dc: i32, location: &enums::InputFileLocation) -> Outcome<&Document> {
        let enums::InputFileLocation::InputDocumentFileLocation(location) = location else {
            return Err(refuse(400, "LOCATION_INVALID"));
        };
        let id = location.id;
        let document = self.documents.get(&id);
        let document = document.filter(|_| location.access_hash == access_hash(id));
        let document = document.ok_or_else(|| refuse(400, "FILE_ID_INVALID"))?;
        if !location.thumb_size.is_empty() {
            return Err(refuse(400, "LOCATION_INVALID"));
        }
        if location.file_reference.is_empty() {
            return Err(refuse(400, "FILE_REFERENCE_EMPTY"));
        }
        if location.file_reference != document.reference() {
            return Err(refuse(400, "FILE_REFERENCE_EXPIRED"));
        }
        if document.dc != dc {
            return Err(refuse(303, &format!("FILE_MIGRATE_{}", document.dc)));
        }
        Ok(document)
    }
}

impl Document {
    fn reference(&self) -> Vec<u8> {
        vec![1, self.edition]
    }

    fn location(&self, id: i64) -> types::InputDocumentFileLocation {
        types::InputDocumentFileLocation {
            id,
            access_hash: access_hash(id),
            file_reference: self.reference(),
            thumb_size: String::new(),
        }
    }
}

impl Backend {
    pub(super) fn on_save_file_part(
        &self,
        asked: &Asked<'_, upload::SaveFilePart>,
    ) -> Outcome<bool> {
        let request = &asked.request;
        self.save(&Arrival {
            user: asked.user,
            file: request.file_id,
            part: request.file_part,
            total: None,
            bytes: &request.bytes,
        })
    }

    pub(super) fn on_save_big_file_part(
        &self,
        asked: &Asked<'_, upload::SaveBigFilePart>,
    ) -> Outcome<bool> {
        let request = &asked.request;
        self.save(&Arrival {
            user: asked.user,
            file: request.file_id,
            part: request.file_part,
            total: Some(request.file_total_parts),
            bytes: &request.bytes,
        })
    }

    fn save(&self, arrival: &Arrival<'_>) -> Outcome<bool> {
        let token = arrival.file.wrapping_add(i64::from(arrival.part));
        let saved = self.cloud.files().uploads.save(arrival)?;
        self.ledger.run(token);
        Ok(saved)
    }

    pub(super) fn on_get_file(
        &self,
        asked: &Asked<'_, upload::GetFile>,
    ) -> Outcome<enums::upload::File> {
        let request = &asked.request;
        let files = self.cloud.files();
        let document = files.find(self.dc, &request.location)?;
        let (offset, limit) = range(request)?;
        Ok(types::upload::File {
            r#type: enums::storage::FileType::FilePartial,
            mtime: 0,
            bytes: document.content.read(offset, limit),
        }
        .into())
    }

    pub(super) fn on_get_file_hashes(
        &self,
        asked: &Asked<'_, upload::GetFileHashes>,
    ) -> Outcome<Vec<enums::FileHash>> {
        let request = &asked.request;
        let files = self.cloud.files();
        let document = files.find(self.dc, &request.location)?;
        let offset = u64::try_from(request.offset).map_err(|_| refuse(400, "OFFSET_INVALID"))?;
        if !document.has_hashes {
            return Ok(Vec::new());
        }
        let first = offset / HASHED_BYTES as u64;
        let hash = |at: u64| {
            let offset = at * HASHED_BYTES as u64;
            let bytes = document.hashed.read(offset, HASHED_BYTES);
            let is_there = !bytes.is_empty();
            is_there.then(|| {
                enums::FileHash::Hash(types::FileHash {
                    offset: i64::try_from(offset).unwrap_or(i64::MAX),
                    limit: i32::try_from(bytes.len()).unwrap_or(i32::MAX),
                    hash: Sha256::digest(&bytes).to_vec(),
                })
            })
        };
        Ok((first..first + HASHES_MAX).map_while(hash).collect())
    }

    pub(super) fn on_upload_media(
        &self,
        asked: &Asked<'_, messages::UploadMedia>,
    ) -> Outcome<enums::MessageMedia> {
        let enums::InputMedia::UploadedDocument(media) = &asked.request.media else {
            return Err(refuse(400, "MEDIA_INVALID"));
        };
        let mut files = self.cloud.files();
        let content = files.finish(asked.user, &media.file)?;
        let size = i64::try_from(content.len()).unwrap_or(i64::MAX);
        let id = files.documents.keys().next_back().map_or(1, |it| it + 1);
        files.add(id, self.dc, content);
        let document = types::Document {
            id,
            access_hash: access_hash(id),
            file_reference: files.documents[&id].reference(),
            date: now_unix_s(),
            mime_type: media.mime_type.clone(),
            size,
            thumbs: None,
            video_thumbs: None,
            dc_id: self.dc,
            attributes: media.attributes.clone(),
        };
        Ok(types::MessageMediaDocument {
            nopremium: false,
            spoiler: false,
            video: false,
            round: false,
            voice: false,
            document: Some(document.into()),
            alt_documents: None,
            video_cover: None,
            video_timestamp: None,
            ttl_seconds: None,
        }
        .into())
    }
}

/// Returns the sum of a file's bytes as small files carry it: in hexadecimal.
fn md5_of(content: &Content) -> String {
    let mut sum = Md5::new();
    let mut offset = 0;
    loop {
        let bytes = content.read(offset, FRAGMENT_BYTES);
        if bytes.is_empty() {
            break;
        }
        sum.update(&bytes);
        offset += bytes.len() as u64;
    }
    let sum = sum.finalize();
    sum.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Checks what the API asks of offsets and limits: whole blocks, and no fragment across a mebibyte.
fn range(request: &upload::GetFile) -> Outcome<(u64, usize)> {
    let block = if request.precise { 1 << 10 } else { 4 << 10 };
    let offset = u64::try_from(request.offset).unwrap_or(u64::MAX);
    if !offset.is_multiple_of(block) {
        return Err(refuse(400, "OFFSET_INVALID"));
    }
    let limit = usize::try_from(request.limit).unwrap_or(0);
    let is_even = request.precise || (limit != 0 && FRAGMENT_BYTES.is_multiple_of(limit));
    let is_whole = limit != 0 && (limit as u64).is_multiple_of(block);
    if limit > FRAGMENT_BYTES || !is_whole || !is_even {
        return Err(refuse(400, "LIMIT_INVALID"));
    }
    let fragment = |at: u64| at / FRAGMENT_BYTES as u64;
    if fragment(offset) != fragment(offset + limit as u64 - 1) {
        return Err(refuse(400, "LIMIT_INVALID"));
    }
    Ok((offset, limit))
}

/// A fragment lies within one of these.
const FRAGMENT_BYTES: usize = 1 << 20;

/// What one hash is of.
const HASHED_BYTES: usize = 128 << 10;

/// In one answer: a mebibyte's.
const HASHES_MAX: u64 = 8;
