//! Client side of the exchange, from `req_pq_multi` to a key.
//!
//! ```text
//!             resPQ              run                     server_DH_params_ok          run
//! AwaitResPq -------> SolveJob -------> AwaitDhParams ----------------------> GroupJob ----+
//!                             req_DH_params                                                v
//!                                             +------------ dh_gen_retry ------------>   Round
//!                                             |                                            | run
//!                          Made <--------- AwaitDhGen <------------------------------------+
//!                               dh_gen_ok                       set_client_DH_params
//! ```
//!
//! Each step that makes a query returns its bytes. The owner keeps the bytes of the last one: if no answer comes it
//! sends exactly these again, under a new `msg_id`, on a new connection. It gives up after [`EXCHANGE_LIFE`].
//!
//! Trusts only the RSA keys that its caller knows. Verifies every group but the well-known one for itself.
//!
//! Source: <https://core.telegram.org/mtproto/auth_key>,
//! <https://core.telegram.org/mtproto/security_guidelines>.
//!
//! [`EXCHANGE_LIFE`]: crate::limits::EXCHANGE_LIFE

use core::time::Duration;

use heliogram_crypto::dh::{self, Group};
use heliogram_crypto::hash::ct_eq;
use heliogram_crypto::rsa::PublicKey;
use heliogram_crypto::rsa_pad::{self, Padding};
use heliogram_crypto::{AesKeyIv, AuthKey, AuthKeyId, SecretBytes, pq, tmp_aes};
use heliogram_tl::{Serialize, mtproto, peek_id};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::inner::Inner;
use super::params::{self, Hashed, Nonce, Verdict, nonces_match};
use crate::cx::Now;
use crate::ids::Salt;
use crate::limits::{DH_RETRIES_MAX, EXCHANGE_RESTARTS_MAX, OFFERED_MAX};

/// Why an exchange ended without a key, and so what its owner does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The server can't make a key with us now. Close the connection and begin anew after
    /// [`restart_after`].
    Failed,
    /// The server offers no key that we know, but these. Beginning anew does not help; get the server's current keys.
    NoKnownKey(Offered),
    /// The answer is not what an honest server sends. One variant on purpose: naming the failed check would tell an
    /// attacker which guess was warm. Close the connection, use nothing of the answer, begin anew as after
    /// [`Error::Failed`].
    Untrusted,
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Failed => f.write_str("the server could not make a key"),
            Self::NoKnownKey(offered) => {
                write!(
                    f,
                    "the server has none of the known RSA keys; it has {offered}"
                )
            }
            Self::Untrusted => f.write_str("the server's answer is not to be trusted"),
        }
    }
}

impl core::error::Error for Error {}

/// The fingerprints of the keys that a server has: the first [`OFFERED_MAX`] that it names. Nobody vouches for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offered([Option<i64>; OFFERED_MAX]);

impl Offered {
    /// Returns the fingerprints in the server's order.
    pub fn iter(&self) -> impl Iterator<Item = i64> {
        self.0.iter().copied().flatten()
    }
}

impl FromIterator<i64> for Offered {
    /// Takes the first [`OFFERED_MAX`].
    fn from_iter<I: IntoIterator<Item = i64>>(fingerprints: I) -> Self {
        let mut fingerprints = fingerprints.into_iter();
        Self(core::array::from_fn(|_| fingerprints.next()))
    }
}

impl core::fmt::Display for Offered {
    /// Writes `0x8f1c…, 0x…`, as `heliogram fingerprint` does.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let mut comma = "";
        for fingerprint in self.iter() {
            write!(f, "{comma}{:#018x}", fingerprint.cast_unsigned())?;
            comma = ", ";
        }
        if comma.is_empty() {
            f.write_str("none")
        } else {
            Ok(())
        }
    }
}

/// Returns how long to wait before beginning anew for the `attempt`th time, counted from 1; `None` to give up.
#[must_use]
pub fn restart_after(attempt: u32) -> Option<Duration> {
    let doubled = 1_u64.checked_shl(attempt.checked_sub(1)?)?;
    (attempt <= EXCHANGE_RESTARTS_MAX).then(|| Duration::from_secs(doubled))
}

/// What the exchange is to make, and with whom.
#[derive(Clone, Debug)]
pub struct Config {
    /// The server's RSA keys. Nothing from the network adds to them.
    pub keys: Vec<PublicKey>,
    /// The data centre addressed: `+10000` for test, negative for media-only. `None` uses the constructors of old,
    /// which name none.
    pub dc: Option<i32>,
    /// Asks for a temporary key that lives so many seconds.
    pub expires_in_s: Option<i32>,
    /// How the inner data is padded: the old way only for servers that know no other.
    pub padding: Padding,
}

