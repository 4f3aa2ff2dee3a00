//! Big numbers and RSA: the only door to `aws-lc`, and with [`crate::simd`] the only unsafe code of this crate.
//!
//! Nothing outside sees a pointer. Numbers cross the door as big-endian arrays of 256 bytes; what may be secret comes
//! back as [`SecretBytes`] and is cleared on the other side (`BN_clear_free`; `aws-lc` clears all that it frees).
//!
//! Exponents always enter as 256 bytes, whatever their value: `aws-lc` keeps that width, so neither its time nor its
//! choice of code depends on leading zeros, and the vectorised code for pairs needs exactly this width.

#![expect(
    unsafe_code,
    reason = "foreign functions; each block says why it is sound"
)]

use core::ffi::{c_int, c_uint};
use core::ptr::{self, NonNull};

use aws_lc_sys as lc;

use crate::SecretBytes;
use crate::simd::ifma::Ifma;

/// A big-endian number of at most 2048 bits.
pub(crate) type Number2048 = [u8; 256];

/// An odd public modulus of exactly 2048 bits, prepared for exponentiation.
pub(crate) struct Modulus {
    number: Number,
    montgomery: NonNull<lc::BN_MONT_CTX>,
}

// SAFETY: after `new` both parts are only read, and `aws-lc` takes them as pointers to constants.
unsafe impl Send for Modulus {}
// SAFETY: as above.
unsafe impl Sync for Modulus {}

impl Modulus {
    /// Prepares `modulus`; `None` unless it is odd and its highest bit is set.
    pub(crate) fn new(modulus: &Number2048) -> Option<Self> {
        let [first, .., last] = modulus;
        if first & 0x80 == 0 || last & 1 == 0 {
            return None;
        }
        let number = Number::from_be(modulus);
        let context = Context::new();
        // SAFETY: both pointers are live; the function keeps a copy of the number, not the pointer.
        let montgomery =
            unsafe { lc::BN_MONT_CTX_new_for_modulus(number.as_ptr(), context.as_ptr()) };
        Some(Self {
            number,
            montgomery: allocated(montgomery),
        })
    }

    /// Returns `base ^ exponent`, in a time that doesn't depend on the exponent's value.
    pub(crate) fn exp(&self, base: &Number2048, exponent: &SecretBytes<256>) -> SecretBytes<256> {
        // With these multipliers `aws-lc` has vectorised code for pairs only, which takes a third less than one alone.
        if Ifma::current().is_some() {
            let [result, _] = self.exp_pair([base, base], [exponent, exponent]);
            return result;
        }
        self.exp_alone(base, exponent)
    }

    fn exp_alone(&self, base: &Number2048, exponent: &SecretBytes<256>) -> SecretBytes<256> {
        let context = Context::new();
        let (base, exponent) = (
            self.reduced(base, &context),
            Number::from_be(exponent.expose()),
        );
        let result = Number::zero();
        // SAFETY: all pointers are live, `result` is not aliased, and the Montgomery context belongs to the modulus.
        let done = unsafe {
            lc::BN_mod_exp_mont_consttime(
                result.0.as_ptr(),
                base.as_ptr(),
                exponent.as_ptr(),
                self.number.as_ptr(),
                context.as_ptr(),
                self.montgomery.as_ptr(),
            )
        };
        must(done);
        result.to_secret()
    }

    /// Returns both `base ^ exponent`: faster than one after the other where the processor has wide multipliers.
    pub(crate) fn exp_pair(
        &self,
        bases: [&Number2048; 2],
        exponents: [&SecretBytes<256>; 2],
    ) -> [SecretBytes<256>; 2] {
        let context = Context::new();
        let bases = bases.map(|base| self.reduced(base, &context));
        let exponents = exponents.map(|exponent| Number::from_be(exponent.expose()));
        let results = [Number::zero(), Number::zero()];
        // SAFETY: all pointers are live, the results are two and not aliased, and the Montgomery context belongs to
        // the modulus.
        let done = unsafe {
            lc::BN_mod_exp_mont_consttime_x2(
                results[0].0.as_ptr(),
                bases[0].as_ptr(),
                exponents[0].as_ptr(),
                self.number.as_ptr(),
                self.montgomery.as_ptr(),
                results[1].0.as_ptr(),
                bases[1].as_ptr(),
                exponents[1].as_ptr(),
                self.number.as_ptr(),
                self.montgomery.as_ptr(),
                context.as_ptr(),
            )
        };
        must(done);
        results.map(|result| result.to_secret())
    }

