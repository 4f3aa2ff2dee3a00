//! Server side of the exchange, from `req_pq` to a key that is to be stored.
//!
//! ```text
//!        req_pq                 req_DH_params           run             answer
//! begin -------> AwaitReqDh --------------> RsaJob ----------> Agreed -------> AwaitClientDh <----+
//!                                                                                    |            |
//!                                              +------- set_client_DH_params --------+      dh_gen_retry,
//!                                              v          run                               store unavailable
//!                                            DhJob -----------------> Derived --------------------+
//!                                                                        | accept: dh_gen_ok
//!                                                                        | reject: dh_gen_retry, dh_gen_fail
//! ```
//!
//! Cheap checks come first: the state exists, `p * q` is ours, the fingerprint is ours, lengths fit. Only then is the
//! private key used. Every failed check has the same reaction, except a data centre that is not served here.
//!
//! Does not remember answers or used nonces, and limits nothing in time or number: see [`crate::edge::exchanges`].
//!
//! Source: <https://core.telegram.org/mtproto/auth_key>. Open points: `docs/adr/0006-exchange-limits.md`.

mod config;
mod query;
mod worker;

use std::sync::Arc;

use heliogram_crypto::dh::{self, Group, KeyPair};
use heliogram_crypto::hash::{ct_eq, sha256};
use heliogram_crypto::rsa::PrivateKey;
use heliogram_crypto::rsa_pad::{self, Opened, Padding};
use heliogram_crypto::{AesKeyIv, AuthKey, SecretBytes, pq, tmp_aes};
use heliogram_tl::{Serialize, mtproto};
use rand_core::CryptoRng;

use super::inner::Inner;
use super::params::{self, Hashed, Nonce, Verdict, nonces_match};
use crate::cx::{Now, Unix};
use crate::ids::AuthKeyId;
use crate::limits::{DH_RETRIES_MAX, TEMP_KEY_LIFE_S_MAX};
use crate::port::{FirstSalt, KeyFacts, KeyKind, KeyRecord};

pub use config::{Config, Dcs, Keyring, Terms};
pub use query::{Query, Refusal, Step};
pub use worker::Worker;

/// `resPQ` is sent.
#[derive(Debug)]
pub struct AwaitReqDh {
    nonce: Nonce,
    server_nonce: Nonce,
    p: u32,
    q: u32,
}

impl AwaitReqDh {
    /// Draws a server nonce and a product to factor.
    #[must_use]
    pub fn begin(nonce: Nonce, rng: &mut dyn CryptoRng) -> Self {
        let mut server_nonce = Nonce::default();
        rng.fill_bytes(&mut server_nonce);
        let (p, q) = pq::generate(rng);
        Self {
            nonce,
            server_nonce,
            p,
            q,
        }
    }

    /// Begins with known values, as a transcript has them.
    #[cfg(test)]
    pub(super) fn resume(nonce: Nonce, server_nonce: Nonce, p: u32, q: u32) -> Self {
        Self {
            nonce,
            server_nonce,
            p,
            q,
        }
    }

    /// Returns the nonce that, with the client's, names the exchange.
    #[must_use]
    pub fn server_nonce(&self) -> Nonce {
        self.server_nonce
    }

    /// Returns `resPQ`.
    #[must_use]
    pub fn res_pq(&self, keys: &Keyring) -> Vec<u8> {
        mtproto::ResPq {
            nonce: self.nonce,
            server_nonce: self.server_nonce,
            pq: &pq::to_minimal_be(self.pq()),
            server_public_key_fingerprints: keys.fingerprints().as_slice().into(),
        }
        .to_bytes()
    }

    /// Takes `req_DH_params` as far as it goes without the private key.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotFound`] when a nonce, a factor or the fingerprint is not ours, or `encrypted_data` has not 256
    /// bytes.
    pub fn handle(
        self,
        query: &mtproto::ReqDhParams<'_>,
        config: &Arc<Config>,
    ) -> Result<RsaJob, Refusal> {
        let nonces = nonces_match(
            (&self.nonce, &self.server_nonce),
            (&query.nonce, &query.server_nonce),
        );
        if !nonces || !self.factors_are(query.p, query.q) {
            return Err(Refusal::NotFound);
        }
        let key = config
            .keys
            .find(query.public_key_fingerprint)
            .ok_or(Refusal::NotFound)?;
        let encrypted = query
            .encrypted_data
            .try_into()
            .map_err(|_| Refusal::NotFound)?;
        Ok(RsaJob {
            state: self,
            key,
            encrypted: Box::new(encrypted),
            config: Arc::clone(config),
        })
    }

