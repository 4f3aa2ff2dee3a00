//! The bytes of a key file.
//!
//! ```text
//!  0  magic: 8           "HELIOKEY"
//!  8  version: 1         = 1
//!  9  protection: 1      0 none, 1 a passphrase, 2 a key
//! 10  a passphrase's:    memory: 4, KiB | passes: 4 | lanes: 4 | salt: 16      of Argon2id
//!  …  the record         as it is, or in a seal
//!  …  checksum: 32       SHA-256 of everything before
//! ```
//!
//! The checksum tells damage from a wrong passphrase; what keeps strangers from writing the file is the seal, which
//! authenticates the head too. Described in `docs/record-format.md`.

use argon2::{Algorithm, Argon2, Params, Version};
use heliogram_crypto::at_rest::MasterKeys;
use heliogram_crypto::{SecretBytes, hash};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::limits::{ARGON_KIB_MAX, ARGON_LANES_MAX, ARGON_PASSES_MAX};
use crate::storage::record::RECORD_BYTES_MAX;
use crate::storage::{FileError, State};

/// What stands between a file and its reader.
#[derive(Clone, Debug)]
pub(super) enum Seal {
    None,
    Passphrase(Cost, MasterKeys),
    Key(MasterKeys),
}

impl Seal {
    /// Makes the seal of a new file.
    pub(super) fn with_passphrase(
        passphrase: &str,
        rng: &mut dyn CryptoRng,
    ) -> Result<Self, FileError> {
        let mut salt = [0; SALT_BYTES];
        rng.fill_bytes(&mut salt);
        let cost = Cost {
            memory_kib: MEMORY_KIB,
            passes: PASSES,
            lanes: LANES,
            salt,
        };
        let keys = cost.keys(passphrase)?;
        Ok(Self::Passphrase(cost, keys))
    }

    pub(super) fn with_key(key: &SecretBytes<32>) -> Self {
        Self::Key(MasterKeys::new(KEY_NUMBER, key.clone()))
    }

    /// Writes a file.
    pub(super) fn write(&self, state: &State, rng: &mut dyn CryptoRng) -> Zeroizing<Vec<u8>> {
        let record = state.to_bytes();
        let mut bytes = Zeroizing::new(Vec::with_capacity(FILE_BYTES_MAX));
        bytes.extend_from_slice(MAGIC);
        bytes.push(VERSION);
        match self {
            Self::None => {
                bytes.push(0);
                bytes.extend_from_slice(&record);
            }
            Self::Passphrase(cost, keys) => {
                bytes.push(1);
                bytes.extend_from_slice(&cost.memory_kib.to_le_bytes());
                bytes.extend_from_slice(&cost.passes.to_le_bytes());
                bytes.extend_from_slice(&cost.lanes.to_le_bytes());
                bytes.extend_from_slice(&cost.salt);
                let sealed = keys.seal(&record, &context(&bytes), rng);
                bytes.extend_from_slice(&sealed);
            }
            Self::Key(keys) => {
                bytes.push(2);
                let sealed = keys.seal(&record, &context(&bytes), rng);
                bytes.extend_from_slice(&sealed);
            }
        }
        let checksum = hash::sha256(&[&bytes]);
        bytes.extend_from_slice(&checksum);
        bytes
    }
}

/// A file that is whole, and not opened yet.
pub(super) struct Parsed<'a> {
    /// All that stands before the record.
    head: &'a [u8],
    body: &'a [u8],
    pub(super) lock: Lock,
}

/// What a file says of its protection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Lock {
    None,
    Passphrase(Cost),
    Key,
}

impl<'a> Parsed<'a> {
    pub(super) fn new(file: &'a [u8]) -> Result<Self, FileError> {
        let (magic, rest) = file
            .split_at_checked(MAGIC.len())
            .ok_or(FileError::Foreign)?;
        if magic != MAGIC {
            return Err(FileError::Foreign);
        }
        let (&version, _) = rest.split_first().ok_or(FileError::Damaged)?;
        if version != VERSION {
            return Err(FileError::Version(version));
        }
        let (whole, checksum) = file.split_last_chunk().ok_or(FileError::Damaged)?;
        if hash::sha256(&[whole]) != *checksum {
            return Err(FileError::Damaged);
        }
        let (head, rest) = whole
            .split_at_checked(HEAD_BYTES)
            .ok_or(FileError::Damaged)?;
        let (lock, body) = match head.last() {
            Some(0) => (Lock::None, rest),
            Some(1) => {
                let (cost, body) = Cost::read(rest).ok_or(FileError::Damaged)?;
                (Lock::Passphrase(cost), body)
            }
            Some(2) => (Lock::Key, rest),
            _ => return Err(FileError::Damaged),
        };
        let head = whole
            .get(..whole.len() - body.len())
            .ok_or(FileError::Damaged)?;
        Ok(Self { head, body, lock })
    }

