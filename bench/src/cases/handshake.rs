//! The heavy parts of a key exchange, and their sum on a server: one private operation of RSA and two powers.

use std::hint::black_box;

use super::{Case, Named};

pub(super) fn all() -> Vec<Named> {
    [
        &[GRAMMERS][..],
        #[cfg(feature = "heliogram")]
        &ours::ALL[..],
        #[cfg(feature = "openssl")]
        &theirs::ALL[..],
    ]
    .concat()
}

const GRAMMERS: Named = ("grammers pq", || {
    products(|pq| {
        let (p, q) = grammers_crypto::factorize(pq);
        p * q
    })
});

#[cfg(feature = "heliogram")]
mod ours {
    use heliogram_crypto::SecretBytes;
    use heliogram_crypto::dh::{self, Group};
    use heliogram_crypto::pq;
    use heliogram_crypto::rsa::{Decryptor, PrivateKey};

    use super::inputs::{BASE, EXPONENT, random, rng};
    use super::*;
    use crate::peers::aws_lc;

    pub(super) const ALL: [Named; 16] = [
        ("heliogram pq", || {
            products(|pq| pq::factorize(pq).map_or(0, |(p, q)| u64::from(p) * u64::from(q)))
        }),
        ("heliogram rsa_private", || Case::new(rsa())),
        ("heliogram power", || Case::new(shared())),
        ("heliogram power_of_g", || Case::new(public())),
        ("heliogram power_pair", || Case::new(pair()).of_pieces(2)),
        ("heliogram rsa_private_8", || {
            Case::new(rsa_8()).of_pieces(8)
        }),
        ("heliogram power_8", || Case::new(shared_8()).of_pieces(8)),
        ("heliogram power_of_g_8", || {
            Case::new(public_8()).of_pieces(8)
        }),
        ("heliogram-alone server", || {
            let (mut rsa, mut public, mut shared) = (rsa(), public(), shared());
            Case::new(move || {
                rsa();
                public();
                shared();
            })
        }),
        ("heliogram server", || {
            let (mut rsa, mut public, mut shared) = (rsa_8(), public_8(), shared_8());
            let all = Case::new(move || {
                rsa();
                public();
                shared();
            });
            all.of_pieces(8)
        }),
        ("heliogram safe_prime", || {
            Case::new(|| assert!(dh::check_group(black_box(&dh::PRIME), dh::G).is_ok()))
        }),
        ("aws-lc rsa_private", || Case::new(lc_rsa())),
        ("aws-lc power", || {
            let mut power = lc_power();
            Case::new(move || power.alone())
        }),
        ("aws-lc power_of_g", || {
            let mut power = lc_power();
            Case::new(move || power.alone())
        }),
        ("aws-lc power_pair", || {
            let mut power = lc_power();
            Case::new(move || power.pair()).of_pieces(2)
        }),
        ("aws-lc server", || {
            let (mut rsa, mut power) = (lc_rsa(), lc_power());
            Case::new(move || {
                rsa();
                power.pair();
            })
        }),
    ];

    fn rsa() -> impl FnMut() {
        let key = PrivateKey::generate().expect("a key");
        move || assert!(key.raw(black_box(&[1; 256])).is_ok())
    }

    fn public() -> impl FnMut() {
        let (group, secret) = (Group::known(), SecretBytes::new(random(EXPONENT)));
        move || {
            black_box(group.public(black_box(&secret)));
        }
    }

    fn shared() -> impl FnMut() {
        let (group, secret) = (Group::known(), SecretBytes::new(random(EXPONENT)));
        let theirs = group.public(&secret);
        move || {
            black_box(group.shared(black_box(&secret), &theirs));
        }
    }

    fn rsa_8() -> impl FnMut() {
        let mut key = Decryptor::new(PrivateKey::generate().expect("a key"));
        let mut rng = rng();
        move || {
            let done = key.raw_all(black_box(&[&[1; 256]; 8]), &mut rng);
            assert!(done.iter().all(Result::is_ok));
        }
    }

    fn public_8() -> impl FnMut() {
        let (group, mut rng) = (Group::known(), rng());
        move || assert_eq!(group.key_pairs(8, &mut rng).len(), 8)
    }

    fn shared_8() -> impl FnMut() {
        let (group, secret) = (Group::known(), SecretBytes::new(random(EXPONENT)));
        let theirs = group.public(&secret);
        move || {
            black_box(group.shared_all(black_box(&[(&secret, &theirs); 8])));
        }
    }

