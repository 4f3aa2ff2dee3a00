//! Uploads: `upload.saveFilePart` for small files, `upload.saveBigFilePart` for others.

use std::fmt;

use bytes::{Bytes, BytesMut};
use grammers_tl_types::functions::upload::{SaveBigFilePart, SaveFilePart};
use grammers_tl_types::{enums, types};
use heliogram_ports::random;
use md5::Md5;
use rand_core::Rng as _;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::client::Client;
use crate::error::InvokeError;
use crate::files::parts::InFlight;
use crate::files::{FileError, OnProgress, Progress};
use crate::limits::{
    FILE_PART_BYTES, FILE_PARTS_IN_FLIGHT_MAX, FILE_PARTS_MAX, SMALL_FILE_BYTES_MAX,
};
use crate::lines::Lane;
use crate::method::Method as _;

/// A file on its way up. Nothing is read before [`Upload::send`].
#[must_use = "nothing is sent before `send`"]
pub struct Upload<R> {
    client: Client,
    source: R,
    name: String,
    file_id: i64,
    size: Option<u64>,
    /// So many parts are there already.
    parts_there: i32,
    parts_max: usize,
    on_progress: Option<OnProgress>,
    /// Parts that the server has, without a gap.
    parts_done: i32,
    bytes_done: u64,
    /// The source has been read from.
    has_begun: bool,
}

/// What was sent: to be named in `inputMediaUploadedDocument` and its like.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Uploaded {
    /// How later calls name it; small ones with their MD5.
    pub file: enums::InputFile,
    /// How many bytes it has.
    pub bytes: u64,
    /// Of all its bytes.
    pub sha256: [u8; 32],
}

/// What all of a file's bytes go through.
struct Digests {
    sha256: Sha256,
    /// Of small files: the API asks for it.
    md5: Md5,
}

impl Client {
    /// Begins to upload what `source` holds, from its first byte to its end, as a file of this name.
    pub fn upload<R: AsyncRead + Unpin + Send>(&self, source: R, name: &str) -> Upload<R> {
        Upload {
            client: self.clone(),
            source,
            name: name.to_owned(),
            file_id: random::lend().next_u64().cast_signed(),
            size: None,
            parts_there: 0,
            parts_max: 4,
            on_progress: None,
            parts_done: 0,
            bytes_done: 0,
            has_begun: false,
        }
    }
}

impl<R: AsyncRead + Unpin + Send> Upload<R> {
    /// Says how many bytes the source has: those of up to ten mebibytes are sent as small files then, with their MD5.
    /// Without it every file is a big one.
    pub const fn size(mut self, bytes: u64) -> Self {
        self.size = Some(bytes);
        self
    }

    /// Goes on with the upload of this [id](Upload::file_id), of which the server has [so many](Upload::parts_done) parts.
    /// The source is read from its beginning all the same: its hashes are those of the whole. The size must be said again.
    pub const fn resume(mut self, file_id: i64, parts_done: i32) -> Self {
        self.file_id = file_id;
        self.parts_there = parts_done;
        self
    }

    /// Sets how many parts are sent at a time: 1 to 64, 4 unless told otherwise. Each takes half a mebibyte of memory
    /// and what sealing it takes; two more are read ahead.
    pub fn parts_in_flight(mut self, parts: usize) -> Self {
        self.parts_max = parts.clamp(1, FILE_PARTS_IN_FLIGHT_MAX);
        self
    }

    /// Says how far it has come whenever the server has a part.
    pub fn on_progress(mut self, on_progress: impl FnMut(Progress) + Send + 'static) -> Self {
        self.on_progress = Some(Box::new(on_progress));
        self
    }

    /// Returns what names the upload: for one that goes on with it.
    #[must_use]
    pub const fn file_id(&self) -> i64 {
        self.file_id
    }

    /// Returns how many parts, from the first on, the server has.
    #[must_use]
    pub const fn parts_done(&self) -> i32 {
        self.parts_done
    }