    /// `base` modulo this modulus. Bases are public, so the comparison may show in the time.
    fn reduced(&self, base: &Number2048, context: &Context) -> Number {
        let base = Number::from_be(base);
        // SAFETY: both pointers are live.
        if unsafe { lc::BN_ucmp(base.as_ptr(), self.number.as_ptr()) } < 0 {
            return base;
        }
        let remainder = Number::zero();
        // SAFETY: all pointers are live and `remainder` is not aliased.
        must(unsafe {
            lc::BN_nnmod(
                remainder.0.as_ptr(),
                base.as_ptr(),
                self.number.as_ptr(),
                context.as_ptr(),
            )
        });
        remainder
    }
}

impl Drop for Modulus {
    fn drop(&mut self) {
        // SAFETY: made by `new`, freed here only.
        unsafe { lc::BN_MONT_CTX_free(self.montgomery.as_ptr()) }
    }
}

/// Tells whether `candidate` and half of it are both prime, but for a chance of at most 2^-128.
pub(crate) fn is_safe_prime(candidate: &Number2048) -> bool {
    let candidate = Number::from_be(candidate);
    let half = Number::zero();
    // SAFETY: both pointers are live and `half` is not aliased. An odd number shifted is (p - 1) / 2.
    must(unsafe { lc::BN_rshift1(half.0.as_ptr(), candidate.as_ptr()) });
    half.is_prime() && candidate.is_prime()
}

/// An RSA key, public or private, with a modulus of 2048 bits.
pub(crate) struct Rsa(NonNull<lc::RSA>);

// SAFETY: an RSA object may be used from any thread; `aws-lc` locks what a private operation changes in it.
unsafe impl Send for Rsa {}
// SAFETY: as above.
unsafe impl Sync for Rsa {}

impl Rsa {
    /// Makes a new private key with e = 65537, from the generator of `aws-lc`.
    pub(crate) fn generate() -> Self {
        // SAFETY: takes nothing.
        let rsa = Self(allocated(unsafe { lc::RSA_new() }));
        let e = Number::from_be(&[1, 0, 1]);
        // SAFETY: both pointers are live, and no callback is a valid callback.
        must(unsafe { lc::RSA_generate_key_ex(rsa.0.as_ptr(), 2048, e.as_ptr(), ptr::null_mut()) });
        rsa
    }

    /// Makes a public key; `None` if `aws-lc` finds it unusable.
    pub(crate) fn from_public(n: &Number2048, e: u32) -> Option<Self> {
        let (n, e) = (Number::from_be(n), Number::from_be(&e.to_be_bytes()));
        // SAFETY: both pointers are live; the function copies what they point to.
        let key = unsafe { lc::RSA_new_public_key(n.as_ptr(), e.as_ptr()) };
        Self::checked(key)
    }

    /// Makes a private key that lacks its factors.
    pub(crate) fn from_exponents(n: &Number2048, e: u32, d: &SecretBytes<256>) -> Option<Self> {
        let (n, e, d) = (
            Number::from_be(n),
            Number::from_be(&e.to_be_bytes()),
            Number::from_be(d.expose()),
        );
        // SAFETY: the three pointers are live; the function copies what they point to.
        let key = unsafe { lc::RSA_new_private_key_no_crt(n.as_ptr(), e.as_ptr(), d.as_ptr()) };
        Self::checked(key)
    }

    /// Reads DER of the kind that `format` says.
    pub(crate) fn from_der(format: Der, der: &[u8]) -> Option<Self> {
        let (data, len) = (der.as_ptr(), der.len());
        let key = match format {
            // SAFETY: `data` points to `len` bytes that outlive the call.
            Der::Pkcs1Public => unsafe { lc::RSA_public_key_from_bytes(data, len) },
            // SAFETY: as above.
            Der::Pkcs1Private => unsafe { lc::RSA_private_key_from_bytes(data, len) },
            Der::Spki => from_pkey(der, lc::EVP_parse_public_key),
            Der::Pkcs8 => from_pkey(der, lc::EVP_parse_private_key),
        };
        Self::checked(key)
    }

    /// Hands the PKCS#1 DER of the private key to `read`, then erases it; `None` if the key lacks its factors.
    pub(crate) fn private_der<T>(&self, read: impl FnOnce(&[u8]) -> T) -> Option<T> {
        self.der(lc::RSA_private_key_to_bytes, read)
    }

