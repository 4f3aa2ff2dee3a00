//! A client that breaks one rule at a time.

use core::time::Duration;
use std::sync::Arc;

use heliogram_crypto::dh::{self, Group};
use heliogram_crypto::{AesKeyIv, SecretBytes, ige, pq, rsa_pad, tmp_aes};
use heliogram_tl::{Deserialize, Serialize, mtproto};
use zeroize::Zeroizing;

use crate::exchange::Nonce;
use crate::exchange::inner::Inner;
use crate::exchange::server::{AwaitClientDh, AwaitReqDh, Config, Query, Refusal, Rejected};
use crate::exchange::testing::{now, random, server_config, server_key};

#[test]
fn honest_queries_are_accepted() {
    assert_eq!(Hello::honest().refusal(), None);
    assert_eq!(Reply::honest().refusal(), None);
}

#[test]
fn req_dh_params_is_refused_before_the_private_key_is_used() {
    let cases: &[Case<Hello>] = &[
        ("nonce", |hello| hello.nonce[0] ^= 1),
        ("server_nonce", |hello| hello.server_nonce[15] ^= 1),
        ("p and q swapped", |hello| {
            core::mem::swap(&mut hello.p, &mut hello.q);
        }),
        ("p not minimal", |hello| hello.p.insert(0, 0)),
        ("q not minimal", |hello| hello.q.insert(0, 0)),
        ("p is not a factor", |hello| hello.p[3] ^= 2),
        ("q is not a factor", |hello| hello.q[3] ^= 2),
        ("p is one and q is pq", |hello| {
            hello.q = hello.inner.pq.clone();
            hello.p = vec![1];
        }),
        ("p is empty", |hello| hello.p.clear()),
        ("fingerprint", |hello| hello.fingerprint ^= 1),
        ("encrypted_data of 255 bytes", |hello| hello.cut = Some(255)),
        ("encrypted_data of 16 bytes", |hello| hello.cut = Some(16)),
        ("encrypted_data of 257 bytes", |hello| hello.cut = Some(257)),
    ];
    for (name, spoil) in cases {
        let mut hello = Hello::honest();
        spoil(&mut hello);
        assert_eq!(
            hello.refusal(),
            Some((Stage::Cheap, Refusal::NotFound)),
            "{name}"
        );
    }
}

#[test]
fn inner_data_must_be_authentic_and_repeat_the_outer_values() {
    let cases: &[Case<Hello>] = &[
        ("pq", |hello| hello.inner.pq[7] ^= 2),
        ("p", |hello| hello.inner.p[3] ^= 2),
        ("p not minimal", |hello| hello.inner.p.insert(0, 0)),
        ("q", |hello| hello.inner.q[3] ^= 2),
        ("nonce", |hello| hello.inner.nonce[0] ^= 1),
        ("server_nonce", |hello| hello.inner.server_nonce[0] ^= 1),
        ("no time to live", |hello| {
            hello.inner.expires_in_s = Some(0);
        }),
        ("negative time to live", |hello| {
            hello.inner.expires_in_s = Some(-1);
        }),
        ("unknown constructor", |hello| hello.flip = Some(0)),
        ("legacy padding, cut short", |hello| {
            hello.encryption = Encryption::Legacy;
            hello.inner_cut = Some(90);
        }),
        ("no data", |hello| hello.inner_cut = Some(0)),
        ("not encrypted at all", |hello| {
            hello.encryption = Encryption::Garbage(0x55);
        }),
        ("a number above the modulus", |hello| {
            hello.encryption = Encryption::Garbage(0xff);
        }),
        ("zero", |hello| hello.encryption = Encryption::Garbage(0)),
        ("legacy padding, wrong hash", |hello| {
            hello.encryption = Encryption::LegacyWrongHash;
        }),
        ("legacy padding, another nonce", |hello| {
            hello.encryption = Encryption::Legacy;
            hello.inner.nonce[0] ^= 1;
        }),
    ];
    for (name, spoil) in cases {
        let mut hello = Hello::honest();
        spoil(&mut hello);
        assert_eq!(
            hello.refusal(),
            Some((Stage::Rsa, Refusal::NotFound)),
            "{name}"
        );
    }
}

#[test]
fn legacy_padding_is_accepted_only_if_it_is_switched_on() {
    let mut hello = Hello::honest();
    hello.encryption = Encryption::Legacy;
    assert_eq!(hello.refusal(), None);

    let mut hello = Hello::honest();
    hello.encryption = Encryption::Legacy;
    hello.config.legacy_padding = false;
    assert_eq!(hello.refusal(), Some((Stage::Rsa, Refusal::NotFound)));

    let mut hello = Hello::honest();
    hello.config.legacy_padding = false;
    assert_eq!(hello.refusal(), None);
}

