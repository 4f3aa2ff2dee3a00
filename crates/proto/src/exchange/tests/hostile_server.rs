//! A server that breaks one rule at a time.

use core::time::Duration;

use heliogram_crypto::{AesKeyIv, dh, hash, ige, tmp_aes};
use heliogram_tl::{Deserialize, Serialize, mtproto};

use super::pair;
use crate::exchange::Nonce;
use crate::exchange::client::{
    AwaitDhGen, AwaitDhParams, AwaitResPq, Error, Offered, Outcome, restart_after,
};
use crate::exchange::params::{self, Verdict};
use crate::exchange::testing::{Script, client_config, now, random, server_key};
use crate::limits::{DH_RETRIES_MAX, EXCHANGE_RESTARTS_MAX, OFFERED_MAX};

#[test]
fn honest_answers_are_accepted() {
    assert_eq!(Offer::honest().error(), None);
    assert_eq!(Params::honest().error(), None);
    assert_eq!(Verdicts::new().error(Verdict::Ok, |_| {}), None);
}

#[test]
fn res_pq_must_name_our_nonce_and_a_product_of_two_primes() {
    let cases: &[Case<Offer>] = &[
        ("nonce", |offer| offer.nonce[0] ^= 1),
        ("another constructor", |offer| offer.flip = Some(0)),
        ("cut short", |offer| offer.cut = Some(40)),
        ("no pq", |offer| offer.pq.clear()),
        ("nine bytes", |offer| offer.pq.insert(0, 0)),
        ("even", |offer| {
            offer.pq = 0x17ed_4894_1a08_f982_u64.to_be_bytes().to_vec();
        }),
        ("prime", |offer| {
            offer.pq = 0x7fff_ffff_ffff_ffe7_u64.to_be_bytes().to_vec();
        }),
        ("a square", |offer| {
            offer.pq = 0x3fff_ffff_0000_0001_u64.to_be_bytes().to_vec();
        }),
        ("three primes", |offer| {
            offer.pq = (3_u64 * 5 * 7).to_be_bytes().to_vec();
        }),
        ("not below 2^63", |offer| {
            offer.pq = (u64::MAX - 0x3a).to_be_bytes().to_vec();
        }),
        ("one", |offer| offer.pq = vec![1]),
    ];
    for (name, spoil) in cases {
        let mut offer = Offer::honest();
        spoil(&mut offer);
        assert_eq!(offer.error(), Some(Error::Untrusted), "{name}");
    }
}

#[test]
fn first_known_key_is_taken_and_none_is_an_error_of_its_own() {
    let known = server_key().public().fingerprint();
    for (fingerprints, error) in [
        (vec![], Some(Error::NoKnownKey(Offered::default()))),
        (vec![known ^ 1], Some(no_known_key(&[known ^ 1]))),
        (vec![known ^ 1, known], None),
        (vec![known, known ^ 1], None),
    ] {
        let mut offer = Offer::honest();
        offer.fingerprints = fingerprints;
        assert_eq!(offer.error(), error);
    }
}

#[test]
fn of_the_keys_that_are_offered_as_many_are_named_as_may_be_and_not_one_more() {
    let known = server_key().public().fingerprint();
    let mut offer = Offer::honest();
    offer.fingerprints = (1..).map(|it| known ^ it).take(OFFERED_MAX).collect();
    let named = offer.fingerprints.clone();
    assert_eq!(offer.error(), Some(no_known_key(&named)));

    let mut offer = Offer::honest();
    offer.fingerprints = named.clone();
    offer.fingerprints.push(known ^ 77);
    assert_eq!(offer.error(), Some(no_known_key(&named)));
    assert_eq!(
        no_known_key(&[1, -1]).to_string(),
        "the server has none of the known RSA keys; it has 0x0000000000000001, 0xffffffffffffffff"
    );
}

fn no_known_key(offered: &[i64]) -> Error {
    Error::NoKnownKey(offered.iter().copied().collect())
}

