//! Records as bytes, and their seals: what every store writes. Drawn field by field in `docs/record-format.md`.

use heliogram_crypto::at_rest::MasterKeys;
use heliogram_crypto::{AuthKey, SecretBytes};
use heliogram_proto::ids::{AuthKeyId, Salt, Term};
use rand_core::UnwrapErr;
use zeroize::Zeroizing;

use crate::{FirstSalt, KeyFacts, KeyKind, KeyRecord};

/// First byte of a record.
const VERSION: u8 = 1;

const HAS_END: u8 = 1;
const HAS_PERM: u8 = 1 << 1;
const HAS_DC: u8 = 1 << 2;
const HAS_FIRST_SALT: u8 = 1 << 3;
const FLAGS: u8 = HAS_END | HAS_PERM | HAS_DC | HAS_FIRST_SALT;

/// version, flags, key, created, end, perm, dc, first salt: salt, term, since.
const RECORD_BYTES: usize = 1 + 1 + 256 + 8 + 4 + 8 + 4 + 8 + 8 + 8;

/// Seals and opens what a store keeps.
///
/// ```
/// use heliogram_crypto::SecretBytes;
/// use heliogram_crypto::at_rest::MasterKeys;
/// use heliogram_ports::record::Sealer;
/// use heliogram_ports::{KeyKind, conformance};
///
/// let sealer = Sealer::new(MasterKeys::new(1, SecretBytes::new([7; 32])));
/// let record = conformance::record(1, KeyKind::Permanent);
/// let sealed = sealer.seal(&record);
/// assert_eq!(sealer.open(record.facts.id, &sealed).map(|it| it.facts), Some(record.facts));
/// ```
#[derive(Debug)]
pub struct Sealer {
    master_keys: MasterKeys,
}

impl Sealer {
    /// Starts with the keys that the operator keeps apart from the data.
    #[must_use]
    pub const fn new(master_keys: MasterKeys) -> Self {
        Self { master_keys }
    }

    /// Seals a record under its own id, so that no record can be passed off as another's.
    #[must_use]
    pub fn seal(&self, record: &KeyRecord) -> Vec<u8> {
        let plain = to_bytes(record);
        let context = record_context(record.facts.id);
        self.master_keys
            .seal(&plain, &context, &mut UnwrapErr(getrandom::SysRng))
    }

    /// Opens the record of `id`; nothing if it is damaged, moved, or sealed with an unknown master key.
    #[must_use]
    pub fn open(&self, id: AuthKeyId, sealed: &[u8]) -> Option<KeyRecord> {
        let plain = self.master_keys.open(sealed, &record_context(id)).ok()?;
        from_bytes(&plain).filter(|record| record.facts.id == id)
    }

    /// Seals a secret under its name.
    #[must_use]
    pub fn seal_secret(&self, name: &str, secret: &SecretBytes<32>) -> Vec<u8> {
        let context = secret_context(name);
        self.master_keys
            .seal(secret.expose(), &context, &mut UnwrapErr(getrandom::SysRng))
    }

    /// Tells whether something is sealed with the newest master key; otherwise it should be sealed anew.
    #[must_use]
    pub fn is_current(&self, sealed: &[u8]) -> bool {
        self.master_keys.is_current(sealed)
    }

    /// Opens the secret of that name; nothing if it is damaged, another's, or sealed with an unknown master key.
    #[must_use]
    pub fn open_secret(&self, name: &str, sealed: &[u8]) -> Option<SecretBytes<32>> {
        let plain = self.master_keys.open(sealed, &secret_context(name)).ok()?;
        <[u8; 32]>::try_from(plain.as_slice())
            .ok()
            .map(SecretBytes::new)
    }
}

fn record_context(id: AuthKeyId) -> Vec<u8> {
    [b"heliogram auth key\0".as_slice(), &id.0.to_le_bytes()].concat()
}

fn secret_context(name: &str) -> Vec<u8> {
    [b"heliogram secret\0".as_slice(), name.as_bytes()].concat()
}

/// Always [`RECORD_BYTES`] long; what is absent is zero and its flag is clear.
fn to_bytes(record: &KeyRecord) -> Zeroizing<Vec<u8>> {
    let facts = &record.facts;
    let end = match facts.kind {
        KeyKind::Permanent => None,
        KeyKind::Temporary { expires_at_unix_s } => Some(expires_at_unix_s),
    };
    let flag = |present: bool, flag: u8| if present { flag } else { 0 };
    let flags = flag(end.is_some(), HAS_END)
        | flag(facts.perm.is_some(), HAS_PERM)
        | flag(facts.dc.is_some(), HAS_DC)
        | flag(facts.first_salt.is_some(), HAS_FIRST_SALT);
    let first = facts.first_salt.unwrap_or(FirstSalt {
        salt: Salt(0),
        term: Term(0),
        since_unix_s: 0,
    });
    // Sized once: growing would leave copies of the key behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(RECORD_BYTES));
    bytes.extend_from_slice(&[VERSION, flags]);
    bytes.extend_from_slice(record.key.expose());
    bytes.extend_from_slice(&record.created_at_unix_s.to_le_bytes());
    bytes.extend_from_slice(&end.unwrap_or(0).to_le_bytes());
    bytes.extend_from_slice(&facts.perm.map_or(0, |id| id.0).to_le_bytes());
    bytes.extend_from_slice(&facts.dc.unwrap_or(0).to_le_bytes());
    bytes.extend_from_slice(&first.salt.0.to_le_bytes());
    bytes.extend_from_slice(&first.term.0.to_le_bytes());
    bytes.extend_from_slice(&first.since_unix_s.to_le_bytes());
    debug_assert_eq!(bytes.len(), RECORD_BYTES);
    bytes
}

