//! `aes_ige.json`, `aes_ctr.json`.

use heliogram_crypto::ctr::Aes256Ctr;
use heliogram_crypto::ige;

use crate::support::{hex, hex_array, hex_list, list, load};

#[test]
fn ige_encrypts_and_decrypts_as_others_do() {
    for case in list(&load("aes_ige"), "cases") {
        let (key, iv) = (hex_array(case, "key"), hex_array(case, "iv"));
        let (plaintext, ciphertext) = (hex(case, "plaintext"), hex(case, "ciphertext"));

        let mut data = plaintext.clone();
        ige::encrypt(&key, &iv, &mut data).unwrap();
        assert_eq!(data, ciphertext);
        ige::decrypt(&key, &iv, &mut data).unwrap();
        assert_eq!(data, plaintext);
    }
}

#[test]
fn ctr_continues_over_chunks_as_others_do() {
    for case in list(&load("aes_ctr"), "cases") {
        let mut stream = Aes256Ctr::new(&hex_array(case, "key"), &hex_array(case, "iv"));
        for (mut chunk, out) in hex_list(case, "chunks")
            .into_iter()
            .zip(hex_list(case, "out"))
        {
            stream.apply(&mut chunk);
            assert_eq!(chunk, out);
        }
    }
}

#[test]
fn ctr_doesnt_care_how_the_data_is_cut() {
    for case in list(&load("aes_ctr"), "cases") {
        let (key, iv) = (hex_array(case, "key"), hex_array(case, "iv"));
        let (input, out) = (
            hex_list(case, "chunks").concat(),
            hex_list(case, "out").concat(),
        );
        for cut in [1, 15, 16, 17, 127, 128, 129, input.len().max(1)] {
            let mut stream = Aes256Ctr::new(&key, &iv);
            let mut data = input.clone();
            data.chunks_mut(cut).for_each(|chunk| stream.apply(chunk));
            assert_eq!(data, out, "in pieces of {cut}");
        }
    }
}
