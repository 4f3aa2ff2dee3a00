//! The backend's end: any [`Backend`] of Rust, served.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use heliogram_ports::{Answer, Backend, LoggedIn};
use heliogram_proto::ids::{AuthKeyId, Identity};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::generated::backend::backend_server::Backend as Contract;
use crate::generated::backend::calls_request::Request as Asked;
use crate::generated::backend::{
    CallReply, CallRequest, CallsReply, CallsRequest, FindUserReply, FindUserRequest,
};
use crate::limits::CALLS_PER_STREAM_MAX;
use crate::push::RemotePushes;
use crate::wire::{call_from, reply_to};

/// Serves a backend of this process to session hosts of others.
pub struct BackendService {
    answering: Answering,
}

/// What every call needs.
#[derive(Clone)]
struct Answering {
    backend: Arc<dyn Backend>,
    pushes: Option<Arc<RemotePushes>>,
}

impl BackendService {
    /// Serves `backend`; what it pushes goes by `pushes`, if it may push.
    #[must_use]
    pub fn new(backend: Arc<dyn Backend>, pushes: Option<Arc<RemotePushes>>) -> Self {
        if let Some(pushes) = &pushes {
            backend.start(Arc::<RemotePushes>::clone(pushes));
        }
        Self {
            answering: Answering { backend, pushes },
        }
    }
}

impl std::fmt::Debug for BackendService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BackendService").finish_non_exhaustive()
    }
}

impl Answering {
    async fn answer(&self, call: CallRequest) -> Result<CallReply, Status> {
        let call = call_from(call)?;
        let answer = catch_unwind(AssertUnwindSafe(|| self.backend.call(call)));
        let reply = match answer {
            Ok(Answer::Now(reply)) => reply,
            Ok(Answer::Later(reply)) => reply.await,
            Err(_) => {
                tracing::error!("the backend panicked in a call");
                return Err(Status::internal("the backend panicked"));
            }
        };
        if let Some(pushes) = &self.pushes {
            pushes.users_are_known().await;
        }
        Ok(reply_to(reply))
    }
}

#[tonic::async_trait]
impl Contract for BackendService {
    async fn call(&self, request: Request<CallRequest>) -> Result<Response<CallReply>, Status> {
        let reply = self.answering.answer(request.into_inner()).await?;
        Ok(Response::new(reply))
    }

    type CallsStream = ReceiverStream<Result<CallsReply, Status>>;

    async fn calls(
        &self,
        request: Request<Streaming<CallsRequest>>,
    ) -> Result<Response<Self::CallsStream>, Status> {
        let (replies, sent) = mpsc::channel(REPLIES_AHEAD);
        let calls = Calls {
            answering: self.answering.clone(),
            replies,
            tasks: JoinSet::new(),
            running: HashMap::new(),
        };
        tokio::spawn(calls.run(request.into_inner()));
        Ok(Response::new(ReceiverStream::new(sent)))
    }

    async fn find_user(
        &self,
        request: Request<FindUserRequest>,
    ) -> Result<Response<FindUserReply>, Status> {
        let identity = Identity(AuthKeyId(request.into_inner().identity));
        let user = match self.answering.backend.user(identity) {
            LoggedIn::Now(user) => user,
            LoggedIn::Later(user) => user.await,
        };
        Ok(Response::new(FindUserReply { user }))
    }
}

/// One stream of calls. Dropped, it cancels those that run.
struct Calls {
    answering: Answering,
    replies: mpsc::Sender<Result<CallsReply, Status>>,
    tasks: JoinSet<u64>,
    running: HashMap<u64, AbortHandle>,
}

impl Calls {
    async fn run(mut self, mut requests: Streaming<CallsRequest>) {
        loop {
            tokio::select! {
                request = requests.message() => match request {
                    Ok(Some(request)) => {
                        if let Err(status) = self.on_request(request).await {
                            // The stream ends with this either way.
                            let _ = self.replies.send(Err(status)).await;
                            return;
                        }
                    }
                    Ok(None) | Err(_) => return,
                },
                Some(ended) = self.tasks.join_next_with_id() => self.on_end(&ended).await,
                () = self.replies.closed() => return,
            }
        }
    }

    async fn on_request(
        &mut self,
        CallsRequest { id, request }: CallsRequest,
    ) -> Result<(), Status> {
        match request {
            Some(Asked::Call(_)) if self.running.len() >= CALLS_PER_STREAM_MAX => {
                tracing::warn!("a stream has too many calls");
                self.fail(id).await;
            }
            Some(Asked::Call(call)) => {
                if self.running.contains_key(&id) {
                    return Err(Status::invalid_argument("two calls have one id"));
                }
                let (answering, replies) = (self.answering.clone(), self.replies.clone());
                let task = self.tasks.spawn(async move {
                    let reply = answering.answer(call).await.ok();
                    // A stream that is gone needs no answer.
                    let _ = replies.send(Ok(CallsReply { id, reply })).await;
                    id
                });
                self.running.insert(id, task);
            }
            Some(Asked::Cancel(_)) => {
                if let Some(task) = self.running.remove(&id) {
                    task.abort();
                }
            }
            None => return Err(Status::invalid_argument("a request must ask for something")),
        }
        Ok(())
    }

    /// Takes note of a task's end; one that has panicked has not answered.
    async fn on_end(&mut self, ended: &Result<(tokio::task::Id, u64), tokio::task::JoinError>) {
        match ended {
            Ok((_, id)) => {
                self.running.remove(id);
            }
            Err(error) if error.is_panic() => {
                tracing::error!("the backend panicked in a call");
                let is_it = |(_, task): &(&u64, &AbortHandle)| task.id() == error.id();
                if let Some((&id, _)) = self.running.iter().find(is_it) {
                    self.running.remove(&id);
                    self.fail(id).await;
                }
            }
            Err(_) => {}
        }
    }

    async fn fail(&self, id: u64) {
        // A stream that is gone needs no answer.
        let _ = self.replies.send(Ok(CallsReply { id, reply: None })).await;
    }
}

/// Answers between the calls and the connection.
const REPLIES_AHEAD: usize = 64;
