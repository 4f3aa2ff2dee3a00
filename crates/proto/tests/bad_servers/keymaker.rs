//! The server's side of an exchange, of which any part can be spoilt on its way out.

use std::sync::OnceLock;

use heliogram_crypto::dh::{self, Group};
use heliogram_crypto::rsa::PrivateKey;
use heliogram_crypto::{AesKeyIv, AuthKey, SecretBytes, hash, ige, rsa_pad, tmp_aes};
use heliogram_proto::cx::Unix;
use heliogram_proto::exchange::{Nonce, plain};
use heliogram_tl::{Deserialize as _, Serialize as _, mtproto, peek_id};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;

use crate::world::Peer;

/// What is wrong about a server's exchanges.
#[derive(Clone, Copy)]
pub(crate) enum Spoil {
    Nothing,
    ResPq(fn(&mut Offer)),
    DhParams(fn(&mut Params)),
    DhGen(fn(&mut Verdict)),
    /// The body of the answer to a query: 0, 1 or 2. It is told all earlier answers.
    Body(usize, fn(&mut Vec<u8>, &[Vec<u8>])),
    /// The whole message with it.
    Message(usize, fn(&mut Vec<u8>)),
}

/// `resPQ`.
pub(crate) struct Offer {
    pub(crate) nonce: Nonce,
    pub(crate) pq: Vec<u8>,
    pub(crate) fingerprints: Vec<i64>,
}

/// `server_DH_params_ok`.
pub(crate) struct Params {
    pub(crate) nonce: Nonce,
    pub(crate) server_nonce: Nonce,
    pub(crate) inner_nonce: Nonce,
    pub(crate) inner_server_nonce: Nonce,
    pub(crate) g: i32,
    pub(crate) dh_prime: Vec<u8>,
    pub(crate) g_a: Vec<u8>,
    pub(crate) server_time: i32,
    pub(crate) hash_flip: u8,
    pub(crate) padding: usize,
    pub(crate) tmp: AesKeyIv,
}

/// `dh_gen_ok`.
pub(crate) struct Verdict {
    pub(crate) nonce: Nonce,
    pub(crate) server_nonce: Nonce,
    pub(crate) hash: [u8; 16],
    /// What the hash were if the server wanted another try.
    pub(crate) hash_of_retry: [u8; 16],
    /// What the hash were for another key.
    pub(crate) hash_of_other_key: [u8; 16],
}

/// A server that makes keys.
pub(crate) struct Keymaker {
    spoil: Spoil,
    /// So many exchanges are spoilt; those after them are not.
    pub(crate) spoilt_left: usize,
    pub(crate) begun: usize,
    /// The nonces of all queries for `resPQ`.
    pub(crate) nonces: Vec<Nonce>,
    /// The keys that it has answered `dh_gen_ok` for, honestly or not.
    pub(crate) made: Vec<AuthKey>,
    nonce: Nonce,
    server_nonce: Nonce,
    new_nonce: [u8; 32],
    secret: SecretBytes<256>,
    answers: Vec<Vec<u8>>,
    rng: ChaCha8Rng,
}

impl Keymaker {
    /// Makes a server that spoils all its exchanges.
    pub(crate) fn bad(spoil: Spoil) -> Self {
        Self {
            spoil,
            spoilt_left: usize::MAX,
            begun: 0,
            nonces: Vec::new(),
            made: Vec::new(),
            nonce: [0; 16],
            server_nonce: [0; 16],
            new_nonce: [0; 32],
            secret: SecretBytes::new([0; 256]),
            answers: Vec::new(),
            rng: ChaCha8Rng::seed_from_u64(3),
        }
    }

    fn spoil(&self) -> Spoil {
        if self.begun <= self.spoilt_left {
            self.spoil
        } else {
            Spoil::Nothing
        }
    }

    fn answer(&mut self, query: &[u8], now_unix_s: u64) -> Vec<u8> {
        let step = match peek_id(query) {
            Some(mtproto::ReqPqMulti::ID) => 0,
            Some(mtproto::ReqDhParams::ID) => 1,
            Some(mtproto::SetClientDhParams::ID) => 2,
            other => panic!("no query: {other:?}"),
        };
        let mut answer = match step {
            0 => self.res_pq(query),
            1 => self.dh_params(query, now_unix_s),
            _ => self.dh_gen(query),
        };
        if let Spoil::Body(of, change) = self.spoil()
            && of == step
        {
            change(&mut answer, &self.answers);
        }
        self.answers.push(answer.clone());
        let id = plain::answer_id(Unix::from_seconds(now_unix_s), None);
        let mut message = plain::build(id, &answer);
        if let Spoil::Message(of, change) = self.spoil()
            && of == step
        {
            change(&mut message);
        }
        message
    }

