//! The 284 bytes in which the npm package `@mtproto2/mtproto` keeps a session: for those who move from it, or to it.
//!
//! ```text
//! auth_key 256 | auth_key_id 8 | salt 8 | session_id 8 | time_offset 4, seconds      all little-endian
//! ```

use heliogram_crypto::{AuthKey, SecretBytes};
use zeroize::Zeroizing;

use crate::ids::{Salt, SessionId};

/// What those bytes say.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "what the form holds")]
pub struct SavedSession {
    /// The authorization key.
    pub key: AuthKey,
    /// The salt that was used last.
    pub salt: Salt,
    /// The session.
    pub session_id: SessionId,
    /// The server's clock minus the client's, in seconds.
    pub clock_offset_s: i32,
}

impl SavedSession {
    /// Returns the bytes; they hold the key.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; SAVED_BYTES]> {
        let mut bytes = Zeroizing::new([0; SAVED_BYTES]);
        let fields: [&[u8]; 5] = [
            self.key.expose(),
            &self.key.id().0.to_le_bytes(),
            &self.salt.0.to_le_bytes(),
            &self.session_id.0.to_le_bytes(),
            &self.clock_offset_s.to_le_bytes(),
        ];
        for (to, from) in bytes.iter_mut().zip(fields.into_iter().flatten()) {
            *to = *from;
        }
        bytes
    }

    /// Reads the bytes; `None` if the key is not the one that they name.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; SAVED_BYTES]) -> Option<Self> {
        let (key, rest) = bytes.split_first_chunk::<256>()?;
        let (id, rest) = rest.split_first_chunk()?;
        let (salt, rest) = rest.split_first_chunk()?;
        let (session_id, rest) = rest.split_first_chunk()?;
        let clock_offset_s = rest.first_chunk()?;
        let key = AuthKey::from_secret(SecretBytes::fill_with(|to| to.copy_from_slice(key)));
        if key.id().0 != i64::from_le_bytes(*id) {
            return None;
        }
        Some(Self {
            key,
            salt: Salt(i64::from_le_bytes(*salt)),
            session_id: SessionId(i64::from_le_bytes(*session_id)),
            clock_offset_s: i32::from_le_bytes(*clock_offset_s),
        })
    }
}

/// Bytes of the form.
pub const SAVED_BYTES: usize = 284;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_kept_in_284_bytes_and_read_from_them() {
        let saved = SavedSession {
            key: AuthKey::new([7; 256]),
            salt: Salt(0x0102),
            session_id: SessionId(-2),
            clock_offset_s: -3,
        };
        let bytes = saved.to_bytes();
        assert_eq!(bytes[..256], [7; 256]);
        assert_eq!(bytes[256..264], saved.key.id().0.to_le_bytes());
        assert_eq!(bytes[264..272], [2, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(bytes[272..280], (-2_i64).to_le_bytes());
        assert_eq!(bytes[280..], (-3_i32).to_le_bytes());
        let read = SavedSession::from_bytes(&bytes).unwrap();
        assert_eq!(*read.to_bytes(), *bytes);
    }

    #[test]
    fn a_key_that_is_not_the_one_that_is_named_is_refused() {
        let mut bytes = [7; SAVED_BYTES];
        assert!(SavedSession::from_bytes(&bytes).is_none());
        bytes[256..264].copy_from_slice(&AuthKey::new([7; 256]).id().0.to_le_bytes());
        assert!(SavedSession::from_bytes(&bytes).is_some());
    }
}
