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

use heliogram_crypto::v1::{self, BIND_PLAINTEXT_BYTES};
use heliogram_crypto::{AuthKey, AuthKeyId};
use heliogram_tl::{Serialize, api, mtproto};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::ids::{MsgId, SessionId};
use crate::limits::TEMP_KEYS_PER_KEY_MAX;

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

    fn subject(case: &Value) -> Subject {
        Subject {
            temp: AuthKey::new(array(&case["temp_auth_key"])).id(),
            session_id: SessionId(i64::from_le_bytes(array(&case["temp_session_id"]))),
            msg_id: MsgId(case["msg_id"].as_str().unwrap().parse().unwrap()),
            expires_at_unix_s: i32::try_from(case["expires_at"].as_i64().unwrap()).unwrap(),
        }
    }
}