#[test]
fn server_dh_params_ok_must_be_authentic_and_repeat_the_outer_values() {
    let cases: &[Case<Params>] = &[
        ("outer nonce", |params| params.nonce[0] ^= 1),
        ("outer server_nonce", |params| params.server_nonce[0] ^= 1),
        ("another constructor", |params| params.flip = Some(0)),
        ("inner nonce", |params| params.inner.nonce[0] ^= 1),
        ("inner server_nonce", |params| {
            params.inner.server_nonce[0] ^= 1;
        }),
        ("hash", |params| params.hash_flip = 1),
        ("inner constructor", |params| params.body_flip = 1),
        ("a whole block of padding more", |params| {
            params.padding = 8 + 16;
        }),
        ("no bytes", |params| params.cut = Some(0)),
        ("16 bytes", |params| params.cut = Some(16)),
        ("31 bytes", |params| params.cut = Some(31)),
        ("cut by a block", |params| params.cut = Some(576)),
        ("another key", |params| {
            params.tmp = tmp_aes::derive(&[1; 32], &[2; 16]);
        }),
    ];
    for (name, spoil) in cases {
        let mut params = Params::honest();
        spoil(&mut params);
        assert_eq!(params.error(), Some(Error::Untrusted), "{name}");
    }
}

#[test]
fn group_must_be_safe() {
    let cases: &[(Case<Inner>, bool)] = &[
        (("g = 3", |inner| inner.g = 3), true),
        (("g = 4", |inner| inner.g = 4), true),
        (("g = 7", |inner| inner.g = 7), true),
        (("g = 2 with this prime", |inner| inner.g = 2), false),
        (("g = 1", |inner| inner.g = 1), false),
        (("g = 8", |inner| inner.g = 8), false),
        (("g = -3", |inner| inner.g = -3), false),
        (
            ("a composite of good residue", |inner| {
                inner.dh_prime[255] ^= 0x3a;
            }),
            false,
        ),
        (("2047 bits", |inner| inner.dh_prime[0] &= 0x7f), false),
        (
            ("2040 bits", |inner| {
                inner.dh_prime = inner.dh_prime[1..].to_vec();
            }),
            false,
        ),
    ];
    for ((name, change), accepted) in cases {
        let mut params = Params::honest();
        change(&mut params.inner);
        assert_eq!(
            params.error(),
            (!accepted).then_some(Error::Untrusted),
            "{name}"
        );
    }
}

#[test]
fn g_a_is_accepted_from_2_to_the_1984_up_to_p_less_that() {
    let above_the_top = {
        let mut number = dh::PRIME;
        number[8..].fill(0xff);
        number
    };
    for (name, g_a, accepted) in [
        ("nothing", vec![], false),
        ("0", vec![0; 256], false),
        ("1", vec![1], false),
        ("2^1984 - 1", vec![0xff; 248], false),
        ("2^1984", [&[1][..], &[0; 248]].concat(), true),
        ("above p - 2^1984", above_the_top.to_vec(), false),
        ("p", dh::PRIME.to_vec(), false),
        ("257 bytes", vec![1; 257], false),
    ] {
        let mut params = Params::honest();
        params.inner.g_a = g_a;
        assert_eq!(
            params.error(),
            (!accepted).then_some(Error::Untrusted),
            "{name}"
        );
    }
}

#[test]
fn server_dh_params_fail_counts_only_with_the_hash_of_new_nonce() {
    let cases: &[(Case<mtproto::ServerDhParamsFail>, Error)] = &[
        (("honest", |_| {}), Error::Failed),
        (("nonce", |fail| fail.nonce[0] ^= 1), Error::Untrusted),
        (
            ("server_nonce", |fail| fail.server_nonce[0] ^= 1),
            Error::Untrusted,
        ),
        (
            ("hash", |fail| fail.new_nonce_hash[0] ^= 1),
            Error::Untrusted,
        ),
    ];
    for ((name, change), error) in cases {
        let (state, server_nonce) = await_dh_params();
        let mut fail = mtproto::ServerDhParamsFail {
            nonce: NONCE,
            server_nonce,
            new_nonce_hash: hash::sha1(&[&NEW_NONCE])[4..].try_into().unwrap(),
        };
        change(&mut fail);
        let refused = state
            .handle(&fail.to_bytes(), now(Duration::ZERO))
            .unwrap_err();
        assert_eq!(refused, *error, "{name}");
    }
}