/// `req_pq_multi` is sent.
#[derive(Debug)]
pub struct AwaitResPq {
    config: Config,
    nonce: Nonce,
}

impl AwaitResPq {
    /// Draws a nonce; returns the state and `req_pq_multi`.
    #[must_use]
    pub fn begin(config: Config, rng: &mut dyn CryptoRng) -> (Self, Vec<u8>) {
        let mut nonce = Nonce::default();
        rng.fill_bytes(&mut nonce);
        (
            Self { config, nonce },
            mtproto::ReqPqMulti { nonce }.to_bytes(),
        )
    }

    /// Takes `resPQ`.
    ///
    /// # Errors
    ///
    /// - [`Error::NoKnownKey`], with what is offered, when no fingerprint is known.
    /// - [`Error::Untrusted`] when it is something else, the nonce is not ours, or `pq` has more than 8 bytes.
    pub fn handle(self, body: &[u8]) -> Result<SolveJob, Error> {
        let (answer, _) = params::read_front::<mtproto::ResPq<'_>>(body).ok_or(Error::Untrusted)?;
        if !ct_eq(&self.nonce, &answer.nonce) {
            return Err(Error::Untrusted);
        }
        let pq = pq::from_be(answer.pq).ok_or(Error::Untrusted)?;
        let offered = answer.server_public_key_fingerprints;
        let (fingerprint, key) = offered
            .iter()
            .find_map(|offered| {
                let known = self
                    .config
                    .keys
                    .iter()
                    .find(|key| key.fingerprint() == offered);
                known.map(|key| (offered, key.clone()))
            })
            .ok_or_else(|| Error::NoKnownKey(offered.iter().collect()))?;
        Ok(SolveJob {
            config: self.config,
            nonce: self.nonce,
            server_nonce: answer.server_nonce,
            pq,
            fingerprint,
            key,
        })
    }
}

/// To be run on a worker: factors `pq` and encrypts the inner data.
#[derive(Debug)]
pub struct SolveJob {
    config: Config,
    nonce: Nonce,
    server_nonce: Nonce,
    pq: u64,
    fingerprint: i64,
    key: PublicKey,
}

impl SolveJob {
    /// Takes a millisecond or a few; returns the next state and `req_DH_params`.
    ///
    /// # Errors
    ///
    /// [`Error::Untrusted`] when `pq` is not the product of two different odd primes.
    pub fn run(self, rng: &mut dyn CryptoRng) -> Result<(AwaitDhParams, Vec<u8>), Error> {
        let (p, q) = pq::factorize(self.pq).ok_or(Error::Untrusted)?;
        let pq = pq::to_minimal_be(self.pq);
        let p = pq::to_minimal_be(p.into());
        let q = pq::to_minimal_be(q.into());
        let new_nonce = SecretBytes::random(rng);
        let inner = Inner {
            pq: &pq,
            p: &p,
            q: &q,
            nonce: self.nonce,
            server_nonce: self.server_nonce,
            new_nonce: Zeroizing::new(*new_nonce.expose()),
            dc: self.config.dc,
            expires_in_s: self.config.expires_in_s,
        };
        let inner = inner.to_bytes();
        let encrypted = match self.config.padding {
            Padding::RsaPad => rsa_pad::encrypt(&self.key, &inner, rng),
            Padding::Legacy => rsa_pad::encrypt_legacy(&self.key, &inner, rng),
        }
        .map_err(|_| Error::Untrusted)?;
        let query = mtproto::ReqDhParams {
            nonce: self.nonce,
            server_nonce: self.server_nonce,
            p: &p,
            q: &q,
            public_key_fingerprint: self.fingerprint,
            encrypted_data: &encrypted,
        };
        let tmp = tmp_aes::derive(new_nonce.expose(), &self.server_nonce);
        let next = AwaitDhParams(Common {
            nonce: self.nonce,
            server_nonce: self.server_nonce,
            expires_in_s: self.config.expires_in_s,
            secrets: Box::new(Secrets { new_nonce, tmp }),
        });
        Ok((next, query.to_bytes()))
    }
}

/// What all states know once `req_DH_params` is made.
#[derive(Debug)]
struct Common {
    nonce: Nonce,
    server_nonce: Nonce,
    expires_in_s: Option<i32>,
    secrets: Box<Secrets>,
}

impl Common {
    fn nonces(&self) -> (&Nonce, &Nonce) {
        (&self.nonce, &self.server_nonce)
    }
}

#[derive(Debug)]
struct Secrets {
    new_nonce: SecretBytes<32>,
    tmp: AesKeyIv,
}

