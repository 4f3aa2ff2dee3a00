//! RSA keys of 2048 bits and the bare operations with them. Paddings are in [`crate::rsa_pad`].
//!
//! Source of the fingerprint: <https://core.telegram.org/mtproto/auth_key>, step 2.

use core::fmt;
use std::sync::{Arc, OnceLock};

use pem_rfc7468::LineEnding;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::bn::{Der, Rsa};
use crate::simd::ifma::{self, Ifma};
use crate::{SecretBytes, hash, pq};

/// A public key. Copies share one place in memory.
#[derive(Clone)]
pub struct PublicKey {
    inner: Arc<PublicInner>,
}

impl PublicKey {
    /// Makes a key of its modulus, big-endian, and its exponent.
    ///
    /// # Errors
    ///
    /// [`KeyError::Unsuitable`] unless n is odd, has 2048 bits, and e is odd and above 1.
    pub fn new(n: &[u8; 256], e: u32) -> Result<Self, KeyError> {
        Self::from_rsa(Rsa::from_public(n, e).ok_or(KeyError::Unsuitable)?)
    }

    /// Reads PEM: PKCS#1 (`RSA PUBLIC KEY`) or SPKI (`PUBLIC KEY`).
    ///
    /// # Errors
    ///
    /// - [`KeyError::Pem`] when it isn't PEM of one of these labels.
    /// - [`KeyError::Unsuitable`] when it holds no RSA key of 2048 bits.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        Self::from_rsa(read_pem(
            pem,
            &[
                ("RSA PUBLIC KEY", Der::Pkcs1Public),
                ("PUBLIC KEY", Der::Spki),
            ],
        )?)
    }

    /// Writes PKCS#1 PEM, with a line feed at the end of each line.
    #[must_use]
    pub fn to_pkcs1_pem(&self) -> String {
        let encode = |der: &[u8]| pem_rfc7468::encode_string("RSA PUBLIC KEY", LineEnding::LF, der);
        self.inner
            .rsa
            .public_der(encode)
            .and_then(Result::ok)
            .unwrap_or_default()
    }

    /// Returns the modulus, big-endian.
    #[must_use]
    pub fn n(&self) -> &[u8; 256] {
        &self.inner.n
    }

    /// Returns the exponent.
    #[must_use]
    pub fn e(&self) -> u32 {
        self.inner.e
    }

    /// Returns the name of the key on the wire: the low 64 bits of the SHA-1 of n and e as TL bytes, little-endian.
    #[must_use]
    pub fn fingerprint(&self) -> i64 {
        self.inner.fingerprint
    }

    /// Returns `input ^ e mod n`.
    ///
    /// # Errors
    ///
    /// [`OutOfRange`] unless `input < n`.
    pub fn raw(&self, input: &[u8; 256]) -> Result<[u8; 256], OutOfRange> {
        self.inner.rsa.raw_public(input).ok_or(OutOfRange)
    }

    fn from_rsa(rsa: Rsa) -> Result<Self, KeyError> {
        let (n, e) = rsa.public_parts().ok_or(KeyError::Unsuitable)?;
        Ok(Self {
            inner: Arc::new(PublicInner {
                rsa,
                n,
                e,
                fingerprint: fingerprint(&n, e),
            }),
        })
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        (self.n(), self.e()) == (other.n(), other.e())
    }
}

impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({:016x})", self.fingerprint())
    }
}

/// A private key. Copies share one place in memory, which is cleared with the last of them.
#[derive(Clone)]
pub struct PrivateKey {
    inner: Arc<PrivateInner>,
    public: PublicKey,
}

struct PrivateInner {
    rsa: Rsa,
    /// The same for eight at once, made when it is first asked for; `None` if the key doesn't suit.
    lanes: OnceLock<Option<ifma::Private>>,
}

impl PrivateKey {
    /// Makes a new key of 2048 bits with e = 65537; takes some tenths of a second.
    ///
    /// The randomness is that of `aws-lc`, seeded by the operating system.
    ///
    /// # Errors
    ///
    /// [`KeyError::Unsuitable`] never in practice: the new key failed the checks that every key goes through.
    pub fn generate() -> Result<Self, KeyError> {
        Self::from_rsa(Rsa::generate())
    }

