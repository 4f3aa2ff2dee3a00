//! Collects the head of an HTTP message, up to its empty line, and not one byte more.

use super::super::error::Error;
use crate::limits::HTTP_HEAD_BYTES_MAX;

/// An HTTP head that is on its way.
#[derive(Debug, Default)]
pub(super) struct Head {
    bytes: Vec<u8>,
    /// How much of the end mark the last bytes are.
    matched: usize,
}

impl Head {
    /// Takes bytes from the front of `input`. `true` once the head is whole.
    pub(super) fn take(&mut self, input: &mut &mut [u8]) -> Result<bool, Error> {
        let mut taken = 0;
        for &byte in input.iter() {
            taken += 1;
            self.matched = match END.get(self.matched) {
                Some(&expected) if expected == byte => self.matched + 1,
                _ => usize::from(END.first() == Some(&byte)),
            };
            if self.matched == END.len() {
                break;
            }
        }
        if self.bytes.len().saturating_add(taken) > HTTP_HEAD_BYTES_MAX {
            return Err(Error::TooLarge);
        }
        if let Some((head, rest)) = core::mem::take(input).split_at_mut_checked(taken) {
            self.bytes.extend_from_slice(head);
            *input = rest;
        }
        Ok(self.matched == END.len())
    }

    pub(super) fn buffered_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// Returns what has come so far.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Ends an HTTP head.
const END: &[u8; 4] = b"\r\n\r\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_behind_the_empty_line_is_taken() {
        for text in [
            "a: b\r\n\r\nrest",
            "a\r\r\n\r\nrest",
            "\r\n\r\r\n\r\nrest",
            "a\r\n b\r\n\r\nrest",
        ] {
            let mut bytes = text.as_bytes().to_vec();
            let mut input = bytes.as_mut_slice();
            let mut head = Head::default();
            assert_eq!(head.take(&mut input), Ok(true), "{text:?}");
            assert_eq!(input, b"rest", "{text:?}");
        }
    }

    #[test]
    fn a_head_of_exactly_8_kib_is_whole_and_one_byte_more_is_too_large() {
        for (excess, expected) in [(0, Ok(true)), (1, Err(Error::TooLarge))] {
            let mut bytes = vec![b'a'; HTTP_HEAD_BYTES_MAX - 4 + excess];
            bytes.extend_from_slice(b"\r\n\r\n");
            assert_eq!(Head::default().take(&mut bytes.as_mut_slice()), expected);
        }
    }
}
