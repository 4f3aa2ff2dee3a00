//! The rule by which a declaration's text gives its id.

use flate2::Crc;

use super::{Declaration, Field};

impl Declaration<'_> {
    /// Computes the id that the declaration's text gives: CRC-32 over its normal form.
    ///
    /// The normal form has no id, no brackets and no conditional `true` fields, writes `bytes` as `string` unless it is
    /// the element of a vector, and separates words by single blanks. A few published ids break the rule; see
    /// [`PUBLISHED_CONSTANTS`].
    #[must_use]
    pub fn checksum(&self) -> u32 {
        let mut crc = Crc::new();
        crc.update(self.name.as_bytes());
        for generic in &self.generics {
            update(&mut crc, &[" ", generic, ":Type"]);
        }
        for field in self.fields.iter().filter(|field| !field.is_flag()) {
            update_field(&mut crc, field);
        }
        update(&mut crc, &[" = "]);
        update_type(&mut crc, self.result.text());
        crc.sum()
    }
}

/// Declarations whose published ids are not the checksums of their text.
pub const PUBLISHED_CONSTANTS: [&str; 3] = ["ipPortSecret", "accessPointRule", "help.configSimple"];

fn update_field(crc: &mut Crc, field: &Field<'_>) {
    update(crc, &[" ", field.name, ":"]);
    if let Some(condition) = field.condition {
        update(
            crc,
            &[condition.flags, ".", &condition.bit.to_string(), "?"],
        );
    }
    match field.ty.text() {
        "bytes" => update(crc, &["string"]),
        other => update_type(crc, other),
    }
}

/// `Vector<long>` counts as `Vector long`.
fn update_type(crc: &mut Crc, text: &str) {
    for part in text.split_inclusive('<') {
        match part.strip_suffix('<') {
            Some(opened) => update(crc, &[opened, " "]),
            None => update(crc, &[part.trim_end_matches('>').trim_start_matches('%')]),
        }
    }
}

fn update(crc: &mut Crc, parts: &[&str]) {
    for part in parts {
        crc.update(part.as_bytes());
    }
}
