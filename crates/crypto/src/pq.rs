//! The proof of work in front of the key exchange: a product of two primes, and its factors.
//!
//! Nothing here is secret, so nothing is in constant time.

use core::iter;
use core::ops::Deref;

use rand_core::CryptoRng;

/// Finds the factors p < q of a product of two odd primes.
///
/// The work is bounded: some milliseconds at worst, 0.4 ms as a rule.
///
/// `None` when `pq` is even, prime, a square, has more than two prime factors, one above 32 bits, or isn't below 2^63.
#[must_use]
pub fn factorize(pq: u64) -> Option<(u32, u32)> {
    if !(15..1 << 63).contains(&pq) || pq.is_multiple_of(2) {
        return None;
    }
    let factor = (1..=TRIES_MAX).find_map(|c| Brent::new(pq, c).factor())?;
    let (a, b) = (
        u32::try_from(factor).ok()?,
        u32::try_from(pq / factor).ok()?,
    );
    let (p, q) = (a.min(b), a.max(b));
    (p != q && is_prime(p) && is_prime(q)).then_some((p, q))
}

/// Draws two different primes of 31 bits, the smaller one first.
pub fn generate(rng: &mut dyn CryptoRng) -> (u32, u32) {
    let (a, mut b) = (random_prime(rng), random_prime(rng));
    if a == b {
        b = if a == LARGEST_PRIME {
            next_prime(SMALLEST_ODD)
        } else {
            next_prime(a + 2)
        };
    }
    (a.min(b), a.max(b))
}

/// Writes a number as the exchange does: big-endian, without leading zeros.
#[must_use]
pub fn to_minimal_be(number: u64) -> MinimalBe {
    MinimalBe {
        bytes: number.to_be_bytes(),
        start: number.leading_zeros() / 8,
    }
}

/// Reads a number of at most 8 bytes; leading zeros are allowed. `None` if it is empty or longer.
#[must_use]
pub fn from_be(bytes: &[u8]) -> Option<u64> {
    if bytes.is_empty() || bytes.len() > 8 {
        return None;
    }
    Some(
        bytes
            .iter()
            .fold(0, |number, byte| number << 8 | u64::from(*byte)),
    )
}

/// What [`to_minimal_be`] returns: at most 8 bytes, none for zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MinimalBe {
    bytes: [u8; 8],
    /// How many leading bytes are zero.
    start: u32,
}

impl Deref for MinimalBe {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(self.start as usize..).unwrap_or_default()
    }
}

/// Brent's variant of Pollard's rho: one walk x -> x^2 + c, with the differences multiplied up so that a gcd is taken
/// only once in [`BATCH`] steps. Numbers are in Montgomery form, with R = 2^64.
struct Brent {
    n: u64,
    /// -1/n modulo 2^64.
    n_inverse: u64,
    c: u64,
}

impl Brent {
    /// `n` is odd and below 2^63.
    fn new(n: u64, c: u64) -> Self {
        // Newton's iteration doubles the number of correct bits; n itself is right in 3.
        let inverse = (0..5).fold(n, |x, _| {
            x.wrapping_mul(2_u64.wrapping_sub(n.wrapping_mul(x)))
        });
        Self {
            n,
            n_inverse: inverse.wrapping_neg(),
            c,
        }
    }

    /// A proper factor; `None` if this walk finds none within [`STEPS_MAX`].
    fn factor(&self) -> Option<u64> {
        let (mut y, mut product) = (2, 1);
        let mut steps = 1;
        while steps <= STEPS_MAX {
            let x = y;
            for _ in 0..steps {
                y = self.step(y);
            }
            let mut done = 0;
            while done < steps {
                let begin = y;
                for _ in 0..BATCH.min(steps - done) {
                    y = self.step(y);
                    product = self.multiply(product, x.abs_diff(y));
                }
                match gcd(product, self.n) {
                    1 => {}
                    divisor if divisor < self.n => return Some(divisor),
                    _ => return self.slowly(x, begin),
                }
                done += BATCH;
            }
            steps *= 2;
        }
        None
    }