    /// Sends everything. To be called once: what was read of the source can't be read again.
    ///
    /// # Errors
    ///
    /// See [`FileError`]. Another upload can [go on](Upload::resume) with this one then.
    pub async fn send(&mut self) -> Result<Uploaded, FileError> {
        if std::mem::replace(&mut self.has_begun, true) {
            return Err(FileError::Begun);
        }
        if self.size.is_some_and(|size| size > FILE_BYTES_MAX) {
            return Err(FileError::TooLarge(FILE_BYTES_MAX));
        }
        let is_small = self.size.is_some_and(|size| size <= SMALL_FILE_BYTES_MAX);
        let total = self.size.map(parts_of);
        let mut digests = Digests {
            sha256: Sha256::new(),
            md5: Md5::new(),
        };
        let mut in_flight = InFlight::new();
        let (mut number, mut bytes) = (0, 0);
        let mut part = self.read_part().await?;
        if part.is_empty() {
            return Err(FileError::Empty);
        }
        while !part.is_empty() {
            // Read ahead: only so is it known which part is the last.
            let next = self.read_part().await?;
            bytes += part.len() as u64;
            let is_wrong = |size| bytes > size || (next.is_empty() && bytes < size);
            if self.size.is_some_and(is_wrong) {
                return Err(FileError::WrongSize(bytes));
            }
            if number >= FILE_PARTS_MAX {
                return Err(FileError::TooLarge(FILE_BYTES_MAX));
            }
            digests.sha256.update(&part);
            digests.md5.update(&part);
            let there = part.len() as u64;
            if number >= self.parts_there {
                while in_flight.len() >= self.parts_max {
                    self.wait(&mut in_flight).await?;
                }
                let total = match total {
                    _ if is_small => None,
                    None if next.is_empty() => Some(number + 1),
                    None => Some(UNKNOWN),
                    known => known,
                };
                let sending = Sending {
                    client: self.client.clone(),
                    lane: Lane::Files(
                        usize::try_from(number).unwrap_or(0)
                            % self.client.inner.setup.file_connections,
                    ),
                    file_id: self.file_id,
                    number,
                    total,
                    bytes: part,
                };
                in_flight.push(sending.run());
            } else {
                self.count(there);
            }
            number += 1;
            part = next;
        }
        while in_flight.len() > 0 {
            self.wait(&mut in_flight).await?;
        }
        Ok(Uploaded {
            file: self.file(number, is_small, digests.md5),
            bytes,
            sha256: digests.sha256.finalize().into(),
        })
    }

    /// Reads a whole part, or what is left.
    async fn read_part(&mut self) -> Result<Bytes, FileError> {
        let mut part = BytesMut::with_capacity(FILE_PART_BYTES);
        while part.len() < FILE_PART_BYTES {
            let left = (FILE_PART_BYTES - part.len()) as u64;
            if (&mut self.source).take(left).read_buf(&mut part).await? == 0 {
                break;
            }
        }
        Ok(part.freeze())
    }

    /// Waits for the oldest part in flight.
    async fn wait(&mut self, parts: &mut InFlight<u64>) -> Result<(), FileError> {
        if let Some(sent) = parts.next().await {
            self.count(sent?);
        }
        Ok(())
    }

    fn count(&mut self, bytes: u64) {
        self.parts_done += 1;
        self.bytes_done += bytes;
        if let Some(on_progress) = &mut self.on_progress {
            on_progress(Progress {
                bytes: self.bytes_done,
                total: self.size,
            });
        }
    }

    fn file(&self, parts: i32, is_small: bool, md5: Md5) -> enums::InputFile {
        let (id, name) = (self.file_id, self.name.clone());
        if is_small {
            let digest = md5.finalize();
            let md5_checksum = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            return types::InputFile {
                id,
                parts,
                name,
                md5_checksum,
            }
            .into();
        }
        types::InputFileBig { id, parts, name }.into()
    }
}

impl<R> fmt::Debug for Upload<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload")
            .field("file_id", &self.file_id)
            .field("parts_done", &self.parts_done)
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

/// A part on its way.
struct Sending {
    client: Client,
    lane: Lane,
    file_id: i64,
    number: i32,
    /// None for a small file.
    total: Option<i32>,
    bytes: Bytes,
}

impl Sending {
    /// Sends it. Returns its length.
    async fn run(self) -> Result<u64, FileError> {
        let (file_id, file_part) = (self.file_id, self.number);
        let length = self.bytes.len() as u64;
        // The part itself, not a copy: nobody else has it.
        let bytes = Vec::from(self.bytes);
        let body = match self.total {
            None => SaveFilePart {
                file_id,
                file_part,
                bytes,
            }
            .to_body(),
            Some(file_total_parts) => SaveBigFilePart {
                file_id,
                file_part,
                file_total_parts,
                bytes,
            }
            .to_body(),
        };
        // Whoever names the file later does so at home.
        let answer = self.client.invoke_on(self.lane, &mut None, body).await?;
        match SaveFilePart::read_result(&answer) {
            Ok(true) => Ok(length),
            Ok(false) => Err(FileError::Unexpected),
            Err(error) => Err(InvokeError::Malformed(error).into()),
        }
    }
}

/// Returns how many parts a file of so many bytes has: within the limit, as was checked.
fn parts_of(bytes: u64) -> i32 {
    i32::try_from(bytes.div_ceil(FILE_PART_BYTES as u64)).unwrap_or(i32::MAX)
}

/// The number of a big file's parts while its end has not been read.
const UNKNOWN: i32 = -1;

const FILE_BYTES_MAX: u64 = FILE_PARTS_MAX as u64 * FILE_PART_BYTES as u64;
