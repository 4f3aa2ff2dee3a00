//! Binding of a temporary key to a permanent one: what `auth.bindTempAuthKey` carries.
//!
//! ```text
//! request            perm_auth_key_id | nonce | expires_at | encrypted_message 104
//! encrypted_message  MTProto 1.0, under the permanent key, of:
//!                    random 16 | msg_id 8 | seqno 4 = 0 | length 4 = 40 | bind_auth_key_inner 40
//! ```
//!
//! It proves that whoever holds the temporary key holds the permanent one, too. It names the message that carries it, so
//! that no captured one fits another message, session or key.
//!
//! Source: <https://core.telegram.org/method/auth.bindTempAuthKey>.

use bytes::Bytes;
use heliogram_crypto::v1::{self, BIND_PLAINTEXT_BYTES, BIND_SEALED_BYTES};
use heliogram_crypto::{AuthKey, AuthKeyId};
use heliogram_tl::{Deserialize, Serialize, api, mtproto};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::ids::{MsgId, SessionId};
use crate::limits::{BIND_EXPIRY_SLACK_S, TEMP_KEYS_PER_KEY_MAX};
use crate::port::{KeyFacts, KeyKind, KeyRecord};

/// What is bound, and by which message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "what the message says")]
pub struct Subject {
    /// The temporary key, under which the request travels.
    pub temp: AuthKeyId,
    /// The session in which it travels.
    pub session_id: SessionId,
    /// The message that carries the request: the one inside, if it travels in a container.
    pub msg_id: MsgId,
    /// Unix time in seconds, by the server's clock, at which the temporary key ends.
    pub expires_at_unix_s: i32,
}

/// Writes an `auth.bindTempAuthKey` that binds `subject` to `perm_key`: one boxed method.
#[must_use]
pub fn seal(perm_key: &AuthKey, subject: &Subject, rng: &mut dyn CryptoRng) -> Vec<u8> {
    let mut nonce = [0; 8];
    rng.fill_bytes(&mut nonce);
    let inner = mtproto::BindAuthKeyInner {
        nonce: i64::from_le_bytes(nonce),
        temp_auth_key_id: subject.temp.0,
        perm_auth_key_id: perm_key.id().0,
        temp_session_id: subject.session_id.0,
        expires_at: subject.expires_at_unix_s,
    };
    let mut plaintext = Zeroizing::new([0; BIND_PLAINTEXT_BYTES]);
    let (random, rest) = plaintext.split_at_mut(RANDOM_BYTES);
    rng.fill_bytes(random);
    let fields = [
        subject.msg_id.0.to_le_bytes().as_slice(),
        &SEQNO.to_le_bytes(),
        &INNER_BYTES.to_le_bytes(),
        &inner.to_bytes(),
    ]
    .concat();
    debug_assert_eq!(fields.len(), rest.len(), "the inner object has 40 bytes");
    for (to, from) in rest.iter_mut().zip(fields) {
        *to = from;
    }
    let request = api::auth::BindTempAuthKey {
        perm_auth_key_id: inner.perm_auth_key_id,
        nonce: inner.nonce,
        expires_at: inner.expires_at,
        encrypted_message: &v1::seal(perm_key, &plaintext, rng),
    };
    request.to_bytes()
}

/// What a client says in `auth.bindTempAuthKey`, and how it came. Nothing of it counts before [`verify`] has found it
/// true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The key that carried the request.
    key: KeyFacts,
    perm: AuthKeyId,
    nonce: i64,
    session_id: SessionId,
    msg_id: MsgId,
    expires_at: i32,
    encrypted_message: Bytes,
}

/// Why a key is not bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The key that carries the request is permanent.
    NotTemporary,
    /// The key is bound to another permanent key.
    Taken,
    /// The request proves nothing. One variant on purpose: naming the failed check would help who guesses.
    Invalid,
    /// The end that it names is over, or later than that of the key.
    Expiry,
    /// Nobody can say now whether it is good.
    Unavailable,
}

