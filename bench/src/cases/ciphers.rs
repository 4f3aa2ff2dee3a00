//! AES-256 in its two modes: one long stream, and the packets of an obfuscated connection.

use std::hint::black_box;

use aes::Aes256;
use aes::cipher::{Array, BlockModeDecrypt as _, BlockModeEncrypt as _};
use aes::cipher::{KeyIvInit as _, StreamCipher as _};
use grammers_crypto::{ObfuscatedCipher, aes as grammers};

use super::{Case, Named};
#[cfg(feature = "heliogram")]
use crate::peers::aws_lc;
use crate::peers::latency;

pub(super) fn all() -> Vec<Named> {
    let bound = if latency::is_there() { &BOUND[..] } else { &[] };
    [
        bound,
        &PEERS[..],
        #[cfg(feature = "heliogram")]
        &OURS[..],
        #[cfg(feature = "openssl")]
        &OPENSSL[..],
    ]
    .concat()
}

const BOUND: [Named; 1] = [("bound ige_encrypt_64k", || {
    Case::new(|| latency::aes_256_chain(STREAM_BYTES / 16))
})];

const PEERS: [Named; 6] = [
    ("grammers ige_encrypt_64k", || {
        stream(|data| grammers::ige_encrypt(data, &KEY, &IV))
    }),
    ("grammers ige_decrypt_64k", || {
        stream(|data| grammers::ige_decrypt(data, &KEY, &IV))
    }),
    ("plain ige_encrypt_64k", || stream(plain_encrypt)),
    ("plain ige_decrypt_64k", || stream(plain_decrypt)),
    ("grammers ctr_64", || {
        let mut cipher = ObfuscatedCipher::new(&[5; 64]);
        packet(move |data| cipher.encrypt(data))
    }),
    ("plain ctr_64", || {
        let mut cipher = ctr::Ctr128BE::<Aes256>::new(&KEY.into(), &Array::from(*COUNTER));
        packet(move |data| cipher.apply_keystream(data))
    }),
];

#[cfg(feature = "heliogram")]
const OURS: [Named; 4] = [
    ("heliogram ige_encrypt_64k", || {
        stream(|data| assert!(heliogram_crypto::ige::encrypt(&KEY, &IV, data).is_ok()))
    }),
    ("heliogram ige_decrypt_64k", || {
        stream(|data| assert!(heliogram_crypto::ige::decrypt(&KEY, &IV, data).is_ok()))
    }),
    ("heliogram ctr_64", || {
        let mut cipher = heliogram_crypto::ctr::Aes256Ctr::new(&KEY, COUNTER);
        packet(move |data| cipher.apply(data))
    }),
    ("aws-lc ctr_64", || {
        let mut cipher = aws_lc::Ctr::new(&KEY, COUNTER);
        packet(move |data| cipher.apply(data))
    }),
];

#[cfg(feature = "openssl")]
const OPENSSL: [Named; 3] = {
    use openssl::aes::{AesKey, aes_ige};
    use openssl::symm::{Cipher, Crypter, Mode};
    [
        ("openssl ige_encrypt_64k", || {
            let mut out = vec![0; STREAM_BYTES];
            stream(move |data| {
                let key = AesKey::new_encrypt(&KEY).expect("a key of 32 bytes");
                aes_ige(data, &mut out, &key, &mut IV.clone(), Mode::Encrypt);
            })
        }),
        ("openssl ige_decrypt_64k", || {
            let mut out = vec![0; STREAM_BYTES];
            stream(move |data| {
                let key = AesKey::new_decrypt(&KEY).expect("a key of 32 bytes");
                aes_ige(data, &mut out, &key, &mut IV.clone(), Mode::Decrypt);
            })
        }),
        ("openssl ctr_64", || {
            let mut cipher =
                Crypter::new(Cipher::aes_256_ctr(), Mode::Encrypt, &KEY, Some(COUNTER))
                    .expect("a key of 32 bytes and a counter of 16");
            let mut out = [0; PACKET_BYTES + 16];
            packet(move |data| drop(cipher.update(data, &mut out)))
        }),
    ]
};

fn plain_encrypt(data: &mut [u8]) {
    let (blocks, _) = Array::slice_as_chunks_mut(data);
    ige::Encryptor::<aes::Aes256Enc>::new(&KEY.into(), &IV.into()).encrypt_blocks(blocks);
}

fn plain_decrypt(data: &mut [u8]) {
    let (blocks, _) = Array::slice_as_chunks_mut(data);
    ige::Decryptor::<aes::Aes256Dec>::new(&KEY.into(), &IV.into()).decrypt_blocks(blocks);
}

/// One message's worth of a long stream, key expansion included.
fn stream(mut cipher: impl FnMut(&mut [u8]) + 'static) -> Case {
    let mut data = vec![7; STREAM_BYTES];
    Case::new(move || cipher(black_box(&mut data)))
}

/// One packet of a stream that goes on.
fn packet(mut cipher: impl FnMut(&mut [u8]) + 'static) -> Case {
    let mut data = [7; PACKET_BYTES];
    Case::new(move || cipher(black_box(&mut data)))
}

const STREAM_BYTES: usize = 64 << 10;
const PACKET_BYTES: usize = 64;
const KEY: [u8; 32] = [3; 32];
const IV: [u8; 32] = [4; 32];
const COUNTER: &[u8; 16] = &[5; 16];