#[test]
fn only_an_otherwise_good_query_learns_that_its_data_centre_is_not_served() {
    for dc in [1, -1, 10_001, 0] {
        let mut hello = Hello::honest();
        hello.inner.dc = Some(dc);
        assert_eq!(
            hello.refusal(),
            Some((Stage::Rsa, Refusal::WrongDc)),
            "{dc}"
        );

        let mut hello = Hello::honest();
        hello.inner.dc = Some(dc);
        hello.inner.nonce[0] ^= 1;
        assert_eq!(
            hello.refusal(),
            Some((Stage::Rsa, Refusal::NotFound)),
            "{dc}"
        );
    }
}

#[test]
fn set_client_dh_params_must_be_authentic_and_repeat_the_outer_values() {
    let cases: &[Case<Reply>] = &[
        ("outer nonce", |reply| reply.nonce[0] ^= 1),
        ("outer server_nonce", |reply| reply.server_nonce[0] ^= 1),
        ("inner nonce", |reply| reply.inner.nonce[0] ^= 1),
        ("inner server_nonce", |reply| {
            reply.inner.server_nonce[0] ^= 1;
        }),
        ("retry_id at the first try", |reply| {
            reply.inner.retry_id = 1;
        }),
        ("hash", |reply| reply.hash_flip = 1),
        ("another constructor", |reply| reply.body_flip = 1),
        ("a whole block of padding more", |reply| {
            reply.padding = 12 + 16;
        }),
        ("16 bytes", |reply| reply.cut = Some(16)),
        ("no bytes", |reply| reply.cut = Some(0)),
        ("cut within a block", |reply| reply.cut = Some(335)),
        ("cut by a block", |reply| reply.cut = Some(320)),
        ("one byte too many", |reply| reply.cut = Some(337)),
        ("another key", |reply| {
            reply.tmp = tmp_aes::derive(&[1; 32], &[2; 16]);
        }),
    ];
    for (name, spoil) in cases {
        let mut reply = Reply::honest();
        spoil(&mut reply);
        assert_eq!(reply.refusal(), Some(Refusal::NotFound), "{name}");
    }
}

#[test]
fn g_b_is_accepted_from_2_to_the_1984_up_to_p_less_that() {
    let edge = |offset: i8| power_of_two_1984(offset);
    for (name, g_b, accepted) in [
        ("nothing", vec![], false),
        ("0", vec![0], false),
        ("1", vec![1], false),
        ("2^1984 - 1", edge(-1), false),
        ("2^1984", edge(0), true),
        ("p - 2^1984", prime_minus(&edge(0)), true),
        ("p - 2^1984 + 1", prime_minus(&edge(-1)), false),
        ("p - 1", prime_minus(&[1]), false),
        ("p", dh::PRIME.to_vec(), false),
        ("2^2048", [&[1][..], &[0; 256]].concat(), false),
    ] {
        let mut reply = Reply::honest();
        reply.inner.g_b = g_b;
        let expected = (!accepted).then_some(Refusal::NotFound);
        assert_eq!(reply.refusal(), expected, "{name}");
    }
}

#[test]
fn after_a_retry_only_the_hash_of_the_failed_key_is_a_retry_id() {
    let honest = |server: AwaitClientDh| {
        let query = Reply::honest().query();
        let query = mtproto::SetClientDhParams::from_bytes(&query).unwrap();
        server.handle(&query).unwrap().run()
    };
    let failed = honest(Reply::honest().server);
    let failed_key = failed
        .record(now(Duration::ZERO), &crate::ids::Term(1).into())
        .unwrap()
        .key;
    let right = i64::from_le_bytes(failed_key.aux_hash());
    for (retry_id, expected) in [
        (right, None),
        (0, Some(Refusal::NotFound)),
        (right ^ 1, Some(Refusal::NotFound)),
        (right.swap_bytes(), Some(Refusal::NotFound)),
    ] {
        let Rejected::Retry { next, .. } = honest(Reply::honest().server).reject() else {
            panic!("a retry is left");
        };
        let mut reply = Reply::honest();
        reply.server = next;
        reply.inner.retry_id = retry_id;
        assert_eq!(reply.refusal(), expected, "{retry_id}");
    }
}

