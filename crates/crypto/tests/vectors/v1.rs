//! `mtproto1_bind_temp_key.json`.

use heliogram_crypto::{AuthKey, Direction, v1};

use crate::support::{Script, hex, hex_array, list, load};

#[test]
fn keys_are_derived_as_others_do_in_both_directions() {
    for case in list(&load("mtproto1_bind_temp_key"), "cases") {
        let key = AuthKey::new(hex_array(case, "perm_auth_key"));
        let msg_key = hex_array(case, "msg_key");

        let to_server = v1::derive(&key, Direction::ClientToServer, &msg_key);
        let to_client = v1::derive(&key, Direction::ServerToClient, &msg_key);

        assert_eq!(*to_server.key(), hex_array(case, "aes_key_x0"));
        assert_eq!(*to_server.iv(), hex_array(case, "aes_iv_x0"));
        assert_eq!(*to_client.key(), hex_array(case, "aes_key_x8"));
        assert_eq!(*to_client.iv(), hex_array(case, "aes_iv_x8"));
    }
}

#[test]
fn a_binding_message_is_sealed_and_opened_as_others_do() {
    for case in list(&load("mtproto1_bind_temp_key"), "cases") {
        let key = AuthKey::new(hex_array(case, "perm_auth_key"));
        let plaintext = hex_array(case, "plaintext_without_padding");
        let mut rng = Script::new(&[&hex(case, "padding8")]);

        let sealed = v1::seal(&key, &plaintext, &mut rng);

        assert_eq!(sealed.to_vec(), hex(case, "encrypted_message"));
        assert_eq!(v1::open(&key, &sealed), Ok(plaintext));
    }
}
