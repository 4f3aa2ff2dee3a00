//! What is kept, as bytes.
//!
//! ```text
//! 0  home: 4          the data centre that calls go to; 0: none yet
//! 4  count: 2
//! 6  so many times, data centres rising:
//!      data centre: 4 | key: 256, big-endian | salt: 8 | clock: 8, the server's minus ours, in nanoseconds
//! ```
//!
//! All numbers are little-endian. Described in `docs/record-format.md`.

use std::collections::BTreeMap;

use heliogram_crypto::{AuthKey, SecretBytes};
use heliogram_proto::client::Saved;
use heliogram_proto::ids::Salt;
use zeroize::Zeroizing;

use crate::limits::KEYS_MAX;
use crate::storage::State;

impl State {
    /// Writes everything: what [`State::from_bytes`] reads. The bytes hold the keys.
    ///
    /// Of more than 1000 data centres the first are written; there are a handful.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let count = self.keys.len().min(KEYS_MAX);
        // Made large enough at once: a vector that grows would leave copies behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(HEAD_BYTES + count * KEY_BYTES));
        bytes.extend_from_slice(&self.home.unwrap_or(0).to_le_bytes());
        bytes.extend_from_slice(&u16::try_from(count).unwrap_or(u16::MAX).to_le_bytes());
        for (dc, saved) in self.keys.iter().take(count) {
            bytes.extend_from_slice(&dc.to_le_bytes());
            bytes.extend_from_slice(saved.key.expose());
            bytes.extend_from_slice(&saved.salt.0.to_le_bytes());
            bytes.extend_from_slice(&saved.clock_offset_ns.to_le_bytes());
        }
        bytes
    }

    /// Reads what [`State::to_bytes`] wrote; `None` if it is anything else.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (home, rest) = bytes.split_first_chunk()?;
        let (count, rest) = rest.split_first_chunk()?;
        let (rows, []) = rest.as_chunks::<KEY_BYTES>() else {
            return None;
        };
        if rows.len() != usize::from(u16::from_le_bytes(*count)) || rows.len() > KEYS_MAX {
            return None;
        }
        let mut keys = BTreeMap::new();
        for row in rows {
            let (dc, saved) = read_row(row)?;
            if keys.last_key_value().is_some_and(|(last, _)| *last >= dc) {
                return None;
            }
            keys.insert(dc, saved);
        }
        let home = i32::from_le_bytes(*home);
        Some(Self {
            home: (home != 0).then_some(home),
            keys,
        })
    }
}

fn read_row(row: &[u8; KEY_BYTES]) -> Option<(i32, Saved)> {
    let (dc, rest) = row.split_first_chunk()?;
    let (key, rest) = rest.split_first_chunk::<256>()?;
    let (salt, rest) = rest.split_first_chunk()?;
    let clock = rest.first_chunk()?;
    let saved = Saved {
        key: AuthKey::from_secret(SecretBytes::fill_with(|to| to.copy_from_slice(key))),
        salt: Salt(i64::from_le_bytes(*salt)),
        clock_offset_ns: i64::from_le_bytes(*clock),
    };
    Some((i32::from_le_bytes(*dc), saved))
}

const HEAD_BYTES: usize = 6;
const KEY_BYTES: usize = 4 + 256 + 8 + 8;

/// Bytes of a record at most.
pub(super) const RECORD_BYTES_MAX: usize = HEAD_BYTES + KEYS_MAX * KEY_BYTES;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_has_the_bytes_that_it_had_in_the_first_release() {
        let state = State {
            home: Some(2),
            keys: BTreeMap::from([(-4, saved(9)), (2, saved(7))]),
        };
        let expected = [
            &[2, 0, 0, 0, 2, 0][..],
            &[0xfc, 0xff, 0xff, 0xff],
            &[9; 256],
            &[1, 2, 0, 0, 0, 0, 0, 0],
            &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            &[2, 0, 0, 0],
            &[7; 256],
            &[1, 2, 0, 0, 0, 0, 0, 0],
            &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        ]
        .concat();
        assert_eq!(*state.to_bytes(), expected);
        assert_eq!(State::from_bytes(&expected), Some(state));
    }

    #[test]
    fn a_record_that_is_cut_or_goes_on_or_has_its_rows_in_another_order_is_none() {
        let state = of([1, 2]);
        let bytes = state.to_bytes();
        for length in 0..bytes.len() {
            assert_eq!(State::from_bytes(&bytes[..length]), None, "{length}");
        }
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(State::from_bytes(&longer), None);
        for order in [[2, 1], [1, 1]] {
            let rows = order.map(|dc: i32| [&dc.to_le_bytes()[..], &bytes[10..282]].concat());
            let turned = [&bytes[..6], &rows.concat()].concat();
            assert_eq!(State::from_bytes(&turned), None, "{order:?}");
        }
    }

    #[test]
    fn a_record_holds_1000_keys_and_not_1001() {
        let most = of(1..=1000);
        assert_eq!(most.to_bytes().len(), RECORD_BYTES_MAX);
        assert_eq!(State::from_bytes(&most.to_bytes()), Some(most.clone()));
        let more = of(1..=1001);
        assert_eq!(State::from_bytes(&more.to_bytes()), Some(most));
        let mut bytes = more.to_bytes().to_vec();
        bytes[4..6].copy_from_slice(&1001_u16.to_le_bytes());
        bytes.extend_from_within(bytes.len() - KEY_BYTES..);
        let last = bytes.len() - KEY_BYTES;
        bytes[last..last + 4].copy_from_slice(&1001_i32.to_le_bytes());
        assert_eq!(State::from_bytes(&bytes), None);
    }

    fn of(dcs: impl IntoIterator<Item = i32>) -> State {
        State {
            home: None,
            keys: dcs.into_iter().map(|dc| (dc, saved(1))).collect(),
        }
    }

    fn saved(byte: u8) -> Saved {
        Saved {
            key: AuthKey::new([byte; 256]),
            salt: Salt(0x0201),
            clock_offset_ns: -2,
        }
    }
}