/// `req_DH_params` is sent.
#[derive(Debug)]
pub struct AwaitDhParams(Common);

impl AwaitDhParams {
    /// Takes `server_DH_params_ok` or `server_DH_params_fail`.
    ///
    /// # Errors
    ///
    /// - [`Error::Failed`] when the server proves that it knows `new_nonce`, and refuses.
    /// - [`Error::Untrusted`] when it is something else, a nonce is not ours, or the inner data is not authentic.
    pub fn handle(self, body: &[u8], now: Now) -> Result<GroupJob, Error> {
        if peek_id(body) == Some(mtproto::ServerDhParamsFail::ID) {
            return Err(self.failure(body));
        }
        let (answer, _) =
            params::read_front::<mtproto::ServerDhParamsOk<'_>>(body).ok_or(Error::Untrusted)?;
        if !nonces_match(self.0.nonces(), (&answer.nonce, &answer.server_nonce)) {
            return Err(Error::Untrusted);
        }
        let opened =
            Hashed::open(&self.0.secrets.tmp, answer.encrypted_answer).ok_or(Error::Untrusted)?;
        let inner = opened
            .object::<mtproto::ServerDhInnerData<'_>>()
            .ok_or(Error::Untrusted)?;
        if !nonces_match(self.0.nonces(), (&inner.nonce, &inner.server_nonce)) {
            return Err(Error::Untrusted);
        }
        let server_time_unix_s = inner.server_time.cast_unsigned();
        Ok(GroupJob {
            common: self.0,
            g: inner.g.cast_unsigned(),
            prime: inner.dh_prime.to_vec(),
            g_a: inner.g_a.to_vec(),
            clock: Clock {
                server_time_unix_s,
                offset_s: i64::from(server_time_unix_s)
                    .saturating_sub(i64::try_from(now.unix.seconds()).unwrap_or(i64::MAX)),
            },
        })
    }

    fn failure(&self, body: &[u8]) -> Error {
        let Some((answer, _)) = params::read_front::<mtproto::ServerDhParamsFail>(body) else {
            return Error::Untrusted;
        };
        let expected = params::params_fail_hash(&self.0.secrets.new_nonce);
        let honest = nonces_match(self.0.nonces(), (&answer.nonce, &answer.server_nonce))
            & ct_eq(&expected, &answer.new_nonce_hash);
        if honest {
            Error::Failed
        } else {
            Error::Untrusted
        }
    }
}

/// What the exchange tells of the server's clock.
#[derive(Clone, Copy, Debug)]
struct Clock {
    server_time_unix_s: u32,
    offset_s: i64,
}

/// To be run on a worker: verifies the group, which may take long unless it is the well-known one.
#[derive(Debug)]
pub struct GroupJob {
    common: Common,
    g: u32,
    prime: Vec<u8>,
    g_a: Vec<u8>,
    clock: Clock,
}

impl GroupJob {
    /// Runs the first [`Round`] in the verified group; returns its state and `set_client_DH_params`.
    ///
    /// # Errors
    ///
    /// [`Error::Untrusted`] when the group is unsafe, or `g_a` is out of range.
    pub fn run(self, rng: &mut dyn CryptoRng) -> Result<(AwaitDhGen, Vec<u8>), Error> {
        let group = dh::check_group(&self.prime, self.g).map_err(|_| Error::Untrusted)?;
        let g_a = dh::check_public(&group, &self.g_a).map_err(|_| Error::Untrusted)?;
        let round = Round {
            common: self.common,
            group,
            g_a: Box::new(g_a),
            clock: self.clock,
            retry_id: 0,
            retries: 0,
        };
        round.run(rng)
    }
}

/// To be run on a worker: one try at a key.
#[derive(Debug)]
pub struct Round {
    common: Common,
    group: Group,
    g_a: Box<[u8; 256]>,
    clock: Clock,
    /// Zero, or the hash of the key that the last try made.
    retry_id: i64,
    retries: u8,
}

impl Round {
    /// Takes a fraction of a millisecond; returns the next state and `set_client_DH_params`.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`] when the generator is broken.
    pub fn run(self, rng: &mut dyn CryptoRng) -> Result<(AwaitDhGen, Vec<u8>), Error> {
        let (g_b, key) =
            params::public_and_shared(&self.group, &self.g_a, rng).ok_or(Error::Failed)?;
        let inner = mtproto::ClientDhInnerData {
            nonce: self.common.nonce,
            server_nonce: self.common.server_nonce,
            retry_id: self.retry_id,
            g_b: &g_b,
        };
        let sealed =
            params::seal_hashed(&self.common.secrets.tmp, &inner, rng).ok_or(Error::Failed)?;
        let query = mtproto::SetClientDhParams {
            nonce: self.common.nonce,
            server_nonce: self.common.server_nonce,
            encrypted_data: &sealed,
        };
        Ok((AwaitDhGen { round: self, key }, query.to_bytes()))
    }
}