    /// Repeats one batch with a gcd per step, since its product hit both factors.
    fn slowly(&self, x: u64, mut y: u64) -> Option<u64> {
        for _ in 0..BATCH {
            y = self.step(y);
            match gcd(x.abs_diff(y), self.n) {
                1 => {}
                divisor => return (divisor < self.n).then_some(divisor),
            }
        }
        None
    }

    fn step(&self, y: u64) -> u64 {
        let next = self.multiply(y, y) + self.c;
        if next >= self.n { next - self.n } else { next }
    }

    /// a * b / R modulo n, for a and b below n.
    fn multiply(&self, a: u64, b: u64) -> u64 {
        let product = u128::from(a) * u128::from(b);
        let multiple = low64(product).wrapping_mul(self.n_inverse);
        let reduced = low64((product + u128::from(multiple) * u128::from(self.n)) >> 64);
        if reduced >= self.n {
            reduced - self.n
        } else {
            reduced
        }
    }
}

/// The greatest common divisor; `n` is odd. `gcd(0, n)` is n.
fn gcd(mut a: u64, n: u64) -> u64 {
    let mut b = n;
    while a != 0 {
        a >>= a.trailing_zeros();
        if a < b {
            core::mem::swap(&mut a, &mut b);
        }
        a -= b;
    }
    b
}

/// Miller-Rabin with the bases that make it exact below 4,759,123,141.
///
/// Source: Jaeschke, "On strong pseudoprimes to several bases", 1993.
fn is_prime(n: u32) -> bool {
    if n < 2 || n.is_multiple_of(2) {
        return n == 2;
    }
    let twos = (n - 1).trailing_zeros();
    [2, 7, 61]
        .into_iter()
        .filter(|base| n != *base)
        .all(|base| {
            let first = power(base % n, (n - 1) >> twos, n);
            let squares = iter::successors(Some(first), |power| Some(multiply(*power, *power, n)));
            first == 1 || squares.take(twos as usize).any(|power| power == n - 1)
        })
}

fn power(mut base: u32, mut exponent: u32, n: u32) -> u32 {
    let mut result = 1;
    while exponent != 0 {
        if exponent % 2 == 1 {
            result = multiply(result, base, n);
        }
        base = multiply(base, base, n);
        exponent /= 2;
    }
    result
}

fn multiply(a: u32, b: u32, n: u32) -> u32 {
    low32(u64::from(a) * u64::from(b) % u64::from(n))
}

fn random_prime(rng: &mut dyn CryptoRng) -> u32 {
    next_prime(rng.next_u32() & LARGEST_PRIME | SMALLEST_ODD)
}

/// The first prime at or after an odd number of at most 31 bits: there is one, as 2^31 - 1 is prime.
fn next_prime(mut candidate: u32) -> u32 {
    while !is_prime(candidate) {
        candidate += 2;
    }
    candidate
}

#[expect(clippy::cast_possible_truncation, reason = "the name says it")]
const fn low32(wide: u64) -> u32 {
    wide as u32
}

#[expect(clippy::cast_possible_truncation, reason = "the name says it")]
const fn low64(wide: u128) -> u64 {
    wide as u64
}

/// Walks tried, each with a constant of its own. One suffices but for very small numbers.
const TRIES_MAX: u64 = 16;

/// Longest leg of a walk. A factor of 31 bits takes some 60,000 steps in all, so this is never reached by a proper pq.
const STEPS_MAX: u32 = 1 << 17;

/// Steps per gcd.
const BATCH: u32 = 128;

const LARGEST_PRIME: u32 = (1 << 31) - 1;