    /// Makes a key of modulus and exponents alone, all big-endian.
    ///
    /// Without its factors an operation takes four times as long, and [`Self::to_pkcs1_pem`] has nothing to write.
    ///
    /// # Errors
    ///
    /// [`KeyError::Unsuitable`] unless n has 2048 bits and d inverts e.
    pub fn from_exponents(n: &[u8; 256], e: u32, d: &SecretBytes<256>) -> Result<Self, KeyError> {
        let key = Self::from_rsa(Rsa::from_exponents(n, e, d).ok_or(KeyError::Unsuitable)?)?;
        // Without the factors only a try shows whether the exponents belong together.
        let mut probe = [0; 256];
        probe[1] = 1;
        let encrypted = key.public.raw(&probe).map_err(|_| KeyError::Unsuitable)?;
        // The operation checks its own result against faults, so it fails if they don't.
        key.raw(&encrypted)
            .map(|_| key)
            .map_err(|_| KeyError::Unsuitable)
    }

    /// Reads PEM: PKCS#1 (`RSA PRIVATE KEY`) or PKCS#8 (`PRIVATE KEY`), not encrypted.
    ///
    /// # Errors
    ///
    /// - [`KeyError::Pem`] when it isn't PEM of one of these labels.
    /// - [`KeyError::Unsuitable`] when it holds no consistent RSA key of 2048 bits.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        Self::from_rsa(read_pem(
            pem,
            &[
                ("RSA PRIVATE KEY", Der::Pkcs1Private),
                ("PRIVATE KEY", Der::Pkcs8),
            ],
        )?)
    }

    /// Writes PKCS#1 PEM, with a line feed at the end of each line.
    ///
    /// # Errors
    ///
    /// [`KeyError::Incomplete`] when the key was made by [`Self::from_exponents`].
    pub fn to_pkcs1_pem(&self) -> Result<Zeroizing<String>, KeyError> {
        self.inner
            .rsa
            .private_der(|der| pem_rfc7468::encode_string("RSA PRIVATE KEY", LineEnding::LF, der))
            .and_then(Result::ok)
            .map(Zeroizing::new)
            .ok_or(KeyError::Incomplete)
    }

    /// Returns the public half.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Returns `input ^ d mod n`. The time depends on nothing secret: the operation is blinded.
    ///
    /// # Errors
    ///
    /// [`OutOfRange`] unless `1 < input < n - 1`; the rest are values that hide nothing.
    pub fn raw(&self, input: &[u8; 256]) -> Result<SecretBytes<256>, OutOfRange> {
        self.inner.rsa.raw_private(input).ok_or(OutOfRange)
    }

    fn lanes(&self) -> Option<&ifma::Private> {
        let proof = Ifma::current()?;
        let make = || {
            let factors = self.inner.rsa.factors()?;
            let is_usual = self.public.e() == 65537;
            is_usual.then(|| ifma::Private::new(proof, self.public.n(), factors))
        };
        self.inner.lanes.get_or_init(make).as_ref()
    }

    fn from_rsa(rsa: Rsa) -> Result<Self, KeyError> {
        let (n, e) = rsa.public_parts().ok_or(KeyError::Unsuitable)?;
        Ok(Self {
            inner: Arc::new(PrivateInner {
                rsa,
                lanes: OnceLock::new(),
            }),
            public: PublicKey::new(&n, e)?,
        })
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({:016x}, …)", self.public.fingerprint())
    }
}

/// A private key at work in one thread, which makes many operations cheaper than one by one.
pub struct Decryptor {
    key: PrivateKey,
    /// Changes with each use, and so belongs to one thread.
    blinding: Option<ifma::Blinding>,
}

impl Decryptor {
    /// Puts a key to work.
    #[must_use]
    pub fn new(key: PrivateKey) -> Self {
        Self {
            key,
            blinding: None,
        }
    }

    /// Returns the key.
    #[must_use]
    pub fn key(&self) -> &PrivateKey {
        &self.key
    }

