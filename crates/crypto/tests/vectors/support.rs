//! Reads the vectors, and plays back the randomness with which they were made.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fs;

use rand_core::{TryCryptoRng, TryRng};
use serde_json::Value;

/// The vectors of one file.
pub(crate) fn load(name: &str) -> Value {
    let path = format!(
        "{}/../../testdata/vectors/{name}.json",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).unwrap()
}

/// The elements of an array; an empty one would make a test that tests nothing.
pub(crate) fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    let elements = value[name]
        .as_array()
        .unwrap_or_else(|| panic!("{name} is not an array"));
    assert!(!elements.is_empty(), "{name} is empty");
    elements
}

/// The bytes of a member in hexadecimal.
pub(crate) fn hex(value: &Value, name: &str) -> Vec<u8> {
    bytes(
        value[name]
            .as_str()
            .unwrap_or_else(|| panic!("{name} is not a string")),
    )
}

/// As [`hex`], for a fixed number of bytes.
pub(crate) fn hex_array<const N: usize>(value: &Value, name: &str) -> [u8; N] {
    hex(value, name)
        .try_into()
        .unwrap_or_else(|_| panic!("{name} is not {N} bytes"))
}

/// The bytes of each element in hexadecimal.
pub(crate) fn hex_list(value: &Value, name: &str) -> Vec<Vec<u8>> {
    value[name]
        .as_array()
        .unwrap()
        .iter()
        .map(|element| bytes(element.as_str().unwrap()))
        .collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    assert!(hex.len().is_multiple_of(2));
    (0..hex.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap())
        .collect()
}

/// Gives out prepared bytes, and fails the test that asks for more.
pub(crate) struct Script(VecDeque<u8>);

impl Script {
    pub(crate) fn new(pieces: &[&[u8]]) -> Self {
        Self(pieces.concat().into())
    }

    pub(crate) fn is_used_up(&self) -> bool {
        self.0.is_empty()
    }
}

impl TryRng for Script {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, dst: &mut [u8]) -> Result<(), Infallible> {
        for byte in dst {
            *byte = self
                .0
                .pop_front()
                .expect("more randomness asked for than prepared");
        }
        Ok(())
    }
}

impl TryCryptoRng for Script {}