    fn pq(&self) -> u64 {
        u64::from(self.p).saturating_mul(u64::from(self.q))
    }

    fn is_repeated_by(&self, inner: &Inner<'_>) -> bool {
        let nonces = (&self.nonce, &self.server_nonce);
        nonces_match(nonces, (&inner.nonce, &inner.server_nonce))
            && inner.pq == &*pq::to_minimal_be(self.pq())
            && self.factors_are(inner.p, inner.q)
    }

    /// Demands the factors in order and without leading zeros.
    fn factors_are(&self, p: &[u8], q: &[u8]) -> bool {
        p == &*pq::to_minimal_be(self.p.into()) && q == &*pq::to_minimal_be(self.q.into())
    }
}

/// To be run on a worker: the private RSA operation, and the server's half of the Diffie-Hellman exchange.
#[derive(Debug)]
pub struct RsaJob {
    state: AwaitReqDh,
    key: Arc<PrivateKey>,
    encrypted: Box<[u8; 256]>,
    config: Arc<Config>,
}

impl RsaJob {
    /// Takes a fraction of a millisecond.
    ///
    /// # Errors
    ///
    /// - [`Refusal::WrongDc`] when all is well, but for a data centre that is not served.
    /// - [`Refusal::NotFound`] when the inner data is not authentic, repeats the outer values wrongly, or asks for a
    ///   temporary key that ends at once.
    pub fn run(self, rng: &mut dyn CryptoRng) -> Result<Agreed, Refusal> {
        let opened = rsa_pad::open(&self.key, &self.encrypted).map_err(|_| Refusal::NotFound)?;
        let admitted = self.admit(&opened)?;
        let pair = params::key_pair(&Group::known(), rng).ok_or(Refusal::NotFound)?;
        Ok(admitted.agree(pair))
    }

    /// Takes what the private key has opened as far as it goes without our half of the Diffie-Hellman exchange.
    fn admit(self, opened: &Opened) -> Result<Admitted, Refusal> {
        if opened.padding() == Padding::Legacy && !self.config.legacy_padding {
            return Err(Refusal::NotFound);
        }
        let (inner, taken) = Inner::read(opened.data()).ok_or(Refusal::NotFound)?;
        if !opened.accepts(taken) || !self.state.is_repeated_by(&inner) {
            return Err(Refusal::NotFound);
        }
        let kind = match inner.expires_in_s {
            None => Kind::Permanent,
            Some(asked) => Kind::temporary(asked).ok_or(Refusal::NotFound)?,
        };
        if inner.dc.is_some_and(|dc| !self.config.dcs.serves(dc)) {
            return Err(Refusal::WrongDc);
        }
        let new_nonce = SecretBytes::new(*inner.new_nonce);
        let tmp = tmp_aes::derive(new_nonce.expose(), &self.state.server_nonce);
        Ok(Admitted {
            nonce: self.state.nonce,
            server_nonce: self.state.server_nonce,
            kind,
            dc: inner.dc,
            new_nonce,
            tmp,
        })
    }
}

/// All is well so far; our half of the Diffie-Hellman exchange is missing.
struct Admitted {
    nonce: Nonce,
    server_nonce: Nonce,
    kind: Kind,
    dc: Option<i32>,
    new_nonce: SecretBytes<32>,
    tmp: AesKeyIv,
}

impl Admitted {
    fn agree(self, pair: KeyPair) -> Agreed {
        let g_a = Box::new(*pair.public());
        let secrets = Secrets {
            new_nonce: self.new_nonce,
            tmp: self.tmp,
            a: pair.into_secret(),
        };
        Agreed {
            nonce: self.nonce,
            server_nonce: self.server_nonce,
            kind: self.kind,
            dc: self.dc,
            g_a,
            secrets: Box::new(secrets),
        }
    }
}

/// Which kind of key was asked for.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Permanent,
    Temporary { life_s: u32 },
}

