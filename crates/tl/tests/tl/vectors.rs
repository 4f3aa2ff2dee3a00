//! Reads the vector files.

use serde_json::Value;

/// Parses a vector file.
pub(crate) fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// Returns the elements of a list.
pub(crate) fn list<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value[field].as_array().unwrap()
}

/// Returns a string.
pub(crate) fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap()
}

/// Returns a number that is written as one, or as a string because it is too long for one.
pub(crate) fn number(value: &Value) -> i64 {
    match value.as_str() {
        Some(text) => text.parse().unwrap(),
        None => value.as_i64().unwrap(),
    }
}

/// Returns the bytes of a hexadecimal string.
pub(crate) fn bytes(value: &Value, field: &str) -> Vec<u8> {
    hex(text(value, field))
}

/// Decodes hexadecimal digits.
pub(crate) fn hex(digits: &str) -> Vec<u8> {
    assert!(digits.len().is_multiple_of(2), "{digits}");
    let pairs = (0..digits.len()).step_by(2).map(|at| &digits[at..at + 2]);
    pairs
        .map(|pair| u8::from_str_radix(pair, 16).unwrap())
        .collect()
}
