//! Comparing what comes with what the server says that the file is: `upload.getFileHashes`.
//!
//! Hashes come for blocks of the server's choice. A block is compared when its last byte has come.

use std::collections::VecDeque;

use grammers_tl_types::{enums, types};
use sha2::{Digest as _, Sha256};

use crate::files::FileError;

/// What is known of the blocks from some offset on.
#[derive(Default)]
pub(super) struct Hashes {
    /// In order and without gaps.
    blocks: VecDeque<types::FileHash>,
    /// Where the next block to be told begins.
    known_to: u64,
    /// Of the block that has begun.
    running: Sha256,
    /// The server knows no more.
    is_over: bool,
}

impl Hashes {
    /// Begins before the block that holds `offset`, which is where the transfer begins.
    pub(super) fn from(offset: u64) -> Self {
        Self {
            known_to: offset,
            ..Self::default()
        }
    }

    /// Tells whether nothing was asked for nor compared yet.
    pub(super) fn is_unused(&self) -> bool {
        self.known_to == 0 && !self.is_over
    }

    /// Returns from where on hashes are to be asked for, if those that are known end before `end`.
    pub(super) fn wanted(&self, end: u64) -> Option<u64> {
        (!self.is_over && self.known_to < end).then_some(self.known_to)
    }

    /// Takes an answer to [`Hashes::wanted`]. Blocks that do not follow each other are an error; one that has begun before the
    /// transfer can't be compared.
    pub(super) fn add(&mut self, hashes: Vec<enums::FileHash>) -> Result<(), FileError> {
        self.is_over = hashes.is_empty();
        for enums::FileHash::Hash(block) in hashes {
            let begin = u64::try_from(block.offset).map_err(|_| FileError::Unexpected)?;
            let length = u64::from(block.limit.unsigned_abs());
            let end = begin.saturating_add(length);
            let has_begun = begin < self.known_to && self.blocks.is_empty();
            if block.limit <= 0 || end <= self.known_to || (begin != self.known_to && !has_begun) {
                return Err(FileError::Unexpected);
            }
            self.known_to = end;
            if !has_begun {
                self.blocks.push_back(block);
            }
        }
        Ok(())
    }

    /// Compares bytes that follow those before. At the file's end `is_last` completes a block that the file cuts short.
    /// After an error nothing has changed: other bytes may be tried in their place.
    pub(super) fn compare(
        &mut self,
        mut at: u64,
        mut bytes: &[u8],
        is_last: bool,
    ) -> Result<(), FileError> {
        let mut running = self.running.clone();
        let mut complete = 0;
        for block in &self.blocks {
            let begin = block.offset.unsigned_abs();
            let end = begin + u64::from(block.limit.unsigned_abs());
            let before = usize::try_from(begin.saturating_sub(at)).unwrap_or(usize::MAX);
            let (skipped, of_file) = bytes.split_at(before.min(bytes.len()));
            at += skipped.len() as u64;
            bytes = of_file;
            let left = usize::try_from(end.saturating_sub(at)).unwrap_or(usize::MAX);
            let (of_block, rest) = bytes.split_at(left.min(bytes.len()));
            running.update(of_block);
            at += of_block.len() as u64;
            bytes = rest;
            if at < end && !(is_last && rest.is_empty() && at > begin) {
                break;
            }
            if running.finalize_reset().as_slice() != block.hash {
                return Err(FileError::Corrupt { offset: begin });
            }
            complete += 1;
        }
        self.running = running;
        self.blocks.drain(..complete);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(offset: i64, bytes: &[u8]) -> enums::FileHash {
        enums::FileHash::Hash(types::FileHash {
            offset,
            limit: i32::try_from(bytes.len()).unwrap(),
            hash: Sha256::digest(bytes).to_vec(),
        })
    }

    #[test]
    fn a_block_is_compared_when_its_last_byte_has_come_and_the_last_one_at_the_files_end() {
        let mut hashes = Hashes::from(0);
        hashes
            .add(vec![block(0, b"abcdef"), block(6, b"gh")])
            .unwrap();
        hashes.compare(0, b"abcX", false).unwrap();
        let error = hashes.compare(4, b"ef", false).unwrap_err();
        assert!(matches!(error, FileError::Corrupt { offset: 0 }));

        let mut hashes = Hashes::from(0);
        hashes
            .add(vec![block(0, b"abcdef"), block(6, b"gh")])
            .unwrap();
        hashes.compare(0, b"abcd", false).unwrap();
        hashes.compare(4, b"efg", false).unwrap();
        let error = hashes.compare(7, b"", true).unwrap_err();
        assert!(matches!(error, FileError::Corrupt { offset: 6 }));
    }

    #[test]
    fn a_block_that_began_before_the_transfer_is_left_out_and_the_next_is_not() {
        let mut hashes = Hashes::from(4);
        hashes
            .add(vec![block(0, b"abcdef"), block(6, b"gh")])
            .unwrap();
        assert_eq!(hashes.wanted(8), None);
        hashes.compare(4, b"XXgh", false).unwrap();
        let mut hashes = Hashes::from(4);
        hashes
            .add(vec![block(0, b"abcdef"), block(6, b"gh")])
            .unwrap();
        let error = hashes.compare(4, b"efgX", false).unwrap_err();
        assert!(matches!(error, FileError::Corrupt { offset: 6 }));
    }

    #[test]
    fn blocks_with_a_gap_or_twice_are_an_error_and_none_is_the_end() {
        for (first, second) in [(0, 3), (0, 0), (1, 3)] {
            let mut hashes = Hashes::from(0);
            let told = vec![block(first, b"ab"), block(second, b"cd")];
            assert!(hashes.add(told).is_err(), "{first}, {second}");
        }
        let mut hashes = Hashes::from(0);
        hashes.add(vec![block(0, b"ab")]).unwrap();
        assert_eq!(hashes.wanted(4), Some(2));
        hashes.add(Vec::new()).unwrap();
        assert_eq!(hashes.wanted(4), None);
    }
}
