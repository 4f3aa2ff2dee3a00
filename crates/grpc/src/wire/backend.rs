//! Calls, answers and pushes.

use std::sync::Arc;
use std::time::Duration;

use heliogram_ports::{
    Call, ClientInfo, KeyFacts, KeyKind, Proof, Push, Reply, RpcError, Scope, Target,
};
use heliogram_proto::ids::{AuthKeyId, Identity, MsgId, SessionId, Term};

use super::Malformed;
use crate::generated::backend as wire;
use crate::generated::backend::call_reply::{Effect, Outcome};

pub(crate) fn call_to(call: Call, patience: Duration) -> wire::CallRequest {
    wire::CallRequest {
        identity: call.identity.0.0,
        session_id: call.session_id.0,
        msg_id: call.msg_id.0,
        term: call.term.0,
        key: Some(key_to(call.key)),
        layer: call.layer,
        client: call.client.as_deref().map(client_to),
        peer: call.peer.to_string(),
        without_updates: call.without_updates,
        scope: call.scope.map(|scope| scope_to(*scope)),
        body: call.body,
        user: call.user,
        timeout_ms: u32::try_from(patience.as_millis()).unwrap_or(u32::MAX),
        traceparent: call.trace.map(|trace| trace.to_string()),
    }
}

pub(crate) fn call_from(call: wire::CallRequest) -> Result<Call, Malformed> {
    Ok(Call {
        identity: Identity(AuthKeyId(call.identity)),
        key: key_from(call.key.ok_or(Malformed("a call must name its key"))?),
        session_id: SessionId(call.session_id),
        msg_id: MsgId(call.msg_id),
        term: Term(call.term),
        layer: call.layer,
        client: call.client.map(|client| Arc::new(client_from(client))),
        peer: call
            .peer
            .parse()
            .map_err(|_| Malformed("a peer must be IP:port"))?,
        without_updates: call.without_updates,
        scope: call.scope.map(|scope| Box::new(scope_from(scope))),
        body: call.body,
        user: call.user,
        // What is no trace is none: a call is worth more.
        trace: call.traceparent.and_then(|it| it.parse().ok()),
    })
}

/// The salt of the exchange stays at home: nobody but an owner checks it.
fn key_to(key: KeyFacts) -> wire::Key {
    wire::Key {
        id: key.id.0,
        expires_at: match key.kind {
            KeyKind::Permanent => None,
            KeyKind::Temporary { expires_at_unix_s } => Some(expires_at_unix_s),
        },
        perm: key.perm.map(|perm| perm.0),
        dc: key.dc,
    }
}

fn key_from(key: wire::Key) -> KeyFacts {
    KeyFacts {
        id: AuthKeyId(key.id),
        kind: key
            .expires_at
            .map_or(KeyKind::Permanent, |expires_at_unix_s| KeyKind::Temporary {
                expires_at_unix_s,
            }),
        perm: key.perm.map(AuthKeyId),
        dc: key.dc,
        first_salt: None,
    }
}

fn client_to(client: &ClientInfo) -> wire::ClientInfo {
    let proxy = client.proxy.clone();
    wire::ClientInfo {
        api_id: client.api_id,
        device_model: client.device_model.clone(),
        system_version: client.system_version.clone(),
        app_version: client.app_version.clone(),
        system_lang_code: client.system_lang_code.clone(),
        lang_pack: client.lang_pack.clone(),
        lang_code: client.lang_code.clone(),
        proxy: proxy.map(|(address, port)| wire::Proxy { address, port }),
        params: client.params.clone().map(Into::into),
    }
}

fn client_from(client: wire::ClientInfo) -> ClientInfo {
    ClientInfo {
        api_id: client.api_id,
        device_model: client.device_model,
        system_version: client.system_version,
        app_version: client.app_version,
        system_lang_code: client.system_lang_code,
        lang_pack: client.lang_pack,
        lang_code: client.lang_code,
        proxy: client.proxy.map(|proxy| (proxy.address, proxy.port)),
        params: client.params.map(|params| params.as_ref().into()),
    }
}

fn scope_to(scope: Scope) -> wire::Scope {
    use wire::scope::Proof as ToWire;
    let nonce_proof = |nonce: Box<[u8]>, token: Box<[u8]>| wire::NonceProof {
        nonce: nonce.into(),
        token: token.into(),
    };
    let range = |(min_id, max_id)| wire::MessageRange { min_id, max_id };
    wire::Scope {
        messages: scope.messages.map(range),
        takeout_id: scope.takeout_id,
        business_connection: scope.business_connection,
        proof: scope.proof.map(|proof| match proof {
            Proof::PlayIntegrity { nonce, token } => {
                ToWire::PlayIntegrity(nonce_proof(nonce, token))
            }
            Proof::Apns { nonce, secret } => ToWire::Apns(nonce_proof(nonce, secret)),
            Proof::ReCaptcha { token } => ToWire::ReCaptcha(token.into()),
        }),
    }
}