/// The least odd number of 31 bits.
const SMALLEST_ODD: u32 = (1 << 30) + 1;

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;

    #[test]
    fn the_smallest_product_is_15_and_the_largest_below_2_to_the_63() {
        assert_eq!(factorize(15), Some((3, 5)));
        assert_eq!(factorize(14), None);
        // The two largest primes below 2^31, and the two largest below 2^32, whose product is too large.
        assert_eq!(
            factorize(2_147_483_629 * 2_147_483_647),
            Some((2_147_483_629, 2_147_483_647))
        );
        assert_eq!(factorize(4_294_967_279 * 4_294_967_291), None);
    }

    #[test]
    fn a_factor_may_have_32_bits_and_no_more() {
        assert_eq!(factorize(3 * 4_294_967_291), Some((3, 4_294_967_291)));
        assert_eq!(factorize(3 * 4_294_967_311), None);
    }

    #[test]
    fn what_isnt_a_product_of_two_different_odd_primes_has_no_factors() {
        let even = 2 * 2_147_483_647;
        let prime = 2_305_843_009_213_693_951;
        let square = 2_147_483_647 * 2_147_483_647;
        let three_factors = 1_000_003 * 1_009 * 101;
        for number in [
            0,
            1,
            9,
            3 * 5 * 7,
            even,
            prime,
            square,
            three_factors,
            u64::MAX,
        ] {
            assert_eq!(factorize(number), None, "{number}");
        }
    }

    #[test]
    fn all_small_products_are_factored() {
        let primes: Vec<u32> = (3..200).filter(|n| is_prime(*n)).collect();
        for (i, p) in primes.iter().enumerate() {
            for q in &primes[i + 1..] {
                assert_eq!(factorize(u64::from(p * q)), Some((*p, *q)));
            }
        }
    }

    #[test]
    fn primality_is_told_as_by_division() {
        for n in 0..20_000_u32 {
            let by_division = n > 1 && (2..n).take_while(|d| d * d <= n).all(|d| n % d != 0);
            assert_eq!(is_prime(n), by_division, "{n}");
        }
    }

    /// Strong pseudoprimes to base 2, to bases 2 and 7, and the neighbours of 2^31 and 2^32.
    #[test]
    fn primality_isnt_fooled() {
        for composite in [2047, 3_215_031_751, 2_147_483_649, 4_294_967_295] {
            assert!(!is_prime(composite), "{composite}");
        }
        for prime in [2_147_483_647, 4_294_967_291] {
            assert!(is_prime(prime), "{prime}");
        }
    }

    #[test]
    fn made_primes_have_31_bits_and_are_factored_again() {
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        for _ in 0..100 {
            let (p, q) = generate(&mut rng);
            assert!(p < q);
            assert_eq!((p.leading_zeros(), q.leading_zeros()), (1, 1));
            assert_eq!(factorize(u64::from(p) * u64::from(q)), Some((p, q)));
        }
    }

    #[test]
    fn a_generator_that_repeats_itself_still_gives_two_different_primes() {
        for byte in [0x00, 0x55, 0xff] {
            let (p, q) = generate(&mut Stuck(byte));
            assert!(p < q && is_prime(p) && is_prime(q));
        }
    }

    #[test]
    fn numbers_are_written_without_leading_zeros_and_read_with_them() {
        assert_eq!(*to_minimal_be(0), []);
        assert_eq!(*to_minimal_be(0xff), [0xff]);
        assert_eq!(*to_minimal_be(0x100), [1, 0]);
        assert_eq!(*to_minimal_be(u64::MAX), [0xff; 8]);
        assert_eq!(from_be(&[0, 1, 0]), Some(0x100));
    }

    #[test]
    fn a_number_has_1_to_8_bytes() {
        assert_eq!(from_be(&[]), None);
        assert_eq!(from_be(&[7]), Some(7));
        assert_eq!(from_be(&[0xff; 8]), Some(u64::MAX));
        assert_eq!(from_be(&[0; 9]), None);
    }

    struct Stuck(u8);

    impl rand_core::TryRng for Stuck {
        type Error = core::convert::Infallible;

        fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
            Ok(u32::from_le_bytes([self.0; 4]))
        }

        fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
            Ok(u64::from_le_bytes([self.0; 8]))
        }

        fn try_fill_bytes(&mut self, dst: &mut [u8]) -> Result<(), Self::Error> {
            dst.fill(self.0);
            Ok(())
        }
    }

    impl rand_core::TryCryptoRng for Stuck {}
}
