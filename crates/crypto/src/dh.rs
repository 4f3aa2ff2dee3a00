//! Diffie-Hellman over a 2048-bit safe prime, with every check of the specification.
//!
//! Secrets are 2048 random bits ([`SecretBytes::random`]), as the protocol says.
//!
//! Source: <https://core.telegram.org/mtproto/auth_key>, <https://core.telegram.org/mtproto/security_guidelines>.

use core::fmt;
use core::ops::ControlFlow;
use std::sync::{Arc, LazyLock, OnceLock};

use rand_core::CryptoRng;

use crate::bn::{self, Modulus};
use crate::simd::ifma::{self, Ifma};
use crate::{AuthKey, SecretBytes};

/// The prime that Telegram's servers use, and that every client therefore knows to be good.
#[rustfmt::skip]
pub const PRIME: [u8; 256] = [
    0xc7, 0x1c, 0xae, 0xb9, 0xc6, 0xb1, 0xc9, 0x04, 0x8e, 0x6c, 0x52, 0x2f, 0x70, 0xf1, 0x3f, 0x73,
    0x98, 0x0d, 0x40, 0x23, 0x8e, 0x3e, 0x21, 0xc1, 0x49, 0x34, 0xd0, 0x37, 0x56, 0x3d, 0x93, 0x0f,
    0x48, 0x19, 0x8a, 0x0a, 0xa7, 0xc1, 0x40, 0x58, 0x22, 0x94, 0x93, 0xd2, 0x25, 0x30, 0xf4, 0xdb,
    0xfa, 0x33, 0x6f, 0x6e, 0x0a, 0xc9, 0x25, 0x13, 0x95, 0x43, 0xae, 0xd4, 0x4c, 0xce, 0x7c, 0x37,
    0x20, 0xfd, 0x51, 0xf6, 0x94, 0x58, 0x70, 0x5a, 0xc6, 0x8c, 0xd4, 0xfe, 0x6b, 0x6b, 0x13, 0xab,
    0xdc, 0x97, 0x46, 0x51, 0x29, 0x69, 0x32, 0x84, 0x54, 0xf1, 0x8f, 0xaf, 0x8c, 0x59, 0x5f, 0x64,
    0x24, 0x77, 0xfe, 0x96, 0xbb, 0x2a, 0x94, 0x1d, 0x5b, 0xcd, 0x1d, 0x4a, 0xc8, 0xcc, 0x49, 0x88,
    0x07, 0x08, 0xfa, 0x9b, 0x37, 0x8e, 0x3c, 0x4f, 0x3a, 0x90, 0x60, 0xbe, 0xe6, 0x7c, 0xf9, 0xa4,
    0xa4, 0xa6, 0x95, 0x81, 0x10, 0x51, 0x90, 0x7e, 0x16, 0x27, 0x53, 0xb5, 0x6b, 0x0f, 0x6b, 0x41,
    0x0d, 0xba, 0x74, 0xd8, 0xa8, 0x4b, 0x2a, 0x14, 0xb3, 0x14, 0x4e, 0x0e, 0xf1, 0x28, 0x47, 0x54,
    0xfd, 0x17, 0xed, 0x95, 0x0d, 0x59, 0x65, 0xb4, 0xb9, 0xdd, 0x46, 0x58, 0x2d, 0xb1, 0x17, 0x8d,
    0x16, 0x9c, 0x6b, 0xc4, 0x65, 0xb0, 0xd6, 0xff, 0x9c, 0xa3, 0x92, 0x8f, 0xef, 0x5b, 0x9a, 0xe4,
    0xe4, 0x18, 0xfc, 0x15, 0xe8, 0x3e, 0xbe, 0xa0, 0xf8, 0x7f, 0xa9, 0xff, 0x5e, 0xed, 0x70, 0x05,
    0x0d, 0xed, 0x28, 0x49, 0xf4, 0x7b, 0xf9, 0x59, 0xd9, 0x56, 0x85, 0x0c, 0xe9, 0x29, 0x85, 0x1f,
    0x0d, 0x81, 0x15, 0xf6, 0x35, 0xb1, 0x05, 0xee, 0x2e, 0x4e, 0x15, 0xd0, 0x4b, 0x24, 0x54, 0xbf,
    0x6f, 0x4f, 0xad, 0xf0, 0x34, 0xb1, 0x04, 0x03, 0x11, 0x9c, 0xd8, 0xe3, 0xb9, 0x2f, 0xcc, 0x5b,
];