    /// Does [`PrivateKey::raw`] for many inputs. What hides them from the time they take is drawn from `rng`.
    ///
    /// # Errors
    ///
    /// Each input has its own, as alone.
    pub fn raw_all(
        &mut self,
        inputs: &[&[u8; 256]],
        rng: &mut dyn CryptoRng,
    ) -> Vec<Result<SecretBytes<256>, OutOfRange>> {
        let (some, rest) = inputs.split_at(worth_lanes(inputs.len()));
        let mut outputs = match self.key.lanes() {
            Some(lanes) => {
                let allowed = |input: &&[u8; 256]| is_in_range(input, self.key.public.n());
                // What is out of range takes part as one: the answer is not looked at.
                let safe: Vec<_> = some
                    .iter()
                    .map(|input| if allowed(input) { *input } else { &ONE })
                    .collect();
                let results = lanes.raw(&mut self.blinding, &safe, rng);
                // A lane that a fault spoilt is done again, alone.
                let output = |(result, input): (Option<_>, &&[u8; 256])| match result {
                    Some(output) if allowed(input) => Ok(output),
                    _ => self.key.raw(input),
                };
                results.into_iter().zip(some).map(output).collect()
            }
            None => some
                .iter()
                .map(|input| self.key.raw(input))
                .collect::<Vec<_>>(),
        };
        outputs.extend(rest.iter().map(|input| self.key.raw(input)));
        outputs
    }
}

impl fmt::Debug for Decryptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Decryptor({:?})", self.key)
    }
}

/// How many of `count` operations go through the lanes: all but a few that would leave most of them empty.
fn worth_lanes(count: usize) -> usize {
    let rest = count % HALF_LANES;
    if rest < LANES_WORTH {
        count - rest
    } else {
        count
    }
}

/// Tells whether `1 < input < n - 1`. Both are public, and n is odd.
fn is_in_range(input: &[u8; 256], n: &[u8; 256]) -> bool {
    let mut greatest = *n;
    greatest[255] -= 1;
    // Big-endian arrays of one length compare like the numbers.
    *input > ONE && *input < greatest
}

/// Operations of one pass: each takes a lane for each factor.
const HALF_LANES: usize = ifma::LANES / 2;

/// Operations for which a pass takes less time than one after the other does.
const LANES_WORTH: usize = 3;

const ONE: [u8; 256] = {
    let mut one = [0; 256];
    one[255] = 1;
    one
};

/// Why a key can't be read, made or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyError {
    /// The key lacks its factors.
    Incomplete,
    /// The text isn't PEM of a kind that is read here.
    Pem,
    /// Not an RSA key of 2048 bits, or its parts contradict each other.
    Unsuitable,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Incomplete => "the RSA key lacks its prime factors",
            Self::Pem => "not PEM of an unencrypted RSA key",
            Self::Unsuitable => "not a consistent RSA key of 2048 bits",
        })
    }
}

impl core::error::Error for KeyError {}

/// The number isn't one that the operation takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfRange;

impl fmt::Display for OutOfRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("number out of the key's range")
    }
}

impl core::error::Error for OutOfRange {}

struct PublicInner {
    rsa: Rsa,
    n: [u8; 256],
    e: u32,
    fingerprint: i64,
}

fn read_pem(pem: &str, labels: &[(&str, Der)]) -> Result<Rsa, KeyError> {
    let (label, der) = pem_rfc7468::decode_vec(pem.as_bytes()).map_err(|_| KeyError::Pem)?;
    let der = Zeroizing::new(der);
    let (_, format) = labels
        .iter()
        .find(|(known, _)| *known == label)
        .ok_or(KeyError::Pem)?;
    Rsa::from_der(*format, &der).ok_or(KeyError::Unsuitable)
}