fn scope_from(scope: wire::Scope) -> Scope {
    use wire::scope::Proof as FromWire;
    Scope {
        messages: scope.messages.map(|range| (range.min_id, range.max_id)),
        takeout_id: scope.takeout_id,
        business_connection: scope.business_connection,
        proof: scope.proof.map(|proof| match proof {
            FromWire::PlayIntegrity(proof) => Proof::PlayIntegrity {
                nonce: proof.nonce.as_ref().into(),
                token: proof.token.as_ref().into(),
            },
            FromWire::Apns(proof) => Proof::Apns {
                nonce: proof.nonce.as_ref().into(),
                secret: proof.token.as_ref().into(),
            },
            FromWire::ReCaptcha(token) => Proof::ReCaptcha {
                token: token.as_ref().into(),
            },
        }),
    }
}

pub(crate) fn reply_to(reply: Reply) -> wire::CallReply {
    let outcome = match reply {
        Reply::Result(result) => Outcome::Result(result),
        Reply::Error(RpcError { code, message }) => {
            Outcome::Error(wire::RpcError { code, message })
        }
    };
    wire::CallReply {
        outcome: Some(outcome),
        effect: None,
    }
}

/// Returns the answer, and who is logged in from now on if the call has changed that.
pub(crate) fn reply_from(
    reply: wire::CallReply,
) -> Result<(Reply, Option<Option<i64>>), Malformed> {
    let reply_of = |outcome| match outcome {
        Outcome::Result(result) => Reply::Result(result),
        Outcome::Error(wire::RpcError { code, message }) => {
            Reply::Error(RpcError { code, message })
        }
    };
    let outcome = reply
        .outcome
        .ok_or(Malformed("a reply must have an outcome"))?;
    let user = reply.effect.map(|effect| match effect {
        Effect::LogIn(user) => Some(user),
        Effect::LogOut(_) => None,
    });
    Ok((reply_of(outcome), user))
}

pub(crate) fn push_to(push: Push) -> wire::PushRequest {
    use wire::target::Target as ToWire;
    let target = |target| match target {
        Target::User(user) => ToWire::User(user),
        Target::Key(identity) => ToWire::Identity(identity.0.0),
        Target::Session {
            identity,
            session_id,
        } => ToWire::Session(session_to((identity, session_id))),
    };
    let targets = push.targets.into_iter().map(target);
    wire::PushRequest {
        targets: targets
            .map(|target| wire::Target {
                target: Some(target),
            })
            .collect(),
        except: push.except.map(session_to),
        body: push.body,
    }
}

pub(crate) fn push_from(push: wire::PushRequest) -> Result<Push, Malformed> {
    use wire::target::Target as FromWire;
    let target = |target: wire::Target| match target.target {
        Some(FromWire::User(user)) => Ok(Target::User(user)),
        Some(FromWire::Identity(identity)) => Ok(Target::Key(Identity(AuthKeyId(identity)))),
        Some(FromWire::Session(session)) => {
            let (identity, session_id) = session_from(&session);
            Ok(Target::Session {
                identity,
                session_id,
            })
        }
        None => Err(Malformed("a target must name somebody")),
    };
    Ok(Push {
        targets: push
            .targets
            .into_iter()
            .map(target)
            .collect::<Result<_, _>>()?,
        except: push.except.as_ref().map(session_from),
        body: push.body,
    })
}

fn session_to((identity, session_id): (Identity, SessionId)) -> wire::Session {
    wire::Session {
        identity: identity.0.0,
        session_id: session_id.0,
    }
}

