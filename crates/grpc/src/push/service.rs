//! The session host's end.

use std::sync::Arc;

use heliogram_ports::Pushes;
use heliogram_proto::ids::{AuthKeyId, Identity};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::generated::backend::push_server::Push as Contract;
use crate::generated::backend::pushes_request::Request as Asked;
use crate::generated::backend::{
    PushReply, PushRequest, PushesReply, PushesRequest, SetUserReply, SetUserRequest,
};
use crate::metrics::ServerCounts;
use crate::wire::push_from;

/// Takes updates of backends in other processes to the sessions of this one.
pub struct PushService {
    taking: Taking,
}

/// What every push needs.
#[derive(Clone)]
struct Taking {
    pushes: Arc<dyn Pushes>,
    counts: Arc<ServerCounts>,
}

impl PushService {
    /// Serves `pushes`.
    #[must_use]
    pub fn new(pushes: Arc<dyn Pushes>) -> Self {
        let counts = Arc::default();
        Self {
            taking: Taking { pushes, counts },
        }
    }

    /// Counts there from now on.
    pub(crate) fn count(&mut self, counts: Arc<ServerCounts>) {
        self.taking.counts = counts;
    }
}

impl std::fmt::Debug for PushService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PushService").finish_non_exhaustive()
    }
}

impl Taking {
    fn push(&self, push: PushRequest) -> Result<(), Status> {
        let refused = |refused| Status::invalid_argument(format!("{refused}"));
        let push = push_from(push).map_err(Status::from);
        let outcome = push.and_then(|push| self.pushes.push(push).map_err(refused));
        let counts = &self.counts.pushes;
        let count = if outcome.is_ok() {
            &counts.taken
        } else {
            &counts.refused
        };
        count.add_one();
        outcome
    }

    fn set_user(&self, request: &SetUserRequest) {
        self.counts.pushes.users.add_one();
        let identity = Identity(AuthKeyId(request.identity));
        self.pushes.set_user(identity, request.user);
    }
}

#[tonic::async_trait]
impl Contract for PushService {
    async fn push(&self, request: Request<PushRequest>) -> Result<Response<PushReply>, Status> {
        self.taking.push(request.into_inner())?;
        Ok(Response::new(PushReply {}))
    }

    async fn set_user(
        &self,
        request: Request<SetUserRequest>,
    ) -> Result<Response<SetUserReply>, Status> {
        self.taking.set_user(request.get_ref());
        Ok(Response::new(SetUserReply {}))
    }

    type PushesStream = ReceiverStream<Result<PushesReply, Status>>;

    async fn pushes(
        &self,
        request: Request<Streaming<PushesRequest>>,
    ) -> Result<Response<Self::PushesStream>, Status> {
        let (replies, sent) = mpsc::channel(REPLIES_AHEAD);
        tokio::spawn(take(self.taking.clone(), request.into_inner(), replies));
        Ok(Response::new(ReceiverStream::new(sent)))
    }
}

async fn take(
    taking: Taking,
    mut requests: Streaming<PushesRequest>,
    replies: mpsc::Sender<Result<PushesReply, Status>>,
) {
    let _open = taking.counts.pushes.streams.hold();
    let mut done = 0;
    while let Ok(Some(PushesRequest { request })) = requests.message().await {
        let outcome = match request {
            Some(Asked::Push(request)) => taking.push(request),
            Some(Asked::SetUser(request)) => {
                taking.set_user(&request);
                Ok(())
            }
            None => Err(Status::invalid_argument("a request must ask for something")),
        };
        done += 1;
        let is_refused = outcome.is_err();
        let reply = outcome.map(|()| PushesReply { done });
        if replies.send(reply).await.is_err() || is_refused {
            return;
        }
    }
}

/// Replies between the sessions and the connection.
const REPLIES_AHEAD: usize = 64;
