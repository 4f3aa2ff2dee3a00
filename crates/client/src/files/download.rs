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
    /// The first of them that has come.
    oldest: Option<Part>,
    /// Where the next part to be asked for begins.
    asked_to: u64,
    /// Up to where bytes were handed out.
    position: u64,
    is_over: bool,
    sha256: Sha256,
}

struct Part {
    offset: u64,
    dc: Option<i32>,
    outcome: Result<Bytes, FileError>,
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
            oldest: None,
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
        self.asked_to = position - position % PART_BYTES;
        self
    }

    /// Sets how many parts are asked for at a time: 1 to 64, 4 unless told otherwise. So many half mebibytes of memory are
    /// taken.
    pub fn parts_in_flight(mut self, parts: usize) -> Self {
        self.parts_max = parts.clamp(1, FILE_PARTS_IN_FLIGHT_MAX);
        self
    }

    /// Compares what comes with the server's own hashes, where it has some. A download that goes on within a block of
    /// theirs is compared from the next one on.
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
        loop {
            self.ask();
            // Whatever is awaited here may be dropped: the part stays until it was handed out.
            if self.oldest.is_none() {
                self.oldest = self.parts.next().await;
            }
            let Some(part) = &self.oldest else {
                return Ok(None);
            };
            if let Ok(bytes) = &part.outcome
                && !self.is_over
            {
                let (at, end) = (part.offset, part.offset + bytes.len() as u64);
                self.learn_hashes(at, end).await?;
            }
            if let Some(part) = self.oldest.take()
                && let Some(bytes) = self.take(part)?
            {
                return Ok(Some(bytes));
            }
        }
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

    /// Asks for as many parts as may be in flight.
    fn ask(&mut self) {
        while !self.is_over
            && self.parts.len() < self.parts_max
            && self.size.is_none_or(|size| self.asked_to < size)
        {
            let offset = self.asked_to;
            self.asked_to += PART_BYTES;
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
                let answer = client.invoke_on(lane, &mut dc, request.to_body()).await;
                let outcome = answer.map_err(FileError::from).and_then(|it| read(&it));
                Part {
                    offset,
                    dc,
                    outcome,
                }
            });
        }
    }

    /// Takes the part that follows what was handed out; `None` if it brought nothing.
    fn take(&mut self, part: Part) -> Result<Option<Bytes>, FileError> {
        if self.is_over {
            // Asked for behind the end: whatever it says.
            return Ok(None);
        }
        let bytes = part.outcome.inspect_err(|_| self.stop(part.offset))?;
        self.dc = part.dc.or(self.dc);
        let length = bytes.len() as u64;
        let end = part.offset + length;
        let is_last = self.size.map_or(length < PART_BYTES, |size| end >= size);
        let is_beyond = length > PART_BYTES || self.size.is_some_and(|size| end > size);
        if is_beyond || (length < PART_BYTES && !is_last) || end < self.position {
            self.stop(part.offset);
            return Err(FileError::Unexpected);
        }
        if let Some(hashes) = &mut self.hashes {
            let compared = hashes.compare(part.offset, &bytes, is_last);
            compared.inspect_err(|_| self.stop(part.offset))?;
        }
        self.is_over = is_last;
        let known = usize::try_from(self.position.saturating_sub(part.offset)).unwrap_or(0);
        let new = bytes.slice(known.min(bytes.len())..);
        if new.is_empty() {
            return Ok(None);
        }
        self.position = end;
        self.sha256.update(&new);
        if let Some(on_progress) = &mut self.on_progress {
            on_progress(Progress {
                bytes: end,
                total: self.size,
            });
        }
        Ok(Some(new))
    }

    /// Gives up what is in flight, and asks for it anew from `offset` on when it is asked again.
    fn stop(&mut self, offset: u64) {
        self.parts.clear();
        self.oldest = None;
        self.asked_to = offset;
        self.hashes = self.hashes.take().map(|_| Hashes::from(offset));
    }

    /// Asks for the hashes of what has come, if they are wanted and not known.
    async fn learn_hashes(&mut self, at: u64, end: u64) -> Result<(), FileError> {
        if self.hashes.as_ref().is_some_and(Hashes::is_unused) {
            self.hashes = Some(Hashes::from(at));
        }
        while let Some(offset) = self.hashes.as_ref().and_then(|it| it.wanted(end)) {
            let request = GetFileHashes {
                location: self.location.clone(),
                offset: offset.cast_signed(),
            };
            let mut dc = self.dc;
            let body = request.to_body();
            let answer = self.client.invoke_on(Lane::Files(0), &mut dc, body).await?;
            let told = GetFileHashes::read_result(&answer).map_err(|_| FileError::Unexpected)?;
            if let Some(hashes) = &mut self.hashes {
                hashes.add(told)?;
            }
        }
        Ok(())
    }
}

/// Reads the answer to a request for a part.
fn read(answer: &Bytes) -> Result<Bytes, FileError> {
    match GetFile::read_result(answer) {
        Ok(enums::upload::File::File(file)) => Ok(file.bytes.into()),
        Ok(enums::upload::File::CdnRedirect(_)) => Err(FileError::Unexpected),
        Err(error) => Err(InvokeError::Malformed(error).into()),
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

const PART_BYTES: u64 = FILE_PART_BYTES as u64;