#[test]
fn anything_but_the_queries_of_an_exchange_is_refused() {
    let ack = mtproto::MsgsAck {
        msg_ids: (&[1_i64]).into(),
    }
    .to_bytes();
    let old = mtproto::ReqPq { nonce: [1; 16] }.to_bytes();
    assert!(matches!(Query::parse(&ack), Ok((Query::MsgsAck, _))));
    assert!(matches!(
        Query::parse(&old),
        Ok((Query::ReqPq { nonce: [1, ..] }, _))
    ));

    let ping = mtproto::Ping { ping_id: 1 }.to_bytes();
    let answer = mtproto::ReqPqMulti { nonce: [1; 16] }.to_bytes();
    for body in [&[][..], &[1, 2, 3], &ping, &answer[..16]] {
        assert_eq!(
            Query::parse(body).unwrap_err(),
            Refusal::NotFound,
            "{body:?}"
        );
    }
}

#[test]
fn a_tail_behind_a_query_is_ignored_and_no_part_of_it() {
    let query = mtproto::ReqPqMulti { nonce: [1; 16] }.to_bytes();
    let with_tail = [&query[..], &[7; 12]].concat();
    let (_, bytes) = Query::parse(&with_tail).unwrap();
    assert_eq!(bytes, query);
}

/// Where a query is refused.
#[derive(Debug, PartialEq, Eq)]
enum Stage {
    Cheap,
    Rsa,
}

enum Encryption {
    RsaPad,
    Legacy,
    LegacyWrongHash,
    Garbage(u8),
}

/// `req_DH_params` in the making.
struct Hello {
    config: Config,
    server: AwaitReqDh,
    nonce: Nonce,
    server_nonce: Nonce,
    p: Vec<u8>,
    q: Vec<u8>,
    fingerprint: i64,
    inner: OwnedInner,
    inner_cut: Option<usize>,
    /// The byte of the inner data to spoil.
    flip: Option<usize>,
    encryption: Encryption,
    cut: Option<usize>,
}

struct OwnedInner {
    pq: Vec<u8>,
    p: Vec<u8>,
    q: Vec<u8>,
    nonce: Nonce,
    server_nonce: Nonce,
    dc: Option<i32>,
    expires_in_s: Option<i32>,
}

impl Hello {
    fn honest() -> Self {
        let config = server_config();
        let nonce = [7; 16];
        let server = AwaitReqDh::begin(nonce, &mut random(1));
        let server_nonce = server.server_nonce();
        let res_pq = server.res_pq(&config.keys);
        let pq = mtproto::ResPq::from_bytes(&res_pq).unwrap().pq.to_vec();
        let (p, q) = pq::factorize(pq::from_be(&pq).unwrap()).unwrap();
        let (p, q) = (p.to_be_bytes().to_vec(), q.to_be_bytes().to_vec());
        Self {
            fingerprint: server_key().public().fingerprint(),
            config,
            server,
            nonce,
            server_nonce,
            p: p.clone(),
            q: q.clone(),
            inner: OwnedInner {
                pq,
                p,
                q,
                nonce,
                server_nonce,
                dc: Some(2),
                expires_in_s: None,
            },
            inner_cut: None,
            flip: None,
            encryption: Encryption::RsaPad,
            cut: None,
        }
    }

    fn encrypted(&self) -> Vec<u8> {
        let inner = Inner {
            pq: &self.inner.pq,
            p: &self.inner.p,
            q: &self.inner.q,
            nonce: self.inner.nonce,
            server_nonce: self.inner.server_nonce,
            new_nonce: Zeroizing::new(NEW_NONCE),
            dc: self.inner.dc,
            expires_in_s: self.inner.expires_in_s,
        };
        let mut data = inner.to_bytes();
        if let Some(at) = self.flip {
            data[at] ^= 1;
        }
        data.truncate(self.inner_cut.unwrap_or(usize::MAX));
        let (key, mut rng) = (server_key(), random(6));
        let mut encrypted = match self.encryption {
            Encryption::RsaPad => rsa_pad::encrypt(key.public(), &data, &mut rng).unwrap(),
            Encryption::Legacy => rsa_pad::encrypt_legacy(key.public(), &data, &mut rng).unwrap(),
            Encryption::LegacyWrongHash => {
                let mut block = [0; 256];
                block[21..21 + data.len()].copy_from_slice(&data);
                key.public().raw(&block).unwrap()
            }
            Encryption::Garbage(byte) => [byte; 256],
        }
        .to_vec();
        encrypted.resize(self.cut.unwrap_or(256), 0);
        encrypted
    }

