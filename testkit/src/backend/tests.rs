//! The backend, asked directly: rules of the API, both sides of each edge.

mod files;
mod news;
mod people;
mod uploads;

use std::sync::Arc;

use grammers_tl_types::{Deserializable as _, RemoteCall};
use heliogram_ports::{Answer, Backend as _, Reply, conformance};
use heliogram_proto::ids::{AuthKeyId, Identity};

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
    let mut call = conformance::call(body.into());
    call.identity = Identity(id);
    call.key.id = id;
    call.layer = Some(222);
    let Answer::Now(reply) = backend.call(call) else {
        panic!("nothing waits")
    };
    reply
}