impl Error {
    /// Returns code and name of the `rpc_error`.
    #[must_use]
    pub const fn rpc_error(self) -> (i32, &'static str) {
        match self {
            Self::NotTemporary => (400, "TEMP_AUTH_KEY_EMPTY"),
            Self::Taken => (400, "TEMP_AUTH_KEY_ALREADY_BOUND"),
            Self::Invalid => (400, "ENCRYPTED_MESSAGE_INVALID"),
            Self::Expiry => (400, "EXPIRES_AT_INVALID"),
            Self::Unavailable => (500, "RPC_CALL_FAIL"),
        }
    }
}

impl Claim {
    /// Reads a request that came under `key`. What follows the request is ignored.
    ///
    /// # Errors
    ///
    /// - [`Error::NotTemporary`] when the key is permanent.
    /// - [`Error::Taken`] when the key is bound to another than the request names.
    /// - [`Error::Invalid`] when the request can't be read.
    pub fn read(
        request: &Bytes,
        key: KeyFacts,
        session_id: SessionId,
        msg_id: MsgId,
    ) -> Result<Self, Error> {
        if key.kind == KeyKind::Permanent {
            return Err(Error::NotTemporary);
        }
        let request_read = api::auth::BindTempAuthKey::from_bytes(request);
        let it = request_read.map_err(|_| Error::Invalid)?;
        let perm = AuthKeyId(it.perm_auth_key_id);
        if key.perm.is_some_and(|bound| bound != perm) {
            return Err(Error::Taken);
        }
        if it.encrypted_message.len() != BIND_SEALED_BYTES {
            return Err(Error::Invalid);
        }
        Ok(Self {
            key,
            perm,
            nonce: it.nonce,
            session_id,
            msg_id,
            expires_at: it.expires_at,
            encrypted_message: request.slice_ref(it.encrypted_message),
        })
    }

    /// Returns the temporary key.
    #[must_use]
    pub const fn key(&self) -> AuthKeyId {
        self.key.id
    }

    /// Returns the permanent key that the client claims to hold.
    #[must_use]
    pub const fn perm(&self) -> AuthKeyId {
        self.perm
    }
}

/// Checks that a client holds the permanent key, of which `perm` is the record, and wants this binding in this session
/// and this message. Returns the Unix time in seconds at which the binding ends.
///
/// # Errors
///
/// - [`Error::Invalid`] when the message is not sealed with the permanent key, or says anything else than its request.
/// - [`Error::Expiry`] when the end it names is not after `now_unix_s`, or more than [`BIND_EXPIRY_SLACK_S`] after the
///   temporary key's own.
pub fn verify(claim: &Claim, perm: &KeyRecord, now_unix_s: u64) -> Result<u32, Error> {
    if perm.facts.id != claim.perm || perm.facts.kind != KeyKind::Permanent {
        return Err(Error::Invalid);
    }
    let plaintext = v1::open(&perm.key, &claim.encrypted_message).map_err(|_| Error::Invalid)?;
    let expected = [
        claim.msg_id.0.to_le_bytes().as_slice(),
        &SEQNO.to_le_bytes(),
        &INNER_BYTES.to_le_bytes(),
        &mtproto::BindAuthKeyInner {
            nonce: claim.nonce,
            temp_auth_key_id: claim.key.id.0,
            perm_auth_key_id: claim.perm.0,
            temp_session_id: claim.session_id.0,
            expires_at: claim.expires_at,
        }
        .to_bytes(),
    ]
    .concat();
    if plaintext.get(RANDOM_BYTES..) != Some(expected.as_slice()) {
        return Err(Error::Invalid);
    }
    let end = u32::try_from(claim.expires_at).map_err(|_| Error::Expiry)?;
    let KeyKind::Temporary {
        expires_at_unix_s: key_end,
    } = claim.key.kind
    else {
        return Err(Error::NotTemporary);
    };
    let latest = key_end.saturating_add(BIND_EXPIRY_SLACK_S);
    if u64::from(end) <= now_unix_s || end > latest {
        return Err(Error::Expiry);
    }
    Ok(end)
}