#[test]
fn verdict_counts_only_with_its_own_hash_and_our_nonces() {
    let cases: &[Case<Answer>] = &[
        ("nonce", |answer| answer.nonce[0] ^= 1),
        ("server_nonce", |answer| answer.server_nonce[0] ^= 1),
        ("hash", |answer| answer.hash[15] ^= 1),
        ("the hash of another verdict", |answer| {
            answer.hash = answer.other_hash;
        }),
    ];
    for verdict in [Verdict::Ok, Verdict::Retry, Verdict::Fail] {
        for (name, spoil) in cases {
            let error = Verdicts::new().error(verdict, *spoil);
            assert_eq!(error, Some(Error::Untrusted), "{verdict:?}: {name}");
        }
    }
    let (state, _, _) = pair::up_to_client_dh(client_config());
    let res_pq = Offer::honest().answer();
    assert_eq!(state.handle(&res_pq).unwrap_err(), Error::Untrusted);
}

#[test]
fn fail_ends_the_exchange() {
    assert_eq!(
        Verdicts::new().error(Verdict::Fail, |_| {}),
        Some(Error::Failed)
    );
}

#[test]
fn five_retries_are_followed_and_a_sixth_is_not() {
    let mut verdicts = Verdicts::new();
    for _ in 0..DH_RETRIES_MAX {
        let answer = verdicts.answer(Verdict::Retry).to_bytes(Verdict::Retry);
        let Ok(Outcome::Again(round)) = verdicts.state.handle(&answer) else {
            panic!("a retry is followed");
        };
        verdicts.state = round.run(&mut random(1)).unwrap().0;
    }
    assert_eq!(verdicts.error(Verdict::Retry, |_| {}), Some(Error::Failed));
}

#[test]
fn exchange_is_begun_anew_five_times_with_growing_pauses() {
    let pauses: Vec<_> = (1..=EXCHANGE_RESTARTS_MAX).map(restart_after).collect();
    let expected = [1, 2, 4, 8, 16].map(|seconds| Some(Duration::from_secs(seconds)));
    assert_eq!(pauses, expected);
    assert_eq!(restart_after(0), None);
    assert_eq!(restart_after(EXCHANGE_RESTARTS_MAX + 1), None);
    assert_eq!(restart_after(u32::MAX), None);
}

/// `resPQ` in the making.
struct Offer {
    state: AwaitResPq,
    nonce: Nonce,
    pq: Vec<u8>,
    fingerprints: Vec<i64>,
    flip: Option<usize>,
    cut: Option<usize>,
}

impl Offer {
    fn honest() -> Self {
        let (state, _) = AwaitResPq::begin(client_config(), &mut Script::new(&[&NONCE]));
        Self {
            state,
            nonce: NONCE,
            pq: 0x17ed_4894_1a08_f981_u64.to_be_bytes().to_vec(),
            fingerprints: vec![server_key().public().fingerprint()],
            flip: None,
            cut: None,
        }
    }

    fn answer(&self) -> Vec<u8> {
        let mut answer = mtproto::ResPq {
            nonce: self.nonce,
            server_nonce: [5; 16],
            pq: &self.pq,
            server_public_key_fingerprints: self.fingerprints.as_slice().into(),
        }
        .to_bytes();
        spoil(&mut answer, self.flip);
        answer.truncate(self.cut.unwrap_or(usize::MAX));
        answer
    }

    fn error(self) -> Option<Error> {
        let answer = self.answer();
        match self.state.handle(&answer) {
            Ok(job) => job.run(&mut random(1)).err(),
            Err(error) => Some(error),
        }
    }
}

/// `server_DH_params_ok` in the making.
struct Params {
    state: AwaitDhParams,
    nonce: Nonce,
    server_nonce: Nonce,
    inner: Inner,
    tmp: AesKeyIv,
    flip: Option<usize>,
    hash_flip: u8,
    body_flip: u8,
    padding: usize,
    cut: Option<usize>,
}

struct Inner {
    nonce: Nonce,
    server_nonce: Nonce,
    g: i32,
    dh_prime: Vec<u8>,
    g_a: Vec<u8>,
}

impl Params {
    fn honest() -> Self {
        let (state, server_nonce) = await_dh_params();
        Self {
            state,
            nonce: NONCE,
            server_nonce,
            inner: Inner {
                nonce: NONCE,
                server_nonce,
                g: 3,
                dh_prime: dh::PRIME.to_vec(),
                g_a: vec![0x33; 256],
            },
            tmp: tmp_aes::derive(&NEW_NONCE, &server_nonce),
            flip: None,
            hash_flip: 0,
            body_flip: 0,
            padding: 0,
            cut: None,
        }
    }