    /// Hands the PKCS#1 DER of the public key to `read`.
    pub(crate) fn public_der<T>(&self, read: impl FnOnce(&[u8]) -> T) -> Option<T> {
        self.der(lc::RSA_public_key_to_bytes, read)
    }

    /// Returns the modulus and, if it fits, the public exponent.
    pub(crate) fn public_parts(&self) -> Option<(Number2048, u32)> {
        // SAFETY: the key is live, and so are the numbers in it as long as it is.
        let (n, e) = unsafe {
            (
                lc::RSA_get0_n(self.0.as_ptr()),
                lc::RSA_get0_e(self.0.as_ptr()),
            )
        };
        let (mut modulus, mut exponent) = ([0; 256], [0; 4]);
        // SAFETY: both numbers are live; each array is as long as said.
        let fits = unsafe {
            lc::BN_bn2bin_padded(modulus.as_mut_ptr(), modulus.len(), n) == 1
                && lc::BN_bn2bin_padded(exponent.as_mut_ptr(), exponent.len(), e) == 1
        };
        fits.then_some((modulus, u32::from_be_bytes(exponent)))
    }

    /// Returns the factors of a private key; `None` if it lacks them, or one of them has not 1024 bits.
    pub(crate) fn factors(&self) -> Option<Factors> {
        let key = self.0.as_ptr();
        // SAFETY: the key is live; what it lacks is null.
        let (p, q, d_p, d_q, q_inverse) = unsafe {
            (
                lc::RSA_get0_p(key),
                lc::RSA_get0_q(key),
                lc::RSA_get0_dmp1(key),
                lc::RSA_get0_dmq1(key),
                lc::RSA_get0_iqmp(key),
            )
        };
        let factors = Factors {
            p: self.part(p)?,
            q: self.part(q)?,
            d_p: self.part(d_p)?,
            d_q: self.part(d_q)?,
            q_inverse: self.part(q_inverse)?,
        };
        let fill_1024_bits = [&factors.p, &factors.q].map(|prime| prime.expose()[0] & 0x80 != 0);
        (fill_1024_bits == [true, true]).then_some(factors)
    }

    /// Copies a number of at most 1024 bits that belongs to this key; `None` if it is null or longer.
    fn part(&self, number: *const lc::BIGNUM) -> Option<SecretBytes<128>> {
        let mut fits = false;
        let bytes = SecretBytes::fill_with(|bytes: &mut [u8; 128]| {
            // SAFETY: a number of a live key, which `self` is; the array is as long as said.
            fits = !number.is_null()
                && unsafe { lc::BN_bn2bin_padded(bytes.as_mut_ptr(), bytes.len(), number) } == 1;
        });
        succeeded(fits).then_some(bytes)
    }

    /// Returns `input ^ e mod n`; `None` unless `input < n`.
    pub(crate) fn raw_public(&self, input: &Number2048) -> Option<Number2048> {
        let (mut output, mut written) = ([0; 256], 0);
        // SAFETY: the key is live and the arrays are as long as said. The function locks what it changes in the key.
        let done = unsafe {
            lc::RSA_encrypt(
                self.0.as_ptr(),
                &raw mut written,
                output.as_mut_ptr(),
                output.len(),
                input.as_ptr(),
                input.len(),
                lc::RSA_NO_PADDING,
            )
        };
        succeeded(done == 1 && written == output.len()).then_some(output)
    }

    /// Returns `input ^ d mod n`, blinded, checked against faults; `None` unless `1 < input < n - 1`.
    pub(crate) fn raw_private(&self, input: &Number2048) -> Option<SecretBytes<256>> {
        let mut done = false;
        let output = SecretBytes::fill_with(|output| {
            let mut written = 0;
            // SAFETY: the key is live and the arrays are as long as said. The function locks what it changes in the
            // key.
            let status = unsafe {
                lc::RSA_decrypt(
                    self.0.as_ptr(),
                    &raw mut written,
                    output.as_mut_ptr(),
                    output.len(),
                    input.as_ptr(),
                    input.len(),
                    lc::RSA_NO_PADDING,
                )
            };
            done = status == 1 && written == output.len();
        });
        succeeded(done).then_some(output)
    }

