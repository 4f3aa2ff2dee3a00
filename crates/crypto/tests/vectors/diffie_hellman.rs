//! `dh_tmp_aes.json`, and the numbers of whole handshakes: `official_sample.json`, `handshake.json`.

use heliogram_crypto::dh::{self, Group};
use heliogram_crypto::{SecretBytes, hash, ige, tmp_aes};
use serde_json::Value;

use crate::support::{hex, hex_array, hex_list, list, load};

#[test]
fn temporary_keys_are_those_that_others_derive() {
    for case in list(&load("dh_tmp_aes"), "cases") {
        assert_temporary_key(case);
    }
}

#[test]
fn the_published_handshake_gives_the_published_key() {
    let sample = load("official_sample");
    assert_temporary_key(&sample);
    assert_client_side(&sample, &sample);
    assert_encrypted(
        &sample,
        "server_DH_inner_data",
        "answer_padding",
        "encrypted_answer",
    );
    assert_encrypted(
        &sample,
        "client_DH_inner_data",
        "client_padding",
        "encrypted_client_data",
    );
}

#[test]
fn both_sides_of_each_handshake_get_the_key_that_others_got() {
    for transcript in list(&load("handshake"), "transcripts") {
        let secrets = &transcript["secrets"];
        assert_temporary_key(secrets);
        assert_server_side(secrets);
        assert_client_side(secrets, &transcript["client_random"]);
    }
}

fn assert_temporary_key(case: &Value) {
    let derived = tmp_aes::derive(
        &hex_array(case, "new_nonce"),
        &hex_array(case, "server_nonce"),
    );
    assert_eq!(*derived.key(), hex_array(case, "tmp_aes_key"));
    assert_eq!(*derived.iv(), hex_array(case, "tmp_aes_iv"));
}

fn assert_server_side(secrets: &Value) {
    let prime = hex(secrets, "dh_prime");
    let group = dh::check_group(
        &prime,
        u32::try_from(secrets["g"].as_u64().unwrap()).unwrap(),
    )
    .unwrap();
    let a = SecretBytes::new(hex_array(secrets, "a"));
    assert_eq!(group.public(&a), hex_array(secrets, "g_a"));
    let g_b = dh::check_public(&group, &hex(secrets, "g_b")).unwrap();
    let key = group.shared(&a, &g_b);
    assert_eq!(key.expose().to_vec(), hex(secrets, "auth_key"));
}

fn assert_client_side(secrets: &Value, random: &Value) {
    let b = SecretBytes::new(client_secret(random));
    let group = Group::known();
    let g_a = dh::check_public(&group, &hex(secrets, "g_a")).unwrap();

    let (g_b, key) = group.public_and_shared(&b, &g_a);

    assert_eq!(g_b.to_vec(), hex(secrets, "g_b"));
    assert_eq!(key.expose().to_vec(), hex(secrets, "auth_key"));
    assert_eq!(key.id().0.to_le_bytes(), hex_array(secrets, "auth_key_id"));
    assert_eq!(key.aux_hash(), hex_array(secrets, "auth_key_aux_hash"));
}

/// The transcripts name it `b`; after a retry the last one counts, and Telethon's is the fourth thing that it drew.
fn client_secret(random: &Value) -> [u8; 256] {
    let b = if random["b"].is_string() {
        hex(random, "b")
    } else if random["b"].is_array() {
        hex_list(random, "b").pop().unwrap()
    } else {
        hex_list(random, "urandom_calls_in_order").swap_remove(3)
    };
    b.try_into().unwrap()
}

fn assert_encrypted(sample: &Value, inner: &str, padding: &str, encrypted: &str) {
    let inner = hex(sample, inner);
    let mut data = [
        hash::sha1(&[&inner]).as_slice(),
        &inner,
        &hex(sample, padding),
    ]
    .concat();
    ige::encrypt(
        &hex_array(sample, "tmp_aes_key"),
        &hex_array(sample, "tmp_aes_iv"),
        &mut data,
    )
    .unwrap();
    assert_eq!(data, hex(sample, encrypted));
}