    fn answer(&self) -> Vec<u8> {
        let mut data = mtproto::ServerDhInnerData {
            nonce: self.inner.nonce,
            server_nonce: self.inner.server_nonce,
            g: self.inner.g,
            dh_prime: &self.inner.dh_prime,
            g_a: &self.inner.g_a,
            server_time: 1_700_000_000,
        }
        .to_bytes();
        data[0] ^= self.body_flip;
        let mut hashed = hash::sha1(&[&data]).to_vec();
        hashed[0] ^= self.hash_flip;
        hashed.extend_from_slice(&data);
        let padded = (hashed.len() + self.padding).next_multiple_of(16);
        hashed.resize(padded, 0x77);
        ige::encrypt(self.tmp.key(), self.tmp.iv(), &mut hashed).unwrap();
        hashed.truncate(self.cut.unwrap_or(usize::MAX));
        let mut answer = mtproto::ServerDhParamsOk {
            nonce: self.nonce,
            server_nonce: self.server_nonce,
            encrypted_answer: &hashed,
        }
        .to_bytes();
        spoil(&mut answer, self.flip);
        answer
    }

    fn error(self) -> Option<Error> {
        let answer = self.answer();
        match self.state.handle(&answer, now(Duration::ZERO)) {
            Ok(job) => job.run(&mut random(1)).err(),
            Err(error) => Some(error),
        }
    }
}

/// An answer to `set_client_DH_params` in the making.
struct Verdicts {
    state: AwaitDhGen,
    server_nonce: Nonce,
}

#[derive(Clone, Copy)]
struct Answer {
    nonce: Nonce,
    server_nonce: Nonce,
    hash: [u8; 16],
    /// What the hash were with another verdict.
    other_hash: [u8; 16],
}

impl Verdicts {
    fn new() -> Self {
        let params = Params::honest();
        let answer = params.answer();
        let job = params.state.handle(&answer, now(Duration::ZERO)).unwrap();
        Self {
            state: job.run(&mut random(1)).unwrap().0,
            server_nonce: params.server_nonce,
        }
    }

    fn answer(&self, verdict: Verdict) -> Answer {
        let other = match verdict {
            Verdict::Ok => Verdict::Retry,
            Verdict::Retry => Verdict::Fail,
            Verdict::Fail => Verdict::Ok,
        };
        let new_nonce = heliogram_crypto::SecretBytes::new(NEW_NONCE);
        let aux_hash = self.state.key().aux_hash();
        Answer {
            nonce: NONCE,
            server_nonce: self.server_nonce,
            hash: params::new_nonce_hash(&new_nonce, verdict, aux_hash),
            other_hash: params::new_nonce_hash(&new_nonce, other, aux_hash),
        }
    }

    fn error(self, verdict: Verdict, spoil: fn(&mut Answer)) -> Option<Error> {
        let mut answer = self.answer(verdict);
        spoil(&mut answer);
        self.state.handle(&answer.to_bytes(verdict)).err()
    }
}

impl Answer {
    fn to_bytes(self, verdict: Verdict) -> Vec<u8> {
        let Self {
            nonce,
            server_nonce,
            hash,
            ..
        } = self;
        match verdict {
            Verdict::Ok => mtproto::DhGenOk {
                nonce,
                server_nonce,
                new_nonce_hash1: hash,
            }
            .to_bytes(),
            Verdict::Retry => mtproto::DhGenRetry {
                nonce,
                server_nonce,
                new_nonce_hash2: hash,
            }
            .to_bytes(),
            Verdict::Fail => mtproto::DhGenFail {
                nonce,
                server_nonce,
                new_nonce_hash3: hash,
            }
            .to_bytes(),
        }
    }
}

/// Returns a client that waits for the Diffie-Hellman parameters, with the server's nonce.
fn await_dh_params() -> (AwaitDhParams, Nonce) {
    let offer = Offer::honest();
    let answer = offer.answer();
    let job = offer.state.handle(&answer).unwrap();
    let (state, _) = job.run(&mut Script::new(&[&NEW_NONCE])).unwrap();
    (
        state,
        mtproto::ResPq::from_bytes(&answer).unwrap().server_nonce,
    )
}

fn spoil(bytes: &mut [u8], at: Option<usize>) {
    if let Some(at) = at {
        bytes[at] ^= 1;
    }
}

/// The name of a broken rule, and what breaks it.
type Case<T> = (&'static str, fn(&mut T));

const NONCE: Nonce = [7; 16];
const NEW_NONCE: [u8; 32] = [9; 32];