fn session_from(session: &wire::Session) -> (Identity, SessionId) {
    let identity = Identity(AuthKeyId(session.identity));
    (identity, SessionId(session.session_id))
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv6Addr, SocketAddr};

    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_call_crosses_whole_but_for_the_salt_of_its_key() {
        let proofs = [
            None,
            Some(Proof::PlayIntegrity {
                nonce: [1, 2].into(),
                token: [3].into(),
            }),
            Some(Proof::Apns {
                nonce: [4].into(),
                secret: [5].into(),
            }),
            Some(Proof::ReCaptcha { token: [6].into() }),
        ];
        for proof in proofs {
            let call = full_call(proof);
            let there = crossed(&call_to(call.clone(), Duration::from_secs(7)));
            let mut expected = call;
            expected.key.first_salt = None;
            assert_eq!(
                format!("{:?}", call_from(there).unwrap()),
                format!("{expected:?}")
            );
        }
    }

    #[test]
    fn a_call_that_says_little_crosses_as_such() {
        let mut call = full_call(None);
        call.key.kind = KeyKind::Permanent;
        (call.key.perm, call.key.dc, call.key.first_salt) = (None, None, None);
        (call.layer, call.client, call.scope) = (None, None, None);
        let there = crossed(&call_to(call.clone(), Duration::from_secs(7)));
        assert_eq!(
            format!("{:?}", call_from(there).unwrap()),
            format!("{call:?}")
        );
    }

    #[test]
    fn a_call_without_a_key_or_with_no_address_is_refused() {
        let good = call_to(full_call(None), Duration::from_secs(7));
        let mut without_key = good.clone();
        without_key.key = None;
        assert!(call_from(without_key).is_err());
        let mut elsewhere = good;
        elsewhere.peer = "localhost:1".to_owned();
        assert!(call_from(elsewhere).is_err());
    }

    #[test]
    fn an_answer_crosses_and_one_without_an_outcome_is_refused() {
        let error = RpcError {
            code: 420,
            message: "FLOOD_WAIT_7".to_owned(),
        };
        for reply in [
            Reply::Result(Bytes::from_static(&[1, 2, 3, 4])),
            Reply::Error(error),
        ] {
            let there = crossed(&reply_to(reply.clone()));
            assert_eq!(reply_from(there), Ok((reply, None)));
        }
        assert!(reply_from(wire::CallReply::default()).is_err());
    }

    #[test]
    fn a_log_in_and_a_log_out_come_with_their_answer() {
        let mut reply = reply_to(Reply::Result(Bytes::new()));
        reply.effect = Some(Effect::LogIn(-5));
        assert_eq!(reply_from(crossed(&reply)).unwrap().1, Some(Some(-5)));
        reply.effect = Some(Effect::LogOut(true));
        assert_eq!(reply_from(crossed(&reply)).unwrap().1, Some(None));
    }

    #[test]
    fn a_push_crosses_whole_and_a_target_that_names_nobody_is_refused() {
        let identity = Identity(AuthKeyId(-2));
        let push = Push {
            targets: vec![
                Target::User(7),
                Target::Key(identity),
                Target::Session {
                    identity,
                    session_id: SessionId(3),
                },
            ],
            except: Some((identity, SessionId(4))),
            body: Bytes::from_static(&[9; 8]),
        };
        let mut there = crossed(&push_to(push.clone()));
        assert_eq!(
            format!("{:?}", push_from(there.clone()).unwrap()),
            format!("{push:?}")
        );
        there.targets.push(wire::Target::default());
        assert!(push_from(there).is_err());
    }

    fn crossed<M: prost::Message + Default>(message: &M) -> M {
        M::decode(message.encode_to_vec().as_slice()).unwrap()
    }

    fn full_call(proof: Option<Proof>) -> Call {
        let first_salt = heliogram_ports::FirstSalt {
            salt: heliogram_proto::ids::Salt(1),
            term: Term(2),
            since_unix_s: 3,
        };
        Call {
            identity: Identity(AuthKeyId(i64::MIN)),
            key: KeyFacts {
                id: AuthKeyId(-1),
                kind: KeyKind::Temporary {
                    expires_at_unix_s: u32::MAX,
                },
                perm: Some(AuthKeyId(i64::MIN)),
                dc: Some(-10_002),
                first_salt: Some(first_salt),
            },
            session_id: SessionId(-3),
            msg_id: MsgId(i64::MAX),
            term: Term(u64::MAX),
            layer: Some(222),
            client: Some(Arc::new(ClientInfo {
                api_id: 1,
                device_model: "a".to_owned(),
                system_version: "b".to_owned(),
                app_version: "c".to_owned(),
                system_lang_code: "d".to_owned(),
                lang_pack: "e".to_owned(),
                lang_code: "f".to_owned(),
                proxy: Some(("g".to_owned(), 443)),
                params: Some([1, 2, 3, 4].into()),
            })),
            peer: SocketAddr::from((Ipv6Addr::LOCALHOST, 65_535)),
            user: Some(-8),
            trace: Some(heliogram_ports::Trace {
                trace_id: [7; 16],
                span_id: [9; 8],
            }),
            without_updates: true,
            scope: Some(Box::new(Scope {
                messages: Some((-1, 5)),
                takeout_id: Some(-7),
                business_connection: Some("h".to_owned()),
                proof,
            })),
            body: Bytes::from_static(&[5; 12]),
        }
    }
}
