//! Downloads: `upload.getFile`.

use std::fmt;

use bytes::Bytes;
use grammers_tl_types::enums;
use grammers_tl_types::functions::upload::{GetFile, GetFileHashes};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use crate::client::Client;
use crate::error::InvokeError;
use crate::files::hashes::Hashes;
use crate::files::parts::InFlight;
use crate::files::{FileError, OnProgress, Progress};
use crate::limits::{FILE_PART_BYTES, FILE_PARTS_IN_FLIGHT_MAX};
use crate::lines::Lane;
use crate::method::Method as _;

/// A file on its way down. Nothing is asked for before the first [`Download::next`].
#[must_use = "nothing is read before `next`"]
pub struct Download {
    client: Client,
    location: enums::InputFileLocation,
    dc: Option<i32>,
    size: Option<u64>,
    parts_max: usize,
    on_progress: Option<OnProgress>,
    hashes: Option<Hashes>,
    parts: InFlight<Part>,
    /// The oldest part, once it has come: kept until it is handed out, however often that is asked for and given up.
    arrived: Option<Arrived>,
    /// Where the next part to be asked for begins.
    asked_to: u64,
    /// Up to where bytes were handed out.
    position: u64,
    is_over: bool,
    sha256: Sha256,
}

/// An answer, and from where.
struct Part {
    offset: u64,
    dc: Option<i32>,
    result: Bytes,
}

/// Bytes that follow those that were handed out, not compared yet.
struct Arrived {
    offset: u64,
    bytes: Bytes,
    is_last: bool,
}

impl Client {
    /// Begins to download a file: from the data centre that it says it is in, or home; from its first byte.
    pub fn download(&self, location: enums::InputFileLocation) -> Download {
        Download {
            client: self.clone(),
            location,
            dc: None,
            size: None,
            parts_max: 4,
            on_progress: None,
            hashes: None,
            parts: InFlight::new(),
            arrived: None,
            asked_to: 0,
            position: 0,
            is_over: false,
            sha256: Sha256::new(),
        }
    }
}

impl Download {
    /// Says in which data centre the file is: `dc_id` of documents and photos. Home otherwise, until the server says better.
    pub const fn at(mut self, dc: i32) -> Self {
        self.dc = Some(dc);
        self
    }

    /// Says how many bytes the file has: nothing is asked for behind its end then, and fewer or more are an error.
    pub const fn size(mut self, bytes: u64) -> Self {
        self.size = Some(bytes);
        self
    }

    /// Goes on at any byte, where an earlier download has been.
    pub const fn resume_from(mut self, position: u64) -> Self {
        self.position = position;
        self.asked_to = part_of(position);
        self
    }

    /// Sets how many parts are asked for at a time: 1 to 64, 4 unless told otherwise. So many half mebibytes of memory are
    /// taken.
    pub fn parts_in_flight(mut self, parts: usize) -> Self {
        self.parts_max = parts.clamp(1, FILE_PARTS_IN_FLIGHT_MAX);
        self
    }

    /// Compares what comes with the server's own hashes, where it has some: of blocks of 128 KiB, four to a part. Of a block
    /// that is longer than a part, all but the last part is handed out before it is complete and compared. A download that
    /// goes on within a block is compared from the next one on.
    pub fn verified(mut self) -> Self {
        self.hashes = Some(Hashes::default());
        self
    }

    /// Says how far it has come whenever a part was handed out.
    pub fn on_progress(mut self, on_progress: impl FnMut(Progress) + Send + 'static) -> Self {
        self.on_progress = Some(Box::new(on_progress));
        self
    }