    fn pair() -> impl FnMut() {
        let (group, secret) = (Group::known(), SecretBytes::new(random(EXPONENT)));
        let theirs = group.public(&secret);
        move || {
            black_box(group.public_and_shared(black_box(&secret), &theirs));
        }
    }

    fn lc_rsa() -> impl FnMut() {
        let key = aws_lc::Rsa::generate();
        move || {
            black_box(key.raw_private(black_box(&[1; 256])));
        }
    }

    fn lc_power() -> aws_lc::Power {
        aws_lc::Power::new(&dh::PRIME, &random(BASE), &random(EXPONENT))
    }
}

#[cfg(feature = "openssl")]
mod theirs {
    use openssl::bn::{BigNum, BigNumContext};
    use openssl::rsa::{Padding, Rsa};

    use super::inputs::{BASE, EXPONENT, random};
    use super::*;

    pub(super) const ALL: [Named; 4] = [
        ("openssl rsa_private", || Case::new(rsa())),
        ("openssl power", || Case::new(power(&random(BASE)))),
        ("openssl power_of_g", || Case::new(power(&[3]))),
        ("openssl server", || {
            let (mut rsa, mut public, mut shared) = (rsa(), power(&[3]), power(&random(BASE)));
            Case::new(move || {
                rsa();
                public();
                shared();
            })
        }),
    ];

    fn rsa() -> impl FnMut() {
        let key = Rsa::generate(2048).expect("a key");
        let mut output = [0; 256];
        move || {
            let done = key.private_decrypt(black_box(&[1; 256]), &mut output, Padding::NONE);
            assert!(done.is_ok());
        }
    }

    fn power(base: &[u8]) -> impl FnMut() + use<> {
        let number = |bytes: &[u8]| BigNum::from_slice(bytes).expect("memory");
        let (modulus, base, mut exponent) =
            (number(&prime()), number(base), number(&random(EXPONENT)));
        exponent.set_const_time();
        let mut result = BigNum::new().expect("memory");
        let mut context = BigNumContext::new().expect("memory");
        move || {
            let done = result.mod_exp(&base, black_box(&exponent), &modulus, &mut context);
            assert!(done.is_ok());
        }
    }

    /// Any odd modulus of 2048 bits costs the same.
    fn prime() -> [u8; 256] {
        let mut prime = random(3);
        prime[0] |= 0x80;
        prime[255] |= 1;
        prime
    }
}

/// The same products for everyone: how long one takes differs much from another.
fn products(mut factor: impl FnMut(u64) -> u64 + 'static) -> Case {
    Case::new(move || {
        for pq in PRODUCTS {
            assert_eq!(factor(black_box(pq)), pq);
        }
    })
    .of_pieces(PRODUCTS.len())
}

/// Products of two primes of 31 bits each.
const PRODUCTS: [u64; 16] = [
    2_866_158_205_506_443_009,
    3_390_835_235_399_281_951,
    2_580_347_964_994_998_239,
    1_943_021_890_210_406_099,
    2_435_918_017_264_724_081,
    2_544_040_723_279_464_193,
    2_572_316_812_379_083_709,
    1_637_346_341_291_614_991,
    1_544_469_673_644_424_061,
    3_204_736_229_051_859_329,
    2_445_234_075_085_888_349,
    2_193_360_643_033_042_397,
    3_592_395_900_219_392_417,
    2_528_972_378_767_171_489,
    2_090_468_637_988_563_829,
    2_899_333_984_744_161_043,
];

#[cfg(any(feature = "heliogram", feature = "openssl"))]
mod inputs {
    use rand_chacha::ChaCha8Rng;
    use rand_core::{Rng as _, SeedableRng as _};

    /// Bytes that are always the same, and different for each seed.
    pub(super) fn random(seed: u8) -> [u8; 256] {
        let mut bytes = [0; 256];
        ChaCha8Rng::from_seed([seed; 32]).fill_bytes(&mut bytes);
        bytes
    }

    #[cfg(feature = "heliogram")]
    pub(super) fn rng() -> ChaCha8Rng {
        ChaCha8Rng::from_seed([0; 32])
    }

    pub(super) const BASE: u8 = 1;
    pub(super) const EXPONENT: u8 = 2;
}