/// The generator to use with [`PRIME`].
pub const G: u32 = 3;

/// A checked prime and generator. Copies share one place in memory.
#[derive(Clone)]
pub struct Group {
    inner: Arc<Inner>,
}

impl Group {
    /// Returns [`PRIME`] and [`G`], which need no test.
    #[must_use]
    #[expect(
        clippy::expect_used,
        reason = "depends on the constant alone, and a test calls it"
    )]
    pub fn known() -> Self {
        static KNOWN: LazyLock<Group> =
            LazyLock::new(|| Group::new(&PRIME, G).expect("an odd number of 2048 bits"));
        KNOWN.clone()
    }

    /// Returns the prime, big-endian.
    #[must_use]
    pub fn prime(&self) -> &[u8; 256] {
        &self.inner.prime
    }

    /// Returns the generator.
    #[must_use]
    pub fn g(&self) -> u32 {
        self.inner.g
    }

    /// Returns g ^ `secret`. In the one case in 2^64 that it fails [`check_public`], draw another secret.
    #[must_use]
    pub fn public(&self, secret: &SecretBytes<256>) -> [u8; 256] {
        *self
            .inner
            .modulus
            .exp(&self.inner.generator, secret)
            .expose()
    }

    /// Returns `their_public` ^ `secret`, all 256 bytes of it. The peer's number must have passed [`check_public`].
    #[must_use]
    pub fn shared(&self, secret: &SecretBytes<256>, their_public: &[u8; 256]) -> AuthKey {
        AuthKey::from_secret(self.inner.modulus.exp(their_public, secret))
    }

    /// Does [`Self::public`] and [`Self::shared`] at once, which is faster than one after the other.
    #[must_use]
    pub fn public_and_shared(
        &self,
        secret: &SecretBytes<256>,
        their_public: &[u8; 256],
    ) -> ([u8; 256], AuthKey) {
        let [public, shared] = self
            .inner
            .modulus
            .exp_pair([&self.inner.generator, their_public], [secret, secret]);
        (*public.expose(), AuthKey::from_secret(shared))
    }

    /// Draws secrets and raises g to them: `count` pairs, less those whose public number is out of range, which is one
    /// in 2^63.
    ///
    /// [`Self::pairs_at_once`] take hardly longer than one.
    pub fn key_pairs(&self, count: usize, rng: &mut dyn CryptoRng) -> Vec<KeyPair> {
        let secrets: Vec<_> = (0..count).map(|_| SecretBytes::random(rng)).collect();
        let borrowed: Vec<_> = secrets.iter().collect();
        let generator = &self.inner.generator;
        let powers = match self.lanes() {
            Some(lanes) => lanes.powers_of_base(&borrowed),
            None => self.powers(
                &borrowed
                    .iter()
                    .map(|secret| (generator, *secret))
                    .collect::<Vec<_>>(),
            ),
        };
        let pair = |(secret, power): (_, SecretBytes<256>)| {
            let public = check_public(self, power.expose()).ok()?;
            Some(KeyPair { secret, public })
        };
        secrets.into_iter().zip(powers).filter_map(pair).collect()
    }

    /// Returns how many pairs, or shared keys, are best made together: one where the processor has nothing for more.
    #[must_use]
    pub fn pairs_at_once(&self) -> usize {
        if self.lanes().is_some() {
            ifma::LANES
        } else {
            1
        }
    }

    /// Does [`Self::shared`] for many secrets and public numbers, which is faster than one after the other.
    #[must_use]
    pub fn shared_all(&self, all: &[(&SecretBytes<256>, &[u8; 256])]) -> Vec<AuthKey> {
        let powers: Vec<_> = all
            .iter()
            .map(|(secret, public)| (*public, *secret))
            .collect();
        let (full, rest) = powers.split_at(self.worth_lanes(powers.len()));
        let mut results = match self.lanes() {
            Some(lanes) => lanes.powers(full),
            None => Vec::new(),
        };
        results.extend(self.powers(rest));
        results.into_iter().map(AuthKey::from_secret).collect()
    }

    /// Returns how many of `count` powers go through the lanes: all but a few that would leave most of them empty.
    fn worth_lanes(&self, count: usize) -> usize {
        if self.lanes().is_none() {
            return 0;
        }
        let rest = count % ifma::LANES;
        if rest < LANES_WORTH {
            count - rest
        } else {
            count
        }
    }

    /// Raises public numbers to secret powers, in pairs.
    fn powers(&self, all: &[(&[u8; 256], &SecretBytes<256>)]) -> Vec<SecretBytes<256>> {
        let modulus = &self.inner.modulus;
        let (pairs, rest) = all.as_chunks::<2>();
        let paired = pairs
            .iter()
            .flat_map(|[(base_0, secret_0), (base_1, secret_1)]| {
                modulus.exp_pair([base_0, base_1], [secret_0, secret_1])
            });
        let alone = rest.iter().map(|(base, secret)| modulus.exp(base, secret));
        paired.chain(alone).collect()
    }

    /// The same for eight at once, made when it is first asked for.
    fn lanes(&self) -> Option<&ifma::Group> {
        let proof = Ifma::current()?;
        let make = || ifma::Group::new(proof, &self.inner.prime, &self.inner.generator);
        Some(self.inner.lanes.get_or_init(make))
    }
}

