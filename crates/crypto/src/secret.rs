//! Bytes that must not be seen.

use core::fmt;

use rand_core::CryptoRng;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// `N` secret bytes: zeroed on drop, redacted in `Debug`, compared in constant time.
///
/// They lie on the heap, so that moving the value leaves no copy behind.
#[derive(Clone)]
pub struct SecretBytes<const N: usize> {
    bytes: Box<[u8; N]>,
}

impl<const N: usize> SecretBytes<N> {
    /// Takes over `bytes`. The caller's own copy, if it keeps one, is the caller's to erase.
    #[must_use]
    pub fn new(mut bytes: [u8; N]) -> Self {
        let secret = Self {
            bytes: Box::new(bytes),
        };
        bytes.zeroize();
        secret
    }

    /// Draws the bytes from `rng`, straight into their final place.
    #[must_use]
    pub fn random(rng: &mut dyn CryptoRng) -> Self {
        Self::fill_with(|bytes| rng.fill_bytes(bytes))
    }

    /// Shows the bytes. Don't copy them to where nothing erases them.
    #[must_use]
    pub fn expose(&self) -> &[u8; N] {
        &self.bytes
    }

    /// Lets `fill` write the bytes, zeros at first, in their final place.
    pub fn fill_with(fill: impl FnOnce(&mut [u8; N])) -> Self {
        let mut secret = Self {
            bytes: Box::new([0; N]),
        };
        fill(&mut secret.bytes);
        secret
    }
}

impl<const N: usize> Zeroize for SecretBytes<N> {
    fn zeroize(&mut self) {
        self.bytes.zeroize();
    }
}

impl<const N: usize> Drop for SecretBytes<N> {
    fn drop(&mut self) {
        self.zeroize();
    }
}

impl<const N: usize> ZeroizeOnDrop for SecretBytes<N> {}

impl<const N: usize> PartialEq for SecretBytes<N> {
    fn eq(&self, other: &Self) -> bool {
        self.bytes.ct_eq(&*other.bytes).into()
    }
}

impl<const N: usize> Eq for SecretBytes<N> {}

impl<const N: usize> fmt::Debug for SecretBytes<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretBytes<{N}>(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_the_size_and_nothing_else() {
        assert_eq!(
            format!("{:?}", SecretBytes::new([0xab; 4])),
            "SecretBytes<4>(…)"
        );
        assert_eq!(
            format!("{:#?}", SecretBytes::new([0xab; 4])),
            "SecretBytes<4>(…)"
        );
    }

    #[test]
    fn equal_only_if_every_byte_is() {
        let secret = SecretBytes::new([7; 32]);
        let mut other = [7; 32];
        assert_eq!(secret, SecretBytes::new(other));
        other[31] ^= 1;
        assert_ne!(secret, SecretBytes::new(other));
    }

    #[test]
    fn zeroize_leaves_zeros() {
        let mut secret = SecretBytes::new([7; 32]);
        secret.zeroize();
        assert_eq!(secret.expose(), &[0; 32]);
    }
}