    fn der<T>(
        &self,
        write: unsafe extern "C" fn(*mut *mut u8, *mut usize, *const lc::RSA) -> c_int,
        read: impl FnOnce(&[u8]) -> T,
    ) -> Option<T> {
        let (mut data, mut len) = (ptr::null_mut(), 0);
        // SAFETY: the key and both places to write to are live.
        let done = unsafe { write(&raw mut data, &raw mut len, self.0.as_ptr()) };
        let data = NonNull::new(data).filter(|_| succeeded(done == 1))?;
        let _freed = Allocation(data);
        // SAFETY: the function succeeded, so `data` points to `len` bytes, freed when `_freed` drops.
        Some(read(unsafe {
            core::slice::from_raw_parts(data.as_ptr(), len)
        }))
    }

    /// Takes over a key that `aws-lc` made, if its modulus has 2048 bits.
    fn checked(key: *mut lc::RSA) -> Option<Self> {
        let key = NonNull::new(key).map(Self);
        succeeded(key.is_some());
        // SAFETY: the key is live.
        key.filter(|key| unsafe { lc::RSA_bits(key.0.as_ptr()) } == BITS)
    }
}

impl Drop for Rsa {
    fn drop(&mut self) {
        // SAFETY: owned by this value, freed here only. Clears the private parts.
        unsafe { lc::RSA_free(self.0.as_ptr()) }
    }
}

/// What makes a private operation four times as fast, big-endian.
pub(crate) struct Factors {
    pub(crate) p: SecretBytes<128>,
    pub(crate) q: SecretBytes<128>,
    /// d modulo p - 1.
    pub(crate) d_p: SecretBytes<128>,
    /// d modulo q - 1.
    pub(crate) d_q: SecretBytes<128>,
    /// 1/q modulo p.
    pub(crate) q_inverse: SecretBytes<128>,
}

/// What DER holds a key.
#[derive(Clone, Copy)]
pub(crate) enum Der {
    Pkcs1Public,
    Pkcs1Private,
    Spki,
    Pkcs8,
}

/// Reads a key in a general wrapping; null unless all of `der` is one RSA key.
fn from_pkey(
    der: &[u8],
    parse: unsafe extern "C" fn(*mut lc::CBS) -> *mut lc::EVP_PKEY,
) -> *mut lc::RSA {
    let mut cursor = lc::CBS {
        data: ptr::null(),
        len: 0,
    };
    // SAFETY: `cursor` is live and `der` outlives it.
    unsafe { lc::CBS_init(&raw mut cursor, der.as_ptr(), der.len()) };
    // SAFETY: `cursor` is initialised.
    let key = unsafe { parse(&raw mut cursor) };
    // SAFETY: `cursor` is initialised; `key` is null or live, which both functions take, and `get1` adds an owner, so
    // that freeing the wrapping leaves the RSA key alive.
    unsafe {
        let whole = !key.is_null() && lc::CBS_len(&raw const cursor) == 0;
        let rsa = if whole {
            lc::EVP_PKEY_get1_RSA(key)
        } else {
            ptr::null_mut()
        };
        lc::EVP_PKEY_free(key);
        rsa
    }
}

/// An owned number.
struct Number(NonNull<lc::BIGNUM>);

// SAFETY: a plain value that owns its memory.
unsafe impl Send for Number {}

impl Number {
    fn zero() -> Self {
        // SAFETY: takes nothing.
        Self(allocated(unsafe { lc::BN_new() }))
    }

    /// Reads big-endian bytes; the number keeps the width of the array.
    fn from_be(bytes: &[u8]) -> Self {
        // SAFETY: the bytes are as many as said; null asks for a new number.
        Self(allocated(unsafe {
            lc::BN_bin2bn(bytes.as_ptr(), bytes.len(), ptr::null_mut())
        }))
    }

    fn to_secret(&self) -> SecretBytes<256> {
        SecretBytes::fill_with(|bytes| {
            // SAFETY: the number is live and the array as long as said.
            must(unsafe { lc::BN_bn2bin_padded(bytes.as_mut_ptr(), bytes.len(), self.as_ptr()) });
        })
    }

    fn is_prime(&self) -> bool {
        let mut prime = 0;
        let context = Context::new();
        // SAFETY: all pointers are live, and no callback is a valid callback.
        must(unsafe {
            lc::BN_primality_test(
                &raw mut prime,
                self.as_ptr(),
                PRIMALITY_ROUNDS,
                context.as_ptr(),
                1,
                ptr::null_mut(),
            )
        });
        prime == 1
    }

    fn as_ptr(&self) -> *const lc::BIGNUM {
        self.0.as_ptr()
    }
}