/// A secret exponent, and g to the power of it, which is in the range that peers accept.
#[derive(Debug)]
pub struct KeyPair {
    secret: SecretBytes<256>,
    public: [u8; 256],
}

impl KeyPair {
    /// Returns what the peer is told.
    #[must_use]
    pub fn public(&self) -> &[u8; 256] {
        &self.public
    }

    /// Returns what nobody is told.
    #[must_use]
    pub fn into_secret(self) -> SecretBytes<256> {
        self.secret
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group")
            .field("known", &(self.inner.prime == PRIME))
            .field("g", &self.inner.g)
            .finish()
    }
}

/// Why the other end's parameters were refused. They are public, so the answer may be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DhError {
    /// The generator isn't one of 2 to 7 that generates the subgroup of order (p - 1) / 2.
    Generator,
    /// The modulus, or half of it, isn't prime.
    NotSafePrime,
    /// The modulus doesn't have exactly 2048 bits.
    PrimeLength,
    /// The public number is not between 2^1984 and p - 2^1984.
    PublicRange,
}

impl fmt::Display for DhError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Generator => "g doesn't suit the prime",
            Self::NotSafePrime => "dh_prime is not a safe prime",
            Self::PrimeLength => "dh_prime doesn't have 2048 bits",
            Self::PublicRange => "public number out of range",
        })
    }
}

impl core::error::Error for DhError {}

