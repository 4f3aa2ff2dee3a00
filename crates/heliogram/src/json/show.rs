//! From values to JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use heliogram_tl::dynamic::Value;
use serde::ser::{SerializeMap as _, Serializer};

/// A value that serialises itself as JSON, fields in the order of the schema.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown<'a> {
    value: &'a Value<'a>,
    bytes: BytesForm,
}

/// How `bytes` are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum BytesForm {
    /// `3q2+7w==`
    #[default]
    Base64,
    /// `hex:deadbeef`
    Hex,
}

impl<'a> Shown<'a> {
    pub(crate) const fn new(value: &'a Value<'a>, bytes: BytesForm) -> Self {
        Self { value, bytes }
    }
}

impl serde::Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let shown = |value| Shown::new(value, self.bytes);
        match self.value {
            Value::Bool(value) => s.serialize_bool(*value),
            Value::Bytes(value) => s.serialize_str(&self.bytes.show(value)),
            Value::Double(value) if value.is_finite() => s.serialize_f64(*value),
            Value::Double(value) if value.is_nan() => s.serialize_str("NaN"),
            Value::Double(value) if *value > 0.0 => s.serialize_str("Infinity"),
            Value::Double(_) => s.serialize_str("-Infinity"),
            Value::Flags(bits) => s.serialize_u32(*bits),
            Value::Int(value) => s.serialize_i32(*value),
            Value::Int128(value) => s.serialize_str(&hex(value)),
            Value::Int256(value) => s.serialize_str(&hex(value)),
            // JavaScript, jq and others read numbers as doubles, which would change identifiers.
            Value::Long(value) => s.collect_str(value),
            Value::Object(object) => {
                let mut map = s.serialize_map(None)?;
                map.serialize_entry("_", object.declaration().name)?;
                for (field, value) in object.fields() {
                    map.serialize_entry(field.name, &shown(value))?;
                }
                map.end()
            }
            Value::String(value) => match std::str::from_utf8(value) {
                Ok(text) => s.serialize_str(text),
                Err(_) => {
                    let mut map = s.serialize_map(Some(1))?;
                    map.serialize_entry(NO_TEXT, &STANDARD.encode(value))?;
                    map.end()
                }
            },
            Value::True => s.serialize_bool(true),
            Value::Vector { elements, .. } => s.collect_seq(elements.iter().map(shown)),
        }
    }
}

impl BytesForm {
    fn show(self, value: &[u8]) -> String {
        match self {
            Self::Base64 => STANDARD.encode(value),
            Self::Hex => format!("hex:{}", hex(value)),
        }
    }
}

/// Writes lower-case digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        for digit in [byte >> 4, byte & 15] {
            text.extend(char::from_digit(digit.into(), 16));
        }
        text
    })
}

/// The key of the object that stands for a string that is no text.
pub(super) const NO_TEXT: &str = "$base64";