    fn res_pq(&mut self, query: &[u8]) -> Vec<u8> {
        self.begun += 1;
        self.nonce = mtproto::ReqPqMulti::from_bytes(query).unwrap().nonce;
        self.nonces.push(self.nonce);
        self.server_nonce = [u8::try_from(self.begun).unwrap(); 16];
        let mut offer = Offer {
            nonce: self.nonce,
            pq: PQ.to_be_bytes().to_vec(),
            fingerprints: vec![server_key().public().fingerprint()],
        };
        if let Spoil::ResPq(change) = self.spoil() {
            change(&mut offer);
        }
        mtproto::ResPq {
            nonce: offer.nonce,
            server_nonce: self.server_nonce,
            pq: &offer.pq,
            server_public_key_fingerprints: offer.fingerprints.as_slice().into(),
        }
        .to_bytes()
    }

    fn dh_params(&mut self, query: &[u8], now_unix_s: u64) -> Vec<u8> {
        let query = mtproto::ReqDhParams::from_bytes(query).unwrap();
        let sealed = query.encrypted_data.try_into().unwrap();
        let opened = rsa_pad::open(server_key(), sealed).unwrap();
        let names_dc = mtproto::PQInnerDataDc::ID.to_le_bytes();
        assert!(opened.data().starts_with(&names_dc));
        // What follows is two strings of 8 and 4 bytes more, two nonces, and what is wanted.
        let new_nonce = &opened.data()[4 + 12 + 8 + 8 + 32..][..32];
        self.new_nonce = new_nonce.try_into().unwrap();
        self.secret = SecretBytes::random(&mut self.rng);
        let mut params = Params {
            nonce: self.nonce,
            server_nonce: self.server_nonce,
            inner_nonce: self.nonce,
            inner_server_nonce: self.server_nonce,
            g: 3,
            dh_prime: dh::PRIME.to_vec(),
            g_a: Group::known().public(&self.secret).to_vec(),
            server_time: i32::try_from(now_unix_s).unwrap(),
            hash_flip: 0,
            padding: 0,
            tmp: self.tmp(),
        };
        if let Spoil::DhParams(change) = self.spoil() {
            change(&mut params);
        }
        params.to_bytes()
    }

    fn dh_gen(&mut self, query: &[u8]) -> Vec<u8> {
        let query = mtproto::SetClientDhParams::from_bytes(query).unwrap();
        let (mut data, tmp) = (query.encrypted_data.to_vec(), self.tmp());
        ige::decrypt(tmp.key(), tmp.iv(), &mut data).unwrap();
        // A hash, a constructor, two nonces, retry_id, and the length of the string.
        let g_b = data[20 + 4 + 32 + 8 + 4..][..256].try_into().unwrap();
        let key = Group::known().shared(&self.secret, g_b);
        let hash_of = |key: &AuthKey, verdict: u8| {
            let pieces = [&self.new_nonce[..], &[verdict], &key.aux_hash()];
            hash::sha1(&pieces)[4..].try_into().unwrap()
        };
        let mut verdict = Verdict {
            nonce: self.nonce,
            server_nonce: self.server_nonce,
            hash: hash_of(&key, 1),
            hash_of_retry: hash_of(&key, 2),
            hash_of_other_key: hash_of(&AuthKey::new([1; 256]), 1),
        };
        if let Spoil::DhGen(change) = self.spoil() {
            change(&mut verdict);
        }
        self.made.push(key);
        mtproto::DhGenOk {
            nonce: verdict.nonce,
            server_nonce: verdict.server_nonce,
            new_nonce_hash1: verdict.hash,
        }
        .to_bytes()
    }

    fn tmp(&self) -> AesKeyIv {
        tmp_aes::derive(&self.new_nonce, &self.server_nonce)
    }
}

impl Params {
    fn to_bytes(&self) -> Vec<u8> {
        let data = mtproto::ServerDhInnerData {
            nonce: self.inner_nonce,
            server_nonce: self.inner_server_nonce,
            g: self.g,
            dh_prime: &self.dh_prime,
            g_a: &self.g_a,
            server_time: self.server_time,
        }
        .to_bytes();
        let mut sealed = hash::sha1(&[&data]).to_vec();
        sealed[0] ^= self.hash_flip;
        sealed.extend_from_slice(&data);
        sealed.resize((sealed.len() + self.padding).next_multiple_of(16), 0x77);
        ige::encrypt(self.tmp.key(), self.tmp.iv(), &mut sealed).unwrap();
        mtproto::ServerDhParamsOk {
            nonce: self.nonce,
            server_nonce: self.server_nonce,
            encrypted_answer: &sealed,
        }
        .to_bytes()
    }
}

impl Peer for Keymaker {
    fn take(&mut self, payload: Vec<u8>, now_unix_s: u64) -> Vec<Vec<u8>> {
        if !plain::is_plain(&payload) {
            return Vec::new();
        }
        let query = plain::parse(&payload).unwrap().body.to_vec();
        vec![self.answer(&query, now_unix_s)]
    }
}

/// The key that the server is known by, made once: it takes a while.
pub(crate) fn server_key() -> &'static PrivateKey {
    static KEY: OnceLock<PrivateKey> = OnceLock::new();
    KEY.get_or_init(|| PrivateKey::generate().unwrap())
}

/// From the published example of an exchange.
const PQ: u64 = 0x17ed_4894_1a08_f981;