    /// Reads the record with the seal that the file's [`Lock`] asks for.
    pub(super) fn open(&self, seal: &Seal) -> Result<State, FileError> {
        let keys = match (seal, &self.lock) {
            (Seal::None, Lock::None) => {
                return State::from_bytes(self.body).ok_or(FileError::Damaged);
            }
            (Seal::Passphrase(made, keys), Lock::Passphrase(cost)) if made == cost => keys,
            (Seal::Key(keys), Lock::Key) => keys,
            _ => return Err(FileError::Replaced),
        };
        let wrong = match seal {
            Seal::None | Seal::Passphrase(..) => FileError::WrongPassphrase,
            Seal::Key(_) => FileError::WrongKey,
        };
        let record = keys.open(self.body, &context(self.head));
        let record = record.map_err(|_| wrong)?;
        State::from_bytes(&record).ok_or(FileError::Damaged)
    }
}

/// How a passphrase becomes a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    salt: [u8; SALT_BYTES],
}

impl Cost {
    fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (memory_kib, rest) = bytes.split_first_chunk()?;
        let (passes, rest) = rest.split_first_chunk()?;
        let (lanes, rest) = rest.split_first_chunk()?;
        let (salt, rest) = rest.split_first_chunk()?;
        let cost = Self {
            memory_kib: u32::from_le_bytes(*memory_kib),
            passes: u32::from_le_bytes(*passes),
            lanes: u32::from_le_bytes(*lanes),
            salt: *salt,
        };
        Some((cost, rest))
    }

    /// Derives the key: takes a good part of a second, on purpose.
    pub(super) fn keys(&self, passphrase: &str) -> Result<MasterKeys, FileError> {
        let is_bearable = self.memory_kib <= ARGON_KIB_MAX
            && self.passes <= ARGON_PASSES_MAX
            && self.lanes <= ARGON_LANES_MAX;
        if !is_bearable {
            return Err(FileError::Cost);
        }
        let params = Params::new(self.memory_kib, self.passes, self.lanes, Some(32))
            .map_err(|_| FileError::Cost)?;
        let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let mut derived = Ok(());
        let key = SecretBytes::<32>::fill_with(|key| {
            derived = argon.hash_password_into(passphrase.as_bytes(), &self.salt, key);
        });
        // What can be wrong with lengths was looked at above, but for a passphrase of 4 GiB.
        derived.map_err(|_| FileError::Cost)?;
        Ok(MasterKeys::new(KEY_NUMBER, key))
    }
}

/// What the seal authenticates beside the record: what it is for, and the head that stands before it.
fn context(head: &[u8]) -> Vec<u8> {
    [CONTEXT, head].concat()
}

const MAGIC: &[u8; 8] = b"HELIOKEY";
const VERSION: u8 = 1;
const CONTEXT: &[u8] = b"heliogram client keys\0";

/// Magic, version and protection.
const HEAD_BYTES: usize = 10;
const SALT_BYTES: usize = 16;

/// A file has one key only; the seal wants a number for it.
const KEY_NUMBER: u32 = 1;

/// The second choice of RFC 9106, for where memory is short, on one lane: a third of a second on a small machine.
const MEMORY_KIB: u32 = 64 << 10;
const PASSES: u32 = 3;
const LANES: u32 = 1;