    fn refusal(self) -> Option<(Stage, Refusal)> {
        let encrypted = self.encrypted();
        let query = mtproto::ReqDhParams {
            nonce: self.nonce,
            server_nonce: self.server_nonce,
            p: &self.p,
            q: &self.q,
            public_key_fingerprint: self.fingerprint,
            encrypted_data: &encrypted,
        };
        match self.server.handle(&query, &Arc::new(self.config)) {
            Err(refusal) => Some((Stage::Cheap, refusal)),
            Ok(job) => job
                .run(&mut random(8))
                .err()
                .map(|refusal| (Stage::Rsa, refusal)),
        }
    }

    fn agreed(self) -> AwaitClientDh {
        let encrypted = self.encrypted();
        let query = mtproto::ReqDhParams {
            nonce: self.nonce,
            server_nonce: self.server_nonce,
            p: &self.p,
            q: &self.q,
            public_key_fingerprint: self.fingerprint,
            encrypted_data: &encrypted,
        };
        let job = self.server.handle(&query, &Arc::new(self.config)).unwrap();
        let agreed = job.run(&mut random(8)).unwrap();
        agreed
            .answer(now(Duration::ZERO), &mut random(9))
            .unwrap()
            .0
    }
}

/// `set_client_DH_params` in the making.
struct Reply {
    server: AwaitClientDh,
    nonce: Nonce,
    server_nonce: Nonce,
    inner: OwnedReply,
    tmp: AesKeyIv,
    hash_flip: u8,
    body_flip: u8,
    padding: usize,
    cut: Option<usize>,
}

struct OwnedReply {
    nonce: Nonce,
    server_nonce: Nonce,
    retry_id: i64,
    g_b: Vec<u8>,
}

impl Reply {
    fn honest() -> Self {
        let hello = Hello::honest();
        let (nonce, server_nonce) = (hello.nonce, hello.server_nonce);
        let g_b = Group::known()
            .public(&SecretBytes::new([0x42; 256]))
            .to_vec();
        Self {
            server: hello.agreed(),
            nonce,
            server_nonce,
            inner: OwnedReply {
                nonce,
                server_nonce,
                retry_id: 0,
                g_b,
            },
            tmp: tmp_aes::derive(&NEW_NONCE, &server_nonce),
            hash_flip: 0,
            body_flip: 0,
            padding: 0,
            cut: None,
        }
    }

    fn query(&self) -> Vec<u8> {
        let inner = mtproto::ClientDhInnerData {
            nonce: self.inner.nonce,
            server_nonce: self.inner.server_nonce,
            retry_id: self.inner.retry_id,
            g_b: &self.inner.g_b,
        };
        let mut data = inner.to_bytes();
        data[0] ^= self.body_flip;
        let mut hashed = heliogram_crypto::hash::sha1(&[&data]).to_vec();
        hashed[0] ^= self.hash_flip;
        hashed.extend_from_slice(&data);
        let padded = (hashed.len() + self.padding).next_multiple_of(16);
        hashed.resize(padded, 0x77);
        ige::encrypt(self.tmp.key(), self.tmp.iv(), &mut hashed).unwrap();
        hashed.resize(self.cut.unwrap_or(padded), 0);
        mtproto::SetClientDhParams {
            nonce: self.nonce,
            server_nonce: self.server_nonce,
            encrypted_data: &hashed,
        }
        .to_bytes()
    }

    fn refusal(self) -> Option<Refusal> {
        let query = self.query();
        let query = mtproto::SetClientDhParams::from_bytes(&query).unwrap();
        self.server.handle(&query).err()
    }
}

/// 2^1984 plus a small number.
fn power_of_two_1984(offset: i8) -> Vec<u8> {
    match offset {
        -1 => vec![0xff; 248],
        _ => [&[1][..], &[0; 248]].concat(),
    }
}

fn prime_minus(number: &[u8]) -> Vec<u8> {
    let mut difference = dh::PRIME;
    let mut borrow = false;
    for (at, byte) in difference.iter_mut().rev().enumerate() {
        let minus = number.iter().rev().nth(at).copied().unwrap_or(0);
        let (partial, first) = byte.overflowing_sub(minus);
        let (whole, second) = partial.overflowing_sub(u8::from(borrow));
        (*byte, borrow) = (whole, first | second);
    }
    difference.to_vec()
}

/// The name of a broken rule, and what breaks it.
type Case<T> = (&'static str, fn(&mut T));

const NEW_NONCE: [u8; 32] = [9; 32];
