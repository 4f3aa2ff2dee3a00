//! No type that holds a secret shows it.

// Says to the lints what Cargo knows: all of this is a test.
#![cfg(test)]

use core::fmt::Debug;

use heliogram_crypto::at_rest::MasterKeys;
use heliogram_crypto::ctr::Aes256Ctr;
use heliogram_crypto::rsa::PrivateKey;
use heliogram_crypto::{AuthKey, Direction, SecretBytes, message, rsa_pad, tmp_aes, v1};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

#[test]
fn debug_of_every_secret_type_shows_nothing_of_it() {
    let private = PrivateKey::generate().unwrap();
    let encrypted = rsa_pad::encrypt(
        private.public(),
        &[BYTE; 144],
        &mut ChaCha20Rng::from_seed([0; 32]),
    )
    .unwrap();
    let auth_key = AuthKey::new([BYTE; 256]);
    let mut envelope = vec![BYTE; 24 + 48];
    let hash = message::seal(&auth_key, Direction::ClientToServer, &mut envelope).unwrap();
    let fingerprint = format!("{:016x}", private.public().fingerprint());

    assert_shows(&SecretBytes::new([BYTE; 32]), "SecretBytes<32>(…)");
    assert_shows(&auth_key, "AuthKey(…)");
    assert_shows(&tmp_aes::derive(&[BYTE; 32], &[BYTE; 16]), "AesKeyIv(…)");
    assert_shows(
        &v1::derive(&auth_key, Direction::ClientToServer, &[BYTE; 16]),
        "AesKeyIv(…)",
    );
    assert_shows(&Aes256Ctr::new(&[BYTE; 32], &[BYTE; 16]), "Aes256Ctr(…)");
    assert_shows(&hash, "MessageHash(…)");
    assert_shows(&rsa_pad::open(&private, &encrypted).unwrap(), "Opened(…)");
    assert_shows(&private, &format!("PrivateKey({fingerprint}, …)"));
    assert_shows(
        &MasterKeys::new(9, SecretBytes::new([BYTE; 32])),
        "MasterKeys(9, …)",
    );
}

#[test]
fn equality_of_secrets_sees_every_byte() {
    for at in [0, 127, 255] {
        let mut other = [BYTE; 256];
        other[at] ^= 1;
        assert_ne!(AuthKey::new([BYTE; 256]), AuthKey::new(other));
        assert_ne!(SecretBytes::new([BYTE; 256]), SecretBytes::new(other));
    }
    assert_eq!(AuthKey::new([BYTE; 256]), AuthKey::new([BYTE; 256]));
}

fn assert_shows(secret: &dyn Debug, expected: &str) {
    assert_eq!(format!("{secret:?}"), expected);
    assert_eq!(format!("{secret:#?}"), expected);
}

const BYTE: u8 = 0xa7;