impl Kind {
    fn temporary(asked_s: i32) -> Option<Self> {
        let asked_s = u32::try_from(asked_s).ok().filter(|asked| *asked > 0)?;
        Some(Self::Temporary {
            life_s: asked_s.min(TEMP_KEY_LIFE_S_MAX),
        })
    }

    fn ending(self, now: Unix) -> KeyKind {
        match self {
            Self::Permanent => KeyKind::Permanent,
            Self::Temporary { life_s } => {
                let now_s = u32::try_from(now.seconds()).unwrap_or(u32::MAX);
                KeyKind::Temporary {
                    expires_at_unix_s: now_s.saturating_add(life_s),
                }
            }
        }
    }
}

/// What must stay secret while the exchange runs. In a box, so that moving the state leaves no copies behind.
#[derive(Debug)]
struct Secrets {
    new_nonce: SecretBytes<32>,
    tmp: AesKeyIv,
    a: SecretBytes<256>,
}

/// The client has proved that it can encrypt to us; its answer is to be made.
#[derive(Debug)]
pub struct Agreed {
    nonce: Nonce,
    server_nonce: Nonce,
    kind: Kind,
    dc: Option<i32>,
    g_a: Box<[u8; 256]>,
    secrets: Box<Secrets>,
}

impl Agreed {
    /// Returns what stands for `new_nonce` in a list of used ones without giving it away.
    #[must_use]
    pub fn new_nonce_digest(&self) -> [u8; 32] {
        sha256(&[self.secrets.new_nonce.expose()])
    }

    /// Returns the next state and `server_DH_params_ok`.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotFound`] never in practice: the primitive refuses a length that is always right.
    pub fn answer(
        self,
        now: Now,
        rng: &mut dyn CryptoRng,
    ) -> Result<(AwaitClientDh, Vec<u8>), Refusal> {
        let inner = mtproto::ServerDhInnerData {
            nonce: self.nonce,
            server_nonce: self.server_nonce,
            g: dh::G.cast_signed(),
            dh_prime: &dh::PRIME,
            g_a: self.g_a.as_slice(),
            server_time: wire_seconds(now.unix),
        };
        let sealed =
            params::seal_hashed(&self.secrets.tmp, &inner, rng).ok_or(Refusal::NotFound)?;
        let answer = mtproto::ServerDhParamsOk {
            nonce: self.nonce,
            server_nonce: self.server_nonce,
            encrypted_answer: &sealed,
        };
        let next = AwaitClientDh {
            nonce: self.nonce,
            server_nonce: self.server_nonce,
            kind: self.kind,
            dc: self.dc,
            secrets: self.secrets,
            retry_id: 0,
            retries: 0,
        };
        Ok((next, answer.to_bytes()))
    }
}

/// `server_DH_params_ok` or `dh_gen_retry` is sent.
#[derive(Debug)]
pub struct AwaitClientDh {
    nonce: Nonce,
    server_nonce: Nonce,
    kind: Kind,
    dc: Option<i32>,
    secrets: Box<Secrets>,
    /// Zero, or the hash of the key that the last try made.
    retry_id: i64,
    /// How often `dh_gen_retry` was answered.
    retries: u8,
}

impl AwaitClientDh {
    /// Takes `set_client_DH_params` as far as it goes without exponentiation.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotFound`] when a nonce is not ours, the inner data is not authentic or repeats the outer values
    /// wrongly, `retry_id` is not the one expected, or `g_b` is out of range. Without a good `g_b` there is no key, and
    /// so no hash for a `dh_gen_fail`.
    pub fn handle(self, query: &mtproto::SetClientDhParams<'_>) -> Result<DhJob, Refusal> {
        let ours = (&self.nonce, &self.server_nonce);
        if !nonces_match(ours, (&query.nonce, &query.server_nonce)) {
            return Err(Refusal::NotFound);
        }
        let opened =
            Hashed::open(&self.secrets.tmp, query.encrypted_data).ok_or(Refusal::NotFound)?;
        let inner = opened
            .object::<mtproto::ClientDhInnerData<'_>>()
            .ok_or(Refusal::NotFound)?;
        if !nonces_match(ours, (&inner.nonce, &inner.server_nonce))
            || !ct_eq(&inner.retry_id.to_le_bytes(), &self.retry_id.to_le_bytes())
        {
            return Err(Refusal::NotFound);
        }
        let g_b = dh::check_public(&Group::known(), inner.g_b).map_err(|_| Refusal::NotFound)?;
        Ok(DhJob {
            state: self,
            g_b: Box::new(g_b),
        })
    }
}

