//! `rsa_fingerprints.json`, `rsa_pad.json`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use heliogram_crypto::rsa::{Decryptor, KeyError, PrivateKey, PublicKey};
use heliogram_crypto::rsa_pad::{self, Padding};
use heliogram_crypto::{SecretBytes, hash};
use serde_json::Value;

use crate::support::{Script, hex, hex_array, hex_list, list, load};

#[test]
fn fingerprints_are_those_that_others_compute() {
    for case in list(&load("rsa_fingerprints"), "keys") {
        let key = PublicKey::new(&hex_array(case, "n"), exponent(case)).unwrap();
        assert_eq!(
            Some(key.fingerprint()),
            case["fingerprint_i64"].as_i64(),
            "{}",
            case["name"]
        );
    }
}

#[test]
fn public_keys_are_read_and_written_as_others_do() {
    for case in list(&load("rsa_fingerprints"), "keys") {
        let der = STANDARD
            .decode(case["pkcs1_der_base64"].as_str().unwrap())
            .unwrap();
        let pem = pem_rfc7468::encode_string("RSA PUBLIC KEY", pem_rfc7468::LineEnding::LF, &der)
            .unwrap();

        let key = PublicKey::from_pem(&pem).unwrap();

        assert_eq!(*key.n(), hex_array(case, "n"));
        assert_eq!(key.e(), exponent(case));
        assert_eq!(key.to_pkcs1_pem(), pem);
    }
}

/// The first temporary keys of some cases give numbers above n, and have to be drawn again.
#[test]
fn rsa_pad_encrypts_as_others_do() {
    let vectors = load("rsa_pad");
    let public = private_key(&vectors).public().clone();
    let mut rejected_in_all = 0;
    for case in list(&vectors, "rsa_pad") {
        let rejected = hex_list(case, "rejected_temp_keys");
        rejected_in_all += rejected.len();
        let mut rng = Script::new(&[
            &hex(case, "random_padding"),
            &rejected.concat(),
            &hex(case, "temp_key"),
        ]);

        let encrypted = rsa_pad::encrypt(&public, &hex(case, "data"), &mut rng).unwrap();

        assert_eq!(encrypted.to_vec(), hex(case, "encrypted_data"));
        assert!(rng.is_used_up());
    }
    assert!(rejected_in_all > 0);
}

#[test]
fn rsa_pad_of_others_opens() {
    let vectors = load("rsa_pad");
    let key = private_key(&vectors);
    for case in list(&vectors, "rsa_pad") {
        let data = hex(case, "data");

        let opened = rsa_pad::open(&key, &hex_array(case, "encrypted_data")).unwrap();

        assert_eq!(opened.padding(), Padding::RsaPad);
        assert_eq!(
            opened.data(),
            [data.as_slice(), &hex(case, "random_padding")].concat()
        );
        assert!(opened.accepts(data.len()));
    }
}

#[test]
fn legacy_padding_encrypts_and_opens_as_others_do() {
    let vectors = load("rsa_pad");
    let key = private_key(&vectors);
    for case in list(&vectors, "legacy_sha1_padding") {
        let (data, padding) = (hex(case, "data"), hex(case, "random_padding"));
        let mut rng = Script::new(&[&padding]);

        let encrypted = rsa_pad::encrypt_legacy(key.public(), &data, &mut rng).unwrap();
        let opened = rsa_pad::open(&key, &encrypted).unwrap();

        assert_eq!(encrypted.to_vec(), hex(case, "encrypted_data"));
        assert_eq!(opened.padding(), Padding::Legacy);
        assert_eq!(opened.data(), [data.as_slice(), &padding].concat());
        assert!(opened.accepts(data.len()));
        assert!(!opened.accepts(data.len() + 1));
    }
}

#[test]
fn the_padded_number_is_the_one_that_others_make() {
    let vectors = load("rsa_pad");
    let key = private_key(&vectors);
    for case in list(&vectors, "rsa_pad") {
        let padded = key.raw(&hex_array(case, "encrypted_data")).unwrap();
        assert_eq!(padded.expose().to_vec(), hex(case, "key_aes_encrypted"));
        let mask = hash::sha256(&[&hex(case, "aes_encrypted")]);
        let temp_key: Vec<u8> = padded
            .expose()
            .iter()
            .zip(mask)
            .map(|(byte, mask)| byte ^ mask)
            .collect();
        assert_eq!(temp_key, hex(case, "temp_key"));
    }
}

#[test]
fn a_key_made_of_its_exponents_works_but_cant_be_written() {
    let key = private_key(&load("rsa_pad"));
    assert_eq!(key.to_pkcs1_pem().err(), Some(KeyError::Incomplete));
}

#[test]
fn a_key_made_of_its_exponents_does_many_operations_too() {
    let vectors = load("rsa_pad");
    let key = private_key(&vectors);
    let input = hex_array(&list(&vectors, "rsa_pad")[0], "encrypted_data");
    let outputs = Decryptor::new(key.clone()).raw_all(&[&input; 4], &mut Script::new(&[]));
    assert_eq!(outputs, vec![key.raw(&input); 4]);
}

fn private_key(vectors: &Value) -> PrivateKey {
    let key = &vectors["key"];
    let d = SecretBytes::new(hex_array(key, "d"));
    PrivateKey::from_exponents(&hex_array(key, "n"), exponent(key), &d).unwrap()
}

fn exponent(key: &Value) -> u32 {
    u32::try_from(key["e"].as_u64().unwrap()).unwrap()
}
