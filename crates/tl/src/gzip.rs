//! What `gzip_packed` holds: one object, compressed.
//!
//! Both gzip (RFC 1952) and zlib (RFC 1950) streams are read, since clients in the field send either; gzip is written,
//! since some read nothing else. The output is bounded while it grows, the checksum is verified, and nothing may follow
//! the stream. How often a packed object may hold another packed object is for the caller to bound.

use std::io::{ErrorKind, Read as _, Write as _};

use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;
use flate2::{Compression, Decompress, FlushDecompress, Status};

use crate::Error;

/// Decompresses a whole gzip or zlib stream into at most `bytes_max` bytes.
///
/// # Errors
///
/// - [`Error::TooLong`] when the stream holds more than `bytes_max` bytes.
/// - [`Error::BadCompression`] when it is neither format, damaged, cut, fails its checksum, or is followed by anything.
pub fn unpack(packed: &[u8], bytes_max: usize) -> Result<Vec<u8>, Error> {
    match packed {
        [0x1f, 0x8b, ..] => unpack_gzip(packed, bytes_max),
        [method, flags, ..] if is_zlib(*method, *flags) => unpack_zlib(packed, bytes_max),
        _ => Err(Error::BadCompression),
    }
}

/// Compresses `object` into a gzip stream.
#[must_use]
pub fn pack(object: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    // Writing to memory has no way to fail; an empty stream would be refused by its reader.
    match encoder.write_all(object) {
        Ok(()) => encoder.finish().unwrap_or_default(),
        Err(_) => Vec::new(),
    }
}

fn unpack_gzip(packed: &[u8], bytes_max: usize) -> Result<Vec<u8>, Error> {
    let mut decoder = GzDecoder::new(packed);
    let mut out = Bounded::new(bytes_max);
    let mut chunk = [0; CHUNK_BYTES];
    loop {
        match decoder.read(&mut chunk) {
            Ok(0) => break,
            Ok(len) => out.push(&chunk, len)?,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return Err(Error::BadCompression),
        }
    }
    if decoder.into_inner().is_empty() {
        Ok(out.bytes)
    } else {
        Err(Error::BadCompression)
    }
}

/// Drives the decompressor by hand: the ready-made reader takes the end of the input for the end of the stream.
fn unpack_zlib(packed: &[u8], bytes_max: usize) -> Result<Vec<u8>, Error> {
    let mut state = Decompress::new(true);
    let mut out = Bounded::new(bytes_max);
    let mut chunk = [0; CHUNK_BYTES];
    let mut rest = packed;
    loop {
        let (before_in, before_out) = (state.total_in(), state.total_out());
        let status = state
            .decompress(rest, &mut chunk, FlushDecompress::None)
            .map_err(|_damaged| Error::BadCompression)?;
        let consumed = difference(state.total_in(), before_in)?;
        let produced = difference(state.total_out(), before_out)?;
        rest = rest.get(consumed..).ok_or(Error::BadCompression)?;
        out.push(&chunk, produced)?;
        match status {
            Status::StreamEnd if rest.is_empty() => return Ok(out.bytes),
            Status::StreamEnd => return Err(Error::BadCompression),
            Status::Ok | Status::BufError if consumed == 0 && produced == 0 => {
                return Err(Error::BadCompression);
            }
            Status::Ok | Status::BufError => {}
        }
    }
}

/// Output that refuses to outgrow its bound.
struct Bounded {
    bytes: Vec<u8>,
    bytes_max: usize,
}

impl Bounded {
    fn new(bytes_max: usize) -> Self {
        Self {
            bytes: Vec::new(),
            bytes_max,
        }
    }

    fn push(&mut self, chunk: &[u8; CHUNK_BYTES], len: usize) -> Result<(), Error> {
        if len > self.bytes_max - self.bytes.len() {
            return Err(Error::TooLong);
        }
        self.bytes
            .extend_from_slice(chunk.get(..len).ok_or(Error::BadCompression)?);
        Ok(())
    }
}

/// Tells whether a stream that begins with these two bytes is deflate within zlib. Source: RFC 1950, section 2.2.
fn is_zlib(method: u8, flags: u8) -> bool {
    method & 0x0f == 8 && u16::from_be_bytes([method, flags]).is_multiple_of(31)
}

fn difference(after: u64, before: u64) -> Result<usize, Error> {
    usize::try_from(after - before).map_err(|_impossible| Error::BadCompression)
}

const CHUNK_BYTES: usize = 16 * 1024;