/// n as TL bytes has the long form of the length, e the short one; both end at a multiple of 4.
fn fingerprint(n: &[u8; 256], e: u32) -> i64 {
    let e = pq::to_minimal_be(u64::from(e));
    let mut exponent = vec![u8::try_from(e.len()).unwrap_or(u8::MAX)];
    exponent.extend_from_slice(&e);
    exponent.resize(exponent.len().next_multiple_of(4), 0);
    let [.., b0, b1, b2, b3, b4, b5, b6, b7] =
        hash::sha1(&[&[0xfe, 0x00, 0x01, 0x00], n, &exponent]);
    i64::from_le_bytes([b0, b1, b2, b3, b4, b5, b6, b7])
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;

    static KEY: LazyLock<PrivateKey> = LazyLock::new(|| PrivateKey::generate().unwrap());

    #[test]
    fn a_new_key_has_2048_bits_and_the_usual_exponent() {
        assert_eq!(KEY.public().e(), 65537);
        assert!(KEY.public().n()[0] >= 0x80);
        assert_ne!(KEY.public(), PrivateKey::generate().unwrap().public());
    }

    #[test]
    fn a_private_key_survives_being_written_and_read() {
        let pem = KEY.to_pkcs1_pem().unwrap();
        let read = PrivateKey::from_pem(&pem).unwrap();
        assert_eq!(read.public(), KEY.public());
        assert_eq!(read.to_pkcs1_pem().unwrap(), pem);
        assert_eq!(read.raw(&SAMPLE), KEY.raw(&SAMPLE));
    }

    #[test]
    fn pkcs8_and_spki_are_read_as_well() {
        let pkcs1 = pem_rfc7468::decode_vec(KEY.to_pkcs1_pem().unwrap().as_bytes())
            .unwrap()
            .1;
        let octets = tagged(0x04, &pkcs1);
        let pkcs8 = tagged(
            0x30,
            &[&[0x02, 0x01, 0x00], RSA_ENCRYPTION, &octets].concat(),
        );
        let read = PrivateKey::from_pem(&pem("PRIVATE KEY", &pkcs8)).unwrap();
        assert_eq!(read.raw(&SAMPLE), KEY.raw(&SAMPLE));

        let pkcs1 = pem_rfc7468::decode_vec(KEY.public().to_pkcs1_pem().as_bytes())
            .unwrap()
            .1;
        let bits = tagged(0x03, &[&[0], pkcs1.as_slice()].concat());
        let spki = tagged(0x30, &[RSA_ENCRYPTION, &bits].concat());
        assert_eq!(
            PublicKey::from_pem(&pem("PUBLIC KEY", &spki)).as_ref(),
            Ok(KEY.public())
        );
    }

    #[test]
    fn what_isnt_the_pem_asked_for_is_refused() {
        let private = KEY.to_pkcs1_pem().unwrap();
        let public = KEY.public().to_pkcs1_pem();
        assert_eq!(PrivateKey::from_pem(&public).err(), Some(KeyError::Pem));
        assert_eq!(PublicKey::from_pem(&private).err(), Some(KeyError::Pem));
        assert_eq!(PrivateKey::from_pem("").err(), Some(KeyError::Pem));
        assert_eq!(
            PrivateKey::from_pem(&private[..private.len() / 2]).err(),
            Some(KeyError::Pem)
        );
        let encrypted = pem("ENCRYPTED PRIVATE KEY", &[0x30, 0]);
        assert_eq!(PrivateKey::from_pem(&encrypted).err(), Some(KeyError::Pem));
    }

    #[test]
    fn pem_without_a_sound_key_in_it_is_refused() {
        let der = pem_rfc7468::decode_vec(KEY.to_pkcs1_pem().unwrap().as_bytes())
            .unwrap()
            .1;
        let with_a_tail = [der.as_slice(), &[0]].concat();
        let mut contradictory = der.clone();
        contradictory[300] ^= 1;
        for der in [&der[..der.len() - 1], &with_a_tail, &contradictory] {
            assert_eq!(
                PrivateKey::from_pem(&pem("RSA PRIVATE KEY", der)).err(),
                Some(KeyError::Unsuitable)
            );
        }
    }

    #[test]
    fn a_modulus_has_2048_bits_and_an_exponent_is_odd_and_above_1() {
        let n = *KEY.public().n();
        let mut short = n;
        short[0] &= 0x7f;
        assert_eq!(PublicKey::new(&short, 65537), Err(KeyError::Unsuitable));
        let mut even = n;
        even[255] &= 0xfe;
        assert_eq!(PublicKey::new(&even, 65537), Err(KeyError::Unsuitable));
        for (e, valid) in [
            (0, false),
            (1, false),
            (2, false),
            (3, true),
            (65536, false),
            (65537, true),
        ] {
            assert_eq!(PublicKey::new(&n, e).is_ok(), valid, "e = {e}");
        }
    }

    #[test]
    fn the_public_operation_takes_numbers_below_n() {
        let n = *KEY.public().n();
        let mut last = n;
        last[255] -= 1;
        assert_eq!(KEY.public().raw(&last), Ok(last), "n - 1 is its own power");
        assert_eq!(KEY.public().raw(&n), Err(OutOfRange));
        assert_eq!(KEY.public().raw(&[0; 256]), Ok([0; 256]));
    }

    #[test]
    fn the_private_operation_takes_numbers_from_2_to_n_less_2() {
        let less = |mut number: [u8; 256], by: u64| {
            let low: &mut [u8; 8] = number.last_chunk_mut().unwrap();
            *low = (u64::from_be_bytes(*low) - by).to_be_bytes();
            number
        };
        let mut two = [0; 256];
        two[255] = 2;
        let n = *KEY.public().n();
        for refused in [less(two, 2), less(two, 1), less(n, 1), n] {
            assert_eq!(KEY.raw(&refused), Err(OutOfRange));
        }
        assert!(KEY.raw(&two).is_ok());
        assert!(KEY.raw(&less(n, 2)).is_ok());
    }

    #[test]
    fn the_operations_undo_each_other() {
        let encrypted = KEY.public().raw(&SAMPLE).unwrap();
        assert_eq!(KEY.raw(&encrypted).unwrap().expose(), &SAMPLE);
    }

    #[test]
    fn many_operations_are_those_done_one_by_one() {
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        let mut decryptor = Decryptor::new(KEY.clone());
        for count in 0..=9 {
            let inputs: Vec<_> = (0..count).map(|i| [0x42 - i; 256]).collect();
            let borrowed: Vec<_> = inputs.iter().collect();
            let alone: Vec<_> = inputs.iter().map(|input| KEY.raw(input)).collect();
            assert_eq!(decryptor.raw_all(&borrowed, &mut rng), alone);
        }
    }

    #[test]
    fn one_input_out_of_range_is_refused_among_many_and_the_others_are_not() {
        let mut rng = ChaCha20Rng::from_seed([2; 32]);
        let n = *KEY.public().n();
        let mut last = n;
        last[255] -= 1;
        let mut last_but_one = n;
        last_but_one[255] -= 2;
        let mut two = ONE;
        two[255] = 2;
        let inputs = [
            &SAMPLE,
            &n,
            &last,
            &last_but_one,
            &[0; 256],
            &ONE,
            &two,
            &[0xff; 256],
        ];
        let outputs = Decryptor::new(KEY.clone()).raw_all(&inputs, &mut rng);
        let is_refused: Vec<_> = outputs.iter().map(Result::is_err).collect();
        assert_eq!(
            is_refused,
            [false, true, true, false, true, true, false, true]
        );
        assert_eq!(outputs[3], KEY.raw(&last_but_one));
    }

    #[test]
    fn exponents_that_dont_belong_together_are_refused() {
        let wrong = SecretBytes::new(SAMPLE);
        let key = PrivateKey::from_exponents(KEY.public().n(), 65537, &wrong);
        assert_eq!(key.err(), Some(KeyError::Unsuitable));
    }

    #[test]
    fn one_key_serves_many_threads() {
        let expected = KEY.raw(&SAMPLE).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| assert_eq!(KEY.raw(&SAMPLE).as_ref(), Ok(&expected)));
            }
        });
    }

    fn pem(label: &str, der: &[u8]) -> String {
        pem_rfc7468::encode_string(label, LineEnding::LF, der).unwrap()
    }

    /// DER with a length of two bytes.
    fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
        let [.., high, low] = content.len().to_be_bytes();
        [&[tag, 0x82, high, low], content].concat()
    }

    /// `SEQUENCE { OID rsaEncryption, NULL }`.
    const RSA_ENCRYPTION: &[u8] = &[
        0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
    ];

    const SAMPLE: [u8; 256] = [0x42; 256];
}
