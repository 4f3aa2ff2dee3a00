//! Data centres: where they are, how a number on the wire names one, and which one an error sends a client to.
//!
//! The tables of Telegram's own are only where a client begins: `help.getConfig` says where things are now. Nothing here
//! connects.
//!
//! Source: <https://core.telegram.org/api/datacenter>, <https://core.telegram.org/constructor/dcOption>.

mod migration;
mod table;

pub use migration::{Migration, Moves};
pub use table::{Address, DcTable, Purpose};

/// A data centre as a handshake and an obfuscated connection name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_structs, reason = "what the number says")]
pub struct DcName {
    /// The data centre.
    pub id: i32,
    /// Of the test environment.
    pub is_test: bool,
    /// For files only.
    pub is_media: bool,
}

impl DcName {
    /// Returns the number: ten thousand more for test, negative for media.
    #[must_use]
    pub const fn to_number(self) -> i32 {
        let id = if self.is_test {
            self.id.saturating_add(TEST_OFFSET)
        } else {
            self.id
        };
        if self.is_media { -id } else { id }
    }

    /// Reads the number; `None` for zero and what is no data centre.
    #[must_use]
    pub const fn from_number(number: i32) -> Option<Self> {
        let Some(id) = number.checked_abs() else {
            return None;
        };
        let is_test = id > TEST_OFFSET;
        let id = if is_test { id - TEST_OFFSET } else { id };
        if id == 0 || id >= TEST_OFFSET {
            return None;
        }
        Some(Self {
            id,
            is_test,
            is_media: number < 0,
        })
    }
}

const TEST_OFFSET: i32 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_is_ten_thousand_more_and_media_is_negative() {
        for (number, id, is_test, is_media) in [
            (2, 2, false, false),
            (-2, 2, false, true),
            (10_002, 2, true, false),
            (-10_002, 2, true, true),
            (203, 203, false, false),
        ] {
            let name = DcName {
                id,
                is_test,
                is_media,
            };
            assert_eq!(name.to_number(), number);
            assert_eq!(DcName::from_number(number), Some(name));
        }
    }

    #[test]
    fn zero_ten_thousand_and_more_than_twice_that_name_nothing() {
        for number in [0, 10_000, -10_000, 20_000, i32::MAX, i32::MIN] {
            assert_eq!(DcName::from_number(number), None, "{number}");
        }
        assert!(DcName::from_number(9_999).is_some());
        assert!(DcName::from_number(19_999).is_some());
    }
}