    /// Returns up to where bytes were handed out: where another download goes on.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// Returns the SHA-256 of all bytes that were handed out.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        self.sha256.clone().finalize().into()
    }

    /// Waits for the next bytes, in order; `None` at the end. May be dropped at any time and asked again.
    ///
    /// # Errors
    ///
    /// See [`FileError`]. [`Download::position`] is where to go on.
    pub async fn next(&mut self) -> Result<Option<Bytes>, FileError> {
        let outcome = self.advance().await;
        if outcome.is_err() {
            // What is in flight is given up, and asked for anew when it is asked again.
            self.parts.clear();
            self.arrived = None;
            self.asked_to = part_of(self.position);
        }
        outcome
    }

    /// Writes all that is left of the file. Returns how many bytes that was.
    ///
    /// # Errors
    ///
    /// See [`FileError`].
    pub async fn write_to(
        &mut self,
        target: &mut (impl AsyncWrite + Unpin + Send),
    ) -> Result<u64, FileError> {
        let begin = self.position;
        while let Some(bytes) = self.next().await? {
            target.write_all(&bytes).await?;
        }
        target.flush().await?;
        Ok(self.position - begin)
    }

    async fn advance(&mut self) -> Result<Option<Bytes>, FileError> {
        while !self.is_over {
            if self.arrived.is_none() {
                self.ask();
                let Some(part) = self.parts.next().await else {
                    return Ok(None);
                };
                self.arrived = Some(self.open(&part?)?);
            }
            self.learn_hashes().await?;
            if let Some(bytes) = self.hand_out()? {
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    }

    /// Asks for as many parts as may be in flight.
    fn ask(&mut self) {
        while self.parts.len() < self.parts_max && self.size.is_none_or(|size| self.asked_to < size)
        {
            let offset = self.asked_to;
            self.asked_to = offset.saturating_add(PART_BYTES);
            let request = GetFile {
                precise: false,
                cdn_supported: false,
                location: self.location.clone(),
                offset: offset.cast_signed(),
                limit: i32::try_from(PART_BYTES).unwrap_or(0),
            };
            let number = usize::try_from(offset / PART_BYTES).unwrap_or(0);
            let lane = Lane::Files(number % self.client.inner.setup.file_connections);
            let (client, mut dc) = (self.client.clone(), self.dc);
            self.parts.push(async move {
                let result = client.invoke_on(lane, &mut dc, request.to_body()).await?;
                Ok(Part { offset, dc, result })
            });
        }
    }

    /// Reads the part that follows what was handed out.
    fn open(&mut self, part: &Part) -> Result<Arrived, FileError> {
        let offset = part.offset;
        self.dc = part.dc.or(self.dc);
        let bytes = match GetFile::read_result(&part.result) {
            Ok(enums::upload::File::File(file)) => Bytes::from(file.bytes),
            Ok(enums::upload::File::CdnRedirect(_)) => return Err(FileError::Unexpected),
            Err(error) => return Err(InvokeError::Malformed(error).into()),
        };
        let length = bytes.len() as u64;
        let end = offset.saturating_add(length);
        let is_last = self.size.map_or(length < PART_BYTES, |size| end >= size);
        let is_wrong = length > PART_BYTES
            || (length < PART_BYTES && !is_last)
            || self.size.is_some_and(|size| end > size)
            || end < self.position;
        if is_wrong {
            return Err(FileError::Unexpected);
        }
        Ok(Arrived {
            offset,
            bytes,
            is_last,
        })
    }

    /// Asks for the hashes that what has arrived is to be compared with.
    async fn learn_hashes(&mut self) -> Result<(), FileError> {
        let (Some(hashes), Some(arrived)) = (&mut self.hashes, &self.arrived) else {
            return Ok(());
        };
        if hashes.is_unused() {
            *hashes = Hashes::from(arrived.offset);
        }
        let end = arrived.offset.saturating_add(arrived.bytes.len() as u64);
        while let Some(offset) = hashes.wanted(end) {
            let request = GetFileHashes {
                location: self.location.clone(),
                offset: offset.cast_signed(),
            };
            let (mut dc, body) = (self.dc, request.to_body());
            let answer = self.client.invoke_on(Lane::Files(0), &mut dc, body).await?;
            let told = GetFileHashes::read_result(&answer);
            hashes.add(told.map_err(|_| FileError::Unexpected)?)?;
        }
        Ok(())
    }

    /// Hands out what of the part is new, once it was compared; `None` if nothing is.
    fn hand_out(&mut self) -> Result<Option<Bytes>, FileError> {
        let Some(arrived) = self.arrived.take() else {
            return Ok(None);
        };
        let (offset, bytes) = (arrived.offset, arrived.bytes);
        if let Some(hashes) = &mut self.hashes {
            hashes.compare(offset, &bytes, arrived.is_last)?;
        }
        if arrived.is_last {
            self.is_over = true;
            // Asked for behind the end: whatever they say.
            self.parts.clear();
        }
        let known = usize::try_from(self.position.saturating_sub(offset)).unwrap_or(0);
        let new = bytes.slice(known.min(bytes.len())..);
        if new.is_empty() {
            return Ok(None);
        }
        self.position = offset.saturating_add(bytes.len() as u64);
        self.sha256.update(&new);
        if let Some(on_progress) = &mut self.on_progress {
            on_progress(Progress {
                bytes: self.position,
                total: self.size,
            });
        }
        Ok(Some(new))
    }
}

impl fmt::Debug for Download {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Download")
            .field("dc", &self.dc)
            .field("position", &self.position)
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

/// Returns where the part that holds a byte begins.
const fn part_of(position: u64) -> u64 {
    position - position % PART_BYTES
}

const PART_BYTES: u64 = FILE_PART_BYTES as u64;