/// To be run on a worker: the exponentiation that makes the key.
#[derive(Debug)]
pub struct DhJob {
    state: AwaitClientDh,
    g_b: Box<[u8; 256]>,
}

impl DhJob {
    /// Takes a fraction of a millisecond.
    #[must_use]
    pub fn run(self) -> Derived {
        let key = Group::known().shared(&self.state.secrets.a, &self.g_b);
        self.derived(key)
    }

    /// What is to be raised to which power.
    fn factors(&self) -> (&SecretBytes<256>, &[u8; 256]) {
        (&self.state.secrets.a, &self.g_b)
    }

    fn derived(self, key: AuthKey) -> Derived {
        Derived {
            state: self.state,
            key,
        }
    }
}

/// There is a key; whether it is good is for the store to say.
#[derive(Debug)]
pub struct Derived {
    state: AwaitClientDh,
    key: AuthKey,
}

impl Derived {
    /// Returns what is to be stored before the client hears of it; `None` if the id is zero, which no key may have.
    #[must_use]
    pub fn record(&self, now: Now, terms: &Terms) -> Option<KeyRecord> {
        let id = self.key.id();
        let since_unix_s = now.unix.seconds();
        let salt = params::first_salt(&self.state.secrets.new_nonce, &self.state.server_nonce);
        (id != AuthKeyId(0)).then(|| KeyRecord {
            facts: KeyFacts {
                id,
                kind: self.state.kind.ending(now.unix),
                perm: None,
                dc: self.state.dc,
                first_salt: Some(FirstSalt {
                    salt,
                    term: terms.of(id),
                    since_unix_s,
                }),
            },
            key: self.key.clone(),
            created_at_unix_s: since_unix_s,
        })
    }

    /// The key is stored: returns `dh_gen_ok`. All secrets of the exchange are gone with the state.
    #[must_use]
    pub fn accept(self) -> Vec<u8> {
        mtproto::DhGenOk {
            nonce: self.state.nonce,
            server_nonce: self.state.server_nonce,
            new_nonce_hash1: self.hash(Verdict::Ok),
        }
        .to_bytes()
    }

    /// The id is taken or zero: asks for another `g_b`, for the same `a`, until there were too many.
    #[must_use]
    pub fn reject(self) -> Rejected {
        let nonce = self.state.nonce;
        let server_nonce = self.state.server_nonce;
        if self.state.retries >= DH_RETRIES_MAX {
            let new_nonce_hash3 = self.hash(Verdict::Fail);
            let answer = mtproto::DhGenFail {
                nonce,
                server_nonce,
                new_nonce_hash3,
            };
            return Rejected::Fail {
                answer: answer.to_bytes(),
            };
        }
        let new_nonce_hash2 = self.hash(Verdict::Retry);
        let answer = mtproto::DhGenRetry {
            nonce,
            server_nonce,
            new_nonce_hash2,
        };
        let next = AwaitClientDh {
            retry_id: i64::from_le_bytes(self.key.aux_hash()),
            retries: self.state.retries.saturating_add(1),
            ..self.state
        };
        Rejected::Retry {
            next,
            answer: answer.to_bytes(),
        }
    }

    /// The store can't say: returns the state before the query, for when the client asks again.
    #[must_use]
    pub fn defer(self) -> AwaitClientDh {
        self.state
    }

    fn hash(&self, verdict: Verdict) -> [u8; 16] {
        params::new_nonce_hash(&self.state.secrets.new_nonce, verdict, self.key.aux_hash())
    }
}

/// What becomes of an exchange whose key was refused by the store.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "once more, or never")]
pub enum Rejected {
    /// The client may try again.
    Retry {
        /// The next state.
        next: AwaitClientDh,
        /// `dh_gen_retry`.
        answer: Vec<u8>,
    },
    /// The exchange is over.
    Fail {
        /// `dh_gen_fail`.
        answer: Vec<u8>,
    },
}

/// Returns Unix time as the wire has it: 32 bits, whose sign a client may or may not mind after 2038.
fn wire_seconds(time: Unix) -> i32 {
    u32::try_from(time.seconds())
        .unwrap_or(u32::MAX)
        .cast_signed()
}