/// `set_client_DH_params` is sent.
#[derive(Debug)]
pub struct AwaitDhGen {
    round: Round,
    key: AuthKey,
}

impl AwaitDhGen {
    /// Takes `dh_gen_ok`, `dh_gen_retry` or `dh_gen_fail`.
    ///
    /// # Errors
    ///
    /// - [`Error::Failed`] when the server gives up, or asks for yet another try after [`DH_RETRIES_MAX`].
    /// - [`Error::Untrusted`] when it is something else, or a nonce or the hash is wrong.
    pub fn handle(self, body: &[u8]) -> Result<Outcome, Error> {
        let answer = DhGen::read(body).ok_or(Error::Untrusted)?;
        let common = &self.round.common;
        let new_nonce = &common.secrets.new_nonce;
        let expected = params::new_nonce_hash(new_nonce, answer.verdict, self.key.aux_hash());
        let honest = nonces_match(common.nonces(), (&answer.nonce, &answer.server_nonce))
            & ct_eq(&expected, &answer.new_nonce_hash);
        if !honest {
            return Err(Error::Untrusted);
        }
        match answer.verdict {
            Verdict::Ok => self.made().map(Outcome::Made),
            Verdict::Retry if self.round.retries < DH_RETRIES_MAX => Ok(Outcome::Again(Round {
                retry_id: i64::from_le_bytes(self.key.aux_hash()),
                retries: self.round.retries.saturating_add(1),
                ..self.round
            })),
            Verdict::Retry | Verdict::Fail => Err(Error::Failed),
        }
    }

    /// Shows the key that the server is expected to have made, too.
    #[cfg(test)]
    pub(super) fn key(&self) -> &AuthKey {
        &self.key
    }

    fn made(self) -> Result<Made, Error> {
        if self.key.id() == AuthKeyId(0) {
            return Err(Error::Untrusted);
        }
        let common = &self.round.common;
        let clock = self.round.clock;
        Ok(Made {
            first_salt: params::first_salt(&common.secrets.new_nonce, &common.server_nonce),
            time_offset_s: clock.offset_s,
            expires_at_unix_s: common
                .expires_in_s
                .map(|life_s| clock.server_time_unix_s.saturating_add_signed(life_s)),
            key: self.key,
        })
    }
}

/// What follows an honest answer to `set_client_DH_params`.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "a key, or one more try")]
pub enum Outcome {
    /// The server wants another `g_b`.
    Again(Round),
    /// There is a key.
    Made(Made),
}

/// A finished exchange.
#[derive(Debug)]
pub struct Made {
    /// The key.
    pub key: AuthKey,
    /// The salt for the first message.
    pub first_salt: Salt,
    /// Seconds that the server's clock is ahead of ours.
    pub time_offset_s: i64,
    /// When a temporary key ends, by the server's clock; as binding it names it.
    pub expires_at_unix_s: Option<u32>,
}

/// `dh_gen_ok`, `dh_gen_retry` and `dh_gen_fail` as one.
struct DhGen {
    verdict: Verdict,
    nonce: Nonce,
    server_nonce: Nonce,
    new_nonce_hash: [u8; 16],
}

impl DhGen {
    fn read(body: &[u8]) -> Option<Self> {
        let (verdict, nonce, server_nonce, new_nonce_hash) = match peek_id(body)? {
            mtproto::DhGenOk::ID => {
                let (answer, _) = params::read_front::<mtproto::DhGenOk>(body)?;
                (
                    Verdict::Ok,
                    answer.nonce,
                    answer.server_nonce,
                    answer.new_nonce_hash1,
                )
            }
            mtproto::DhGenRetry::ID => {
                let (answer, _) = params::read_front::<mtproto::DhGenRetry>(body)?;
                (
                    Verdict::Retry,
                    answer.nonce,
                    answer.server_nonce,
                    answer.new_nonce_hash2,
                )
            }
            mtproto::DhGenFail::ID => {
                let (answer, _) = params::read_front::<mtproto::DhGenFail>(body)?;
                (
                    Verdict::Fail,
                    answer.nonce,
                    answer.server_nonce,
                    answer.new_nonce_hash3,
                )
            }
            _ => return None,
        };
        Some(Self {
            verdict,
            nonce,
            server_nonce,
            new_nonce_hash,
        })
    }
}
