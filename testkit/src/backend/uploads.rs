//! Parts of files that are on their way up: `upload.saveFilePart`, `upload.saveBigFilePart`.
//!
//! Source: <https://core.telegram.org/api/files#uploading-files>.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::calls::{Outcome, refuse};
use super::content::{Content, generated};

/// Files that are on their way up, of all users.
#[derive(Debug, Default)]
pub(super) struct Uploads {
    files: BTreeMap<(i64, i64), Upload>,
    kept_bytes: usize,
    /// The seed that parts are compared with, in place of being kept.
    expected: Option<u64>,
}

#[derive(Debug)]
struct Upload {
    /// Length of every part but the last.
    part_bytes: usize,
    parts: BTreeMap<i32, Part>,
    /// Of a big file: how many there will be, if its sender has said so.
    total: Option<i32>,
    is_big: bool,
}

#[derive(Debug)]
enum Part {
    Kept(Vec<u8>),
    /// Was as expected.
    Compared {
        bytes: usize,
    },
}

/// One part as it comes.
pub(super) struct Arrival<'a> {
    pub(super) user: i64,
    pub(super) file: i64,
    pub(super) part: i32,
    /// `None` for a small file, -1 if its sender does not know.
    pub(super) total: Option<i32>,
    pub(super) bytes: &'a [u8],
}

impl Uploads {
    /// Compares parts that come from now on with what follows from a seed.
    pub(super) const fn expect(&mut self, seed: u64) {
        self.expected = Some(seed);
    }

    /// Takes a part. The same part again takes the place of the first.
    pub(super) fn save(&mut self, arrival: &Arrival<'_>) -> Outcome<bool> {
        let Arrival {
            user,
            file,
            part,
            total,
            bytes,
        } = *arrival;
        if bytes.is_empty() {
            return Err(refuse(400, "FILE_PART_EMPTY"));
        }
        if bytes.len() > PART_BYTES_MAX {
            return Err(refuse(400, "FILE_PART_TOO_BIG"));
        }
        let parts = total.filter(|&it| it != -1);
        if parts.is_some_and(|it| !(1..=PARTS_MAX).contains(&it)) {
            return Err(refuse(400, "FILE_PARTS_INVALID"));
        }
        if !(0..parts.unwrap_or(PARTS_MAX)).contains(&part) {
            return Err(refuse(400, "FILE_PART_INVALID"));
        }
        let key = (user, file);
        if !self.files.contains_key(&key) && self.files.len() >= UPLOADS_MAX {
            return Err(refuse(420, "FLOOD_WAIT_1"));
        }
        let upload = self.files.entry(key).or_insert_with(|| Upload {
            part_bytes: bytes.len(),
            parts: BTreeMap::new(),
            total: parts,
            is_big: total.is_some(),
        });
        if upload.is_big != total.is_some()
            || (parts.is_some() && upload.total.is_some() && parts != upload.total)
        {
            return Err(refuse(400, "FILE_PARTS_INVALID"));
        }
        upload.total = upload.total.or(parts);
        upload.check_size(part, bytes.len())?;
        let new = match self.expected {
            Some(seed) => {
                let offset = u64::from(part.unsigned_abs()) * upload.part_bytes as u64;
                if generated(seed, offset, bytes.len()) != bytes {
                    return Err(refuse(400, "FILE_PART_INVALID"));
                }
                Part::Compared { bytes: bytes.len() }
            }
            None => Part::Kept(bytes.to_vec()),
        };
        let more = new.kept_bytes();
        if self.kept_bytes + more > KEPT_BYTES_MAX {
            return Err(refuse(400, "FILE_PARTS_INVALID"));
        }
        self.kept_bytes += more;
        if let Some(old) = upload.parts.insert(part, new) {
            self.kept_bytes -= old.kept_bytes();
        }
        Ok(true)
    }

    /// Takes a file's parts together; they are gone then. `parts` is what its sender counts.
    pub(super) fn finish(
        &mut self,
        user: i64,
        file: i64,
        parts: i32,
        is_big: bool,
    ) -> Outcome<Content> {
        let upload = self.files.get(&(user, file));
        let upload = upload.filter(|it| it.is_big == is_big && parts > 0);
        let upload = upload.ok_or_else(|| refuse(400, "FILE_PARTS_INVALID"))?;
        if let Some(missing) = (0..parts).find(|part| !upload.parts.contains_key(part)) {
            return Err(refuse(400, &format!("FILE_PART_{missing}_MISSING")));
        }
        if upload.parts.len() != parts.unsigned_abs() as usize {
            return Err(refuse(400, "FILE_PARTS_INVALID"));
        }
        let whole = upload.parts.range(..parts - 1);
        if whole
            .into_iter()
            .any(|(_, it)| it.len() != upload.part_bytes)
        {
            return Err(refuse(400, "FILE_PART_SIZE_CHANGED"));
        }
        let Some(upload) = self.files.remove(&(user, file)) else {
            return Err(refuse(400, "FILE_PARTS_INVALID"));
        };
        self.kept_bytes -= upload.parts.values().map(Part::kept_bytes).sum::<usize>();
        let length: usize = upload.parts.values().map(Part::len).sum();
        if let Some(seed) = self.expected
            && upload.parts.values().all(|it| it.kept_bytes() == 0)
        {
            let bytes = length as u64;
            return Ok(Content::Generated { bytes, seed });
        }
        let mut whole = Vec::with_capacity(length);
        for part in upload.parts.into_values() {
            if let Part::Kept(bytes) = part {
                whole.extend_from_slice(&bytes);
            }
        }
        Ok(Content::Kept(Bytes::from(whole)))
    }
}

impl Upload {
    /// Sizes: the first that comes may be the last of the file, so that a longer one corrects it.
    fn check_size(&mut self, part: i32, bytes: usize) -> Outcome<()> {
        let is_last = self.parts.range(part + 1..).next().is_none()
            && self.total.is_none_or(|total| part + 1 == total);
        if bytes > self.part_bytes {
            let only_last = self.parts.len() <= 1 && self.parts.keys().all(|&it| it > part);
            if !only_last {
                return Err(refuse(400, "FILE_PART_SIZE_CHANGED"));
            }
            self.part_bytes = bytes;
        }
        if is_last && bytes <= self.part_bytes {
            return Ok(());
        }
        if !bytes.is_multiple_of(1024) || !PART_BYTES_MAX.is_multiple_of(bytes) {
            return Err(refuse(400, "FILE_PART_SIZE_INVALID"));
        }
        if bytes != self.part_bytes {
            return Err(refuse(400, "FILE_PART_SIZE_CHANGED"));
        }
        Ok(())
    }
}

impl Part {
    const fn len(&self) -> usize {
        match self {
            Self::Kept(bytes) => bytes.len(),
            Self::Compared { bytes } => *bytes,
        }
    }

    const fn kept_bytes(&self) -> usize {
        match self {
            Self::Kept(bytes) => bytes.len(),
            Self::Compared { .. } => 0,
        }
    }
}

/// The API's.
const PART_BYTES_MAX: usize = 512 << 10;

/// The API's, for those who pay nothing: `upload_max_fileparts_default`.
const PARTS_MAX: i32 = 4000;

/// Ours: a test that sends more has it [compared](Uploads::expect).
const KEPT_BYTES_MAX: usize = 64 << 20;

/// Ours.
const UPLOADS_MAX: usize = 1000;
