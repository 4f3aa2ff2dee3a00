//! What holds for any input.

// Says to the lints what Cargo knows: all of this is a test.
#![cfg(test)]

use heliogram_crypto::at_rest::MasterKeys;
use heliogram_crypto::ctr::Aes256Ctr;
use heliogram_crypto::dh::Group;
use heliogram_crypto::message::{self, HEADER_BYTES, PLAINTEXT_BYTES_MIN};
use heliogram_crypto::rsa::PrivateKey;
use heliogram_crypto::{AuthKey, Direction, SecretBytes, Undecryptable, ige, pq, rsa_pad};
use proptest::collection::vec;
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use std::sync::LazyLock;

proptest! {
    #[test]
    fn a_message_opens_to_what_was_sealed(seed: [u8; 32], blocks in 3..=4096_usize, to_server: bool) {
        let (key, plaintext) = random_message(seed, blocks);
        let dir = direction(to_server);
        let mut envelope = [vec![0; HEADER_BYTES], plaintext.clone()].concat();

        let sent = message::seal(&key, dir, &mut envelope).unwrap();
        let received = message::open(&key, dir, &mut envelope);

        prop_assert_eq!(received, Ok(sent));
        prop_assert_eq!(&envelope[HEADER_BYTES..], plaintext);
    }

    #[test]
    fn a_message_with_one_bit_changed_doesnt_open(seed: [u8; 32], blocks in 3..=64_usize, bit: prop::sample::Index) {
        let (key, plaintext) = random_message(seed, blocks);
        let mut envelope = [vec![0; HEADER_BYTES], plaintext].concat();
        message::seal(&key, Direction::ClientToServer, &mut envelope).unwrap();
        let bit = bit.index(envelope.len() * 8);
        envelope[bit / 8] ^= 1 << (bit % 8);

        let opened = message::open(&key, Direction::ClientToServer, &mut envelope);

        prop_assert_eq!(opened, Err(Undecryptable));
    }

    #[test]
    fn nothing_made_up_opens(mut bytes in vec(any::<u8>(), 0..512)) {
        let key = AuthKey::new([1; 256]);
        prop_assert!(message::open(&key, Direction::ClientToServer, &mut bytes).is_err());
    }

    #[test]
    fn ige_decrypts_what_it_encrypted(key: [u8; 32], iv: [u8; 32], blocks in vec(any::<[u8; 16]>(), 0..64)) {
        let plaintext = blocks.concat();
        let mut data = plaintext.clone();
        ige::encrypt(&key, &iv, &mut data).unwrap();
        prop_assert_eq!(data == plaintext, plaintext.is_empty());
        ige::decrypt(&key, &iv, &mut data).unwrap();
        prop_assert_eq!(data, plaintext);
    }

    #[test]
    fn ctr_is_one_stream_however_it_is_cut(key: [u8; 32], iv: [u8; 16], cuts in vec(0..200_usize, 0..12)) {
        let mut whole = vec![0; cuts.iter().sum()];
        Aes256Ctr::new(&key, &iv).apply(&mut whole);

        let mut stream = Aes256Ctr::new(&key, &iv);
        let pieces = cuts.into_iter().map(|length| {
            let mut piece = vec![0; length];
            stream.apply(&mut piece);
            piece
        });

        prop_assert_eq!(pieces.collect::<Vec<_>>().concat(), whole);
    }

    #[test]
    fn made_products_are_factored(seed: [u8; 32]) {
        let (p, q) = pq::generate(&mut ChaCha20Rng::from_seed(seed));
        prop_assert_eq!(pq::factorize(u64::from(p) * u64::from(q)), Some((p, q)));
    }

    #[test]
    fn any_number_is_factored_into_what_multiplies_to_it_or_not_at_all(number: u64) {
        if let Some((p, q)) = pq::factorize(number) {
            prop_assert!(p < q);
            prop_assert_eq!(u64::from(p) * u64::from(q), number);
        }
    }

    #[test]
    fn numbers_survive_being_written_and_read(number in 1..=u64::MAX) {
        let written = pq::to_minimal_be(number);
        prop_assert_ne!(written[0], 0);
        prop_assert_eq!(pq::from_be(&written), Some(number));
    }

    #[test]
    fn stored_records_open_to_what_was_sealed(id: u32, plaintext in vec(any::<u8>(), 0..300), aad in vec(any::<u8>(), 0..40)) {
        let keys = MasterKeys::new(id, SecretBytes::new([1; 32]));
        let sealed = keys.seal(&plaintext, &aad, &mut ChaCha20Rng::from_seed([2; 32]));
        let opened = keys.open(&sealed, &aad).unwrap();
        prop_assert_eq!(opened.as_slice(), plaintext);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn both_ends_of_an_exchange_agree(a: [u8; 32], b: [u8; 32]) {
        let group = Group::known();
        let a = SecretBytes::random(&mut ChaCha20Rng::from_seed(a));
        let b = SecretBytes::random(&mut ChaCha20Rng::from_seed(b));
        let (g_b, of_client) = group.public_and_shared(&b, &group.public(&a));
        prop_assert_eq!(group.shared(&a, &g_b), of_client);
    }

    #[test]
    fn either_padding_opens_to_what_was_encrypted(seed: [u8; 32], data in vec(any::<u8>(), 0..=144)) {
        let mut rng = ChaCha20Rng::from_seed(seed);
        for encrypted in [
            rsa_pad::encrypt(KEY.public(), &data, &mut rng),
            rsa_pad::encrypt_legacy(KEY.public(), &data, &mut rng),
        ] {
            let opened = rsa_pad::open(&KEY, &encrypted.unwrap()).unwrap();
            prop_assert!(opened.accepts(data.len()));
            prop_assert_eq!(&opened.data()[..data.len()], &data);
        }
    }

    #[test]
    fn made_up_numbers_are_never_accepted(seed: [u8; 32]) {
        let mut encrypted = [0; 256];
        ChaCha20Rng::from_seed(seed).fill_bytes(&mut encrypted);
        if let Ok(opened) = rsa_pad::open(&KEY, &encrypted) {
            prop_assert!((0..=opened.data().len()).all(|length| !opened.accepts(length)));
        }
    }
}

static KEY: LazyLock<PrivateKey> = LazyLock::new(|| PrivateKey::generate().unwrap());

fn random_message(seed: [u8; 32], blocks: usize) -> (AuthKey, Vec<u8>) {
    let mut rng = ChaCha20Rng::from_seed(seed);
    let key = AuthKey::from_secret(SecretBytes::random(&mut rng));
    let mut plaintext = vec![0; (blocks * 16).max(PLAINTEXT_BYTES_MIN)];
    rng.fill_bytes(&mut plaintext);
    (key, plaintext)
}

fn direction(to_server: bool) -> Direction {
    if to_server {
        Direction::ClientToServer
    } else {
        Direction::ServerToClient
    }
}
