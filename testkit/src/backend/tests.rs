//! The backend, asked directly: rules of the API, both sides of each edge.

mod files;
mod news;
mod people;
mod uploads;

use std::net::SocketAddr;
use std::sync::Arc;

use grammers_tl_types::{Deserializable as _, RemoteCall};
use heliogram_ports::{Answer, Backend as _, Call, KeyFacts, KeyKind, Reply};
use heliogram_proto::ids::{AuthKeyId, Identity, MsgId, SessionId, Term};

use super::{Backend, Cloud};

/// A data centre where whoever comes is user 7.
fn backend() -> Arc<Backend> {
    let backend = Backend::new(2, &Cloud::new());
    backend.welcome(Some(7));
    backend
}

/// Asks as the client of the first key.
fn ask<M: RemoteCall>(backend: &Backend, method: &M) -> Result<M::Return, String> {
    ask_as(backend, 1, method)
}

/// Asks with a key; an error is its code and name.
fn ask_as<M: RemoteCall>(backend: &Backend, key: i64, method: &M) -> Result<M::Return, String> {
    match ask_raw(backend, key, method.to_bytes()) {
        Reply::Result(body) => Ok(M::Return::from_bytes(&body).unwrap()),
        Reply::Error(error) => Err(format!("{} {}", error.code, error.message)),
    }
}

fn ask_raw(backend: &Backend, key: i64, body: Vec<u8>) -> Reply {
    let id = AuthKeyId(key);
    let call = Call {
        identity: Identity(id),
        key: KeyFacts {
            id,
            kind: KeyKind::Permanent,
            perm: None,
            dc: None,
            first_salt: None,
        },
        session_id: SessionId(1),
        msg_id: MsgId(4),
        term: Term(1),
        layer: Some(222),
        client: None,
        peer: SocketAddr::from(([127, 0, 0, 1], 1)),
        user: None,
        trace: None,
        without_updates: false,
        scope: None,
        body: body.into(),
    };
    let Answer::Now(reply) = backend.call(call) else {
        panic!("nothing waits")
    };
    reply
}
