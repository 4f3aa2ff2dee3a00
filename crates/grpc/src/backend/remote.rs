//! The session host's end.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use heliogram_ports::{Answer, Backend, BoxFuture, Call, LoggedIn, Pushes, Reply, RpcError};
use heliogram_proto::ids::Identity;
use tokio::sync::Semaphore;
use tonic::Request;
use tonic::transport::Channel;

use super::stream::Stream;
use crate::generated::backend::backend_client::BackendClient;
use crate::generated::backend::{CallRequest, FindUserRequest};
use crate::limits::{CALL_PATIENCE, CALLS_MAX, MESSAGE_BYTES_MAX, QUESTION_PATIENCE};
use crate::retry::Pause;
use crate::wire::{call_to, reply_from};

/// How calls travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the contract has two")]
pub enum Form {
    /// Each as a request of its own: every backend can do that.
    #[default]
    Unary,
    /// Many on one stream: less work for each.
    Streaming,
}

/// A backend in another process, as a session host sees it.
///
/// A call that the backend does not answer, for whatever reason, ends with `rpc_error` 500 `RPC_CALL_FAIL`; it is never
/// sent twice.
pub struct RemoteBackend {
    inner: Arc<Inner>,
    stream: Option<Stream>,
}

struct Inner {
    client: BackendClient<Channel>,
    patience: Duration,
    running: Arc<Semaphore>,
    pushes: OnceLock<Arc<dyn Pushes>>,
}

impl RemoteBackend {
    /// Makes a backend of what answers on `channel`. Within a tokio runtime.
    #[must_use]
    pub fn new(channel: Channel, form: Form) -> Self {
        Self::with_limits(channel, form, CALL_PATIENCE, CALLS_MAX)
    }

    /// Makes one that may take `patience` for an answer, and is asked at most `calls_max` at the same time.
    #[must_use]
    pub fn with_limits(channel: Channel, form: Form, patience: Duration, calls_max: usize) -> Self {
        let client = BackendClient::new(channel)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let stream = match form {
            Form::Unary => None,
            Form::Streaming => Some(Stream::open(client.clone())),
        };
        Self {
            inner: Arc::new(Inner {
                client,
                patience,
                running: Arc::new(Semaphore::new(calls_max)),
                pushes: OnceLock::new(),
            }),
            stream,
        }
    }
}

impl std::fmt::Debug for RemoteBackend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemoteBackend")
            .field("patience", &self.inner.patience)
            .finish_non_exhaustive()
    }
}

impl Backend for RemoteBackend {
    fn call(&self, call: Call) -> Answer {
        let Ok(permit) = Arc::clone(&self.inner.running).try_acquire_owned() else {
            tracing::warn!("a backend has too many calls");
            return Answer::Now(failed());
        };
        let inner = Arc::clone(&self.inner);
        let identity = call.identity;
        let request = call_to(call, inner.patience);
        let answer: BoxFuture<'static, _> = match &self.stream {
            None => {
                let mut client = inner.client.clone();
                let mut request = Request::new(request);
                request.set_timeout(inner.patience);
                trace(&mut request);
                Box::pin(async move {
                    let _running = permit;
                    client.call(request).await.map(tonic::Response::into_inner)
                })
            }
            Some(stream) => stream.call(request, permit),
        };
        Answer::Later(Box::pin(async move {
            let answered = tokio::time::timeout(inner.patience, answer).await;
            let answered = answered.unwrap_or_else(|_| Err(tonic::Status::deadline_exceeded("")));
            inner.settle(identity, answered)
        }))
    }

    fn start(&self, pushes: Arc<dyn Pushes>) {
        // It is said once; whoever says it twice means the first.
        let _ = self.inner.pushes.set(pushes);
    }

    fn user(&self, identity: Identity) -> LoggedIn {
        let mut client = self.inner.client.clone();
        LoggedIn::Later(Box::pin(async move {
            let mut pause = Pause::default();
            loop {
                let mut request = Request::new(FindUserRequest {
                    identity: identity.0.0,
                });
                request.set_timeout(QUESTION_PATIENCE);
                match client.find_user(request).await {
                    Ok(found) => return found.into_inner().user,
                    // A backend whose users are known otherwise need not answer this.
                    Err(status) if status.code() == tonic::Code::Unimplemented => return None,
                    Err(status) => {
                        tracing::debug!(code = ?status.code(), "a user is not found out");
                    }
                }
                pause.wait().await;
            }
        }))
    }
}

impl Inner {
    /// Does what the answer has brought about, then hands it over.
    fn settle(
        &self,
        identity: Identity,
        answered: Result<crate::generated::backend::CallReply, tonic::Status>,
    ) -> Reply {
        let reply = match answered {
            Ok(reply) => reply,
            Err(status) => {
                tracing::debug!(code = ?status.code(), "a call was not answered");
                return failed();
            }
        };
        match reply_from(reply) {
            Ok((reply, user)) => {
                if let (Some(user), Some(pushes)) = (user, self.pushes.get()) {
                    pushes.set_user(identity, user);
                }
                reply
            }
            Err(malformed) => {
                tracing::warn!(why = malformed.0, "a backend breaks the contract");
                failed()
            }
        }
    }
}

/// Says what the call is a part of where instruments of gRPC look for it, too.
fn trace(request: &mut Request<CallRequest>) {
    let traceparent = request.get_ref().traceparent.as_deref();
    if let Some(Ok(value)) = traceparent.map(str::parse) {
        request.metadata_mut().insert("traceparent", value);
    }
}

/// What a call ends with that the backend does not answer.
pub(crate) fn failed() -> Reply {
    Reply::Error(RpcError {
        code: 500,
        message: "RPC_CALL_FAIL".to_owned(),
    })
}