/// Checks a server's prime (big-endian, leading zeros allowed) and generator.
///
/// The known prime costs a comparison, and so do the first few others once they are proved; any other one some tens of
/// milliseconds: not for a thread that has something else to do.
///
/// # Errors
///
/// - [`DhError::PrimeLength`] unless 2^2047 < p < 2^2048.
/// - [`DhError::Generator`] unless g is 2 to 7 and a quadratic residue modulo p, told by the residues of p.
/// - [`DhError::NotSafePrime`] unless p and (p - 1) / 2 are prime.
pub fn check_group(prime: &[u8], g: u32) -> Result<Group, DhError> {
    let prime = pad_left(prime).ok_or(DhError::PrimeLength)?;
    if prime[0] & 0x80 == 0 {
        return Err(DhError::PrimeLength);
    }
    if prime == PRIME && g == G {
        return Ok(Group::known());
    }
    if !generates(&prime, g) {
        return Err(DhError::Generator);
    }
    let of_prime = |group: &&Group| group.inner.prime == prime;
    let proved = PROVED.iter().filter_map(OnceLock::get).find(of_prime);
    if let Some(group) = proved.filter(|group| group.g() == g) {
        return Ok(group.clone());
    }
    if prime != PRIME && proved.is_none() && !bn::is_safe_prime(&prime) {
        return Err(DhError::NotSafePrime);
    }
    let group = Group::new(&prime, g).ok_or(DhError::NotSafePrime)?;
    if prime != PRIME && proved.is_none() {
        // The first free place; none is ever given up, so that nobody can make us prove the same again and again.
        let _is_kept = PROVED.iter().try_fold(group.clone(), |group, place| {
            place
                .set(group)
                .map_or_else(ControlFlow::Continue, ControlFlow::Break)
        });
    }
    Ok(group)
}

/// Groups with other primes that were proved to be safe. A client meets a few servers.
static PROVED: [OnceLock<Group>; 8] = [const { OnceLock::new() }; 8];

/// Checks the other end's public number, big-endian and at most 256 bytes, and pads it to 256.
///
/// # Errors
///
/// [`DhError::PublicRange`] unless 2^1984 <= y <= p - 2^1984, which includes 1 < y < p - 1.
pub fn check_public(group: &Group, public: &[u8]) -> Result<[u8; 256], DhError> {
    let public = pad_left(public).ok_or(DhError::PublicRange)?;
    // Big-endian arrays of one length compare like the numbers.
    if public < LEAST_PUBLIC || public > group.inner.greatest_public {
        return Err(DhError::PublicRange);
    }
    Ok(public)
}

struct Inner {
    prime: [u8; 256],
    g: u32,
    /// g as a number of full width.
    generator: [u8; 256],
    /// p - 2^1984.
    greatest_public: [u8; 256],
    modulus: Modulus,
    lanes: OnceLock<ifma::Group>,
}

impl Group {
    /// `None` unless the prime is odd and has 2048 bits.
    fn new(prime: &[u8; 256], g: u32) -> Option<Self> {
        let mut generator = [0; 256];
        generator[252..].copy_from_slice(&g.to_be_bytes());
        let mut greatest_public = *prime;
        let (high, _) = greatest_public.split_first_chunk_mut()?;
        *high = (u64::from_be_bytes(*high) - 1).to_be_bytes();
        let modulus = Modulus::new(prime)?;
        Some(Self {
            inner: Arc::new(Inner {
                prime: *prime,
                g,
                generator,
                greatest_public,
                modulus,
                lanes: OnceLock::new(),
            }),
        })
    }
}

/// Whether g generates the subgroup of prime order, by the residues that the specification lists.
fn generates(prime: &[u8; 256], g: u32) -> bool {
    match g {
        2 => modulo(prime, 8) == 7,
        3 => modulo(prime, 3) == 2,
        4 => true,
        5 => matches!(modulo(prime, 5), 1 | 4),
        6 => matches!(modulo(prime, 24), 19 | 23),
        7 => matches!(modulo(prime, 7), 3 | 5 | 6),
        _ => false,
    }
}

fn modulo(number: &[u8; 256], divisor: u32) -> u32 {
    number.iter().fold(0, |remainder, byte| {
        (remainder * 256 + u32::from(*byte)) % divisor
    })
}

/// Pads to 256 bytes; `None` if there are more.
fn pad_left(number: &[u8]) -> Option<[u8; 256]> {
    let mut padded = [0; 256];
    let start = padded.len().checked_sub(number.len())?;
    padded.get_mut(start..)?.copy_from_slice(number);
    Some(padded)
}

/// Powers for which the lanes take less time than pairs do.
const LANES_WORTH: usize = 5;

/// 2^1984.
const LEAST_PUBLIC: [u8; 256] = {
    let mut number = [0; 256];
    number[256 - 1 - 1984 / 8] = 1;
    number
};

#[cfg(test)]
mod tests;