/// Bytes of a file at most: the largest record, its seal, and what stands around it.
pub(super) const FILE_BYTES_MAX: usize = RECORD_BYTES_MAX + 256;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use heliogram_crypto::AuthKey;
    use heliogram_proto::client::Saved;
    use heliogram_proto::ids::Salt;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng as _;

    use super::*;

    /// Made with argon2-cffi, libsodium and hashlib. If this fails, stored files have become unreadable.
    #[test]
    fn a_sealed_file_of_version_1_stays_readable() {
        let parsed = Parsed::new(SEALED_V1).unwrap();
        let Lock::Passphrase(cost) = &parsed.lock else {
            panic!("{:?}", parsed.lock)
        };
        let keys = cost.keys("correct horse").unwrap();
        let seal = Seal::Passphrase(cost.clone(), keys);
        assert_eq!(parsed.open(&seal).unwrap(), state());

        let keys = cost.keys("correct house").unwrap();
        let seal = Seal::Passphrase(cost.clone(), keys);
        let wrong = parsed.open(&seal).unwrap_err();
        assert!(matches!(wrong, FileError::WrongPassphrase), "{wrong:?}");
    }

    #[test]
    fn a_file_without_protection_has_the_bytes_that_it_had_in_the_first_release() {
        let bytes = Seal::None.write(&state(), &mut rng());
        let expected = [b"HELIOKEY", &[1, 0][..], &state().to_bytes()].concat();
        assert_eq!(bytes[..bytes.len() - 32], expected);
        assert_eq!(bytes[bytes.len() - 32..], hash::sha256(&[&expected]));
        let read = Parsed::new(&bytes).unwrap().open(&Seal::None).unwrap();
        assert_eq!(read, state());
    }

    #[test]
    fn what_is_no_key_file_or_a_later_ones_is_told_from_damage() {
        let good = Seal::None.write(&state(), &mut rng());
        let why = |bytes: &[u8]| Parsed::new(bytes).err().unwrap();
        assert!(matches!(why(b""), FileError::Foreign));
        assert!(matches!(why(b"HELIOKE"), FileError::Foreign));
        assert!(matches!(why(b"HELIOKEY"), FileError::Damaged));
        assert!(matches!(why(b"{\"auth_key\": 1}"), FileError::Foreign));
        let mut later = good.to_vec();
        later[8] = 2;
        assert!(matches!(why(&later), FileError::Version(2)));
        for length in 9..good.len() {
            assert!(
                matches!(why(&good[..length]), FileError::Damaged),
                "{length}"
            );
        }
        for at in 9..good.len() {
            let mut changed = good.to_vec();
            changed[at] ^= 1;
            assert!(matches!(why(&changed), FileError::Damaged), "{at}");
        }
    }

    #[test]
    fn the_seal_holds_the_head_too() {
        let key = SecretBytes::new([3; 32]);
        let seal = Seal::with_key(&key);
        let bytes = seal.write(&state(), &mut rng());
        assert_eq!(Parsed::new(&bytes).unwrap().open(&seal).unwrap(), state());
        let cost = Cost {
            memory_kib: 8,
            passes: 1,
            lanes: 1,
            salt: [0; 16],
        };
        // The same sealed record, passed off as one under a passphrase whose key is the same.
        let inner = &bytes[10..bytes.len() - 32];
        let head = [
            &bytes[..9],
            &[1, 8, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0],
            &[0; 16],
        ]
        .concat();
        let moved = [&head[..], inner].concat();
        let moved = [&moved[..], &hash::sha256(&[&moved])].concat();
        let parsed = Parsed::new(&moved).unwrap();
        let seal = Seal::Passphrase(cost, MasterKeys::new(1, key));
        let refused = parsed.open(&seal).unwrap_err();
        assert!(matches!(refused, FileError::WrongPassphrase), "{refused:?}");
    }

    #[test]
    fn a_file_may_ask_for_so_much_work_and_no_more() {
        for (memory_kib, passes, lanes, is_right) in [
            (8, 1, 1, true),
            (8, 64, 1, true),
            (8, 65, 1, false),
            (128, 1, 16, true),
            (136, 1, 17, false),
            ((1 << 20) + 1, 1, 1, false),
            // Argon2 itself wants eight blocks for each lane, and one pass.
            (7, 1, 1, false),
            (8, 0, 1, false),
        ] {
            let salt = [0; 16];
            let cost = Cost {
                memory_kib,
                passes,
                lanes,
                salt,
            };
            assert_eq!(cost.keys("").is_ok(), is_right, "{cost:?}");
        }
    }

    #[test]
    fn the_largest_record_fits_a_file() {
        let state = State {
            home: Some(1),
            keys: (1..=1000).map(|dc| (dc, saved(1))).collect(),
        };
        let cost = Cost {
            memory_kib: 8,
            passes: 1,
            lanes: 1,
            salt: [0; 16],
        };
        let seal = Seal::Passphrase(cost.clone(), cost.keys("").unwrap());
        assert!(seal.write(&state, &mut rng()).len() <= FILE_BYTES_MAX);
    }

    fn state() -> State {
        State {
            home: Some(2),
            keys: BTreeMap::from([(2, saved(7))]),
        }
    }

    fn saved(byte: u8) -> Saved {
        Saved {
            key: AuthKey::new([byte; 256]),
            salt: Salt(0x0201),
            clock_offset_ns: -2,
        }
    }

    fn rng() -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(1)
    }

    const SEALED_V1: &[u8] = include_bytes!("sealed_v1.bin");
}
