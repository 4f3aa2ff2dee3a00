//! Secrets that ask for the disguise, and name the site.

use crate::limits::FAKE_TLS_DOMAIN_BYTES_MAX;
use crate::transport::{BadSecret, Secret};

/// A secret that begins with `ee`: 16 bytes of key, and the domain of the site that is mimicked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DisguisedSecret {
    secret: Secret,
    domain: String,
}

impl DisguisedSecret {
    /// Makes a secret for a domain, given the 16 bytes of a key.
    ///
    /// # Errors
    ///
    /// [`BadSecret`] for a domain that is empty, longer than 182 bytes, or no ASCII that could be one.
    pub fn new(key: &[u8; 16], domain: &[u8]) -> Result<Self, BadSecret> {
        let is_domain = |it: &u8| it.is_ascii_alphanumeric() || matches!(it, b'-' | b'.' | b'_');
        if !(1..=FAKE_TLS_DOMAIN_BYTES_MAX).contains(&domain.len()) || !domain.iter().all(is_domain)
        {
            return Err(BadSecret);
        }
        let mut padded = [PADDED_MARK; 17];
        for (to, from) in padded.iter_mut().skip(1).zip(key) {
            *to = *from;
        }
        Ok(Self {
            secret: Secret::from_bytes(&padded)?,
            domain: core::str::from_utf8(domain)
                .map_err(|_| BadSecret)?
                .to_owned(),
        })
    }

    /// Reads the binary form.
    ///
    /// # Errors
    ///
    /// [`BadSecret`] if it does not begin with `ee`, is too short, or its domain is none.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadSecret> {
        let Some((&[MARK], rest)) = bytes.split_first_chunk() else {
            return Err(BadSecret);
        };
        let (key, domain) = rest.split_first_chunk().ok_or(BadSecret)?;
        Self::new(key, domain)
    }

    /// Returns what obfuscates the stream inside; it prescribes padding.
    #[must_use]
    pub const fn secret(&self) -> &Secret {
        &self.secret
    }

    /// Returns the site's name.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.domain
    }

    pub(super) fn key(&self) -> &[u8; 16] {
        self.secret.key()
    }
}

const MARK: u8 = 0xee;

const PADDED_MARK: u8 = 0xdd;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_ee_then_a_key_then_a_domain() {
        let bytes = [&[0xee][..], &[7; 16], b"example.org"].concat();
        let secret = DisguisedSecret::from_bytes(&bytes).unwrap();
        assert_eq!(secret.domain(), "example.org");
        assert_eq!(secret.key(), &[7; 16]);
        assert!(secret.secret().requires_padding());
        let mut other = bytes.clone();
        other[0] = 0xdd;
        assert_eq!(DisguisedSecret::from_bytes(&other), Err(BadSecret));
        assert_eq!(DisguisedSecret::from_bytes(&bytes[..16]), Err(BadSecret));
        assert_eq!(DisguisedSecret::from_bytes(&[]), Err(BadSecret));
    }

    #[test]
    fn a_domain_has_1_to_182_bytes_of_a_name() {
        let long = vec![b'a'; 182];
        for (domain, is_right) in [
            (&b""[..], false),
            (b"a", true),
            (&long, true),
            (&[&long[..], b"a"].concat(), false),
            (b"a b", false),
            (b"\xc3\xa4.example", false),
        ] {
            let made = DisguisedSecret::new(&[0; 16], domain);
            assert_eq!(made.is_ok(), is_right, "{domain:?}");
        }
    }
}
