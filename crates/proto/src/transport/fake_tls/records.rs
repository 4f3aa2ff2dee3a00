//! Records after the greeting: what they hold joins to one stream of bytes, their borders mean nothing.

use super::reply::CHANGE_CIPHER_SPEC;
use crate::limits::{FAKE_TLS_RECORD_BYTES_MAX, FAKE_TLS_RECORD_BYTES_SENT_MAX};
use crate::transport::Error;

/// Takes the records of one direction apart, in place.
#[derive(Debug, Default)]
pub(in super::super) struct Reader {
    header: [u8; 5],
    /// Bytes of the header that are there.
    known: usize,
    /// Bytes of the record's body that are missing.
    left: usize,
    is_data: bool,
}

impl Reader {
    /// Moves what the records in `input` hold to its front, and returns how much that is, with what is wrong behind it.
    pub(in super::super) fn unwrap(&mut self, input: &mut [u8]) -> (usize, Result<(), Error>) {
        let (mut at, mut kept) = (0, 0);
        while let Some(&byte) = input.get(at) {
            if self.left > 0 {
                let body = self.left.min(input.len() - at);
                if self.is_data {
                    input.copy_within(at..at + body, kept);
                    kept += body;
                }
                at += body;
                self.left -= body;
                continue;
            }
            at += 1;
            if let Err(error) = self.take_header(byte) {
                return (kept, Err(error));
            }
        }
        (kept, Ok(()))
    }

    fn take_header(&mut self, byte: u8) -> Result<(), Error> {
        if let Some(to) = self.header.get_mut(self.known) {
            *to = byte;
        }
        self.known += 1;
        if self.known < self.header.len() {
            return Ok(());
        }
        self.known = 0;
        let [kind, 3, 3, high, low] = self.header else {
            return Err(Error::BadRecord);
        };
        self.is_data = match kind {
            0x14 => false,
            0x17 => true,
            _ => return Err(Error::BadRecord),
        };
        self.left = usize::from(u16::from_be_bytes([high, low]));
        if self.left > FAKE_TLS_RECORD_BYTES_MAX {
            return Err(Error::TooLarge);
        }
        Ok(())
    }
}

/// Puts everything from `start` on into records. The client's first ones follow the word that ends its greeting.
pub(in super::super) fn wrap(start: usize, is_first_of_client: bool, out: &mut Vec<u8>) {
    let data = out.split_off(start.min(out.len()));
    if is_first_of_client {
        out.extend_from_slice(&CHANGE_CIPHER_SPEC);
    }
    for piece in data.chunks(FAKE_TLS_RECORD_BYTES_SENT_MAX) {
        let bytes = u16::try_from(piece.len()).unwrap_or(u16::MAX);
        out.extend_from_slice(&[0x17, 3, 3]);
        out.extend_from_slice(&bytes.to_be_bytes());
        out.extend_from_slice(piece);
    }
}
