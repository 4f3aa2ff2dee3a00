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

    /// Takes an answer to [`Hashes::wanted`]. Blocks that do not follow each other are an error.
    pub(super) fn add(&mut self, hashes: Vec<enums::FileHash>) -> Result<(), FileError> {
        self.is_over = hashes.is_empty();
        for enums::FileHash::Hash(block) in hashes {
            let begin = u64::try_from(block.offset).map_err(|_| FileError::Unexpected)?;
            let length = u64::from(block.limit.unsigned_abs());
            if block.limit <= 0 || begin != self.known_to {
                return Err(FileError::Unexpected);
            }
            self.known_to = begin + length;
            self.blocks.push_back(block);
        }
        Ok(())
    }

    /// Compares bytes that follow those before. At the file's end `is_last` completes a block that the file cuts short.
    pub(super) fn compare(
        &mut self,
        mut at: u64,
        mut bytes: &[u8],
        is_last: bool,
    ) -> Result<(), FileError> {
        while let Some(block) = self.blocks.front() {
            let begin = block.offset.unsigned_abs();
            let end = begin + u64::from(block.limit.unsigned_abs());
            let left = usize::try_from(end.saturating_sub(at)).unwrap_or(usize::MAX);
            let (of_block, rest) = bytes.split_at(left.min(bytes.len()));
            self.running.update(of_block);
            at += of_block.len() as u64;
            bytes = rest;
            if at < end && !(is_last && rest.is_empty() && at > begin) {
                return Ok(());
            }
            if self.running.finalize_reset().as_slice() != block.hash {
                return Err(FileError::Corrupt { offset: begin });
            }
            self.blocks.pop_front();
        }
        Ok(())
    }
}
