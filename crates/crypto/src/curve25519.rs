//! Which 32 bytes are the abscissa of a point on Curve25519: those that a public key of X25519 can be.
//!
//! For disguises only: a key that is none gives them away to whoever computes. Nothing here is secret, and nothing is in
//! constant time.
//!
//! Source: RFC 7748.

#![expect(
    clippy::indexing_slicing,
    reason = "constant bounds of arrays of fixed size"
)]

use rand_core::CryptoRng;

/// Draws the abscissa of a random point.
pub fn random_abscissa(rng: &mut dyn CryptoRng) -> [u8; 32] {
    let mut bytes = [0; 32];
    loop {
        rng.fill_bytes(&mut bytes);
        // Canonical: below 2^255, and so surely below the prime but for 19 values.
        bytes[31] &= 0x7f;
        if is_abscissa(&bytes) {
            return bytes;
        }
    }
}

/// Tells whether there is a point with this abscissa: whether x³ + 486662x² + x is a square.
#[must_use]
pub fn is_abscissa(bytes: &[u8; 32]) -> bool {
    let mut x = Field::default();
    for (limb, bytes) in x.0.iter_mut().zip(bytes.as_chunks::<8>().0) {
        *limb = u64::from_le_bytes(*bytes);
    }
    let one = Field([1, 0, 0, 0]);
    let a = Field([486_662, 0, 0, 0]);
    // x(x(x + a) + 1)
    let value = x.times(x.times(x.plus(a)).plus(one));
    // (p - 1) / 2 = 2^254 - 10: 254 bits, all ones but the two that make the last four 0110.
    let mut power = one;
    for bit in (0..254).rev() {
        power = power.times(power);
        if bit >= 4 || bit == 2 || bit == 1 {
            power = power.times(value);
        }
    }
    let power = power.canonical();
    power == one || power == Field::default()
}

/// A number modulo 2^255 - 19, not always the least.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Field([u64; 4]);

impl Field {
    fn plus(self, other: Self) -> Self {
        let mut sum = [0; 4];
        let mut carry = 0_u128;
        for (sum, (a, b)) in sum.iter_mut().zip(self.0.into_iter().zip(other.0)) {
            carry += u128::from(a) + u128::from(b);
            (*sum, carry) = split(carry);
        }
        Self(sum).fold(carry)
    }

    fn times(self, other: Self) -> Self {
        let mut product = [0_u64; 8];
        for at in 0..4 {
            let mut carry = 0;
            for with in 0..4 {
                carry += u128::from(self.0[at]) * u128::from(other.0[with])
                    + u128::from(product[at + with]);
                (product[at + with], carry) = split(carry);
            }
            (product[at + 4], _) = split(carry);
        }
        // 2^256 is 38.
        let mut low = [0; 4];
        let mut carry = 0;
        for at in 0..4 {
            carry += u128::from(product[at]) + u128::from(product[at + 4]) * 38;
            (low[at], carry) = split(carry);
        }
        Self(low).fold(carry)
    }

    /// Adds `high` times 2^256.
    fn fold(self, high: u128) -> Self {
        let mut folded = self.0;
        let mut carry = high * 38;
        while carry > 0 {
            for limb in &mut folded {
                carry += u128::from(*limb);
                (*limb, carry) = split(carry);
            }
            carry *= 38;
        }
        Self(folded)
    }

    /// Returns the least number that is the same.
    fn canonical(self) -> Self {
        let mut least = self;
        // Below 2^256, which is less than three times the prime.
        for _ in 0..2 {
            let mut less = [0; 4];
            let mut borrow = false;
            for at in 0..4 {
                let (a, first) = least.0[at].overflowing_sub(PRIME[at]);
                let (b, second) = a.overflowing_sub(u64::from(borrow));
                (less[at], borrow) = (b, first || second);
            }
            if !borrow {
                least = Self(less);
            }
        }
        least
    }
}

/// Returns the low 64 bits, and the rest.
fn split(wide: u128) -> (u64, u128) {
    let low = u64::try_from(wide & u128::from(u64::MAX)).unwrap_or(0);
    (low, wide >> 64)
}

const PRIME: [u64; 4] = [
    0xffff_ffff_ffff_ffed,
    u64::MAX,
    u64::MAX,
    0x7fff_ffff_ffff_ffff,
];

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::{Rng, SeedableRng};

    use super::*;

    #[test]
    fn published_public_keys_are_abscissas() {
        for key in [
            // The base point, and the public keys of RFC 7748, section 6.1.
            "0900000000000000000000000000000000000000000000000000000000000000",
            "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
            "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
            "0000000000000000000000000000000000000000000000000000000000000000",
        ] {
            assert!(is_abscissa(&bytes(key)), "{key}");
        }
    }

    #[test]
    fn a_number_on_the_twist_is_none() {
        // 2: 8 + 486662 * 4 + 2 is no square modulo the prime, by its Legendre symbol.
        let mut two = [0; 32];
        two[0] = 2;
        assert!(!is_abscissa(&two));
    }

    #[test]
    fn half_of_all_numbers_are_abscissas_and_all_that_are_drawn() {
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        let mut count = 0;
        for _ in 0..200 {
            let mut any = [0; 32];
            rng.fill_bytes(&mut any);
            count += u32::from(is_abscissa(&any));
        }
        assert!((60..140).contains(&count), "{count} of 200");
        for _ in 0..20 {
            assert!(is_abscissa(&random_abscissa(&mut rng)));
        }
    }

    #[test]
    fn arithmetic_holds_at_the_prime() {
        let minus_one = Field([PRIME[0] - 1, PRIME[1], PRIME[2], PRIME[3]]);
        let one = Field([1, 0, 0, 0]);
        assert_eq!(minus_one.times(minus_one).canonical(), one);
        assert_eq!(minus_one.plus(one).canonical(), Field::default());
        let all = Field([u64::MAX; 4]);
        // 2^256 - 1 is 37.
        assert_eq!(all.canonical(), Field([37, 0, 0, 0]));
        assert_eq!(all.times(all).canonical(), Field([37 * 37, 0, 0, 0]));
    }

    fn bytes(hex: &str) -> [u8; 32] {
        std::array::from_fn(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
    }
}
