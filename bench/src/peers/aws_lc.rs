//! `aws-lc`, called as directly as can be.

use std::ffi::{c_int, c_uint};
use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};

use aws_lc_sys as lc;

/// AES-256 in counter mode.
pub(crate) struct Ctr {
    key: lc::AES_KEY,
    counter: [u8; 16],
    stream: [u8; 16],
    used: c_uint,
}

impl Ctr {
    pub(crate) fn new(key: &[u8; 32], counter: &[u8; 16]) -> Self {
        let mut schedule = MaybeUninit::uninit();
        // SAFETY: `key` has 256 bits, and the function fills the whole schedule.
        let schedule = unsafe {
            let status = lc::AES_set_encrypt_key(key.as_ptr(), 256, schedule.as_mut_ptr());
            assert_eq!(status, 0, "a key has 256 bits");
            schedule.assume_init()
        };
        Self {
            key: schedule,
            counter: *counter,
            stream: [0; 16],
            used: 0,
        }
    }

    pub(crate) fn apply(&mut self, data: &mut [u8]) {
        let data = (data.as_mut_ptr(), data.len());
        // SAFETY: input and output are the same live bytes, which the function allows; the rest is live.
        unsafe {
            lc::AES_ctr128_encrypt(
                data.0,
                data.0,
                data.1,
                &raw const self.key,
                self.counter.as_mut_ptr(),
                self.stream.as_mut_ptr(),
                &raw mut self.used,
            );
        }
    }
}

/// An RSA key.
pub(crate) struct Rsa(NonNull<lc::RSA>);

impl Rsa {
    pub(crate) fn generate() -> Self {
        // SAFETY: all pointers are live or null where that is allowed; `e` is freed once.
        unsafe {
            let rsa = NonNull::new(lc::RSA_new()).expect("memory");
            let e = lc::BN_bin2bn([1, 0, 1].as_ptr(), 3, ptr::null_mut());
            must(lc::RSA_generate_key_ex(
                rsa.as_ptr(),
                2048,
                e,
                ptr::null_mut(),
            ));
            lc::BN_free(e);
            Self(rsa)
        }
    }

    pub(crate) fn raw_private(&self, input: &[u8; 256]) -> [u8; 256] {
        let (mut output, mut written) = ([0; 256], 0);
        // SAFETY: the key is live and the arrays are as long as said.
        unsafe {
            must(lc::RSA_decrypt(
                self.0.as_ptr(),
                &raw mut written,
                output.as_mut_ptr(),
                output.len(),
                input.as_ptr(),
                input.len(),
                lc::RSA_NO_PADDING,
            ));
        }
        output
    }
}

impl Drop for Rsa {
    fn drop(&mut self) {
        // SAFETY: owned by this value.
        unsafe { lc::RSA_free(self.0.as_ptr()) }
    }
}

/// Exponentiation with one modulus, base and exponent.
pub(crate) struct Power {
    context: *mut lc::BN_CTX,
    montgomery: *mut lc::BN_MONT_CTX,
    modulus: *mut lc::BIGNUM,
    base: *mut lc::BIGNUM,
    exponent: *mut lc::BIGNUM,
    results: [*mut lc::BIGNUM; 2],
}

impl Power {
    pub(crate) fn new(modulus: &[u8; 256], base: &[u8; 256], exponent: &[u8; 256]) -> Self {
        let number =
            // SAFETY: points to as many bytes as said; the function copies them.
            |bytes: &[u8; 256]| unsafe { lc::BN_bin2bn(bytes.as_ptr(), 256, ptr::null_mut()) };
        let modulus = number(modulus);
        // SAFETY: the arguments are live. What is allocated lives as long as the process, which is short.
        unsafe {
            let context = lc::BN_CTX_new();
            Self {
                context,
                montgomery: lc::BN_MONT_CTX_new_for_modulus(modulus, context),
                modulus,
                base: number(base),
                exponent: number(exponent),
                results: [lc::BN_new(), lc::BN_new()],
            }
        }
    }

    pub(crate) fn alone(&mut self) {
        // SAFETY: all pointers are live, and the result is none of the arguments.
        unsafe {
            must(lc::BN_mod_exp_mont_consttime(
                self.results[0],
                self.base,
                self.exponent,
                self.modulus,
                self.context,
                self.montgomery,
            ));
        }
    }

    pub(crate) fn pair(&mut self) {
        // SAFETY: all pointers are live, and the results are two and none of the arguments.
        unsafe {
            must(lc::BN_mod_exp_mont_consttime_x2(
                self.results[0],
                self.base,
                self.exponent,
                self.modulus,
                self.montgomery,
                self.results[1],
                self.base,
                self.exponent,
                self.modulus,
                self.montgomery,
                self.context,
            ));
        }
    }
}

fn must(status: c_int) {
    assert_eq!(status, 1, "aws-lc failed");
}