/// Returns which of the temporary keys of one permanent key, given with their ends, are too many: those that end
/// first, but never the `newest`.
#[must_use]
pub fn surplus(mut bound: Vec<(u32, AuthKeyId)>, newest: AuthKeyId) -> Vec<AuthKeyId> {
    let count = bound.len().saturating_sub(TEMP_KEYS_PER_KEY_MAX);
    bound.retain(|&(_, id)| id != newest);
    bound.sort_unstable();
    bound.into_iter().take(count).map(|(_, id)| id).collect()
}

const RANDOM_BYTES: usize = 16;
const SEQNO: i32 = 0;
const INNER_BYTES: i32 = 40;

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::exchange::testing::{Script, array, hex, vectors};

    #[test]
    fn a_binding_is_written_as_others_do() {
        let vectors = vectors("mtproto1_bind_temp_key.json");
        for case in vectors["cases"].as_array().unwrap() {
            let perm_key = AuthKey::new(array(&case["perm_auth_key"]));
            let mut rng = Script::new(&[
                &hex(&case["nonce"]),
                &hex(&case["random16"]),
                &hex(&case["padding8"]),
            ]);

            let request = seal(&perm_key, &subject(case), &mut rng);

            assert_eq!(request, hex(&case["auth_bindTempAuthKey"]));
            assert!(rng.is_exhausted());
        }
    }

    #[test]
    fn a_binding_that_others_have_written_is_verified() {
        let vectors = vectors("mtproto1_bind_temp_key.json");
        for case in vectors["cases"].as_array().unwrap() {
            let perm = record(case);
            let claim = claim(case).unwrap();
            let end = u32::try_from(case["expires_at"].as_u64().unwrap()).unwrap();
            assert_eq!(verify(&claim, &perm, u64::from(end) - 1), Ok(end));
        }
    }

    #[test]
    fn a_binding_that_differs_anywhere_from_its_request_or_its_message_is_invalid() {
        let vectors = vectors("mtproto1_bind_temp_key.json");
        let case = &vectors["cases"][0];
        let (perm, good) = (record(case), claim(case).unwrap());
        let now_s = case["expires_at"].as_u64().unwrap() - 1;
        let other = |change: fn(&mut Claim)| {
            let mut claim = good.clone();
            change(&mut claim);
            verify(&claim, &perm, now_s)
        };
        assert!(verify(&good, &perm, now_s).is_ok());
        for change in [
            (|it: &mut Claim| it.key.id.0 ^= 1) as fn(&mut Claim),
            |it| it.perm.0 ^= 1,
            |it| it.nonce ^= 1,
            |it| it.session_id.0 ^= 1,
            |it| it.msg_id.0 ^= 4,
            |it| it.expires_at -= 1,
        ] {
            assert_eq!(other(change), Err(Error::Invalid));
        }
        for at in 0..BIND_SEALED_BYTES {
            let mut claim = good.clone();
            let mut sealed = claim.encrypted_message.to_vec();
            sealed[at] ^= 1;
            claim.encrypted_message = Bytes::from(sealed);
            assert_eq!(verify(&claim, &perm, now_s), Err(Error::Invalid), "{at}");
        }
    }

    #[test]
    fn a_sealed_message_with_another_seqno_length_or_object_is_invalid() {
        let vectors = vectors("mtproto1_bind_temp_key.json");
        let case = &vectors["cases"][0];
        let (perm, good) = (record(case), claim(case).unwrap());
        let now_s = case["expires_at"].as_u64().unwrap() - 1;
        // The random bytes are nobody's to check; then come id, seqno, length and the object.
        for (at, expected) in [(0, true), (15, true), (24, false), (28, false), (32, false)] {
            let mut plaintext = v1::open(&perm.key, &good.encrypted_message).unwrap();
            plaintext[at] ^= 1;
            let mut claim = good.clone();
            let mut rng = Script::new(&[&[0; 8]]);
            let sealed = v1::seal(&perm.key, &plaintext, &mut rng);
            claim.encrypted_message = Bytes::copy_from_slice(&sealed);
            assert_eq!(verify(&claim, &perm, now_s).is_ok(), expected, "{at}");
        }
    }

    #[test]
    fn a_binding_to_a_key_that_is_not_permanent_is_invalid() {
        let vectors = vectors("mtproto1_bind_temp_key.json");
        let case = &vectors["cases"][0];
        let mut perm = record(case);
        perm.facts.kind = facts(case, 0).kind;
        let now_s = case["expires_at"].as_u64().unwrap() - 1;
        assert_eq!(
            verify(&claim(case).unwrap(), &perm, now_s),
            Err(Error::Invalid)
        );
    }

    #[test]
    fn a_binding_ends_after_now_and_at_most_a_minute_after_its_key() {
        let vectors = vectors("mtproto1_bind_temp_key.json");
        let case = &vectors["cases"][0];
        let (perm, end) = (record(case), case["expires_at"].as_u64().unwrap());
        let verify = |later: i64, now_s| {
            let request = Bytes::from(hex(&case["auth_bindTempAuthKey"]));
            let it = subject(case);
            let claim = Claim::read(&request, facts(case, later), it.session_id, it.msg_id);
            verify(&claim.unwrap(), &perm, now_s)
        };
        assert!(verify(0, end - 1).is_ok());
        assert_eq!(verify(0, end), Err(Error::Expiry));
        assert!(verify(-60, end - 1).is_ok());
        assert_eq!(verify(-61, end - 1), Err(Error::Expiry));
    }

    #[test]
    fn only_a_temporary_key_that_is_free_or_bound_to_the_same_key_claims_anything() {
        let vectors = vectors("mtproto1_bind_temp_key.json");
        let case = &vectors["cases"][0];
        let request = Bytes::from(hex(&case["auth_bindTempAuthKey"]));
        let read = |request: &Bytes, change: fn(&mut KeyFacts)| {
            let mut key = facts(case, 0);
            change(&mut key);
            Claim::read(request, key, SessionId(1), MsgId(4)).map(|it| it.perm())
        };
        let perm = record(case).facts.id;
        assert_eq!(read(&request, |_| ()), Ok(perm));
        assert_eq!(
            read(&request, |key| key.kind = KeyKind::Permanent),
            Err(Error::NotTemporary)
        );
        assert_eq!(
            read(&request, |key| key.perm = Some(AuthKeyId(1))),
            Err(Error::Taken)
        );
        for length in 0..request.len() {
            let cut = request.slice(..length);
            assert_eq!(read(&cut, |_| ()), Err(Error::Invalid), "{length}");
        }
    }

    fn claim(case: &Value) -> Result<Claim, Error> {
        let request = Bytes::from(hex(&case["auth_bindTempAuthKey"]));
        let it = subject(case);
        Claim::read(&request, facts(case, 0), it.session_id, it.msg_id)
    }

    /// Returns the temporary key's facts; it ends so much later than the binding says.
    fn facts(case: &Value, later: i64) -> KeyFacts {
        let end = case["expires_at"].as_i64().unwrap() + later;
        KeyFacts {
            id: subject(case).temp,
            kind: KeyKind::Temporary {
                expires_at_unix_s: u32::try_from(end).unwrap(),
            },
            perm: None,
            dc: None,
            first_salt: None,
        }
    }

    fn record(case: &Value) -> KeyRecord {
        let key = AuthKey::new(array(&case["perm_auth_key"]));
        KeyRecord {
            facts: KeyFacts {
                id: key.id(),
                kind: KeyKind::Permanent,
                ..facts(case, 0)
            },
            key,
            created_at_unix_s: 0,
        }
    }

    fn subject(case: &Value) -> Subject {
        Subject {
            temp: AuthKey::new(array(&case["temp_auth_key"])).id(),
            session_id: SessionId(i64::from_le_bytes(array(&case["temp_session_id"]))),
            msg_id: MsgId(case["msg_id"].as_str().unwrap().parse().unwrap()),
            expires_at_unix_s: i32::try_from(case["expires_at"].as_i64().unwrap()).unwrap(),
        }
    }
}