impl Drop for Number {
    fn drop(&mut self) {
        // SAFETY: owned by this value, freed here only.
        unsafe { lc::BN_clear_free(self.0.as_ptr()) }
    }
}

/// Room for intermediate numbers; `aws-lc` clears it when it is freed.
struct Context(NonNull<lc::BN_CTX>);

impl Context {
    fn new() -> Self {
        // SAFETY: takes nothing.
        Self(allocated(unsafe { lc::BN_CTX_new() }))
    }

    fn as_ptr(&self) -> *mut lc::BN_CTX {
        self.0.as_ptr()
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: owned by this value, freed here only.
        unsafe { lc::BN_CTX_free(self.0.as_ptr()) }
    }
}

/// Bytes that `aws-lc` allocated.
struct Allocation(NonNull<u8>);

impl Drop for Allocation {
    fn drop(&mut self) {
        // SAFETY: allocated by `aws-lc`, freed here only. Clears them.
        unsafe { lc::OPENSSL_free(self.0.as_ptr().cast()) }
    }
}

/// Takes what an allocating function returned. Out of memory ends the process here as it does in Rust.
fn allocated<T>(pointer: *mut T) -> NonNull<T> {
    let Some(pointer) = NonNull::new(pointer) else {
        std::alloc::handle_alloc_error(core::alloc::Layout::new::<[u8; 256]>());
    };
    pointer
}

/// Checks what fails only for want of memory: going on would make a wrong key.
fn must(status: c_int) {
    assert_eq!(status, 1, "a big-number operation on valid input failed");
}

/// Passes on `done`; if it is false, drops what `aws-lc` noted about it in this thread.
fn succeeded(done: bool) -> bool {
    if !done {
        // SAFETY: takes nothing; touches this thread's error queue only.
        unsafe { lc::ERR_clear_error() }
    }
    done
}

const BITS: c_uint = 2048;

/// Miller-Rabin rounds; each lets a composite number chosen by an adversary pass with a chance of at most 1/4.
const PRIMALITY_ROUNDS: c_int = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_modulus_is_odd_and_has_2048_bits() {
        assert!(Modulus::new(&[0xff; 256]).is_some());
        let mut even = [0xff; 256];
        even[255] = 0xfe;
        assert!(Modulus::new(&even).is_none());
        let mut short = [0xff; 256];
        short[0] = 0x7f;
        assert!(Modulus::new(&short).is_none());
    }

    #[test]
    fn alone_and_in_a_pair_the_powers_are_the_same() {
        let modulus = Modulus::new(&[0xff; 256]).unwrap();
        let exponents = [
            SecretBytes::new([0xa5; 256]),
            SecretBytes::new(number(0, 3)),
        ];
        let bases = [&number(0x7f, 5), &number(0, 7)];

        let pair = modulus.exp_pair(bases, [&exponents[0], &exponents[1]]);

        assert_eq!(pair[0], modulus.exp_alone(bases[0], &exponents[0]));
        assert_eq!(pair[1], modulus.exp_alone(bases[1], &exponents[1]));
        assert_eq!(*pair[1].expose(), number(0, 343));
    }

    #[test]
    fn a_prime_whose_half_is_composite_isnt_safe() {
        let prime = number(0x80, 1919);
        assert!(Number::from_be(&prime).is_prime());
        assert!(!is_safe_prime(&prime));
    }

    #[test]
    fn a_composite_whose_half_is_prime_isnt_safe() {
        let half = number(0x40, 4147);
        assert!(Number::from_be(&half).is_prime());
        let mut twice_and_one = half;
        for (i, byte) in twice_and_one.iter_mut().enumerate() {
            *byte = *byte << 1 | half.get(i + 1).map_or(1, |next| next >> 7);
        }
        assert!(!is_safe_prime(&twice_and_one));
    }

    #[test]
    fn a_failed_operation_leaves_no_error_behind_in_the_thread() {
        assert!(Rsa::from_der(Der::Pkcs1Private, b"nonsense").is_none());
        assert!(Rsa::from_der(Der::Spki, b"nonsense").is_none());
        // SAFETY: takes nothing.
        assert_eq!(unsafe { lc::ERR_peek_error() }, 0);
    }

    /// The number that begins with one byte and ends with two, with zeros between.
    fn number(first: u8, last: u16) -> Number2048 {
        let mut number = [0; 256];
        number[0] = first;
        *number.last_chunk_mut().unwrap() = last.to_be_bytes();
        number
    }
}
