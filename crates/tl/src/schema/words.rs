//! Words of a schema: what stands between blanks, comments and semicolons.

use super::{ParseError, Problem};

/// A word and the line it stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word<'a> {
    pub(super) line: usize,
    pub(super) text: &'a str,
}

/// Splits a schema into words; a `;` is a word of its own.
pub(super) struct Words<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Words<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            rest: text,
            line: 1,
        }
    }

    /// Returns the next word, or nothing at the end.
    pub(super) fn next(&mut self) -> Result<Option<Word<'a>>, ParseError> {
        self.skip_blanks()?;
        let len = match self.rest.find(|c: char| c.is_whitespace() || c == ';') {
            Some(0) => 1,
            Some(len) => len,
            None => self.rest.len(),
        };
        let (word, _) = self.rest.split_at(len);
        let text = match word.find("//").into_iter().chain(word.find("/*")).min() {
            Some(comment) => word.split_at(comment).0,
            None => word,
        };
        self.rest = self.rest.split_at(text.len()).1;
        Ok((!text.is_empty()).then_some(Word {
            line: self.line,
            text,
        }))
    }

    fn skip_blanks(&mut self) -> Result<(), ParseError> {
        loop {
            let trimmed = self.rest.trim_start();
            self.skip(self.rest.len() - trimmed.len());
            if trimmed.starts_with("//") {
                self.skip(trimmed.find('\n').unwrap_or(trimmed.len()));
            } else if trimmed.starts_with("/*") {
                let end = trimmed.find("*/").ok_or(ParseError {
                    line: self.line,
                    problem: Problem::Unfinished,
                })?;
                self.skip(end + 2);
            } else {
                return Ok(());
            }
        }
    }

    /// Drops `len` bytes and counts their lines.
    fn skip(&mut self, len: usize) {
        let (skipped, rest) = self.rest.split_at(len);
        self.line += skipped.matches('\n').count();
        self.rest = rest;
    }
}
