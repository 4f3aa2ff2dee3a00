//! Secrets of obfuscated connections, as links and configurations write them.

use heliogram_crypto::SecretBytes;

/// A secret that both ends mix into the keys of an obfuscated connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret {
    key: SecretBytes<16>,
    requires_padding: bool,
}

impl Secret {
    /// Reads the binary form: 16 bytes, or `dd` and 16 bytes if the padded framing is prescribed.
    ///
    /// # Errors
    ///
    /// [`BadSecret`] for any other length or first byte. `ee`, the form with a domain, asks for a TLS disguise.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadSecret> {
        let (key, requires_padding) = match bytes {
            [PADDED_MARK, key @ ..] if key.len() == 16 => (key, true),
            key => (key, false),
        };
        let key = <[u8; 16]>::try_from(key).map_err(|_| BadSecret)?;
        Ok(Self {
            key: SecretBytes::new(key),
            requires_padding,
        })
    }

    /// Reads a text form of the same bytes: hex in either case.
    ///
    /// # Errors
    ///
    /// [`BadSecret`] if it is not hex, or not of a secret.
    pub fn from_hex(text: &str) -> Result<Self, BadSecret> {
        let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
            return Err(BadSecret);
        };
        let bytes: Option<Vec<u8>> = pairs
            .iter()
            .map(|&[high, low]| Some(digit(high)? << 4 | digit(low)?))
            .collect();
        Self::from_bytes(&bytes.ok_or(BadSecret)?)
    }

    /// Tells whether only the padded framing may be used with it.
    #[must_use]
    pub fn requires_padding(&self) -> bool {
        self.requires_padding
    }

    pub(super) fn key(&self) -> &[u8; 16] {
        self.key.expose()
    }
}

/// It is not the form of a secret. Does not show what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadSecret;

impl core::fmt::Display for BadSecret {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("a secret is 32 hex digits, or dd and 32 hex digits")
    }
}

impl core::error::Error for BadSecret {}

fn digit(character: u8) -> Option<u8> {
    let digit = char::from(character).to_digit(16)?;
    u8::try_from(digit).ok()
}

/// The first byte of a secret that prescribes padding.
const PADDED_MARK: u8 = 0xdd;
