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
    /// Length of every part but the last, once one has come that can't be the last.
    part_bytes: Option<usize>,
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
        let expected = self.expected;
        let upload = self.files.entry(key).or_insert_with(|| Upload {
            part_bytes: None,
            parts: BTreeMap::new(),
            total: parts,
            is_big: total.is_some(),
        });
        let is_other_total = parts.is_some() && upload.total.is_some() && parts != upload.total;
        if upload.is_big != total.is_some() || is_other_total {
            return Err(refuse(400, "FILE_PARTS_INVALID"));
        }
        upload.total = upload.total.or(parts);
        upload.check_size(part, bytes.len())?;
        let new = upload.compared(expected, part, bytes)?;
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
        let invalid = || refuse(400, "FILE_PARTS_INVALID");
        let upload = self.files.get(&(user, file));
        let upload = upload.filter(|it| it.is_big == is_big && parts > 0);
        let upload = upload.ok_or_else(invalid)?;
        if let Some(missing) = (0..parts).find(|part| !upload.parts.contains_key(part)) {
            return Err(refuse(400, &format!("FILE_PART_{missing}_MISSING")));
        }
        if upload.parts.len() != parts.unsigned_abs() as usize {
            return Err(invalid());
        }
        upload.check_sizes()?;
        let upload = self.files.remove(&(user, file)).ok_or_else(invalid)?;
        let kept = upload.parts.values().map(Part::kept_bytes).sum::<usize>();
        self.kept_bytes -= kept;
        upload.into_content(self.expected)
    }
}

impl Upload {
    /// Checks what can be checked when a part comes, since parts come in any order.
    fn check_size(&mut self, part: i32, bytes: usize) -> Outcome<()> {
        let may_be_last = match self.total {
            Some(total) => part + 1 == total,
            None => self.parts.range(part + 1..).next().is_none(),
        };
        if may_be_last {
            let is_longer = self.part_bytes.is_some_and(|it| bytes > it);
            return if is_longer {
                Err(refuse(400, "FILE_PART_SIZE_CHANGED"))
            } else {
                Ok(())
            };
        }
        check_whole(bytes)?;
        if *self.part_bytes.get_or_insert(bytes) == bytes {
            Ok(())
        } else {
            Err(refuse(400, "FILE_PART_SIZE_CHANGED"))
        }
    }

    /// Checks all sizes, now that it is known which part is the last.
    fn check_sizes(&self) -> Outcome<()> {
        let mut lengths = self.parts.values().map(Part::len);
        let last = lengths.next_back().unwrap_or(0);
        let Some(first) = lengths.next() else {
            return Ok(());
        };
        check_whole(first)?;
        if last <= first && lengths.all(|it| it == first) {
            Ok(())
        } else {
            Err(refuse(400, "FILE_PART_SIZE_CHANGED"))
        }
    }

    /// Compares a part with what is expected, if it is known where it belongs; it is kept otherwise.
    fn compared(&self, expected: Option<u64>, part: i32, bytes: &[u8]) -> Outcome<Part> {
        let place = expected.zip(self.part_bytes);
        let Some((seed, part_bytes)) = place else {
            return Ok(Part::Kept(bytes.to_vec()));
        };
        let offset = u64::from(part.unsigned_abs()) * part_bytes as u64;
        if generated(seed, offset, bytes.len()) == bytes {
            Ok(Part::Compared { bytes: bytes.len() })
        } else {
            Err(refuse(400, "FILE_PART_INVALID"))
        }
    }

    fn into_content(self, expected: Option<u64>) -> Outcome<Content> {
        let length = self.parts.values().map(Part::len).sum();
        let mut whole = Vec::new();
        let mut offset = 0;
        for part in self.parts.into_values() {
            let part_bytes = part.len() as u64;
            if let Part::Kept(bytes) = part {
                if expected.is_some_and(|seed| generated(seed, offset, bytes.len()) != bytes) {
                    return Err(refuse(400, "FILE_PART_INVALID"));
                }
                if expected.is_none() {
                    whole.extend_from_slice(&bytes);
                }
            }
            offset += part_bytes;
        }
        if let Some(seed) = expected {
            let bytes = offset;
            return Ok(Content::Generated { bytes, seed });
        }
        // Some were compared before comparing was given up: they are not there.
        if whole.len() == length {
            Ok(Content::Kept(Bytes::from(whole)))
        } else {
            Err(refuse(400, "FILE_PARTS_INVALID"))
        }
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

/// Checks the length of a part that is not the last.
fn check_whole(bytes: usize) -> Outcome<()> {
    if bytes.is_multiple_of(1024) && PART_BYTES_MAX.is_multiple_of(bytes) {
        Ok(())
    } else {
        Err(refuse(400, "FILE_PART_SIZE_INVALID"))
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