fn from_bytes(bytes: &[u8]) -> Option<KeyRecord> {
    let bytes: &[u8; RECORD_BYTES] = bytes.try_into().ok()?;
    let mut fields = Fields(bytes);
    let [version, flags] = fields.take()?;
    if version != VERSION || flags & !FLAGS != 0 {
        return None;
    }
    let has = |flag: u8| flags & flag != 0;
    let key = AuthKey::new(fields.take()?);
    let created_at_unix_s = u64::from_le_bytes(fields.take()?);
    let end = u32::from_le_bytes(fields.take()?);
    let perm = i64::from_le_bytes(fields.take()?);
    let dc = i32::from_le_bytes(fields.take()?);
    let first_salt = FirstSalt {
        salt: Salt(i64::from_le_bytes(fields.take()?)),
        term: Term(u64::from_le_bytes(fields.take()?)),
        since_unix_s: u64::from_le_bytes(fields.take()?),
    };
    let kind = if has(HAS_END) {
        KeyKind::Temporary {
            expires_at_unix_s: end,
        }
    } else {
        KeyKind::Permanent
    };
    let facts = KeyFacts {
        id: key.id(),
        kind,
        perm: has(HAS_PERM).then_some(AuthKeyId(perm)),
        dc: has(HAS_DC).then_some(dc),
        first_salt: has(HAS_FIRST_SALT).then_some(first_salt),
    };
    Some(KeyRecord {
        facts,
        key,
        created_at_unix_s,
    })
}

/// Takes fields of known widths from the front.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer(versions: &[u8]) -> Sealer {
        let (newest, older) = versions.split_last().unwrap();
        let key = |version: u8| SecretBytes::new([version; 32]);
        let newest = MasterKeys::new(u32::from(*newest), key(*newest));
        let add = |keys: MasterKeys, version: &u8| {
            keys.with_older(u32::from(*version), key(*version)).unwrap()
        };
        Sealer::new(older.iter().fold(newest, add))
    }

    fn record(byte: u8) -> KeyRecord {
        let key = AuthKey::new([byte; 256]);
        KeyRecord {
            facts: KeyFacts {
                id: key.id(),
                kind: KeyKind::Temporary {
                    expires_at_unix_s: 0xffff_fffe,
                },
                perm: Some(AuthKeyId(-5)),
                dc: Some(-10_002),
                first_salt: Some(FirstSalt {
                    salt: Salt(i64::MIN),
                    term: Term(u64::MAX),
                    since_unix_s: 7,
                }),
            },
            key,
            created_at_unix_s: 1_700_000_000,
        }
    }

    #[test]
    fn a_record_survives_with_and_without_its_optional_fields() {
        let full = record(7);
        let mut bare = record(8);
        bare.facts.kind = KeyKind::Permanent;
        bare.facts.perm = None;
        bare.facts.dc = None;
        bare.facts.first_salt = None;
        for record in [full, bare] {
            let read = from_bytes(&to_bytes(&record)).unwrap();
            assert_eq!(read.facts, record.facts);
            assert_eq!(read.key.expose(), record.key.expose());
            assert_eq!(read.created_at_unix_s, record.created_at_unix_s);
        }
    }

    #[test]
    fn the_bytes_of_format_1_stay_as_they_are() {
        let bytes = to_bytes(&record(7));
        let tail = "00f15365000000\
                    00feffffff\
                    fbffffffffffffff\
                    eed8ffff\
                    0000000000000080\
                    ffffffffffffffff\
                    0700000000000000";
        assert_eq!(bytes.len(), 306);
        assert_eq!(bytes[..2], [1, 0b1111]);
        assert_eq!(bytes[2..258], [7; 256]);
        let hex: String = bytes[258..]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(hex, tail);
    }

    #[test]
    fn another_version_unknown_flags_and_other_lengths_are_refused() {
        let good = to_bytes(&record(7));
        for (index, value) in [(0, 0), (0, 2), (1, 0b1_0000)] {
            let mut bad = good.to_vec();
            bad[index] = value;
            assert!(from_bytes(&bad).is_none(), "byte {index} = {value}");
        }
        assert!(from_bytes(&good[..305]).is_none());
        assert!(from_bytes(&[good.as_slice(), &[0]].concat()).is_none());
    }

    #[test]
    fn a_sealed_record_opens_only_under_its_own_id_and_hides_the_key() {
        let sealer = sealer(&[1]);
        let record = record(7);
        let sealed = sealer.seal(&record);
        assert_eq!(
            sealer.open(record.facts.id, &sealed).unwrap().facts,
            record.facts
        );
        assert!(
            sealer
                .open(AuthKeyId(record.facts.id.0 ^ 1), &sealed)
                .is_none()
        );
        assert!(!sealed.windows(8).any(|window| window == [7; 8]));
    }

    #[test]
    fn a_rotated_master_key_still_opens_old_records_and_a_lost_one_does_not() {
        let record = record(7);
        let old = sealer(&[1]).seal(&record);
        assert!(sealer(&[1, 2]).open(record.facts.id, &old).is_some());
        assert!(sealer(&[2]).open(record.facts.id, &old).is_none());
        assert!(sealer(&[1]).is_current(&old));
        assert!(!sealer(&[1, 2]).is_current(&old));
    }

    #[test]
    fn a_record_cannot_be_opened_as_a_secret() {
        let sealer = sealer(&[1]);
        let secret = SecretBytes::new([9; 32]);
        let sealed = sealer.seal_secret("salt", &secret);
        assert!(sealer.open_secret("salt", &sealed).is_some());
        assert!(sealer.open_secret("other", &sealed).is_none());
    }
}
